"""Labelled examples and how they are split into training, validation and test sets."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

import numpy as np

from seqlm.cli.errors import InputError

from .numbers import decimal
from .records import Rules, quoted

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


@dataclass(frozen=True, slots=True)
class Example:
    """One labelled sequence.

    ``label`` is a class name; a number for a regression; a tuple of names where a sequence can have several. Of
    residues it is an array, an entry each: places in a list of classes (-1: unknown), or numbers (NaN: unknown).
    ``unknown`` are labels of which it is not known whether the sequence has them, where it can have several.
    """

    id: str
    sequence: str
    label: str | float | tuple[str, ...] | np.ndarray
    split: str = ""
    unknown: tuple[str, ...] = ()

    @property
    def names(self) -> tuple:
        """The classes that the example has, for a task of classes."""
        if isinstance(self.label, np.ndarray):
            return tuple(np.unique(self.label[self.label >= 0]).tolist())
        return self.label if isinstance(self.label, tuple) else (self.label,)


@dataclass
class Dataset:
    """The three splits, and what was noticed about them."""

    splits: dict[str, list]  # of Example, or of seqlm.data.pairs.Pair
    rules: Rules = field(default_factory=Rules)
    origin: dict[str, str] = field(default_factory=dict)  # split -> how it came about, in words
    duplicates: dict[str, int] = field(default_factory=dict)  # what is shared -> number of sequences
    sha256: dict[str, str] = field(default_factory=dict)  # split -> SHA-256 of its ids, sequences and labels

    def __getitem__(self, split: str) -> list[Example]:
        return self.splits.get(split, [])

    def labels(self) -> list[str]:
        """Class names in a fixed order: by number where all are numbers, else by text."""
        names = {name for examples in self.splits.values() for example in examples for name in example.names}
        return sorted(names, key=natural)


def make_splits(
    train: list[Example],
    validation: list[Example] | None,
    test: list[Example] | None,
    *,
    numeric: bool,
    names: Callable[[Example], tuple[str, ...]] = lambda example: example.names,
    labelled: bool = True,
    by_column: bool = False,
    validation_fraction: float = 0.15,
    test_fraction: float = 0.0,
    duplicates: str = "report",
    same: Callable[[str], str] = str,
    seed: int = 42,
) -> Dataset:
    """Put examples into training, validation and test sets.

    A set that is given is used as it is. Where the file says the split of each record, that decides. Otherwise a share
    of the training examples is drawn, stratified where each has one class; equal sequences always stay on the same
    side.

    Args:
        names: the classes of an example; not asked of numbers.
        labelled: False where the sequences alone are learnt, and labels are empty.
        by_column: the examples of ``train`` know their splits.
        validation_fraction, test_fraction: shares of the training file, used where no such set is given; 0 for none.
        duplicates: what to do about a training sequence that is also in the validation or test set: ``report`` it,
            ``remove`` it from the training set, or ``refuse`` the input.
        same: what a sequence is compared by: equal texts are equal sequences, however these are written.

    Raises:
        InputError: a class with too few examples to be in every split, fewer than two classes, empty splits.
    """
    splits, origin = given_sets(train, validation, test, by_column)
    classes = labelled and not numeric
    if classes:
        check_classes({"train": splits["train"]}, names)
    stratified = classes and all(isinstance(example.label, str) for example in train)
    available = len(splits["train"])
    keys = {example.sequence: "" for examples in splits.values() for example in examples}
    keys = {sequence: same(sequence) for sequence in keys}
    for name, share in (("test", test_fraction), ("validation", validation_fraction)):
        if name not in splits and share:
            # the share is of what was there to draw from, also when the other set has been drawn before
            share = share * available / len(splits["train"])
            splits["train"], splits[name] = _draw(splits["train"], share, name, stratified, keys, seed)
            origin[name] = f"drawn at random from the training examples (seed {seed})"
            origin["train"] = "what is left of the training examples"
    dataset = Dataset({name: splits[name] for name in SPLITS if name in splits}, origin=origin)
    _count_duplicates(dataset, duplicates, keys)
    if len(dataset["train"]) < 2:
        raise InputError(f"{len(dataset['train'])} training example is left; a model needs at least two")
    if numeric:
        values = np.concatenate([np.atleast_1d(example.label) for example in dataset["train"]])
        if np.nanmin(values) == np.nanmax(values):
            raise InputError("all training values are the same; there is nothing to learn")
    elif not labelled:
        if len({example.sequence for example in dataset["train"]}) < 2:
            raise InputError("all training sequences are the same; give sequences that differ")
    else:
        _leave_out_unknown(dataset)
        check_classes(dataset.splits, names)
    dataset.sha256 = {
        name: digest((example.id, example.sequence, _hashable(example.label), *example.unknown) for example in examples)
        for name, examples in dataset.splits.items()
    }
    return dataset


def given_sets(train: list, validation: list | None, test: list | None, by_column: bool) -> tuple[dict, dict[str, str]]:
    """The sets that are given, as files or, ``by_column``, by what each training record says of itself.

    Returns:
        split -> its examples, what is left in ``train``; and split -> where it comes from, in words.
    """
    splits, origin = {"train": list(train)}, {"train": "given"}
    for name, given in (("validation", validation), ("test", test)):
        if given:
            splits[name], origin[name] = list(given), "given as a file"
    if not by_column:
        return splits, origin
    for name in SPLITS[1:]:
        chosen = [example for example in train if example.split == name]
        if chosen and name in splits:
            raise InputError(f"a {name} set is given both as a file and in the training file; leave one out")
        if chosen:
            splits[name], origin[name] = chosen, "given in the training file"
    splits["train"] = [example for example in train if example.split == "train"]
    if not splits["train"]:
        raise InputError("no record of the training file says that it is for training; some must say 'train'")
    return splits, origin


def _leave_out_unknown(dataset: Dataset) -> None:
    """Of several labels, those that no training example has cannot be learnt: they are left out, and counted. So are
    examples of which none of the others is known."""
    known = {name for example in dataset["train"] for name in example.names}
    for split, examples in dataset.splits.items():
        kept = [example for example in examples if not (example.unknown and known.issubset(example.unknown))]
        if lost := len(examples) - len(kept):
            dataset.splits[split] = kept
            dataset.rules.count("without a known label of those that are learnt, left out", number=lost)
    for split in SPLITS[1:]:
        for place, example in enumerate(dataset[split]):
            if isinstance(example.label, tuple) and not known.issuperset(example.label):
                kept = tuple(name for name in example.label if name in known)
                dataset.splits[split][place] = replace(example, label=kept)
                dataset.rules.count(
                    f"labels without a training example left out of {split}", len(example.label) - len(kept)
                )


def natural(label: str) -> tuple:
    """A key that sorts labels by number where they are numbers, and after them by text."""
    try:
        return 0, decimal(label), label
    except ValueError:
        return 1, 0.0, label


def check_classes(splits: dict[str, list], names: Callable = lambda example: example.names) -> None:
    """Refuse training examples of fewer than two classes, and classes that only other splits have."""
    counts = Counter(name for example in splits["train"] for name in names(example))
    if len(counts) < 2:
        only = f"the label '{quoted(next(iter(counts)))}'" if counts else "no label"
        raise InputError(f"all training examples have {only}; two classes are needed")
    for split in SPLITS[1:]:
        for example in splits.get(split, ()):
            for name in names(example):
                if name not in counts:
                    raise InputError(
                        f"the {split} set has the label '{quoted(name)}' (record '{quoted(example.id)}'), which no "
                        "training example has; give such examples, or merge the label with another"
                    )
    if len(counts) > 1000:
        raise InputError(f"{len(counts):,} different labels; is the label a number? Then choose a regression task")


def _draw(
    examples: list[Example], share: float, name: str, stratified: bool, keys: dict[str, str], seed: int
) -> tuple[list[Example], list[Example]]:
    """(rest, drawn): a random share, equal sequences kept together, by class where ``stratified``."""
    from sklearn.model_selection import train_test_split

    groups: dict[str, list[Example]] = defaultdict(list)
    for example in examples:
        groups[keys[example.sequence]].append(example)
    representatives = [members[0] for members in groups.values()]
    strata = None
    if stratified:
        strata = [example.label for example in representatives]
        for label, count in Counter(strata).items():
            if count < 2:
                raise InputError(
                    f"the class '{quoted(label)}' has one example, too few for both training and a {name} set; "
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
    drawn = {keys[example.sequence] for example in chosen}
    return (
        [example for example in examples if keys[example.sequence] not in drawn],
        [example for example in examples if keys[example.sequence] in drawn],
    )


def _count_duplicates(dataset: Dataset, action: str, keys: dict[str, str]) -> None:
    """Count equal sequences within and across splits; act on those that training shares with another split."""
    where: dict[str, dict[str, list[Example]]] = {}
    for name, examples in dataset.splits.items():
        equal: dict[str, list[Example]] = defaultdict(list)
        for example in examples:
            equal[keys[example.sequence]].append(example)
        where[name] = equal
        if repeated := len(examples) - len(equal):
            dataset.duplicates[f"repeated within {name}"] = repeated
        if conflicting := [same[0].id for same in equal.values() if len(same) > 1 and _disagree(same)]:
            what = f"with different labels within {name}, '{quoted(conflicting[0])}' for one"
            dataset.duplicates[what] = len(conflicting)
    leaking: set[str] = set()
    for first, second in (("train", "validation"), ("train", "test"), ("validation", "test")):
        one, other = where.get(first, {}), where.get(second, {})
        shared = one.keys() & other.keys()
        if shared:
            dataset.duplicates[f"in both {first} and {second}"] = len(shared)
        if conflicting := {key for key in shared if _disagree(one[key] + other[key])}:
            named = next(example.id for example in dataset[second] if keys[example.sequence] in conflicting)
            what = f"with different labels in {first} and {second}, '{quoted(named)}' for one"
            dataset.duplicates[what] = len(conflicting)
        if first == "train":
            leaking |= shared
    if not leaking:
        return
    if action == "refuse":
        example = next(example for example in dataset["train"] if keys[example.sequence] in leaking)
        raise InputError(
            f"{len(leaking)} training sequences are in the validation or test set too, one is "
            f"'{quoted(example.id)}'; remove them, or choose to report or to remove them"
        )
    if action == "remove":
        kept = [example for example in dataset["train"] if keys[example.sequence] not in leaking]
        for _ in range(len(dataset["train"]) - len(kept)):
            dataset.rules.count("removed from training, being in validation or test too")
        dataset.splits["train"] = kept
        held_out = [f"in both train and {name}" for name in SPLITS[1:]]  # no longer so
        held_out += [f"with different labels in train and {name}," for name in SPLITS[1:]]
        dataset.duplicates = {
            what: count for what, count in dataset.duplicates.items() if not what.startswith(tuple(held_out))
        }


def _disagree(same: list[Example]) -> bool:
    """Whether examples of one sequence have different labels; one that is not known of one of them is no difference."""
    if isinstance(same[0].label, tuple):
        has = {name for example in same for name in example.label}
        return any(not has.issubset((*example.label, *example.unknown)) for example in same)
    return len({_hashable(example.label) for example in same}) > 1


def digest(rows: Iterable[tuple]) -> str:
    """SHA-256 of rows of plain values."""
    state = hashlib.sha256()
    for row in rows:
        state.update(("\t".join(map(str, row)) + "\n").encode())
    return state.hexdigest()


def _hashable(label):
    return label.tobytes() if isinstance(label, np.ndarray) else label
