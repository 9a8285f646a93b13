"""Labelled examples and how they are split into training, validation and test sets."""

from __future__ import annotations

import hashlib
import math
import re
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path

from .errors import InputError
from .sequences import PROTEIN, Rules, _shown, clean, looks_like_dna, read_records, read_table_header, sequence_format

SPLITS = ("train", "validation", "test")
SPLIT_NAMES = {
    "train": "train",
    "training": "train",
    "valid": "validation",
    "validation": "validation",
    "val": "validation",
    "dev": "validation",
    "test": "test",
    "testing": "test",
}
MAX_LETTERS = 2_000_000_000  # letters of all examples together, which are held in memory while a model is trained


@dataclass(frozen=True, slots=True)
class Example:
    """One labelled sequence; ``label`` is a class name, or a number for a regression."""

    id: str
    sequence: str
    label: str | float
    split: str = ""


@dataclass
class Dataset:
    """The three splits, and what was noticed about them."""

    splits: dict[str, list[Example]]
    rules: Rules = field(default_factory=Rules)
    origin: dict[str, str] = field(default_factory=dict)  # split -> how it came about, in words
    duplicates: dict[str, int] = field(default_factory=dict)  # what is shared -> number of sequences
    sha256: dict[str, str] = field(default_factory=dict)  # split -> SHA-256 of its ids, sequences and labels

    def __getitem__(self, split: str) -> list[Example]:
        return self.splits.get(split, [])

    def labels(self) -> list[str]:
        """Class names in a fixed order: by number where all are numbers, else by text."""
        names = {example.label for examples in self.splits.values() for example in examples}
        return sorted(names, key=_natural)


def read_examples(
    path: str | Path,
    *,
    numeric: bool,
    alphabet: str,
    replacements: dict[str, str],
    rules: Rules,
    label_pattern: str = r"LABEL=(\S+)",
    label_column: str | None = None,
    id_column: str | None = None,
    sequence_column: str | None = None,
    split_column: str | None = None,
    format: str = "auto",
) -> list[Example]:
    r"""Read labelled sequences from FASTA (label in the header) or a table (label in a column).

    Args:
        numeric: labels are numbers (regression) and not class names.
        alphabet, replacements, rules: see :func:`seqlm.sequences.clean`.
        label_pattern: regular expression whose first group is the label, searched in a FASTA header.
        label_column, id_column, sequence_column, split_column: names or 1-based numbers, for tables.

    Returns:
        the examples in the order of the file.

    Raises:
        InputError: a record without a label, a label that is no number where one is needed (NaN and infinite
            included), an id that comes twice, a letter that the model does not know.

    >>> read_examples("train.fasta", numeric=False, alphabet="protein", replacements={}, rules=Rules())
    [Example(id='sp|Q9UQC2|GAB2_HUMAN%598%614', sequence='SGTNS…', label='1', split='')]
    """
    path = Path(path)
    if format == "auto":
        format = sequence_format(path)
    if format == "fasta":
        for name, value in (("split", split_column), ("label", label_column)):
            if value:
                raise InputError(f"{path.name} is FASTA and has no {name} column; give a table, or leave it empty")
        pattern = _label_pattern(label_pattern)
        label_at = split_at = None
    else:
        table = read_table_header(path, format)
        label_at = table.index(label_column or "label", "label column")
        split_at = table.index(split_column, "split column") if split_column else None

    examples: list[Example] = []
    seen: dict[str, int] = {}
    letters = foreign = 0
    for record in read_records(path, format=format, id_column=id_column, sequence_column=sequence_column):
        where = f"{path.name}: record '{_shown(record.id)}' (line {record.line})"
        if record.id in seen:
            raise InputError(f"{where} has the same id as the record on line {seen[record.id]}; ids must be unique")
        seen[record.id] = record.line
        if label_at is None:
            found = pattern.search(record.header)
            if not found or not (label := found.group(1)):
                raise InputError(f"{where} has no label: the pattern '{label_pattern}' is not in its header")
        else:
            label = record.fields[label_at]
            if not label:
                raise InputError(f"{where} has no label in column '{table.columns[label_at]}'")
        if not numeric and (len(label) > 100 or not label.isprintable()):
            raise InputError(f"{where} has the label '{_shown(label)}'; a label is at most 100 printable characters")
        split = ""
        if split_at is not None:
            split = SPLIT_NAMES.get(record.fields[split_at].lower(), "")
            if not split:
                raise InputError(
                    f"{where} has '{_shown(record.fields[split_at])}' as its split; use train, validation or test"
                )
        letters += len(record.sequence)
        if letters > MAX_LETTERS:
            raise InputError(f"{path.name} has over {MAX_LETTERS:,} letters; train on a part of it")
        foreign += alphabet == PROTEIN and looks_like_dna(record.sequence)
        sequence = clean(record, alphabet, replacements, rules, path)
        examples.append(Example(record.id, sequence, _number(label, where) if numeric else label, split))
    if foreign > len(examples) / 2:
        raise InputError(f"{path.name} holds DNA ({foreign} of {len(examples)} sequences); this model reads proteins")
    return examples


