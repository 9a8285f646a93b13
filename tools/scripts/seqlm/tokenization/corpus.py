"""The sequences that a tokenizer learns from, cleaned, as one file of letters on disk that any part can be read from.

A corpus may be larger than the memory. What is kept of it there is 8 bytes a record and 24 a unit. A unit is what is
held out as a whole: a record, or a stretch of a long one. Which units are held out is decided by a hash of their
letters, so that equal sequences are always on the same side, and it does not depend on the order of the records.
"""

from __future__ import annotations

import hashlib
import os
import re
from argparse import Namespace
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

from seqlm.cli.errors import InputError
from seqlm.cli.progress import Progress
from seqlm.data.records import CANONICAL, DNA, LETTERS, PROTEIN, TEXT, Record, Rules
from seqlm.data.sequences import Strangers, clean, read_records
from seqlm.data.unread_columns import count_unread_of

TOLD_FROM = 200_000  # letters at the beginning of a file from which its alphabet is told
CERTAIN = 0.9  # share of letters that decides
PART = 1 << 20  # letters counted at once, eight bytes for each
UNITS = 200  # a long record is cut into stretches, so many that all letters make about this many
LONGEST_UNIT = 100_000
CANONICAL_LETTERS = {DNA: "ACGT", PROTEIN: "ACDEFGHIKLMNPQRSTVWY"}
COMPLEMENT = str.maketrans("ACGTNRYSWKMBDHV", "TGCANYRSWMKVHDB")
AMBIGUOUS_LEFT_OUT = "letters that stand for several left out of training"


@dataclass
class Corpus:
    """All sequences as one row of letters.

    Attributes:
        alphabet: of all files together; text where they differ.
        alphabets: of each file.
        path: a file of all letters, ASCII; it is read in parts, and not mapped, so that it never counts as memory.
        starts: (records + 1,) where each record begins.
        files: (files + 1,) number of the first record of each file.
        rules: what cleaning changed.
        repeated: records that are equal to one before them.
        sha256: of the cleaned sequences, a line each.
    """

    alphabet: str
    alphabets: tuple[str, ...]
    path: Path
    starts: np.ndarray
    files: np.ndarray
    rules: Rules = field(default_factory=Rules)
    repeated: int = 0
    sha256: str = ""

    @property
    def records(self) -> int:
        return len(self.starts) - 1

    @property
    def letters(self) -> int:
        return int(self.starts[-1])

    @property
    def longest(self) -> int:
        return int(np.diff(self.starts).max())

    @cached_property
    def _handle(self) -> int:
        return os.open(self.path, os.O_RDONLY)

    def content(self, start: int, end: int) -> bytes:
        return os.pread(self._handle, end - start, start)

    def text(self, start: int, end: int) -> str:
        return self.content(start, end).decode("ascii")

    def alphabet_at(self, record: int) -> str:
        return self.alphabets[int(np.searchsorted(self.files, record, side="right")) - 1]

    def characters(self) -> str:
        """Every character that occurs, in order."""
        seen = np.zeros(256, dtype=bool)
        for start in range(0, self.letters, PART):
            part = self.content(start, min(start + PART, self.letters))
            seen |= np.bincount(np.frombuffer(part, dtype=np.uint8), minlength=256) > 0
        return "".join(map(chr, np.flatnonzero(seen)))


def read_corpus(arguments: Namespace, scratch: Path) -> Corpus:
    """Go over all files of ``--corpus`` once.

    Raises:
        InputError: what cannot be read, a letter that the alphabet does not have, DNA given as protein or the other
            way round.
    """
    target = scratch / "corpus"
    starts, files, seen = array("q", [0]), [0], array("q")
    rules, digest, alphabets = Rules(), hashlib.sha256(), []
    with open(target, "wb") as out:
        for path in arguments.corpus:
            alphabet = _alphabet_of(path, arguments)
            alphabets.append(alphabet)
            strangers = Strangers(alphabet)
            for record in records_of(path, arguments):
                text = clean(record, alphabet, {}, rules, path)
                strangers.see(record.sequence)
                content = _ascii(text, record, path)
                out.write(content)
                digest.update(content + b"\n")
                seen.append(hash(text))
                starts.append(starts[-1] + len(content))
            strangers.refuse(path)
            count_unread_of(path, arguments.format, rules, len(starts) - 1 - files[-1])
            files.append(len(starts) - 1)
    if arguments.smiles == "canonical" and CANONICAL not in alphabets:
        raise InputError("only molecules can be written as canonical SMILES; these sequences are " + alphabets[0])
    together = alphabets[0] if len(set(alphabets)) == 1 else TEXT
    ordered = np.sort(np.frombuffer(seen, dtype=np.int64))
    repeated = int((ordered[1:] == ordered[:-1]).sum())
    where = np.frombuffer(starts, dtype=np.int64)
    return Corpus(together, tuple(alphabets), target, where, np.asarray(files), rules, repeated, digest.hexdigest())


def records_of(path: str | Path, arguments: Namespace) -> Iterator[Record]:
    """The records of one file of a corpus; names may come twice, since nobody asks for them."""
    return read_records(
        path,
        format=arguments.format,
        id_column=arguments.id_column,
        sequence_column=arguments.sequence_column,
    )


def _alphabet_of(path: str | Path, arguments: Namespace) -> str:
    alphabet = arguments.alphabet
    if alphabet == "auto":
        letters, counts = 0, np.zeros(128, dtype=np.int64)
        for record in records_of(path, arguments):
            part = record.sequence[:TOLD_FROM].encode("ascii", "replace")
            counts += np.bincount(np.frombuffer(part, dtype=np.uint8), minlength=128)
            letters += len(part)
            if letters >= TOLD_FROM:
                break
        alphabet = _told(counts)
    return CANONICAL if alphabet == TEXT and arguments.smiles == "canonical" else alphabet


