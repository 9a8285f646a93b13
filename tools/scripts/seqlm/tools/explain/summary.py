"""What was found: maps, and whether they are more than chance."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from scipy import stats

from seqlm.data.records import Rules
from seqlm.metrics.resampling import Score, mean

from .deletion import RANDOM_ORDERS
from .held_out import HeldOut

FEWEST = 10  # sequences of which a mean has an interval that says anything
FEWEST_TOKENS = 5  # of a rank correlation
ALIKE = 0.5  # rank correlation from which a map is called that of shuffled weights

MORE, CHANCE, UNLEARNT, SAME, FEW, NO_BETTER = "more", "chance", "unlearnt", "same", "few", "no better"


@dataclass
class Explained:
    """One sequence.

    Attributes:
        values: (tokens,) of the map; positive ones speak for the prediction.
        number, hidden: what is explained, of the sequence and of one of which everything is hidden.
        gap: how much integrated gradients miss of the difference of the two; NaN of other methods.
        shuffled: (tokens,) values of a model with shuffled weights, the first one, where that was asked.
        effects: (tokens, letters) what each substitution changes, of in-silico mutagenesis.
    """

    item: object
    values: np.ndarray
    number: float
    hidden: float
    gap: float
    shuffled: np.ndarray | None = None
    effects: np.ndarray | None = None


@dataclass
class Checks:
    """Whether the maps are more than chance, on some of the sequences.

    Attributes:
        curves: (sequences, orders, shares): by the map, random orders, by the map of shuffled weights.
        gains: (sequences,) how far the curve lies below random ones, on average over the shares.
        of_shuffled: (models, sequences) the same of models with shuffled weights and their own maps.
        telling: what the model makes of the sequences themselves, see :meth:`.function.Function.telling`.
        telling_shuffled: (models,) the same of shuffled weights.
        alike: (models, sequences) rank correlation of the sizes of the values with those of shuffled weights.
        held_out: how well the model does on what it did not learn from, where that is known.
    """

    curves: np.ndarray
    gains: np.ndarray
    of_shuffled: np.ndarray
    alike: np.ndarray
    telling: float
    telling_shuffled: np.ndarray
    seed: int
    held_out: HeldOut | None = None

    @property
    def gain(self) -> Score:
        return mean(self.gains, self.seed)

    @property
    def by_shuffled(self) -> Score:
        """How much more is gained by the map than by that of shuffled weights."""
        inner = self.curves[:, :, 1:-1].mean(-1)
        return mean(inner[:, 1 + RANDOM_ORDERS] - inner[:, 0], self.seed)

    @property
    def likeness(self) -> Score:
        """Mean rank correlation with the maps of shuffled weights."""
        known = np.isfinite(self.alike)
        sums = np.where(known, self.alike, 0).sum(0)
        return mean(np.where(known.any(0), sums / np.maximum(known.sum(0), 1), np.nan), self.seed)

    @property
    def bound(self) -> float:
        """What one more model with shuffled weights makes of the sequences at the most, 19 times in 20."""
        return bound_of(self.telling_shuffled)

    @property
    def outcome(self) -> str:
        """``more`` than chance, or why not."""
        if len(self.gains) < FEWEST:
            return FEW
        if not self.gain.low > 0:
            return CHANCE
        if self.held_out and not self.held_out.better:
            return NO_BETTER
        if self.likeness.low > ALIKE:
            return SAME
        return MORE if self.telling > self.bound else UNLEARNT


@dataclass
class Summary:
    """All of one run."""

    explained: list[Explained]
    checks: Checks
    rules: Rules = field(default_factory=Rules)

    def ordered(self) -> list[Explained]:
        """Those of the highest number first."""
        return sorted(self.explained, key=lambda one: -one.number)


def bound_of(each: np.ndarray) -> float:
    """What one more number like these (n,) is at the most, 19 times in 20: the upper end of the one-sided prediction
    interval of a normal distribution."""
    wide = stats.t.ppf(0.95, len(each) - 1) * math.sqrt(1 + 1 / len(each))
    return float(each.mean() + wide * each.std(ddof=1))


def likeness(values: np.ndarray, others: np.ndarray) -> float:
    """Spearman correlation of the sizes of values (tokens,); NaN where it is not defined."""
    sizes = np.abs(values), np.abs(others)
    if len(values) < FEWEST_TOKENS or any(np.ptp(one) == 0 for one in sizes):
        return math.nan
    return float(stats.spearmanr(*sizes).statistic)
