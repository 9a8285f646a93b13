"""How a tokenizer splits sequences: a table of tokens, how often each is used, and what all of it adds up to.

Sequences are a stream; what is kept is a number a token of the vocabulary, and the first few sequences for the report.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from seqlm.cli.progress import Progress
from seqlm.data.records import LETTERS, Rules
from seqlm.data.sequences import clean
from seqlm.tokenization.encoder import Piece
from seqlm.tokenization.reading import Reading
from seqlm.tokenization.survey import records

from .inputs import Plan

CHUNK_SEQUENCES, CHUNK_LETTERS = 1000, 1_000_000
SHUFFLED, SHUFFLED_LETTERS = 200, 200_000  # sequences whose letters are shuffled, for comparison
TOKEN_COLUMNS = ["id", "number", "token", "token_id", "start", "end", "letters"]
SEQUENCE_COLUMNS = ["id", "tokens", "count", "letters_per_token", "token_ids"]
USAGE_COLUMNS = ["token", "token_id", "letters", "count", "share"]


@dataclass(frozen=True)
class Example:
    """One sequence as it is drawn: its tokens, and those of the tokenizer as published where these are others."""

    id: str
    sequence: str
    pieces: list[Piece]
    published: list[Piece] | None = None


@dataclass
class Inspection:
    """What all sequences together say about a tokenizer.

    Attributes:
        usage: (vocabulary,) how often each token comes, special tokens not counted.
        letters_of: (vocabulary,) letters that each token stood for, all its occurrences together.
        counts: tokens of a sequence -> number of sequences.
        unknown, unread: letters; repaired: molecules that the published tokenizer reads otherwise.
        over: sequences with more tokens than the model reads at once.
        shuffled: letters a token in the first sequences and in the same with their letters shuffled; None where a
            token is always one letter, or there is too little to tell.
        examples: the first sequences; differing: the first molecules that the published tokenizer reads otherwise.
    """

    plan: Plan
    usage: np.ndarray
    letters_of: np.ndarray
    counts: Counter = field(default_factory=Counter)
    sequences: int = 0
    letters: int = 0
    unknown: int = 0
    unread: int = 0
    repaired: int = 0
    over: int = 0
    shuffled: tuple[float, float] | None = None
    examples: list[Example] = field(default_factory=list)
    differing: list[Example] = field(default_factory=list)

    @property
    def tokens(self) -> int:
        return int(self.usage.sum())

    @property
    def letters_per_token(self) -> float:
        return self.letters / self.tokens

    @property
    def used(self) -> int:
        return int(np.count_nonzero(self.usage))

    def tokens_quantiles(self) -> tuple[int, int, int]:
        """Fewest, median and most tokens of a sequence."""
        values = sorted(self.counts)
        half, seen = self.sequences / 2, 0
        for value in values:
            seen += self.counts[value]
            if seen >= half:
                return values[0], value, values[-1]
        raise ValueError("no sequence")


class Inspector:
    """Goes over the sequences of a plan; ``found`` is complete once all rows have been taken."""

    def __init__(self, plan: Plan):
        self.plan = plan
        size = max(plan.family.vocabulary.values()) + 1
        self.found = Inspection(plan, np.zeros(size, np.int64), np.zeros(size, np.int64))
        self._progress = Progress("reading", plan.survey.sequences, "sequences")
        self._first: list[str] = []  # sequences that are shuffled, for comparison
        self._room = SHUFFLED_LETTERS

    def rows(self, form: str) -> Iterator[list]:
        """Rows of the table: ``token``, a row a token, or ``sequence``, a row a sequence."""
        row = self._by_token if form == "token" else self._by_sequence
        for name, sequence, reading in self._readings():
            pieces = self.plan.encoder.pieces_of(reading)
            self._count(name, sequence, reading, pieces)
            yield from row(name, sequence, reading, pieces)
        self.found.shuffled = self._shuffled()

    def usage_rows(self) -> Iterator[list]:
        """The vocabulary, the most used token first."""
        found, names = self.found, {number: token for token, number in self.plan.family.vocabulary.items()}
        total = max(found.tokens, 1)
        for number in np.lexsort((np.arange(len(found.usage)), -found.usage)).tolist():
            if number in names:
                count = int(found.usage[number])
                letters = found.letters_of[number] / count if count else None
                yield [names[number], number, letters, count, count / total]

    def _readings(self) -> Iterator[tuple[str, str, Reading]]:
        plan, rules = self.plan, Rules()
        chunk: list[tuple[str, str]] = []
        letters = done = 0
        for record in records(plan.arguments):
            sequence = clean(record, plan.family.alphabet, plan.family.replacements, rules, plan.arguments.sequences)
            chunk.append((record.id, sequence))
            letters += len(sequence)
            if len(chunk) == CHUNK_SEQUENCES or letters >= CHUNK_LETTERS:
                yield from self._read(chunk)
                done += len(chunk)
                self._progress(done)
                chunk, letters = [], 0
        yield from self._read(chunk)
        self._progress(done + len(chunk))

    def _read(self, chunk: list[tuple[str, str]]) -> Iterator[tuple[str, str, Reading]]:
        for (name, sequence), reading in zip(chunk, self.plan.encoder.read(chunk), strict=True):
            yield name, sequence, reading

    def _count(self, name: str, sequence: str, reading: Reading, pieces: list[Piece]) -> None:
        found, size = self.found, len(self.found.usage)
        found.usage += np.bincount(reading.ids, minlength=size)
        lengths = np.ones(len(reading.ids)) if reading.lengths is None else reading.lengths
        found.letters_of += np.bincount(reading.ids, weights=lengths, minlength=size).astype(np.int64)
        found.counts[len(reading.ids)] += 1
        found.sequences += 1
        found.letters += len(sequence)
        found.unknown += len(reading.unknown)
        found.unread += len(reading.unread)
        found.repaired += reading.repaired
        found.over += self.plan.limit is not None and len(reading.ids) > self.plan.limit
        if len(self._first) < SHUFFLED and self._room > 0:
            self._first.append(sequence[: self._room])
            self._room -= len(self._first[-1])
        shown = self.plan.arguments.shown
        if len(found.examples) < shown:
            found.examples.append(self._example(name, sequence, pieces, reading))
        if reading.repaired and len(found.differing) < shown:
            found.differing.append(self._example(name, sequence, pieces, reading))

    def _example(self, name: str, sequence: str, pieces: list[Piece], reading: Reading) -> Example:
        published = self.plan.published
        other = published.pieces(sequence, name) if published and reading.repaired else None
        return Example(name, sequence, pieces, other)

    def _by_token(self, name: str, sequence: str, reading: Reading, pieces: list[Piece]) -> Iterator[list]:
        for number, piece in enumerate(pieces, start=1):
            place = [piece.start + 1, piece.end] if piece.end > piece.start else [None, None]
            yield [name, number, piece.token, piece.id, *place, sequence[piece.start : piece.end]]

    def _by_sequence(self, name: str, sequence: str, reading: Reading, pieces: list[Piece]) -> Iterator[list]:
        ids = [*self.plan.encoder.prefix, *reading.ids.tolist(), *self.plan.encoder.suffix]
        tokens = " ".join(piece.token for piece in pieces)
        yield [name, tokens, len(pieces), len(sequence) / len(pieces), " ".join(map(str, ids))]

    def _shuffled(self) -> tuple[float, float] | None:
        if self.plan.family.alphabet not in LETTERS or self.found.letters == self.found.tokens:
            return None
        rng = random.Random(0)
        shuffled = ["".join(rng.sample(text, len(text))) for text in self._first]
        letters = sum(map(len, shuffled))
        as_they_are, mixed = (
            letters / sum(len(reading.ids) for reading in self.plan.encoder.read([("", text) for text in texts]))
            for texts in (self._first, shuffled)
        )
        return as_they_are, mixed