def _told(counts: np.ndarray) -> str:
    """The alphabet from how often each character comes, (128,)."""

    def share(letters: str) -> float:
        both = {ord(letter) for letter in letters + letters.lower()}
        return counts[sorted(both)].sum() / max(counts.sum(), 1)

    if share("ACGTUN") >= CERTAIN:
        return DNA
    # aromatic atoms of SMILES are small letters, and brackets, bonds and digits are no letters at all
    return PROTEIN if share(LETTERS[PROTEIN]) >= CERTAIN else TEXT


def _ascii(text: str, record: Record, path: str | Path) -> bytes:
    try:
        return text.encode("ascii")
    except UnicodeEncodeError as problem:
        raise InputError(
            f"{Path(path).name}: record '{record.id[:40]}' (line {record.line}) has '{text[problem.start]}' at "
            f"position {problem.start + 1}; sequences and SMILES are written in ASCII letters"
        ) from None


@dataclass
class Units:
    """The corpus in parts, and which of them a tokenizer may learn from.

    Attributes:
        starts, ends, records: (units,) where each is, and which record it belongs to.
        held_out: (units,) whether it is only to be looked at.
        order: (units,) numbers of units in the order of the hashes of their letters, which is as good as any by chance
            and the same every time.
        shared: nothing could be held out, so the numbers of the report are of what was learnt from.
    """

    corpus: Corpus
    starts: np.ndarray
    ends: np.ndarray
    records: np.ndarray
    held_out: np.ndarray
    order: np.ndarray
    shared: bool

    @property
    def lengths(self) -> np.ndarray:
        return self.ends - self.starts

    def first_of(self, wanted: np.ndarray, most: int) -> np.ndarray:
        """Of the units that are ``wanted``, as many in the order of the hashes as have at most ``most`` letters, at
        least one; in the order of the corpus."""
        order = self.order[wanted[self.order]]
        number = max(1, int(np.searchsorted(np.cumsum(self.lengths[order]), most, side="right")))
        return np.sort(order[:number])

    def evaluated(self, most: int) -> np.ndarray:
        return self.first_of(self.held_out if not self.shared else np.ones(len(self.starts), bool), most)

    def text(self, unit: int) -> str:
        return self.corpus.text(self.starts[unit], self.ends[unit])


def units_of(corpus: Corpus, share: float, chunk: int) -> Units:
    """Cut long records into stretches and hold out a share of all letters.

    Args:
        share: of all letters that is held out.
        chunk: letters that no stretch is shorter than, but for the last of a record.
    """
    longest = int(min(max(chunk, -(-corpus.letters // UNITS)), max(chunk, LONGEST_UNIT)))
    lengths = np.diff(corpus.starts)
    parts = -(-lengths // longest)
    records = np.repeat(np.arange(corpus.records), parts)
    within = np.arange(len(records)) - np.repeat(np.cumsum(parts) - parts, parts)
    starts = corpus.starts[records] + within * longest
    ends = np.minimum(starts + longest, corpus.starts[records + 1])
    keys = np.empty(len(starts), dtype=np.uint64)
    progress = Progress("looking for equal sequences", len(starts), "parts", lines=5)
    for number, (start, end) in enumerate(zip(starts.tolist(), ends.tolist(), strict=True)):
        digest = hashlib.blake2b(corpus.content(start, end), digest_size=8).digest()
        keys[number] = int.from_bytes(digest, "little")
        if not (number + 1) % 100_000:
            progress(number + 1)
    order = np.lexsort((starts, keys))
    held_out = np.zeros(len(starts), dtype=bool)
    if share > 0:
        before = np.concatenate([[0], np.cumsum((ends - starts)[order])[:-1]])
        last = int(np.searchsorted(before, share * corpus.letters)) - 1
        held_out[keys <= keys[order[max(last, 0)]]] = True
        if held_out.all():  # few long ones: the last by its hash stays to learn from, if any differs
            held_out[keys == keys.max()] = False
    return Units(corpus, starts, ends, records, held_out, order, shared=not held_out.any())


def training_units(units: Units, most: int, both_strands: bool) -> np.ndarray:
    """Units to learn from, as many as have at most ``most`` letters, both strands counted."""
    return units.first_of(~units.held_out, most // (1 + both_strands))


def pieces_of(units: Units, chosen: np.ndarray, chunk: int, rules: Rules | None = None) -> Iterator[tuple[str, str]]:
    """(piece, its alphabet) of the chosen units: runs of letters that stand for one thing each, at most ``chunk`` long.

    Of DNA those are A, C, G and T, of proteins the 20 amino acids: a token that is learnt stands for known letters.
    Of other text every character is one.
    """
    for number in chosen.tolist():
        alphabet, text = units.corpus.alphabet_at(int(units.records[number])), units.text(number)
        runs = [text]
        if alphabet in CANONICAL_LETTERS:
            runs = _runs(alphabet).findall(text)
            if rules is not None and (left := len(text) - sum(map(len, runs))):
                rules.count(AMBIGUOUS_LEFT_OUT, left, unit="part")
        for run in runs:
            for start in range(0, len(run), chunk):
                yield run[start : start + chunk], alphabet


def reverse_complement(sequence: str) -> str:
    """The other strand; codes for several bases are complemented as well (IUPAC)."""
    return sequence.translate(COMPLEMENT)[::-1]


def _runs(alphabet: str, cache: dict[str, re.Pattern] = {}) -> re.Pattern:  # noqa: B006 - a cache
    return cache.setdefault(alphabet, re.compile(f"[{CANONICAL_LETTERS[alphabet]}]+"))
