"""What is alike: MMseqs2, fingerprints and scaffolds of molecules, words of letters, near duplicates, neighbours."""
