"""What a dataset is made from: options and files, checked and read into one list of examples."""

from __future__ import annotations

import re
from argparse import Namespace
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from seqlm.cli.errors import InputError
from seqlm.data.class_files import ClassFile, class_files, told_apart
from seqlm.data.class_names import HeaderLabels, look_at
from seqlm.data.labels import MAX_LETTERS, NOT_LABELLED, GivenSplit, label_regex, number
from seqlm.data.records import DNA, LETTERS, TEXT, Record, Rules, quoted
from seqlm.data.sequences import (
    HEADED,
    KINDS,
    clean,
    read_records,
    read_table,
    sequence_format,
    told_alphabet,
)
from seqlm.data.site_sources import NONE, UNKNOWN, Protein, SourceOptions, read_source, site_format
from seqlm.data.site_tables import SiteColumns
from seqlm.data.sites import check_residues
from seqlm.data.tables import TABLES, label_place
from seqlm.data.unread_columns import count_unread_of

from .site_windows import Entry, WindowOptions, check_window, make_windows
from .splitting import shares

PROTEIN_CONTEXT = "protein"  # of --site-context
NOT_KNOWN = "?"  # of a residue that is neither a known site nor a negative
SMILES = "SMILES"  # what the user calls the alphabet TEXT
MANY_VALUES = 20  # more different labels than this, and all of them numbers: values, and not classes
MOST_CLASSES = 1000
_NEVER_IN_A_PROTEIN = re.compile(r"[()=\[\]@\\/+%0-9]")


@dataclass
class Plan:
    """Checked options and all examples.

    Attributes:
        proteins: full-length sequences of windows; empty where the examples are whole sequences.
        windows: whether the examples are sites, each with the window around it.
        whole: whether these are given out as labels of residues in their whole proteins.
        columns: header of the table that the examples are rows of; empty for FASTA and for windows.
        numbers: labels are values, and not classes.
        parts: shares of training, validation and test set.
        kinds: what the sites are, as their source says, and how many windows there are of each.
        left_out: how many sites do not fit their protein, and the first; empty where there are none.
    """

    arguments: Namespace
    entries: list[Entry]
    alphabet: str
    proteins: list[Protein] = field(default_factory=list)
    windows: bool = False
    whole: bool = False
    columns: list[str] = field(default_factory=list)
    numbers: bool = False
    parts: tuple[float, float, float] = (1.0, 0.0, 0.0)
    rules: Rules = field(default_factory=Rules)
    counted: Counter = field(default_factory=Counter)
    kinds: Counter = field(default_factory=Counter)
    left_out: str = ""


def check(arguments: Namespace) -> Plan:
    """Read and check everything; raises InputError for whatever is wrong."""
    if not (arguments.sequences or arguments.sites or arguments.class_fasta):
        raise InputError("no input is given; name a file with --sequences, and one with --sites if there is one")
    parts = shares(arguments.validation_fraction, arguments.test_fraction)
    if arguments.split not in ("none", "given") and parts[0] == 1:
        raise InputError("both shares are 0, so there is nothing to split; raise one, or choose no split")
    given = GivenSplit(arguments.split_column, pattern=arguments.split_pattern)
    if arguments.split == "given" and not given:
        raise InputError("a given split needs the column of a table or a pattern for headers that says the split")
    kind = arguments.site_format
    if arguments.class_fasta:
        kind = NONE
    if kind == "auto":
        kind = site_format(arguments.sites or arguments.sequences)
        if arguments.sites and kind == NONE:
            raise InputError(f"{Path(arguments.sites).name} marks no sites; it needs a column of positions")
    if arguments.site_context == PROTEIN_CONTEXT and kind == NONE:
        raise InputError("whole proteins have labels at known sites, and none are given; give sites, or take windows")
    if arguments.class_fasta:
        plan = _of_classes(arguments, given)
    else:
        plan = _sites(arguments, given) if kind != NONE else _whole(arguments, given)
    plan.parts = parts
    if not plan.numbers:
        unit = "site" if plan.whole else "window" if plan.windows else "sequence"
        look_at(Counter(entry.label for entry in plan.entries if entry.label), plan.rules, unit=unit)
    _check_split(plan)
    return plan


def _check_split(plan: Plan) -> None:
    split, what = plan.arguments.split, "windows" if plan.windows else "sequences"
    if split == "scaffold" and (plan.windows or plan.alphabet != TEXT):
        raise InputError(f"a scaffold split is for molecules written as SMILES, and these are {what}; take another")
    if split == "homology":
        if plan.alphabet == TEXT:
            raise InputError("a homology split is for proteins and DNA; molecules are split by scaffold")
        from seqlm.similarity.mmseqs import program

        program()
    if split == "group" and not plan.windows and not (plan.arguments.group_column or plan.arguments.group_pattern):
        raise InputError("a split by group needs the column of a table or a pattern for headers that names the group")
    if split == "given" and not any(entry.split for entry in plan.entries):
        raise InputError("no example says which split it is in")


