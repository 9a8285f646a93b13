"""How labelled examples are divided for cross-validation: what is related stays in one fold."""

from __future__ import annotations

import re
from argparse import Namespace
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from seqlm.checkpoints.manifest import MOST_MEMBERS
from seqlm.cli.errors import InputError
from seqlm.data.datasets import Dataset
from seqlm.data.group_splits import group_split, numbered, strata_of
from seqlm.data.pairs import ends_of, sides_of_members
from seqlm.data.records import BREAK, DNA, PROTEIN, STATES, quoted
from seqlm.data.sequences import HEADED, KINDS, read_records, read_table, sequence_format
from seqlm.report.words import OUT_OF_FOLD

IDENTITY, COVERAGE = 0.3, 0.5  # of related sequences, as the dataset tool has it unless told
_BEFORE_SITE = re.compile(r"(.+?)(?:%\d+%\d+|[|_:/#-][A-Za-z]?\d+(?:-\d+)?(?:\([+-]\))?)")
_INSIDE = 0.9  # of a fold's share of pairs; the others connect two folds, and the last fold is what is left


@dataclass(frozen=True)
class Fold:
    """One training: its parts, and places of what is held out.

    Attributes:
        repeat, number: from 1 on.
        dataset: ``train`` and ``validation``; ``test`` is what is held out and after it the test set that was given.
        held: places among all labelled examples.
    """

    repeat: int
    number: int
    dataset: Dataset
    held: np.ndarray


@dataclass(frozen=True)
class Folds:
    """All trainings of a cross-validation.

    Attributes:
        groups: (examples,) number of what stays together, or None of pairs that are grouped by their members.
        how: what stays together, in words.
    """

    folds: list[Fold]
    count: int
    repeats: int
    groups: np.ndarray | None
    how: str


def check_folds(arguments: Namespace, level: str) -> None:
    """Refuse options that contradict each other."""
    if not arguments.folds:
        asked = {"fold_repeats": 1, "fold_groups": "auto", "group_column": None}
        for option, unasked in asked.items():
            if getattr(arguments, option) not in (unasked, ""):
                raise InputError(f"--{option.replace('_', '-')} is for cross-validation; say how many --folds")
        return
    if arguments.folds == 1:
        raise InputError("one fold leaves nothing to train on; use at least 2")
    if arguments.folds * arguments.fold_repeats > MOST_MEMBERS:
        raise InputError(
            f"{arguments.folds} folds {arguments.fold_repeats} times are "
            f"{arguments.folds * arguments.fold_repeats} models; a bundle holds at most {MOST_MEMBERS}"
        )
    if arguments.method == "full":
        raise InputError(
            "cross-validation keeps what was learnt in each fold, and of all weights that would be a whole model each; "
            "choose LoRA, DoRA or the head alone"
        )
    if arguments.method == "adalora":
        raise InputError(
            "AdaLoRA's ranks differ from fold to fold, so one bundle cannot hold them; choose LoRA or DoRA"
        )
    if (arguments.fold_groups == "column") != bool(arguments.group_column) and arguments.fold_groups != "auto":
        raise InputError("--group-column names the column for --fold-groups column; give both or neither")
    if arguments.fold_groups == "column" and not arguments.group_column:
        raise InputError("folds by a column need its name (--group-column)")
    if arguments.fold_groups == "scaffold" and level != "sequence":
        raise InputError(f"scaffolds are of molecules, and the task is of {level}s; group in another way")
    if arguments.group_column and level == "pair":
        raise InputError("folds of pairs are made by their members or by homology, not by a column")


def divide(plan, scratch: Path, same: Callable[[str], str]) -> Folds:
    """Divide all labelled examples but the test set, and put them together in ``plan.dataset``.

    Args:
        same: what a sequence is compared by; equal ones stay together.

    Raises:
        InputError: examples that cannot be divided so, or a class that would be missing in a training.
    """
    arguments, dataset = plan.arguments, plan.dataset
    examples = dataset["train"] + dataset["validation"]
    if plan.level == "pair" and arguments.fold_groups != "none":
        return _of_pairs(plan, examples, scratch)
    groups, how = _groups(plan, examples, scratch, same)
    strata = _strata(examples, plan.labels is None, arguments.folds)
    if arguments.test_fraction and not dataset["test"]:
        drawn = _dealt(groups, strata, [1 - arguments.test_fraction, arguments.test_fraction], arguments.seed, how)
        dataset.splits["test"] = [examples[place] for place in np.flatnonzero(drawn == 1)]
        dataset.origin["test"] = f"drawn at random, {how} (seed {arguments.seed})"
        kept = np.flatnonzero(drawn == 0)
        examples, groups, strata = [examples[place] for place in kept], groups[kept], strata[kept]
    folds = []
    for repeat in range(arguments.fold_repeats):
        seed = arguments.seed + repeat
        places = _dealt(groups, strata, [1 / arguments.folds] * arguments.folds, seed, how)
        for number in range(arguments.folds):
            held, rest = np.flatnonzero(places == number), np.flatnonzero(places != number)
            share = arguments.validation_fraction
            inner = np.zeros(len(rest), int)
            if share:
                inner = _dealt(groups[rest], strata[rest], [1 - share, share], seed + number, how)
            folds.append(_fold(plan, examples, repeat, number, held, rest[inner == 0], rest[inner == 1]))
    return _gathered(plan, examples, folds, groups, how)


