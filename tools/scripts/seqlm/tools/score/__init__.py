"""How probable a model finds sequences, and what variants change.

sequences or variants -> tokens -> batches -> model -> probabilities -> tables, heat map, report
"""
