"""How well each of several labels is predicted on its own."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from . import metrics, thresholds
from .metrics import Score

RESAMPLES = 500  # of intervals: there are many labels


@dataclass(frozen=True)
class LabelScore:
    """One label: its ``place``; of the sequences of which it is ``known``, how many have it (``size``) and are
    ``called`` to; and scores."""

    place: int
    known: int
    size: int
    called: int
    threshold: float
    f1: Score
    auroc: Score


def label_scores(
    truth: np.ndarray,
    probabilities: np.ndarray,
    threshold: np.ndarray | float | None = None,
    *,
    most: int,
    seed: int = 0,
) -> list[LabelScore]:
    """Scores of the ``most`` frequent labels, the most frequent first; labels that no sequence has are left out.

    Args:
        truth: (n, labels) 0 or 1, or -1 where that is not known.
        probabilities: (n, labels).
        threshold: (labels,) from which each is called, one number for all, or None for 0.5.
        seed: of the resamples.
    """
    called = thresholds.called(probabilities, threshold, several=True)
    limits = np.broadcast_to(thresholds.HALF if threshold is None else threshold, truth.shape[1:])
    sizes = (truth == 1).sum(axis=0)
    found = []
    for place in np.argsort(-sizes, kind="stable")[:most]:
        if not sizes[place]:
            break
        rows = truth[:, place] >= 0
        true, given, calls = truth[rows, place], probabilities[rows, place], called[rows, place]
        both = np.column_stack([1 - given, given])
        scores = metrics.scores_for(
            "sequence-classification", true, both, predicted=calls, resamples=RESAMPLES, seed=seed
        )
        counts = len(true), int(sizes[place]), int(calls.sum())
        found.append(LabelScore(int(place), *counts, float(limits[place]), scores["f1"], scores["auroc"]))
    return found
