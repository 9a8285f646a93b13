"""Pairs of residues by how far apart they are along the chain, as CASP counts them, and the most probable of them."""

from __future__ import annotations

import numpy as np

LEAST = 6  # residues apart along the chain; nearer ones touch in every helix
RANGES = {"short": (6, 12), "medium": (12, 24), "long": (24, 1 << 30)}  # residues apart, from and below
LONG = RANGES["long"][0]


def range_of(apart: int) -> str:
    """The name of the range of residues so far apart."""
    return next(name for name, (low, high) in RANGES.items() if low <= apart < high)


def pairs(count: int, low: int = LEAST, high: int = 1 << 30) -> tuple[np.ndarray, np.ndarray]:
    """Both places of all pairs of ``count`` residues that are ``low`` or more and less than ``high`` apart."""
    first, second = np.triu_indices(count, low)
    near = second - first < high
    return first[near], second[near]


def best(values: np.ndarray, most: int) -> np.ndarray:
    """Numbers of the highest values (n,), the highest first."""
    return np.argsort(-values, kind="stable")[:most]


def judged(probabilities: np.ndarray) -> tuple[float, bool]:
    """Mean probability of as many pairs as there are residues, the most probable long-range ones, and whether they are
    such: of a short protein, with fewer of them, they are of any range. NaN where there is no pair at all."""
    count = len(probabilities)
    first, second = pairs(count, LONG)
    is_long = len(first) >= count
    values = probabilities[first, second] if is_long else probabilities[pairs(count)]
    return float(values[best(values, count)].mean()) if len(values) else float("nan"), is_long
