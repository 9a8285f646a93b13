"""What enters the lowest layer that is trained, kept for every row of tokens, so that the layers below run once.

Where an adapter is put on the last layers only, those below stay as they came and no gradient passes them: what they
make of a row is always the same. It is noted on the way to the vectors that baselines need anyway, and training and
validation begin at that layer::

    tokens ─► embedding ─► layers 0 … first - 1 ─► kept ─► layers first … ─► norm ─► vectors
    └───────────────── once ──────────────────┘    └─────── at every update ───────┘
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import nn

from seqlm.families.family import Family
from seqlm.tokenization.encoder import Encoded

IN_MEMORY = 1 << 28  # bytes; more lie in a file of the job's folder
MOST = 8 << 30  # bytes of that file


def blocks_of(backbone: nn.Module, name: str) -> nn.ModuleList:
    """The layers of an encoder, a list of modules of this name."""
    return next(module for path, module in backbone.named_modules() if path.split(".")[-1] == name)


def first_trained(backbone: nn.Module, name: str) -> int:
    """Number of the lowest layer in which something is trained; 0 where anything beside the layers is, or nothing."""
    blocks = blocks_of(backbone, name)
    numbers = {id(one): number for number, block in enumerate(blocks) for one in block.parameters()}
    return min((numbers.get(id(one), 0) for one in backbone.parameters() if one.requires_grad), default=0)


def states_given(arguments: tuple, keywords: dict) -> torch.Tensor:
    """Of what a layer is called with, the vectors of the tokens."""
    return arguments[0] if arguments else keywords["hidden_states"]


@contextmanager
def begun(backbone: nn.Module, family: Family, first: int, states: torch.Tensor) -> Iterator[None]:
    """While it lasts, layer ``first`` is given ``states`` (rows, tokens, hidden), and those below compute nothing."""
    blocks = blocks_of(backbone, family.layers)
    states = states.transpose(0, 1) if family.tokens_first else states

    def put_in(_, arguments: tuple, keywords: dict) -> tuple[tuple, dict]:
        return ((states, *arguments[1:]), keywords) if arguments else ((), {**keywords, "hidden_states": states})

    hook = blocks[first].register_forward_pre_hook(put_in, with_kwargs=True)
    for block in blocks[:first]:
        block.forward = partial(family.handed_on, block)  # of this one module, in front of that of its class
    try:
        yield
    finally:
        hook.remove()
        for block in blocks[:first]:
            del block.forward


class Entering:
    """What enters layer ``first`` of a frozen encoder: a vector for every token of every row.

    Attributes:
        values: (tokens of all rows, hidden), 0 for a row that was never run, as none of its tokens counts.
        filled: whether it can be used; until then it is noted.
    """

    def __init__(self, family: Family, first: int, encoded: Sequence[Encoded], values: np.ndarray):
        self.family, self.first, self.values, self.filled = family, first, values, False
        self._encoded = encoded  # so that no other array can have the identity of one of theirs
        self._begins, begin = {}, 0
        for ids in (ids for one in encoded for ids in one.rows):
            self._begins[id(ids)] = begin
            begin += len(ids)

    def of(self, ids: np.ndarray) -> np.ndarray:
        """(tokens, hidden) of a row, told by its very array of token ids."""
        begin = self._begins[id(ids)]
        return self.values[begin : begin + len(ids)]

    def noting(self, compute: Callable) -> Callable:
        """The same computation of a model and a batch, which gives one result more: (rows, tokens, hidden)."""

        def both(model, batch) -> tuple[torch.Tensor, ...]:
            seen = []

            def note(_, arguments: tuple, keywords: dict) -> None:
                seen.append(states_given(arguments, keywords).clone())  # a layer may write into what it was given

            block = blocks_of(model.backbone, self.family.layers)[self.first]
            hook = block.register_forward_pre_hook(note, with_kwargs=True)
            try:
                result = compute(model, batch)
            finally:
                hook.remove()
            (states,) = seen
            return *result, states.transpose(0, 1) if self.family.tokens_first else states

        return both

    def keep(self, rows: Sequence[np.ndarray], states: torch.Tensor) -> None:
        """Note (rows, tokens, hidden) of rows of token ids."""
        for ids, one in zip(rows, states, strict=True):
            self.of(ids)[:] = one[: len(ids)].float().numpy()


def room_for(family: Family, first: int, encoded: Sequence[Encoded], file: Path) -> Entering | None:
    """Room for what enters layer ``first`` with these sequences, in memory or, where it is much, in ``file``; None,
    said on stderr, where it is too much."""
    shape = (sum(len(ids) for one in encoded for ids in one.rows), family.hidden_size)
    size = 4 * shape[0] * shape[1]
    try:
        if size > MOST:
            raise OSError
        values = np.zeros(shape, np.float32) if size <= IN_MEMORY else _mapped(file, size).reshape(shape)
    except OSError:
        print(
            f"note: what enters the adapted layers takes {size / 2**30:,.1f} GiB, more than the {MOST >> 30} GiB that "
            "are kept or than the disk has, so the layers below are computed in every epoch",
            file=sys.stderr,
        )
        return None
    return Entering(family, first, encoded, values)


def _mapped(file: Path, size: int) -> np.ndarray:
    """A file of zeros as an array. Its place on the disk is taken at once: one that is missing later ends a process
    without a word. It has no name any more, so that it goes with the array."""
    try:
        with file.open("wb") as opened:
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(opened.fileno(), 0, size)
            else:
                opened.truncate(size)
        return np.asarray(np.memmap(file, np.float32, "r+"))
    finally:
        file.unlink(missing_ok=True)
