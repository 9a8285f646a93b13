"""Tests of whether two models that were judged on the same units differ.

With ``groups`` (the protein of each residue) they take into account that residues of one protein go together; without,
every unit is taken to be independent of the rest.

Sources: DeLong et al. (1988) 10.2307/2531595; Sun & Xu (2014) 10.1109/LSP.2014.2337313 (fast by mid-ranks); Obuchowski
(1997) 10.2307/2533958 (areas in clusters); McNemar (1947) 10.1007/BF02295996; Obuchowski (1998)
10.1002/(SICI)1097-0258(19980715)17:13<1495::AID-SIM863>3.0.CO;2-I (McNemar in clusters); Steiger (1980)
10.1037/0033-2909.87.2.245; Holm (1979) https://www.jstor.org/stable/4615733.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from .resampling import Score, tie_groups

FEW_DISCORDANT = 25  # below, McNemar's test is exact
Z95 = 1.959964


@dataclass(frozen=True)
class Comparison:
    """``difference`` is first less second with its 95 % interval; ``p`` is two-sided. NaN where undefined."""

    difference: Score
    p: float


@dataclass(frozen=True)
class Discordance:
    """Units that only one of the two models calls rightly, and how likely such a lopsided split is by chance."""

    first_only: int
    second_only: int
    p: float


def delong(truth: np.ndarray, first: np.ndarray, second: np.ndarray, groups: np.ndarray | None = None) -> Comparison:
    """Difference of two AUROCs of the same units, in O(n log n).

    Args:
        truth: (n,) 0 or 1.
        first, second: (n,) scores, higher meaning more likely 1.
        groups: (n,) the protein of each residue.

    Returns:
        NaN interval and p with fewer than two positives or negatives (or proteins that have them).
    """
    truth = np.asarray(truth).astype(bool)
    of_first, of_second = (_placements(truth, np.asarray(scores, dtype=float)) for scores in (first, second))
    if of_first is None:
        return Comparison(Score(np.nan, np.nan, np.nan), np.nan)
    # (n,): of a positive the share of negatives below it, of a negative the share of positives above it
    gained = of_first - of_second
    difference = float(gained[truth].mean())
    variance = _variance_of_mean(truth, gained - difference, groups)
    return Comparison(_normal_interval(difference, variance), _normal_p(difference, variance))


def _placements(truth: np.ndarray, scores: np.ndarray) -> np.ndarray | None:
    positives, negatives = int(truth.sum()), int((~truth).sum())
    if not positives or not negatives:
        return None
    share_below = (_midranks(scores)[truth] - _midranks(scores[truth])) / negatives
    share_above = 1 - (_midranks(scores)[~truth] - _midranks(scores[~truth])) / positives
    placements = np.empty(len(truth))
    placements[truth], placements[~truth] = share_below, share_above
    return placements


def _midranks(values: np.ndarray) -> np.ndarray:
    order, starts = tie_groups(values)
    ends = np.append(starts[1:], len(values))
    ranks = np.empty(len(values))
    ranks[order] = np.repeat((starts + ends + 1) / 2, ends - starts)
    return ranks


def _variance_of_mean(truth: np.ndarray, centred: np.ndarray, groups: np.ndarray | None) -> float:
    """Variance of a difference of areas from its centred placements; Obuchowski's with groups, else DeLong's."""
    sides = (truth, ~truth)
    if groups is None:
        if min(side.sum() for side in sides) < 2:
            return np.nan
        return float(sum(centred[side].var(ddof=1) / side.sum() for side in sides))
    owner = np.unique(groups, return_inverse=True)[1]
    proteins = owner.max() + 1
    sums = [np.bincount(owner[side], centred[side], proteins) for side in sides]
    with_any = [len(np.unique(owner[side])) for side in sides]
    if min(with_any) < 2:
        return np.nan
    variance = sum(
        count / (count - 1) * np.sum(total**2) / side.sum() ** 2
        for side, total, count in zip(sides, sums, with_any, strict=True)
    )
    variance += 2 * proteins / (proteins - 1) * np.sum(sums[0] * sums[1]) / (truth.sum() * (~truth).sum())
    return float(max(variance, 0.0))


def mcnemar(
    truth: np.ndarray, called_first: np.ndarray, called_second: np.ndarray, groups: np.ndarray | None = None
) -> Discordance:
    """Whether one model calls more units rightly than the other.

    The exact binomial test with fewer than ``FEW_DISCORDANT`` units that only one model has right, else chi-square with
    continuity correction. With groups, the chi-square of Obuchowski (1998) on the differences of each protein.

    Args:
        truth, called_first, called_second: (n,) classes; for several labels (n, labels), where all that are known
            (a truth of -1 is not) must be right.
    """
    truth = np.asarray(truth)
    first, second = ((np.asarray(called) == truth) for called in (called_first, called_second))
    if truth.ndim == 2:
        first, second = ((right | (truth < 0)).all(axis=1) for right in (first, second))
    gained = first.astype(int) - second.astype(int)
    first_only, second_only = int((gained > 0).sum()), int((gained < 0).sum())
    discordant = first_only + second_only
    if not discordant:
        p = 1.0
    elif groups is not None:
        names, owner = np.unique(groups, return_inverse=True)
        by_protein = np.bincount(owner, gained)
        squares = float(np.sum(by_protein**2))
        shrunk = (len(names) - 1) / len(names)
        p = _chi_square_p(shrunk * by_protein.sum() ** 2 / squares) if squares else 1.0
    elif discordant < FEW_DISCORDANT:
        tail = sum(math.comb(discordant, k) for k in range(min(first_only, second_only) + 1)) / 2**discordant
        p = min(1.0, 2 * tail)
    else:
        p = _chi_square_p((abs(first_only - second_only) - 1) ** 2 / discordant if first_only != second_only else 0.0)
    return Discordance(first_only, second_only, float(p))


def steiger(truth: np.ndarray, first: np.ndarray, second: np.ndarray) -> float:
    """Two-sided p of Steiger's Z: whether two predictions have different Pearson correlations with the same truth.

    Args:
        truth, first, second: (n,) values.

    Returns:
        NaN with fewer than four units or where a column is constant.
    """
    columns = np.stack([np.asarray(values, dtype=float) for values in (truth, first, second)])
    if columns.shape[1] < 4 or np.any(columns.std(axis=1) == 0):
        return math.nan
    matrix = np.corrcoef(columns).clip(-1, 1)
    with_first, with_second, between = matrix[0, 1], matrix[0, 2], matrix[1, 2]
    if abs(with_first - with_second) < 1e-12:
        return 1.0
    if max(abs(with_first), abs(with_second)) >= 1 or between >= 1:
        return math.nan
    mean = (with_first + with_second) / 2
    covariance = (between * (1 - 2 * mean**2) - mean**2 / 2 * (1 - 2 * mean**2 - between**2)) / (1 - mean**2) ** 2
    spread = math.sqrt(max(2 - 2 * covariance, 0) / (columns.shape[1] - 3))
    return _normal_p(math.atanh(with_first) - math.atanh(with_second), spread**2)


def holm(p: np.ndarray) -> np.ndarray:
    """P values (n,) adjusted for how many there are, after Holm; NaN stay NaN and do not count."""
    p = np.asarray(p, dtype=float)
    adjusted = np.full(len(p), np.nan)
    defined = np.flatnonzero(np.isfinite(p))
    order = defined[np.argsort(p[defined], kind="stable")]
    steps = p[order] * np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1) if len(order) else []
    return adjusted


def _normal_interval(value: float, variance: float) -> Score:
    half = Z95 * math.sqrt(variance)
    return Score(value, value - half, value + half)


def _normal_p(value: float, variance: float) -> float:
    if math.isnan(variance):
        return math.nan
    if variance == 0:
        return 1.0 if value == 0 else 0.0
    return math.erfc(abs(value) / math.sqrt(2 * variance))


def _chi_square_p(statistic: float) -> float:
    """Upper tail of chi-square with one degree of freedom."""
    return math.erfc(math.sqrt(statistic / 2))


def share_interval(found: int, of: int) -> tuple[float, float]:
    """95 % interval of a share (Wilson 1927, https://doi.org/10.1080/01621459.1927.10502953)."""
    middle = (found + Z95**2 / 2) / (of + Z95**2)
    half = Z95 / (of + Z95**2) * (found * (of - found) / of + Z95**2 / 4) ** 0.5
    return (middle - half if found else 0.0), (middle + half if found < of else 1.0)
