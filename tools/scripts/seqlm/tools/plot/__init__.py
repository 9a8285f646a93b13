"""Embeddings in two dimensions.

one or two files of vectors + labels -> one projection -> scores -> picture, report
"""
