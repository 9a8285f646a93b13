"""The names of all scores, in the order of the tables. The command line has them too, so nothing is imported here."""

from __future__ import annotations

CLASSIFICATION = (
    "accuracy", "balanced_accuracy", "mcc", "sensitivity", "specificity", "precision", "f1", "auroc", "auprc",
)  # fmt: skip
MULTILABEL = (
    "macro_f1", "micro_f1", "fmax", "macro_auroc", "macro_auprc", "micro_auprc", "subset_accuracy", "hamming_accuracy",
)  # fmt: skip
REGRESSION = ("spearman", "pearson", "rmse", "r2")

# scores by which a model may be chosen: none of them is good for a model that always says yes, or always no
DECIDING_CLASSES = ("mcc", "balanced_accuracy", "accuracy", "f1", "auroc", "auprc")
DECIDING_LABELS = ("macro_f1", "micro_f1", "fmax", "macro_auroc", "macro_auprc", "micro_auprc")
DECIDING = (*DECIDING_CLASSES, *DECIDING_LABELS, *REGRESSION)
