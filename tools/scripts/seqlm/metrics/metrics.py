"""Scores of predictions for every task, each with a 95 % percentile bootstrap interval.

How resamples are drawn is in :mod:`seqlm.metrics.resampling`, formulas and conventions are in
:mod:`seqlm.metrics.class_metrics`, :mod:`seqlm.metrics.multilabel_metrics` and :mod:`seqlm.metrics.value_metrics`. A
unit is a sequence, a residue or a pair.
"""

from __future__ import annotations

import numpy as np

from . import thresholds
from .class_metrics import MACRO, Classes
from .multilabel_metrics import Labels
from .names import CLASSIFICATION, MULTILABEL, REGRESSION
from .resampling import Score, Scorer, bootstrap, resample_weights, samples
from .value_metrics import Values

__all__ = ["CLASSIFICATION", "MULTILABEL", "REGRESSION", "Score", "resample_weights"]

HIGHER_IS_BETTER = {name: name != "rmse" for name in CLASSIFICATION + MULTILABEL + REGRESSION}

_LABELS = {
    "accuracy": "Accuracy",
    "balanced_accuracy": "Balanced accuracy",
    "mcc": "MCC",
    "sensitivity": "Sensitivity",
    "specificity": "Specificity",
    "precision": "Precision",
    "f1": "F1",
    "auroc": "AUROC",
    "auprc": "AUPRC",
    "macro_f1": "Macro F1",
    "micro_f1": "Micro F1",
    "fmax": "Fmax",
    "macro_auroc": "Macro AUROC",
    "macro_auprc": "Macro AUPRC",
    "micro_auprc": "Micro AUPRC",
    "subset_accuracy": "All labels right",
    "hamming_accuracy": "Accuracy of single labels",
    "spearman": "Spearman correlation",
    "pearson": "Pearson correlation",
    "rmse": "RMSE",
    "r2": "R²",
}


def label(metric: str, classes: int = 2) -> str:
    """The name people know a metric by; with more than two classes, averages over classes are called macro."""
    name = _LABELS[metric]
    if classes > 2 and metric in MACRO:
        return "Macro " + (name if name.isupper() else name.lower())
    return name


def metrics_for(task: str) -> tuple[str, ...]:
    """The metrics of a task: ``REGRESSION`` for names that end in ``regression``, ``MULTILABEL`` for ``multi-label``,
    else ``CLASSIFICATION``."""
    if task.endswith("regression"):
        return REGRESSION
    return MULTILABEL if task == "multi-label" else CLASSIFICATION


def scores_for(
    task: str,
    truth: np.ndarray,
    predictions: np.ndarray,
    *,
    groups: np.ndarray | None = None,
    threshold: float | np.ndarray | None = None,
    predicted: np.ndarray | None = None,
    positive: int | None = None,
    resamples: int = 1000,
    seed: int = 0,
) -> dict[str, Score]:
    """Every metric of a task with its interval.

    Args:
        truth: (n,) class indices or values, (n, labels) 0 or 1 for ``multi-label``, -1 where that is not known.
        predictions: (n, classes) probabilities, (n,) values, (n, labels) probabilities.
        groups: (n,) the protein of each residue; resamples then draw whole proteins.
        threshold: None for the largest probability (0.5 for several labels); a number for two classes, where class 1 is
            called when its probability is at least that; (labels,) for several labels.
        predicted: (n,) called classes, or (n, labels) 0 or 1, where they come from elsewhere.
        positive: index of the positive class of two; the second unless told.
        resamples: bootstrap resamples; with 0 the bounds are NaN.
        seed: of the resamples; equal seeds and equal numbers of units give equal resamples.

    Raises:
        ValueError: empty input, shapes that disagree, a class index out of range, NaN.

    >>> scores = scores_for("pair-regression", np.array([1.0, 2, 3, 4]), np.array([1.0, 2, 4, 3]))
    >>> scores["spearman"].value
    0.8
    """
    scorer = scorer_for(metrics_for(task), truth, predictions, positive, predicted, threshold)
    return bootstrap(scorer, groups, resamples, seed)


def classification_scores(
    truth: np.ndarray,
    probabilities: np.ndarray,
    *,
    positive: int | None = None,
    predicted: np.ndarray | None = None,
    groups: np.ndarray | None = None,
    resamples: int = 1000,
    seed: int = 0,
) -> dict[str, Score]:
    """Every score in ``CLASSIFICATION`` with its interval; as :func:`scores_for`, but for:

    Args:
        predicted: (n,) called classes where they come neither from the largest probability nor from a threshold.

    >>> scores = classification_scores(np.array([0, 0, 1, 1]), np.array([[.9, .1], [.4, .6], [.2, .8], [.3, .7]]))
    >>> scores["accuracy"].value, scores["auroc"].value
    (0.75, 1.0)
    """
    return bootstrap(Classes(truth, probabilities, predicted, positive), groups, resamples, seed)


def regression_scores(
    truth: np.ndarray,
    predicted: np.ndarray,
    *,
    groups: np.ndarray | None = None,
    resamples: int = 1000,
    seed: int = 0,
) -> dict[str, Score]:
    """Every score in ``REGRESSION`` with its interval; arguments as for :func:`scores_for`."""
    return bootstrap(Values(truth, predicted), groups, resamples, seed)


def plain(
    metric: str,
    truth: np.ndarray,
    predictions: np.ndarray,
    *,
    positive: int | None = None,
    predicted: np.ndarray | None = None,
    threshold: float | np.ndarray | None = None,
) -> float:
    """One score without an interval, cheap enough for every epoch. Arguments as for the functions above."""
    return scorer_for((metric,), truth, predictions, positive, predicted, threshold).point()[metric]


def paired_difference(
    metric: str,
    truth: np.ndarray,
    first: np.ndarray,
    second: np.ndarray,
    *,
    positive: int | None = None,
    first_predicted: np.ndarray | None = None,
    second_predicted: np.ndarray | None = None,
    first_threshold: float | np.ndarray | None = None,
    second_threshold: float | np.ndarray | None = None,
    groups: np.ndarray | None = None,
    resamples: int = 1000,
    seed: int = 0,
) -> Score:
    """``metric`` of ``first`` less that of ``second``, both scored on the same resamples.

    Two models judged on the same sequences share the luck of the draw, so the interval of their difference is
    narrower, and the right one to ask whether one beats the other (Efron & Tibshirani 1993, 10.4).

    Args:
        truth, first, second: as for :func:`scores_for`.
    """
    one = scorer_for((metric,), truth, first, positive, first_predicted, first_threshold)
    other = scorer_for((metric,), truth, second, positive, second_predicted, second_threshold)
    first, second = samples([one, other], groups, resamples, seed)
    return first[metric].less(second[metric]).score()


def scorer_for(metrics: tuple[str, ...], truth, predictions, positive=None, predicted=None, threshold=None) -> Scorer:
    """What scores predictions by some metrics of one task, for :func:`seqlm.metrics.resampling.samples`."""
    if metrics[0] in REGRESSION:
        return Values(truth, predictions, metrics)
    if metrics[0] in MULTILABEL:
        called = thresholds.called(predictions, threshold, several=True) if predicted is None else predicted
        return Labels(truth, predictions, called, metrics)
    if metrics[0] in CLASSIFICATION:
        if predicted is None and threshold is not None:
            predicted = thresholds.called(predictions, threshold)
        return Classes(truth, predictions, predicted, positive, metrics)
    known = ", ".join(CLASSIFICATION + MULTILABEL + REGRESSION)
    raise ValueError(f"unknown metric {metrics[0]!r}; known are {known}")