def _sites(arguments: Namespace, given: GivenSplit) -> Plan:
    """Windows around known sites."""
    length = check_window(arguments.window)
    if arguments.alphabet == SMILES:
        raise InputError("windows are made of proteins or DNA; molecules have no positions")
    source = read_source(
        arguments.sequences,
        arguments.sites,
        SourceOptions(
            site_format=arguments.site_format,
            format=arguments.format,
            id_column=arguments.id_column,
            sequence_column=arguments.sequence_column,
            columns=SiteColumns(
                protein=arguments.protein_column,
                position=arguments.position_column,
                residue=arguments.residue_column,
                label=arguments.label_column,
                positive=arguments.positive_column,
                negative=arguments.negative_column,
            ),
            feature=arguments.feature,
            ranges=arguments.ranges,
            misfits=arguments.misfits,
            other_columns=(*_read_columns(arguments), arguments.id_column),
            positive_label=arguments.positive_label,
            negative_label=arguments.negative_label,
            alphabet=arguments.alphabet,
            group_of=_group_reader(arguments),
            given_split=given,
        ),
    )
    if arguments.positive_label == arguments.negative_label:
        raise InputError(f"positives and negatives cannot both have the label '{quoted(arguments.positive_label)}'")
    letters, residues = LETTERS[source.alphabet], arguments.residues
    if arguments.padding is None:
        arguments.padding = UNKNOWN[source.alphabet]
    if len(arguments.padding) != 1 or arguments.padding not in letters:
        raise InputError(f"'{quoted(arguments.padding)}' cannot fill up a window; use a letter of {letters}")
    if source.alphabet == DNA:
        residues = residues.upper().replace("U", "T")  # as the sequences are read
    whole = arguments.site_context == PROTEIN_CONTEXT
    if whole and source.alphabet == DNA:
        raise InputError("sites on DNA have a strand, which labels of residues cannot say; take windows")
    options = WindowOptions(
        length=length,
        padding=arguments.padding,
        residues=check_residues(residues, letters) if residues else "",
        negatives=arguments.negatives,
        ratio=arguments.ratio,
        exclude_flank=arguments.exclude_flank,
        conflicts=arguments.conflicts,
        repeats=whole,
        negative_label=arguments.negative_label,
        seed=arguments.seed,
    )
    entries = make_windows(source, options)
    if not entries:
        raise InputError(
            "no window is left: each is equal to one with another label; keep them, or make windows longer"
        )
    if whole:
        _check_letters({entry.label for entry in entries})
    kind_of = {(place, site.position, site.strand): site.kind for place, site in source.sites if site.kind}
    kinds = Counter(kind_of.get((entry.protein, entry.position, entry.strand)) for entry in entries)
    del kinds[None]
    return Plan(
        arguments,
        entries,
        source.alphabet,
        source.proteins,
        True,
        whole,
        rules=source.rules,
        counted=source.counted,
        kinds=kinds,
        left_out=source.misfits.note(),
    )


def _check_letters(labels: set[str]) -> None:
    """Refuse labels that do not fit into a string with a letter for each residue."""
    for label in sorted(labels):
        if len(label) > 1 or label in NOT_KNOWN or label.isspace():
            raise InputError(
                f"in whole proteins a label is one letter for each residue, other than {NOT_KNOWN}, and "
                f"'{quoted(label)}' is none; write others in the table of sites, or take windows"
            )


def _whole(arguments: Namespace, given: GivenSplit) -> Plan:
    """Labelled sequences as they are."""
    if arguments.sites:
        raise InputError("with --site-format none the examples are whole sequences; leave --sites out")
    path = Path(arguments.sequences)
    format = sequence_format(path) if arguments.format == "auto" else arguments.format
    plan = Plan(arguments, [], "")
    label_of = _label_reader(arguments, path, format, plan.rules)
    group_of = _group_reader(arguments)
    group_of = group_of(path, format) if group_of else lambda record, where: ""
    split_of = given.reader(path, format)
    if format in TABLES:
        plan.columns = read_table(path, format).columns
    records: list[Record] = []
    seen: dict[str, int] = {}
    total = 0
    for record in read_records(
        path, format=format, id_column=arguments.id_column, sequence_column=arguments.sequence_column, rename=True
    ):
        if record.id in seen:
            raise InputError(
                f"{path.name}: record '{quoted(record.id)}' (line {record.line}) has the same id as the record on "
                f"line {seen[record.id]}; ids must be unique"
            )
        seen[record.id] = record.line
        total += len(record.sequence)
        if total > MAX_LETTERS:
            raise InputError(f"{path.name} has over {MAX_LETTERS:,} letters; give a part of it")
        records.append(record)
    plan.alphabet = _alphabet(arguments, records)
    for record in records:
        where = f"{path.name}: record '{quoted(record.id)}' (line {record.line})"
        label = label_of(record, where)
        if not label and arguments.labels != "none":
            plan.rules.count(NOT_LABELLED)
            continue
        plan.entries.append(
            Entry(
                id=record.id,
                sequence=clean(record, plan.alphabet, {}, plan.rules, path),
                label=label,
                group=group_of(record, where),
                split=split_of(record, where),
                header=record.header,
                fields=record.fields,
            )
        )
    if not plan.entries:
        raise InputError(f"{path.name} has no record with a label")
    plan.numbers = _are_numbers(arguments.labels, plan.entries)
    count_unread_of(path, format, plan.rules, len(plan.entries))
    return plan


