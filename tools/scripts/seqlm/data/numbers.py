"""Numbers as they may stand in a cell of a user's table.

Python's own reading takes more than a table means: ``1_0`` for 10, digits of every script, ``infinity`` and ``nan``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

NOT_MEASURED = frozenset({"", "na", "nan", "n/a", "none", "null", "-", "."})  # in lower case, in place of a number


def decimal(text: str) -> float:
    """A finite number; raises ValueError for whatever else."""
    if "_" in text or not text.isascii() or not math.isfinite(value := float(text)):
        raise ValueError(f"not a finite number: {text!r}")
    return value


def decimals(texts: Sequence[str]) -> list[float]:
    """:func:`decimal` of each cell of a row, which costs hardly more than ``float``."""
    joined = "".join(texts)
    if "_" in joined or not joined.isascii():
        raise ValueError("not all are numbers")
    values = list(map(float, texts))
    if not all(map(math.isfinite, values)):
        raise ValueError("not all are finite numbers")
    return values


def whole(text: str) -> int:
    """A whole number from 0 on, of at most 18 digits and nothing else; raises ValueError for whatever else."""
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise ValueError(f"not a whole number: {text!r}")
    return int(text)


def is_decimal(text: str) -> bool:
    """Whether :func:`decimal` reads it."""
    try:
        decimal(text)
    except ValueError:
        return False
    return True
