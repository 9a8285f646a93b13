"""What an evaluation compares: units that every model predicted and whose truth is known, by key and in one order."""

from __future__ import annotations

import math
from argparse import Namespace
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from seqlm.cli.errors import InputError
from seqlm.data.class_names import called_positive
from seqlm.data.label_columns import NOT_KNOWN_MARK
from seqlm.data.misfits import LEAVE_OUT
from seqlm.data.numbers import decimal
from seqlm.data.prediction_tables import SEVERAL, Names, Predictions, Words, owners, read_predictions
from seqlm.data.records import quoted
from seqlm.data.truth import NO_SITE, SITE, Truth, read_mask, read_truth
from seqlm.metrics import metrics, thresholds

SPLITS = ("test", "validation", "train")  # in the order in which they are preferred
UNKNOWN = ("", "?", "nan", "na", "-1")  # truths that say that it is not known
UNITS = {"sequence": "sequences", "residue": "residues", "pair": "pairs"}


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
        truth = _own_truth(tables, names, notes)
    _check_residues(tables, truth, arguments, names, notes)
    if truth.unread:
        notes.append(f"Columns of the truth that were not read: {quoted(', '.join(truth.unread), 100)}.")
    everyone = np.unique(np.concatenate([table.keys[rows] for table, rows in zip(tables, kept, strict=True)]))
    keys, known = _true_of(everyone, truth, first, classes, arguments, names, notes)
    shared = keys
    for table, rows in zip(tables, kept, strict=True):
        shared = np.intersect1d(shared, table.keys[rows], assume_unique=True)
    if not len(shared):
        raise InputError(
            f"no {first.level} is predicted by every table and has a known truth; are they of the same test set?"
        )
    _note_what_is_left_out(tables, kept, keys, shared, truth, first, notes)
    if arguments.mask:
        shared = _unmasked(shared, first, read_mask(arguments.mask, names), notes)
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


def _own_truth(tables: list[Predictions], names: Names, notes: list[str]) -> Truth:
    """The truth that stands in the tables; where several have it they must agree."""
    told = [table for table in tables if table.truth]
    if not told:
        raise InputError(
            "no table has a column 'truth', so give the truth as a file with --truth: a table, FASTA with labels, or "
            "sites"
        )
    keys = np.concatenate([table.keys for table in told])
    lines = np.concatenate([table.lines for table in told])
    texts = list(dict.fromkeys(text for table in told for text in table.truth.texts))
    place = {text: number for number, text in enumerate(texts)}
    codes = np.concatenate([np.array([place[text] for text in t.truth.texts])[t.truth.codes] for t in told])
    unique, first, back = np.unique(keys, return_index=True, return_inverse=True)
    differing = np.flatnonzero(codes != codes[first][back])
    for row in differing:
        one, other = texts[codes[first][back[row]]], texts[codes[row]]
        if not _same(one, other):
            key = names.shown(tables[0].level, int(keys[row]))
            raise InputError(
                f"the tables disagree on the truth of {key}: '{quoted(one)}' and '{quoted(other)}'; give the truth as "
                "a file with --truth"
            )
    if len(told) < len(tables):
        notes.append(f"{len(told)} of {len(tables)} tables have a column 'truth'; it is taken for all.")
    return Truth(unique, lines[first], Words(texts, codes[first]), None, 0, "the column 'truth' of the tables")


def _same(one: str, other: str) -> bool:
    """Equal as text, as sets of labels, or as numbers of six digits."""
    try:
        return math.isclose(decimal(one), decimal(other), rel_tol=1e-5)
    except ValueError:
        return sorted(one.split(SEVERAL)) == sorted(other.split(SEVERAL))


