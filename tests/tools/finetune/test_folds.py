"""Folds: everything is held out once, what is related stays together, and nothing of a fold is in its training."""

import random
from argparse import Namespace
from types import SimpleNamespace

import numpy as np
import pytest

from seqlm.cli.errors import InputError
from seqlm.data.datasets import Dataset, Example
from seqlm.data.molecules import one_way
from seqlm.data.pairs import Pair
from seqlm.data.records import PROTEIN, TEXT
from seqlm.report.words import OUT_OF_FOLD
from seqlm.tools.finetune.folds import divide

LETTERS = "ACDEFGHIKLMNPQRSTVWY"


def protein(rng: random.Random, length: int = 80) -> str:
    return "".join(rng.choices(LETTERS, k=length))


def plan_of(examples, level="sequence", alphabet=PROTEIN, labels=("0", "1"), window=None, test=(), **changed):
    arguments = {
        "folds": 4, "fold_repeats": 1, "fold_groups": "auto", "group_column": None, "validation_fraction": 0.2,
        "test_fraction": 0.0, "seed": 1, "threads": 1, "second_sequences": None, "class_fasta": [],
    }  # fmt: skip
    return SimpleNamespace(
        arguments=Namespace(**arguments | changed),
        dataset=Dataset({"train": list(examples), **({"test": list(test)} if test else {})}),
        level=level,
        labels=labels,
        family=SimpleNamespace(alphabet=alphabet),
        encoder=SimpleNamespace(chains=None),
        window=window,
        members=({}, {}),
    )


def parts(fold, held: int):
    """Training, validation and held-out examples of a fold."""
    return fold.dataset["train"], fold.dataset["validation"], fold.dataset["test"][:held]


def check_folds(plan, folds, group_of):
    """Everything is in one fold of each repeat, and no group is in two parts of a training."""
    examples = plan.dataset[OUT_OF_FOLD]
    for repeat in range(1, folds.repeats + 1):
        held = np.concatenate([fold.held for fold in folds.folds if fold.repeat == repeat])
        assert sorted(held.tolist()) == list(range(len(examples)))
    for fold in folds.folds:
        three = parts(fold, len(fold.held))
        assert three[2] == [examples[place] for place in fold.held]
        assert sum(map(len, three)) == len(examples) and all(three)
        groups = [{group_of(example) for example in part} for part in three]
        assert not groups[0] & groups[1] and not groups[0] & groups[2] and not groups[1] & groups[2]


def test_related_proteins_are_in_one_fold(tmp_path):
    rng = random.Random(0)
    examples = []
    for family in range(30):
        first = protein(rng)
        for member in range(rng.randint(1, 6)):
            text = list(first)
            for place in rng.sample(range(80), 15):
                text[place] = rng.choice(LETTERS)
            examples.append(Example(f"{family}.{member}", "".join(text), str(family % 2)))
    rng.shuffle(examples)
    plan = plan_of(examples, fold_repeats=2)
    folds = divide(plan, tmp_path, str)
    assert "related sequences" in folds.how
    check_folds(plan, folds, lambda example: example.id.split(".")[0])
    shares = [np.mean([example.label == "1" for example in parts(fold, len(fold.held))[2]]) for fold in folds.folds]
    assert max(shares) - min(shares) < 0.3
    first, second = ([fold.held.tolist() for fold in folds.folds if fold.repeat == repeat] for repeat in (1, 2))
    assert first != second


def test_windows_are_kept_together_by_protein_and_where_they_are_equal(tmp_path):
    rng = random.Random(1)
    examples = [
        Example(f"sp|P{number}|X_HUMAN%{at}%{at + 16}", protein(rng, 33), str(at % 2))
        for number in range(20)
        for at in range(100, 104)
    ]
    twin = Example("sp|P99|X_HUMAN%7%23", examples[0].sequence, "0")
    plan = plan_of([*examples, twin], window=(33, "Y"))
    folds = divide(plan, tmp_path, str)
    assert "all sites of a protein" in folds.how
    check_folds(plan, folds, lambda one: "P0" if one is twin else one.id.split("|")[1])


