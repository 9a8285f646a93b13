"""Scores of predictions, each with a 95 % percentile bootstrap interval.

A resample draws as many sequences as there are, with replacement. It is held as a row of counts (how often each
sequence was drawn), so that every score is computed for many resamples at once from a weight matrix
``(resamples, n)``; the score itself is the same code with all weights 1. Chunks of resamples bound the memory.

Conventions where a formula divides by zero:

- MCC is 0 when truth or calls hold one class only; precision and F1 are 0 when nothing was called (as scikit-learn).
  Likewise a correlation with predictions that are all the same is 0: they tell nothing.
- Sensitivity without a positive, specificity without a negative, AUROC with one class, AUPRC without a positive,
  correlations and R² with constant truth are undefined: NaN, and such a resample is left out of the interval.
- Macro scores average over the classes that occur in the truth (of the resample) and for which the score is defined;
  so macro sensitivity equals balanced accuracy.

Sources: Efron & Tibshirani (1993) An Introduction to the Bootstrap, ch. 13 (percentile interval) and 10.4 (paired
differences); Matthews (1975) 10.1016/0005-2795(75)90109-9; Gorodkin (2004) 10.1016/j.compbiolchem.2004.09.006;
Fawcett (2006) 10.1016/j.patrec.2005.10.010 (ROC with ties); Davis & Goadrich (2006) 10.1145/1143844.1143874
(precision-recall; the area is average precision, as in scikit-learn, not interpolated).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

CLASSIFICATION = (
    "accuracy",
    "balanced_accuracy",
    "mcc",
    "sensitivity",
    "specificity",
    "precision",
    "f1",
    "auroc",
    "auprc",
)
REGRESSION = ("spearman", "pearson", "rmse", "r2")
HIGHER_IS_BETTER = {name: name != "rmse" for name in CLASSIFICATION + REGRESSION}

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
    "spearman": "Spearman correlation",
    "pearson": "Pearson correlation",
    "rmse": "RMSE",
    "r2": "R²",
}
_MACRO = ("sensitivity", "specificity", "precision", "f1", "auroc", "auprc")
_CELLS = 1_000_000  # of a chunk of the weight matrix: 8 MB, and a few temporaries of that size

Scorer = Callable[[np.ndarray], dict[str, np.ndarray]]  # weights (resamples, n) -> metric -> (resamples,)


@dataclass(frozen=True)
class Score:
    """A score and its 95 % interval; NaN where undefined."""

    value: float
    low: float
    high: float


def label(metric: str, classes: int = 2) -> str:
    """The name people know a metric by; with more than two classes, averages over classes are called macro."""
    name = _LABELS[metric]
    if classes > 2 and metric in _MACRO:
        return "Macro " + (name if name.isupper() else name.lower())
    return name


def metrics_for(task: str) -> tuple[str, ...]:
    """The metrics of a task: ``REGRESSION`` for names that end in ``regression``, else ``CLASSIFICATION``."""
    return REGRESSION if task.endswith("regression") else CLASSIFICATION


def scores_for(task: str, truth: np.ndarray, predictions: np.ndarray, **keywords) -> dict[str, Score]:
    """``regression_scores`` or ``classification_scores``, as the task asks; keywords are theirs."""
    score = regression_scores if metrics_for(task) is REGRESSION else classification_scores
    return score(truth, predictions, **keywords)


def classification_scores(
    truth: np.ndarray,
    probabilities: np.ndarray,
    *,
    positive: int | None = None,
    predicted: np.ndarray | None = None,
    resamples: int = 1000,
    seed: int = 0,
) -> dict[str, Score]:
    """Every score in ``CLASSIFICATION`` with its interval.

    Args:
        truth: (n,) class indices.
        probabilities: (n, classes); with two classes the column of the positive one orders the curves.
        positive: index of the positive class of two; the second unless told. Not used with more classes.
        predicted: (n,) called classes where they do not come from the largest probability (a threshold, say).
        resamples: bootstrap resamples; with 0 the bounds are NaN.
        seed: of the resamples; equal seeds and n give equal resamples.

    Raises:
        ValueError: empty input, shapes that disagree, a class index out of range, NaN probabilities.

    >>> scores = classification_scores(np.array([0, 0, 1, 1]), np.array([[.9, .1], [.4, .6], [.2, .8], [.3, .7]]))
    >>> scores["accuracy"].value, scores["auroc"].value
    (0.75, 1.0)
    """
    scorer = _classification(truth, probabilities, positive, predicted, CLASSIFICATION)
    return _bootstrap(scorer, len(truth), resamples, seed)


def regression_scores(
    truth: np.ndarray, predicted: np.ndarray, *, resamples: int = 1000, seed: int = 0
) -> dict[str, Score]:
    """Every score in ``REGRESSION`` with its interval.

    Spearman is Pearson's correlation of mid-ranks (ties share their mean rank); R² is 1 - Σ(t-p)² / Σ(t-mean t)².

    Args:
        truth: (n,) measured values.
        predicted: (n,) predicted values.

    Raises:
        ValueError: empty input, shapes that disagree, NaN or infinite values.
    """
    return _bootstrap(_regression(truth, predicted, REGRESSION), len(truth), resamples, seed)


def plain(
    metric: str,
    truth: np.ndarray,
    predictions: np.ndarray,
    *,
    positive: int | None = None,
    predicted: np.ndarray | None = None,
) -> float:
    """One score without an interval, cheap enough for every epoch. Arguments as for the functions above."""
    scorer = _scorer(metric, truth, predictions, positive, predicted)
    return float(scorer(np.ones((1, len(truth))))[metric][0])


def paired_difference(
    metric: str,
    truth: np.ndarray,
    first: np.ndarray,
    second: np.ndarray,
    *,
    positive: int | None = None,
    first_predicted: np.ndarray | None = None,
    second_predicted: np.ndarray | None = None,
    resamples: int = 1000,
    seed: int = 0,
) -> Score:
    """``metric`` of ``first`` less that of ``second``, both scored on the same resamples.

    Two models judged on the same sequences share the luck of the draw, so the interval of their difference is
    narrower, and the right one to ask whether one beats the other (Efron & Tibshirani 1993, 10.4).

    Args:
        truth: (n,) classes or values.
        first, second: (n, classes) probabilities or (n,) values.
    """
    one = _scorer(metric, truth, first, positive, first_predicted)
    other = _scorer(metric, truth, second, positive, second_predicted)
    difference = _bootstrap(lambda w: {metric: one(w)[metric] - other(w)[metric]}, len(truth), resamples, seed)
    return difference[metric]


def _bootstrap(scorer: Scorer, n: int, resamples: int, seed: int) -> dict[str, Score]:
    values = scorer(np.ones((1, n)))
    drawn = [scorer(weights) for weights in resample_weights(n, resamples, seed)]
    scores = {}
    for metric, value in values.items():
        sample = np.concatenate([chunk[metric] for chunk in drawn]) if drawn else np.empty(0)
        sample = sample[np.isfinite(sample)]
        low, high = np.percentile(sample, [2.5, 97.5]) if len(sample) else (np.nan, np.nan)
        scores[metric] = Score(float(value[0]), float(low), float(high))
    return scores


def resample_weights(n: int, resamples: int, seed: int) -> Iterator[np.ndarray]:
    """Yield chunks (rows, n) of how often each of n sequences was drawn; every row sums to n."""
    generator = np.random.default_rng(seed)
    step = max(1, _CELLS // n)
    for start in range(0, resamples, step):
        rows = min(step, resamples - start)
        drawn = generator.integers(0, n, size=(rows, n))
        drawn += n * np.arange(rows)[:, None]  # one bincount for all rows
        yield np.bincount(drawn.ravel(), minlength=rows * n).reshape(rows, n).astype(float)


def _scorer(metric, truth, predictions, positive, predicted) -> Scorer:
    if metric in REGRESSION:
        return _regression(truth, predictions, (metric,))
    if metric in CLASSIFICATION:
        return _classification(truth, predictions, positive, predicted, (metric,))
    raise ValueError(f"unknown metric {metric!r}; known are {', '.join(CLASSIFICATION + REGRESSION)}")


def _classification(truth, probabilities, positive, predicted, metrics) -> Scorer:
    truth, probabilities = np.asarray(truth), np.asarray(probabilities)
    if probabilities.ndim != 2 or truth.shape != probabilities.shape[:1] or not len(truth):
        raise ValueError(f"truth (n,) and probabilities (n, classes) wanted, got {truth.shape}, {probabilities.shape}")
    if np.isnan(probabilities).any():
        raise ValueError("a probability is NaN")
    n, classes = probabilities.shape
    predicted = probabilities.argmax(axis=1) if predicted is None else np.asarray(predicted)
    for name, indices in (("truth", truth), ("predicted", predicted)):
        if indices.shape != (n,) or indices.min() < 0 or indices.max() >= classes:
            raise ValueError(f"{name} must be (n,) class indices below {classes}")
    positive = 1 if positive is None else positive
    scored = [positive] if classes == 2 else range(classes)  # one curve for two classes, else one against the rest

    is_true = np.eye(classes)[truth]  # (n, classes)
    is_called = np.eye(classes)[predicted]
    tallies = np.hstack([is_true, is_called, is_true * is_called])  # (n, 3 * classes)
    need_curves = bool({"auroc", "auprc"} & set(metrics))
    orders = [_tie_groups(-probabilities[:, c]) for c in scored] if need_curves else []

    def score(weights: np.ndarray) -> dict[str, np.ndarray]:
        counts = (weights @ tallies).reshape(len(weights), 3, classes)
        result = _from_counts(counts, list(scored))
        if need_curves:
            areas = [
                _areas(weights, is_true[:, c], *groups) for c, groups in zip(scored, orders, strict=True)
            ]  # (classes scored, 2, resamples)
            result["auroc"], result["auprc"] = _mean_defined(np.array(areas), axis=0)
        return {metric: result[metric] for metric in metrics}

    return score


def _from_counts(counts: np.ndarray, scored: list[int]) -> dict[str, np.ndarray]:
    """Scores of calls from counts (resamples, 3, classes): truly of the class, called it, and both."""
    true, called, both = counts[:, 0], counts[:, 1], counts[:, 2]
    total = true.sum(axis=1)
    recall = _ratio(both, true)  # NaN for a class that does not occur
    # Gorodkin (2004), eq. 8, in counts; for two classes it is Matthews (1975).
    covariance = both.sum(axis=1) * total - (true * called).sum(axis=1)
    spread = np.sqrt((total**2 - (true**2).sum(axis=1)) * (total**2 - (called**2).sum(axis=1)))

    true, called, both = true[:, scored], called[:, scored], both[:, scored]
    macro = len(scored) > 1
    absent = (true == 0) & macro  # in a macro average, classes that do not occur take no part
    negatives = total[:, None] - true
    per_class = {
        "sensitivity": _ratio(both, true),
        "specificity": _ratio(negatives - (called - both), negatives),
        "precision": _ratio(both, called, empty=0.0),
        "f1": _ratio(2 * both, true + called, empty=0.0),
    }
    return {
        "accuracy": counts[:, 2].sum(axis=1) / total,
        "balanced_accuracy": _mean_defined(recall, axis=1),
        "mcc": _ratio(covariance, spread, empty=0.0),
        **{name: _mean_defined(np.where(absent, np.nan, value), axis=1) for name, value in per_class.items()},
    }


def _areas(weights, is_positive, order, starts) -> tuple[np.ndarray, np.ndarray]:
    """AUROC and average precision (resamples,) of weighted sequences, given in tie groups from the highest score.

    AUROC is the share of (positive, negative) pairs in the right order, ties counting half (Fawcett 2006). Average
    precision is Σ (R_k - R_k-1) P_k over the distinct scores k.
    """
    ordered = weights[:, order]
    everyone = np.add.reduceat(ordered, starts, axis=1)  # (resamples, groups)
    positives = np.add.reduceat(ordered * is_positive[order], starts, axis=1)
    found = positives.cumsum(axis=1)
    called = everyone.cumsum(axis=1)
    all_positives = found[:, -1]
    all_negatives = called[:, -1] - all_positives
    right_pairs = ((everyone - positives) * (found - positives / 2)).sum(axis=1)
    precision_sum = (positives * _ratio(found, called, empty=0.0)).sum(axis=1)
    return _ratio(right_pairs, all_positives * all_negatives), _ratio(precision_sum, all_positives)


def _regression(truth, predicted, metrics) -> Scorer:
    truth, predicted = np.asarray(truth, dtype=float), np.asarray(predicted, dtype=float)
    if truth.ndim != 1 or truth.shape != predicted.shape or not len(truth):
        raise ValueError(f"truth (n,) and predicted (n,) wanted, got {truth.shape} and {predicted.shape}")
    if not (np.isfinite(truth).all() and np.isfinite(predicted).all()):
        raise ValueError("a measured or predicted value is NaN or infinite")
    # Moments about the median lose no digits to a large offset, and are exactly 0 for constant values.
    t, p = truth - np.median(truth), predicted - np.median(predicted)
    columns = np.stack([t, t * t, p, p * p, t * p, (truth - predicted) ** 2], axis=1)  # (n, 6)
    groups = [_tie_groups(values) for values in (truth, predicted)]

    def score(weights: np.ndarray) -> dict[str, np.ndarray]:
        total = weights.sum(axis=1)
        mean_t, mean_tt, mean_p, mean_pp, mean_tp, squared_error = (weights @ columns / total[:, None]).T
        variance_t, variance_p = _variance(mean_tt, mean_t), _variance(mean_pp, mean_p)
        result = {
            "pearson": _correlation(mean_tp - mean_t * mean_p, variance_t, variance_p),
            "rmse": np.sqrt(squared_error),
            "r2": 1 - _ratio(squared_error, variance_t),
        }
        if "spearman" in metrics:
            r, s = (_centred_ranks(weights, *group) for group in groups)
            result["spearman"] = _correlation(*((weights * a * b).sum(axis=1) for a, b in ((r, s), (r, r), (s, s))))
        return {metric: result[metric] for metric in metrics}

    return score


def _variance(mean_of_squares: np.ndarray, mean: np.ndarray) -> np.ndarray:
    variance = mean_of_squares - mean**2
    return np.where(variance > 1e-12 * mean_of_squares, variance, 0.0)  # less is rounding, not variance


def _correlation(covariance, variance_of_truth, variance_of_predictions) -> np.ndarray:
    spread = np.sqrt(variance_of_truth * variance_of_predictions)
    return np.where(variance_of_truth > 0, _ratio(covariance, spread, empty=0.0).clip(-1, 1), np.nan)


def _centred_ranks(weights, order, starts) -> np.ndarray:
    """Mid-ranks (resamples, n) within each resample, less their mean; a sequence drawn twice is a tie of two."""
    in_group = np.add.reduceat(weights[:, order], starts, axis=1)
    up_to = in_group.cumsum(axis=1)
    middle = up_to - in_group / 2 - up_to[:, -1:] / 2  # the rank is up_to - (in_group - 1) / 2, the mean (n + 1) / 2
    ranks = np.empty_like(weights)
    ranks[:, order] = np.repeat(middle, np.diff(np.append(starts, len(order))), axis=1)
    return ranks


def _tie_groups(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The order (n,) that sorts values upwards, and where in it each run of equal values starts."""
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    return order, np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))


def _ratio(numerator: np.ndarray, denominator: np.ndarray, empty: float = np.nan) -> np.ndarray:
    defined = denominator != 0
    return np.where(defined, numerator / np.where(defined, denominator, 1), empty)


def _mean_defined(values: np.ndarray, axis: int) -> np.ndarray:
    """Mean over an axis of what is not NaN; NaN where nothing is."""
    return _ratio(np.nansum(values, axis=axis), np.isfinite(values).sum(axis=axis))
