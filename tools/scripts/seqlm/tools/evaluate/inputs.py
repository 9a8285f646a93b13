"""What an evaluation compares: units that every model predicted and whose truth is known, by key and in one order."""

from __future__ import annotations

from argparse import Namespace
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from seqlm.cli.errors import InputError
from seqlm.data.class_names import called_positive
from seqlm.data.misfits import LEAVE_OUT
from seqlm.data.prediction_tables import Names, Predictions, Words, owners, read_predictions
from seqlm.data.records import quoted
from seqlm.data.truth import Truth, read_mask, read_truth
from seqlm.metrics import metrics, thresholds

from .truth import UNITS, counted, own_truth, true_of, unmasked

SPLITS = ("test", "validation", "train")  # in the order in which they are preferred


@dataclass
class Cases:
    """Checked inputs of an evaluation; arrays are in the order of the keys, equal for all models.

    Attributes:
        task: as for :func:`seqlm.metrics.metrics.metrics_for`; level: ``sequence``, ``residue`` or ``pair``.
        classes: names in the order of their indices, the positive one of two last; empty for numbers.
        models: names in the order given.
        truth: (n,) class indices or values, (n, labels) 0 or 1, or -1 where that is not known.
        predictions: model -> (n, classes) or (n,); called: model -> (n,) classes, (n, labels) 0 or 1.
        groups: (n,) the protein of each residue; else None. proteins: their names, by number.
        split: the one that is scored, in words; source: where the truth comes from.
        notes: one sentence for each thing that was left out or assumed, with its count.
    """

    task: str
    level: str
    classes: list[str]
    models: list[str]
    truth: np.ndarray
    predictions: dict[str, np.ndarray]
    called: dict[str, np.ndarray]
    groups: np.ndarray | None
    proteins: list[str]
    split: str
    source: str
    notes: list[str] = field(default_factory=list)

    @property
    def units(self) -> str:
        return UNITS[self.level]

    @property
    def regression(self) -> bool:
        return metrics.metrics_for(self.task) is metrics.REGRESSION

    @property
    def several(self) -> bool:
        return self.task == "multi-label"

    @property
    def positive(self) -> int | None:
        return 1 if len(self.classes) == 2 and not self.several else None

    def __len__(self) -> int:
        return len(self.truth)


def gather(arguments: Namespace) -> Cases:
    """Read all tables and the truth, and bring them together.

    Raises:
        InputError: for every mistake in them, see :mod:`seqlm.data.prediction_tables` and :mod:`seqlm.data.truth`.
    """
    names, notes = Names(), []
    tables = [
        read_predictions(path, name, names, arguments.kind)
        for path, name in zip(arguments.predictions, _model_names(arguments), strict=True)
    ]
    first = tables[0]
    _check_alike(tables, first)
    classes = _ordered_classes(first, arguments.positive_label)
    two = len(classes) == 2 and first.kind == "classification"
    if two and not arguments.positive_label and called_positive(classes) == classes[0]:
        notes.append(
            f"The positive class is '{quoted(classes[1])}', whose column stands last, although "
            f"'{quoted(classes[0])}' reads as the positive one; name it as the positive class if it is."
        )
    split, kept = _choose_split(tables, arguments.split, notes)
    if arguments.truth:
        truth = read_truth(
            arguments.truth,
            first.level,
            names,
            label_pattern=arguments.label_pattern,
            label_column=arguments.truth_column,
            id_column=arguments.truth_id_column,
            unlisted=arguments.unlisted,
            several=first.labels if first.kind == "multi-label" else (),
        )
    else:
        truth = own_truth(tables, names, notes)
    _check_residues(tables, truth, arguments, names, notes)
    if truth.unread:
        notes.append(f"Columns of the truth that were not read: {quoted(', '.join(truth.unread), 100)}.")
    everyone = np.unique(np.concatenate([table.keys[rows] for table, rows in zip(tables, kept, strict=True)]))
    keys, known = true_of(everyone, truth, first, classes, arguments, names, notes)
    shared = keys
    for table, rows in zip(tables, kept, strict=True):
        shared = np.intersect1d(shared, table.keys[rows], assume_unique=True)
    if not len(shared):
        raise InputError(
            f"no {first.level} is predicted by every table and has a known truth; are they of the same test set?"
        )
    _note_what_is_left_out(tables, kept, keys, shared, truth, first, notes)
    if arguments.mask:
        shared = unmasked(shared, first, read_mask(arguments.mask, names), notes)
    known = known[np.searchsorted(keys, shared)]
    if first.kind == "multi-label" and (left := int((known < 0).sum())):
        notes.append(f"Not known, and not counted: {left:,} of {known.size:,} labels of the sequences.")
    predictions, called = {}, {}
    for table, rows in zip(tables, kept, strict=True):
        chosen = rows[np.argsort(table.keys[rows])]
        chosen = chosen[np.searchsorted(table.keys[chosen], shared)]
        order = [table.labels.index(label) for label in classes]
        predictions[table.name] = table.values[chosen][:, order] if classes else table.values[chosen]
        if table.called is not None:
            calls = table.called[chosen]
            called[table.name] = calls[:, order] if calls.ndim == 2 else np.argsort(order)[calls]
    cases = Cases(
        task=first.task,
        level=first.level,
        classes=classes,
        models=[table.name for table in tables],
        truth=known,
        predictions=predictions,
        called=called,
        groups=owners(shared) if first.level == "residue" else None,
        proteins=names.listed(),
        split=split,
        source=truth.source,
        notes=notes,
    )
    _apply_threshold(cases, arguments.threshold)
    return cases


