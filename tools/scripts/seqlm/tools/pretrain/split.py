"""Which parts of a corpus are learnt from and which are held out, so that what is held out is no neighbour of training.

By record: whole sequences or chromosomes are held out; equal ones, and with both strands their reverse complements,
are always on the same side. Of long sequences, or a few: stretches spread over them are held out, and the letters on
both sides of each are not used at all::

    train … train │ gap │ held out │ gap │ train … train │ gap │ held out │ gap │ train …
"""

from __future__ import annotations

import hashlib
import re
from argparse import Namespace
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from seqlm.cli.errors import InputError
from seqlm.data.patterns import Pattern
from seqlm.data.records import DNA, Rules
from seqlm.tokenization.corpus import Corpus, records_of, reverse_complement

SPLITS = ("train", "validation", "test")
TRAIN, VALIDATION, TEST = range(3)
RUN = 10  # codes for several bases in a row that part a sequence: a gap of an assembly
STRETCHES = 10  # of each held-out set
FEW_RECORDS = 10  # below, stretches are held out
LONG_RECORD = 100_000  # letters; as a whole, a longer one would be more than is asked to be held out
UNUSED = "letters beside held-out stretches, used for nothing"
_RUNS = re.compile(rb"[^ACGT]{%d,}" % RUN)


@dataclass
class Documents:
    """Parts of records, each of one split.

    Attributes:
        record, start, end: (documents,) number of the record, and where the part lies in the corpus.
        begins, ends: (documents,) whether it holds the beginning and the end of its record.
        split: (documents,) 0 train, 1 validation, 2 test.
        way: how they were split, in words.
    """

    record: np.ndarray
    start: np.ndarray
    end: np.ndarray
    begins: np.ndarray
    ends: np.ndarray
    split: np.ndarray
    way: str = ""
    rules: Rules = field(default_factory=Rules)

    def letters(self, split: int) -> int:
        chosen = self.split == split
        return int((self.end - self.start)[chosen].sum())

    def of(self, split: int) -> np.ndarray:
        return np.flatnonzero(self.split == split)


def split_corpus(corpus: Corpus, arguments: Namespace, context: int) -> Documents:
    """Cut at gaps of assemblies, and give every part to a split.

    Raises:
        InputError: nothing but N, or too little to hold anything out.
    """
    rules = Rules()
    parts = _parts(corpus, rules)
    if not parts:
        files = ", ".join(Path(path).name for path in arguments.corpus[:3])
        raise InputError(f"{files}: no run of known letters is left, so nothing can be learnt (all N?)")
    record, start, end = (np.array(column, np.int64) for column in zip(*parts, strict=True))
    split, way = np.zeros(len(record), np.int8), "nothing was held out"
    wanted = [arguments.validation_fraction, arguments.test_fraction]
    if arguments.validation_pattern or arguments.test_pattern:
        split, way = _by_name(corpus, arguments)[record], "by the names of the sequences"
    elif any(wanted):
        keys = _keys(corpus, arguments.both_strands and corpus.alphabet == DNA)
        lengths = np.diff(corpus.starts)
        longest = min(corpus.letters / 2, max(arguments.held_out_letters, LONG_RECORD))
        several = len(np.unique(keys)) >= FEW_RECORDS and lengths.max() <= longest
        if arguments.split == "record" or (arguments.split == "auto" and several):
            shares = [min(share * corpus.letters, arguments.held_out_letters) for share in wanted]
            split, way = _by_record(keys, lengths, shares, arguments.seed)[record], "whole sequences, drawn at random"
        else:
            return _by_stretch(corpus, (record, start, end), arguments, context, rules)
    begins, ends = start == corpus.starts[record], end == corpus.starts[record + 1]
    documents = Documents(record, start, end, begins, ends, split, way, rules)
    if not documents.letters(TRAIN):
        raise InputError(
            f"the corpus of {corpus.records:,} sequence{'s' * (corpus.records != 1)} leaves nothing to learn from once "
            "some are held out; give more sequences, or hold out stretches (--split stretch)"
        )
    return documents


def _parts(corpus: Corpus, rules: Rules) -> list[tuple[int, int, int]]:
    """(record, start, end) of what lies between runs of codes for several bases."""
    found = []
    for record, (first, last) in enumerate(zip(corpus.starts[:-1].tolist(), corpus.starts[1:].tolist(), strict=True)):
        if corpus.alphabet_at(record) != DNA:
            if last > first:
                found.append((record, first, last))
            continue
        at, content = 0, corpus.content(first, last)
        for run in _RUNS.finditer(content):
            rules.count(f"runs of {RUN} or more N left out, the sequence parted there", len(run.group()), unit="run")
            if run.start() > at:
                found.append((record, first + at, first + run.start()))
            at = run.end()
        if at < len(content):
            found.append((record, first + at, last))
    return found


