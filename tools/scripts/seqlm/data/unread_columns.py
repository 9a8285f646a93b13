"""Columns whose name means something and that nobody read: each is named in the report, with the rows that have it.

A table may say more than its reader knows of, such as a label for each site or the strand that it is on, and what comes
out then is about something else than the table.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from .records import Rules, quoted
from .sequences import read_table, sequence_format
from .tables import TABLES

MEANINGS = {
    "label", "labels", "class", "classes", "target", "truth", "value", "measured", "score", "weight", "mask",
    "protein", "accession", "isoform", "residue", "aa", "amino_acid", "strand", "position", "positions", "start", "end",
    "positive_positions", "negative_positions", "variant", "mutation",
    "split", "set", "subset", "fold", "validation", "group", "cluster", "family",
}  # fmt: skip


def unread(columns: Iterable[str], read: Iterable[str | int | None]) -> list[str]:
    """The columns with a meaning that are not among those read.

    Args:
        read: names, 1-based numbers as text, or 0-based places of the columns that were read; None is passed over.
    """
    read = {str(each + 1) if isinstance(each, int) else each for each in read if each is not None}
    named = enumerate(columns, start=1)
    return [name for place, name in named if name.casefold() in MEANINGS and not {name, str(place)} & read]


def count_unread(columns: Iterable[str], read: Iterable[str | int | None], rules: Rules, rows: int) -> None:
    """Count in ``rules`` every column that :func:`unread` names, with the rows of the table."""
    for name in unread(columns, read):
        rules.count(f"column '{quoted(name)}' not read", number=rows, unit="row")


def count_unread_of(path: str | Path, format: str, rules: Rules, rows: int) -> None:
    """The same of a file of sequences, if it is a table, when all that is read of it has been asked for."""
    format = sequence_format(path) if format == "auto" else format
    if format in TABLES:
        table = read_table(path, format)
        count_unread(table.columns, table.read, rules, rows)
