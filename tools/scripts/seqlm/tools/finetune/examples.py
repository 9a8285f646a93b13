"""Training examples, ready to be learnt from: encoded sequences, what is true of them, and the batches of an update.

An item is what an update counts: a sequence, or a pair. What the loss counts is a unit: a sequence, a pair, or every
residue of a sequence.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from seqlm.inference.batching import Batch, collate, group_by_length, rows_of
from seqlm.inference.entering import Entering
from seqlm.inference.inference import residue_starts
from seqlm.inference.tasks import Task
from seqlm.tokenization.encoder import Encoded


@dataclass
class Examples:
    """One split.

    Attributes:
        task: what is learnt.
        encoded: all sequences; of pairs each one once.
        truth: (units,) or (units, labels), as :meth:`seqlm.inference.tasks.Task.truth` gives it. What of it is not
            known (-1 or NaN), of a residue or of one of several labels, counts nowhere.
        pooled: vectors where the encoder is frozen: (sequences, hidden), of residues (residues, hidden).
        pairs: (pairs, 2) places in ``encoded``; the second is a place in ``second`` where that is given.
        second: (other sequences, hidden), the vectors of second members that another model has read.
        entering: what enters the first layer that is trained, where that is kept.
        class_weights: (classes,) how much a unit of each class counts, of several labels (labels, 2) for absent and
            present; None for all the same.
    """

    task: Task
    encoded: Sequence[Encoded]
    truth: np.ndarray
    pooled: torch.Tensor | np.ndarray | None = None
    pairs: np.ndarray | None = None
    second: torch.Tensor | None = None
    entering: Entering | None = None
    class_weights: np.ndarray | None = None
    importance: np.ndarray = field(init=False)  # of the truth's shape

    def __post_init__(self):
        self.starts = residue_starts(self.encoded) if self.task.level == "residue" else None
        self.known = np.isfinite(self.truth) if self.task.labels is None else self.truth >= 0
        if self.class_weights is None:
            importance = np.ones(self.truth.shape)
        elif self.task.several:
            importance = self.class_weights[np.arange(self.truth.shape[1]), self.truth]
        else:
            importance = self.class_weights[self.truth]  # of -1 the last one, which is taken back below
        self.importance = np.where(self.known, importance, 0.0).astype(np.float32)
        self.targets = np.where(self.known, self.truth, 0)

    def __len__(self) -> int:
        return len(self.encoded) if self.pairs is None else len(self.pairs)

    def lengths(self) -> list[int]:
        """Tokens of the longest row of each item; 1 where the vectors are known already."""
        if self.pooled is not None:
            return [1] * len(self)
        return [max(self.encoded[place].longest for place in self._members(item)) for item in range(len(self))]

    def weight(self, items: Sequence[int]) -> float:
        """How much these items count in the loss, together."""
        return float(sum(self.importance[self._units(item)].sum() for item in items))

    def passes(self, items: Sequence[int], budget: int, padding: int) -> Iterator[Batch]:
        """The batches of one update, each within the token budget."""
        if self.pooled is not None:
            yield self._known_vectors(items)
            return
        longest = [max(self.encoded[place].longest for place in self._members(item)) for item in items]
        rows = [sum(len(self.encoded[place].rows) for place in self._members(item)) for item in items]
        for group in group_by_length(longest, budget, rows):
            yield self._batch([items[place] for place in group], padding)

    def _members(self, item: int) -> list[int]:
        """Places in ``encoded`` of what has to be run for an item."""
        if self.pairs is None:
            return [item]
        return self.pairs[item].tolist() if self.second is None else [int(self.pairs[item, 0])]

    def _units(self, item: int) -> slice:
        if self.starts is None:
            return slice(item, item + 1)
        return slice(int(self.starts[item]), int(self.starts[item + 1]))

    def _batch(self, items: list[int], padding: int) -> Batch:
        # each sequence of the batch once, however many of its pairs it is in
        places = {
            place: number for number, place in enumerate(dict.fromkeys(p for i in items for p in self._members(i)))
        }
        rows = rows_of([self.encoded[place] for place in places], list(places), self.entering)
        batch = collate(rows, padding)
        if self.task.level == "residue":
            units, share = [], []
            for row in rows:
                start = int(self.starts[row.owner])
                units.append(np.arange(start + row.covered.start, start + row.covered.stop))
                share.append(row.weights[row.weights > 0])
            units = np.concatenate(units)
            # a residue in two windows counts half in each
            return self._with_targets(batch, units, np.concatenate(share))
        if self.pairs is not None:
            batch.pairs = torch.tensor([[places[p] for p in self._members(item)] for item in items])
        return self._with_targets(batch, np.asarray(items))

    def _known_vectors(self, items: Sequence[int]) -> Batch:
        if self.starts is not None:
            units = np.concatenate([np.arange(self._units(item).start, self._units(item).stop) for item in items])
            return self._with_targets(Batch(len(items), pooled=torch.as_tensor(self.pooled[units])), units)
        units = np.asarray(items)
        if self.pairs is None:
            return self._with_targets(Batch(len(items), pooled=self.pooled[units]), units)
        members = self.pairs[units]
        batch = Batch(len(items), pooled=self.pooled[members[:, 0]])
        batch.pairs = torch.arange(len(items))[:, None].repeat(1, 2)
        if self.second is None:
            batch.second = self.pooled[members[:, 1]]
        return self._with_targets(batch, units)

    def _with_targets(self, batch: Batch, units: np.ndarray, share: np.ndarray | None = None) -> Batch:
        if self.second is not None:
            batch.second = self.second[self.pairs[units][:, 1]]
        importance = self.importance[units] if share is None else self.importance[units] * share
        batch.targets, batch.importance = torch.from_numpy(self.targets[units]), torch.from_numpy(importance)
        return batch


def balanced_weights(task: Task, truth: np.ndarray) -> np.ndarray:
    """Weights that make every class count the same: number of units / (classes x units of the class).

    Returns:
        (classes,), or (labels, 2) for absent and present of several labels. A class without examples has weight 0.
    """
    if task.several:
        counts = np.stack([(truth == 0).sum(axis=0), (truth == 1).sum(axis=0)], axis=1)
        known = counts.sum(axis=1, keepdims=True)
        return np.divide(known, 2 * counts, out=np.zeros(counts.shape), where=counts > 0)
    known = truth[truth >= 0]
    counts = np.bincount(known, minlength=task.outputs)
    return np.divide(len(known), len(counts) * counts, out=np.zeros(len(counts)), where=counts > 0)
