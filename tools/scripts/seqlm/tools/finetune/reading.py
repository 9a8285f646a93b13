"""The training, validation and test files of a fine-tuning, read as labelled sequences, residues or pairs."""

from __future__ import annotations

from argparse import Namespace
from collections import Counter
from collections.abc import Callable
from itertools import chain, compress
from pathlib import Path

import numpy as np

from seqlm.cli.errors import InputError
from seqlm.data.class_files import class_files, told_apart
from seqlm.data.class_names import look_at, merging, positive_last
from seqlm.data.datasets import SPLITS, Example, digest, make_splits, natural
from seqlm.data.label_columns import label_names
from seqlm.data.labels import GivenSplit, read_examples
from seqlm.data.pairs import PairReader, make_pair_splits, names_in, read_members
from seqlm.data.records import PROTEIN, Rules, quoted
from seqlm.data.residue_labels import ResidueReader
from seqlm.data.sequences import read_table, sequence_format
from seqlm.data.sites import few_residues, windows_of
from seqlm.data.tables import TABLES
from seqlm.data.tasks import level_of

from .plan import Plan, Reader, comparing, is_symmetric

# columns of the training, the validation and the test file
IN_EVERY_FILE = (
    "label_column", "sequence_column", "light_column", "id_column", "position_column", "first_column", "second_column",
)  # fmt: skip


def given_split_of(arguments: Namespace) -> GivenSplit:
    """Where the training file says which set an example is in."""
    return GivenSplit(arguments.split_column, arguments.validation_column, arguments.split_pattern)


def _splitting(arguments: Namespace) -> dict:
    """How sets are drawn; with folds they are drawn by groups, and a test set of pairs alone is drawn here."""
    pairs = level_of(arguments.task) == "pair"
    return {
        "numeric": arguments.task.endswith("regression"),
        "by_column": bool(given_split_of(arguments)),
        "validation_fraction": 0 if arguments.folds else arguments.validation_fraction,
        "test_fraction": 0 if arguments.folds and not pairs else arguments.test_fraction,
        "duplicates": arguments.duplicates,
        "seed": arguments.seed,
    }


def read_three(arguments: Namespace, read: Callable[[str, GivenSplit], list]) -> list[list | None]:
    """Training, validation and test examples; only the training file says splits."""
    files = (arguments.train, arguments.validation, arguments.test)
    _check_numbers(arguments, [Path(path) for path in files if path])
    return [
        read(path, given_split_of(arguments) if number == 0 else GivenSplit()) if path else None
        for number, path in enumerate(files)
    ]


def _check_numbers(arguments: Namespace, paths: list[Path]) -> None:
    """A column that was asked for by its number in the training file is not another one in the other files.

    Raises:
        InputError: the column of that name has another number there.
    """
    asked = [getattr(arguments, option) or "" for option in IN_EVERY_FILE]
    places = [int(number) - 1 for number in asked if number.isdecimal() and len(number) < 10]
    formats = [sequence_format(path) if arguments.format == "auto" else arguments.format for path in paths]
    tables = [read_table(path, format) for path, format in zip(paths, formats, strict=True) if format in TABLES]
    for table, at in ((table, at) for table in tables[1:] for at in places):
        name = tables[0].first[at] if 0 <= at < len(tables[0].first) else None
        if tables[0].header and table.header and name in table.first and table.first.index(name) != at:
            raise InputError(
                f"column {at + 1} of {tables[0].path.name} is '{quoted(name)}', which is column "
                f"{table.first.index(name) + 1} of {table.path.name}; give columns by name, or in the same order"
            )


