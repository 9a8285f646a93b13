"""Occlusion: how much of the number that is explained is lost when one token is hidden (Zeiler & Fergus 2014,
https://doi.org/10.1007/978-3-319-10590-1_53)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from .function import Function, Item


def maps(
    function: Function,
    items: Sequence[Item],
    only: int | None = None,
    told: Callable[[int], None] = lambda done: None,
) -> list[np.ndarray]:
    """f(sequence) - f(sequence without the token) for each token, (tokens,) of each item.

    Args:
        told: how many sequences are done.
    """
    found = []
    for number, item in enumerate(items):
        places = np.arange(item.tokens)
        changes = [function.hide(0, item, places[:0]), *(function.hide(0, item, places[at : at + 1]) for at in places)]
        values = function.values([item], changes, only)
        found.append(values[0] - values[1:])
        told(number + 1)
    return found
