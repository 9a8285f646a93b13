"""Fine-tuning without labels: a model learns to write sequences like those it was given.

sequences -> rows of tokens -> model -> bundle -> perplexities beside models of letters -> tables, report
"""
