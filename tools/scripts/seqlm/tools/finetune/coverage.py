"""Conformal scores of a fine-tuned model, and how often its sets and intervals hold the truth."""

from __future__ import annotations

import numpy as np

from seqlm.inference.tasks import Task
from seqlm.metrics.calibration import wilson
from seqlm.metrics.conformal import Conformity, class_sets, intervals, label_sets
from seqlm.metrics.metrics import Score

from .summary import Check


def conformity_of(
    task: Task,
    truth: np.ndarray,
    predictions: np.ndarray,
    *,
    members: np.ndarray | None = None,
    groups: np.ndarray | None = None,
    seed: int,
) -> Conformity:
    """The scores of units that a model had not learnt from.

    Residues of one protein are not exchangeable with those of a new one. One residue of each class is drawn from each
    protein, so that the promise is about such a residue of a new protein (Dunn, Wasserman & Ramdas 2022,
    https://doi.org/10.1080/01621459.2022.2060112, who draw one of each group).

    Args:
        predictions: (repeats, units, classes) probabilities or (repeats, units) values.
        members: (repeats, units) number of the model that each is by.
        groups: (units,) number of the protein of each residue.
    """
    if groups is not None:
        places = np.random.default_rng(seed).permutation(len(truth))
        keys = np.stack([groups[places], truth[places] if task.labels else np.zeros(len(places), int)])
        places = np.sort(places[np.unique(keys, axis=1, return_index=True)[1]])
        truth, predictions = truth[places], predictions[:, places]
        members = None if members is None else members[:, places]
    repeats = len(predictions)
    rows = predictions.swapaxes(0, 1).reshape(-1, *predictions.shape[2:])  # the repeats of a unit follow on each other
    return Conformity.of(
        np.repeat(truth, repeats, axis=0),
        rows,
        None if members is None else members.T.ravel(),
        values=task.labels is None,
        repeats=repeats,
        pooled=groups is None,
    ).kept(seed)


def checked(
    task: Task,
    conformity: Conformity,
    coverage: float,
    split: str,
    truth: np.ndarray,
    predictions: np.ndarray,
    groups: np.ndarray | None = None,
) -> Check | None:
    """How often sets hold the truth; None where there are too few scores to make any.

    Args:
        predictions: (members, units, classes) probabilities, or (members, units) values.
    """
    if not conformity.enough(coverage):
        return None
    blocks = len(truth) if groups is None else len(np.unique(groups))
    if task.labels is None:
        low, high = intervals(conformity, predictions, coverage).T
        return Check(split, len(truth), _share((low <= truth) & (truth <= high), blocks), float(np.median(high - low)))
    if task.several:
        sets, known = label_sets(conformity, predictions, coverage), truth >= 0
        held = np.take_along_axis(sets, np.maximum(truth, 0)[..., None], axis=2)[..., 0][known]
        return Check(split, len(truth), _share(held, blocks), float(sets.all(axis=2)[known].mean()))
    sets = class_sets(conformity, predictions, coverage)
    held, sizes = sets[np.arange(len(truth)), truth], sets.sum(axis=1)
    classes = {y: (float(held[truth == y].mean()), int((truth == y).sum())) for y in np.unique(truth).tolist()}
    pooled = conformity.pooled and bool(conformity.few(coverage, len(task.labels)))
    return Check(
        split, len(truth), _share(held, blocks), float(sizes.mean()), float((sizes == 1).mean()), classes, pooled
    )


def checked_by_fold(
    task: Task,
    conformities: list[tuple[Conformity, np.ndarray]],
    coverage: float,
    split: str,
    truth: np.ndarray,
    predictions: np.ndarray,
    groups: np.ndarray | None,
) -> Check | None:
    """The same without a test set: what each fold's own model gave for it, by the scores of the other folds.

    Args:
        conformities: for each fold the scores of the others, and the places of its units.
        predictions: (units, classes) probabilities, or (units,) values, out of fold.
    """
    found = [
        (checked(task, one, coverage, split, truth[places], predictions[places][None]), len(places))
        for one, places in conformities
    ]
    if any(check is None for check, _ in found):
        return None
    sizes = np.asarray([size for _, size in found]) / len(truth)

    def mean(name: str) -> float:
        return float(np.dot([getattr(check, name) for check, _ in found], sizes))

    held = float(np.dot([check.held.value for check, _ in found], sizes))
    blocks = len(truth) if groups is None else len(np.unique(groups))
    classes = {}
    for y in sorted({y for check, _ in found for y in check.by_class}):
        each = [check.by_class[y] for check, _ in found if y in check.by_class]
        count = sum(n for _, n in each)
        classes[y] = (sum(share * n for share, n in each) / count, count)
    return Check(split, len(truth), _with_interval(held, blocks), mean("size"), mean("certain"), classes,
                 any(check.pooled for check, _ in found))  # fmt: skip


def _share(held: np.ndarray, blocks: int) -> Score:
    return _with_interval(float(held.mean()), blocks)


def _with_interval(share: float, blocks: int) -> Score:
    low, high = wilson(share, blocks)
    return Score(share, float(low), float(high))
