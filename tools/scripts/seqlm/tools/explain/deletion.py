"""Deletion curves: the number that is explained as more and more of a sequence is hidden, in the order of a map and in
random orders (Petsiuk et al. 2018, RISE, https://doi.org/10.48550/arXiv.1806.07421)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from .function import Function, Item

SHARES = np.linspace(0, 1, 11)  # of the tokens that are hidden
RANDOM_ORDERS = 5


def curves(
    function: Function,
    items: Sequence[Item],
    orders: Sequence[Sequence[np.ndarray]],
    only: int | None = None,
    told: Callable[[int], None] = lambda done: None,
) -> np.ndarray:
    """The number after each share was hidden, (items, orders, shares).

    Args:
        orders: of each item several, all alike many: numbers of its tokens (tokens,), what is hidden first comes first.
        told: how many items are done.
    """
    found = []
    for number, (item, own) in enumerate(zip(items, orders, strict=True)):
        ends = np.rint(SHARES * item.tokens).astype(int)
        # nothing and everything is hidden alike in every order
        changes = [function.hide(0, item, own[0][:0]), function.hide(0, item, own[0])]
        changes += [function.hide(0, item, np.sort(order[:end])) for order in own for end in ends[1:-1]]
        values = function.values([item], changes, only)
        inner = values[2:].reshape(len(own), len(SHARES) - 2)
        whole, nothing = (np.full((len(own), 1), value) for value in values[:2])
        found.append(np.hstack([whole, inner, nothing]))
        told(number + 1)
    return np.stack(found)


def by_value(values: np.ndarray) -> np.ndarray:
    """Numbers of tokens, those that speak for the prediction the most first."""
    return np.argsort(-values, kind="stable")


def random_orders(item: Item, generator: np.random.Generator) -> list[np.ndarray]:
    return [generator.permutation(item.tokens) for _ in range(RANDOM_ORDERS)]


def gains(found: np.ndarray) -> np.ndarray:
    """How far the first order lies below the random ones that follow it, on average over the shares, (items,)."""
    inner = found[:, :, 1:-1].mean(-1)
    return inner[:, 1 : 1 + RANDOM_ORDERS].mean(1) - inner[:, 0]
