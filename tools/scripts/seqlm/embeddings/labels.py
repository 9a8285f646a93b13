r"""What is known of embedded sequences, matched by id: labels, values, splits, and sequences where they are at hand.

::

    >P1 LABEL=1              id  label  split  sequence        id  dim_1  …  label
    MKTAY…                   P1  1      train  MKTAY…          P1  0.12   …  1
    (FASTA)                  (table)                           (the table of embeddings itself)
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from seqlm.cli.errors import InputError
from seqlm.data import labels as labelled
from seqlm.data import tables
from seqlm.data.class_files import ClassFile
from seqlm.data.class_names import HeaderLabels, look_at
from seqlm.data.datasets import SPLIT_NAMES, natural
from seqlm.data.records import Record, Rules, identifier, quoted
from seqlm.data.sequences import read_records, read_table, sequence_format
from seqlm.data.tables import Table
from seqlm.data.truth import LABEL_COLUMNS
from seqlm.data.unread_columns import count_unread

from .columns import Embeddings

NAMED_IDS = 3  # that a message names


@dataclass
class Labels:
    """What is known of some rows of the embeddings, in their order.

    Attributes:
        rows: (m,) places in the embeddings.
        texts: (m) labels as they are written.
        splits: (m) train, validation or test; None where nothing says it.
        sequences: (m) as given; None where the file has none.
        source: where the labels come from, in words.
        notes: a sentence for each thing that was left out, with its count.
    """

    rows: np.ndarray
    texts: list[str]
    splits: list[str] | None = None
    sequences: list[str] | None = None
    source: str = ""
    notes: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.texts)

    def classes(self) -> tuple[list[str], np.ndarray]:
        """The class names in a fixed order (numbers by size, else by text), and the class (m,) of each row.

        Raises:
            InputError: two names that are one class in two spellings. What else is odd about them is noted.
        """
        counts, rules = Counter(self.texts), Rules()
        look_at(counts, rules)
        self.notes += [f"{line}." for line in rules.lines()]
        names = sorted(counts, key=natural)
        place = {name: number for number, name in enumerate(names)}
        return names, np.array([place[text] for text in self.texts], dtype=np.int64)

    def values(self, ids: Sequence[str]) -> np.ndarray:
        """(m,) the labels as numbers; ``ids`` are those of the embeddings, for messages.

        Raises:
            InputError: a label that is no finite number.
        """
        pairs = zip(self.rows.tolist(), self.texts, strict=True)
        return np.array([labelled.number(text, f"{self.source}: '{quoted(ids[row])}'") for row, text in pairs])


def named_columns(path: str | None, *columns: str | None) -> list[str]:
    """What :func:`seqlm.embeddings.tables.read_embeddings` must not take for features: the columns that are asked for,
    where no other file has them."""
    return [] if path else [column for column in columns if column]


def read_labels(
    embeddings: Embeddings,
    path: str | Path | None,
    *,
    label_column: str | None = None,
    label_pattern: str = r"LABEL=(\S+)",
    id_column: str | None = None,
    split_column: str | None = None,
    split_pattern: str | None = None,
    sequence_column: str | None = None,
    classes: Sequence[ClassFile] = (),
    what: str = "label",
    fate: str = "Left out",
    elsewhere: str | None = None,
) -> Labels:
    """Labels of the embedded sequences from a file, or with None from a column of the embeddings' own table.

    Args:
        classes: a FASTA for each class, in place of a file with labels.
        label_column: by name or 1-based number; without one the first of ``label``, ``truth``, ``class`` …
        label_pattern: finds the label in a FASTA header; its first group is the label.
        id_column: without one ``id``, or else the first column; rows are numbered where the embeddings' ids are
            ``row_1`` … and there is no column ``id``.
        split_column, split_pattern: where the file says train, validation or test.
        sequence_column: ``sequence`` if there is such a column.
        what: what messages call a label.
        fate: what becomes of embeddings whose label is not known.
        elsewhere: a column of a table that something else reads.

    Raises:
        InputError: an id that comes twice, a split that is none, or labels of fewer than half of
            the embeddings: then most likely the ids differ.
    """
    rules, named = Rules(), (what, fate)
    if classes:
        if path or label_column or split_column or id_column:
            raise InputError("where each class has a FASTA of its own, there is no other file or column of labels")
        return _matched(embeddings, "FASTA of the classes", _of_classes(classes, split_pattern, rules), rules, *named)
    if path is None:
        return _own(embeddings, label_column, split_column, *named)
    path = Path(path)
    if sequence_format(path) == "fasta":
        if label_column or split_column or id_column:
            raise InputError(f"{path.name} is FASTA and has no columns; give a table, or leave the columns empty")
        rows = _headers(path, label_pattern, split_pattern, what, rules)
    else:
        numbered = all(re.fullmatch(r"row_\d+", name) for name in embeddings.ids)
        table = read_table(path)
        if elsewhere:
            table.index(elsewhere, "column")
        rows = _rows(table, label_column, id_column, split_column, sequence_column, numbered, what, rules)
    return _matched(embeddings, path.name, rows, rules, *named)


def _own(embeddings: Embeddings, label_column: str | None, split_column: str | None, what: str, fate: str) -> Labels:
    texts = embeddings.other(label_column or _default(embeddings.header, embeddings.name, what), f"{what} column")
    splits = embeddings.other(split_column, "split column") if split_column else None
    rows = [row for row, text in enumerate(texts) if text]
    if not rows:
        raise InputError(f"{embeddings.name} has no {what} in any row")
    for row in rows:
        labelled.class_name(texts[row], f"{embeddings.name}: '{quoted(embeddings.ids[row])}'")
    if splits:
        splits = [_split(splits[row], f"{embeddings.name}: '{quoted(embeddings.ids[row])}'") for row in rows]
    notes = _without([embeddings.ids[row] for row, text in enumerate(texts) if not text], what, fate)
    return Labels(np.array(rows), [texts[row] for row in rows], splits, source=embeddings.name, notes=notes)


def _matched(embeddings: Embeddings, file: str, rows: Iterable[tuple], rules: Rules, what: str, fate: str) -> Labels:
    """The rows (line, id, label, split, sequence) of the embeddings, in their order; ``file`` is what messages name."""
    place = {name: row for row, name in enumerate(embeddings.ids)}
    found: dict[int, tuple[str, str, str | None]] = {}
    empty: list[str] = []
    lines: dict[str, int] = {}
    foreign: list[str] = []
    for line, name, *known in rows:
        if name in lines:
            raise InputError(
                f"{file}: line {line} has the id '{quoted(name)}' again, after line {lines[name]}; ids must be unique"
            )
        lines[name] = line
        if name in place and not known[0]:
            empty.append(name)
        elif name in place:
            found[place[name]] = tuple(known)
        else:
            foreign.append(name)
    kept = sorted(found)
    notes = [
        *_without(empty, what, fate),
        *(f"{line}." for line in rules.lines()),
        *_unmatched(embeddings, file, kept, empty, foreign, what, fate),
    ]
    texts, splits, sequences = (list(column) for column in zip(*(found[row] for row in kept), strict=True))
    return Labels(
        np.array(kept, dtype=np.int64),
        texts,
        splits if splits[0] else None,
        sequences if sequences[0] is not None else None,
        file,
        notes,
    )


def _of_classes(classes: Sequence[ClassFile], split_pattern: str | None, rules: Rules) -> Iterator[tuple]:
    """(line, id, class, split, sequence) of the records of a FASTA for each class."""
    class_of: dict[str, str] = {}
    for one in classes:
        split_of = labelled.GivenSplit(pattern=split_pattern).reader(one.path, "fasta")
        for record in read_records(one.path, format="fasta"):
            rules.count(f"of the class '{quoted(one.name)}', read from {one.path.name}")
            where = f"{one.path.name}: record '{quoted(record.id)}' (line {record.line})"
            if record.id in class_of:
                raise InputError(
                    f"{where} is in that of '{quoted(class_of[record.id])}' too; a sequence is in one class, once"
                )
            class_of[record.id] = one.name
            yield record.line, record.id, one.name, split_of(record, where), record.sequence


def _headers(path: Path, label_pattern: str, split_pattern: str | None, what: str, rules: Rules) -> Iterator[tuple]:
    """(line, id, label, split, sequence) of each record of a FASTA file."""
    headers = HeaderLabels(labelled.label_regex(label_pattern), rules)
    split_of = labelled.GivenSplit(pattern=split_pattern).reader(path, "fasta")
    for record in read_records(path, format="fasta", rename=True):
        where = f"{path.name}: record '{quoted(record.id)}' (line {record.line})"
        if not (text := headers.of(record.header)):
            raise InputError(f"{where} has no {what}: the pattern '{label_pattern}' is not in its header")
        yield record.line, record.id, labelled.class_name(text, where), split_of(record, where), record.sequence


def _rows(
    table: Table, label_column, id_column, split_column, sequence_column, numbered: bool, what: str, rules: Rules
) -> Iterator[tuple]:
    """(line, id, label or nothing, split, sequence or None) of each row of a table."""
    label_at = table.index(label_column or _default(table.columns, table.path.name, what), f"{what} column")
    sequence_column = sequence_column or ("sequence" if "sequence" in table.columns else None)
    sequence_at = table.index(sequence_column, "sequence column") if sequence_column else None
    number_them = numbered and not id_column and "id" not in table.columns
    id_at = None if number_them else tables.id_column(table, id_column)
    split_of = labelled.GivenSplit(column=split_column).reader(table.path, table.format, left_out=True)
    row = 0
    for row, (line, cells) in enumerate(table.rows(), start=1):
        name = f"row_{row}" if id_at is None else identifier(cells[id_at])
        where = f"{table.path.name}: line {line}"
        if not name:
            raise InputError(f"{where} has no id")
        sequence = None if sequence_at is None else "".join(cells[sequence_at].split())
        split = split_of(Record(name, "", line=line, fields=tuple(cells)), where)
        if split == labelled.LEFT_OUT:  # counted among those without a label
            continue
        yield line, name, labelled.class_name(cells[label_at], where), split, sequence
    if not row:
        raise InputError(f"{table.path.name} has a header but no rows")
    count_unread(table.columns, table.read, rules, row)


def _default(columns: Sequence[str], file: str, what: str) -> str:
    for name in LABEL_COLUMNS:
        if name in columns:
            return name
    raise InputError(
        f"{file} has no column '{LABEL_COLUMNS[0]}'; name the {what} column, or give a file with the {what}s "
        f"(the columns are {quoted(', '.join(columns), 100)})"
    )


def _split(text: str, where: str) -> str:
    if not (split := SPLIT_NAMES.get(text.lower(), "")):
        raise InputError(f"{where} has '{quoted(text)}' as its split; use train, validation or test")
    return split


def _without(names: list[str], what: str, fate: str) -> list[str]:
    """A note about rows with an empty cell, which says that it is not known."""
    return [f"{fate}, as their {what} is not known: {_counted(names, 'sequence')}."] if names else []


def _unmatched(
    embeddings: Embeddings, file: str, kept: list[int], empty: list[str], foreign: list[str], what: str, fate: str
) -> list[str]:
    """Notes about ids that only one side has.

    Raises:
        InputError: fewer than half of the embeddings have a label.
    """
    labelled_rows, unknown = set(kept), set(empty)
    without = [name for row, name in enumerate(embeddings.ids) if row not in labelled_rows and name not in unknown]
    if not kept or len(kept) + len(unknown) < len(embeddings) / 2:
        theirs = f"; {file} has {_named(foreign)}" if foreign else ""
        raise InputError(
            f"{len(without):,} of {len(embeddings):,} embeddings have no {what} in {file}: {_named(without)}{theirs}. "
            "The ids must be the same in both"
        )
    notes = []
    if without:
        notes.append(f"{fate}, as {file} has no {what} for them: {_counted(without, 'embedding')}.")
    if foreign:
        notes.append(f"In {file}, but without an embedding: {_counted(foreign, 'id')}.")
    return notes


def _counted(names: list[str], unit: str) -> str:
    return f"{len(names):,} {unit}{'s' * (len(names) != 1)} ({_named(names)})"


def _named(names: list[str]) -> str:
    shown = ", ".join(f"'{quoted(name)}'" for name in names[:NAMED_IDS])
    return shown + (" …" if len(names) > NAMED_IDS else "")
