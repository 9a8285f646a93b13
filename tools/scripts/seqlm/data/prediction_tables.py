"""Prediction tables in: which task they are of, the probabilities or values as arrays, and a key for each row.

::

    id  predicted  probability_0  probability_1                 a class for each sequence
    id  predicted                                               a number for each sequence
    id  predicted  probability_nucleus  probability_membrane    several labels at once, joined by ';' in 'predicted'
    id  position  residue  predicted  probability_0 …           residues, position from 1 on
    first  second  predicted  probability_0 …                   pairs

``truth`` and ``split`` are read where they are there; other columns are passed over. Rows are held as arrays, so that a
table of 300,000 residues takes some tens of megabytes. Rows are known by whole-number keys, which all tables share.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from seqlm.cli.errors import InputError
from seqlm.metrics.thresholds import called

from .numbers import decimal, decimals, is_decimal, whole
from .records import quoted
from .sequences import read_table
from .tables import Table
from .tasks import level_of

UNIT_COLUMNS = {"sequence": ["id"], "residue": ["id", "position", "residue"], "pair": ["first", "second"]}

PROBABILITY = "probability_"
SEVERAL = ";"  # between the labels of a sequence that has several
SUM_TOLERANCE = 0.02  # of class probabilities, which others may have rounded to two digits
KINDS = ("classification", "multi-label", "regression")
_KEYS = {"sequence": ("id",), "residue": ("id", "position"), "pair": ("first", "second")}
_HALF = 32  # bits of a key for the position or the second member


class Names:
    """Sequence names as numbers, the same in all tables."""

    def __init__(self):
        self._numbers: dict[str, int] = {}

    def number(self, name: str) -> int:
        return self._numbers.setdefault(name, len(self._numbers))

    def known(self, name: str) -> int | None:
        return self._numbers.get(name)

    def listed(self) -> list[str]:
        return list(self._numbers)

    def __len__(self) -> int:
        return len(self._numbers)

    def key(self, level: str, first: int, second: int = 0) -> int:
        return first if level == "sequence" else first << _HALF | second

    def shown(self, level: str, key: int) -> str:
        """A key in words, for messages."""
        names = self.listed()
        first, second = (key, 0) if level == "sequence" else (key >> _HALF, key & (1 << _HALF) - 1)
        text = f"'{quoted(names[first])}'"
        if level == "residue":
            return f"{text} position {second}"
        return f"{text} and '{quoted(names[second])}'" if level == "pair" else text


def owners(keys: np.ndarray) -> np.ndarray:
    """(n,) number of the protein of each residue key."""
    return keys >> _HALF


def positions(keys: np.ndarray) -> np.ndarray:
    """(n,) position, from 1 on, of each residue key."""
    return keys & (1 << _HALF) - 1


@dataclass
class Words:
    """A column of text, each different text once: ``codes`` (n,) index ``texts``."""

    texts: list[str] = field(default_factory=list)
    codes: np.ndarray = field(default_factory=lambda: np.empty(0, dtype=np.int32))


@dataclass
class Predictions:
    """One table.

    Attributes:
        name: of the model.
        level: what a row is about: ``sequence``, ``residue`` or ``pair``.
        kind: one of ``KINDS``.
        labels: classes in the order of their columns; empty for numbers.
        keys: (n,) as :class:`Names` gives them; lines: (n,) of the file.
        values: (n, labels) probabilities or (n,) numbers.
        called: (n,) class indices, (n, labels) 0 or 1, None for numbers.
        truth, split: columns of those names, or None.
        residues: (n,) the letter of each residue as a number, 0 where it is not said; None without such a column.
    """

    name: str
    path: Path
    level: str
    kind: str
    labels: list[str]
    keys: np.ndarray
    lines: np.ndarray
    values: np.ndarray
    called: np.ndarray | None
    truth: Words | None
    split: Words | None
    residues: np.ndarray | None = None

    @property
    def task(self) -> str:
        return self.kind if self.kind == "multi-label" else f"{self.level}-{self.kind}"


class _Column:
    """Collects a :class:`Words`."""

    def __init__(self):
        self.codes, self.places = array("i"), {}

    def add(self, text: str) -> None:
        self.codes.append(self.places.setdefault(text, len(self.places)))

    def words(self) -> Words:
        return Words(list(self.places), np.frombuffer(self.codes, dtype=np.int32))


def read_predictions(path: str | Path, name: str, names: Names, kind: str = "auto") -> Predictions:
    """Read one table.

    Args:
        name: of the model.
        names: numbers of the sequences, shared by all tables; new ones are added.
        kind: one of ``KINDS``; ``auto`` tells it from the columns and what they hold.

    Raises:
        InputError: a file that is no prediction table; a probability that is none, or that do not sum to 1; a row that
            comes twice; a prediction that is no class of the table.
    """
    path = Path(path)
    table = _table(path)
    level = _level(table)
    key_at = [table.columns.index(column) for column in _KEYS[level]]
    predicted_at = table.index("predicted", "predictions")
    columns = [place for place, column in enumerate(table.columns) if column.startswith(PROBABILITY)]
    labels = [table.columns[place][len(PROBABILITY) :] for place in columns]
    _check_labels(path, labels)
    truth, split = (_Column() if column in table.columns else None for column in ("truth", "split"))
    truth_at, split_at = (table.columns.index(name) if name in table.columns else -1 for name in ("truth", "split"))
    keys, lines, values, predicted = array("q"), array("q"), array("d"), _Column()
    residue_at = table.columns.index("residue") if level == "residue" and "residue" in table.columns else None
    residues = bytearray()
    for line, row in table.rows():
        if residue_at is not None:
            residues.append(letter_code(row[residue_at]))
        keys.append(_key(level, [row[at] for at in key_at], names, path, line))
        lines.append(line)
        if labels:
            try:
                values.extend(decimals([row[at] for at in columns]))
            except ValueError:
                raise _not_a_number(path, line, table, row, columns) from None
            predicted.add(row[predicted_at])
        else:
            try:
                values.append(decimal(row[predicted_at]))
            except ValueError:
                raise InputError(
                    f"{path.name}: line {line} predicts '{quoted(row[predicted_at])}', which is no number, and there "
                    f"are no columns {PROBABILITY}… for classes; give a table that a prediction tool wrote"
                ) from None
        if truth:
            truth.add(row[truth_at])
        if split:
            split.add(row[split_at])
    if not keys:
        raise InputError(f"{path.name} has a header but no rows")
    keys, lines = np.frombuffer(keys, dtype=np.int64), np.frombuffer(lines, dtype=np.int64)
    _check_unique(path, level, keys, lines, names)
    numbers = np.frombuffer(values, dtype=float)
    told, called = "regression", None
    if labels:
        numbers = numbers.reshape(len(keys), len(labels))
        _check_probabilities(path, numbers, lines, labels)
        told, called = _calls(path, predicted.words(), labels, numbers, lines, kind)
    if kind not in ("auto", told):
        raise InputError(f"{path.name} is a table for {told}, not for {kind}: {_why(labels)}")
    if told == "multi-label" and level != "sequence":
        raise InputError(
            f"{path.name} has several labels for one {level}; several labels at once are for sequences only"
        )
    return Predictions(
        name, path, level, told, labels, keys, lines, numbers, called,
        truth.words() if truth else None, split.words() if split else None,
        np.frombuffer(residues, dtype=np.uint8) if residue_at is not None else None,
    )  # fmt: skip


def letter_code(text: str) -> int:
    """The letter of a residue as a number; 0 for anything else, for X, and for U, which is read as T in DNA."""
    return ord(text.upper()) if len(text) == 1 and text.isascii() and text.isalpha() and text not in "XxUu" else 0


def _table(path: Path) -> Table:
    try:
        return read_table(path)
    except InputError as mistake:
        if "neither FASTA nor a table" in str(mistake) or "FASTA and has no columns" in str(mistake):
            raise InputError(
                f"{path.name} is no prediction table: it needs tab-separated columns and a header with 'id' and "
                "'predicted'"
            ) from None
        raise


def _level(table: Table) -> str:
    columns = table.columns
    for column in (*_KEYS["residue"], *_KEYS["pair"], "predicted", "truth", "split"):
        if columns.count(column) > 1:
            raise InputError(f"{table.path.name}: two columns are called '{column}'")
    if "predicted" in columns:
        for level in ("pair", "residue", "sequence"):
            if all(column in columns for column in _KEYS[level]):
                return level
    shown = ", ".join(quoted(column) for column in columns[:8]) + (" …" if len(columns) > 8 else "")
    raise InputError(
        f"{table.path.name} is no prediction table: its header must have 'predicted' and 'id' (with 'position' for "
        f"residues), or 'first' and 'second' for pairs; its columns are {shown}"
    )


def _check_labels(path: Path, labels: list[str]) -> None:
    if len(labels) == 1:
        raise InputError(
            f"{path.name} has one probability column, {PROBABILITY}{quoted(labels[0])}; each class needs its own, the "
            "negative one of two too"
        )
    for label in labels:
        if not label or labels.count(label) > 1:
            raise InputError(f"{path.name}: the column '{PROBABILITY}{quoted(label)}' names no class or comes twice")


def _key(level: str, cells: list[str], names: Names, path: Path, line: int) -> int:
    if not cells[0] or not cells[-1]:
        raise InputError(f"{path.name}: line {line} has no {_KEYS[level][0] if not cells[0] else _KEYS[level][-1]}")
    if level == "sequence":
        return names.number(cells[0])
    second = position(cells[1], f"{path.name}: line {line}") if level == "residue" else names.number(cells[1])
    return names.key(level, names.number(cells[0]), second)


def position(text: str, where: str) -> int:
    """A position from 1 on."""
    try:
        if 0 < (place := whole(text)) < 1 << 31:
            return place
    except ValueError:
        pass
    raise InputError(f"{where} has '{quoted(text)}' as a position; positions are whole numbers from 1 on")


def _not_a_number(path: Path, line: int, table: Table, row: list[str], columns: list[int]) -> InputError:
    for at in columns:
        if not is_decimal(row[at]):
            cell, column = quoted(row[at]), quoted(table.columns[at])
            return InputError(
                f"{path.name}: line {line} has '{cell}' in column {column}; a probability lies between 0 and 1"
            )
    raise AssertionError("every cell is a number")


def _check_unique(path: Path, level: str, keys: np.ndarray, lines: np.ndarray, names: Names) -> None:
    order = np.argsort(keys, kind="stable")
    same = np.flatnonzero(np.diff(keys[order]) == 0)
    if len(same):
        first, second = order[same[0]], order[same[0] + 1]
        raise InputError(
            f"{path.name}: line {lines[second]} predicts {names.shown(level, int(keys[first]))} a second time, after "
            f"line {lines[first]}; every {level} must come once"
        )


def _check_probabilities(path: Path, numbers: np.ndarray, lines: np.ndarray, labels: list[str]) -> None:
    good = (numbers >= -1e-9) & (numbers <= 1 + 1e-6)  # NaN is neither
    if not good.all():
        row, column = np.argwhere(~good)[0]
        raise InputError(
            f"{path.name}: line {lines[row]} has {numbers[row, column]:g} in column {PROBABILITY}"
            f"{quoted(labels[column])}; a probability lies between 0 and 1"
        )


def _calls(path, predicted: Words, labels, numbers, lines, kind) -> tuple[str, np.ndarray]:
    """Whether rows have one class or several labels, and what they call."""
    place = {label: number for number, label in enumerate(labels)}
    if kind != "multi-label" and all(text in place for text in predicted.texts):
        sums = numbers.sum(axis=1)
        off = np.abs(sums - 1) > SUM_TOLERANCE + 5e-4 * len(labels)
        if off.any():
            row = int(np.argmax(off))
            raise InputError(
                f"{path.name}: the probabilities of line {lines[row]} sum to {sums[row]:.4g}; those of classes must "
                f"sum to 1 ({int(off.sum()):,} of {len(sums):,} rows do not). If a row can have several labels at "
                "once, choose multi-label as the kind of prediction"
            )
        return "classification", np.array([place[text] for text in predicted.texts])[predicted.codes]
    rows = np.zeros((len(predicted.texts), len(labels)), dtype=np.int8)
    for number, text in enumerate(predicted.texts):
        for part in filter(None, map(str.strip, text.split(SEVERAL))):
            if part not in place:
                line = lines[np.argmax(predicted.codes == number)]
                raise InputError(
                    f"{path.name}: line {line} predicts '{quoted(part)}', but the columns are of the classes "
                    f"{quoted(', '.join(labels), 200)}"
                )
            rows[number, place[part]] = 1
    return "multi-label", rows[predicted.codes]


def _why(labels: list[str]) -> str:
    return "it has probabilities" if labels else f"it has no columns {PROBABILITY}…"


def columns(task: str, labels: tuple[str, ...] | None) -> list[str]:
    """Header of a prediction table: what names a unit, what is predicted, and one probability a class."""
    return [*UNIT_COLUMNS[level_of(task)], "predicted", *(f"probability_{label}" for label in labels or ())]


def cells(predictions: np.ndarray, labels: tuple[str, ...] | None, threshold) -> list[list]:
    """What stands in a row after the name of the unit: what is called, and the probability of each class.

    Args:
        predictions: (units, classes) probabilities or (units,) values.
        threshold: see :func:`seqlm.metrics.thresholds.called`.
    """
    if labels is None:
        return [[value] for value in predictions.tolist()]
    calls = called(predictions, threshold)
    if calls.ndim == 2:
        names = [";".join(name for name, on in zip(labels, row, strict=True) if on) for row in calls.tolist()]
    else:
        names = [labels[place] for place in calls.tolist()]
    return [[name, *row] for name, row in zip(names, predictions.tolist(), strict=True)]
