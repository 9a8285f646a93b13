"""Architectures that transformers lacks, one file each, with the tensor names of the published checkpoints."""