def test_molecules_of_one_scaffold_are_in_one_fold(tmp_path):
    rings = ["c1ccccc1", "c1ccncc1", "C1CCCCC1", "c1ccoc1", "c1ccsc1", "C1CCNCC1", "c1cc[nH]c1", "C1CCOCC1"]
    examples = [Example(f"{r}.{n}", "C" * n + ring, float(n + r)) for r, ring in enumerate(rings) for n in range(1, 9)]
    alone = [Example(f"chain{n}", "C" * n + "O", float(n)) for n in range(2, 10)]
    plan = plan_of([*examples, *alone, Example("odd", "no molecule", 3.0)], alphabet=TEXT, labels=None)
    folds = divide(plan, tmp_path, one_way)
    check_folds(plan, folds, lambda example: example.id.split(".")[0])
    held = [{example.id for example in parts(fold, len(fold.held))[2]} for fold in folds.folds]
    assert sum(any(example.id in one for example in alone) for one in held) > 1


def test_a_column_says_what_stays_together_and_a_test_set_is_drawn_by_it(tmp_path):
    rng = random.Random(2)
    rows = [(f"s{n}", protein(rng, 20), str(n % 2), f"clan{n % 15}") for n in range(90)]
    file = tmp_path / "train.tsv"
    file.write_text("id\tsequence\tlabel\tclan\n" + "".join("\t".join(row) + "\n" for row in rows))
    plan = plan_of([Example(*row[:3]) for row in rows], group_column="clan", train=file, validation=None,
                   id_column=None, sequence_column=None, test_fraction=0.2)  # fmt: skip
    clan = {row[0]: row[3] for row in rows}
    folds = divide(plan, tmp_path, str)
    check_folds(plan, folds, lambda example: clan[example.id])
    test = {clan[example.id] for example in plan.dataset["test"]}
    assert 10 <= len(plan.dataset["test"]) <= 26
    assert not test & {clan[example.id] for example in plan.dataset[OUT_OF_FOLD]}
    assert all(fold.dataset["test"][len(fold.held) :] == plan.dataset["test"] for fold in folds.folds)


@pytest.mark.parametrize("groups", ["auto", "homology"])
def test_no_member_of_a_pair_is_in_a_fold_and_in_its_training(tmp_path, groups):
    rng = random.Random(3)
    members = {f"p{n}": protein(rng) for n in range(60)}
    members |= {f"q{n}": members[f"p{n}"][:-1] + "A" for n in range(60)}  # a twin of each
    names = [[name for name in members if int(name[1:]) % 6 == part] for part in range(6)]
    pairs = [Pair(*rng.sample(names[n % 6], 2), str(n // 6 % 2)) for n in range(300)]
    pairs += [Pair(rng.choice(names[0]), rng.choice(names[1]), "1") for _ in range(6)]
    plan = plan_of(pairs, level="pair", fold_groups=groups)
    plan.members = (members, members)
    folds = divide(plan, tmp_path, str)

    def key(name):
        return name[1:] if groups == "homology" else name

    for fold in folds.folds:
        train, validation, held = parts(fold, len(fold.held))
        assert train and validation and held
        assert held == [plan.dataset[OUT_OF_FOLD][place] for place in fold.held]
        three = [
            {key(name) for pair in part for name in (pair.first, pair.second)} for part in (train, validation, held)
        ]
        assert not three[0] & three[2] and not three[1] & three[2] and not three[0] & three[1]
    assert len(plan.dataset[OUT_OF_FOLD]) > 200
    lost = 306 - len(plan.dataset[OUT_OF_FOLD])
    assert not lost or any(f"{lost} pair" in line for line in plan.dataset.rules.lines())


def test_too_few_groups_are_refused_in_one_line(tmp_path):
    examples = [Example(f"s{n}", "MKVLA" * 9 + LETTERS[n], str(n % 2)) for n in range(12)]
    with pytest.raises(InputError, match=r"1 groups \(related sequences stay together\) cannot be divided into 4"):
        divide(plan_of(examples), tmp_path, str)
