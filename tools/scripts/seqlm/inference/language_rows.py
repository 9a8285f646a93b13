"""Sequences as rows of token ids that a causal model is trained and judged on; a long one as overlapping windows.

Every token after the first counts once, in the window that shows most of what is before it::

    positions        0 … 1023
    second window        768 … 1791        the tokens from 1024 on count in it
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from seqlm.cli.errors import InputError
from seqlm.data.records import Rules
from seqlm.tokenization.language_text import LanguageText

from .batching import Row

SHORTEST = 8  # tokens that must be read at once


@dataclass(frozen=True)
class Text:
    """One sequence as a model is judged on it.

    Attributes:
        rows: token ids; ``weights`` is 1 where a token counts.
        tokens: how many count.
        first, last: the letters that they stand for are ``sequence[first:last]``.
        ended: the end of the sequence counts too.
    """

    rows: tuple[Row, ...]
    tokens: int
    first: int
    last: int
    ended: bool

    @property
    def letters(self) -> int:
        return self.last - self.first


def windows(ids: np.ndarray, limit: int, owner: int = 0, given: int = 1) -> list[Row]:
    """Rows of at most ``limit`` tokens in which each token but the first ``given`` of all counts once.

    Windows overlap by a quarter or more, and the last one is moved back to be a full one. Where more than the token
    that begins a text is given, a control tag, it stands before each of them.

    >>> [(row.start, row.weights.tolist()) for row in windows(np.arange(6), 4)]
    [(0, [0.0, 1.0, 1.0, 1.0]), (2, [0.0, 0.0, 1.0, 1.0])]
    >>> [row.ids.tolist() for row in windows(np.arange(8), 6, given=2)]
    [[0, 1, 2, 3, 4, 5], [0, 1, 4, 5, 6, 7]]
    """
    tag = ids[:given] if given > 1 else ids[:0]
    ids, limit = ids[len(tag) :], limit - len(tag)
    starts = [0]
    if len(ids) > limit:
        starts = [*range(0, len(ids) - limit, limit - max(limit // 4, 1)), len(ids) - limit]
    rows, counted = [], given - len(tag)
    for start in starts:
        part = ids[start : start + limit]
        weights = np.ones(len(part), np.float32)
        weights[: max(counted - start, 0)] = 0
        counted = max(counted, start + len(part))
        weights = np.concatenate([np.zeros(len(tag), np.float32), weights])
        rows.append(Row(np.concatenate([tag, part]), weights, owner, start))
    return rows


def read_texts(
    text: LanguageText,
    items: Sequence[tuple[str, str]],
    *,
    limit: int,
    long_sequences: str = "window",
    rules: Rules,
) -> list[Text]:
    """Every (name, sequence) as rows; what was windowed or cut is counted in ``rules``.

    Args:
        limit: tokens of a row, start and end among them.
        long_sequences: ``window``, ``truncate`` or ``refuse``.

    Raises:
        InputError: naming a sequence that is too long or cannot be read, or that has a single token, so that there is
            nothing to be told from what is before it.
    """
    texts = []
    for owner, ((name, sequence), ids) in enumerate(zip(items, _encoded(text, items), strict=True)):
        first = len(text.write(ids[:1])) if text.start is None else 0
        last, ended = len(sequence), bool(text.ends)
        if len(ids) < 2:
            raise InputError(f"the sequence '{name}' is a single token to the model; nothing is to be told from it")
        if len(ids) > limit:
            if long_sequences == "refuse":
                raise InputError(
                    f"the sequence '{name}' has {len(ids):,} tokens, start and end included, over the limit of "
                    f"{limit:,}; choose windows or truncation, or leave it out"
                )
            if long_sequences == "truncate":
                ids, ended = ids[:limit], False
                last = len(text.write(ids))
                rules.count(f"cut off at {limit:,} tokens", len(sequence) - last)
            else:
                rules.count(f"read in overlapping windows of {limit:,} tokens", len(sequence))
        texts.append(Text(tuple(windows(ids, limit, owner)), len(ids) - 1, first, last, ended))
    return texts


def _encoded(text: LanguageText, items: Sequence[tuple[str, str]]) -> list[np.ndarray]:
    try:
        return text.encode([sequence for _, sequence in items])
    except InputError:
        for name, sequence in items:  # which one was it?
            try:
                text.encode([sequence])
            except InputError as problem:
                raise InputError(f"the sequence '{name}' cannot be read: {problem}") from None
        raise
