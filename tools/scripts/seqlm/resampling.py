"""Bootstrap intervals: what a resample draws, and scores of many resamples at once.

A resample is a row of weights: how often each block was drawn. A block is what is independent of the rest: one
sequence, or with ``groups`` all residues of one protein, since they share its fold, its family and its luck (Field &
Welsh 2007, 10.1111/j.1467-9868.2007.00593.x). A score is then a function of counts, and the counts of all resamples are
one product of a sparse matrix (counters, blocks) with the weights.

Up to ``EXACT`` units every score of a resample is exact. Beyond, curves are read at some thousand thresholds, and units
that are alike in all that the scores look at are drawn together from a multinomial distribution, which is the same as
drawing them one by one. The score itself is exact at any size, and resamples are shifted by what the thresholds cost.

Sources: Efron & Tibshirani (1993) An Introduction to the Bootstrap, ch. 13 (percentile interval), 10.4 (paired
differences).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

EXACT = 20_000  # units up to which every resample is scored exactly
_CELLS = 1_000_000  # of a chunk of the weight matrix: 8 MB, and a few temporaries of that size

LIMITS = {"mcc": (-1, 1), "spearman": (-1, 1), "pearson": (-1, 1), "rmse": (0, np.inf), "r2": (-np.inf, 1)}  # else 0, 1

Scores = dict[str, np.ndarray]  # metric -> (resamples,)


@dataclass(frozen=True)
class Score:
    """A score and its 95 % interval; NaN where undefined."""

    value: float
    low: float
    high: float


class Scorer:
    """Scores of one set of predictions. Subclasses know the formulas, :func:`bootstrap` knows how to draw."""

    n: int  # units
    width = 0  # of the widest array (width, resamples) that scoring makes
    limited = True  # scores stay within LIMITS

    def point(self) -> dict[str, float]:
        """The scores of all units, each counted once."""
        raise NotImplementedError

    def counted(self, units: np.ndarray, owner: np.ndarray, blocks: int) -> Callable[[np.ndarray], Scores]:
        """Prepare to score resamples of some units.

        Args:
            units: (m,) which ones.
            owner: (m,) the block of each, below ``blocks``.

        Returns:
            a function of weights (resamples, blocks).
        """
        raise NotImplementedError

    def features(self) -> list[np.ndarray] | None:
        """Whole numbers, (n,) each, that are all that :meth:`counted` looks at; None where every unit is its own."""
        return None


class Difference(Scorer):
    """One metric of ``first`` less that of ``second``, on the same resamples."""

    limited = False

    def __init__(self, metric: str, first: Scorer, second: Scorer):
        self.metric, self.first, self.second = metric, first, second
        self.n, self.width = first.n, max(first.width, second.width)

    def point(self) -> dict[str, float]:
        return {self.metric: self.first.point()[self.metric] - self.second.point()[self.metric]}

    def counted(self, units, owner, blocks):
        one, other = (scorer.counted(units, owner, blocks) for scorer in (self.first, self.second))
        return lambda weights: {self.metric: one(weights)[self.metric] - other(weights)[self.metric]}

    def features(self):
        both = self.first.features(), self.second.features()
        return None if None in both else both[0] + both[1]


def bootstrap(scorer: Scorer, groups: np.ndarray | None, resamples: int, seed: int) -> dict[str, Score]:
    """Every score of ``scorer`` with its percentile interval.

    Args:
        groups: (n,) the protein that each residue belongs to, any whole numbers; None draws units.

    Raises:
        ValueError: groups of another shape.
    """
    values, n = scorer.point(), scorer.n
    if not resamples:
        return {metric: Score(float(value), np.nan, np.nan) for metric, value in values.items()}
    if groups is None:
        units, owner, sizes = _alike(scorer)
    else:
        groups = np.asarray(groups)
        if groups.shape != (n,):
            raise ValueError(f"groups (n,) wanted, got {groups.shape} for {n} units")
        names, owner = np.unique(groups, return_inverse=True)
        units, sizes = np.arange(n), np.ones(len(names))
    count = scorer.counted(units, owner, len(sizes))
    step = max(1, _CELLS // max(len(sizes), scorer.width))
    rows = _draws(sizes, resamples, seed, step)
    drawn = [count(weights) for weights in rows]
    whole = count(sizes[None]) if n > EXACT else {}
    return {
        metric: _interval(
            value,
            np.concatenate([chunk[metric] for chunk in drawn]),
            float(whole[metric][0]) if metric in whole else value,
            LIMITS.get(metric, (0, 1)) if scorer.limited else (-np.inf, np.inf),
        )
        for metric, value in values.items()
    }


def resample_weights(n: int, resamples: int, seed: int, step: int = 0) -> Iterator[np.ndarray]:
    """Yield chunks (rows, n) of how often each of n blocks was drawn; every row sums to n."""
    generator = np.random.default_rng(seed)
    step = step or max(1, _CELLS // n)
    for start in range(0, resamples, step):
        rows = min(step, resamples - start)
        drawn = generator.integers(0, n, size=(rows, n))
        drawn += n * np.arange(rows)[:, None]  # one bincount for all rows
        yield np.bincount(drawn.ravel(), minlength=rows * n).reshape(rows, n).astype(float)


def _draws(sizes: np.ndarray, resamples: int, seed: int, step: int) -> Iterator[np.ndarray]:
    """Weights of blocks that stand for ``sizes`` units each; blocks of 1 are drawn one by one."""
    n = int(sizes.sum())
    if len(sizes) == n:
        yield from resample_weights(n, resamples, seed, step)
        return
    generator = np.random.default_rng(seed)
    for start in range(0, resamples, step):
        yield generator.multinomial(n, sizes / n, size=min(step, resamples - start)).astype(float)


def _alike(scorer: Scorer) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Units that stand for all, the block of each, and how many there are of its kind."""
    everyone = np.arange(scorer.n)
    features = scorer.features() if scorer.n > EXACT else None
    if features:
        kind = np.zeros(scorer.n, dtype=np.int64)
        for feature in features:
            kind = np.unique(kind * (int(feature.max()) + 1) + feature, return_inverse=True)[1]
        _, first, sizes = np.unique(kind, return_index=True, return_counts=True)
        if len(first) < scorer.n / 2:
            return first, np.arange(len(first)), sizes.astype(float)
    return everyone, everyone, np.ones(scorer.n)


