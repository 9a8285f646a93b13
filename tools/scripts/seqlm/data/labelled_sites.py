"""Sites with labels or values of their own, as a table with a row a site says them, or BED."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from seqlm.cli.errors import InputError

from .labels import GivenSplit
from .records import Rules
from .site_features import bed_positions, is_bed
from .site_tables import PROTEIN_COLUMNS, SiteColumns, open_site_table, usual
from .tables import LABELS
from .unread_columns import count_unread

NEGATIVE, POSITIVE = "0", "1"  # classes where sites have no label


class LabelledSite(NamedTuple):
    """One row, as it stands there; cells are all of it."""

    line: int
    protein: str
    position: str
    residue: str
    label: str
    cells: list[str]


def says_bed(path: Path, columns: SiteColumns) -> bool:
    """Whether it is BED, and nobody says that it is a table with columns."""
    return not (columns.position or columns.label or columns.protein) and is_bed(path)


def labelled_sites(
    path: Path, form: str, columns: SiteColumns, given_split: GivenSplit, rules: Rules, *, numeric: bool
) -> Iterator[LabelledSite]:
    """All sites of a file, in its order.

    Args:
        rules: counts what was read otherwise than written, and columns that were not read.
        numeric: labels are numbers, and every site has one.

    Raises:
        InputError: there is no such column, or BED where values or splits are wanted.
    """
    if says_bed(path, columns):
        if numeric or given_split:
            raise InputError(f"{path.name} is BED, which says neither values nor splits; give a table with a header")
        for line, name, position in bed_positions(path):
            rules.count("of BED, whose starts count from 0, read as positions from 1", unit="site")
            yield LabelledSite(line, name, str(position), "", POSITIVE, [])
        return
    table = open_site_table(path, columns, rules, form)
    named = "id" if "id" in table.columns else usual(table.columns, PROTEIN_COLUMNS) or "1"
    id_at = table.index(columns.protein or named, "id column")
    position = usual(table.columns, ("position", "mod_rsd")) or "position"
    position_at = table.index(columns.position or position, "position column")
    residue_at = table.columns.index("residue") if "residue" in table.columns else None
    label_at = table.index(columns.label, "label column") if columns.label else None
    if label_at is None and "label" in table.columns:
        label_at = table.columns.index("label")
    elif label_at is None and numeric and (label_at := table.find(LABELS)) is not None:
        table.say(label_at, "label column", "label")
    if numeric and label_at is None:
        raise InputError(f"{path.name} has no column with the values; name the label column")
    rows = 0
    for line, row in table.rows():
        rows += 1
        residue = "" if residue_at is None else row[residue_at]
        label = POSITIVE if label_at is None else row[label_at]
        yield LabelledSite(line, row[id_at], row[position_at], residue, label, row)
    splits = (given_split.column, given_split.validation_column)
    count_unread(table.columns, [id_at, position_at, residue_at, label_at, *splits], rules, rows)
