"""The tables of an explanation.

::

    table    id  [explained]  position  letter  [class]  value  shuffled
    matrix   id  [explained]  position  letter  [class]  A  C  D  …       what each substitution changes, 0 for its own

``class`` is what is explained of the sequence, and stands only where there are classes; ``shuffled`` is the value that
a model with shuffled weights gives, where it was asked. ``explained`` is the residue that is explained, of a model of
residues. Positions count from 1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from seqlm.cli.outputs import write_table

from .inputs import Plan
from .summary import Explained, Summary


def write_table_of(path: Path, plan: Plan, summary: Summary) -> None:
    """A row a letter of each sequence, in the order of the file."""

    def numbers(one: Explained) -> np.ndarray:
        values = one.item.by_letter(one.values)
        others = np.full(len(values), np.nan) if one.shuffled is None else one.item.by_letter(one.shuffled)
        return np.stack([values, others], axis=1)

    write_table(path, [*_columns(plan), "value", "shuffled"], _rows(plan, summary, numbers))


def write_matrix(path: Path, plan: Plan, summary: Summary) -> None:
    """A row a position of each sequence, a column a letter; of a model that reads one letter a token."""
    write_table(path, [*_columns(plan), *plan.substituted], _rows(plan, summary, lambda one: one.effects))


def _columns(plan: Plan) -> list[str]:
    explained, goal = ["explained"] * (plan.level == "residue"), ["class"] * bool(plan.labels)
    return ["id", *explained, "position", "letter", *goal]


def _rows(plan: Plan, summary: Summary, numbers: Callable[[Explained], np.ndarray]) -> Iterator[list]:
    for one in summary.explained:
        item = one.item
        explained = [] if item.site is None else [item.site + 1]
        goal = [plan.labels[item.goal]] if plan.labels else []
        for place, (letter, row) in enumerate(zip(item.sequence, numbers(one).tolist(), strict=False)):
            yield [item.id, *explained, place + 1, letter, *goal, *row]
