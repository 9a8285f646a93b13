r"""What is true, for an evaluation: from FASTA headers, tables, tables of sites, or strings of residue labels.

::

    >P1 LABEL=1              id  label        id  position  label      >P1
    MKTAY…                   P1  1            P1  4                    00010010
    (sequences)              (sequences)      (residues; sites)        (residues)

Only what is true of sequences that the prediction tables name is kept, so that memory depends on them.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from seqlm.cli.errors import InputError

from . import tables
from .label_columns import in_a_cell, label_cells, label_places
from .labels import label_regex
from .prediction_tables import Names, Words, letter_code, position
from .records import Record, quoted
from .sequences import read_records, read_table, sequence_format
from .site_features import bed_positions, is_bed
from .site_tables import SiteColumns, open_site_table, preamble
from .unread_columns import unread

SITE, NO_SITE = "\0site", "\0no site"  # stand for the positive and the negative class, whatever they are called
LABEL_COLUMNS = ("label", "truth", "class", "value", "target")


@dataclass
class Truth:
    """What a file says.

    Attributes:
        keys: (n,) as :class:`seqlm.data.prediction_tables.Names` gives them; lines: (n,) of the file.
        words: (n,) what is true of each.
        unlisted: what is true of what is not listed: a text, or None where that is not known.
        foreign: records (rows, proteins) of sequences that no prediction table names.
        source: in words, for the report.
        residues: (n,) the letter of each residue as a number, 0 where it is not said; None where none is.
        unread: columns with a meaning that were not read.
    """

    keys: np.ndarray
    lines: np.ndarray
    words: Words
    unlisted: str | None
    foreign: int
    source: str
    residues: np.ndarray | None = None
    unread: list[str] = field(default_factory=list)


class _Collected:
    def __init__(self):
        self.keys, self.lines, self.codes = array("q"), array("q"), array("i")
        self.residues = bytearray()
        self.places: dict[str, int] = {}
        self.foreign = 0
        self.unread: list[str] = []

    def add(self, key: int, line: int, text: str, residue: str = "") -> None:
        self.residues.append(letter_code(residue))
        self.keys.append(key)
        self.lines.append(line)
        self.codes.append(self.places.setdefault(text, len(self.places)))

    def truth(self, source: str, unlisted: str | None = None) -> Truth:
        keys, lines = (np.frombuffer(column, dtype=np.int64) for column in (self.keys, self.lines))
        words = Words(list(self.places), np.frombuffer(self.codes, dtype=np.int32))
        residues = np.frombuffer(self.residues, dtype=np.uint8) if any(self.residues) else None
        return Truth(keys, lines, words, unlisted, self.foreign, source, residues, self.unread)


def read_truth(
    path: str | Path,
    level: str,
    names: Names,
    *,
    label_pattern: str = r"LABEL=(\S+)",
    label_column: str | None = None,
    id_column: str | None = None,
    unlisted: str = "auto",
    several: Sequence[str] = (),
) -> Truth:
    """Read a file of truth for predictions of one level.

    Args:
        level: ``sequence``, ``residue`` or ``pair``.
        names: numbers of the sequences that the prediction tables name; no other is added.
        label_pattern: finds the label in a FASTA header.
        label_column: of a table, by name or 1-based number; without one the first of ``LABEL_COLUMNS`` that is there.
        id_column: of a table, likewise; without one ``id`` (``first`` and ``second`` of pairs), or else the first.
        unlisted: what a residue is that a table of positions does not list: ``negative``, ``unknown``, or ``auto``,
            which is negative where the table lists one kind of residue only.
        several: labels that a sequence can have at once; a table may have a column of 0 and 1 for each.

    Raises:
        InputError: no label where one is needed, a row that comes twice, a position that is none, none of the
            sequences that were predicted.
    """
    path = Path(path)
    if not (level == "residue" and preamble(path)) and sequence_format(path) == "fasta":
        if level == "pair":
            raise InputError(f"{path.name} is FASTA; the truth of pairs is a table with two names in each row")
        truth = _strings(path, names) if level == "residue" else _headers(path, names, label_pattern)
    else:
        read = {"sequence": _rows, "residue": _sites, "pair": _pairs}[level]
        if several and not label_column and set(several) <= set(read_table(path).columns):
            read, label_column = _label_columns, ",".join(several)
        truth = read(path, names, label_column, id_column, unlisted)
    if not len(truth.keys):
        raise InputError(
            f"{path.name} says nothing of any sequence that was predicted; its names must be those of the prediction "
            f"tables, such as '{quoted(names.listed()[0])}'"
        )
    _check_unique(path, level, truth, names)
    return truth


def _headers(path: Path, names: Names, label_pattern: str) -> Truth:
    """A label in each FASTA header."""
    pattern, found = label_regex(label_pattern), _Collected()
    for record in read_records(path, format="fasta", rename=True):
        if (number := names.known(record.id)) is None:
            found.foreign += 1
            continue
        label = pattern.search(record.header)
        if not label or label.group(1) is None:
            raise InputError(
                f"{path.name}: record '{quoted(record.id)}' (line {record.line}) has no label: the pattern "
                f"'{quoted(label_pattern)}' is not in its header"
            )
        found.add(names.key("sequence", number), record.line, label.group(1))
    return found.truth(f"labels in the headers of {path.name}")


def _rows(path: Path, names: Names, label_column: str | None, id_column: str | None, unlisted: str) -> Truth:
    """A table with a label for each sequence."""
    table, found = read_table(path), _Collected()
    id_at = tables.id_column(table, id_column)
    label_at = _label_place(table, label_column)
    found.unread = unread(table.columns, [id_at, label_at])
    for line, row in table.rows():
        if (number := names.known(row[id_at])) is None:
            found.foreign += 1
        else:
            found.add(names.key("sequence", number), line, row[label_at])
    return found.truth(f"column '{quoted(table.columns[label_at])}' of {path.name}")


def _label_columns(path: Path, names: Names, label_columns: str, id_column: str | None, unlisted: str) -> Truth:
    """A table with a column for each of several labels."""
    table, found = read_table(path), _Collected()
    id_at, places = tables.id_column(table, id_column), label_places(table, label_columns)
    labels_of = label_cells(table, places)
    for line, row in table.rows():
        if (number := names.known(row[id_at])) is None:
            found.foreign += 1
        else:
            has, unknown = labels_of(row, f"{path.name}: line {line}")
            text = in_a_cell(has, unknown) if len(unknown) < len(places) else ""
            found.add(names.key("sequence", number), line, text)
    return found.truth(f"{len(places)} columns of {path.name}")


def _pairs(path: Path, names: Names, label_column: str | None, id_column: str | None, unlisted: str) -> Truth:
    """A table with a label for each pair; without a header its columns are first, second and label."""
    table, found = read_table(path), _Collected()
    if len(table.first) > 2 and all(names.known(name) is not None for name in table.first[:2]):
        table.header = False
        first_at, second_at, label_at = 0, 1, table.index(label_column or "3", "label column")
    else:
        first_at, second_at = (
            table.columns.index(name) if name in table.columns else place
            for place, name in enumerate(("first", "second"))
        )
        label_at = _label_place(table, label_column)
    found.unread = unread(table.columns, [first_at, second_at, label_at])
    for line, row in table.rows():
        first, second = names.known(row[first_at]), names.known(row[second_at])
        if first is None or second is None:
            found.foreign += 1
        else:
            found.add(names.key("pair", first, second), line, row[label_at])
    return found.truth(f"pairs of {path.name}")


def _sites(path: Path, names: Names, label_column: str | None, id_column: str | None, unlisted: str) -> Truth:
    """A table with a row a residue: protein, position, and perhaps a label; without labels every row is a site."""
    found, label_at, column = _Collected(), None, ""
    if is_bed(path) and not (label_column or id_column):
        rows = ((line, name, at, SITE, "") for line, name, at in bed_positions(path))
    else:
        table = open_site_table(path, SiteColumns(protein=id_column, label=label_column))
        id_at, position_at = tables.id_column(table, id_column), table.index("position", "position of a residue")
        label_at = _label_place(table, label_column, needed=label_column is not None)
        residue_at = table.columns.index("residue") if "residue" in table.columns else None
        found.unread = unread(table.columns, [id_at, position_at, label_at, residue_at])
        column = "" if label_at is None else quoted(table.columns[label_at])
        rows = (
            (
                line,
                row[id_at],
                position(row[position_at], f"{path.name}: line {line}"),
                SITE if label_at is None else row[label_at],
                "" if residue_at is None else row[residue_at],
            )
            for line, row in table.rows()
        )
    for line, name, at, label, residue in rows:
        if (number := names.known(name)) is None:
            found.foreign += 1
        else:
            found.add(names.key("residue", number, at), line, label, residue)
    negative = unlisted == "negative" or (unlisted == "auto" and len(found.places) == 1)
    what = f"column '{column}'" if column else "sites"
    return found.truth(f"{what} of {path.name}", NO_SITE if negative else None)


def _strings(path: Path, names: Names) -> Truth:
    """FASTA of a label for each residue, or of sequences with ``#`` after each site."""
    keys, lines, codes, residues = [], [], [], []
    places: dict[str, int] = {}
    foreign, marked = 0, any("#" in record.sequence for record in read_records(path, format="fasta"))
    for record in read_records(path, format="fasta"):
        if (number := names.known(record.id)) is None:
            foreign += 1
            continue
        letters = _marks(path, record) if marked else list(record.sequence)
        if not letters:
            raise InputError(f"{path.name}: record '{quoted(record.id)}' (line {record.line}) has no labels")
        keys.append(names.key("residue", number) + np.arange(1, len(letters) + 1))
        lines.append(np.full(len(letters), record.line))
        codes.append(np.array([places.setdefault(letter, len(places)) for letter in letters], dtype=np.int32))
        if marked:
            bare = record.sequence.replace("#", "").upper()
            residues.append(np.array([letter_code(letter) for letter in bare], dtype=np.uint8))
    joined = [np.concatenate(parts) if parts else np.empty(0, dtype=np.int64) for parts in (keys, lines, codes)]
    what = "sites marked with '#' in" if marked else "label strings of"
    words = Words(list(places), joined[2])
    letters = np.concatenate(residues) if residues else None
    return Truth(joined[0], joined[1], words, None, foreign, f"{what} {path.name}", letters)


