"""Models without a language model, for sequences, residues, pairs and texts: what every score stands beside."""
