"""Sequences to vectors.

file -> tokens -> batches -> model -> vectors -> table, npz, h5, parquet, report
"""
