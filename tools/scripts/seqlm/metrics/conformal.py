"""Conformal prediction: sets of classes, and intervals, that hold the truth as often as was asked for.

A model is compared with units that it had not learnt from. What it was wrong by there, the score of a unit, is
1 - (probability of the true class), or the distance to the true value. A new unit can be of a class if it would not be
among the strangest of all: with scores s_1 … s_n and s(y) of the new unit as class y,

    p(y) = (1 + #{i: s_i >= s(y)}) / (n + 1),    set = {y: p(y) > 1 - coverage}

which holds the truth in at least ``coverage`` of new units that come from where the n came from, whatever the model
(Vovk, Gammerman & Shafer 2005, https://doi.org/10.1007/b106715; of values Papadopoulos et al. 2002,
https://doi.org/10.1007/3-540-36755-1_29; the score of classes is that of Sadinle, Lei & Wasserman 2019,
https://doi.org/10.1080/01621459.2017.1395341, by which sets are small).

**Split** scores come from one model and a set apart. **CV+** scores come from folds: s_i is by the model m(i) that had
not learnt from unit i, and is compared with the new unit as that same model sees it, s_m(i)(y) (Romano, Sesia & Candès
2020, https://doi.org/10.48550/arXiv.2006.02544, section 3). Of values, with a = 1 - coverage,

    [ floor(a (n + 1))-th smallest of f_m(i)(x) - s_i,   ceil((1 - a) (n + 1))-th smallest of f_m(i)(x) + s_i ]

(Barber, Candès, Ramdas & Tibshirani 2021, https://doi.org/10.1214/20-AOS1965). Proven of CV+ is 1 - 2 a, less a
little; what is met is mostly 1 - a. With one model both formulas are those of a set apart. Where folds were repeated,
every unit has a score of each repeat, which counts as much less.

Scores are compared within a class, so that the promise holds for the rare class as for the frequent one (Vovk 2012,
https://doi.org/10.48550/arXiv.1209.2673).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

MOST_UNITS = 10_000  # that are kept; a random part of exchangeable units is as good
MOST_SCORES = 1_000_000  # of all their labels and repeats
_CELLS = 1 << 22  # numbers that are ranked at once


def least(coverage: float) -> int:
    """From how many units on any class or value can be excluded at a coverage.

    >>> least(0.9), least(0.95)
    (9, 19)
    """
    return math.ceil(round(1 / (1 - coverage), 9)) - 1


@dataclass(frozen=True)
class Conformity:
    """Scores of units by models that had not learnt from them.

    Attributes:
        scores: (rows,), a row for each unit and repeat; of several labels (rows, labels).
        classes: of scores' shape: the true class, of several labels 0 or 1, or -1 where that is not known; None for
            values.
        members: (rows,) number of the model that gave the score, from 0; all 0 for one model and a set apart.
        repeats: rows of each unit.
        pooled: where a class has too few units for a coverage, classes are compared together and not one by one.
    """

    scores: np.ndarray
    classes: np.ndarray | None
    members: np.ndarray
    repeats: int = 1
    pooled: bool = True

    @classmethod
    def of(
        cls,
        truth: np.ndarray,
        predictions: np.ndarray,
        members: np.ndarray | None = None,
        *,
        values: bool = False,
        repeats: int = 1,
        pooled: bool = True,
    ) -> Conformity:
        """The scores of predictions.

        Args:
            truth: (rows,) class indices or values, (rows, labels) 0, 1 or -1.
            predictions: (rows, classes) or (rows, labels) probabilities, or (rows,) values.
        """
        members = np.zeros(len(truth), np.int64) if members is None else members
        if values:
            return cls(np.abs(truth - predictions), None, members, repeats, pooled)
        scores = np.abs(truth - predictions) if truth.ndim == 2 else 1 - predictions[np.arange(len(truth)), truth]
        return cls(scores, truth, members, repeats, pooled)

    def kept(self, seed: int) -> Conformity:
        """The scores of as many units as a bundle keeps; those of a unit's repeats follow on each other."""
        units = len(self.scores) // self.repeats
        most = min(MOST_UNITS, MOST_SCORES * units // self.scores.size)
        if units <= most:
            return self
        chosen = np.sort(np.random.default_rng(seed).permutation(units)[:most])
        rows = (chosen[:, None] * self.repeats + np.arange(self.repeats)).ravel()
        classes = None if self.classes is None else self.classes[rows]
        return Conformity(self.scores[rows], classes, self.members[rows], self.repeats, self.pooled)

    def label(self, place: int) -> Conformity:
        """One of several labels by itself: classes 0, absent, and 1, present."""
        known = self.classes[:, place] >= 0
        return Conformity(
            self.scores[known, place], self.classes[known, place], self.members[known], self.repeats, self.pooled
        )

    def few(self, coverage: float, classes: int) -> list[int]:
        """Classes with too few units to be excluded by their own."""
        counts = np.bincount(self.classes, minlength=classes) / self.repeats
        return np.flatnonzero(counts < least(coverage)).tolist()

    def enough(self, coverage: float) -> bool:
        """Whether there are so many units that anything can be excluded."""
        return len(self.scores) / self.repeats >= least(coverage)


def p_values(conformity: Conformity, predictions: np.ndarray, coverage: float) -> np.ndarray:
    """(units, classes) how little strange each unit would be as each class.

    Args:
        predictions: (members, units, classes) probabilities.
        coverage: decides whether there are enough units of each class to compare within it.
    """
    classes = predictions.shape[2]
    together = conformity.pooled and bool(conformity.few(coverage, classes))
    found = np.empty(predictions.shape[1:])
    for y in range(classes):
        near = np.full(len(conformity.scores), True) if together else conformity.classes == y
        scores, members = conformity.scores[near], conformity.members[near]
        count = np.zeros(len(found))
        for member, given in enumerate(predictions[:, :, y]):
            ordered = np.sort(scores[members == member])
            count += len(ordered) - np.searchsorted(ordered, 1 - given, side="left")
        found[:, y] = (1 + count / conformity.repeats) / (1 + len(scores) / conformity.repeats)
    return found


def class_sets(conformity: Conformity, predictions: np.ndarray, coverage: float) -> np.ndarray:
    """(units, classes) whether each unit's set holds each class.

    The class that is the least strange is always there, so that no set is empty; that can only raise the coverage.

    Args:
        predictions: (members, units, classes) probabilities.

    >>> scores = Conformity(np.arange(20) / 40, np.tile([0, 1], 10), np.zeros(20, int))
    >>> class_sets(scores, np.array([[[0.9, 0.1], [0.55, 0.45]]]), 0.9).astype(int).tolist()
    [[1, 0], [1, 0]]
    """
    found = p_values(conformity, predictions, coverage)
    sets = found > round(1 - coverage, 12) + 1e-12
    nearest = (found + 1e-9 * predictions.mean(axis=0)).argmax(axis=1)  # of equal ones the more probable
    sets[np.arange(len(sets)), nearest] = True
    return sets


def label_sets(conformity: Conformity, predictions: np.ndarray, coverage: float) -> np.ndarray:
    """(units, labels, 2) whether each label can be absent and whether it can be present, each label by itself.

    Args:
        predictions: (members, units, labels) probabilities.
    """
    return np.stack(
        [
            class_sets(conformity.label(place), np.stack([1 - given, given], axis=2), coverage)
            for place, given in enumerate(np.moveaxis(predictions, 2, 0))
        ],
        axis=1,
    )


def intervals(conformity: Conformity, predictions: np.ndarray, coverage: float) -> np.ndarray:
    """(units, 2) lower and upper end, infinite where there are too few scores.

    Args:
        predictions: (members, units) values.

    >>> intervals(Conformity(np.arange(1.0, 20), None, np.zeros(19, int)), np.array([[100.0]]), 0.9).tolist()
    [[82.0, 118.0]]
    """
    rows, repeats = len(conformity.scores), conformity.repeats
    units = rows / repeats
    upper = math.ceil(round(coverage * (units + 1) * repeats, 9))
    ends = np.full((predictions.shape[1], 2), [-np.inf, np.inf])
    if upper > rows:
        return ends
    step = max(1, _CELLS // rows)
    for at in range(0, len(ends), step):
        given = predictions[conformity.members, at : at + step].T  # (units, rows)
        # the smallest of f + s, and by symmetry of s - f
        for side, sign in ((0, -1), (1, 1)):
            ends[at : at + step, side] = sign * np.partition(sign * given + conformity.scores, upper - 1)[:, upper - 1]
    return ends
