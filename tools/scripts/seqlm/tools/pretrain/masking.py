"""Masked language modelling: which tokens are hidden, and what stands in their place (Devlin et al. 2019,
https://doi.org/10.18653/v1/N19-1423).

Of the chosen tokens 80 % become the mask token, 10 % a random one, 10 % stay. They are chosen one by one, in spans of
geometric lengths (Joshi et al. 2020, https://doi.org/10.1162/tacl_a_00300), or as whole codons, counted from the
beginning of the sequence. What is drawn depends on the seed, the epoch and the number of the row alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from seqlm.inference.batching import Batch, Row, collate
from seqlm.training.language_training import IGNORED, PADDING

CODON = 3
JUDGED = -1  # the epoch of what is held out


@dataclass(frozen=True)
class Masking:
    """How tokens are hidden.

    Attributes:
        share: of the tokens that are hidden.
        way: ``token``, ``span`` or ``codon``.
        span: mean length of a span.
        mask: id of the mask token.
        ordinary: (n,) ids that may stand in for another.
    """

    share: float
    way: str
    span: float
    mask: int
    ordinary: np.ndarray
    seed: int

    def chosen(self, row: Row, epoch: int) -> tuple[np.ndarray, np.random.Generator]:
        """Places of the tokens that are hidden, at least one."""
        rng = np.random.default_rng([self.seed, epoch + 1, row.owner])
        places = np.flatnonzero(row.weights > 0)
        wanted = max(1, round(self.share * len(places)))
        if self.way == "token":
            return np.sort(rng.choice(places, wanted, replace=False)), rng
        if self.way == "codon":
            groups = (row.start + places) // CODON
            found = rng.permutation(np.unique(groups))[: max(1, round(wanted / CODON))]
            return places[np.isin(groups, found)], rng
        hidden = np.zeros(len(places), bool)
        while hidden.sum() < wanted:
            length = min(int(rng.geometric(1 / self.span)), wanted, len(places))
            at = int(rng.integers(0, len(places) - length + 1))
            hidden[at : at + length] = True
        return places[hidden], rng

    def __call__(self, rows: Sequence[Row], epoch: int = JUDGED) -> Batch:
        """The objective of :func:`seqlm.training.language_training.train_language_model`; of what is held
        out, every chosen token becomes the mask token."""
        batch = collate(rows, PADDING)
        ids, targets = batch.ids.numpy(), np.full(tuple(batch.ids.shape), IGNORED, np.int64)
        for number, row in enumerate(rows):
            places, rng = self.chosen(row, epoch)
            targets[number, places] = row.ids[places]
            written = np.full(len(places), self.mask, np.int64)
            if epoch != JUDGED:
                luck = rng.random(len(places))
                others = rng.choice(self.ordinary, len(places))
                written = np.where(luck < 0.8, written, np.where(luck < 0.9, others, row.ids[places]))
            ids[number, places] = written
        batch.targets = torch.from_numpy(targets)
        if len({len(row.ids) for row in rows}) == 1:
            batch.mask = None
        return batch
