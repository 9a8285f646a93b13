"""Whether probabilities can be taken at their word."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Calibration:
    """Bins of stated probability that hold any sequence, (bins,) each and ``width`` wide, and two scores of them all.

    ``observed`` is the share that came true, ``low`` and ``high`` its 95 % Wilson interval (Wilson 1927,
    10.1080/01621459.1927.10502953).
    """

    middle: np.ndarray
    width: float
    counts: np.ndarray
    stated: np.ndarray
    observed: np.ndarray
    low: np.ndarray
    high: np.ndarray
    brier: float
    ece: float


def calibration(
    truth: np.ndarray, probabilities: np.ndarray, *, positive: int | None = None, bins: int | None = None
) -> Calibration:
    """Compare what was stated with what came true, in bins: of sequences given 0.8, 8 in 10 should be right.

    With two classes it is the probability of the positive one, with more that of the class called (Guo et al. 2017,
    arXiv:1706.04599). Brier score (Brier 1950): mean squared difference from what came true, summed over the classes
    where there are more than two. ECE: mean of |observed - stated| over the bins, weighted by their counts.

    Args:
        truth: (n,) class indices.
        probabilities: (n, classes).
        positive: index of the positive class of two; the second unless told.
        bins: of equal width between 0 and 1; without a number ten, or five for fewer than 200 sequences.
    """
    truth, probabilities = np.asarray(truth), np.asarray(probabilities, dtype=float)
    bins = bins or (10 if len(truth) >= 200 else 5)
    if probabilities.shape[1] == 2:
        positive = 1 if positive is None else positive
        stated, right = probabilities[:, positive], (truth == positive).astype(float)
        brier = np.mean((stated - right) ** 2)
    else:
        stated, right = probabilities.max(axis=1), (probabilities.argmax(axis=1) == truth).astype(float)
        brier = np.mean(np.sum((probabilities - np.eye(probabilities.shape[1])[truth]) ** 2, axis=1))
    place = np.minimum((stated * bins).astype(int), bins - 1)
    counts = np.bincount(place, minlength=bins)
    filled = np.flatnonzero(counts)
    n = counts[filled]
    mean_stated = np.bincount(place, stated, bins)[filled] / n
    observed = np.bincount(place, right, bins)[filled] / n
    low, high = wilson(observed, n)
    return Calibration(
        middle=(filled + 0.5) / bins,
        width=1 / bins,
        counts=n,
        stated=mean_stated,
        observed=observed,
        low=low,
        high=high,
        brier=float(brier),
        ece=float(np.sum(n * np.abs(observed - mean_stated)) / len(truth)),
    )


def wilson(share: np.ndarray, n: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The 95 % Wilson interval of shares of ``n``."""
    z2 = 1.959964**2
    centre = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = np.sqrt(z2 * (share * (1 - share) / n + z2 / (4 * n**2))) / (1 + z2 / n)
    return centre - half, centre + half
