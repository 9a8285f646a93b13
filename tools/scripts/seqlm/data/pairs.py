"""Pairs of sequences: a table of pairs, the sequences they name, and a split by which no sequence is on two sides.

A model that has seen a protein in training pairs can score its other pairs by remembering it, so a test set that shares
proteins with the training set tells little about new ones (Park & Marcotte 2012, https://doi.org/10.1038/nmeth.2259).
"""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

import numpy as np

from seqlm.cli.errors import InputError

from . import tables
from .datasets import SPLITS, Dataset, check_classes, digest, given_sets
from .labels import MAX_LETTERS, NOT_LABELLED, GivenSplit, class_name, number
from .numbers import NOT_MEASURED
from .records import Record, Rules, quoted
from .sequences import HEADED, KINDS, Strangers, clean, read_records, read_table, sequence_format
from .tables import Table
from .unread_columns import count_unread


@dataclass(frozen=True, slots=True)
class Pair:
    """One pair by the names of its members; ``label`` is a class name, a number, or None if unknown."""

    first: str
    second: str
    label: str | float | None = None
    split: str = ""

    @property
    def id(self) -> str:
        return f"{self.first} {self.second}"

    @property
    def names(self) -> tuple[str, ...]:
        return (self.label,)


def read_members(path: Path, family, rules: Rules, wanted: set[str], **columns) -> dict[str, str]:
    """The sequences named ``wanted``, by name, in the order of the file.

    Raises:
        InputError: an id that comes twice, a letter that the model does not know, DNA for a model of proteins.
    """
    members: dict[str, str] = {}
    lines: dict[str, int] = {}
    letters, strangers = 0, Strangers(family.alphabet)
    for record in read_records(path, **columns):
        if record.id not in wanted:
            continue
        if record.id in lines:
            raise InputError(
                f"{path.name}: record '{quoted(record.id)}' (line {record.line}) has the same id as the record on line "
                f"{lines[record.id]}; ids must be unique"
            )
        lines[record.id] = record.line
        letters += len(record.sequence)
        if letters > MAX_LETTERS:
            raise InputError(f"{path.name} has over {MAX_LETTERS:,} letters in the sequences of pairs; use fewer pairs")
        strangers.see(record.sequence)
        members[record.id] = clean(record, family.alphabet, family.replacements, rules, path)
    strangers.refuse(path)
    return members


@dataclass
class PairReader:
    """Reads tables of pairs.

    A table has a header with the columns ``first``, ``second`` and ``label``, or columns that are named. A table
    without a header is recognised by its first row, which names sequences; then the columns are numbers, 1, 2 and 3
    unless told. A labelled pair that is listed a second time in its split is left out and counted.
    """

    first: set[str]  # ids of the sequences that first members can be
    second: set[str]
    files: str  # what messages call the files with the sequences
    rules: Rules = field(default_factory=Rules)
    numeric: bool = False
    labelled: bool = True
    first_column: str | None = None
    second_column: str | None = None
    label_column: str | None = None
    given_split: GivenSplit = field(default_factory=GivenSplit)
    symmetric: bool = True

    def read(self, path: str | Path) -> Iterator[Pair]:
        """The pairs of one file, in its order.

        Raises:
            InputError: a pair that names an unknown sequence, two labels for one pair, no pair.
        """
        path = Path(path)
        form = _table_format(path)
        table = read_table(path, form)
        first_at, second_at, label_at = self._places(table)
        split_of = self.given_split.reader(path, form)
        seen: dict[tuple[str, str], tuple[int, str | float]] = {}
        listed: set[tuple[tuple[str, str], str]] = set()
        line = pairs = 0
        for line, row in table.rows():
            pairs += 1
            where = f"{path.name}: line {line}"
            first, second = row[first_at], row[second_at]
            for name, known in ((first, self.first), (second, self.second)):
                if name not in known:
                    raise InputError(f"{where} names '{quoted(name)}', which is not in {self.files}")
            label, split = None, split_of(Record(first, "", "", line, tuple(row)), where)
            if self.labelled:
                text = row[label_at]
                if not text or (self.numeric and text.lower() in NOT_MEASURED):
                    self.rules.count(NOT_LABELLED, unit="pair")
                    continue
                label = number(text, where) if self.numeric else class_name(_whole(text), where)
                key = (min(first, second), max(first, second)) if self.symmetric else (first, second)
                earlier, known = seen.setdefault(key, (line, label))
                if known != label:
                    raise InputError(
                        f"{where} gives the pair {quoted(first)} and {quoted(second)} the label {quoted(str(label))}, "
                        f"and line {earlier} gives it {quoted(str(known))}; a pair has one label"
                    )
                if (key, split) in listed:
                    self.rules.count("listed a second time, left out", unit="pair")
                    continue
                listed.add((key, split))
            yield Pair(first, second, label, split)
        if not line:
            raise InputError(f"{path.name} has a header but no pairs")
        count_unread(table.columns, {first_at, second_at, label_at, *table.read}, self.rules, pairs)

    def _places(self, table: Table) -> tuple[int, int, int | None]:
        """Where first and second members and labels stand; finds out whether the first row is a pair and no header."""
        table.header = not self._headless(table)
        first = _place(table, self.first_column, "first", 1, not table.header)
        second = _place(table, self.second_column, "second", 2, not table.header)
        if first == second:
            raise InputError(f"{table.path.name}: first and second members cannot be in one column; name two of them")
        label = _place(table, self.label_column, "label", 3, not table.header) if self.labelled else None
        return first, second, label

    def _headless(self, table: Table) -> bool:
        asked = (self.first_column, self.second_column)
        if _has_names(table, asked):
            return False
        places = [_number(column) if column else usual for column, usual in zip(asked, (1, 2), strict=True)]
        cells = [table.first[at - 1] if 0 < at <= len(table.first) else "" for at in places]
        return cells[0] in self.first or cells[1] in self.second