def _model_names(arguments: Namespace) -> list[str]:
    names = arguments.names or [Path(path).stem for path in arguments.predictions]
    if len(names) != len(arguments.predictions):
        raise InputError(
            f"--names has {len(names)} names for {len(arguments.predictions)} tables; give one for each, or none"
        )
    for name, count in Counter(names).items():
        if count > 1:
            raise InputError(f"two tables have the name '{quoted(name)}'; give each its own with --names")
        if not name.strip() or len(name) > 200 or not name.isprintable() or name.startswith("baseline:"):
            raise InputError(f"'{quoted(name)}' cannot name a model; use up to 200 printable characters")
    return names


def _check_alike(tables: list[Predictions], first: Predictions) -> None:
    for table in tables[1:]:
        if table.task != first.task:
            raise InputError(
                f"{table.path.name} is a table for {table.task}, {first.path.name} one for {first.task}; compare "
                "tables of one task"
            )
        if set(table.labels) != set(first.labels):
            differing = sorted(set(table.labels) ^ set(first.labels))
            raise InputError(
                f"{table.path.name} and {first.path.name} have different classes: "
                f"'{quoted(differing[0])}' is in one of them only"
            )


def _check_residues(tables: list[Predictions], truth: Truth, arguments: Namespace, names: Names, notes) -> None:
    """Refuse tables, and a truth, that say different residues for one position.

    Where misfits are to be left out, and are not most of them, what the truth says of such positions is not known.
    """
    told = [(table.path.name, table.keys, table.lines, table.residues) for table in tables]
    if arguments.truth:
        told.append((Path(arguments.truth).name, truth.keys, truth.lines, truth.residues))
    told = [each for each in told if each[3] is not None]
    for name, keys, lines, residues in told[1:]:
        other, known, _, letters = told[0]
        _, here, there = np.intersect1d(keys, known, return_indices=True)
        both = (residues[here] > 0) & (letters[there] > 0)
        differing = np.flatnonzero(both & (residues[here] != letters[there]))
        if not len(differing):
            continue
        if keys is truth.keys and arguments.misfits == LEAVE_OUT and 2 * len(differing) <= both.sum():
            codes = truth.words.codes.copy()
            codes[here[differing]] = len(truth.words.texts)
            truth.words = Words([*truth.words.texts, "?"], codes)
            notes.append(f"On another residue than was predicted, so not known: {counted(len(differing), 'residues')}.")
            continue
        row = min(differing, key=lambda place: lines[here[place]])
        raise InputError(
            f"{name} says {chr(residues[here[row]])} for {names.shown('residue', int(keys[here[row]]))} (line "
            f"{lines[here[row]]}), where {other} has {chr(letters[there[row]])} ({len(differing):,} of "
            f"{int(both.sum()):,} residues differ); are the positions those of another isoform, or counted from 0?"
        )


