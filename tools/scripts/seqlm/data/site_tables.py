"""Known sites from tables: a row for each site, or a row for each protein with lists of positions.

Positions count from 1, as everywhere in protein databases. Lists are read by a strict pattern and never evaluated. A
table may begin with lines that are no table, as those of PhosphoSitePlus do, and may have no header: then its columns
are known by number, or are protein, position and perhaps residue and label.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from seqlm.cli.errors import InputError

from .lines import numbered_lines
from .misfits import UNREADABLE, Misfits
from .parquet import is_parquet
from .records import Rules, quoted
from .sequences import read_table, sequence_format
from .tables import TABLES, Table
from .tables import rows as rows_of
from .unread_columns import count_unread

# tried in this order where no column is named, as written or else in any case; acc_id and mod_rsd are PhosphoSitePlus's
PROTEIN_COLUMNS = ("acc_id", "protein", "accession", "id", "entry", "uniprot", "uniprot_id", "protein_id")
POSITION_COLUMNS = ("position", "mod_rsd")
_LONGEST_CELL = 40  # of a table without a header that nobody has described; one with sequences has a header
_LIST = re.compile(r"\s*(?:\d+\s*(?:[,;]\s*\d+\s*)*)?")
POSITION = re.compile(r"([A-Za-z]?)([0-9]{1,9})(?:-([a-z][a-z0-9]{0,3}))?")  # 92, Y92, and Y92-p of PhosphoSitePlus
_STRANDS = {"+": "", "1": "", "+1": "", ".": "", "": "", "-": "-", "-1": "-"}


@dataclass(frozen=True, slots=True)
class Site:
    """One known site.

    Attributes:
        position: from 1, on the sequence as it is given.
        residue: as it is read on the strand of the site; empty where the source does not say it.
        strand: ``-`` for the reverse strand of DNA, else empty.
        kind: in words, for the report; empty where the source does not say it.
    """

    protein: str
    position: int
    label: str
    residue: str = ""
    line: int = 0
    strand: str = ""
    kind: str = ""


@dataclass(frozen=True)
class SiteColumns:
    """Columns by name or 1-based number; None for the usual name, where the table has it."""

    protein: str | None = None
    position: str | None = None
    residue: str | None = None
    label: str | None = None
    positive: str | None = None
    negative: str | None = None


class SiteTable(Table):
    """A table of sites, which may have no header; ``skip`` lines before it are no table."""

    def __init__(self, path: Path, columns: list[str], format: str, skip: int = 0, headed: bool = True):
        super().__init__(path, columns, format)
        self.skip, self.headed = skip, headed

    def rows(self) -> Iterator[tuple[int, list[str]]]:
        """(line, cells) of every row."""
        return islice(rows_of(self.path, self.format, self.skip), int(self.headed), None)


def usual(columns: list[str], names: tuple[str, ...]) -> str | None:
    """The column that has the first of some names, in the same case or else in any; None where none has."""
    for written in (columns, [column.casefold() for column in columns]):
        if name := next((name for name in names if name in written), None):
            return columns[written.index(name)]
    return None


def preamble(path: Path) -> int:
    """How many lines stand before a table: those without tabs before one with several, among the first twenty."""
    if is_parquet(path):
        return 0
    for number, line in islice(numbered_lines(path), 20):
        if line.count("\t") > 1:
            return number - 1
        if "\t" in line:
            break
    return 0


def open_site_table(path: Path, columns: SiteColumns, rules: Rules | None = None, format: str = "auto") -> SiteTable:
    """The table, whose first row is data where it has a position (or a list) and no name in its column of positions.

    Args:
        rules: a missing header is counted here.
    """
    if skip := preamble(path):
        format = "tabular"
    elif format == "auto":
        format = sequence_format(path)
    if format not in TABLES:
        read_table(path, format)  # which refuses it
    table = SiteTable(path, next(rows_of(path, format, skip))[1], format, skip)
    if not _without_header(table, columns):
        return table
    names = [str(at) for at in range(1, len(table.columns) + 1)]
    if columns == SiteColumns():
        residue = len(table.columns[2:]) > 0 and re.fullmatch("[A-Za-z]?", table.columns[2])
        usual_order = ("protein", "position", "residue", "label") if residue else ("protein", "position", "label")
        names[: len(usual_order)] = usual_order[: len(names)]
    elif columns.protein is None:
        names[0] = "protein"
    if rules is not None:
        rules.count(f"first row read as data, being no header (columns {', '.join(names[:8])})", unit="table of sites")
    return SiteTable(path, names, format, skip, headed=False)


def _without_header(table: SiteTable, columns: SiteColumns) -> bool:
    cells = table.columns
    wanted = columns.position or columns.positive
    if wanted is None:
        if len(cells) < 2 or any(len(cell) > _LONGEST_CELL for cell in cells):
            return False
        if usual(cells, (*POSITION_COLUMNS, "positive_positions")):
            return False
        at = 1
    elif wanted.isdecimal() and 1 <= int(wanted) <= len(cells):
        at = int(wanted) - 1
    else:
        return False
    if positions(cells[at]):
        return True
    # Y92 is a position, but H3 may be the name of a column, whose cells are then something else
    following = next((row[at] for _, row in table.rows()), cells[at])
    return all(found and found[1] for found in map(POSITION.fullmatch, (cells[at], following)))


def holds_sites(path: Path) -> bool:
    """Whether a table has a column of positions, or is one of sites without a header."""
    table = open_site_table(path, SiteColumns())
    return not table.headed or usual(table.columns, (*POSITION_COLUMNS, "positive_positions")) is not None


def read_site_table(
    path: str | Path,
    columns: SiteColumns,
    positive_label: str,
    negative_label: str,
    misfits: Misfits | None = None,
    others: tuple[str | None, ...] = (),
) -> list[Site]:
    """Sites in the order of the table.

    A table with a column of lists (``positive_positions`` unless named) has a row for each protein, any other table a
    row for each site: protein, position (``92`` or ``Y92``), and perhaps residue, strand and label.

    Args:
        positive_label: label of a site in a table without labels, and of the positions in the first list.
        negative_label: label of the positions in the second list (``negative_positions`` unless named).
        misfits: what becomes of rows that cannot be read; columns that are not read are counted in its rules.
        others: columns that somebody else reads.

    Raises:
        InputError: a column that is missing, a cell that is no position, list, residue or label.
    """
    misfits = Misfits() if misfits is None else misfits
    table = open_site_table(Path(path), columns, misfits.rules)
    protein_at = protein_column(table, columns.protein)
    if columns.positive or "positive_positions" in table.columns:
        return _lists(table, protein_at, columns, positive_label, negative_label, misfits, others)
    return _rows_of_sites(table, protein_at, columns, positive_label, misfits, others)


def protein_column(table: Table, wanted: str | None) -> int:
    """Which column names the protein: the one asked for, or the first of the usual names."""
    return table.index(wanted or usual(table.columns, PROTEIN_COLUMNS) or "protein", "protein column")


def positions(text: str) -> list[int] | None:
    """The numbers of a list such as ``[92, 107]``, ``92;107`` or ``[]``; None for anything else."""
    inside = text.strip()
    if inside.startswith("[") and inside.endswith("]"):
        inside = inside[1:-1]
    if not _LIST.fullmatch(inside):
        return None
    return [int(number) for number in re.findall(r"\d+", inside)]


def _positions(text: str, where: str, column: str) -> list[int]:
    if (found := positions(text)) is None:
        raise ValueError(
            f"{where} has '{quoted(text)}' in column '{column}', which is not a list of positions such as [92, 107]"
        )
    return found


def _lists(
    table: SiteTable, protein_at: int, columns: SiteColumns, positive: str, negative: str, misfits: Misfits, others
) -> list[Site]:
    wanted = [(table.index(columns.positive or "positive_positions", "column of positive positions"), positive)]
    if columns.negative or "negative_positions" in table.columns:
        wanted.append((table.index(columns.negative or "negative_positions", "column of negative positions"), negative))
    residue_at = table.index(columns.residue, "residue column") if columns.residue else None
    label_at = table.index(columns.label, "label column") if columns.label else None
    sites, seen = [], Counter()
    for line, row in table.rows():
        where = f"{table.path.name}: protein '{quoted(row[protein_at])}' (line {line})"
        seen[row[protein_at]] += 1
        try:
            residue = _residue(row[residue_at], where) if residue_at is not None else ""
            row_label = _label(row[label_at], where) if label_at is not None else ""
            found = [(_positions(row[at], where, table.columns[at]), label) for at, label in wanted]
        except ValueError as problem:
            misfits.leave_out(UNREADABLE, str(problem))
            continue
        for each, label in found:
            sites += [Site(row[protein_at], at, row_label or label, residue, line) for at in each]
    unread = usual(table.columns, ("label", "class"))
    if unread and label_at is None and len(wanted) == 1 and max(seen.values(), default=0) > 1:
        raise InputError(
            f"{table.path.name} has several rows for one protein and a column '{unread}': it seems to have a row for "
            "each site, so name its column of positions, and not one of lists"
        )
    read = [protein_at, residue_at, label_at, *(at for at, _ in wanted), *others]
    count_unread(table.columns, read, misfits.rules, seen.total())
    return sites


def _rows_of_sites(
    table: SiteTable, protein_at: int, columns: SiteColumns, positive_label: str, misfits: Misfits, others
) -> list[Site]:
    position_at = table.index(
        columns.position or usual(table.columns, POSITION_COLUMNS) or "position", "position column"
    )
    residue_at = _optional(table, columns.residue, "residue")
    label_at = _optional(table, columns.label, "label")
    strand_at = _optional(table, None, "strand")
    sites, rows = [], 0
    for line, row in table.rows():
        rows += 1
        where = f"{table.path.name}: line {line}"
        try:
            if not row[protein_at]:
                raise ValueError(f"{where} names no protein")
            found = POSITION.fullmatch(row[position_at])
            if not found:
                raise ValueError(
                    f"{where} has '{quoted(row[position_at])}' as a position; use a number such as 92, or Y92"
                )
            residue = _residue(row[residue_at], where) if residue_at is not None else ""
            if residue and found[1] and residue != found[1].upper():
                raise ValueError(f"{where} says both {found[1].upper()} and {residue} for one site")
            label = positive_label if label_at is None else _label(row[label_at], where)
            strand = "" if strand_at is None else row[strand_at]
            if strand not in _STRANDS:
                raise ValueError(f"{where} has '{quoted(strand)}' as its strand; it is +, - or empty")
        except ValueError as problem:
            misfits.leave_out(UNREADABLE, str(problem))
            continue
        site = Site(row[protein_at], int(found[2]), label, residue or found[1].upper(), line, _STRANDS[strand])
        sites.append(replace(site, kind=found[3]) if found[3] else site)
    read = [protein_at, position_at, residue_at, label_at, strand_at, *others]
    count_unread(table.columns, read, misfits.rules, rows)
    return sites


def _optional(table: SiteTable, wanted: str | None, usual: str) -> int | None:
    if wanted is None and usual not in table.columns:
        return None
    return table.index(wanted or usual, f"{usual} column")


def _label(text: str, where: str) -> str:
    if not text or len(text) > 100 or not text.isprintable():
        raise ValueError(f"{where} has the label '{quoted(text)}'; a label is 1 to 100 printable characters")
    return text


def _residue(text: str, where: str) -> str:
    if text and not (len(text) == 1 and text.isascii() and text.isalpha()):
        raise ValueError(f"{where} has '{quoted(text)}' as a residue; use one letter such as Y, or leave it empty")
    return text.upper()
