"""Tables of tab- or comma-separated text or in Parquet: whether the first row names the columns, how one is found.

Published tables have a header, Galaxy's ``tabular`` has none by contract, and nothing in a file says which it is. The
first rows do: names of this field, and numbers or sequences above or below them. Where they say nothing, columns asked
for by number mean that there is no header.
"""

from __future__ import annotations

import csv
import itertools
import os
import re
from collections.abc import Collection, Iterator
from functools import lru_cache
from pathlib import Path

from seqlm.cli.errors import InputError
from seqlm.cli.noticing import notice

from .lines import LOOKED_AT, MAX_SEQUENCE, numbered_lines
from .parquet import parquet_columns, parquet_rows
from .records import quoted

_SEPARATORS = {"tabular": "\t", "csv": ","}
TABLES = (*_SEPARATORS, "parquet")
# Names of columns in the order in which they are looked for, without case, blanks and marks
IDS = (
    "id", "entry", "accession", "identifier", "sequenceid", "seqid", "proteinid", "uniprotid", "uniprot", "uniprotkb",
    "uniprotaccession", "acc", "name", "proteinname", "entryname", "sequencename", "seqname", "protein", "moleculeid",
    "molecule", "compoundid", "compound", "drugbankid", "gene", "geneid", "genename", "chromosome", "chrom", "title",
)  # fmt: skip
SEQUENCES = (
    "sequence", "seq", "proteinsequence", "aasequence", "aaseq", "aminoacidsequence", "peptide", "peptidesequence",
    "dnasequence", "dna", "rna", "smiles", "canonicalsmiles", "mutatedsequence", "primary", "text", "input",
)  # fmt: skip
LABELS = ("label", "labels", "class", "target", "truth", "value", "y")
_OTHER = (
    *LABELS,
    "targets", "values", "split", "set", "stage", "fold", "validation", "group", "cluster", "family", "position",
    "pos", "residue", "site", "sites", "aa", "start", "end", "strand", "first", "second", "variant", "variants",
    "mutant", "mutation", "measured", "score", "dmsscore", "fitness", "predicted", "probability", "uncertain",
    "length", "organism", "species", "location", "activity", "description", "function", "type", "source", "motif",
    "instruction", "output", "answer", "question", "weight",
)  # fmt: skip
_NAMES = frozenset((*IDS, *SEQUENCES, *_OTHER))
_PROBED = 50  # rows that tell whether the first one is a header
_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")
_LETTERS = re.compile(r"[A-Z*-]{8,}")  # a sequence in one cell; names are not in capitals, or shorter
SMILES = re.compile(r"(?:\[[^\]\s]+\]|Br|Cl|[BCNOPSFIbcnops]|%?\d+|[-=#$:/\\().+@*~])+")
_BRANCHED = re.compile(rf"(?=.*[=#(\[]){SMILES.pattern}")  # SMILES that is no name, as C1 could be


