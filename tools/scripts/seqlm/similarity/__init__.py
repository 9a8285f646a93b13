"""What is alike: MMseqs2, edit distances, fingerprints and scaffolds of molecules, words of letters, neighbours."""
