"""What is drawn: one or two tables of embeddings of the same sequences, and what colours them, in one order."""

from __future__ import annotations

from argparse import Namespace
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from seqlm.cli.errors import InputError
from seqlm.data.class_names import positive_last, why_positive
from seqlm.data.records import quoted
from seqlm.data.sequences import read_table
from seqlm.embeddings.labels import Labels, named_columns, read_labels
from seqlm.embeddings.tables import Embeddings, read_embeddings

from .run import FEWEST

NAMED_IDS = 3  # that a message names
OUTCOMES = ("true positive", "true negative", "false positive", "false negative")


@dataclass
class Points:
    """Checked inputs of a plot; all arrays are in the order of ``ids``.

    Attributes:
        names: of the tables.
        tables: one or two arrays (n, d) of float32.
        ids: (n).
        colour: ``none``, ``label``, ``value`` or ``outcome``.
        classes, codes: class names, and (n,) the class of each point; for ``label`` and ``outcome``.
        values: (n,) for ``value``.
        predicted: for each table, (n) predicted classes; for ``outcome``.
        positive: the class that outcomes are about.
        split: the one that is drawn, or "" for all.
        source: of labels or values, in words; column: what they are called.
        total: points before some were drawn for the picture.
        notes: one sentence for each thing that was left out or assumed.
    """

    names: list[str]
    tables: list[np.ndarray]
    ids: list[str]
    colour: str = "none"
    classes: list[str] = field(default_factory=list)
    codes: np.ndarray | None = None
    values: np.ndarray | None = None
    predicted: list[list[str]] = field(default_factory=list)
    positive: str = ""
    split: str = ""
    source: str = ""
    column: str = ""
    total: int = 0
    notes: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.ids)

    def outcomes(self, table: int) -> np.ndarray:
        """(n,) place in ``OUTCOMES`` of each point, as the predictions for a table say."""
        true = self.codes == self.classes.index(self.positive)
        called = np.array(self.predicted[table]) == self.positive
        return np.select([true & called, ~true & ~called, called], [0, 1, 2], 3)

    def chosen(self, rows: np.ndarray) -> Points:
        """Some of the points."""
        return replace(
            self,
            tables=[table[rows] for table in self.tables],
            ids=[self.ids[row] for row in rows],
            codes=None if self.codes is None else self.codes[rows],
            values=None if self.values is None else self.values[rows],
            predicted=[[texts[row] for row in rows] for texts in self.predicted],
        )


def gather(arguments: Namespace) -> Points:
    """Read everything, and bring it into one order.

    Raises:
        InputError: for every mistake in the files, see :mod:`seqlm.embeddings.tables` and
            :mod:`seqlm.embeddings.labels`; tables of other sequences or another space; too few points; vectors that are
            all the same; one class.
    """
    _check_options(arguments)
    names = _names(arguments)
    own = named_columns(arguments.labels, arguments.label_column, arguments.split_column)
    first = read_embeddings(arguments.embeddings[0], own if arguments.colour_by != "none" else [])
    vectors = [first.vectors]
    if len(names) == 2:
        vectors.append(_aligned(read_embeddings(arguments.embeddings[1]), first, names))
    points = Points(names, vectors, first.ids, arguments.colour_by, total=len(first))
    if arguments.colour_by != "none":
        points = _coloured(points, first, arguments)
    _check_points(points, arguments)
    return _drawn(points, arguments)


def _check_options(arguments: Namespace) -> None:
    if len(arguments.embeddings) > 2:
        raise InputError(f"{len(arguments.embeddings)} tables of embeddings were given; a plot compares two at most")
    if (arguments.colour_by == "outcome") != bool(arguments.predictions):
        raise InputError("--colour-by outcome and --predictions go together; give both or neither")
    if len(arguments.predictions or []) > len(arguments.embeddings):
        raise InputError("there are more tables of predictions than of embeddings; give one for all, or one for each")
    if arguments.colour_by == "none" and (arguments.labels or arguments.split):
        raise InputError("labels and splits are of no use with --colour-by none; choose label, value or outcome")
    if arguments.split and not (arguments.split_column or arguments.split_pattern):
        raise InputError(
            f"the split '{arguments.split}' was asked for; name the column, or the pattern of a FASTA header, that "
            "says the split of a sequence"
        )


def _names(arguments: Namespace) -> list[str]:
    names = arguments.names or [Path(path).stem for path in arguments.embeddings]
    if len(names) != len(arguments.embeddings):
        raise InputError(
            f"--names has {len(names)} names for {len(arguments.embeddings)} tables; give one for each, or none"
        )
    for name, count in Counter(names).items():
        if count > 1:
            raise InputError(f"two tables have the name '{quoted(name)}'; give each its own with --names")
        if not name.strip() or len(name) > 200 or not name.isprintable():
            raise InputError(f"'{quoted(name)}' cannot name a table; use up to 200 printable characters")
    return names


