"""One sequence as tokens, whatever split it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

# what can happen to a letter on the way to tokens, as reports say it
UNKNOWN = "letters without a token of their own read as unknown"
UNREAD = "letters without a token left out"


@dataclass(frozen=True, slots=True)
class Reading:
    """One sequence as tokens, special tokens not among them.

    Attributes:
        ids: (tokens,) int32.
        lengths: (tokens,) int32, letters that each token stands for; None where every token is one letter.
        unknown: the letters that were read as the unknown token, one after the other.
        unread: the letters that no token stands for.
        unplaced: letters of which no 3Di state is known, where structures are given; all of them where the sequence
            has none.
        repaired: the tokenizer as it was published gives other tokens.
    """

    ids: np.ndarray
    lengths: np.ndarray | None = None
    unknown: str = ""
    unread: str = ""
    repaired: bool = False
    unplaced: int = 0
