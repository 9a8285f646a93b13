"""Integrated gradients of the embeddings of tokens (Sundararajan et al. 2017, https://doi.org/10.48550/arXiv.1703.01365).

    value of a token = Σ over its embedding (x - x') * ∫ ∂f/∂x (x' + a (x - x')) da,   a from 0 to 1

by captum, where x' is the embedding of what hides a token. Values add up to f(x) - f(x'), up to the steps of the
integral; what is missing is told. An ESM-2 sets a token that is masked to zero, from where no gradient says anything:
to its norms all that lies on a line through zero is the same. There x' is the mean of the embeddings of all letters.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from captum.attr import IntegratedGradients
from torch import nn

from seqlm.cli.errors import InputError
from seqlm.inference.batching import Batch, collate
from seqlm.inference.inference import out_of_memory

from .function import Function, Item


class Gradients:
    """Integrated gradients of a function.

    Args:
        steps: points at which gradients are taken (Gauss-Legendre).
        budget: padded tokens of a pass with gradients.
        letters: ids of tokens of one letter.
        tokens_first: whether the model embeds (tokens, rows).
    """

    def __init__(self, function: Function, steps: int, budget: int, letters: Sequence[int], tokens_first: bool = False):
        self.function, self.steps, self.budget, self.tokens_first = function, steps, budget, tokens_first
        encoder = function.model.encoder_alone
        self.embedding = encoder.get_input_embeddings()
        table = self.embedding.weight  # which a T5 has in two modules
        self._tables = [one for one in encoder.modules() if isinstance(one, nn.Embedding) and one.weight is table]
        self.letters = torch.tensor(letters) if getattr(encoder.config, "token_dropout", False) else None

    def map(self, item: Item, only: int | None = None) -> tuple[np.ndarray, float]:
        """Values of the tokens (tokens,) of one item, and how much they miss of f(x) - f(x')."""
        found, gap, members = np.zeros(item.tokens), 0.0, 0
        for _ in self.function.model.turns(only):
            values, missed = self._member(item)
            found, gap, members = found + values, gap + missed, members + 1
        return found / members, gap / members

    def _member(self, item: Item) -> tuple[np.ndarray, float]:
        function = self.function
        rows = function.model.device, collate(item.rows, function.encoder.padding)
        batch = rows[1].to(rows[0])
        with torch.no_grad():
            given = self.embedding(batch.ids).float()  # (windows, tokens, hidden)
            without = self._hidden(batch.ids, item)
        at_once = max(1, self.budget // batch.ids.numel())
        while True:
            try:
                with self._replaced() as states:
                    values, missed = IntegratedGradients(_Forward(function, item, batch, states)).attribute(
                        given[None],
                        baselines=without[None],
                        n_steps=self.steps,
                        internal_batch_size=at_once,
                        return_convergence_delta=True,
                    )
                break
            except (torch.OutOfMemoryError, RuntimeError) as problem:
                if at_once == 1 or not out_of_memory(problem):
                    raise
                at_once = max(1, at_once // 2)
        found = np.zeros(item.tokens)
        for row, one in zip(item.rows, values[0].sum(-1).double().cpu().numpy(), strict=True):
            size = len(row.ids) - function.first - len(function.encoder.suffix)
            found[row.start : row.start + size] += one[function.first : function.first + size]
        return found, float(missed.abs().item())

    def _hidden(self, ids: torch.Tensor, item: Item) -> torch.Tensor:
        """Embeddings of the windows where every real token is hidden; special ones stay."""
        function, hidden = self.function, ids.clone()
        real = slice(function.first, ids.shape[1] - len(function.encoder.suffix))
        instead = [[function.instead.get(token, function.hidden) for token in row] for row in ids[:, real].tolist()]
        hidden[:, real] = torch.tensor(instead, device=ids.device)
        states = self.embedding(hidden).float()
        if self.letters is not None:
            states[:, real] = self.embedding(self.letters.to(ids.device)).float().mean(0)
        return states

    @contextmanager
    def _replaced(self) -> Iterator[list]:
        """While this lasts, what stands in the list is what the table of embeddings gives."""
        states: list[torch.Tensor] = []

        def replace(_module, _ids, output: torch.Tensor) -> torch.Tensor:
            return (states[0].transpose(0, 1) if self.tokens_first else states[0]).to(output.dtype)

        hooks = [module.register_forward_hook(replace) for module in self._tables]
        try:
            yield states
        finally:
            for hook in hooks:
                hook.remove()


class _Forward(nn.Module):
    """Embeddings of the windows of an item, (n, windows, tokens, hidden), to the number that is explained, (n,)."""

    def __init__(self, function: Function, item: Item, batch: Batch, states: list):
        super().__init__()
        self._all = (function, item, batch, states)

    def forward(self, given: torch.Tensor) -> torch.Tensor:
        function, item, batch, states = self._all
        count, windows = given.shape[:2]
        states[:] = [given.flatten(0, 1)]
        again = {
            name: value.repeat(count, 1)
            for name in ("ids", "weights", "targets")
            if (value := getattr(batch, name)) is not None
        }
        repeated = Batch(count * windows, **again)
        (parts,) = function.parts(function.model, repeated)
        if torch.is_grad_enabled() and not parts.requires_grad:
            raise InputError("the embeddings of this model cannot be reached, so it has no gradients; take occlusion")
        return function.finish(parts.view(count, windows, -1).sum(1), [item] * count)