def _ordered_classes(first: Predictions, positive: str | None) -> list[str]:
    """Classes in the order of the first table, with the positive one of two last."""
    classes = list(first.labels)
    if positive:
        if len(classes) != 2 or first.kind != "classification":
            raise InputError(f"a positive label is for two classes, and {first.path.name} has {len(classes)}")
        if positive not in classes:
            raise InputError(
                f"the positive label '{quoted(positive)}' is no class of {first.path.name}; they are "
                f"{quoted(classes[0])} and {quoted(classes[1])}"
            )
        classes.sort(key=lambda label: label == positive)
    return classes


def _choose_split(tables: list[Predictions], wanted: str | None, notes: list[str]) -> tuple[str, list[np.ndarray]]:
    """The split in words, and the rows (m,) of each table that are in it."""
    held = Counter()
    for table in tables:
        if table.split:
            for number, count in enumerate(np.bincount(table.split.codes, minlength=len(table.split.texts))):
                held[table.split.texts[number]] += int(count)
    everyone = [np.arange(len(table.keys)) for table in tables]
    if not held:
        if wanted:
            raise InputError(f"the split '{quoted(wanted)}' was asked for, but no table has a column 'split'")
        return "", everyone
    if wanted and wanted not in held:
        found = quoted(", ".join(sorted(held)), 200)
        raise InputError(f"no row is of the split '{quoted(wanted)}'; the tables have {found}")
    if not wanted:
        wanted = next((name for name in SPLITS if name in held), None)
    if wanted is None and len(held) == 1:
        wanted = next(iter(held))
    if wanted is None:
        notes.append(f"The splits {quoted(', '.join(sorted(held)), 100)} are scored together.")
        return "all splits", everyone
    rows = []
    for table, every in zip(tables, everyone, strict=True):
        if not table.split:
            rows.append(every)
            continue
        number = table.split.texts.index(wanted) if wanted in table.split.texts else -1
        rows.append(np.flatnonzero(table.split.codes == number))
        if not len(rows[-1]):
            raise InputError(f"{table.path.name} has no row of the split '{quoted(wanted)}', which others have")
    if left := sum(held.values()) - held[wanted]:
        notes.append(f"Of other splits than '{quoted(wanted)}', and not scored: {counted(left, 'rows')}.")
    return wanted, rows


def _note_what_is_left_out(tables, kept, keys, shared, truth, first, notes) -> None:
    unit = UNITS[first.level]
    for table, rows in zip(tables, kept, strict=True):
        without = len(rows) - int(np.isin(table.keys[rows], keys).sum())
        if without:
            notes.append(f"Without a known truth in {quoted(table.name)}, and not scored: {counted(without, unit)}.")
        if missing := len(keys) - int(np.isin(keys, table.keys[rows]).sum()):
            notes.append(f"Not predicted by {quoted(table.name)}, and scored for no model: {counted(missing, unit)}.")
    if truth.foreign:
        what = "records" if first.level == "residue" else unit
        notes.append(f"In the truth, but in no prediction table: {counted(truth.foreign, what)}.")


def _apply_threshold(cases: Cases, threshold: float | str | None) -> None:
    if threshold in (None, "auto"):
        return
    if not (cases.several or len(cases.classes) == 2):
        raise InputError("a threshold is for two classes or for several labels at once, which these tables do not have")
    for name, predictions in cases.predictions.items():
        cases.called[name] = thresholds.called(predictions, threshold, several=cases.several)
