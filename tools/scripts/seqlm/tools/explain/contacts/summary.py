"""What was found of contacts, and whether it is more than chance."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from scipy.stats import binomtest

from seqlm.data.records import Rules
from seqlm.metrics.resampling import Score, mean
from seqlm.tools.explain.summary import bound_of

from .structures import Precision

LIKELY = 0.5  # probability from which a pair is called a contact
CHANCE = 0.05  # of proteins that lie beyond a bound that holds 19 times in 20


@dataclass
class Protein:
    """What the model says of one.

    Attributes:
        top: mean probability of as many pairs as there are residues, see :func:`.ranges.judged`; is_long: they are
            long-range ones.
        likely: range -> pairs of a probability of ``LIKELY`` or more.
        strongest: (position, letter, position, letter, probability) of the most probable long-range pairs.
        map, shuffled, distances: (residues, residues) of those that are drawn; distances where a structure is known.
    """

    id: str
    sequence: str
    top: float
    is_long: bool
    likely: dict[str, int]
    strongest: list[tuple[int, str, int, str, float]]
    precisions: dict[tuple[str, int], Precision] = field(default_factory=dict)
    map: np.ndarray | None = None
    shuffled: np.ndarray | None = None
    distances: np.ndarray | None = None


@dataclass
class Checks:
    """Mean probabilities of the most probable pairs of some proteins, see :attr:`Protein.top`.

    Attributes:
        top: (proteins,) by the model.
        of_shuffled: (models, proteins) by models with shuffled weights and the same head.
        of_reordered: (orders, proteins) of the same residues in another order.
    """

    top: np.ndarray
    of_shuffled: np.ndarray
    of_reordered: np.ndarray
    seed: int

    @property
    def beyond(self) -> np.ndarray:
        """(proteins,) whether the model says more than one more shuffled model, and of one more order, would 19 times
        in 20."""
        bounds = [np.asarray([bound_of(one) for one in each.T]) for each in (self.of_shuffled, self.of_reordered)]
        return (self.top > bounds[0]) & (self.top > bounds[1])

    @property
    def judged(self) -> int:
        """How many proteins have a pair that can be judged."""
        return int(np.isfinite(self.top).sum())

    @property
    def more(self) -> bool:
        """Whether that is so of more proteins than by chance."""
        if not self.judged:
            return False
        return binomtest(int(self.beyond.sum()), self.judged, CHANCE, "greater").pvalue <= CHANCE

    def mean_of(self, values: np.ndarray) -> Score:
        """Of (proteins,) or (times, proteins), with an interval of resampled proteins."""
        return mean(np.atleast_2d(values).mean(0), self.seed)


@dataclass
class Summary:
    """All of one run."""

    proteins: list[Protein]
    checks: Checks
    rules: Rules

    @property
    def measured(self) -> list[Protein]:
        """Those of which a structure is known."""
        return [one for one in self.proteins if one.precisions]

    def precision(self, key: tuple[str, int], seed: int) -> tuple[Score, float, float] | None:
        """Of (range, divisor): the mean over the proteins with its interval, that by chance, and what drawings at
        random reach at the most, 39 times in 40."""
        found = [one.precisions[key] for one in self.measured if key in one.precisions]
        if not found:
            return None
        by_chance = float(np.mean([one.by_chance for one in found]))
        spread = float(np.sqrt(np.sum([one.spread**2 for one in found])) / len(found))
        return mean(np.asarray([one.share for one in found]), seed), by_chance, min(1.0, by_chance + 1.96 * spread)
