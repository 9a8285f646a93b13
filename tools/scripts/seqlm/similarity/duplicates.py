"""Equal and nearly equal sequences, among generated ones and between them and a reference file.

A language model can repeat itself, and it can recite what it was trained on. Proteins and DNA are compared by MMseqs2
(Steinegger & Söding 2017, https://doi.org/10.1038/nbt.3988), molecules by the Tanimoto similarity of their Morgan
fingerprints (Rogers & Hahn 2010, https://doi.org/10.1021/ci100050t). The reference file is read as a stream: only the
generated sequences are held in memory.

What is too short for MMseqs2 is compared by edit distance. Among themselves, repeats are what is looked for, so MMseqs2
does not correct scores for composition there: with its defaults it finds no likeness of 100 alanines to themselves.
Against the reference file it does, as a composition in common tells nothing about descent, but for sequences that are
repeats themselves.
"""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TextIO

import numpy as np

from seqlm.cli.errors import InputError
from seqlm.data.records import DNA, LETTERS, PROTEIN, Record, Rules
from seqlm.data.sequences import Strangers, clean, read_records

from . import edits, fingerprints, mmseqs

IDENTITY, COVERAGE = 0.9, 0.8  # of near duplicates; the coverage is of the shorter of the two
MOST_CLUSTERED = 20_000  # different molecules, each compared with each, in about half a minute
UNREADABLE = "reference SMILES that RDKit cannot read compared as text"


@dataclass(frozen=True)
class Reference:
    """A file of sequences to compare with: FASTA or a table, as :func:`seqlm.data.sequences.read_records` takes it."""

    path: str | Path
    format: str = "auto"
    id_column: str | None = None
    sequence_column: str | None = None

    def records(self) -> Iterator[Record]:
        return read_records(
            self.path, format=self.format, id_column=self.id_column, sequence_column=self.sequence_column
        )


@dataclass(frozen=True)
class Duplicate:
    """What one generated sequence is like.

    Attributes:
        duplicate_of: id of the first generated sequence that is equal; empty for the first one itself.
        in_reference: id of the first reference sequence that is equal; empty if there is none.
        cluster: number, from 1 in the order of first members, of the near duplicates that it belongs to.
        nearest: id of the nearest reference sequence, the equal one if there is one; empty if there is none.
        identity: share of equal letters in the alignment with it, of molecules the Tanimoto similarity; NaN without.
        coverage: share of the generated sequence that the alignment covers; NaN without one.
        expected: E-value of the alignment; NaN without one.
        bits: its bit score; NaN without one.
    """

    duplicate_of: str = ""
    in_reference: str = ""
    cluster: int = 0
    nearest: str = ""
    identity: float = math.nan
    coverage: float = math.nan
    expected: float = math.nan
    bits: float = math.nan


@dataclass
class Duplicates:
    """All generated sequences, and how they were compared.

    Attributes:
        rows: one for each sequence, in their order.
        distinct: how many differ.
        clusters: how many clusters of near duplicates there are; of equal ones unless ``clustered``.
        clustered: whether near duplicates among themselves were looked for.
        too_short: sequences that are too short for MMseqs2, and so compared with other short ones alone, by edit
            distance; or SMILES that RDKit cannot read, which are compared for equality alone.
        too_long: sequences longer than MMseqs2 aligns in one piece: their coverage can be too low.
        reference: sequences in the reference file; None without one.
        reference_too_short: of them, those that could be compared for equality alone.
        rules: what was changed in the reference file.
        method: the program that looked for near duplicates, with its version; empty if none did.
    """

    rows: list[Duplicate] = field(default_factory=list)
    distinct: int = 0
    clusters: int = 0
    clustered: bool = False
    too_short: int = 0
    too_long: int = 0
    reference: int | None = None
    reference_too_short: int = 0
    rules: Rules = field(default_factory=Rules)
    method: str = ""

    @property
    def recited(self) -> int:
        """How many sequences are equal to one of the reference file."""
        return sum(bool(row.in_reference) for row in self.rows)


