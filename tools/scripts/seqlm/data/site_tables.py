"""Known sites from tables: a row for each site, or a row for each protein with lists of positions.

Positions count from 1, as everywhere in protein databases. Lists are read by a strict pattern and never evaluated.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from seqlm.cli.errors import InputError

from .records import quoted
from .sequences import read_table
from .tables import Table

PROTEIN_COLUMNS = ("protein", "accession", "id")  # tried in this order where no column is named
_LIST = re.compile(r"\s*(?:\d+\s*(?:[,;]\s*\d+\s*)*)?")
_POSITION = re.compile(r"([A-Za-z]?)([0-9]{1,9})")


@dataclass(frozen=True, slots=True)
class Site:
    """One known site: ``position`` from 1, ``residue`` empty where the source does not say it."""

    protein: str
    position: int
    label: str
    residue: str = ""
    line: int = 0


@dataclass(frozen=True)
class SiteColumns:
    """Columns by name or 1-based number; None for the usual name, where the table has it."""

    protein: str | None = None
    position: str | None = None
    residue: str | None = None
    label: str | None = None
    positive: str | None = None
    negative: str | None = None


def read_site_table(path: str | Path, columns: SiteColumns, positive_label: str, negative_label: str) -> list[Site]:
    """Sites in the order of the table.

    A table with a column of lists (``positive_positions`` unless named) has a row for each protein, any other table a
    row for each site: protein, position (``92`` or ``Y92``), and perhaps residue and label.

    Args:
        positive_label: label of a site in a table without labels, and of the positions in the first list.
        negative_label: label of the positions in the second list (``negative_positions`` unless named).

    Raises:
        InputError: a column that is missing, a cell that is no position, list, residue or label.
    """
    table = read_table(path)
    protein_at = protein_column(table, columns.protein)
    if columns.positive or "positive_positions" in table.columns:
        return _lists(table, protein_at, columns, positive_label, negative_label)
    return _rows(table, protein_at, columns, positive_label)


def protein_column(table: Table, wanted: str | None) -> int:
    """Which column names the protein: the one asked for, or the first of the usual names."""
    if wanted is None:
        wanted = next((name for name in PROTEIN_COLUMNS if name in table.columns), PROTEIN_COLUMNS[0])
    return table.index(wanted, "protein column")


def positions(text: str) -> list[int] | None:
    """The numbers of a list such as ``[92, 107]``, ``92;107`` or ``[]``; None for anything else."""
    inside = text.strip()
    if inside.startswith("[") and inside.endswith("]"):
        inside = inside[1:-1]
    if not _LIST.fullmatch(inside):
        return None
    return [int(number) for number in re.findall(r"\d+", inside)]


def _lists(table: Table, protein_at: int, columns: SiteColumns, positive: str, negative: str) -> list[Site]:
    wanted = [(table.index(columns.positive or "positive_positions", "column of positive positions"), positive)]
    if columns.negative or "negative_positions" in table.columns:
        wanted.append((table.index(columns.negative or "negative_positions", "column of negative positions"), negative))
    residue_at = table.index(columns.residue, "residue column") if columns.residue else None
    sites = []
    for line, row in table.rows():
        where = f"{table.path.name}: protein '{quoted(row[protein_at])}' (line {line})"
        residue = _residue(row[residue_at], where) if residue_at is not None else ""
        for at, label in wanted:
            found = positions(row[at])
            if found is None:
                raise InputError(
                    f"{where} has '{quoted(row[at])}' in column '{table.columns[at]}', which is not a list of "
                    "positions such as [92, 107]"
                )
            sites += [Site(row[protein_at], position, label, residue, line) for position in found]
    return sites


def _rows(table: Table, protein_at: int, columns: SiteColumns, positive_label: str) -> list[Site]:
    position_at = table.index(columns.position or "position", "position column")
    residue_at = _optional(table, columns.residue, "residue")
    label_at = _optional(table, columns.label, "label")
    sites = []
    for line, row in table.rows():
        where = f"{table.path.name}: line {line}"
        if not row[protein_at]:
            raise InputError(f"{where} names no protein")
        found = _POSITION.fullmatch(row[position_at])
        if not found:
            raise InputError(f"{where} has '{quoted(row[position_at])}' as a position; use a number such as 92, or Y92")
        residue = _residue(row[residue_at], where) if residue_at is not None else ""
        if residue and found[1] and residue != found[1].upper():
            raise InputError(f"{where} says both {found[1].upper()} and {residue} for one site")
        label = positive_label
        if label_at is not None:
            label = row[label_at]
            if not label or len(label) > 100 or not label.isprintable():
                raise InputError(f"{where} has the label '{quoted(label)}'; a label is 1 to 100 printable characters")
        sites.append(Site(row[protein_at], int(found[2]), label, residue or found[1].upper(), line))
    return sites


def _optional(table: Table, wanted: str | None, usual: str) -> int | None:
    if wanted is None and usual not in table.columns:
        return None
    return table.index(wanted or usual, f"{usual} column")


def _residue(text: str, where: str) -> str:
    if text and not (len(text) == 1 and text.isascii() and text.isalpha()):
        raise InputError(f"{where} has '{quoted(text)}' as a residue; use one letter such as Y, or leave it empty")
    return text.upper()
