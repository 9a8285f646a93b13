"""A corpus as tokens in a file, and the contexts that a model learns from. Needs no torch.

Every part of the corpus is tokenised once, long ones in pieces; with both strands the reverse complement follows. In
memory stays only where each context lies: 30 bytes for each.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from seqlm.cli.errors import InputError
from seqlm.cli.progress import Progress
from seqlm.data.records import DNA, Rules
from seqlm.inference.batching import Row
from seqlm.tokenization.corpus import Corpus, reverse_complement
from seqlm.tokenization.encoder import Encoder
from seqlm.tokenization.reading import UNKNOWN, UNREAD

from .split import TRAIN, Documents

PIECE = 10_080  # letters that are tokenised at once: a multiple of every length of k-mers up to 10, and of codons
TOGETHER = 200_000  # letters of one call of the tokenizer, which takes some hundred bytes for each


class TokenFile:
    """Ids of tokens in a file, read where they are asked for: pages of a file that is mapped would count as memory.

    Args:
        kind: how an id is written, ``numpy.uint16`` or ``numpy.int32``.
    """

    def __init__(self, path: Path, kind: type):
        self.path, self.kind = path, np.dtype(kind)

    @cached_property
    def _handle(self) -> int:
        return os.open(self.path, os.O_RDONLY)

    def __getitem__(self, part: slice) -> np.ndarray:
        size = self.kind.itemsize
        return np.frombuffer(os.pread(self._handle, (part.stop - part.start) * size, part.start * size), self.kind)


@dataclass
class Store:
    """All tokens one after the other.

    Attributes:
        ids: a slice of it is (tokens,), read from the file.
        starts: (strands + 1,) where each strand of each document begins.
        document: (strands,) number of the document.
        backwards: (strands,) it is the reverse complement.
        lengths: document -> (tokens,) letters of each token, for what is held out.
    """

    ids: TokenFile
    starts: np.ndarray
    document: np.ndarray
    backwards: np.ndarray
    lengths: dict[int, np.ndarray]


def kind_of(vocabulary: int) -> type:
    """The smallest number that holds every id."""
    return np.uint16 if vocabulary <= 1 << 16 else np.int32


def tokenise(
    corpus: Corpus, documents: Documents, encoder: Encoder, replacements: dict[str, str], both_strands: bool,
    vocabulary: int, target: Path, rules: Rules,
) -> Store:  # fmt: skip
    """Write the tokens of all documents into the file ``target``.

    Args:
        replacements: letters that the model has no token for -> what it reads in their place.
        both_strands: of DNA that is learnt from the reverse complement as well.
        rules: counts what is read as something else.

    Raises:
        InputError: letters that the tokenizer does not know.
    """
    kind = kind_of(vocabulary)
    starts, document, backwards, lengths = [0], [], [], {}
    letters = int((documents.end - documents.start).sum())
    progress, done = Progress("tokenising", letters, "letters", lines=5), 0
    with open(target, "wb") as out:
        for number, strand, pieces in _strands(corpus, documents, replacements, both_strands, rules):
            total, of_tokens = 0, []
            for group in _grouped(pieces):
                for reading in encoder.read([(f"sequence {documents.record[number] + 1}", one) for one in group]):
                    out.write(reading.ids.astype(kind).tobytes())
                    total += len(reading.ids)
                    if documents.split[number] != TRAIN:
                        ones = np.ones(len(reading.ids), np.int32)
                        of_tokens.append(ones if reading.lengths is None else reading.lengths)
                    for rule, letters_of in ((UNKNOWN, reading.unknown), (UNREAD, reading.unread)):
                        if letters_of and not strand:  # the other strand has the same
                            rules.count(rule, len(letters_of), unit="part")
            starts.append(starts[-1] + total)
            document.append(number)
            backwards.append(strand)
            if of_tokens:
                lengths[number] = np.concatenate(of_tokens)
            if not strand:
                done += int(documents.end[number] - documents.start[number])
                progress(done)
    return Store(TokenFile(target, kind), np.array(starts), np.array(document), np.array(backwards), lengths)


def _strands(corpus, documents, replacements, both_strands, rules) -> Iterator[tuple[int, bool, Iterator[str]]]:
    table = str.maketrans(replacements)
    for number in range(len(documents.record)):
        text = corpus.text(documents.start[number], documents.end[number])
        if replacements:
            if changed := sum(map(text.count, replacements)):
                rules.count("letters without a token read as the letter for any", changed)
            text = text.translate(table)
        yield number, False, _pieces(text)
        alphabet = corpus.alphabet_at(int(documents.record[number]))
        if both_strands and alphabet == DNA and documents.split[number] == TRAIN:
            yield number, True, _pieces(reverse_complement(text))


def _pieces(text: str) -> Iterator[str]:
    for at in range(0, len(text), PIECE):
        yield text[at : at + PIECE]


def _grouped(pieces: Iterator[str]) -> Iterator[list[str]]:
    group, letters = [], 0
    for piece in pieces:
        group.append(piece)
        letters += len(piece)
        if letters >= TOGETHER:
            yield group
            group, letters = [], 0
    if group:
        yield group


class Contexts(Sequence):
    """Rows of token ids, each read from the file when it is asked for.

    The tokens that begin and end a sequence stand only where it truly begins and ends.

    Args:
        splits: which documents.
        context: tokens of a row, special ones among them.
        overlap: share of a row that the next one of the same document repeats.
        prefix, suffix: ids of the tokens that begin and end a sequence.
        causal: the end counts, as it is to be told.

    Attributes:
        lengths: (rows,) tokens of each.
    """

    def __init__(
        self, store: Store, documents: Documents, split: int, context: int, overlap: float, prefix: list[int],
        suffix: list[int], causal: bool,
    ):  # fmt: skip
        self.store, self.prefix, self.suffix, self.causal = store, prefix, suffix, causal
        self.room = context - len(prefix) - len(suffix)
        if self.room < 2:
            raise InputError(f"a context of {context} tokens has no room for a sequence; choose a longer one")
        self.stride = max(1, self.room - int(overlap * self.room))
        first, last, strand, begins, ends = [], [], [], [], []
        for number in np.flatnonzero(documents.split[store.document] == split):
            size = int(store.starts[number + 1] - store.starts[number])
            starts, stops = self._windows(size)
            document, back = store.document[number], store.backwards[number]
            begin, end = documents.begins[document], documents.ends[document]
            first.append(starts)
            last.append(stops)
            strand.append(np.full(len(starts), number, np.int32))
            begins.append((starts == 0) & bool(end if back else begin))
            ends.append((stops == size) & bool(begin if back else end))
        join = (lambda parts: np.concatenate(parts)) if first else (lambda parts: np.zeros(0, np.int64))
        self.first, self.last, self.strand = join(first), join(last), join(strand).astype(np.int32)
        self.begins, self.ends = join(begins).astype(bool), join(ends).astype(bool)
        self.lengths = self.last - self.first + len(prefix) * self.begins + len(suffix) * self.ends
        enough = self.lengths >= 2  # a single token without a beginning: nothing is to be told
        if not enough.all():
            for name in ("first", "last", "strand", "begins", "ends", "lengths"):
                setattr(self, name, getattr(self, name)[enough])
        self.too_short = int((~enough).sum())

    def _windows(self, size: int) -> tuple[np.ndarray, np.ndarray]:
        """Where rows begin and end; a last one of less than a quarter of a row is moved back to be a full one."""
        if size <= self.room:
            return np.array([0]), np.array([size])
        starts = np.arange(0, size - self.room + self.stride, self.stride)
        stops = np.minimum(starts + self.room, size)
        if stops[-1] - starts[-1] < max(self.room // 4, 2):
            starts[-1] = size - self.room
        return starts, stops

    def __len__(self) -> int:
        return len(self.first)

    def __getitem__(self, number: int) -> Row:
        at = self.store.starts[self.strand[number]]
        ids = self.store.ids[at + self.first[number] : at + self.last[number]].astype(np.int64)
        weights = np.ones(len(ids), np.float32)
        before = self.prefix if self.begins[number] else []
        after = self.suffix if self.ends[number] else []
        if before or after:
            ids = np.concatenate([before, ids, after]).astype(np.int64)
            weights = np.concatenate([np.zeros(len(before)), weights, np.full(len(after), float(self.causal))])
        return Row(ids, weights.astype(np.float32), number, int(self.first[number]) - len(before))

    def span(self, number: int, documents: Documents) -> tuple[int, int]:
        """Where in the corpus the letters of a row lie, of a document that is held out."""
        document = self.store.document[self.strand[number]]
        lengths = self.store.lengths[document]
        start = int(documents.start[document]) + int(lengths[: self.first[number]].sum())
        return start, start + int(lengths[self.first[number] : self.last[number]].sum())