def make_splits(
    train: list[Example],
    validation: list[Example] | None,
    test: list[Example] | None,
    *,
    numeric: bool,
    by_column: bool = False,
    validation_fraction: float = 0.15,
    test_fraction: float = 0.0,
    duplicates: str = "report",
    seed: int = 42,
) -> Dataset:
    """Put examples into training, validation and test sets.

    A set that is given is used as it is. With a split column the column decides. Otherwise a share of the training
    examples is drawn, stratified by class; equal sequences always stay on the same side.

    Args:
        validation_fraction, test_fraction: shares of the training file, used where no such set is given; 0 for none.
        duplicates: what to do about a training sequence that is also in the validation or test set: ``report`` it,
            ``remove`` it from the training set, or ``refuse`` the input.

    Raises:
        InputError: a class with too few examples to be in every split, fewer than two classes, empty splits.
    """
    splits: dict[str, list[Example]] = {"train": list(train)}
    origin = {"train": "given"}
    for name, given in (("validation", validation), ("test", test)):
        if given:
            splits[name], origin[name] = list(given), "given as a file"
    if by_column:
        for name in SPLITS[1:]:
            chosen = [example for example in train if example.split == name]
            if chosen and name in splits:
                raise InputError(f"a {name} set is given both as a file and in the split column; leave one out")
            if chosen:
                splits[name], origin[name] = chosen, "given in the split column"
        splits["train"] = [example for example in train if example.split == "train"]
        if not splits["train"]:
            raise InputError("the split column leaves no training examples; it needs rows with 'train'")
    if not numeric:
        _check_classes(splits)
    for name, share in (("test", test_fraction), ("validation", validation_fraction)):
        if name not in splits and share:
            # the share is of what was given, also when the other set has been taken out before
            share = share * len(train) / len(splits["train"])
            splits["train"], splits[name] = _draw(splits["train"], share, name, numeric, seed)
            origin[name] = f"drawn at random from the training examples (seed {seed})"
            origin["train"] = "what is left of the training examples"
    dataset = Dataset({name: splits[name] for name in SPLITS if name in splits}, origin=origin)
    _count_duplicates(dataset, duplicates)
    if len(dataset["train"]) < 2:
        raise InputError(f"{len(dataset['train'])} training example is left; a model needs at least two")
    if numeric and len({example.label for example in dataset["train"]}) < 2:
        raise InputError("all training values are the same; there is nothing to learn")
    if not numeric:
        _check_classes(dataset.splits)
    dataset.sha256 = {name: _digest(examples) for name, examples in dataset.splits.items()}
    return dataset


def _label_pattern(text: str) -> re.Pattern:
    try:
        pattern = re.compile(text)
    except re.error as problem:
        raise InputError(f"the label pattern '{_shown(text)}' is not a regular expression: {problem}") from None
    if pattern.groups < 1:
        raise InputError(
            f"the label pattern '{_shown(text)}' has no group; put the label in brackets, as in LABEL=(\\S+)"
        )
    return pattern


