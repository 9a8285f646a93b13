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

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np

EXACT = (
    20_000  # units up to which every resample is scored exactly, and a mean resampled; beyond, it is taken for normal
)
FEW_BEYOND = 10
RESAMPLES = 1000  # of the interval of a mean
_CELLS = 1_000_000  # of a chunk of the weight matrix: 8 MB, and a few temporaries of that size

LIMITS = {"mcc": (-1, 1), "spearman": (-1, 1), "pearson": (-1, 1), "rmse": (0, np.inf), "r2": (-np.inf, 1)}  # else 0, 1

Scores = dict[str, np.ndarray]  # metric -> (resamples,)


@dataclass(frozen=True)
class Score:
    """A score and its 95 % interval; NaN where undefined."""

    value: float
    low: float
    high: float

    def __neg__(self) -> Score:
        """A difference as it is seen from the other side."""
        return Score(-self.value, -self.high, -self.low)

    def rounded(self) -> list[float | None]:
        """Value, low and high, as a manifest holds them."""
        return [None if math.isnan(value) else round(value, 6) for value in (self.value, self.low, self.high)]


class Scorer:
    """Scores of one set of predictions. Subclasses know the formulas, :func:`samples` knows how to draw."""

    n: int  # units
    width = 0  # of the widest array (width, resamples) that scoring makes

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


@dataclass(frozen=True)
class Sample:
    """A score and what it was in each resample, (resamples,); NaN where undefined."""

    value: float
    drawn: np.ndarray

    def less(self, other: Sample) -> Sample:
        """The difference to another score of the same resamples."""
        return Sample(self.value - other.value, self.drawn - other.drawn)

    def score(self) -> Score:
        """With the 95 % percentile interval."""
        defined = self.drawn[np.isfinite(self.drawn)]
        low, high = np.percentile(defined, [2.5, 97.5]) if len(defined) else (np.nan, np.nan)
        return Score(float(self.value), float(low), float(high))

    def p(self) -> float:
        """Two-sided p of a difference: how seldom resamples lie beyond zero (Davison & Hinkley 1997, ch. 4).

        Where fewer than ``FEW_BEYOND`` do, they cannot be counted well, and the tail of a normal distribution with the
        resamples' standard deviation takes their place: a thousand resamples can then tell 0.001 from 0.00001.
        """
        defined = self.drawn[np.isfinite(self.drawn)]
        if not len(defined) or not np.isfinite(self.value):
            return np.nan
        beyond = int(min(np.sum(defined <= 0), np.sum(defined >= 0)))
        counted = min(1.0, 2 * (beyond + 1) / (len(defined) + 1))
        spread = float(defined.std())
        if beyond >= FEW_BEYOND or spread == 0:
            return counted
        return min(counted, math.erfc(abs(self.value) / spread / math.sqrt(2)))


def bootstrap(scorer: Scorer, groups: np.ndarray | None, resamples: int, seed: int) -> dict[str, Score]:
    """Every score of ``scorer`` with its percentile interval; arguments as for :func:`samples`."""
    return {metric: sample.score() for metric, sample in samples([scorer], groups, resamples, seed)[0].items()}


def samples(scorers: Sequence[Scorer], groups: np.ndarray | None, resamples: int, seed: int) -> list[dict[str, Sample]]:
    """Every score of several scorers of the same units, on the same resamples.

    Args:
        groups: (n,) the protein that each residue belongs to, any whole numbers; None draws units.

    Raises:
        ValueError: groups of another shape.
    """
    points, n = [scorer.point() for scorer in scorers], scorers[0].n
    if groups is None:
        units, owner, sizes = _alike(scorers)
    else:
        groups = np.asarray(groups)
        if groups.shape != (n,):
            raise ValueError(f"groups (n,) wanted, got {groups.shape} for {n} units")
        names, owner = np.unique(groups, return_inverse=True)
        units, sizes = np.arange(n), np.ones(len(names))
    width = max(len(sizes), *(scorer.width for scorer in scorers))
    counted = [scorer.counted(units, owner, len(sizes)) for scorer in scorers] if resamples else []
    chunks = [
        [count(weights) for count in counted]
        for weights in (_draws(sizes, resamples, seed, max(1, _CELLS // width)) if resamples else ())
    ]
    whole = [count(sizes[None]) if n > EXACT else {} for count in counted] or [{}] * len(points)
    return [
        {
            metric: Sample(value, _shifted(metric, value, [chunk[number][metric] for chunk in chunks], whole[number]))
            for metric, value in point.items()
        }
        for number, point in enumerate(points)
    ]


def _shifted(metric: str, value: float, drawn: list[np.ndarray], whole: Scores) -> np.ndarray:
    """Resamples as one array, moved by how far their thresholds put the score of all units off."""
    drawn = np.concatenate(drawn) if drawn else np.empty(0)
    if metric in whole and np.isfinite(shift := value - float(whole[metric][0])) and shift:
        return np.clip(drawn + shift, *LIMITS.get(metric, (0, 1)))
    return drawn


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


def _alike(scorers: Sequence[Scorer]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Units that stand for all, the block of each, and how many there are of its kind."""
    n = scorers[0].n
    features = [scorer.features() for scorer in scorers] if n > EXACT else [None]
    if None not in features:
        kind = np.zeros(n, dtype=np.int64)
        for feature in chain(*features):
            kind = np.unique(kind * (int(feature.max()) + 1) + feature, return_inverse=True)[1]
        _, first, sizes = np.unique(kind, return_index=True, return_counts=True)
        if len(first) < n / 2:
            return first, np.arange(len(first)), sizes.astype(float)
    everyone = np.arange(n)
    return everyone, everyone, np.ones(n)


def counters(rows: np.ndarray, owner: np.ndarray, shape: tuple[int, int]):
    """Sparse matrix (counters, blocks): how many units of a block add to each counter."""
    from scipy.sparse import csr_matrix

    return csr_matrix((np.ones(len(rows)), (rows, owner)), shape=shape)


def tie_groups(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The order (n,) that sorts values upwards, and where in it each run of equal values starts."""
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    return order, np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))


def mean(values: np.ndarray, seed: int) -> Score:
    """Mean of the values that are not NaN, with the 95 % interval of their resamples; NaN bounds for one value."""
    values = values[np.isfinite(values)]
    if not len(values):
        return Score(math.nan, math.nan, math.nan)
    middle = float(values.mean())
    if len(values) < 2:
        return Score(middle, math.nan, math.nan)
    if len(values) > EXACT:
        half = 1.959964 * float(values.std(ddof=1)) / math.sqrt(len(values))
        return Score(middle, middle - half, middle + half)
    drawn = np.concatenate([weights @ values for weights in resample_weights(len(values), RESAMPLES, seed)]) / len(
        values
    )
    low, high = np.percentile(drawn, [2.5, 97.5])
    return Score(middle, float(low), float(high))


def ratio(numerator: np.ndarray, denominator: np.ndarray, empty: float = np.nan) -> np.ndarray:
    defined = denominator != 0
    return np.where(defined, numerator / np.where(defined, denominator, 1), empty)


def mean_defined(values: np.ndarray, axis: int) -> np.ndarray:
    """Mean over an axis of what is not NaN; NaN where nothing is."""
    return ratio(np.nansum(values, axis=axis), np.isfinite(values).sum(axis=axis))
