"""The vectors of every layer of a model from one pass."""

from __future__ import annotations

import torch
from torch import nn

from seqlm.families.family import Family

from .batching import Batch
from .loading import SequenceModel


class EveryLayer(SequenceModel):
    """The vectors of each of several layers, one behind the other: ``hidden_size`` counts all of them."""

    def __init__(self, backbone: nn.Module, hidden_size: int, layers: tuple[int, ...], family: Family):
        super().__init__(backbone, hidden_size * len(layers), layers=layers, family=family)

    def weighted_sums(self, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        """As of a single layer, (rows, layers times hidden) and (rows,); no states of tokens are held."""
        sums: list[torch.Tensor] = []
        self.on_the_way(batch, lambda states: sums.append(torch.einsum("rth,rt->rh", states.float(), batch.weights)))
        return torch.cat(sums, 1), batch.weights.sum(1)

    def maxima(self, batch: Batch) -> torch.Tensor:
        """(rows, layers times hidden)."""
        found: list[torch.Tensor] = []
        left_out = batch.weights[..., None] == 0
        self.on_the_way(batch, lambda states: found.append(states.float().masked_fill(left_out, -torch.inf).amax(1)))
        return torch.cat(found, 1)