def _fold(plan, examples: list, repeat: int, number: int, held, train, validation) -> Fold:
    parts = {"train": train, "validation": validation, "test": held}
    splits = {name: [examples[place] for place in places] for name, places in parts.items() if len(places)}
    if plan.labels:
        wanted = {name for example in examples for name in example.names}
        learnt = {name for example in splits.get("train", ()) for name in example.names}
        if missing := sorted(wanted - learnt, key=str):
            name = missing[0] if plan.level != "residue" else plan.labels[missing[0]]
            raise InputError(
                f"the class '{quoted(name)}' has too few groups of examples to be in the training part of every fold; "
                "take fewer folds, group in another way, or leave the class out"
            )
    elif len({value for example in splits["train"] for value in np.atleast_1d(example.label).tolist()}) < 2:
        raise InputError("all training values of a fold are the same; take fewer folds or group in another way")
    splits["test"] = splits["test"] + plan.dataset["test"]
    return Fold(repeat + 1, number + 1, Dataset(splits), held)


def _gathered(plan, examples: list, folds: list[Fold], groups: np.ndarray | None, how: str) -> Folds:
    arguments, dataset = plan.arguments, plan.dataset
    dataset.splits = {name: dataset[name] for name in ("test",) if dataset[name]} | {OUT_OF_FOLD: examples}
    dataset.origin[OUT_OF_FOLD] = "each predicted by a model that had not learnt from its fold"
    within = ("train", "validation")  # equal sequences are in one fold, so that these are no leaks
    dataset.duplicates = {
        what: count for what, count in dataset.duplicates.items() if not all(name in what for name in within)
    }
    return Folds(folds, arguments.folds, arguments.fold_repeats, groups, how)


def _dealt(groups: np.ndarray, strata: np.ndarray, parts: Sequence[float], seed: int, how: str) -> np.ndarray:
    try:
        return group_split(groups, strata, parts, seed)
    except InputError:
        raise InputError(
            f"{len(np.unique(groups)):,} groups ({how}) cannot be divided into {len(parts)} parts; take fewer folds, "
            "or group in another way"
        ) from None


def _strata(examples: list, numeric: bool, folds: int) -> np.ndarray:
    """(examples,) classes to be kept in proportion: the rarest that an example has, or ranges of values."""
    if numeric:
        if isinstance(examples[0].label, np.ndarray):
            return np.zeros(len(examples), np.int64)
        return strata_of([example.label for example in examples], True, [1 / folds] * folds)
    counts = Counter(name for example in examples for name in example.names)
    return numbered([min(example.names, key=lambda name: counts[name], default=None) for example in examples])


def _groups(plan, examples: list, scratch: Path, same: Callable[[str], str]) -> tuple[np.ndarray, str]:
    """(examples,) number of what stays together, and what that is, in words."""
    arguments, alphabet = plan.arguments, plan.family.alphabet
    if plan.level == "pair":
        return np.arange(len(examples)), "pair by pair, so that a sequence can be on both sides"
    keys = {sequence: same(sequence) for sequence in dict.fromkeys(example.sequence for example in examples)}
    equal = numbered([keys[example.sequence] for example in examples])
    kind = arguments.fold_groups
    if kind == "auto":
        kind = _usual(plan, examples)
    if kind in ("homology", "scaffold") and (kind == "homology") != (alphabet in (PROTEIN, DNA)):
        other = {PROTEIN: "homology", DNA: "homology", STATES: "protein"}.get(alphabet, "scaffold")
        raise InputError(f"a model of {alphabet} has no folds by {kind}; take {other}, or none")
    if kind == "none":
        return equal, "equal sequences stay together"
    if kind == "protein":
        found = [_protein(example.id) for example in examples]
        return _joined(numbered(found), equal), "all sites of a protein stay together"
    if kind == "column":
        found = _column(plan)
        named = [found[example.id] for example in examples]
        return _joined(numbered(named), equal), f"rows of one '{quoted(arguments.group_column)}' stay together"
    if kind == "scaffold":
        from seqlm.similarity.scaffolds import read_molecules

        found = read_molecules([example.sequence for example in examples]).scaffolds
        if all(scaffold is None for scaffold in found):
            raise InputError("RDKit can read none of the molecules, so there are no scaffolds; take --fold-groups none")
        own = [scaffold or place for place, scaffold in enumerate(found)]
        return _joined(numbered(own), equal), "molecules of one scaffold stay together; without a ring there is none"
    sequences = [example.sequence for example in examples]
    return _clusters(plan, sequences, scratch), "related sequences stay together"


