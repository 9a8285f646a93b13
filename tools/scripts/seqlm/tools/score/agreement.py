"""How several models agree on the same substitutions or sequences, whose mean is the score (Meier et al. 2021,
https://doi.org/10.1101/2021.07.09.450648: five ESM-1v that differ in the order of their training)."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field

import numpy as np

from seqlm.metrics.resampling import Score

from .baselines import correlations

MOST = 100_000  # substitutions that are compared
FEWEST = 3
WELL, IN_PART = 0.7, 0.4  # mean rank correlation of two models from which they agree so far


@dataclass
class Agreement:
    """Collects the scores of each model.

    Args:
        names: of the models.

    Attributes:
        each: (models, substitutions), the first :data:`MOST` of those that change something; of whole sequences bits a
            letter.
    """

    names: tuple[str, ...]
    _parts: list[np.ndarray] = field(default_factory=list)
    _held: int = 0

    def add(self, each: np.ndarray) -> None:
        """Scores of each model, (models, substitutions), of substitutions that change something."""
        if self._held < MOST and each.shape[1]:
            self._parts.append(each[:, : MOST - self._held])
            self._held += self._parts[-1].shape[1]

    @property
    def each(self) -> np.ndarray:
        return np.concatenate(self._parts, axis=1) if self._parts else np.zeros((len(self.names), 0))

    @property
    def number(self) -> int:
        return self._held

    def ranks(self) -> list[float]:
        """Spearman's correlation of each two models; empty where there are too few substitutions, or all are equal."""
        each = self.each
        if each.shape[1] < FEWEST or (np.ptp(each, axis=1) == 0).any():
            return []
        from scipy.stats import rankdata

        together = np.atleast_2d(np.corrcoef(rankdata(each, axis=1)))
        return [float(together[pair]) for pair in itertools.combinations(range(len(each)), 2)]

    @property
    def spread(self) -> float:
        """Deviation of a substitution's scores over the models, on average."""
        return float(spreads(self.each).mean()) if self.number else float("nan")

    @property
    def opposed(self) -> int:
        """Substitutions that some models put above the wild type and others below."""
        each = self.each
        return int(((each > 0).any(0) & (each < 0).any(0)).sum())


def spreads(each: np.ndarray) -> np.ndarray:
    """Standard deviation over models of each substitution, (substitutions,), of (models, substitutions)."""
    return each.std(axis=0, ddof=1)


def measured_by(each: np.ndarray, measured: np.ndarray, seed: int) -> list[Score | None]:
    """How each model by itself follows measured values: Spearman with its interval, None where it is undefined."""
    found = (correlations(scores, measured, {}, seed=seed) for scores in each)
    return [one.model.spearman if one.model else None for one in found]


def in_words(found: Agreement) -> str:
    """How they agree, as part of a verdict."""
    ranks, count = found.ranks(), len(found.names)
    if not ranks:
        return f"too little was scored to say how the {count} models agree"
    middle, least = float(np.mean(ranks)), min(ranks)
    how = "agree well" if middle >= WELL else "agree in part" if middle >= IN_PART else "hardly agree"
    if count == 2:
        return f"the 2 models {how}: Spearman {middle:.2f} between them"
    return f"the {count} models {how}: Spearman {middle:.2f} between two of them on average, {least:.2f} at least"