def _table_format(path: Path) -> str:
    """The format of a table of pairs; raises InputError for a file of sequences."""
    form = sequence_format(path)
    if form in HEADED:
        raise InputError(f"{path.name} is {KINDS[form]}; pairs are a table with two names in each row")
    return form


def _has_names(table: Table, asked: tuple[str | None, str | None]) -> bool:
    """Whether the columns of members go by their names, so that there is a header."""
    pairs = zip(asked, ("first", "second"), strict=True)
    return any(_number(column) is None if column else name in table.first for column, name in pairs)


def _place(table: Table, asked: str | None, name: str, usual: int, headless: bool) -> int:
    """The column that is asked for, or else the one with this name, or else the usual one by number."""
    number = _number(asked) if asked else usual
    if asked and not (headless and number):
        return table.index(asked, f"{name} column")
    if not headless and name in table.first:
        return table.index(name, f"{name} column")
    if not 0 < number <= len(table.first):
        raise InputError(
            f"{table.path.name}: no column {number} for the {name} column; a row has {len(table.first)} columns"
        )
    return number - 1


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None


def _whole(text: str) -> str:
    """A class written as a number loses a fraction of zero, so that 1.0 and 1 are one class."""
    return text[:-2] if text.endswith(".0") and text[:-2].lstrip("-").isdigit() else text


def names_in(paths: list[str], wanted: tuple[str | None, str | None]) -> tuple[set[str], set[str]]:
    """Names in the two columns of pair tables, so that only those sequences are kept in memory.

    Where it is not known yet whether the first row is a header, its cells are among them, and a number stands for the
    column with that number and for one that is called so.
    """
    found: tuple[set[str], set[str]] = (set(), set())
    for path in paths:
        table = read_table(path, _table_format(Path(path)))
        places = [
            {_place(table, asked, name, usual, headless) for headless in {False, not _has_names(table, wanted)}}
            for asked, name, usual in zip(wanted, ("first", "second"), (1, 2), strict=True)
        ]
        for _, row in tables.rows(table.path, table.format):
            for names, at in zip(found, places, strict=True):
                names.update(row[place] for place in at)
    return found


def make_pair_splits(
    train: list[Pair],
    validation: list[Pair] | None,
    test: list[Pair] | None,
    *,
    numeric: bool,
    by_column: bool = False,
    by_member: bool = True,
    two_kinds: bool = False,
    validation_fraction: float = 0.15,
    test_fraction: float = 0.0,
    duplicates: str = "report",
    seed: int = 42,
) -> Dataset:
    """Put pairs into training, validation and test sets.

    Sets that are given are used as they are. Otherwise, ``by_member``, sequences (and not pairs) are dealt out, so that
    none is on two sides; a pair between two sides belongs to none, and is left out and counted. Members that are
    connected are kept together as far as that goes, so that few pairs are lost.

    Args:
        two_kinds: first and second members come from two files, so that equal names mean different sequences.
        duplicates: what to do about training pairs with a sequence that is in the validation or test set too:
            ``report`` how many, ``remove`` them, or ``refuse`` the input. What is dealt out by member has none.
    """
    splits, origin = given_sets(train, validation, test, by_column)
    rules = Rules()
    shares = {"test": test_fraction, "validation": validation_fraction}
    shares = {name: share for name, share in shares.items() if share and name not in splits}
    if shares:
        ends = [ends_of(pair, two_kinds) for pair in splits["train"]] if by_member else None
        drawn = _by_member(splits["train"], ends, shares, seed) if ends else _at_random(splits["train"], shares, seed)
        kept = sum(map(len, drawn.values()))
        if lost := len(splits["train"]) - kept:
            rules.count("between two of the splits, left out so that no sequence is in both", number=lost, unit="pair")
        how = "by sequence, so that no sequence is in two splits" if by_member else "pair by pair"
        for name, pairs in drawn.items():
            splits[name], origin[name] = pairs, f"drawn at random {how} (seed {seed})"
    dataset = Dataset({name: splits[name] for name in SPLITS if name in splits}, rules, origin)
    _shared_members(dataset, duplicates, two_kinds)
    if len(dataset["train"]) < 2:
        raise InputError(f"{len(dataset['train'])} training pair is left; a model needs at least two")
    if numeric:
        if len({pair.label for pair in dataset["train"]}) < 2:
            raise InputError("all training values are the same; there is nothing to learn")
    else:
        check_classes(dataset.splits)
    dataset.sha256 = {name: digest((pair.id, pair.label) for pair in pairs) for name, pairs in dataset.splits.items()}
    return dataset


