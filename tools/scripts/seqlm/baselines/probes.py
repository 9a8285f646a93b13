"""How much of a label features hold: linear models judged on folds, and which of several features tell most.

Units are divided into folds, whole blocks together. Each fold is predicted by a linear model of the others, whose
penalty is chosen by folds within these (see :mod:`seqlm.baselines.linear_models`). The loss that chooses the penalty
also chooses among features, such as the layers of a model: within the training part of each fold anew, so that what is
predicted with the chosen features is as good an estimate as with features that were given (nested cross-validation,
Cawley & Talbot 2010, https://www.jmlr.org/papers/v11/cawley10a.html).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from .linear_models import Goal, Linear, fit, in_memory


@dataclass(frozen=True)
class Probe:
    """Linear models of one kind of features.

    Attributes:
        predictions: (units, classes) probabilities or (units,) values, each by a model that had not seen the unit.
        losses: (folds,) of the training part of each fold, on folds within it.
        model: of all units; ``model.loss`` is its loss on folds.
    """

    predictions: np.ndarray
    losses: np.ndarray
    model: Linear


def divided(truth: np.ndarray, goal: Goal, folds: int, blocks: np.ndarray | None = None) -> np.ndarray:
    """(units,) the fold that each is predicted in, from 0; classes in the same shares where each has enough units.

    Args:
        blocks: (units,) what each shares with others, which stay together; None where nothing is shared.
    """
    from sklearn.model_selection import GroupKFold, KFold, StratifiedKFold

    classes = not goal.regression and np.bincount(truth)[np.unique(truth)].min() >= folds
    kind = KFold if blocks is None and not classes else StratifiedKFold if blocks is None else GroupKFold
    splitter = kind(folds, shuffle=True, random_state=goal.seed)
    fold = np.empty(len(truth), np.int64)
    for number, (_, outside) in enumerate(splitter.split(truth, truth if classes else None, blocks)):
        fold[outside] = number
    return fold


def probe(
    features: np.ndarray,
    truth: np.ndarray,
    goal: Goal,
    fold: np.ndarray,
    blocks: np.ndarray | None = None,
    told: Callable[[], None] = lambda: None,
) -> Probe:
    """Judge features (units, width) on folds (units,).

    Args:
        blocks: as of :func:`divided`; the folds within keep them together too.
        told: called after each model.
    """

    def of(places: np.ndarray) -> Linear:
        model = fit(in_memory(features[places], truth[places], None if blocks is None else blocks[places]), goal)
        told()
        return model

    predictions = np.zeros(len(truth) if goal.regression else (len(truth), goal.classes))
    losses = []
    for number in range(int(fold.max()) + 1):
        model = of(np.flatnonzero(fold != number))
        outside = np.flatnonzero(fold == number)
        predictions[outside] = in_memory(features[outside], truth[outside]).predict(model)
        losses.append(model.loss)
    return Probe(predictions, np.asarray(losses), of(np.arange(len(truth))))


def best_of(losses: np.ndarray) -> int:
    """The place of the lowest loss; of equal or undefined ones the last."""
    losses = np.where(np.isnan(losses), np.inf, losses)
    return len(losses) - 1 - int(np.argmin(losses[::-1]))


def chosen(probes: list[Probe], fold: np.ndarray) -> tuple[int, np.ndarray, np.ndarray]:
    """Choose among features by their losses.

    Returns:
        the place that all units choose, the place that the training part of each fold chooses (folds,), and what those
        of each fold predict for it, as :attr:`Probe.predictions`.
    """
    of_folds = np.array([best_of(losses) for losses in np.stack([one.losses for one in probes], 1)])
    predictions = np.empty_like(probes[0].predictions)
    for number, place in enumerate(of_folds.tolist()):
        predictions[fold == number] = probes[place].predictions[fold == number]
    return best_of(np.array([one.model.loss for one in probes])), of_folds, predictions
