"""What a fine-tuning starts from: options, base model, labelled sequences. All of it is checked without torch."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain, compress
from pathlib import Path

import numpy as np

from seqlm.checkpoints.bundle import check_tokenizer_files
from seqlm.checkpoints.folder import ModelFolder, check_config
from seqlm.checkpoints.manifest import check_labels, reading_in
from seqlm.checkpoints.opening import open_base_model
from seqlm.cli.errors import InputError
from seqlm.cli.text import shown
from seqlm.data.class_files import class_files, told_apart
from seqlm.data.class_names import look_at, merging, positive_last
from seqlm.data.datasets import SPLITS, Dataset, Example, digest, make_splits, natural
from seqlm.data.label_columns import label_names
from seqlm.data.labels import GivenSplit, read_examples
from seqlm.data.molecules import one_way
from seqlm.data.pairs import PairReader, make_pair_splits, names_in, read_members
from seqlm.data.records import PROTEIN, TEXT, Rules, quoted
from seqlm.data.residue_labels import ResidueReader
from seqlm.data.sequences import read_table, sequence_format
from seqlm.data.sites import few_residues, windows_of
from seqlm.data.tables import TABLES
from seqlm.data.tasks import level_of
from seqlm.families.family import Family
from seqlm.families.recognition import recognise
from seqlm.inference.fitting import Memory
from seqlm.metrics import metrics
from seqlm.report.words import OUT_OF_FOLD
from seqlm.tokenization.chains import reads_chains
from seqlm.tokenization.encoder import Encoder, read_canonical, require_letter_tokens
from seqlm.tokenization.structures import open_structures
from seqlm.tokenization.unknown import Sample, refuse_unknown
from seqlm.training.launching import check_processes

from .folds import Folds, check_folds, divide
from .memory import memory_of
from .methods import check_method, check_trained
from .tries import check_sweep

# arguments that decide what is learnt; the bundle and the report list them
SETTINGS = (
    "method", "lora_rank", "lora_alpha", "lora_dropout", "lora_modules", "lora_last_layers", "lora_scaling",
    "lora_start", "vera_rank",
    "train_layer_norms", "head", "head_dropout", "pooling", "max_length", "long_sequences", "epochs",
    "learning_rate", "batch_size", "weight_decay", "warmup", "schedule", "metric", "patience", "class_weights",
    "positive_label", "validation_fraction", "test_fraction", "duplicates", "precision", "batch_tokens", "seed",
    "threshold_by", "calibration", "label_separator", "unlisted", "unknown_labels", "merge_labels", "pair_order",
    "pair_split", "misfits", "label_columns", "prefix", "folds",
    "fold_repeats", "fold_groups", "group_column", "coverage",
)  # fmt: skip
OF_FOLDS = ("folds", "fold_repeats", "fold_groups", "group_column", "coverage")  # of these
# columns of the training, the validation and the test file
IN_EVERY_FILE = (
    "label_column", "sequence_column", "light_column", "id_column", "position_column", "first_column", "second_column",
)  # fmt: skip
# what is for tasks of residues or pairs only: its value where nobody asks for it, and the levels that know it
OPTIONS_OF_LEVELS = {
    "light_column": (None, "sequence"),
    "sequences": (None, "residue", "pair"),
    "mask": (None, "residue"),
    "position_column": (None, "residue"),
    "unknown_labels": ("?", "residue"),
    "merge_labels": ("", "residue"),
    "unlisted": ("negative", "residue"),
    "misfits": ("stop", "residue"),
    "second_sequences": (None, "pair"),
    "second_model": (None, "pair"),
    "first_column": (None, "pair"),
    "second_column": (None, "pair"),
    "pair_order": ("auto", "pair"),
    "pair_split": ("member", "pair"),
}


@dataclass
class Reader:
    """A model that reads sequences: its files, its family and how it encodes."""

    base: ModelFolder
    family: Family
    encoder: Encoder
    name: str
    revision: str = ""


@dataclass
class Plan:
    """Checked inputs of one fine-tuning.

    Attributes:
        members: of pairs, the sequences of first and of second members by name; one dictionary twice where one file has
            both.
        second: of pairs, the model that reads second members, if it is another one. It is not trained.
        window: length of the training sequences, if they are windows around sites, else 0.
        sites: residues in the middle of these windows; of residues those that labels are on, where these are few.
        folds: of a cross-validation; the dataset then has the test set and, together, what is divided.
    """

    arguments: Namespace
    scratch: Path
    reader: Reader
    dataset: Dataset
    labels: tuple[str, ...] | None
    metric: str
    members: tuple[dict[str, str], dict[str, str]] = field(default_factory=lambda: ({}, {}))
    second: Reader | None = None
    window: int = 0
    sites: str = ""
    folds: Folds | None = None

    @property
    def base(self) -> ModelFolder:
        return self.reader.base

    @property
    def family(self) -> Family:
        return self.reader.family

    @property
    def encoder(self) -> Encoder:
        return self.reader.encoder

    @property
    def level(self) -> str:
        return level_of(self.arguments.task)

    @cached_property
    def splits(self) -> list[str]:
        return [name for name in (*SPLITS, OUT_OF_FOLD) if self.dataset[name]]

    @property
    def deciding(self) -> str:
        """The split that the verdict is about."""
        return self.splits[-1]

    @property
    def score(self) -> str:
        """The score that the verdict compares: the one that picked the epoch, unless that was the loss."""
        return self.metric if self.metric != "loss" else default_metric(self.arguments.task, self.labels)

    @property
    def same(self) -> Callable[[str], str]:
        """What sequences are compared by."""
        return comparing(self.family.alphabet)

    @property
    def symmetric(self) -> bool:
        """Whether both orders of a pair are the same pair."""
        return _symmetric(self.arguments)

    @cached_property
    def memory(self) -> Memory:
        """What the job takes, and how it is computed so that it fits."""
        return memory_of(self)


def default_metric(task: str, labels: tuple[str, ...] | None) -> str:
    """The score that decides unless told: of rare sites AUPRC, which needs no threshold."""
    if labels is None:
        return "spearman"
    if task == "multi-label":
        return "fmax"
    return "auprc" if task == "residue-classification" and len(labels) == 2 else "mcc"


def check(arguments: Namespace, scratch: Path) -> Plan:
    """Read all inputs; raises InputError for whatever is wrong with them. Does not import torch."""
    level = level_of(arguments.task)
    _check_options(arguments, level)
    if arguments.coverage is None:
        arguments.coverage = 0.9 if arguments.folds else 0.0
    pooling = "none" if level == "residue" else arguments.pooling
    reader = _open_reader(arguments, arguments.model, scratch / "base", pooling, arguments.model_id)
    check_trained(arguments, reader.family)
    check_bundled(reader.base, arguments.method)
    reader.revision = arguments.model_revision
    second = None
    if arguments.second_model:
        second = _open_reader(arguments, arguments.second_model, scratch / "second", "mean", arguments.second_model_id)
    if arguments.smiles == "canonical":
        read_canonical(*(one.family for one in (reader, second) if one))
    read = {"sequence": _read_sequences, "residue": _read_residues, "pair": _read_pairs}[level]
    plan = read(arguments, scratch, reader, second)
    if plan.labels:
        check_labels(plan.labels)
    allowed = metrics.metrics_for(arguments.task)
    plan.metric = "loss" if arguments.metric == "auto" else arguments.metric
    if plan.metric != "loss" and plan.metric not in allowed:
        raise InputError(f"the metric '{plan.metric}' is not one of this task's: loss, {', '.join(allowed)}")
    if arguments.folds:
        plan.folds = divide(plan, scratch, plan.same)
        plan.__dict__.pop("splits", None)  # there are others now
    samples = {}
    for one, name, sequence in all_sequences(plan):
        if one.family.one_letter_tokens:  # without transformers, so a sequence that is too long is refused at once
            one.encoder.encode(sequence, name)
        else:
            samples.setdefault(id(one), (one, Sample()))[1].see(sequence)
    if reader.encoder.structures:
        reader.encoder.structures.refuse_other_names(next(name for _, name, _ in all_sequences(plan)))
    for one, sample in samples.values():
        refuse_unknown(one.encoder, sample, f"the sequences for {shown(one.name)}")
    plan.memory.foresee()
    return plan


def _check_options(arguments: Namespace, level: str) -> None:
    """Refuse options that contradict each other."""
    check_method(arguments)
    check_sweep(arguments)
    if arguments.pooling == "cls" and arguments.long_sequences == "window" and level != "residue":
        print("note: with cls pooling a long sequence is the mean of its windows' first tokens", file=sys.stderr)
    for option, (unasked, *levels) in OPTIONS_OF_LEVELS.items():
        if getattr(arguments, option) not in (unasked, None, "") and level not in levels:
            flag = "--" + option.replace("_", "-")
            raise InputError(f"{flag} is for tasks of {'s or '.join(levels)}s; the task is {arguments.task}")
    if level == "pair" and not arguments.sequences:
        raise InputError("pairs are names of sequences; give the file with the sequences too (--sequences)")
    if arguments.second_model and not arguments.second_sequences:
        raise InputError("a second model reads the second members; give their sequences too (--second-sequences)")
    if arguments.second_sequences and arguments.pair_order == "symmetric":
        raise InputError("members from two files are not of one kind, so their pairs cannot be symmetric")
    if arguments.label_columns:
        if arguments.task != "multi-label":
            raise InputError(f"--label-columns is for several labels (multi-label); the task is {arguments.task}")
        if arguments.label_column:
            raise InputError("--label-column holds all labels, --label-columns one each; give one of the two")
    if arguments.class_fasta or arguments.validation_class_fasta or arguments.test_class_fasta:
        if arguments.task != "sequence-classification":
            raise InputError(f"a FASTA for each class is for a class of each sequence; the task is {arguments.task}")
        if not arguments.class_fasta or arguments.validation or arguments.test:
            raise InputError("where each class has a FASTA of its own, all sets are given so, or drawn")
        if arguments.label_column:
            raise InputError("where each class has a FASTA of its own, labels are in no column; leave it empty")
    if arguments.positive_label and arguments.task == "multi-label":
        raise InputError("a positive label is for two classes; leave it empty where a sequence can have several labels")
    if arguments.task.endswith("regression"):
        for option in ("positive_label", "class_weights", "calibration"):
            if getattr(arguments, option) not in (None, "", "none"):
                flag = "--" + option.replace("_", "-")
                raise InputError(f"{flag} is for tasks of classes; the task is {arguments.task}")
    check_folds(arguments, level)
    check_processes(arguments, "pairs" if level == "pair" else "sequences")
    if not arguments.label_separator:
        raise InputError("the text between several labels is empty; use ; or another that no label holds")


def _open_reader(arguments: Namespace, path: str, scratch: Path, pooling: str, name: str) -> Reader:
    base = open_base_model(path, scratch)
    first = scratch.name == "base"  # a second model reads what it was made for
    asked = {"alphabet": arguments.alphabet, "prefix": arguments.prefix} if first else {}
    family = recognise(base.path, base.config, **reading_in(base.path, **asked))
    if pooling == "none":
        require_letter_tokens(family)
    encoder = Encoder(
        family,
        base.path,
        max_length=arguments.max_length if first else 0,
        long_sequences=arguments.long_sequences,
        pooling=pooling,
        tokenizer=arguments.tokenizer,
        structures=open_structures(arguments, family, scratch.parent) if first else None,
        chains=reads_chains(arguments, family),
    )
    return Reader(base, family, encoder, name or base.config.get("_name_or_path") or base.path.name)


def check_bundled(base: ModelFolder, method: str) -> None:
    """Refuse at once, not after hours of training, a model of which no bundle could be made."""
    held = {file.name for file in base.path.iterdir()}
    check_tokenizer_files(base.path, held, "the base model", lambda *_: None, installed=True)
    if method == "full":
        config = {key: value for key, value in base.config.items() if key != "auto_map"}  # which is not saved
        check_config(config, base.parameters, "config.json of the base model")


def given_split_of(arguments: Namespace) -> GivenSplit:
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


def comparing(alphabet: str) -> Callable[[str], str]:
    """What sequences are compared by; molecules are the same however they are written."""
    return one_way if alphabet == TEXT else str


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


def _read_sequences(arguments: Namespace, scratch: Path, reader: Reader, second: None) -> Plan:
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


def _read_residues(arguments: Namespace, scratch: Path, reader: Reader, second: None) -> Plan:
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


def _read_pairs(arguments: Namespace, scratch: Path, reader: Reader, second: Reader | None) -> Plan:
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
            symmetric=_symmetric(arguments),
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


def _symmetric(arguments: Namespace) -> bool:
    if arguments.pair_order == "auto":
        return not arguments.second_sequences
    return arguments.pair_order == "symmetric"


def all_sequences(plan: Plan):
    """(reader, name, sequence) of everything that a model will read."""
    if plan.level == "pair":
        yield from ((plan.reader, name, sequence) for name, sequence in plan.members[0].items())
        if plan.members[1] is not plan.members[0]:
            yield from ((plan.second or plan.reader, name, sequence) for name, sequence in plan.members[1].items())
    else:
        for split in plan.splits:
            yield from ((plan.reader, example.id, example.sequence) for example in plan.dataset[split])


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
