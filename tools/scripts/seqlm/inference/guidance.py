"""A tuned model and the base model of its adapter, mixed token by token.

The numbers for the next token are

    base + w (tuned - base)

before anything else is done to them: w = 1 is the tuned model, 0 the base model, and above 1 what tuning changed is
taken further. That is classifier-free guidance (Sanchez et al. 2023, https://doi.org/10.48550/arXiv.2306.17806) with
the tuned model in the place of the conditional one, as in DExperts (Liu et al. 2021,
https://doi.org/10.48550/arXiv.2105.03023). Both read the same tokens with the same weights, the adapter switched on or
off, so a second model takes no memory but that of its keys and values.
"""

from __future__ import annotations

from types import SimpleNamespace

import torch
from torch import nn
from transformers.cache_utils import Cache


class Guided(nn.Module):
    """What :func:`seqlm.inference.sampling.sample` runs in the place of a model with an adapter.

    Args:
        tuned: as :func:`seqlm.inference.adapters.load_adapter` gives it.
        weight: w; at 1 and 0 only one of the two is computed.
    """

    def __init__(self, tuned: nn.Module, weight: float):
        super().__init__()
        self.tuned, self.weight = tuned, weight

    @property
    def device(self) -> torch.device:
        return self.tuned.device

    @property
    def kept_layers(self) -> int:
        """Layers whose keys and values are kept: those of the tuned model, then those of the base model."""
        return self.tuned.config.num_hidden_layers * (1 if self.weight in (0, 1) else 2)

    def forward(self, past_key_values: Cache | None = None, **inputs) -> SimpleNamespace:
        """``logits`` (rows, tokens, vocabulary), and ``past_key_values`` of both models."""
        if self.weight == 1:
            return self.tuned(past_key_values=past_key_values, **inputs)
        if self.weight == 0:
            return self._base(past_key_values, inputs)
        halves = (None, None)
        if past_key_values is not None:
            half = self.kept_layers // 2
            halves = tuple(
                Cache(layers=part) for part in (past_key_values.layers[:half], past_key_values.layers[half:])
            )
        tuned = self.tuned(past_key_values=halves[0], **inputs)
        base = self._base(halves[1], inputs)
        both = Cache(layers=[*tuned.past_key_values.layers, *base.past_key_values.layers])
        return SimpleNamespace(logits=base.logits.lerp(tuned.logits, self.weight), past_key_values=both)

    def _base(self, past_key_values: Cache | None, inputs: dict):
        with self.tuned.disable_adapter():
            return self.tuned(past_key_values=past_key_values, **inputs)
