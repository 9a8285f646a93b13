"""Scores of classes: calls counted in a confusion matrix, and areas under curves.

Conventions where a formula divides by zero:

- MCC is 0 when truth or calls hold one class only; precision and F1 are 0 when nothing was called (as scikit-learn).
- Sensitivity without a positive, specificity without a negative, AUROC with one class and AUPRC without a positive are
  undefined: NaN, and such a resample is left out of the interval.
- Macro scores average over the classes that occur in the truth (of the resample) and for which the score is defined;
  so macro sensitivity equals balanced accuracy.

Sources: Matthews (1975) 10.1016/0005-2795(75)90109-9; Gorodkin (2004) 10.1016/j.compbiolchem.2004.09.006.
"""

from __future__ import annotations

import numpy as np

from .curves import Curve
from .names import CLASSIFICATION
from .resampling import Scorer, counters, mean_defined, ratio

MACRO = ("sensitivity", "specificity", "precision", "f1", "auroc", "auprc")


class Classes(Scorer):
    """Scores of one class a unit.

    Args:
        truth: (n,) class indices.
        probabilities: (n, classes).
        predicted: (n,) called classes, or None for the most probable ones.
        positive: index of the positive class of two, or None for the second.
        metrics: those wanted.

    Raises:
        ValueError: empty input, shapes that disagree, a class index out of range, NaN probabilities.
    """

    def __init__(self, truth, probabilities, predicted=None, positive=None, metrics=CLASSIFICATION):
        truth, probabilities = np.asarray(truth), np.asarray(probabilities)
        if probabilities.ndim != 2 or truth.shape != probabilities.shape[:1] or not len(truth):
            raise ValueError(
                f"truth (n,) and probabilities (n, classes) wanted, got {truth.shape}, {probabilities.shape}"
            )
        if np.isnan(probabilities).any():
            raise ValueError("a probability is NaN")
        self.n, self.classes = probabilities.shape
        predicted = probabilities.argmax(axis=1) if predicted is None else np.asarray(predicted)
        for name, indices in (("truth", truth), ("predicted", predicted)):
            if indices.shape != (self.n,) or indices.min() < 0 or indices.max() >= self.classes:
                raise ValueError(f"{name} must be (n,) class indices below {self.classes}")
        self.truth, self.called, self.metrics = truth, predicted, metrics
        # one curve for two classes, else one a class against the rest
        self.scored = [1 if positive is None else positive] if self.classes == 2 else list(range(self.classes))
        self.curves = []
        if {"auroc", "auprc"} & set(metrics):
            self.curves = [Curve(truth == c, probabilities[:, c]) for c in self.scored]
        self.width = max([3 * self.classes, *(curve.bins for curve in self.curves)])

    def point(self):
        everyone = np.arange(self.n), np.zeros(self.n, dtype=np.int64), 1
        counts = self._tallies(*everyone).toarray().T.reshape(1, 3, self.classes)
        areas = np.array([curve.areas() for curve in self.curves])[:, :, None] if self.curves else None
        return {metric: float(value[0]) for metric, value in self._scores(counts, areas).items()}

    def counted(self, units, owner, blocks):
        tallies = self._tallies(units, owner, blocks)
        curves = [curve.counted(units, owner, blocks) for curve in self.curves]

        def score(weights):
            counts = (tallies @ weights.T).T.reshape(len(weights), 3, self.classes)
            return self._scores(counts, np.array([areas(weights) for areas in curves]))

        return score

    def features(self):
        return [self.truth, self.called, *(curve.bin for curve in self.curves)]

    def _tallies(self, units, owner, blocks):
        """Sparse (3 * classes, blocks): units truly of each class, called it, and both."""
        truth, called = self.truth[units], self.called[units]
        right = truth == called
        rows = np.concatenate([truth, self.classes + called, 2 * self.classes + truth[right]])
        return counters(rows, np.concatenate([owner, owner, owner[right]]), (3 * self.classes, blocks))

    def _scores(self, counts, areas):
        """``counts`` (resamples, 3, classes), ``areas`` (classes scored, 2, resamples)."""
        result = from_counts(counts, self.scored)
        if self.curves:
            result["auroc"], result["auprc"] = mean_defined(areas, axis=0)
        return {metric: result[metric] for metric in self.metrics}


def from_counts(counts: np.ndarray, scored: list[int]) -> dict[str, np.ndarray]:
    """Scores of calls from counts (resamples, 3, classes): truly of the class, called it, and both."""
    true, called, both = counts[:, 0], counts[:, 1], counts[:, 2]
    total = true.sum(axis=1)
    recall = ratio(both, true)  # NaN for a class that does not occur
    # Gorodkin (2004), eq. 8, in counts; for two classes it is Matthews (1975).
    covariance = both.sum(axis=1) * total - (true * called).sum(axis=1)
    spread = np.sqrt((total**2 - (true**2).sum(axis=1)) * (total**2 - (called**2).sum(axis=1)))

    true, called, both = true[:, scored], called[:, scored], both[:, scored]
    macro = len(scored) > 1
    absent = (true == 0) & macro  # in a macro average, classes that do not occur take no part
    negatives = total[:, None] - true
    per_class = {
        "sensitivity": ratio(both, true),
        "specificity": ratio(negatives - (called - both), negatives),
        "precision": ratio(both, called, empty=0.0),
        "f1": ratio(2 * both, true + called, empty=0.0),
    }
    return {
        "accuracy": counts[:, 2].sum(axis=1) / total,
        "balanced_accuracy": mean_defined(recall, axis=1),
        "mcc": ratio(covariance, spread, empty=0.0),
        **{name: mean_defined(np.where(absent, np.nan, value), axis=1) for name, value in per_class.items()},
    }
