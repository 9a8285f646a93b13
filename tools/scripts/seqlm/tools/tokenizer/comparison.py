"""Several tokenizers on the same sequences: how coarsely each reads them, what it does not know, what it uses.

Letters per token is a ratio of two sums over units (a record, or a stretch of a long one). Its interval is that of
resamples of the units, the same for all tokenizers, so that the ratio of two of them has an interval too.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from seqlm.cli.errors import InputError
from seqlm.data.records import CANONICAL, LETTERS, TEXT
from seqlm.families.family import Family
from seqlm.families.vocabulary import SPECIAL
from seqlm.metrics.resampling import Score, resample_weights
from seqlm.tokenization.encoder import reader_of

RESAMPLES = 1000
EVALUATED = 2_000_000  # letters that are looked at, at most
PIECE = 10_000  # letters of a long unit that are read at once
BATCH = 100


@dataclass(frozen=True)
class Reader:
    """A tokenizer as it reads sequences that were cleaned for another alphabet than its own model's."""

    name: str
    family: Family
    reader: object

    @property
    def vocabulary(self) -> int:
        """Tokens that stand for letters."""
        return sum(not SPECIAL.fullmatch(token) for token in self.family.vocabulary)

    def read(self, texts: Sequence[str]):
        for old, new in self.family.replacements.items():
            texts = [text.replace(old, new) for text in texts]
        return self.reader.read(texts)


def open_reader_of(path: Path, scratch: Path, name: str, alphabet: str) -> Reader:
    """The tokenizer of a model, or one alone, to read sequences of ``alphabet``.

    Raises:
        InputError: naming it, if there is none that can be read.
    """
    from seqlm.checkpoints.tokenizer_bundle import open_tokenizer

    from .inputs import TokenizerAlone, family_of

    try:
        folder, config = open_tokenizer(path, scratch)
        wanted = TEXT if alphabet == CANONICAL else alphabet
        try:
            family = family_of(folder, config, wanted)
        except InputError:  # an architecture that nothing here can run; its tokenizer may still be fine
            family = TokenizerAlone(folder, wanted)
        return Reader(name, family, reader_of(family, folder))
    except InputError as problem:
        raise InputError(f"{name}, to compare with: {problem}") from None


@dataclass
class Measured:
    """What one tokenizer makes of the sequences.

    Attributes:
        letters, tokens: (units,) of each.
        unknown, unread: letters that became the unknown token, and that no token stands for.
        usage: (vocabulary,) how often each token comes.
        lengths: letters that each token stands for in all its occurrences, (vocabulary,).
        vocabulary: tokens that stand for letters.
    """

    name: str
    letters: np.ndarray
    tokens: np.ndarray
    unknown: int
    unread: int
    usage: np.ndarray
    lengths: np.ndarray
    vocabulary: int

    @property
    def used(self) -> int:
        return int(np.count_nonzero(self.usage))


def read_units(reader: Reader, texts: Sequence[str]) -> Measured:
    """Read every text, a unit each, long ones in pieces."""
    size = max(reader.family.vocabulary.values()) + 1
    usage, spans = np.zeros(size, dtype=np.int64), np.zeros(size, dtype=np.int64)
    tokens, unknown, unread = np.zeros(len(texts), dtype=np.int64), 0, 0
    pieces = [(unit, text[at : at + PIECE]) for unit, text in enumerate(texts) for at in range(0, len(text), PIECE)]
    for start in range(0, len(pieces), BATCH):
        part = pieces[start : start + BATCH]
        for (unit, _), reading in zip(part, reader.read([text for _, text in part]), strict=True):
            tokens[unit] += len(reading.ids)
            unknown += len(reading.unknown)
            unread += len(reading.unread)
            usage += np.bincount(reading.ids, minlength=size)
            lengths = np.ones(len(reading.ids)) if reading.lengths is None else reading.lengths
            spans += np.bincount(reading.ids, weights=lengths, minlength=size).astype(np.int64)
    letters = np.fromiter(map(len, texts), dtype=np.int64, count=len(texts))
    return Measured(reader.name, letters, tokens, unknown, unread, usage, spans, reader.vocabulary)


def shuffled(reader: Reader, texts: Sequence[str], seed: int) -> Measured:
    """The same with the letters of each text in random order: what a vocabulary gives that knows nothing of them."""
    rng = random.Random(seed)
    mixed = read_units(reader, ["".join(rng.sample(text, len(text))) for text in texts])
    mixed.name = "letters in random order"
    return mixed


def letters_per_token(readings: Sequence[Measured], seed: int) -> list[tuple[Score, Score]]:
    """For each reading letters per token, and its ratio to the first, both with 95 % intervals.

    The interval is NaN where there is only one unit.
    """
    units = len(readings[0].letters)
    drawn: list[list[np.ndarray]] = [[] for _ in readings]
    if units > 1:
        for weights in resample_weights(units, RESAMPLES, seed):
            letters = weights @ readings[0].letters
            for one, reading in zip(drawn, readings, strict=True):
                one.append(letters / np.maximum(weights @ reading.tokens, 1))
    rates = [reading.letters.sum() / max(reading.tokens.sum(), 1) for reading in readings]
    samples = [np.concatenate(one) if one else np.empty(0) for one in drawn]
    return [
        (_score(rate, one), _score(rate / rates[0], one / samples[0])) for rate, one in zip(rates, samples, strict=True)
    ]


def kmers_of(vocabulary: int, alphabet: str) -> float | None:
    """Letters of a k-mer, not a whole number, of which there would be as many as a vocabulary has tokens."""
    letters = {"DNA": 4, "protein": 20}.get(alphabet) if alphabet in LETTERS else None
    return float(np.log(vocabulary) / np.log(letters)) if letters else None


def _score(value: float, drawn: np.ndarray) -> Score:
    low, high = np.percentile(drawn, [2.5, 97.5]) if len(drawn) else (np.nan, np.nan)
    return Score(float(value), float(low), float(high))
