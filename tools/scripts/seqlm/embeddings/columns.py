"""What embeddings are once they are read, and which columns of a table are what."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from seqlm.cli.errors import InputError
from seqlm.data.numbers import is_decimal
from seqlm.data.parquet import check_expansion
from seqlm.data.records import quoted
from seqlm.data.tables import Table, id_column

MOST_NUMBERS = 1 << 30  # in all vectors together: 4 GiB
MOST_COLUMNS = 100_000
MOST_LETTERS = 1 << 29  # of the ids and of all columns of text together
OWN_COLUMN = re.compile(r"dim_[1-9]\d*")  # as the embedding tool names them
NEVER_FEATURES = ("label", "truth", "class", "value", "target", "split", "set", "predicted")
ONE_EACH = "this needs one for each sequence, so embed the sequences again with another pooling than 'none'"


@dataclass
class Embeddings:
    """Vectors of sequences.

    Attributes:
        ids: (n) of the sequences, each once.
        vectors: (n, D) float32, all finite.
        columns: (D) names of the numbers.
        others: name -> (n) texts, of columns that are not numbers or were named as something else.
        name: of the file.
        header: every column in its order, the ids included.
    """

    ids: list[str]
    vectors: np.ndarray
    columns: list[str]
    others: dict[str, list[str]] = field(default_factory=dict)
    name: str = ""
    header: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.ids)

    def other(self, wanted: str, purpose: str) -> list[str]:
        """The texts (n) of a column that was named to :func:`read_embeddings`, by name or 1-based number."""
        name = _column(self.header, wanted, purpose, self.name)
        if name not in self.others:
            raise InputError(
                f"{self.name}: the column '{quoted(name)}' cannot be the {purpose}; it holds the embeddings"
            )
        return self.others[name]

    def with_features(self, wanted: Sequence[str]) -> Embeddings:
        """The same with further columns of numbers, by name or 1-based number, behind the vectors as features.

        Scores that stand beside vectors are no features unless they are asked for.

        Raises:
            InputError: a column that is no number somewhere, or that is none.
        """
        moved: dict[str, np.ndarray] = {}
        for one in wanted:
            name = _column(self.header, one, "feature column", self.name)
            if name in self.columns or name in moved:
                continue  # a feature already
            if name not in self.others:
                raise InputError(f"{self.name}: the column '{quoted(name)}' holds the ids, which are no features")
            for row, text in enumerate(self.others[name]):
                if not is_decimal(text):
                    raise InputError(
                        f"{self.name}: '{quoted(self.ids[row])}' has '{quoted(text)}' in column {quoted(name)}, "
                        "where a number is needed"
                    )
            moved[name] = np.array(self.others[name], np.float32)
        if not moved:
            return self
        check_room(len(self), len(self.columns) + len(moved), self.name)
        vectors = np.column_stack([self.vectors, *moved.values()])
        others = {name: texts for name, texts in self.others.items() if name not in moved}
        return replace(self, vectors=vectors, columns=[*self.columns, *moved], others=others)


def _column(header: Sequence[str], wanted: str, purpose: str, name: str) -> str:
    """The name of a column that is given by name or 1-based number."""
    return header[Table(Path(name), list(header), "").index(wanted, purpose)]


def roles(header: list[str], numeric: Callable[[str], bool], named: Sequence[str], file: str) -> tuple[str, list, list]:
    """The id column, the feature columns and the others of a table with named columns."""
    if len(header) > MOST_COLUMNS:
        raise InputError(f"{file} has {len(header):,} columns; the limit is {MOST_COLUMNS:,}")
    if len(set(header)) < len(header):
        twice = next(column for column in header if header.count(column) > 1)
        raise InputError(f"{file}: two columns are called '{quoted(twice)}'; give each its own name")
    if "position" in header and "letter" in header:
        raise InputError(f"{file} has an embedding for each position of the sequences; {ONE_EACH}")
    identity = header[id_column(Table(Path(file), header, ""), None)]
    apart = {_column(header, one, "named column", file) for one in named} | {identity}
    features = [column for column in header if OWN_COLUMN.fullmatch(column) and column not in apart]
    if not features:
        features = [
            column
            for column in header
            if column not in apart and column.lower() not in NEVER_FEATURES and numeric(column)
        ]
    if not features:
        raise InputError(
            f"{file} has no column of numbers beside the ids; its columns are "
            f"{quoted(', '.join(header), 120)}. Give a table with an id and an embedding in each row"
        )
    known = {identity, *features}
    return identity, features, [column for column in header if column not in known]


def check_room(rows: int, width: int, file: str) -> None:
    if rows * width > MOST_NUMBERS:
        raise InputError(
            f"{file} holds {rows:,} vectors of {width:,} numbers, over the limit of {MOST_NUMBERS:,}; give a part of "
            "them, or embeddings of a smaller model"
        )


class Letters:
    """Counts the letters of ids and columns of text, and refuses more than can be held.

    Args:
        path: of the file that they come from.
    """

    def __init__(self, path: Path):
        self.path, self.number = path, 0

    def add(self, number: int) -> None:
        self.number += number
        check_expansion(self.number, self.path)
        if self.number > MOST_LETTERS:
            raise InputError(
                f"{self.path.name} holds more than {MOST_LETTERS:,} letters of text; leave out columns that are not "
                "needed, such as sequences"
            )
