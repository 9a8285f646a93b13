"""Scores of numbers: correlations, root mean square error and R².

A correlation with predictions that are all the same is 0: they tell nothing. Correlations and R² with constant truth
are undefined: NaN, and such a resample is left out of the interval.
"""

from __future__ import annotations

import numpy as np

from .names import REGRESSION
from .resampling import EXACT, Scorer, counters, ratio, tie_groups

BINS = 256  # of ranks, each way, for Spearman's correlation of resamples of more units than EXACT


class Values(Scorer):
    """Scores of one number a unit.

    Spearman is Pearson's correlation of mid-ranks (ties share their mean rank); R² is 1 - Σ(t-p)² / Σ(t-mean t)².

    Args:
        truth, predicted: (n,) measured and predicted values.
        metrics: those wanted.

    Raises:
        ValueError: empty input, shapes that disagree, NaN or infinite values.
    """

    def __init__(self, truth, predicted, metrics=REGRESSION):
        truth, predicted = np.asarray(truth, dtype=float), np.asarray(predicted, dtype=float)
        if truth.ndim != 1 or truth.shape != predicted.shape or not len(truth):
            raise ValueError(f"truth (n,) and predicted (n,) wanted, got {truth.shape} and {predicted.shape}")
        if not (np.isfinite(truth).all() and np.isfinite(predicted).all()):
            raise ValueError("a measured or predicted value is NaN or infinite")
        self.truth, self.predicted, self.metrics, self.n = truth, predicted, metrics, len(truth)
        self.ranked = "spearman" in metrics
        self.exact = self.n <= EXACT
        self.width = 0 if not self.ranked else self.n if self.exact else BINS * BINS
        # Moments about the median lose no digits to a large offset, and are exactly 0 for constant values.
        t, p = truth - np.median(truth), predicted - np.median(predicted)
        self.columns = np.stack([t, t * t, p, p * p, t * p, (truth - predicted) ** 2], axis=1)  # (n, 6)

    def point(self):
        everyone = np.arange(self.n)
        moments = self._moments(self.columns.sum(axis=0, keepdims=True), np.array([float(self.n)]))
        if self.ranked:
            moments["spearman"] = self._exact_ranks(everyone)(np.ones((1, self.n)))
        return {metric: float(moments[metric][0]) for metric in self.metrics}

    def counted(self, units, owner, blocks):
        sums = np.stack([np.bincount(owner, column, blocks) for column in self.columns[units].T], axis=1)  # (blocks, 6)
        sizes = np.bincount(owner, minlength=blocks).astype(float)
        spearman = None
        if self.ranked:
            spearman = self._exact_ranks(owner) if self.exact else self._binned_ranks(units, owner, blocks)

        def score(weights):
            result = self._moments(weights @ sums, weights @ sizes)
            if spearman:
                result["spearman"] = spearman(weights)
            return {metric: result[metric] for metric in self.metrics}

        return score

    @staticmethod
    def _moments(sums: np.ndarray, total: np.ndarray) -> dict[str, np.ndarray]:
        """From sums (resamples, 6) of the columns over ``total`` (resamples,) units."""
        mean_t, mean_tt, mean_p, mean_pp, mean_tp, squared_error = (sums / total[:, None]).T
        variance_t, variance_p = _variance(mean_tt, mean_t), _variance(mean_pp, mean_p)
        return {
            "pearson": _correlation(mean_tp - mean_t * mean_p, variance_t, variance_p),
            "rmse": np.sqrt(squared_error),
            "r2": np.round(1 - ratio(squared_error, variance_t), 12),  # of the mean it is 0, up to rounding
        }

    def _exact_ranks(self, owner):
        groups = [tie_groups(values) for values in (self.truth, self.predicted)]

        def spearman(weights):
            of_units = weights[:, owner]
            r, s = (_centred_ranks(of_units, *group) for group in groups)
            return _correlation(*((of_units * a * b).sum(axis=1) for a, b in ((r, s), (r, r), (s, s))))

        return spearman

    def _binned_ranks(self, units, owner, blocks):
        """Ranks in ``BINS`` steps of equal size each way, and how many units have each pair of ranks."""
        first, second = (_quantile_bins(values)[units] for values in (self.truth, self.predicted))
        joint = counters(first * BINS + second, owner, (BINS * BINS, blocks))

        def spearman(weights):
            counts = (joint @ weights.T).T.reshape(len(weights), BINS, BINS)
            of_first, of_second = counts.sum(axis=2), counts.sum(axis=1)
            r, s = _middles(of_first), _middles(of_second)  # (resamples, BINS)
            covariance = np.einsum("ri,rij,rj->r", r, counts, s, optimize=True)
            return _correlation(covariance, (of_first * r * r).sum(axis=1), (of_second * s * s).sum(axis=1))

        return spearman


def _variance(mean_of_squares: np.ndarray, mean: np.ndarray) -> np.ndarray:
    variance = mean_of_squares - mean**2
    return np.where(variance > 1e-12 * mean_of_squares, variance, 0.0)  # less is rounding, not variance


def _correlation(covariance, variance_of_truth, variance_of_predictions) -> np.ndarray:
    spread = np.sqrt(variance_of_truth * variance_of_predictions)
    return np.where(variance_of_truth > 0, ratio(covariance, spread, empty=0.0).clip(-1, 1), np.nan)


def _centred_ranks(weights, order, starts) -> np.ndarray:
    """Mid-ranks (resamples, n) within each resample, less their mean; a unit drawn twice is a tie of two."""
    in_group = np.add.reduceat(weights[:, order], starts, axis=1)
    ranks = np.empty_like(weights)
    ranks[:, order] = np.repeat(_middles(in_group), np.diff(np.append(starts, len(order))), axis=1)
    return ranks


def _middles(counts: np.ndarray) -> np.ndarray:
    """Mid-rank of each tie of ``counts`` (resamples, ties), upwards, less the mean rank."""
    up_to = counts.cumsum(axis=1)
    return up_to - counts / 2 - up_to[:, -1:] / 2  # the rank is up_to - (counts - 1) / 2, the mean (n + 1) / 2


def _quantile_bins(values: np.ndarray) -> np.ndarray:
    """(n,) bin of each value, upwards, equal values in one."""
    ordered = np.sort(values)
    edges = np.unique(ordered[np.linspace(0, len(values) - 1, BINS + 1).astype(int)[1:-1]])
    return np.searchsorted(edges, values, side="right")
