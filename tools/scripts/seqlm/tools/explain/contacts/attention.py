"""Contacts of a protein, from the attention of an ESM (Rao et al. 2021, https://doi.org/10.1101/2020.12.15.422761).

    logit(p_ij) = bias + Σ over layers and heads  weight * C(A + Aᵀ)_ij,    C(S)_ij = S_ij - S_i. S_.j / S_..

A is the attention of a head between the residues alone, without the tokens around them; C takes away what a residue
pays or is paid in any case (average product correction). The sum is taken layer by layer, so that the attention of one
layer is held at a time, where transformers' own ``predict_contacts`` holds that of all several times over.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import nn


class ContactModel:
    """An ``EsmModel`` of transformers with a fitted head for contacts.

    Args:
        special: tokens before and after the residues.
    """

    def __init__(self, model: nn.Module, special: tuple[int, int] = (1, 1)):
        self.model, self.special = model, special
        self.layers = [layer.attention.self for layer in model.encoder.layer]
        regression = model.contact_head.regression
        self.weights = regression.weight.detach().float().view(len(self.layers), -1)  # (layers, heads)
        self.bias = regression.bias.detach().float()
        model.set_attn_implementation("eager")  # the fused one has no attention to show

    @property
    def learnt(self) -> nn.ModuleList:
        """All of the model but the head, which stays when weights are shuffled."""
        return nn.ModuleList([self.model.embeddings, self.model.encoder])

    @torch.inference_mode()
    def contacts(self, ids: np.ndarray) -> np.ndarray:
        """Probability that two residues touch, (residues, residues).

        Args:
            ids: (tokens,) of one protein: what is padded to the length of another is read more slowly, and no better.
        """
        tokens = torch.from_numpy(np.asarray(ids, np.int64))[None].to(self.bias.device)
        with self._summed(len(ids)) as logits:
            self.model(input_ids=tokens, attention_mask=torch.ones_like(tokens))
        return (logits + self.bias).sigmoid().cpu().numpy()

    @contextmanager
    def _summed(self, tokens: int) -> Iterator[torch.Tensor]:
        """While this lasts, what each layer adds to the logits is added to a tensor of zeros."""
        first, last = self.special
        inner = slice(first, tokens - last)
        count = tokens - first - last
        logits = self.bias.new_zeros(count, count)

        def add(number: int, output: tuple) -> None:
            attention, weights = output[1][0, :, inner, inner].float(), self.weights[number]
            paid = attention.sum(2) + attention.sum(1)  # (heads, residues)
            mixed = torch.einsum("h,hij->ij", weights, attention)
            logits.add_(mixed + mixed.T - (paid * (weights / paid.sum(1))[:, None]).T @ paid)

        hooks = [
            layer.register_forward_hook(lambda module, given, output, number=number: add(number, output))
            for number, layer in enumerate(self.layers)
        ]
        try:
            yield logits
        finally:
            for hook in hooks:
                hook.remove()