def _at_random(pairs: list[Pair], shares: dict[str, float], seed: int) -> dict[str, list[Pair]]:
    order = np.random.default_rng(seed).permutation(len(pairs))
    drawn, start = {}, 0
    for name, share in shares.items():
        stop = start + round(share * len(pairs))
        drawn[name] = [pairs[place] for place in sorted(order[start:stop])]
        start = stop
    return drawn | {"train": [pairs[place] for place in sorted(order[start:])]}


def ends_of(pair: Pair, two_kinds: bool) -> tuple[tuple[int, str], tuple[int, str]]:
    """Both members of a pair; two of the same kind and name are one sequence."""
    return (0, pair.first), (int(two_kinds), pair.second)


def _by_member(pairs: list[Pair], ends: list[tuple], shares: dict[str, float], seed: int) -> dict[str, list[Pair]]:
    """The pairs of each set, of which no member is in another."""
    side = sides_of_members(ends, shares, seed)
    drawn: dict[str, list[Pair]] = {name: [] for name in (*shares, "train")}
    for pair, (one, other) in zip(pairs, ends, strict=True):
        if (kept := side.get(one, "train")) == side.get(other, "train"):
            drawn[kept].append(pair)
    for name, kept in drawn.items():
        if not kept:
            raise InputError(
                f"{len(pairs):,} pairs of {len(set(chain(*ends))):,} sequences cannot be split by sequence: none is "
                f"left for the {name} set; add pairs, give the sets yourself, or split pair by pair"
            )
    return drawn


def sides_of_members(ends: list[tuple], shares: dict[str, float], seed: int) -> dict[tuple, str]:
    """Which set each member is in, of those that are in one of ``shares``.

    Each set grows member by member, always by the one with the most of its partners inside already, until the pairs
    inside are its share.
    """
    partners: dict[tuple[int, str], list[tuple[int, str]]] = defaultdict(list)
    for one, other in ends:
        partners[one].append(other)
        if one != other:
            partners[other].append(one)
    free = set(partners)
    order = [sorted(free)[place] for place in np.random.default_rng(seed).permutation(len(free))]
    side: dict[tuple[int, str], str] = {}
    for name, share in shares.items():
        wanted, held = share * len(ends), 0
        inside: Counter = Counter()
        queue: list[tuple[float, int, tuple[int, str]]] = []
        fresh = iter(order)
        while held < wanted and free:
            member = _next(queue, inside, free, partners)
            if member is None:
                member = next(one for one in fresh if one in free)
            free.discard(member)
            side[member] = name
            held += sum(side.get(partner) == name for partner in partners[member])
            for partner in partners[member]:
                if partner in free:
                    inside[partner] += 1
                    heapq.heappush(queue, (-inside[partner] / len(partners[partner]), len(queue), partner))
    return side


def _next(queue: list, inside: Counter, free: set, partners: dict[tuple[int, str], list]) -> tuple[int, str] | None:
    while queue:
        rank, _, member = heapq.heappop(queue)
        if member in free and -rank == inside[member] / len(partners[member]):
            return member
    return None


def _shared_members(dataset: Dataset, action: str, two_kinds: bool) -> None:
    members = {
        name: {member for pair in pairs for member in ends_of(pair, two_kinds)}
        for name, pairs in dataset.splits.items()
    }
    held_out = set().union(*(members[name] for name in members if name != "train"))
    for name in members:
        if name != "train" and (shared := len(members["train"] & members[name])):
            dataset.duplicates[f"in pairs of both train and {name}"] = shared
    _equal_pairs(dataset, two_kinds)
    leaking = [pair for pair in dataset["train"] if held_out.intersection(ends_of(pair, two_kinds))]
    if leaking and action == "refuse":
        raise InputError(
            f"{len(leaking):,} training pairs have a sequence that is in the validation or test set too, the first is "
            f"{quoted(leaking[0].id)}; split by sequence, or choose to report or to remove them"
        )
    if leaking and action == "remove":
        dropped = set(leaking)
        dataset.splits["train"] = [pair for pair in dataset["train"] if pair not in dropped]
        rule = "removed from training, having a sequence of the validation or test set"
        dataset.rules.count(rule, number=len(leaking), unit="pair")


def _equal_pairs(dataset: Dataset, two_kinds: bool) -> None:
    """Count pairs of the training set that another has too, either way round unless their members are of two kinds."""
    keys = {
        name: {ends if two_kinds else tuple(sorted(ends)) for ends in (ends_of(pair, two_kinds) for pair in pairs)}
        for name, pairs in dataset.splits.items()
    }
    for name in SPLITS[1:]:
        if shared := len(keys["train"] & keys.get(name, set())):
            dataset.duplicates[f"pairs in both train and {name}, either way round"] = shared
