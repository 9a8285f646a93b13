"""Areas under the ROC and the precision–recall curve, of many resamples at once.

AUROC is the share of (positive, negative) pairs in the right order, ties counting half; AUPRC is average precision,
Σ (R_k - R_k-1) P_k over the distinct scores k, as in scikit-learn and not interpolated.

Sources: Fawcett (2006) 10.1016/j.patrec.2005.10.010 (ROC with ties); Davis & Goadrich (2006) 10.1145/1143844.1143874.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .resampling import EXACT, counters, ratio, tie_groups

BINS = 2_000  # thresholds at which the curves of resamples are read when there are more units than EXACT


class Curve:
    """Scores of one class, as whole numbers: the place of each in the order from the highest.

    Args:
        is_positive: (n,) bool.
        scores: (n,) where higher means more likely positive.
    """

    def __init__(self, is_positive: np.ndarray, scores: np.ndarray):
        self.is_positive = is_positive
        order, starts = tie_groups(-scores)
        self.levels = len(starts)
        self.level = np.empty(len(scores), dtype=np.int64)
        self.level[order] = np.repeat(np.arange(self.levels), np.diff(np.append(starts, len(order))))
        self.bin, self.bins = self.level, self.levels
        if len(scores) > EXACT and self.levels > BINS:
            self.bin, self.bins = self._thinned(order)

    def _thinned(self, order: np.ndarray) -> tuple[np.ndarray, int]:
        """Levels put together, so that each bin has as many units or as many positives as the next.

        Precision changes fastest where the first positives are, so they get half of the thresholds.
        """
        last = []  # level that a bin ends with
        for chosen in (order, order[self.is_positive[order]]):
            if len(chosen):
                places = np.linspace(0, len(chosen) - 1, BINS // 2).astype(int)
                last.append(self.level[chosen[places]])
        last = np.unique(np.concatenate([*last, [self.levels - 1]]))
        return np.searchsorted(last, self.level), len(last)

    def steps(self) -> tuple[np.ndarray, np.ndarray]:
        """Positives found and units called at every distinct score, from none called on: (levels + 1,) each."""
        found = np.bincount(self.level[self.is_positive], minlength=self.levels)
        called = np.bincount(self.level, minlength=self.levels)
        return np.append(0, found.cumsum()), np.append(0, called.cumsum())

    def areas(self) -> tuple[float, float]:
        """AUROC and AUPRC, exact."""
        everyone = np.bincount(self.level, minlength=self.levels)[:, None]
        positives = np.bincount(self.level[self.is_positive], minlength=self.levels)[:, None]
        return tuple(float(area[0]) for area in _areas(everyone.astype(float), positives.astype(float)))

    def counted(self, units: np.ndarray, owner: np.ndarray, blocks: int) -> Callable:
        """Weights (resamples, blocks) -> AUROC and AUPRC, (resamples,) each."""
        bins, is_positive = self.bin[units], self.is_positive[units]
        shape = (self.bins, blocks)
        everyone = counters(bins, owner, shape)
        positives = counters(bins[is_positive], owner[is_positive], shape)
        return lambda weights: _areas(everyone @ weights.T, positives @ weights.T)


def _areas(everyone: np.ndarray, positives: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Areas from how many units, and how many positives, have each score: (scores, resamples), from the highest."""
    found, called = positives.cumsum(axis=0), everyone.cumsum(axis=0)
    all_positives = found[-1]
    all_negatives = called[-1] - all_positives
    right_pairs = ((everyone - positives) * (found - positives / 2)).sum(axis=0)
    precision_sum = (positives * ratio(found, called, empty=0.0)).sum(axis=0)
    return ratio(right_pairs, all_positives * all_negatives), ratio(precision_sum, all_positives)
