"""What probes are to predict: labels of the sequences that are embedded, and the folds that judge. Needs no torch."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from seqlm.cli.errors import InputError
from seqlm.data.class_names import positive_last
from seqlm.data.records import quoted
from seqlm.embeddings.columns import Embeddings
from seqlm.embeddings.labels import Labels, read_labels

CLASSES, NUMBERS = "classes", "numbers"
FEWEST = 20  # labelled sequences that anything can be judged by
MOST = 5000  # that are judged; more are drawn from
MOST_CLASSES = 100
GIVEN = ("labels", "label_column", "group_column", "scores", "output_probes", "output_predictions")


@dataclass(frozen=True)
class Labelled:
    """The sequences whose label is known, in the order of the file.

    Attributes:
        rows: (m,) their places in the file.
        truth: (m,) class indices or values.
        classes: their names, the positive one of two last; None for values.
        blocks: (m,) what stays together in folds, from 0; None where each is alone.
        sequences: (m) as the model reads them.
        grouped: blocks are groups that the user gave, and not equal sequences.
        source: where the labels come from.
    """

    rows: np.ndarray
    truth: np.ndarray
    classes: tuple[str, ...] | None
    blocks: np.ndarray | None
    sequences: list[str]
    grouped: bool = False
    source: str = ""
    notes: list[str] = field(default_factory=list)

    @property
    def task(self) -> str:
        return "sequence-classification" if self.classes else "sequence-regression"

    def __len__(self) -> int:
        return len(self.rows)


def check_asked(arguments: Namespace) -> None:
    """Refuse options of probes where none is asked for, or that cannot go together."""
    if arguments.probe == "none":
        for option in GIVEN:
            if getattr(arguments, option):
                raise InputError(f"--{option.replace('_', '-')} is about probes; say with --probe what the labels are")
        if arguments.sweep_layers:
            raise InputError("--sweep-layers judges layers by labels; say with --probe what these are")
        return
    if arguments.pooling == "none":
        raise InputError("labels are of whole sequences, so that probes need one vector each; choose another pooling")
    if arguments.sweep_layers and arguments.layer != "last":
        raise InputError("--sweep-layers chooses the layer; leave out --layer")


def read_labelled(arguments: Namespace, ids: Sequence[str], sequences: Iterable[str]) -> Labelled:
    """Labels of the sequences, from ``--labels`` or from their own file.

    Args:
        ids, sequences: of all records, in the order of the file, the sequences as the model reads them.

    Raises:
        InputError: too few labels, one class alone, values that are all the same, fewer groups than folds.
    """
    path = Path(arguments.labels or arguments.sequences)
    named = Embeddings(list(ids), np.empty((len(ids), 0), np.float32), [])
    own = not arguments.labels
    columns = {"id_column": arguments.id_column, "sequence_column": arguments.sequence_column} if own else {}
    columns["label_pattern"] = arguments.label_pattern

    def read(column: str | None, what: str, elsewhere: str | None = None) -> Labels:
        fate = "Predicted, and no part of what judges"
        return read_labels(named, path, label_column=column, what=what, fate=fate, elsewhere=elsewhere, **columns)

    found = read(arguments.label_column, "label", arguments.group_column)
    if len(found) < FEWEST:
        raise InputError(f"{path.name} has labels of {len(found)} sequences; a probe needs {FEWEST} at least")
    classes = None
    if arguments.probe == NUMBERS:
        truth = found.values(ids)
        if np.ptp(truth) == 0:
            raise InputError(f"{path.name}: all values are the same, so that there is nothing to predict")
    else:
        classes, truth = _classes(found, path)
    rows, notes = found.rows, list(found.notes)
    grouped, groups = bool(arguments.group_column), None
    if grouped:
        given = read(arguments.group_column, "group")
        group_of = dict(zip(given.rows.tolist(), given.texts, strict=True))
        if without := [row for row in rows.tolist() if row not in group_of]:
            raise InputError(f"{path.name}: '{quoted(ids[without[0]])}' has a label and no group")
        groups = [group_of[row] for row in rows.tolist()]
    if len(rows) > MOST:
        drawn = np.sort(np.random.default_rng(arguments.seed).choice(len(rows), MOST, replace=False))
        notes.append(f"Probes were judged on {MOST:,} of {len(rows):,} labelled sequences, drawn at random.")
        rows, truth = rows[drawn], truth[drawn]
        groups = groups and [groups[place] for place in drawn.tolist()]
    wanted = set(rows.tolist())
    kept = [sequence for row, sequence in enumerate(sequences) if row in wanted]
    _, blocks = np.unique(np.asarray(groups or kept, object).astype(str), return_inverse=True)
    units = int(blocks.max()) + 1
    if units < arguments.folds:
        what = "groups" if grouped else "different sequences"
        raise InputError(f"{units} {what} cannot be shared among {arguments.folds} folds; choose fewer folds")
    if not grouped and units < len(rows):
        notes.append(f"Equal to another sequence, and kept in the same fold as it: {len(rows) - units:,} sequences.")
    return Labelled(rows, truth, classes, blocks if units < len(rows) else None, kept, grouped, found.source, notes)


def read_scores(arguments: Namespace, ids: Sequence[str]) -> np.ndarray | None:
    """Numbers (sequences, 1) of ``--scores``; None without.

    Raises:
        InputError: a sequence that has none.
    """
    if not arguments.scores:
        return None
    path, named = Path(arguments.scores), Embeddings(list(ids), np.empty((len(ids), 0), np.float32), [])
    found = read_labels(named, path, label_column=arguments.score_column, what="score")
    if len(found) < len(ids):
        lacking = np.setdiff1d(np.arange(len(ids)), found.rows)[0]
        raise InputError(f"{path.name} has no score for '{quoted(ids[lacking])}'; every sequence needs one")
    return found.values(ids)[:, None]


def _classes(found: Labels, path: Path) -> tuple[tuple[str, ...], np.ndarray]:
    names, truth = found.classes()
    counts = np.bincount(truth)
    if len(names) < 2:
        raise InputError(f"{path.name}: all sequences have the label '{quoted(names[0])}'; two classes are needed")
    if len(names) > MOST_CLASSES or len(names) > len(truth) / 2:
        raise InputError(
            f"{path.name}: {len(names):,} different labels for {len(truth):,} sequences; if they are numbers, take "
            f"--probe {NUMBERS}"
        )
    if counts.min() < 2:
        raise InputError(
            f"{path.name}: the class '{quoted(names[int(counts.argmin())])}' has one sequence, too few to be both "
            "learnt and judged; leave its label empty"
        )
    ordered = positive_last(names, None)
    return tuple(ordered), truth if ordered == names else 1 - truth