def _read_columns(arguments: Namespace) -> tuple[str | None, ...]:
    """Columns of a table of sequences that say sequence, group and split."""
    return arguments.sequence_column or "sequence", arguments.group_column, arguments.split_column


def _of_classes(arguments: Namespace, given: GivenSplit) -> Plan:
    """Whole sequences from a FASTA for each class."""
    if arguments.sequences or arguments.sites:
        raise InputError("where each class has a FASTA of its own, there is no other file of sequences or sites")
    plan = Plan(arguments, [], "")

    def read(one: ClassFile) -> list[Entry]:
        own = {"sequences": one.path, "labels": "none", "class_fasta": [], "format": "fasta"}
        part = _whole(Namespace(**(vars(arguments) | own)), given)
        if plan.alphabet not in ("", part.alphabet):
            raise InputError(
                f"{one.path.name} seems to hold {part.alphabet}, and the files before it {plan.alphabet}; if that is "
                "wrong, say what they hold with --alphabet"
            )
        plan.alphabet, plan.rules = part.alphabet, plan.rules.merged(part.rules)
        return [replace(entry, label=one.name, header="") for entry in part.entries]

    plan.entries = told_apart(class_files(arguments.class_fasta), read, rules := Rules())
    plan.rules = plan.rules.merged(rules)
    return plan


def _alphabet(arguments: Namespace, records: list[Record]) -> str:
    if arguments.alphabet != "auto":
        return TEXT if arguments.alphabet == SMILES else arguments.alphabet
    if arguments.split == "scaffold":
        return TEXT
    odd = [bool(_NEVER_IN_A_PROTEIN.search(record.sequence)) for record in records[:1000]]
    return TEXT if sum(odd) > len(odd) / 2 else told_alphabet(record.sequence for record in records)


def _label_reader(arguments: Namespace, path: Path, format: str, rules: Rules) -> Callable[[Record, str], str]:
    if arguments.labels == "none":
        return lambda record, where: ""
    if format in HEADED:
        if arguments.label_column:
            raise InputError(f"{path.name} is {KINDS[format]} and has no label column; give a table, or leave it empty")
        headers = HeaderLabels(label_regex(arguments.label_pattern), rules)

        def in_header(record: Record, where: str) -> str:
            if not (label := headers.of(record.header)):
                raise InputError(
                    f"{where} has no label: the pattern '{quoted(arguments.label_pattern)}' is not in its header; "
                    "mend the pattern, or say that there are no labels"
                )
            return label

        return in_header
    table = read_table(path, format)
    at = label_place(table, arguments.label_column)

    def in_column(record: Record, where: str) -> str:
        return record.fields[at]

    return in_column


def _group_reader(arguments: Namespace) -> Callable | None:
    """From the options, a function of a file and its format that gives a function of a record: its group."""
    if not (arguments.group_column or arguments.group_pattern):
        return None

    def reader(path: Path, format: str) -> Callable[[Record, str], str]:
        if format in HEADED:
            if arguments.group_column:
                raise InputError(
                    f"{path.name} is {KINDS[format]} and has no group column; give a pattern for its headers"
                )
            pattern = label_regex(arguments.group_pattern, "group")

            def in_header(record: Record, where: str) -> str:
                found = pattern.search(record.header)
                if not found or not found.group(1):
                    raise InputError(f"{where} names no group: '{quoted(pattern.pattern)}' is not in its header")
                return found.group(1)

            return in_header
        if not arguments.group_column:
            raise InputError(f"{path.name} is a table; name the column of the group")
        table = read_table(path, format)
        at = table.index(arguments.group_column, "group column")

        def in_row(record: Record, where: str) -> str:
            if not record.fields[at]:
                raise InputError(f"{where} has no group in column '{quoted(table.columns[at])}'")
            return record.fields[at]

        return in_row

    return reader


def _are_numbers(wanted: str, entries: list[Entry]) -> bool:
    """Whether labels are values; checks each of them."""
    if wanted == "none":
        return False
    if wanted == "numbers":
        for entry in entries:
            number(entry.label, f"record '{quoted(entry.id)}'")
        return True
    different = {entry.label for entry in entries}
    if wanted == "auto" and len(different) > MANY_VALUES:
        try:
            for label in different:
                number(label, "")
            return True
        except InputError:
            pass
    for entry in entries:
        if len(entry.label) > 100 or not entry.label.isprintable():
            raise InputError(
                f"record '{quoted(entry.id)}' has the label '{quoted(entry.label)}'; a label is at most 100 printable "
                "characters"
            )
    if len(different) > MOST_CLASSES:
        raise InputError(f"{len(different):,} different labels; if they are numbers, say so with --labels numbers")
    return False
