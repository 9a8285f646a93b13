"""Values of positions, such as the effects of a scan or what speaks for a prediction, to stand as B factors.

A table with a row for each position, or several whose mean is taken (a scan has one for each new letter)::

    id        position  wild_type  mean          Score: positions
    sequence  position  letter     value         Explain
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from seqlm.cli.errors import InputError
from seqlm.data.numbers import NOT_MEASURED, decimal
from seqlm.data.records import quoted
from seqlm.data.sequences import read_table
from seqlm.data.tables import id_column

USUAL = ("value", "mean", "score")  # columns of values
LETTERS = ("wild_type", "letter")  # what stands at the position
LARGEST = 99.0  # a B factor has room for 99.99 of either sign


@dataclass
class Values:
    """Values by protein and position.

    Attributes:
        column: what they are called.
        found: id -> (residues,) values, NaN where there is none.
        others: rows of proteins that are not folded.
        power: of ten, that they are multiplied by as B factors, so that two digits are enough.
    """

    column: str
    found: dict[str, np.ndarray] = field(default_factory=dict)
    others: int = 0

    @property
    def power(self) -> int:
        most = max(float(np.nanmax(np.abs(one))) for one in self.found.values())
        return min(300, math.floor(math.log10(LARGEST) - math.log10(most))) if most else 0

    @property
    def what(self) -> str:
        """What B factors are, in words."""
        times = f" times {10.0**self.power:g}" if self.power else ""
        return f"B factors are '{quoted(self.column)}' of each residue{times}, 0 where there is none"

    def factors(self, name: str, length: int) -> np.ndarray:
        """B factors (residues,) of a protein."""
        values = self.found.get(name, np.full(length, np.nan))
        return np.nan_to_num(values * 10.0**self.power)

    def of(self, name: str, length: int) -> np.ndarray:
        """Values (residues,) of a protein, NaN where there is none."""
        return self.found.get(name, np.full(length, np.nan))


def read_values(
    path: str | Path, column: str | None, proteins: Iterable[tuple[str, Sequence[str]]], first: int
) -> Values:
    """The table, checked against the proteins; rows of others are counted and passed over.

    Args:
        column: of the values; None for one that goes by a usual name.
        proteins: id and sequence of each.
        first: number of the first residue.

    Raises:
        InputError: a table that lacks a column or has values for none of the proteins, a position that a protein does
            not have or where it has another letter, a cell that is no number.
    """
    table, name = read_table(path), Path(path).name
    ids, position = id_column(table, None), table.index("position", "column of positions")
    place = table.find(USUAL) if not column else None
    place = table.index(column or "value", "column of values") if place is None else place
    letter = table.find(LETTERS)
    sequences = dict(proteins)
    sums = {one: np.zeros(len(sequence)) for one, sequence in sequences.items()}
    counts = {one: np.zeros(len(sequence)) for one, sequence in sequences.items()}
    others = 0
    for line, row in table.rows():
        others += row[ids] not in sequences
        if row[ids] not in sequences or row[place].strip().lower() in NOT_MEASURED:
            continue
        sequence, where = sequences[row[ids]], f"{name}: line {line}"
        try:
            number, value = decimal(row[position]), decimal(row[place])
        except ValueError:
            raise InputError(
                f"{where}: '{quoted(row[position])}' and '{quoted(row[place])}' are not both numbers; a position and a "
                "value are expected"
            ) from None
        if not number.is_integer():
            raise InputError(f"{where}: the position is a whole number, not '{quoted(row[position])}'")
        at = int(number) - first
        if not 0 <= at < len(sequence):
            raise InputError(
                f"{where}: '{quoted(row[ids])}' has no position {at + first}; its residues are numbered {first} to "
                f"{first + len(sequence) - 1} (--first-position)"
            )
        if letter is not None and sequence[at] != "X" and row[letter].strip().upper() not in ("", sequence[at]):
            raise InputError(
                f"{where}: position {at + first} of '{quoted(row[ids])}' is {quoted(row[letter])} there, and "
                f"{sequence[at]} in the sequence; the two are numbered otherwise, or are other proteins"
            )
        if not math.isfinite(sums[row[ids]][at] + value):
            raise InputError(f"{where}: the values of position {at + first} are too large to take their mean")
        sums[row[ids]][at] += value
        counts[row[ids]][at] += 1
    found = {
        one: np.where(counts[one] > 0, sums[one] / np.maximum(counts[one], 1), np.nan)
        for one in sequences
        if counts[one].any()
    }
    if not found:
        raise InputError(f"{name} has values for none of the proteins; its first column must hold their ids")
    return Values(table.columns[place], found, others)