def _number(text: str, where: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise InputError(f"{where} has '{_shown(text)}' where a number is needed") from None
    if not math.isfinite(value):
        raise InputError(f"{where} has {text} as its value; remove records without a measured value")
    return value


def _natural(label: str) -> tuple:
    try:
        return (0, float(label), label)
    except ValueError:
        return (1, 0.0, label)


def _check_classes(splits: dict[str, list[Example]]) -> None:
    counts = Counter(example.label for example in splits["train"])
    if len(counts) < 2:
        raise InputError(f"all training examples have the label '{_shown(next(iter(counts)))}'; two classes are needed")
    for name in SPLITS[1:]:
        for example in splits.get(name, ()):
            if example.label not in counts:
                raise InputError(
                    f"the {name} set has the label '{_shown(example.label)}' (record '{_shown(example.id)}'), "
                    "which no training example has"
                )
    if len(counts) > 1000:
        raise InputError(f"{len(counts):,} different labels; is the label a number? Then choose a regression task")


def _draw(
    examples: list[Example], share: float, name: str, numeric: bool, seed: int
) -> tuple[list[Example], list[Example]]:
    """(rest, drawn): a stratified random share, equal sequences kept together."""
    from sklearn.model_selection import train_test_split

    groups: dict[str, list[Example]] = defaultdict(list)
    for example in examples:
        groups[example.sequence].append(example)
    representatives = [members[0] for members in groups.values()]
    strata = None
    if not numeric:
        strata = [example.label for example in representatives]
        for label, count in Counter(strata).items():
            if count < 2:
                raise InputError(
                    f"the class '{_shown(label)}' has one example, too few for both training and a {name} set; "
                    "add examples, drop the class, or give the sets yourself"
                )
        classes = len(set(strata))
        if share * len(strata) < classes or (1 - share) * len(strata) < classes:
            raise InputError(
                f"{len(strata)} different sequences are too few for a {name} set with each of the {classes} classes; "
                f"add examples, raise the {name} share, or give the sets yourself"
            )
    elif not 1 <= share * len(representatives) <= len(representatives) - 1:
        raise InputError(f"{len(representatives)} different sequences are too few for a {name} set; add examples")
    chosen = train_test_split(representatives, test_size=share, random_state=seed, stratify=strata)[1]
    drawn = {example.sequence for example in chosen}
    return (
        [example for example in examples if example.sequence not in drawn],
        [example for example in examples if example.sequence in drawn],
    )


def _count_duplicates(dataset: Dataset, action: str) -> None:
    """Count equal sequences within and across splits; act on those that training shares with another split."""
    where: dict[str, set[str]] = {}
    for name, examples in dataset.splits.items():
        labels: dict[str, set] = defaultdict(set)
        for example in examples:
            labels[example.sequence].add(example.label)
        where[name] = set(labels)
        if repeated := len(examples) - len(labels):
            dataset.duplicates[f"repeated within {name}"] = repeated
        if conflicting := sum(len(values) > 1 for values in labels.values()):
            dataset.duplicates[f"with different labels within {name}"] = conflicting
    leaking: set[str] = set()
    for first, second in (("train", "validation"), ("train", "test"), ("validation", "test")):
        shared = where.get(first, set()) & where.get(second, set())
        if shared:
            dataset.duplicates[f"in both {first} and {second}"] = len(shared)
        if first == "train":
            leaking |= shared
    if not leaking:
        return
    if action == "refuse":
        example = next(example for example in dataset["train"] if example.sequence in leaking)
        raise InputError(
            f"{len(leaking)} training sequences are in the validation or test set too, one is "
            f"'{_shown(example.id)}'; remove them, or choose to report or to remove them"
        )
    if action == "remove":
        kept = [example for example in dataset["train"] if example.sequence not in leaking]
        for _ in range(len(dataset["train"]) - len(kept)):
            dataset.rules.count("removed from training, being in validation or test too")
        dataset.splits["train"] = kept


def _digest(examples: list[Example]) -> str:
    digest = hashlib.sha256()
    for example in examples:
        digest.update(f"{example.id}\t{example.sequence}\t{example.label}\n".encode())
    return digest.hexdigest()
