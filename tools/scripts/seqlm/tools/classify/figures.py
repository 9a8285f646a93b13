"""Figures of a classifier's reports: which there are, what stands below them, and how they are drawn.

Imports matplotlib: set ``MPLCONFIGDIR`` first.
"""

from __future__ import annotations

import numpy as np

from seqlm.metrics import metrics
from seqlm.report import figures
from seqlm.report.report import Drawn

from .run import CHOSEN, Result
from .verdict import SPLIT_WORDS


def figures_of(result: Result) -> dict[str, Drawn]:
    """Name -> caption and how to draw it."""
    plan, split = result.plan, result.plan.deciding
    metric, truth = plan.arguments.metric, result.truth[split]
    named = {short(name): result.scores[name][split][metric] for name in [*result.models, *result.baselines]}
    label = metrics.label(metric, len(plan.classes))
    drawn = {
        "scores": Drawn(
            f"{label} on the {SPLIT_WORDS[split]} with 95 % intervals. All were judged on the same sequences, "
            "so intervals "
            "may overlap and a difference still be clear.",
            lambda: figures.baselines(named, label, short(result.judged)),
        )
    }
    return drawn | judged_figures(
        truth,
        result.predictions[result.judged][split],
        plan.classes,
        result.scores[result.judged][split],
        SPLIT_WORDS[split],
    )


def judged_figures(
    truth: np.ndarray, found: np.ndarray, classes: list[str], scores: dict, where: str
) -> dict[str, Drawn]:
    """Confusion matrix and curves of one classifier on one set."""
    positive = 1 if len(classes) == 2 else None
    drawn = {
        "confusion-matrix": Drawn(
            f"Calls on the {where}: rows are true classes, columns what the classifier calls them.",
            lambda: figures.confusion_matrix(truth, found.argmax(axis=1), classes),
        )
    }
    if len(np.unique(truth)) > 1:
        drawn["roc"] = Drawn(
            f"ROC on the {where}. Up and to the left is better; the dotted diagonal is guessing.",
            lambda: figures.roc(truth, found, classes, positive, scores["auroc"]),
        )
        drawn["precision-recall"] = Drawn(
            f"Precision–recall on the {where}. Up and to the right is better; with few positives this tells "
            "more than ROC.",
            lambda: figures.precision_recall(truth, found, classes, positive, scores["auprc"]),
        )
    return drawn


def short(name: str) -> str:
    return "chosen in each fold" if name == CHOSEN else name