def _interval(value: float, sample: np.ndarray, whole: float, limits: tuple[float, float]) -> Score:
    sample = sample[np.isfinite(sample)]
    if not len(sample):
        return Score(float(value), np.nan, np.nan)
    low, high = np.percentile(sample, [2.5, 97.5])
    if whole != value and np.isfinite(value - whole):
        low, high = np.clip([low + value - whole, high + value - whole], *limits)
    return Score(float(value), float(low), float(high))


def counters(rows: np.ndarray, owner: np.ndarray, shape: tuple[int, int]):
    """Sparse matrix (counters, blocks): how many units of a block add to each counter."""
    from scipy.sparse import csr_matrix

    return csr_matrix((np.ones(len(rows)), (rows, owner)), shape=shape)


def tie_groups(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The order (n,) that sorts values upwards, and where in it each run of equal values starts."""
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    return order, np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))


def ratio(numerator: np.ndarray, denominator: np.ndarray, empty: float = np.nan) -> np.ndarray:
    defined = denominator != 0
    return np.where(defined, numerator / np.where(defined, denominator, 1), empty)


def mean_defined(values: np.ndarray, axis: int) -> np.ndarray:
    """Mean over an axis of what is not NaN; NaN where nothing is."""
    return ratio(np.nansum(values, axis=axis), np.isfinite(values).sum(axis=axis))
