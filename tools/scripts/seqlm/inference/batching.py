"""Sequences of like length together, under a budget of padded tokens.

Padding is work thrown away: with rows sorted by length almost none is left, and a budget of tokens (not of sequences)
keeps both the memory and the work of a batch even.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np

from seqlm.tokenization.encoder import Encoded

if TYPE_CHECKING:
    import torch

    from .entering import Entering


@dataclass(frozen=True, slots=True)
class Row:
    """One window of one sequence; ``owner`` is the number of the sequence, ``start`` where in it the window begins,
    ``entering`` what enters the first layer that has to be computed, if that is known; ``targets`` are the tokens that
    are asked for at each place, where they are not those that stand there."""

    ids: np.ndarray  # (tokens,)
    weights: np.ndarray  # (tokens,)
    owner: int
    start: int = 0
    entering: np.ndarray | None = None  # (tokens, hidden)
    targets: np.ndarray | None = None  # (tokens,)

    @property
    def covered(self) -> slice:
        """The positions of the sequence that are real tokens of this row."""
        return slice(self.start, self.start + int(np.count_nonzero(self.weights)))


@dataclass
class Batch:
    """Padded rows as tensors.

    Attributes:
        ids, mask: (rows, tokens); weights: (rows, tokens), what each token counts in the pooled vector;
        owners: (rows,), the place of the row's sequence in the batch, 0 … sequences - 1;
        entering: (rows, tokens, hidden), what enters the first layer that has to be computed, where that is known;
        pooled: (sequences, hidden), or (residues, hidden), where the vectors are known already, in place of all of the
            above;
        pairs: (pairs, 2), the places of both members in the batch; second: (pairs, other hidden), the vectors of the
            second members where another model reads them;
        targets: what is to be learnt, a unit (sequence, residue or pair) each, or the token that is asked for at each
            place, (rows, tokens); importance: what each counts in the
            loss, of the loss's shape.
    """

    sequences: int
    ids: torch.Tensor | None = None
    mask: torch.Tensor | None = None
    weights: torch.Tensor | None = None
    owners: torch.Tensor | None = None
    entering: torch.Tensor | None = None
    pooled: torch.Tensor | None = None
    pairs: torch.Tensor | None = None
    second: torch.Tensor | None = None
    targets: torch.Tensor | None = None
    importance: torch.Tensor | None = None

    def to(self, device) -> Batch:
        moved = {
            field.name: value.to(device, non_blocking=True)
            for field in fields(self)
            if field.name != "sequences" and (value := getattr(self, field.name)) is not None
        }
        return Batch(self.sequences, **moved)


def rows_of(
    encoded: Sequence[Encoded], owners: Sequence[int] | None = None, entering: Entering | None = None
) -> list[Row]:
    """All windows of all sequences; ``owners`` are the numbers of the sequences if they are not 0, 1, 2, …"""
    known = entering is not None and entering.filled
    return [
        Row(ids, weights, owner, start, entering.of(ids) if known else None)
        for owner, sequence in zip(owners if owners is not None else range(len(encoded)), encoded, strict=True)
        for ids, weights, start in zip(sequence.rows, sequence.weights, sequence.starts, strict=True)
    ]


def group_by_length(lengths: Sequence[int], budget: int, rows: Sequence[int] | None = None) -> list[list[int]]:
    """Indices of items in groups of like length whose padded size stays within ``budget`` tokens.

    Args:
        lengths: of the longest row of each item.
        budget: tokens a group may have when padded; an item over it is a group of its own.
        rows: rows of each item, 1 if not given.

    Returns:
        groups, longest first, so that a memory that does not suffice is noticed at once.

    >>> group_by_length([5, 100, 6, 98], 200)
    [[1, 3], [2, 0]]
    """
    order = sorted(range(len(lengths)), key=lambda item: (-lengths[item], item))
    groups: list[list[int]] = []
    width = height = 0
    for item in order:
        count = rows[item] if rows is not None else 1
        if groups and (height + count) * width <= budget:
            groups[-1].append(item)
            height += count
        else:
            groups.append([item])
            width, height = lengths[item], count
    return groups


def collate(rows: Sequence[Row], padding: int) -> Batch:
    """Pad rows to the longest of them. Owners are renumbered in the order in which they come."""
    import torch

    longest = max(len(row.ids) for row in rows)
    ids = np.full((len(rows), longest), padding, dtype=np.int64)
    mask = np.zeros((len(rows), longest), dtype=np.int64)
    weights = np.zeros((len(rows), longest), dtype=np.float32)
    places: dict[int, int] = {}
    owners = np.empty(len(rows), dtype=np.int64)
    for number, row in enumerate(rows):
        length = len(row.ids)
        ids[number, :length] = row.ids
        mask[number, :length] = 1
        weights[number, :length] = row.weights
        owners[number] = places.setdefault(row.owner, len(places))
    entering = None
    if rows[0].entering is not None:
        entering = torch.zeros(len(rows), longest, rows[0].entering.shape[1])
        for row, states in zip(rows, entering.numpy(), strict=True):
            states[: len(row.ids)] = row.entering
    targets = None
    if rows[0].targets is not None:
        targets = torch.full((len(rows), longest), padding)
        for number, row in enumerate(rows):
            targets[number, : len(row.targets)] = torch.from_numpy(row.targets)
    return Batch(len(places), *map(torch.from_numpy, (ids, mask, weights, owners)), entering, targets=targets)


def updates(
    lengths: Sequence[int], batch_size: int, generator: np.random.Generator, pool: int = 50
) -> Iterator[list[int]]:
    """One epoch of training in random order: the sequences of each update of the weights.

    Every sequence comes once. Sequences are shuffled, sorted by length within pools of ``pool`` updates, and the
    updates shuffled again, so that an update holds like lengths and the order stays random.
    """
    order = generator.permutation(len(lengths))
    size = pool * batch_size
    chunks = []
    for start in range(0, len(order), size):
        part = sorted(order[start : start + size], key=lambda item: lengths[item])
        chunks += [part[first : first + batch_size] for first in range(0, len(part), batch_size)]
    for chunk in generator.permutation(len(chunks)):
        yield [int(item) for item in chunks[chunk]]