def read_sequences(arguments: Namespace, scratch: Path, reader: Reader, second: None) -> Plan:
    """Sequences with a class, a number or several labels each."""
    rules, numeric = Rules(), arguments.task.endswith("regression")

    def read(path: str, given_split: GivenSplit, label: str | None = None) -> list[Example]:
        return read_examples(
            path,
            numeric=numeric,
            alphabet=reader.family.alphabet,
            replacements=reader.family.replacements,
            rules=rules,
            label=label,
            label_pattern=arguments.label_pattern,
            label_column=arguments.label_column,
            label_columns=arguments.label_columns,
            separator=arguments.label_separator if arguments.task == "multi-label" else None,
            id_column=arguments.id_column,
            sequence_column=arguments.sequence_column,
            light_column=arguments.light_column,
            given_split=given_split,
            format=arguments.format,
        )

    three = _by_class(arguments, read, rules) if arguments.class_fasta else read_three(arguments, read)
    if not numeric:
        look_at(_counted(three), rules)
    dataset = make_splits(*three, same=comparing(reader.family.alphabet), **_splitting(arguments))
    dataset.rules = dataset.rules.merged(rules)
    labels = None if numeric else _ordered(arguments, dataset.labels())
    if arguments.label_columns and (lost := [name for name in _column_names(arguments) if name not in labels]):
        named = ", ".join(map(quoted, lost[:3])) + (" …" if len(lost) > 3 else "")
        dataset.rules.count(f"that no training example has, left out ({named})", number=len(lost), unit="label")
    window = None
    one_chain = reader.encoder.chains is None
    if (
        not numeric and one_chain and reader.family.alphabet == PROTEIN
    ):  # DNA of one length is hardly ever cut around a site
        window = windows_of(example.sequence for split in SPLITS for example in dataset[split])
    window, sites = window or (0, "")
    return Plan(arguments, scratch, reader, dataset, labels, "", window=window, sites=sites)


def read_residues(arguments: Namespace, scratch: Path, reader: Reader, second: None) -> Plan:
    """Proteins with a class or a number for each residue."""
    numeric = arguments.task.endswith("regression")
    source = ResidueReader(
        numeric=numeric,
        alphabet=reader.family.alphabet,
        replacements=reader.family.replacements,
        rules=Rules(),
        sequences=Path(arguments.sequences) if arguments.sequences else None,
        mask=Path(arguments.mask) if arguments.mask else None,
        unknown=arguments.unknown_labels,
        merged=merging(arguments.merge_labels),
        unlisted=arguments.unlisted,
        misfits=arguments.misfits,
        format=arguments.format,
        id_column=arguments.id_column,
        sequence_column=arguments.sequence_column,
        label_column=arguments.label_column,
        position_column=arguments.position_column,
    )

    def read(path: str, given_split: GivenSplit) -> list[Example]:
        source.given_split = given_split
        return source.read(path)

    three = read_three(arguments, read)
    if source.without_row:
        source.rules.count("without a row in the table of sites, left out", number=len(source.without_row))
    names = list(source.classes)
    if not numeric:
        counts = Counter(names[place] for examples in three for example in examples or () for place in example.names)
        look_at(counts, source.rules, unit="protein", letters=True)
    dataset = make_splits(
        *three, names=lambda example: tuple(names[place] for place in example.names), **_splitting(arguments)
    )
    dataset.rules = dataset.rules.merged(source.rules)
    labels = None
    if not numeric:
        used = {names[place] for split in SPLITS for example in dataset[split] for place in example.names}
        labels = _ordered(arguments, sorted(used, key=natural))
        order = np.full(len(names) + 1, -1, dtype=np.int16)  # the last one for what is not known
        for place, name in enumerate(labels):
            order[source.classes[name]] = place
        for split in SPLITS:
            for example in dataset[split]:
                example.label[:] = order[example.label]
    labelled = Counter()
    for example in dataset["train"]:
        known = np.isfinite(example.label) if numeric else example.label >= 0
        labelled.update(compress(example.sequence, known.tolist()))
    return Plan(
        arguments,
        scratch,
        reader,
        dataset,
        labels,
        "",
        sites=few_residues(labelled) if reader.family.alphabet == PROTEIN else "",
    )