def _aligned(second: Embeddings, first: Embeddings, names: Sequence[str]) -> np.ndarray:
    """The vectors of the second table in the rows and columns of the first."""
    one, other = first.name, second.name
    if one == other:
        one, other = (f"{name} (the table '{quoted(table)}')" for name, table in zip((one, other), names, strict=True))
    # a column of labels that the first table was told of is none of the second's numbers either
    columns = [column for column in second.columns if column not in first.others]
    if len(columns) != len(first.columns):
        raise InputError(
            f"{one} has vectors of {len(first.columns):,} numbers and {other} of {len(columns):,}: they are of "
            "different models, and a picture of each on its own would show nothing about their difference; give "
            "embeddings of one model before and after fine-tuning, or plot one table"
        )
    if missing := [column for column in first.columns if column not in columns]:
        raise InputError(
            f"{other} has no column '{quoted(missing[0])}', which {one} has; the columns must have the same names in "
            "both"
        )
    place = {name: row for row, name in enumerate(second.ids)}
    without = [name for name in first.ids if name not in place]
    known = set(first.ids)
    foreign = [name for name in second.ids if name not in known]
    if without or foreign:
        parts = [f"{other} lacks {_counted(without)}"] if without else []
        parts += [f"{one} lacks {_counted(foreign)}"] if foreign else []
        raise InputError(f"the tables are not of the same sequences: {'; '.join(parts)}. Give the same ids in both")
    at = {column: number for number, column in enumerate(second.columns)}
    rows = second.vectors[[place[name] for name in first.ids]]
    return rows if second.columns == first.columns else rows[:, [at[column] for column in first.columns]]


def _counted(names: list[str]) -> str:
    shown = ", ".join(f"'{quoted(name)}'" for name in names[:NAMED_IDS])
    return f"{len(names):,} id{'s' * (len(names) != 1)} ({shown}{' …' if len(names) > NAMED_IDS else ''})"


def _coloured(points: Points, embeddings: Embeddings, arguments: Namespace) -> Points:
    """The points that have a label and are of the split asked for, with what colours them."""
    what = "value" if points.colour == "value" else "label"
    source = arguments.labels
    label_column = arguments.label_column
    if points.colour == "outcome" and not source and not label_column:
        source, label_column = arguments.predictions[0], "truth"  # where a prediction table has it
    known = read_labels(
        embeddings,
        source,
        label_column=label_column,
        label_pattern=arguments.label_pattern,
        id_column=arguments.label_id_column,
        split_column=arguments.split_column,
        split_pattern=arguments.split_pattern,
        what=what,
    )
    known = _of_split(known, arguments.split, points)
    points = points.chosen(known.rows)
    points.split, points.source, points.total = arguments.split or "", known.source, len(points)
    points.column = _called(label_column, source, embeddings) or what
    if points.colour != "value":
        points.classes, points.codes = known.classes()
    points.notes += known.notes
    if points.colour == "value":
        points.values = known.values(embeddings.ids)
        if len(points) > 1 and not np.ptp(points.values):
            raise InputError(
                f"{known.source}: every value is {points.values[0]:g}; values must differ to colour points"
            )
        return points
    where = f" of the split '{points.split}'" if points.split else ""
    if len(points.classes) < 2:
        raise InputError(
            f"{known.source}: every sequence{where} has the label '{quoted(points.classes[0])}'; colours need two "
            "classes, choose --colour-by none for a picture without"
        )
    if len(points.classes) == len(points):
        raise InputError(
            f"{known.source}: each of the {len(points):,} sequences has a label of its own; for numbers choose "
            "--colour-by value, for a picture without colours none"
        )
    if points.colour == "outcome":
        points = _with_outcomes(points, embeddings, known, arguments)
    return points


def _called(column: str | None, source: str | None, embeddings: Embeddings) -> str | None:
    """What a column is called that was asked for by name or number; None where nothing says it."""
    if not column or not column.isdecimal():
        return column
    names = embeddings.header
    if source:
        table = read_table(source)
        names = table.columns if table.header is not False else []
    return names[int(column) - 1] if 0 < int(column) <= len(names) else None


def _of_split(known: Labels, split: str | None, points: Points) -> Labels:
    if not split:
        return known
    kept = [number for number, name in enumerate(known.splits or []) if name == split]
    if not kept:
        found = ", ".join(sorted(set(known.splits or []))) or "none"
        raise InputError(f"{known.source}: no sequence is of the split '{split}'; the splits are {found}")
    if left := len(known) - len(kept):
        points.notes.append(f"Not drawn and not scored, as they are of other splits: {left:,} sequences.")
    return replace(known, rows=known.rows[kept], texts=[known.texts[number] for number in kept])