def _keys(corpus: Corpus, both_strands: bool) -> np.ndarray:
    """(records,) equal for sequences that must not be torn apart."""
    keys = np.empty(corpus.records, np.uint64)
    for record in range(corpus.records):
        text = corpus.text(corpus.starts[record], corpus.starts[record + 1])
        if both_strands:
            text = min(text, reverse_complement(text))
        keys[record] = int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")
    return keys


def _by_record(keys: np.ndarray, lengths: np.ndarray, shares: list[float], seed: int) -> np.ndarray:
    """(records,) the split of each; a set is full once it has its share of letters."""
    _, group = np.unique(keys, return_inverse=True)
    sizes = np.bincount(group, lengths)
    split = np.zeros(len(sizes), np.int8)
    order = iter(np.random.default_rng(seed).permutation(len(sizes)))
    for number, share in ((TEST, shares[1]), (VALIDATION, shares[0])):
        held = 0.0
        while held < share:
            if (chosen := next(order, None)) is None:
                break
            split[chosen] = number
            held += sizes[chosen]
    return split[group]


def _by_name(corpus: Corpus, arguments: Namespace) -> np.ndarray:
    """(records,) the split that the patterns give."""
    patterns = []
    for option in ("validation_pattern", "test_pattern"):
        text = getattr(arguments, option)
        patterns.append(Pattern(text, option.removesuffix("_pattern")) if text else None)
    split, number = np.zeros(corpus.records, np.int8), 0
    for path in arguments.corpus:
        for record in records_of(path, arguments):
            for which, pattern in ((VALIDATION, patterns[0]), (TEST, patterns[1])):
                if pattern and pattern.search(record.id):
                    split[number] = which
            number += 1
    for which, pattern in ((VALIDATION, patterns[0]), (TEST, patterns[1])):
        if pattern and not (split == which).any():
            raise InputError(f"no name of a sequence fits '{pattern.pattern}'; the {SPLITS[which]} set would be empty")
    return split


def _by_stretch(corpus: Corpus, parts, arguments: Namespace, context: int, rules: Rules) -> Documents:
    """Stretches spread evenly, in the middle of equal sections, which set each belongs to by chance."""
    record, start, end = parts
    letters = int((end - start).sum())
    gap = arguments.gap
    shares = {
        VALIDATION: min(arguments.validation_fraction * letters, arguments.held_out_letters),
        TEST: min(arguments.test_fraction * letters, arguments.held_out_letters),
    }
    kinds, length = [], {}
    for which, share in shares.items():
        if share > 0:
            number = int(max(1, min(STRETCHES, share // context)))
            length[which] = int(share / number)
            kinds += [which] * number
    kinds = np.random.default_rng(arguments.seed).permutation(kinds)
    section = letters / len(kinds)
    needed = max(length.values()) + 2 * gap + context
    if section < needed or min(length.values()) < 3:
        raise InputError(
            f"the corpus is {corpus.records:,} sequence{'s' * (corpus.records != 1)} of {letters:,} letters, too short "
            f"to hold out stretches {gap:,} letters away from training; give more, lower the gap (--gap), the context "
            f"({context:,} tokens) or what is held out"
        )
    offsets = np.concatenate([[0], np.cumsum(end - start)])  # where each part begins when all stand in one row
    marks = []  # (from, to, split) in that row, in order; -1 for what is not used
    for number, which in enumerate(kinds.tolist()):
        first = int(section * (number + 0.5) - length[which] / 2)
        last = first + length[which]
        marks += [(first - gap, first, -1), (first, last, which), (last, last + gap, -1)]
    rows, at = [], 0
    for first, last, which in [*marks, (letters, letters, -1)]:
        rows += [(at, first, TRAIN)] if first > at else []
        rows += [(first, last, which)] if last > first else []
        at = last
    found = []
    for first, last, which in rows:
        for part in range(int(np.searchsorted(offsets, first, "right")) - 1, len(record)):
            if offsets[part] >= last:
                break
            low, high = max(first, offsets[part]), min(last, offsets[part + 1])
            if which < 0:
                rules.count(UNUSED, int(high - low), unit="stretch")
            elif high > low:
                shift = start[part] - offsets[part]
                found.append((record[part], low + shift, high + shift, which))
    record, start, end, split = (np.array(column, np.int64) for column in zip(*found, strict=True))
    begins, ends = start == corpus.starts[record], end == corpus.starts[record + 1]
    way = f"stretches spread over the sequences, {gap:,} letters away from all that was learnt from"
    return Documents(record, start, end, begins, ends, split.astype(np.int8), way, rules)
