"""Labels that stand with their sequences: in FASTA headers or in a column of a table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from seqlm.cli.errors import InputError

from .class_names import HeaderLabels, check_separator
from .datasets import SPLIT_NAMES, Example
from .label_columns import Found, label_cells, label_places
from .numbers import NOT_MEASURED, decimal
from .patterns import Pattern
from .records import Record, Rules, quoted
from .sequences import HEADED, KINDS, Strangers, clean, read_records, read_table, sequence_format
from .tables import Table, label_place
from .unread_columns import count_unread_of

NOT_LABELLED = "left out, as their label is not known"
LEFT_OUT = "left out"  # in a split column: a row that is in no split, such as a molecule that cannot be read
MAX_LETTERS = 2_000_000_000  # letters of all examples together, which are held in memory while a model is trained


def read_examples(
    path: str | Path,
    *,
    numeric: bool,
    alphabet: str,
    replacements: dict[str, str],
    rules: Rules,
    label: str | None = None,
    label_pattern: str = r"LABEL=(\S+)",
    label_column: str | None = None,
    label_columns: str | None = None,
    separator: str | None = None,
    id_column: str | None = None,
    sequence_column: str | None = None,
    light_column: str | None = None,
    given_split: GivenSplit | None = None,
    format: str = "auto",
) -> list[Example]:
    r"""Read labelled sequences from FASTA (label in the header) or a table (label in a column).

    A row without a label, or without a value, is left out and counted: an empty cell says that it is not known.

    Args:
        numeric: labels are numbers (regression) and not class names.
        alphabet, replacements, rules: see :func:`seqlm.data.sequences.clean`.
        label: that of every sequence of the file.
        label_pattern: regular expression whose first group is the label, searched in a FASTA header.
        label_column, id_column, sequence_column, light_column: names or 1-based numbers, for tables.
        label_columns: where each label has a column of its own, see :mod:`seqlm.data.label_columns`.
        separator: what stands between the labels of a sequence that can have several; None where each has one.
        given_split: where the file says which split a record is in.

    Returns:
        the examples in the order of the file.

    Raises:
        InputError: a FASTA record without a label, a label that is no number where one is needed, an id that comes
            twice, a letter that the model does not know.

    >>> read_examples("train.fasta", numeric=False, alphabet="protein", replacements={}, rules=Rules())
    [Example(id='sp|Q9UQC2|GAB2_HUMAN%598%614', sequence='SGTNS…', label='1', split='')]
    """
    path = Path(path)
    if format == "auto":
        format = sequence_format(path)
    cells: Counter[str] = Counter()
    if label_columns:
        labels_of = _in_columns(read_table(path, format), label_columns)
    else:
        text_of = _text_reader(path, format, label, label_pattern, label_column, rules)
        labels_of = _in_text(text_of, numeric, separator, cells)
    split_of = (GivenSplit() if given_split is None else given_split).reader(path, format, left_out=True)
    examples: list[Example] = []
    seen: dict[str, int] = {}
    letters, strangers = 0, Strangers(alphabet)
    columns = {"id_column": id_column, "sequence_column": sequence_column, "light_column": light_column}
    for record in read_records(path, format=format, **columns, rename=True):
        where = f"{path.name}: record '{quoted(record.id)}' (line {record.line})"
        if record.id in seen:
            raise InputError(f"{where} has the same id as the record on line {seen[record.id]}; ids must be unique")
        seen[record.id] = record.line
        if (split := split_of(record, where)) == LEFT_OUT:
            rules.count("left out, as its split says")
            continue
        if (known := labels_of(record, where)) is None:
            rules.count(NOT_LABELLED)
            continue
        letters += len(record.sequence)
        if letters > MAX_LETTERS:
            raise InputError(f"{path.name} has over {MAX_LETTERS:,} letters; train on a part of it")
        strangers.see(record.sequence)
        sequence = clean(record, alphabet, replacements, rules, path)
        examples.append(Example(record.id, sequence, known[0], split, known[1]))
    strangers.refuse(path)
    count_unread_of(path, format, rules, len(seen))
    if separator is not None:
        check_separator(cells, separator)
    if not examples:
        raise InputError(f"{path.name} has no record with a label")
    return examples


def _text_reader(
    path: Path, format: str, label: str | None, pattern: str, column: str | None, rules: Rules
) -> Callable[[Record, str], str]:
    """A function of a record that gives its label as it is written; empty where a cell is."""
    if label is not None:
        return lambda record, where: label
    if format not in HEADED:
        at = label_place(read_table(path, format), column)
        return lambda record, where: record.fields[at]
    if column:
        raise InputError(f"{path.name} is {KINDS[format]} and has no label column; give a table, or leave it empty")
    headers = HeaderLabels(label_regex(pattern), rules)

    def in_header(record: Record, where: str) -> str:
        if not (text := headers.of(record.header)):
            raise InputError(f"{where} has no label: the pattern '{pattern}' is not in its header")
        return text

    return in_header


def _in_text(
    text_of: Callable[[Record, str], str], numeric: bool, separator: str | None, cells: Counter[str]
) -> Callable[[Record, str], tuple | None]:
    """A function of a record that gives its label, and that none is unknown; None where there is no label."""

    def labels_of(record: Record, where: str) -> tuple | None:
        text = text_of(record, where)
        if not text:
            return None
        if numeric:
            try:
                return decimal(text), ()
            except ValueError:
                return None if text.lower() in NOT_MEASURED else (number(text, where), ())
        if separator is None:
            return class_name(text, where), ()
        cells[text] += 1
        return several(text, separator, where), ()

    return labels_of


def _in_columns(table: Table, wanted: str) -> Callable[[Record, str], Found | None]:
    """The same of several label columns."""
    places = label_places(table, wanted)
    found = label_cells(table, places)

    def labels_of(record: Record, where: str) -> Found | None:
        has, unknown = found(record.fields, where)
        return None if len(unknown) == len(places) else (has, unknown)

    return labels_of


@dataclass(frozen=True)
class GivenSplit:
    """Where a file says which split each record is in.

    ``column`` of a table holds train, validation or test; ``pattern`` finds the word in a FASTA header.
    ``validation_column`` (or ``VALIDATION=True`` in a header that the pattern matches) turns training records into
    validation ones, as in the FLIP benchmarks (Dallago et al. 2021, https://doi.org/10.1101/2021.11.09.467890).
    """

    column: str | None = None
    validation_column: str | None = None
    pattern: str | None = None

    def __bool__(self) -> bool:
        return bool(self.column or self.pattern)

    def reader(self, path: Path, format: str, left_out: bool = False) -> Callable[[Record, str], str]:
        """A function of a record, and of the words that name it, that gives its split.

        Args:
            left_out: rows of a table may be in no split, and then have ``LEFT_OUT`` there.
        """
        if not self:
            if self.validation_column:
                raise InputError("a validation column goes with a split column; name the split column too")
            return lambda record, where: ""
        if format in HEADED:
            if self.column or self.validation_column:
                raise InputError(
                    f"{path.name} is {KINDS[format]} and has no split column; give a pattern for its headers"
                )
            pattern = label_regex(self.pattern, "split")
            return lambda record, where: self._in_header(record, pattern, where)
        if not self.column:
            raise InputError(f"{path.name} is a table; name the column that says train, validation or test")
        table = read_table(path, format)
        split_at = table.index(self.column, "split column")
        validation_at = self.validation_column and table.index(self.validation_column, "validation column")

        def in_row(record: Record, where: str) -> str:
            if left_out and record.fields[split_at] == LEFT_OUT:
                return LEFT_OUT
            split = _split_name(record.fields[split_at], where)
            held_out = validation_at is not None and record.fields[validation_at].lower() in ("true", "1", "yes")
            return "validation" if split == "train" and held_out else split

        return in_row

    @staticmethod
    def _in_header(record: Record, pattern: Pattern, where: str) -> str:
        found = pattern.search(record.header)
        if not found:
            raise InputError(f"{where} does not say its split: '{pattern.pattern}' is not in its header")
        split = _split_name(found.group(1) or "", where)
        return "validation" if split == "train" and "VALIDATION=True" in record.header else split


def _split_name(text: str, where: str) -> str:
    if not (split := SPLIT_NAMES.get(text.lower(), "")):
        raise InputError(f"{where} has '{quoted(text)}' as its split; use train, validation or test")
    return split


def several(text: str, separator: str, where: str) -> tuple[str, ...]:
    """The labels in a cell, each once, in their order; ``none`` or ``-`` alone stand for no label at all."""
    names = tuple(dict.fromkeys(name.strip() for name in text.split(separator) if name.strip()))
    for name in names:
        class_name(name, where)
        if ";" in name:
            raise InputError(f"{where} has the label '{quoted(name)}'; a label holds no ';', which separates them")
    return () if names in (("none",), ("-",)) else names


def class_name(text: str, where: str) -> str:
    """``text`` if a class can be called so."""
    if len(text) > 100 or not text.isprintable():
        raise InputError(f"{where} has the label '{quoted(text)}'; a label is at most 100 printable characters")
    return text


def label_regex(text: str, what: str = "label") -> Pattern:
    pattern = Pattern(text, what)
    if pattern.groups < 1:
        raise InputError(
            f"the {what} pattern '{quoted(text)}' has no group; put the {what} in brackets, as in {what.upper()}=(\\S+)"
        )
    return pattern


def number(text: str, where: str) -> float:
    try:
        return decimal(text)
    except ValueError:
        if text.lower() in NOT_MEASURED:
            raise InputError(f"{where} has {text} as its value; remove records without a measured value") from None
        raise InputError(f"{where} has '{quoted(text)}' where a number is needed") from None
