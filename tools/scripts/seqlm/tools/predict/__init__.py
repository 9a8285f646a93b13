"""A fine-tuned model applied to new sequences.

bundle + base model + file -> tokens -> batches -> model -> task -> table, GFF3, plot
"""