def find(
    ids: Sequence[str],
    sequences: Sequence[str],
    alphabet: str,
    scratch: Path,
    *,
    reference: Reference | None = None,
    near: bool = True,
    identity: float = IDENTITY,
    coverage: float = COVERAGE,
    threads: int = 0,
) -> Duplicates:
    """Equal and near duplicates of each sequence; the same with any number of threads.

    Near duplicates among themselves are one cluster if a chain of pairs connects them.

    Args:
        ids: (n,) of the sequences.
        sequences: (n,) in the letters of the alphabet; SMILES for anything but proteins and DNA.
        scratch: an empty folder that exists; it is empty again afterwards.
        reference: what to compare with, if anything.
        near: whether to look for more than equal ones.
        identity: from which two sequences are near duplicates; of molecules the Tanimoto similarity.
        coverage: share of the shorter of two sequences that their alignment has to cover.
        threads: of MMseqs2, 0 for all.

    Raises:
        InputError: MMseqs2 is missing or fails; the reference file cannot be read or is of another kind.
    """
    of_letters = alphabet in (PROTEIN, DNA)
    if of_letters:
        keys, prints = [sequence.upper() for sequence in sequences], {}
        if near:
            mmseqs.program()
    else:
        keys, prints = fingerprints.read_all(sequences)
    numbers: dict[str, int] = {}  # of different sequences, in the order of the first ones
    group = [numbers.setdefault(key, len(numbers)) for key in keys]
    first = np.unique(np.asarray(group, np.int64), return_index=True)[1]
    distinct = list(numbers)
    work = _Letters(distinct, alphabet, scratch, threads) if of_letters else _Molecules(distinct, prints)
    found = Duplicates(distinct=len(distinct), method=work.method() if near else "")
    found.clustered = near and work.comparable.sum() <= work.most
    labels = np.arange(len(distinct))
    if found.clustered and work.comparable.sum() > 1:
        labels = _numbered(work.clusters(labels, identity, coverage))
    found.clusters = int(labels.max(initial=-1)) + 1
    equal, nearest = {}, {}
    if reference is not None:
        equal = _pass_over(reference, alphabet, numbers, work, found, near)
        nearest = work.nearest(reference) if near else {}
    for place, number in enumerate(group):
        row = nearest.get(number, Duplicate())
        if number in equal:
            row = replace(row, in_reference=equal[number], nearest=equal[number], identity=1.0)
            row = replace(row, coverage=1.0) if of_letters else row
        same = ids[first[number]] if first[number] != place else ""
        found.rows.append(replace(row, duplicate_of=same, cluster=int(labels[number]) + 1))
    found.too_short = sum(bool(work.too_short[number]) for number in group)
    longest = mmseqs.LONGEST_ALIGNED[alphabet == DNA] if of_letters else math.inf
    found.too_long = sum(len(sequence) > longest for sequence in sequences)
    return found


def _pass_over(reference: Reference, alphabet: str, numbers: dict[str, int], work, found: Duplicates, near: bool):
    """number of a generated sequence -> id of the first reference sequence that equals it; ``work`` sees them all."""
    equal: dict[int, str] = {}
    strangers = Strangers(alphabet)
    found.reference = 0
    for place, record in enumerate(reference.records()):
        key = work.key(record, found.rules, reference.path)
        strangers.see(record.sequence)
        if (number := numbers.get(key)) is not None:
            equal.setdefault(number, record.id)
        found.reference += 1
        found.reference_too_short += not work.see(place, record.id, key, near)
    strangers.refuse(reference.path)
    return equal


