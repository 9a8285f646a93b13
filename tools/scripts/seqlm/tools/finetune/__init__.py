"""Fine-tuning on labels: classes, several labels or numbers of sequences, residues and pairs.

files -> examples -> tokens -> batches -> model -> task -> bundle -> scores -> tables, report
"""
