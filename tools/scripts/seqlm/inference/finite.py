"""The one gate for numbers that come out of a model: what is no finite number is refused, never passed on.

The smallest and the largest number of a tensor tell it, since NaN is both where there is one; that is one pass at the
speed of the memory and takes none, so that weights are looked at as well.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch

from seqlm.cli.errors import InputError
from seqlm.cli.text import shown


def first_not_finite(named: Iterable[tuple[str, torch.Tensor]]) -> str | None:
    """The name of the first tensor that holds NaN or an infinite number."""
    names, extremes = [], []
    for name, tensor in named:
        if tensor.is_floating_point() and tensor.numel():
            names.append(name)
            extremes.append(torch.stack(torch.aminmax(tensor.detach())).double().cpu())
    for name, found in zip(names, extremes, strict=True):
        if not found.isfinite().all():
            return name
    return None


def check_weights(named: Iterable[tuple[str, torch.Tensor]], what: str) -> None:
    """Raise InputError, naming the tensor, where weights are no numbers; ``what`` holds them, such as "the adapter"."""
    if (wrong := first_not_finite(named)) is not None:
        raise InputError(f"{what} is damaged: its tensor {shown(wrong, 120)} holds values that are no numbers")


def check_results(results: Iterable[torch.Tensor], owners: Callable[[], list[str]] = list) -> None:
    """Raise InputError where what a model gave is no finite number; ``owners`` tells of which sequences it is."""
    if first_not_finite(("", result) for result in results) is not None:
        names = owners()
        of = f" for '{shown(names[0])}'" if names else ""
        of += f" or one of {len(names) - 1} others" if len(names) > 1 else ""
        raise InputError(
            f"the model gives no finite numbers{of}; its weights are damaged (as by too high a learning rate), or "
            "the number format is too small for it (choose fp32)"
        )
