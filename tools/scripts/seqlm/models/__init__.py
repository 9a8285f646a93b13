"""Architectures that transformers lacks, written here so that no code from a model's repository is ever run."""
