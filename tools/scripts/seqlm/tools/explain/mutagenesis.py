"""In-silico mutagenesis: the number that is explained after every single substitution (Zhou & Troyanskaya 2015,
https://doi.org/10.1038/nmeth.3547). Only the windows that hold a substitution are computed again."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from .function import Change, Function, Item


def scans(
    function: Function,
    items: Sequence[Item],
    codes: Sequence[int],
    only: int | None = None,
    told: Callable[[int], None] = lambda done: None,
) -> list[np.ndarray]:
    """f(with the letter) - f(sequence) of each letter at each position, (positions, letters); 0 for its own.

    Args:
        codes: tokens of the letters.
        told: how many sequences are done.
    """
    found = []
    for number, item in enumerate(items):
        own = function.tokens_of(item)
        asked = np.argwhere(own[:, None] != np.asarray(codes))
        changes = [Change(0, np.asarray([]), 0)]
        changes += [Change(0, np.asarray([place]), codes[column]) for place, column in asked.tolist()]
        values = function.values([item], changes, only)
        effects = np.zeros((item.tokens, len(codes)))
        effects[tuple(asked.T)] = values[1:] - values[0]
        found.append(effects)
        told(number + 1)
    return found


def lost(effects: np.ndarray, own: np.ndarray) -> np.ndarray:
    """What is lost on average where a letter is replaced by any other, (positions,).

    Args:
        effects: (positions, letters) as of :func:`scans`; own: (positions, letters) whether it is the letter itself.
    """
    return -effects.sum(1) / np.maximum((~own).sum(1), 1)