def read_pairs(arguments: Namespace, scratch: Path, reader: Reader, second: Reader | None) -> Plan:
    """Pairs of names, and the sequences of those that stand in some set."""
    rules, numeric = Rules(), arguments.task.endswith("regression")
    files = [path for path in (arguments.train, arguments.validation, arguments.test) if path]
    columns = (arguments.first_column, arguments.second_column)
    first, other = names_in(files, columns)
    reading = {
        "format": arguments.format,
        "id_column": arguments.id_column,
        "sequence_column": arguments.sequence_column,
    }
    if arguments.second_sequences:
        members = (
            read_members(Path(arguments.sequences), reader.family, rules, first, **reading),
            read_members(Path(arguments.second_sequences), (second or reader).family, rules, other, **reading),
        )
    else:
        members = (read_members(Path(arguments.sequences), reader.family, rules, first | other, **reading),) * 2
    names = [Path(path).name for path in (arguments.sequences, arguments.second_sequences) if path]

    def read(path: str, given_split: GivenSplit) -> list:
        source = PairReader(
            first=set(members[0]),
            second=set(members[1]),
            files=" or ".join(names),
            rules=rules,
            numeric=numeric,
            first_column=arguments.first_column,
            second_column=arguments.second_column,
            label_column=arguments.label_column,
            given_split=given_split,
            symmetric=is_symmetric(arguments),
        )
        return list(source.read(path))

    three = read_three(arguments, read)
    if not numeric:
        look_at(_counted(three), rules, unit="pair")
    dataset = make_pair_splits(
        *three,
        **_splitting(arguments),
        by_member=arguments.pair_split == "member",
        two_kinds=bool(arguments.second_sequences),
    )
    dataset.rules = dataset.rules.merged(rules)
    labels = None if numeric else _ordered(arguments, dataset.labels())
    pairs = [pair for split in SPLITS for pair in dataset[split]]  # what is in none of them need not be read
    firsts, seconds = dict.fromkeys(pair.first for pair in pairs), dict.fromkeys(pair.second for pair in pairs)
    if arguments.second_sequences:
        members = ({name: members[0][name] for name in firsts}, {name: members[1][name] for name in seconds})
    else:
        members = ({name: members[0][name] for name in firsts | seconds},) * 2
    dataset.sha256["sequences"] = digest(chain(members[0].items(), members[1].items()))
    return Plan(arguments, scratch, reader, dataset, labels, "", members=members, second=second)


def _by_class(arguments: Namespace, read: Callable, rules: Rules) -> list[list[Example] | None]:
    """Training, validation and test examples from a file for each class; only training files say splits."""
    given = (arguments.class_fasta, arguments.validation_class_fasta, arguments.test_class_fasta)
    return [
        told_apart(
            class_files(files, fewest=1 if number else 2),
            lambda one, number=number: read(
                one.path, GivenSplit() if number else given_split_of(arguments), label=one.name
            ),
            rules,
        )
        if files
        else None
        for number, files in enumerate(given)
    ]


def _column_names(arguments: Namespace) -> list[str]:
    """Names of the label columns, which must be the same in all files."""
    paths = [path for path in (arguments.train, arguments.validation, arguments.test) if path]
    names = [label_names(read_table(path, arguments.format), arguments.label_columns) for path in paths]
    for path, found in zip(paths[1:], names[1:], strict=True):
        if differing := sorted(set(found) ^ set(names[0])):
            raise InputError(
                f"the label columns of {Path(path).name} and {Path(paths[0]).name} differ: '{quoted(differing[0])}' is "
                "in one of them only"
            )
    return names[0]


def _counted(three: list[list | None]) -> Counter:
    """How many examples (pairs) of all sets have each class."""
    return Counter(name for examples in three for example in examples or () for name in example.names)


def _ordered(arguments: Namespace, labels: list[str]) -> tuple[str, ...]:
    """Class names in their order; the positive class of two is the second."""
    if arguments.task == "multi-label":
        return tuple(labels)
    return tuple(positive_last(labels, arguments.positive_label))
