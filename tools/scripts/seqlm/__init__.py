"""Biological language models for Galaxy: the package behind the scripts in the folder above.

Data flows one way: records -> text -> tokens -> batches -> model -> task -> table, bundle, report.
"""

__version__ = "0.1.0"