def read_mask(path: str | Path, names: Names) -> np.ndarray:
    """Keys (m,) of the residues that count nowhere, from FASTA of 0 and 1 where 0 masks.

    Raises:
        InputError: another letter than 0 and 1, none of the proteins that were predicted.
    """
    path, masked, found = Path(path), [np.empty(0, dtype=np.int64)], 0
    if sequence_format(path) != "fasta":
        raise InputError(f"{path.name} is a table; a mask is FASTA with a 0 or 1 for each residue")
    for record in read_records(path, format="fasta"):
        if (number := names.known(record.id)) is None:
            continue
        found += 1
        if wrong := record.sequence.strip("01")[:1]:
            raise InputError(
                f"{path.name}: the mask of '{quoted(record.id)}' (line {record.line}) holds '{quoted(wrong)}'; it has "
                "a 1 for each residue that counts and a 0 for each that does not"
            )
        hidden = np.frombuffer(record.sequence.encode(), dtype=np.uint8) == ord("0")
        masked.append(names.key("residue", number) + np.flatnonzero(hidden) + 1)
    if not found:
        raise InputError(f"{path.name} has a mask for no protein that was predicted; the names must be the same")
    return np.concatenate(masked)


def _marks(path: Path, record: Record) -> list[str]:
    if record.sequence.startswith("#") or "##" in record.sequence:
        raise InputError(
            f"{path.name}: record '{quoted(record.id)}' (line {record.line}) has a '#' that follows no residue; it "
            "stands right after a site"
        )
    letters = []
    for letter in record.sequence:
        if letter == "#":
            letters[-1] = SITE
        else:
            letters.append(NO_SITE)
    return letters


def _label_place(table, label_column: str | None, needed: bool = True) -> int | None:
    if label_column:
        return table.index(label_column, "column with the truth")
    for name in LABEL_COLUMNS:
        if name in table.columns:
            return table.index(name, "column with the truth")
    if needed:
        raise InputError(
            f"{table.path.name} has no column called {', '.join(LABEL_COLUMNS[:-1])} or {LABEL_COLUMNS[-1]}; name the "
            f"column with the truth, one of {quoted(', '.join(table.columns), 200)}"
        )
    return None


def _check_unique(path: Path, level: str, truth: Truth, names: Names) -> None:
    order = np.argsort(truth.keys, kind="stable")
    same = np.flatnonzero(np.diff(truth.keys[order]) == 0)
    if len(same):
        first, second = order[same[0]], order[same[0] + 1]
        raise InputError(
            f"{path.name}: line {truth.lines[second]} has {names.shown(level, int(truth.keys[first]))} a second time, "
            f"after line {truth.lines[first]}"
        )
