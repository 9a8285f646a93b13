"""The table of an explanation.

::

    id  position  letter  class  value  shuffled

``class`` is what is explained of the sequence, and stands only where there are classes; ``shuffled`` is the value that
a model with shuffled weights gives, where it was asked. Positions count from 1.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from seqlm.cli.outputs import write_table

from .inputs import Plan
from .summary import Summary


def write_table_of(path: Path, plan: Plan, summary: Summary) -> None:
    """A row a letter of each sequence, in the order of the file."""

    def rows() -> Iterator[list]:
        for one in summary.explained:
            item = one.item
            values = item.by_letter(one.values).tolist()
            others = [np.nan] * len(values) if one.shuffled is None else item.by_letter(one.shuffled).tolist()
            goal = [plan.labels[item.goal]] if plan.labels else []
            for place, (letter, value, other) in enumerate(zip(item.sequence, values, others, strict=True)):
                yield [item.id, place + 1, letter, *goal, value, other]

    write_table(path, ["id", "position", "letter", *(["class"] if plan.labels else []), "value", "shuffled"], rows())
