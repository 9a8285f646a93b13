"""Attention rolled out: how much of what the head reads was collected at each position (Abnar & Zuidema 2020,
https://doi.org/10.18653/v1/2020.acl-main.385).

    R = (A_n / 2 + I / 2) … (A_1 / 2 + I / 2), A the mean over the heads of a layer

It says where a model looks, for whatever prediction, and not what speaks for one: values are never negative, and the
same for every class (Jain & Wallace 2019, https://doi.org/10.48550/arXiv.1902.10186).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch

from seqlm.cli.errors import InputError
from seqlm.inference.batching import collate

from .function import Function, Item


def maps(
    function: Function,
    items: Sequence[Item],
    only: int | None = None,
    told: Callable[[int], None] = lambda done: None,
) -> list[np.ndarray]:
    """The share of each token (tokens,) of each item in what its head reads.

    Args:
        told: how many sequences are done.

    Raises:
        InputError: a model that does not give its attention.
    """
    encoder = function.model.encoder_alone
    usual = encoder.config._attn_implementation
    encoder.set_attn_implementation("eager")  # the fused one has no scores to show
    try:
        found = []
        for number, item in enumerate(items):
            shares, members = np.zeros(item.tokens), 0
            for _ in function.model.turns(only):
                shares, members = shares + _shares(function, item), members + 1
            found.append(shares / members)
            told(number + 1)
        return found
    finally:
        encoder.set_attn_implementation(usual)


@torch.inference_mode()
def _shares(function: Function, item: Item) -> np.ndarray:
    found = np.zeros(item.tokens)
    total = sum(float(row.weights.sum()) for row in item.rows)
    for row in item.rows:  # one window at a time: scores are of every two tokens of it
        batch = collate([row], function.encoder.padding).to(function.model.device)
        attentions = function.model.backbone(input_ids=batch.ids, output_attentions=True).attentions
        if not attentions or attentions[0] is None:
            raise InputError("this model does not give its attention; take another method (--method)")
        share = batch.weights[0] / total
        for scores in reversed(attentions):
            share = share / 2 + share @ scores[0].float().mean(0) / 2
        size = len(row.ids) - function.first - len(function.encoder.suffix)
        found[row.start : row.start + size] += share[function.first : function.first + size].cpu().numpy()
    return found