def _true_of(
    everyone: np.ndarray, truth: Truth, first: Predictions, classes: list[str], arguments: Namespace, names, notes
) -> tuple[np.ndarray, np.ndarray]:
    """Keys (m,) whose truth is known, sorted, and the truth of each: class indices, values, or (m, labels) 0 and 1."""
    order = np.argsort(truth.keys, kind="stable")
    keys, codes = truth.keys[order], truth.words.codes[order]
    here = np.isin(keys, everyone, assume_unique=True)
    if first.level == "residue" and (elsewhere := len(here) - int(here.sum())):
        notes.append(f"In the truth at positions that no table predicts: {counted(elsewhere, 'residues')}.")
    keys, codes, lines = keys[here], codes[here], truth.lines[order][here]
    texts = truth.words.texts
    if truth.unlisted is not None:
        rest = np.setdiff1d(everyone, keys, assume_unique=True)
        texts = [*texts, truth.unlisted]
        keys = np.concatenate([keys, rest])
        codes = np.concatenate([codes, np.full(len(rest), len(texts) - 1)])
        order = np.argsort(keys)
        lines = np.concatenate([lines, np.zeros(len(rest), dtype=np.int64)])[order]
        keys, codes = keys[order], codes[order]
        proteins = len(np.unique(owners(rest))) - len(np.intersect1d(owners(rest), owners(truth.keys)))
        notes.append(
            f"Not listed by the truth, and counted as negative: {counted(len(rest), 'residues')}"
            + (f"; of {counted(proteins, 'proteins')} it lists none." if proteins else ".")
        )
    source = Path(arguments.truth).name if arguments.truth else "the column 'truth'"
    used = np.unique(codes)
    values = []
    for code in used:
        try:
            values.append(_value(texts[code], first, classes, arguments.unknown_label))
        except ValueError as problem:
            line = lines[np.argmax(codes == code)]
            raise InputError(f"{source}, line {line}: {problem}") from None
    place = np.searchsorted(used, codes)
    known = np.array([value is not None for value in values])[place]
    if left := int((~known).sum()):
        notes.append(f"Left out, as their truth is not known: {counted(left, UNITS[first.level])}.")
    nothing = np.zeros(len(classes), dtype=np.int64) if first.kind == "multi-label" else 0
    return keys[known], np.array([nothing if value is None else value for value in values])[place[known]]


def _unmasked(shared: np.ndarray, first: Predictions, masked: np.ndarray, notes: list[str]) -> np.ndarray:
    if first.level != "residue":
        raise InputError(f"a mask is for residues, and {first.path.name} is a table of {UNITS[first.level]}")
    keep = ~np.isin(shared, masked)
    if not keep.any():
        raise InputError("every residue is masked; in a mask 1 counts and 0 does not")
    notes.append(f"Masked, and not scored: {counted(int((~keep).sum()), 'residues')}.")
    return shared[keep]


def _value(text: str, first: Predictions, classes: list[str], unknown: list[str]):
    """Class index, number, or row of 0, 1 and -1 that a text means; None where it says that the truth is not known.

    Raises:
        ValueError: what it cannot mean.
    """
    if text in unknown and text not in classes:
        return None
    if first.kind == "multi-label":
        return _several(text, classes)
    if text in (SITE, NO_SITE):
        if len(classes) != 2:
            raise ValueError(f"sites are of two classes, and the prediction tables have {len(classes) or 'numbers'}")
        return int(text == SITE)
    if classes:
        return None if text.lower() in UNKNOWN and text not in classes else classes.index(_class(text, classes))
    if text.lower() in UNKNOWN[:-1]:
        return None
    try:
        return decimal(text)
    except ValueError:
        raise ValueError(f"'{quoted(text)}' is no number, and the tables predict numbers") from None


def _several(text: str, classes: list[str]) -> np.ndarray | None:
    """(labels,) 0 or 1, or -1 for a label with a question mark before it; None where none of them is known."""
    if text.lower() in UNKNOWN and text not in classes:
        return None
    parts = [] if text in ("none", "-") else [part.strip() for part in text.split(SEVERAL) if part.strip()]
    unknown = [part for part in parts if part.startswith(NOT_KNOWN_MARK) and part not in classes]
    found = np.isin(classes, [_class(part, classes) for part in parts if part not in unknown]).astype(np.int64)
    found[np.isin(classes, [part.removeprefix(NOT_KNOWN_MARK) for part in unknown])] = -1
    return found if (found >= 0).any() else None


def _class(text: str, classes: list[str]) -> str:
    if text not in classes and text.endswith(".0"):
        text = text[:-2]  # 1.0 is written for 1
    if text in classes:
        return text
    raise ValueError(
        f"the truth '{quoted(text)}' is no class of the prediction tables, which have "
        f"{quoted(', '.join(classes), 200)}; mend the label, or name it as unknown to leave it out"
    )


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


def counted(n: int, unit: str) -> str:
    return f"{n:,} {unit[:-1] if n == 1 else unit}"


def _apply_threshold(cases: Cases, threshold: float | str | None) -> None:
    if threshold in (None, "auto"):
        return
    if not (cases.several or len(cases.classes) == 2):
        raise InputError("a threshold is for two classes or for several labels at once, which these tables do not have")
    for name, predictions in cases.predictions.items():
        cases.called[name] = thresholds.called(predictions, threshold, several=cases.several)