def _with_outcomes(points: Points, embeddings: Embeddings, known: Labels, arguments: Namespace) -> Points:
    """With the predictions, for the points that have one from every table of predictions."""
    points.positive = _positive(points, arguments.positive_label)
    here = replace(embeddings, ids=points.ids, vectors=points.tables[0], others={})
    tables = [read_labels(here, path, label_column="predicted", what="prediction") for path in arguments.predictions]
    shared = np.arange(len(points))
    for table in tables:
        shared = np.intersect1d(shared, table.rows, assume_unique=True)
        if not set(table.texts) & set(points.classes):
            raise InputError(
                f"{table.source} predicts {quoted(table.texts[0])}, which is no label of {points.source}: its labels "
                f"are {quoted(', '.join(points.classes), 100)}; give the predictions of these classes"
            )
        # what lies beside the embeddings in a prediction table is nothing that this picture leaves out
        points.notes += [note for note in table.notes if note not in points.notes and not note.startswith("In ")]
    predicted = [dict(zip(table.rows.tolist(), table.texts, strict=True)) for table in tables]
    points.predicted = [
        [table.get(row, "") for row in range(len(points))]
        for table in (predicted * 2 if len(predicted) == 1 else predicted)[: len(points.tables)]
    ]
    points = points.chosen(shared)
    points.total = len(points)
    if len(present := np.unique(points.codes)) < 2:
        raise InputError(
            f"of the sequences with a prediction, every one has the label '{quoted(points.classes[present[0]])}'; give "
            "predictions of both classes"
        )
    return points


def _positive(points: Points, wanted: str | None) -> str:
    if wanted:
        if wanted not in points.classes:
            raise InputError(
                f"the positive label '{quoted(wanted)}' is no label of {points.source}; they are "
                f"{quoted(', '.join(points.classes), 100)}"
            )
        return wanted
    if len(points.classes) > 2:
        raise InputError(
            f"{points.source} has {len(points.classes):,} classes; true and false positives are about one of them: "
            f"name it with --positive-label ({quoted(', '.join(points.classes), 100)})"
        )
    positive = positive_last(points.classes, None)
    points.notes.append(f"The positive class is '{quoted(positive[1])}', {why_positive(positive, None)}.")
    return positive[1]


def _check_points(points: Points, arguments: Namespace) -> None:
    if len(points) < FEWEST:
        raise InputError(
            f"there {'is' if len(points) == 1 else 'are'} only {len(points)} point{'s' * (len(points) != 1)} to draw; "
            f"a projection needs {FEWEST} at least"
        )
    for name, table in zip(points.names, points.tables, strict=True):
        if not np.ptp(table, axis=0).any():
            raise InputError(
                f"all vectors of '{quoted(name)}' are the same, so there is nothing to draw; look at how they were made"
            )
        if arguments.metric == "cosine" and not (some := table.any(axis=1)).all():
            where = quoted(points.ids[int(np.argmin(some))])
            raise InputError(
                f"the vector of '{where}' in '{quoted(name)}' is all zeros and has no direction; choose the Euclidean "
                "distance"
            )
        twice = len(table) - len({row.tobytes() for row in table})
        if twice:
            points.notes.append(
                f"In {quoted(name)}, {twice:,} point{'s lie' if twice > 1 else ' lies'} exactly on another: sequences "
                "that are the same, or that the model cannot tell apart."
            )


def _drawn(points: Points, arguments: Namespace) -> Points:
    """At most ``--points`` of them, of each class its share."""
    from .scores import stratified

    if len(points) <= arguments.points:
        return points
    codes = np.zeros(len(points), dtype=np.int64) if points.codes is None else points.codes
    rows = stratified(codes, arguments.points, arguments.seed)
    drawn = points.chosen(rows)
    shares = ", of each class its share" if points.codes is not None else ""
    drawn.notes.append(
        f"Drawn and scored are {len(rows):,} of {len(points):,} points, chosen at random{shares}; --points sets how "
        "many."
    )
    if drawn.codes is not None:
        gone = sorted(set(range(len(points.classes))) - set(drawn.codes.tolist()))
        if len(points.classes) - len(gone) < 2:
            raise InputError(f"{len(rows):,} points at random are all of one class; draw more of them with --points")
        if gone:
            names = ", ".join(f"'{quoted(points.classes[c])}'" for c in gone[:NAMED_IDS])
            more = " …" if len(gone) > NAMED_IDS else ""
            drawn.notes.append(f"Classes so rare that none of their points was chosen: {len(gone):,} ({names}{more}).")
    return drawn