class _Letters:
    """Proteins or DNA, compared by MMseqs2, which gets numbers for names, and short ones by edit distance."""

    most = math.inf

    def __init__(self, distinct: list[str], alphabet: str, scratch: Path, threads: int):
        self._distinct, self._alphabet, self._scratch, self._threads = distinct, alphabet, scratch, threads
        self._dna = alphabet == DNA
        # what MMseqs2 cannot read as a letter, it gets as one that is not known
        self._strange, self._unknown = re.compile(f"[^{LETTERS[alphabet]}]"), "N" if self._dna else "X"
        self._targets: TextIO | None = None
        seen = np.asarray([len(key) >= mmseqs.SHORTEST[self._dna] for key in distinct], bool)
        self._long = np.flatnonzero(seen)
        self._short = edits.Nearest(
            {number: self._readable(number) for number in np.flatnonzero(~seen).tolist() if distinct[number]},
            dna=self._dna, threads=threads,
        )  # fmt: skip
        self.comparable, self.too_short = np.asarray([bool(key) for key in distinct], bool), ~seen

    def method(self) -> str:
        return f"MMseqs2 {mmseqs.version()}".strip()

    def clusters(self, labels: np.ndarray, identity: float, coverage: float) -> np.ndarray:
        """Labels of clusters: what pairs connect that are alike enough."""
        short = edits.compare(
            [self._readable(number) for number in range(len(labels))], dna=self._dna, threads=self._threads
        )
        near = short.identity >= identity
        labels = _joined(labels, short.first[near], short.second[near])
        if not len(self._long):
            return labels
        queries = self._queries(self._long)
        print(f"looking for near duplicates among {len(labels):,} sequences with MMseqs2", file=sys.stderr, flush=True)
        for rows in self._search(queries, queries, [*mmseqs.UNCORRECTED, "--min-seq-id", identity]):
            rows = rows[np.maximum(rows[:, 3], rows[:, 4]) >= coverage]
            labels = _joined(labels, *rows[:, :2].astype(np.int64).T)
        queries.unlink()
        return labels

    def key(self, record: Record, rules: Rules, path: str | Path) -> str:
        return clean(record, self._alphabet, {}, rules, path)

    def see(self, place: int, _: str, key: str, near: bool) -> bool:
        """Keep a reference sequence for the search, in a file; False if it can be compared for equality alone."""
        compared = near and self._short.see(place, key)
        if len(key) < mmseqs.SHORTEST[self._dna]:
            return compared
        if near:
            self._targets = self._targets or (self._scratch / "targets.fasta").open("w", encoding="ascii")
            self._targets.write(f">{place}\n{key}\n")
        return True

    def nearest(self, reference: Reference) -> dict[int, Duplicate]:
        """number of a sequence -> the reference sequence with the best score; the file is read again for its name."""
        rows = self._best() if self._targets is not None else np.empty((0, 7))
        found = {
            int(query): (int(target), Duplicate(identity=same, coverage=covered, expected=expected, bits=bits))
            for query, target, same, covered, _, expected, bits in rows.tolist()
        }
        for number, (place, alike) in self._short.found().items():
            found[number] = place, Duplicate(identity=alike, coverage=1.0)
        wanted = {place for place, _ in found.values()}
        names = {
            place: record.id for place, record in enumerate(reference.records() if wanted else ()) if place in wanted
        }
        return {number: replace(row, nearest=names[place]) for number, (place, row) in found.items()}

    def _best(self) -> np.ndarray:
        """(sequences with a hit, 7) the best alignment of each with a reference sequence."""
        self._targets.close()
        targets, best = Path(self._targets.name), np.empty((0, 7))
        for numbers, options in ((self._long, ()), (self._uneven(), mmseqs.UNCORRECTED)):
            if not len(numbers):
                continue
            queries = self._queries(numbers)
            print("looking for the nearest reference sequences with MMseqs2", file=sys.stderr, flush=True)
            for rows in self._search(queries, targets, options):
                best = np.concatenate([best, rows])
                query, target, same, covered, _, expected, bits = best.T
                best = best[np.lexsort((target, -covered, -same, expected, -bits, query))]
                best = best[np.unique(best[:, 0], return_index=True)[1]]
            queries.unlink()
        targets.unlink()
        return best

    def _uneven(self) -> np.ndarray:
        """Numbers of proteins that MMseqs2 finds only without its correction for composition."""
        if self._dna or not len(self._long):
            return np.empty(0, int)
        queries, own_bits = self._queries(self._long), np.zeros(len(self._distinct))
        for rows in self._search(queries, queries, ()):
            own = rows[rows[:, 0] == rows[:, 1]]
            np.maximum.at(own_bits, own[:, 0].astype(int), own[:, 6])
        queries.unlink()
        lengths = np.asarray([len(self._distinct[number]) for number in self._long])
        return self._long[mmseqs.uneven(own_bits[self._long], lengths)]

    def _queries(self, numbers: np.ndarray) -> Path:
        return mmseqs.write(
            ((number, self._readable(number)) for number in numbers.tolist()), self._scratch / "q.fasta"
        )

    def _readable(self, number: int) -> str:
        return self._strange.sub(self._unknown, self._distinct[number])

    def _search(self, queries: Path, targets: Path, options: Sequence) -> Iterator[np.ndarray]:
        """Chunks (hits, 7): query, target, identity, coverage of both, E-value, bits."""
        columns = "query,target,fident,qcov,tcov,evalue,bits"
        return mmseqs.search(
            queries, targets, self._scratch, columns, dna=self._dna, threads=self._threads, options=options
        )


