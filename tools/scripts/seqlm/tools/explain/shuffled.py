"""The same model after it has forgotten everything: the numbers of each of its tensors in another order.

A map that such a model gives as well does not come from what was learnt (Adebayo et al. 2018, "Sanity checks for
saliency maps", https://doi.org/10.48550/arXiv.1810.03292). Shuffled numbers have the size and the spread of those that
were learnt, so that the model stays in the range in which it can be computed. They are put back afterwards.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn


@contextmanager
def shuffled(model: nn.Module, seed: int) -> Iterator[None]:
    """While this lasts, the model has shuffled weights; those of a tensor that it uses twice stay the same there."""
    tensors = {id(one): one for one in model.parameters()}.values()
    orders = []
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for tensor in tensors:
            seeds = int(torch.randint(1 << 62, (1,), generator=generator))
            orders.append((tensor, seeds))
            flat = tensor.data.view(-1)
            flat.copy_(flat[_order(seeds, flat)])
    try:
        yield
    finally:
        with torch.no_grad():
            for tensor, seeds in orders:
                flat = tensor.data.view(-1)
                flat[_order(seeds, flat)] = flat.clone()


def _order(seed: int, flat: torch.Tensor) -> torch.Tensor:
    return torch.randperm(len(flat), generator=torch.Generator().manual_seed(seed)).to(flat.device)
