"""Baselines for residues, from the simplest on.

- ``majority``: the class shares of all training residues for everyone; for numbers ``mean``, their mean.
- ``residue``: the class shares of the same amino acid in training. What it reaches, the letter alone tells.
- ``window``: a linear model of the letters of the residue and its seven neighbours on each side. What it reaches needs
  no language model.
- ``frozen embeddings``: a linear model of the untrained base model's vector of the residue. What it reaches needs no
  fine-tuning.

All are fitted on the training set alone, the linear ones on at most 100,000 residues, of proteins drawn whole; how
strong their penalty is, proteins of the training set say by cross-validation.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .baselines import FROZEN, LONGEST_WORD, MAJORITY, MEAN, constant
from .linear_models import Goal, Linear, Units, fit_and_predict

RESIDUE, WINDOW = "residue", "window"

REACH = 7  # neighbours on each side
MOST_LETTERS = 40  # more than any alphabet has; the rest are one letter
OUTSIDE = 0  # stands before the first and after the last residue
OTHER = 1  # a letter that training does not know


@dataclass(frozen=True)
class ResiduePart:
    """One split of residues.

    Attributes:
        sequences: (proteins), whole.
        kept: for each protein (length,) bool, the residues that count; shorter than a sequence that was cut.
        truth: (residues,) class indices or values of those that count, protein after protein.
        embeddings: (residues, hidden) of those that count, or of all where that saves a copy, such as of an array that
            lies in a file; or None.
    """

    sequences: list[str]
    kept: list[np.ndarray]
    truth: np.ndarray
    embeddings: np.ndarray | None = None


def fit_residue_baselines(
    train: ResiduePart,
    others: dict[str, ResiduePart],
    *,
    regression: bool,
    classes: int,
    class_weights: np.ndarray | None = None,
    alphabet: str = "protein",
    seed: int = 0,
) -> tuple[dict[str, dict[str, np.ndarray]], Linear | None]:
    """Fit every baseline on ``train`` and predict ``train`` and the other splits.

    Args:
        others: split name -> its part, which is only predicted.
        regression: values, else classes.
        alphabet: ``protein``, ``DNA`` or ``RNA``, where small letters mean the same as large ones, or else text.
        classes, class_weights, seed: as for :func:`seqlm.baselines.baselines.fit_baselines`.

    Returns:
        baseline -> split -> predictions: (residues, classes) probabilities or (residues,) values, of the residues that
        count; and the linear model of the embeddings. ``frozen embeddings`` is there only when every part has
        embeddings, else its model is None.
    """
    parts = {"train": train, **others}
    goal = Goal(regression, classes, class_weights=class_weights, seed=seed)
    truth = {split: part.truth for split, part in parts.items()}
    places = {split: np.flatnonzero(np.concatenate(part.kept)) for split, part in parts.items()}
    blocks = {
        split: np.repeat(np.arange(len(part.kept)), [k.sum() for k in part.kept]) for split, part in parts.items()
    }
    windows, letters = _windows(parts, places, alphabet.lower() in LONGEST_WORD)
    baselines = {
        MEAN if regression else MAJORITY: constant(truth, goal),
        RESIDUE: _of_letter({split: around[:, REACH] for split, around in windows.items()}, truth, letters, goal),
    }
    around = {
        split: Units(_one_hot(one, letters), truth[split], letters * one.shape[1], blocks[split])
        for split, one in windows.items()
    }
    _, baselines[WINDOW] = fit_and_predict(around, goal)
    probe = None
    if all(part.embeddings is not None for part in parts.values()):
        vectors = {
            split: Units(_vectors(part, places[split]), truth[split], part.embeddings.shape[1], blocks[split])
            for split, part in parts.items()
        }
        probe, baselines[FROZEN] = fit_and_predict(vectors, goal)
    return baselines, probe


def _windows(parts: dict[str, ResiduePart], places: dict, same_case: bool) -> tuple[dict[str, np.ndarray], int]:
    """Letters around each residue that counts as numbers, (residues, 15) by split; and how many numbers there are.

    Letters of training are numbered from 2 on.
    """

    def codes(sequence: str) -> np.ndarray:
        return np.frombuffer((sequence.upper() if same_case else sequence).encode("utf-32-le"), dtype=np.uint32)

    found, counts = np.unique(np.concatenate([codes(one) for one in parts["train"].sequences]), return_counts=True)
    known = np.sort(found[np.argsort(-counts, kind="stable")[:MOST_LETTERS]])
    windows = {}
    for split, part in parts.items():
        rows = []
        for sequence, kept in zip(part.sequences, part.kept, strict=True):
            text = codes(sequence)
            at = np.minimum(np.searchsorted(known, text), len(known) - 1)
            numbers = np.where(known[at] == text, at + 2, OTHER).astype(np.uint8)
            padded = np.pad(numbers, REACH, constant_values=OUTSIDE)
            rows.append(np.lib.stride_tricks.sliding_window_view(padded, 2 * REACH + 1)[np.flatnonzero(kept)])
        windows[split] = np.concatenate(rows)
    return windows, len(known) + 2


def _of_letter(letters: dict[str, np.ndarray], truth: dict[str, np.ndarray], size: int, goal: Goal) -> dict:
    """Shares or mean of each letter in training, and the overall ones as if one more residue of it had those."""
    of, known = letters["train"], truth["train"]
    if goal.regression:
        sums, counts = np.bincount(of, known, size), np.bincount(of, minlength=size)
        table = (sums + known.mean()) / (counts + 1)
    else:
        weights = np.ones(goal.classes) if goal.class_weights is None else np.asarray(goal.class_weights, dtype=float)
        cells = np.bincount(of * goal.classes + known, weights[known], size * goal.classes).reshape(size, goal.classes)
        table = cells + cells.sum(axis=0) / cells.sum()
        table /= table.sum(axis=1, keepdims=True)
    return {split: table[here] for split, here in letters.items()}


def _one_hot(windows: np.ndarray, letters: int):
    """Rows of a sparse matrix with a one for the letter at each place of the window."""
    from scipy.sparse import csr_matrix

    columns = np.arange(windows.shape[1]) * letters

    def rows(places):
        chosen = (windows[places] + columns).ravel()
        starts = np.arange(0, len(chosen) + 1, len(columns))
        shape = (len(places), letters * len(columns))
        return csr_matrix((np.ones(len(chosen), dtype=np.float32), chosen, starts), shape=shape)

    return rows


def _vectors(part: ResiduePart, places: np.ndarray):
    of_all = len(part.embeddings) != len(places)

    def rows(chosen):
        return np.array(part.embeddings[places[chosen] if of_all else chosen], dtype=np.float32)

    return rows