class Table:
    """A table: its columns, how to find one of them, by name or 1-based number, and its rows as a stream.

    Attributes:
        columns: the names that the header gives, or ``column_1``, ``column_2`` … where there is none.
        first: the cells of the first row.
        read: places of the columns that somebody reads.
        header: whether the first row names the columns; None while neither rows nor columns asked for tell.
        hidden: place -> type of columns of a parquet file that hold neither text nor numbers.
    """

    def __init__(
        self,
        path: Path,
        first: list[str],
        format: str,
        header: bool | None = True,
        hidden: dict[int, str] | None = None,
    ):
        self.path, self.first, self.format, self.header = path, first, format, header
        self.read: set[int] = set()
        self.hidden = hidden or {}

    @property
    def columns(self) -> list[str]:
        if self.header is False:
            return [f"column_{number}" for number in range(1, len(self.first) + 1)]
        return self.first

    def rows(self) -> Iterator[tuple[int, list[str]]]:
        """(line, cells) of every row below the header, or of all rows where there is none."""
        if self.header is None:
            notice(
                f"{self.path.name}: the first row ({_shown(self.first)}) is taken for the names of the columns; if it "
                "is data, give columns by number"
            )
        if self.header is False:
            notice(f"{self.path.name} has no header: its first row ({_shown(self.first)}) is read as data")
        yield from itertools.islice(rows(self.path, self.format), self.header is not False, None)

    def index(self, wanted: str, purpose: str) -> int:
        """The place of a column, which is read from now on; arguments and exceptions are those of :meth:`_index`."""
        at = self._index(wanted, purpose)
        if at in self.hidden:
            raise InputError(
                f"{self.path.name}: column '{quoted(self.first[at])}' holds {quoted(self.hidden[at])}; the {purpose} "
                "must be a column of text or numbers"
            )
        self.read.add(at)
        return at

    def _index(self, wanted: str, purpose: str) -> int:
        """The place of a column: by name, 1-based number, or the first that there is of names with ``|`` between them.

        Raises:
            InputError: no such column, two of this name, or a number that is also the name of another column.
        """
        if "|" in wanted and wanted not in self.first:
            alternatives = [name.strip() for name in wanted.split("|")]
            wanted = next((name for name in alternatives if name in self.first), alternatives[0])
        number = int(wanted) - 1 if re.fullmatch(r"[0-9]{1,9}", wanted) else -1
        by_number = 0 <= number < len(self.first)
        if wanted in self.first and not (by_number and self.header is not True):
            self.header = True
            if self.first.count(wanted) > 1:
                raise InputError(f"{self.path.name}: two columns are called '{wanted}'; give the {purpose} by number")
            named = self.first.index(wanted)
            if by_number and named != number:
                raise InputError(
                    f"{self.path.name}: '{wanted}' is the name of column {named + 1} and the number of column "
                    f"'{quoted(self.first[number])}'; give the {purpose} by its name, or rename the columns"
                )
            return named
        if by_number:
            if self.header is None:
                self.header = False
            return number
        columns = self.columns
        if wanted in columns:
            return columns.index(wanted)
        alike = [at for at, name in enumerate(columns) if _plain(name) == _plain(wanted)]
        if len(alike) == 1 and _plain(wanted):
            self.header = True
            self.say(alike[0], purpose, wanted)
            return alike[0]
        raise InputError(
            f"{self.path.name}: no column '{quoted(wanted)}' for the {purpose}; "
            + (
                f"the table has no header (its first row is {_shown(self.first)}), so give columns by number"
                if self.header is False
                else f"the columns are {', '.join(columns[:20])}{' …' if len(columns) > 20 else ''}"
            )
        )

    def find(self, names: Collection[str]) -> int | None:
        """The first column that goes by one of ``names``, such as those of :data:`SEQUENCES`."""
        plain = ["" if at in self.hidden else _plain(name) for at, name in enumerate(self.columns)]
        return next((plain.index(name) for name in names if plain.count(name) == 1), None)

    def say(self, at: int, purpose: str, usual: str) -> None:
        """Say which column was found and is read, where it does not go by the usual name."""
        self.read.add(at)
        if (name := self.columns[at]) != usual:
            notice(f"{self.path.name}: column '{quoted(name)}' is taken as the {purpose}")