class _Molecules:
    """Molecules by their canonical SMILES, compared by Morgan fingerprints; text where RDKit reads no molecule."""

    def __init__(self, distinct: list[str], prints: dict[str, np.ndarray]):
        self.comparable = np.asarray([key in prints for key in distinct], bool)
        self.too_short = ~self.comparable
        self.most = MOST_CLUSTERED
        self._places = np.flatnonzero(self.comparable)
        self._prints = np.asarray([prints[distinct[place]] for place in self._places], np.uint8)
        self._best = np.zeros(len(self._places))
        self._names = [""] * len(self._places)
        self._waiting: list[tuple[str, np.ndarray]] = []
        self._read: np.ndarray | None = None

    def method(self) -> str:
        from rdkit import rdBase

        return f"RDKit {rdBase.rdkitVersion}"

    def clusters(self, labels: np.ndarray, identity: float, _: float) -> np.ndarray:
        """Labels of clusters: what pairs connect that are alike enough."""
        for start in range(0, len(self._places), fingerprints.CHUNK):
            some = self._prints[start : start + fingerprints.CHUNK]
            for other, alike in fingerprints.similarities(self._prints[start:], some):
                near = np.nonzero(alike >= identity)
                labels = _joined(labels, self._places[start + other + near[0]], self._places[start + near[1]])
        return labels

    def key(self, record: Record, rules: Rules, path: str | Path) -> str:
        if not record.sequence:
            raise InputError(f"{Path(path).name}: record '{record.id}' (line {record.line}) has no molecule")
        key, self._read = fingerprints.read_molecule(record.sequence)
        if self._read is None:
            rules.count(UNREADABLE)
        return key

    def see(self, _: int, name: str, __: str, near: bool) -> bool:
        """Compare a reference molecule, some at a time; False if it is none."""
        if self._read is None:
            return False
        if near:
            self._waiting.append((name, self._read))
            if len(self._waiting) == fingerprints.CHUNK:
                self._compare()
        return True

    def nearest(self, _: Reference) -> dict[int, Duplicate]:
        """number of a molecule -> the first of the most similar reference molecules."""
        self._compare()
        rows = zip(self._places.tolist(), self._names, self._best.tolist(), strict=True)
        return {place: Duplicate(nearest=name, identity=alike) for place, name, alike in rows if name}

    def _compare(self) -> None:
        if not self._waiting or not len(self._prints):
            return
        names, prints = zip(*self._waiting, strict=True)
        for start, alike in fingerprints.similarities(self._prints, np.asarray(prints)):
            best = alike.argmax(axis=1)
            for row, (column, value) in enumerate(zip(best.tolist(), alike.max(axis=1).tolist(), strict=True)):
                if value > self._best[start + row]:
                    self._best[start + row], self._names[start + row] = value, names[column]
        self._waiting = []


def _joined(labels: np.ndarray, one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Labels (n,) after the clusters of both sides of each pair of places became one."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    size = int(labels.max()) + 1
    edges = coo_matrix((np.ones(len(one), bool), (labels[one], labels[other])), shape=(size, size))
    return connected_components(edges, directed=False)[1][labels]


def _numbered(labels: np.ndarray) -> np.ndarray:
    """The same clusters, numbered in the order of their first members."""
    first, label = np.unique(labels, return_index=True, return_inverse=True)[1:]
    rank = np.empty(len(first), np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    return rank[label]
