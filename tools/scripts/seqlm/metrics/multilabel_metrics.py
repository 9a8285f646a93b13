"""Scores where a sequence can have several labels at once, such as the compartments or the functions of a protein.

- Macro scores average over labels; a label that is never true (in the resample) takes no part, nor does one that is
  always true in AUROC. Micro scores pool all (sequence, label) cells.
- ``fmax`` is the protein-centric maximum F of CAFA: over thresholds 0, 0.01 … 1, the best harmonic mean of precision,
  averaged over the sequences with a label called, and recall, averaged over the sequences that have a label
  (Radivojac et al. 2013, 10.1038/nmeth.2340). It chooses its threshold on the very sequences that it scores.
- ``subset_accuracy`` is the share of sequences with all labels right, ``hamming_accuracy`` that of the cells.
- F1 is 0 when nothing was called, as in scikit-learn. What needs a true label is undefined without one: NaN.
- A truth that is not known, -1, counts nowhere: a label is judged by the sequences of which it is known, a sequence by
  the labels that are known of it.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .curves import Curve
from .names import MULTILABEL
from .resampling import Scorer, counters, mean_defined, ratio

THRESHOLDS = np.arange(101) / 100  # of fmax


class Labels(Scorer):
    """Scores of any number of labels a unit.

    Args:
        truth: (n, labels) 0 or 1, or -1 where that is not known.
        probabilities: (n, labels), independent of one another.
        called: (n, labels) 0 or 1.
        metrics: those wanted.

    Raises:
        ValueError: empty input, nothing known, shapes that disagree, a call that is not 0 or 1, NaN probabilities.
    """

    def __init__(self, truth, probabilities, called, metrics=MULTILABEL):
        truth, probabilities, called = np.asarray(truth), np.asarray(probabilities), np.asarray(called)
        if truth.ndim != 2 or not (truth.shape == probabilities.shape == called.shape) or not truth.size:
            raise ValueError(
                "truth, probabilities and calls (n, labels) wanted, got "
                f"{truth.shape}, {probabilities.shape} and {called.shape}"
            )
        if np.isnan(probabilities).any():
            raise ValueError("a probability is NaN")
        if not (np.isin(truth, (-1, 0, 1)).all() and np.isin(called, (0, 1)).all()):
            raise ValueError("truth and calls must be 0 or 1")
        self.n, self.labels = truth.shape
        self.known = truth >= 0
        if not self.known.any():
            raise ValueError("no truth is known")
        self.truth, self.called, self.metrics = truth == 1, called.astype(bool) & self.known, metrics
        self.curves, self.pooled, self.at_thresholds = [], None, None
        if {"macro_auroc", "macro_auprc"} & set(metrics):
            columns = zip(self.truth.T, probabilities.T, self.known.T, strict=True)
            self.curves = [_KnownCurve(*column) for column in columns]
        if "micro_auprc" in metrics:
            self.pooled = _KnownCurve(self.truth.ravel(), probabilities.ravel(), self.known.ravel())
        if "fmax" in metrics:
            self.at_thresholds = _shares(self.truth, probabilities, self.known)
        every = [*self.curves, *([self.pooled] if self.pooled else [])]
        self.width = max([3 * self.labels, 4 * len(THRESHOLDS), *(curve.bins for curve in every)])

    def point(self):
        everyone = np.arange(self.n), np.zeros(self.n, dtype=np.int64), 1
        areas = np.array([curve.areas() for curve in self.curves])[:, :, None] if self.curves else None
        pooled = np.array([self.pooled.areas()[1]]) if self.pooled else None
        shares = self.at_thresholds.sum(axis=0)[:, :, None] if self.at_thresholds is not None else None
        counts = self._tallies(*everyone).toarray()
        exact, total = np.array([float(self._right().sum())]), np.array([float(self.n)])
        scores = self._scores(counts, exact, total, np.array([float(self.known.sum())]), shares, areas, pooled)
        return {metric: float(value[0]) for metric, value in scores.items()}

    def counted(self, units, owner, blocks):
        tallies = self._tallies(units, owner, blocks)
        exact = np.bincount(owner, self._right()[units], blocks)
        sizes = np.bincount(owner, minlength=blocks).astype(float)
        known = np.bincount(owner, self.known[units].sum(axis=1), blocks)
        curves = [curve.counted(units, owner, blocks) for curve in self.curves]
        pooled = shares = None
        if self.pooled:
            cells = (units[:, None] * self.labels + np.arange(self.labels)).ravel()
            pooled = self.pooled.counted(cells, np.repeat(owner, self.labels), blocks)
        if self.at_thresholds is not None:
            flat = self.at_thresholds[units].reshape(len(units), -1)
            summed = flat if len(units) == blocks else np.zeros((blocks, flat.shape[1]))
            if summed is not flat:
                np.add.at(summed, owner, flat)
            shares = summed.T  # (4 * thresholds, blocks)

        def score(weights):
            turned = weights.T
            return self._scores(
                tallies @ turned,
                weights @ exact,
                weights @ sizes,
                weights @ known,
                (shares @ turned).reshape(4, len(THRESHOLDS), -1) if shares is not None else None,
                np.array([areas(weights) for areas in curves]),
                pooled(weights)[1] if pooled else None,
            )

        return score

    def _right(self) -> np.ndarray:
        """(n,) whether all labels of a unit are right."""
        return (self.truth == self.called).all(axis=1)  # what is not known is neither true nor called

    def _tallies(self, units, owner, blocks):
        """Sparse (3 * labels, blocks): units that truly have each label, are called it, and both."""
        truth, called = self.truth[units], self.called[units]
        rows, owners = [], []
        for place, cells in enumerate((truth, called, truth & called)):
            unit, label = np.nonzero(cells)
            rows.append(place * self.labels + label)
            owners.append(owner[unit])
        return counters(np.concatenate(rows), np.concatenate(owners), (3 * self.labels, blocks))

    def _scores(self, counts, exact, total, known, shares, areas, pooled):
        """All (resamples,) in the last axis: ``counts`` (3 * labels, …), ``shares`` (4, thresholds, …), ``areas``
        (labels, 2, …), ``pooled``, ``exact``, ``total`` and ``known`` cells (…)."""
        true, called, both = counts.reshape(3, self.labels, -1)
        f1 = np.where(true == 0, np.nan, ratio(2 * both, true + called, empty=0.0))
        wrong = (true + called - 2 * both).sum(axis=0)
        result = {
            "macro_f1": mean_defined(f1, axis=0),
            "micro_f1": ratio(2 * both.sum(axis=0), (true + called).sum(axis=0)),
            "subset_accuracy": exact / total,
            "hamming_accuracy": 1 - wrong / known,
        }
        if shares is not None:
            precision, some_called, recall, some_true = shares
            precision, recall = ratio(precision, some_called, empty=0.0), ratio(recall, some_true)
            result["fmax"] = ratio(2 * precision * recall, precision + recall, empty=0.0).max(axis=0)
        if self.curves:
            result["macro_auroc"], result["macro_auprc"] = mean_defined(areas, axis=0)
        if self.pooled:
            result["micro_auprc"] = pooled
        return {metric: result[metric] for metric in self.metrics}


class _KnownCurve:
    """:class:`Curve` of the units (n,) of which the truth is known; undefined where there is none."""

    def __init__(self, is_positive: np.ndarray, scores: np.ndarray, known: np.ndarray):
        self.known, self.place = known, np.cumsum(known) - 1
        self.curve = Curve(is_positive[known], scores[known]) if known.any() else None
        self.bins = self.curve.bins if self.curve else 0

    def areas(self) -> tuple[float, float]:
        return self.curve.areas() if self.curve else (np.nan, np.nan)

    def counted(self, units: np.ndarray, owner: np.ndarray, blocks: int) -> Callable:
        if not self.curve:
            return lambda weights: (np.full(len(weights), np.nan),) * 2
        known = self.known[units]
        return self.curve.counted(self.place[units[known]], owner[known], blocks)


def _shares(truth: np.ndarray, probabilities: np.ndarray, known: np.ndarray) -> np.ndarray:
    """(n, 4, thresholds): precision of a unit, whether a label is called, its recall, whether it has a label."""
    result = np.zeros((len(truth), 4, len(THRESHOLDS)))
    has = truth.sum(axis=1)
    result[:, 3] = (has > 0)[:, None]
    for place, threshold in enumerate(THRESHOLDS):
        above = (probabilities >= threshold) & known
        called, right = above.sum(axis=1), (above & truth).sum(axis=1)
        result[:, 0, place] = ratio(right, called, empty=0.0)
        result[:, 1, place] = called > 0
        result[:, 2, place] = ratio(right, has, empty=0.0)
    return result
