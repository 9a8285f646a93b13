"""A language model, new or gone on with, learns from a corpus.

corpus -> tokens on disk -> rows -> model -> bundle -> scores beside models of letters -> tables, report
"""
