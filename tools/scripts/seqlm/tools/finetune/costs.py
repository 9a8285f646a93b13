"""How many weights each method trains of a model, and what memory they take: told from shapes alone."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

from seqlm.checkpoints.manifest import ADAPTERS
from seqlm.cli.errors import InputError
from seqlm.families.family import Family
from seqlm.inference.adapters import LoraSettings, add_adapter
from seqlm.inference.four_bits import linear_maps
from seqlm.inference.loading import on_meta
from seqlm.inference.memory import IN_FOUR_BITS

from .summary import Cost

TRAINED = 16  # bytes of a weight in single precision, its gradient, and two moments of the optimizer
FROZEN = 4


def costs(
    load: Callable, folder: Path, family: Family, settings: LoraSettings, methods: Iterable[str], writes: bool = False
) -> list[Cost]:
    """What each method would take, all other settings being as they are; a method that cannot be is left out.

    Args:
        load: a method of the family that makes the model.
        writes: see :func:`add_adapter`.
    """
    model = on_meta(load, folder).requires_grad_(False)
    total = sum(one.numel() for one in model.parameters())
    maps = sum(module.weight.numel() for _, module in linear_maps(model, family))
    found = []
    for method in methods:
        trained = {"full": total}.get(method, 0)
        if method in ADAPTERS:
            mine = replace(settings, method=method, pissa=False)
            try:
                adapted = add_adapter(copy.deepcopy(model), family, mine, "", writes)
            except InputError:  # its rank is too large, or the family has no such modules
                continue
            trained = sum(one.numel() for one in adapted.parameters() if one.requires_grad)
        small = maps if method == "qlora" else 0
        frozen = 0 if method == "full" else total - small
        found.append(Cost(method, trained, round(FROZEN * frozen + IN_FOUR_BITS * small + TRAINED * trained)))
    return found