def read_table(path: str | Path, format: str) -> Table:
    """A table; what was found out about its header is remembered as long as the file stays as it is.

    Raises:
        InputError: an empty file.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path} is not a file")
    state = os.stat(path)
    return _read_table(path, format, state.st_mtime_ns, state.st_size)


@lru_cache(maxsize=64)
def _read_table(path: Path, format: str, changed: int, size: int) -> Table:
    if format == "parquet":
        names, hidden = parquet_columns(path)
        return Table(path, names, format, hidden=hidden)
    probe = _probe(rows(path, format))
    if not probe:
        raise InputError(f"{path.name} is empty; give a table with a header and at least one row")
    return Table(path, probe[0], format, _has_header(probe[0], probe[1:]))


def _probe(rows: Iterator[tuple[int, list[str]]]) -> list[list[str]]:
    """The first rows, fewer where they are long."""
    kept, letters = [], 0
    for _, row in rows:
        kept.append(row)
        letters += sum(map(len, row))
        if len(kept) > _PROBED or letters > LOOKED_AT:
            break
    return kept


def rows(path: Path, format: str, skip: int = 0) -> Iterator[tuple[int, list[str]]]:
    """(line, cells without blanks around them) of all rows that are not blank, behind the first ``skip`` lines.

    Raises:
        InputError: a row with more or fewer cells than the first, quotes that do not close, a damaged parquet file.
    """
    if format == "parquet":
        yield from parquet_rows(path)
        return
    separator = _SEPARATORS[format]
    numbers = []

    def text() -> Iterator[str]:
        for number, line in itertools.islice(numbered_lines(path), skip, None):
            numbers[:] = [number]
            yield line

    csv.field_size_limit(MAX_SEQUENCE)
    quoting = csv.QUOTE_MINIMAL if separator == "," else csv.QUOTE_NONE
    width = None
    reader = csv.reader(text(), delimiter=separator, quoting=quoting, strict=True)
    while True:
        try:
            row = next(reader, None)
        except csv.Error as problem:
            raise InputError(f"{path.name}: line {numbers[0]} is not a row of a table ({problem})") from None
        if row is None:
            return
        if not any(cell.strip() for cell in row):
            continue
        row = [cell.strip() for cell in row]
        width = width or len(row)
        if len(row) != width:
            raise InputError(f"{path.name}: line {numbers[0]} has {len(row)} columns where the first row has {width}")
        yield numbers[0], row


def _has_header(first: list[str], others: list[list[str]]) -> bool | None:
    """Whether the first row names columns; None where the rows do not tell.

    A number above numbers, a sequence above sequences or a molecule above molecules makes data, but for the numbers
    0, 1, 2 … as which unnamed columns are written; a name of this field, or text above one of these, makes a header.
    """
    names = sum(_plain(cell) in _NAMES for cell in first)
    numbers = [int(cell) for cell in first if re.fullmatch(r"[0-9]{1,9}", cell)]
    counted = len(numbers) > 2 and numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    if names > 1 or counted or not first[0]:  # without a name, as row numbers are written
        return True
    votes = [
        bool(kind.fullmatch(cell))
        for kind in (_LETTERS, _NUMBER)
        for at, cell in enumerate(first)
        if cell and others and all(kind.fullmatch(row[at]) for row in others)
    ]
    for at, cell in enumerate(first):
        below = [row[at] for row in others]
        if cell and any(map(_BRANCHED.fullmatch, below)) and all(map(SMILES.fullmatch, below)):
            votes += [True] if _BRANCHED.fullmatch(cell) else [] if SMILES.fullmatch(cell) else [False]
    return True if not any(votes) and (votes or names) else False if votes else None


def sequence_place(table: Table) -> int | None:
    """The only column of a table without a header in which all of the first rows hold sequences or molecules."""
    probe = _probe(table.rows())
    for kind in (_LETTERS, SMILES):
        places = [at for at in range(len(table.first)) if all(kind.fullmatch(row[at]) for row in probe)]
        if len(places) == 1:
            return places[0]
    return None


def label_place(table: Table, asked: str | None) -> int:
    """The column of labels: that asked for, or ``label``, or the only one that goes by another of its names."""
    if asked not in (None, "", "label") or "label" in table.columns:
        return table.index(asked or "label", "label column")
    found = [at for at, name in enumerate(table.columns) if _plain(name) in LABELS]
    if len(found) != 1:
        return table.index("label", "label column")
    table.say(found[0], "label column", "label")
    return found[0]


def id_column(table: Table, asked: str | None) -> int:
    """The column of ids where they need not differ: that asked for, or one that goes by a name of ids, or the first."""
    if asked:
        return table.index(asked, "id column")
    at = table.find(IDS) if table.header is not False else None
    if at is None or _plain(table.columns[0]) in IDS:
        at = table.columns.index("id") if "id" in table.columns else 0
        table.read.add(at)
        return at
    table.say(at, "id", "id")
    return at


def id_place(table: Table, taken: Collection[int]) -> int | None:
    """The column that names the rows, where nobody said; None where rows are to be numbered, which is said.

    Args:
        taken: columns that hold something else.
    """
    at = table.find([name for name in IDS if name not in {_plain(table.columns[place]) for place in taken}])
    if at is None and table.header is False and 0 not in taken:
        at = 0
    if at is not None and _plain(table.columns[at]) == "id":
        table.read.add(at)
        return at
    why = "no column is known to hold ids"
    if at is not None:
        seen: set[int] = set()
        count = 0
        for count, (_, row) in enumerate(table.rows(), start=1):  # noqa: B007 - the last count is asked for
            if not row[at]:
                break
            seen.add(hash(row[at]))
        if len(seen) == count:
            table.say(at, "id", "id")
            return at
        why = f"column '{quoted(table.columns[at])}' does not name each row differently"
    others = [quoted(name) for place, name in enumerate(table.columns) if place not in taken]
    notice(
        f"{table.path.name}: {why}, so that the ids are row_1, row_2 …"
        + (f"; the id column could be {', '.join(others[:10])}" if others else "")
    )
    return None


def _plain(name: str) -> str:
    return re.sub(r"[\W_]", "", name).casefold()


def _shown(row: list[str]) -> str:
    return quoted(", ".join(row), 60)
