"""Classical classifiers on embeddings.

vectors + labels -> split -> classifiers -> scores -> model, tables, report
vectors + model -> checks -> predictions (apply)
"""
