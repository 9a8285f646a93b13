"""Models at work: loading, batches under a token budget, vectors and heads, likelihood, sampling.

tokens -> batches -> model -> task -> predictions
"""