def _usual(plan, examples: list) -> str:
    if plan.arguments.group_column:
        return "column"
    if plan.family.alphabet == STATES:
        return "none"  # what tells relatives by 3Di states is Foldseek
    if plan.family.alphabet not in (PROTEIN, DNA):
        return "scaffold"
    proteins = Counter(_protein(example.id) for example in examples)
    known = all(_BEFORE_SITE.fullmatch(example.id) for example in examples)
    return "protein" if plan.window and known and len(proteins) >= 2 * plan.arguments.folds else "homology"


def _protein(name: str) -> str:
    """The protein of a window, by what stands before its site.

    >>> [_protein(name) for name in ("sp|Q9UQC2|GAB2_HUMAN%598%614", "P04637|S15", "P04637:1-33", "P04637")]
    ['sp|Q9UQC2|GAB2_HUMAN', 'P04637', 'P04637', 'P04637']
    """
    found = _BEFORE_SITE.fullmatch(name)
    return found[1] if found else name


def _column(plan) -> dict[str, str]:
    """Id -> group, from the files with the labels."""
    arguments, groups = plan.arguments, {}
    files = [one.partition("=")[2] or one for one in arguments.class_fasta]
    for path in [path for path in (arguments.train, arguments.validation, *files) if path]:
        path = Path(path)
        if (format := sequence_format(path)) in HEADED:
            raise InputError(f"{path.name} is {KINDS[format]} and has no columns; make folds by homology or protein")
        at = read_table(path).index(arguments.group_column, "group column")
        for record in read_records(
            path, id_column=arguments.id_column, sequence_column=arguments.sequence_column, rename=True
        ):
            if not record.fields[at]:
                raise InputError(f"{path.name}: line {record.line} has no group in '{quoted(arguments.group_column)}'")
            groups[record.id] = record.fields[at]
    return groups


def _clusters(plan, sequences: list[str], scratch: Path) -> np.ndarray:
    """(sequences,) number of the cluster of related sequences."""
    from seqlm.similarity import homology, mmseqs

    mmseqs.program()
    places, folder = numbered(sequences), scratch / "related"
    folder.mkdir(exist_ok=True)
    if plan.encoder.chains is not None:
        sequences = [one.replace(BREAK, "X") for one in sequences]  # MMseqs2 knows no break
    hits = homology.search(
        list(dict.fromkeys(sequences)), folder, threads=plan.arguments.threads, dna=plan.family.alphabet == DNA
    )
    return homology.clusters(hits, int(places.max()) + 1, IDENTITY, COVERAGE)[places]


def _joined(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Groups of what is together in either, directly or by others."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    size = one.max() + 1
    edges = coo_matrix((np.ones(len(one)), (one, size + other)), shape=(size + other.max() + 1,) * 2)
    return connected_components(edges, directed=False)[1][one]


def _of_pairs(plan, pairs: list, scratch: Path) -> Folds:
    """Folds of pairs: no member is on two sides. A pair between two folds is learnt from, but in no fold."""
    arguments, kind = plan.arguments, plan.arguments.fold_groups
    if arguments.fold_repeats > 1:
        raise InputError("folds of pairs by their members cannot be repeated; leave --fold-repeats at 1")
    two = bool(arguments.second_sequences)
    ends, how = [ends_of(pair, two) for pair in pairs], "no sequence is both in a fold and in its training pairs"
    if kind == "homology":
        names = sorted({end for both in ends for end in both})
        cluster = {}
        for side in sorted({side for side, _ in names}):
            mine = [name for name in names if name[0] == side]
            found = _clusters(plan, [plan.members[side][name] for _, name in mine], scratch)
            cluster |= {name: (side, str(number)) for name, number in zip(mine, found.tolist(), strict=True)}
        ends = [(cluster[one], cluster[other]) for one, other in ends]
        how = "no sequence in a fold is related to one in its training pairs"
    count, seed = arguments.folds, arguments.seed
    side = sides_of_members(ends, {str(number): _INSIDE / count for number in range(1, count)}, seed)
    of = np.asarray([[int(side.get(end, count)) for end in both] for both in ends])
    inside = np.flatnonzero(of[:, 0] == of[:, 1])
    if lost := len(pairs) - len(inside):
        plan.dataset.rules.count("between two folds: learnt from, but in no fold", number=lost, unit="pair")
    folds = []
    for number in range(1, count + 1):
        held, rest = np.flatnonzero((of == number).all(axis=1)), np.flatnonzero((of != number).all(axis=1))
        if not len(held) or len(rest) < 2:
            raise InputError(
                f"{len(pairs):,} pairs cannot be divided into {count} folds by sequence; take fewer folds, or "
                "--fold-groups none"
            )
        train, validation = rest, rest[:0]
        if arguments.validation_fraction:
            inner = sides_of_members(
                [ends[place] for place in rest], {"validation": arguments.validation_fraction}, seed + number
            )
            out = np.asarray([[end in inner for end in ends[place]] for place in rest])
            train, validation = rest[~out.any(axis=1)], rest[out.all(axis=1)]
        fold = _fold(plan, pairs, 0, number - 1, held, train, validation)
        folds.append(replace(fold, held=np.searchsorted(inside, held)))
    return _gathered(plan, [pairs[place] for place in inside], folds, None, how)
