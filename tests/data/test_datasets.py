"""Labels, splits and duplicates."""

from collections import Counter

import pytest

from seqlm.cli.errors import InputError
from seqlm.data.datasets import Example, make_splits
from seqlm.data.labels import GivenSplit, read_examples
from seqlm.data.molecules import one_way
from seqlm.data.records import PROTEIN, Rules

AMINO_ACIDS = "ACDEFGHIKLMNPQRSTVWY"


def read(path, **options):
    settings = {"numeric": False, "alphabet": PROTEIN, "replacements": {}, "rules": Rules(), **options}
    return read_examples(path, **settings)


def examples(count, label=lambda number: str(number % 2)):
    """Different sequences, numbered in base 20."""
    return [
        Example(f"p{n}", "M" + AMINO_ACIDS[n % 20] + AMINO_ACIDS[n // 20 % 20] + AMINO_ACIDS[n // 400], label(n))
        for n in range(count)
    ]


def write(folder, text, name="in.fasta"):
    (folder / name).write_text(text)
    return folder / name


def test_labels_come_from_headers_by_pattern(tmp_path):
    path = write(tmp_path, ">a|x LABEL=1 more\nMK\n>b|y LABEL=0\nMV\n")
    assert [example.label for example in read(path)] == ["1", "0"]
    assert [example.label for example in read(path, label_pattern=r"\|(\w)")] == ["x", "y"]


def test_labels_and_splits_come_from_columns(tmp_path):
    path = write(tmp_path, "id,sequence,y,part\na,MK,1.5,train\nb,MV,-2,dev\n")
    found = read(path, numeric=True, label_column="y", given_split=GivenSplit("part"))
    assert [(example.label, example.split) for example in found] == [(1.5, "train"), (-2.0, "validation")]


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        (">a LABEL=1\nMK\n>b\nMV\n", {}, "record 'b' (line 3) has no label: the pattern 'LABEL=(\\S+)' is not in its"),
        (">a LABEL=1\nMK\n", {"label_pattern": "LABEL=("}, "is not a regular expression"),
        (">a LABEL=1\nMK\n", {"label_pattern": "LABEL="}, "has no group"),
        (">a LABEL=1\nMK\n", {"label_column": "y"}, "is FASTA and has no label column"),
        (">a LABEL=x\nMK\n", {"numeric": True}, "has 'x' where a number is needed"),
        (">a LABEL=nan\nMK\n", {"numeric": True}, "in.fasta has no record with a label"),
        (">a LABEL=inf\nMK\n", {"numeric": True}, "has 'inf' where a number is needed"),
        (">a LABEL=1_0\nMK\n", {"numeric": True}, "has '1_0' where a number is needed"),
        ("id,sequence,label\na,MK,\n", {}, "in.fasta has no record with a label"),
        ("id,sequence,label,s\na,MK,1,odd\n", {"given_split": GivenSplit("s")}, "has 'odd' as its split"),
        ("id,sequence,label\na,MK,1\n", {"label_column": "5"}, "no column '5' for the label column"),
        (">a LABEL=1\n" + "ACGT" * 10 + "\n", {}, "holds DNA or RNA (1 of 1 sequences)"),
        (f">a LABEL={'x' * 101}\nMK\n", {}, "a label is at most 100 printable characters"),
    ],
)
def test_bad_labels_are_named(tmp_path, text, options, message):
    with pytest.raises(InputError) as caught:
        read(write(tmp_path, text), **options)
    assert message in str(caught.value)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_shares_are_stratified_and_complete(seed):
    data = examples(200, lambda number: "rare" if number % 10 == 0 else "common")
    split = make_splits(data, None, None, numeric=False, validation_fraction=0.2, test_fraction=0.1, seed=seed)
    assert {name: len(part) for name, part in split.splits.items()} == {"train": 140, "validation": 40, "test": 20}
    for name, rare in (("train", 14), ("validation", 4), ("test", 2)):
        assert Counter(example.label for example in split[name])["rare"] == rare
    assert sorted(example.id for part in split.splits.values() for example in part) == sorted(e.id for e in data)


def test_the_same_seed_gives_the_same_split_and_another_seed_another():
    def drawn(seed):
        return [e.id for e in make_splits(examples(100), None, None, numeric=False, seed=seed)["validation"]]

    assert drawn(1) == drawn(1) != drawn(2)


def test_equal_sequences_stay_on_one_side():
    data = [Example(f"p{n}", example.sequence, example.label) for n, example in enumerate(examples(40) * 3)]
    split = make_splits(data, None, None, numeric=False, validation_fraction=0.3, test_fraction=0.2)
    sides = [{example.sequence for example in part} for part in split.splits.values()]
    assert not sides[0] & sides[1] and not sides[0] & sides[2] and not sides[1] & sides[2]
    assert sum(len(part) for part in split.splits.values()) == 120


def test_leaks_are_counted_removed_or_refused():
    train, test = examples(40), [Example("t1", examples(40)[3].sequence, "1"), Example("t2", "WWW", "0")]
    reported = make_splits(train, None, test, numeric=False, validation_fraction=0)
    assert reported.duplicates == {"in both train and test": 1}
    assert len(reported["train"]) == 40
    removed = make_splits(train, None, test, numeric=False, validation_fraction=0, duplicates="remove")
    assert [example.id for example in train if example not in removed["train"]] == ["p3"]
    assert not removed.duplicates, "what was removed is not in both any more"
    with pytest.raises(InputError, match="1 training sequences are in the validation or test set too, one is 'p3'"):
        make_splits(train, None, test, numeric=False, validation_fraction=0, duplicates="refuse")


def test_conflicting_labels_are_counted():
    data = [*examples(40), Example("again", examples(40)[0].sequence, "1")]
    split = make_splits(data, None, None, numeric=False, validation_fraction=0)
    conflict = f"with different labels within train, '{data[0].id}' for one"
    assert split.duplicates == {"repeated within train": 1, conflict: 1}
    held_out = [Example("other", data[1].sequence, "1" if data[1].label == "0" else "0"), *examples(40)[2:4]]
    across = make_splits(examples(40), None, held_out, numeric=False, validation_fraction=0)
    assert across.duplicates == {
        "in both train and test": 3,
        "with different labels in train and test, 'other' for one": 1,
    }
    removed = make_splits(
        examples(40), None, held_out, numeric=False, validation_fraction=0, duplicates="remove"
    )  # fmt: skip
    assert removed.duplicates == {}


def test_molecules_are_equal_however_they_are_written():
    kekule, aromatic = "C1=CC=CC=C1O", "Oc1ccccc1"
    data = [Example(f"m{n}", "C" * (n + 1), str(n % 2)) for n in range(20)] + [Example("phenol", kekule, "1")]
    test = [Example("again", aromatic, "1"), Example("ether", "COC", "0")]
    assert make_splits(data, None, test, numeric=False, validation_fraction=0).duplicates == {}
    found = make_splits(data, None, test, numeric=False, validation_fraction=0, same=one_way)
    assert found.duplicates == {"in both train and test": 1}
    left = make_splits(data, None, test, numeric=False, validation_fraction=0, same=one_way, duplicates="remove")
    assert "phenol" not in {example.id for example in left["train"]}
    both = [*data, Example("p2", aromatic, "1"), Example("text", "no molecule", "0")]
    for seed in range(5):
        drawn = make_splits(both, None, None, numeric=False, validation_fraction=0.3, same=one_way, seed=seed)
        sides = [{example.id for example in drawn[name]} & {"phenol", "p2"} for name in drawn.splits]
        assert sorted(map(len, sides)) == [0, 2]


@pytest.mark.parametrize(
    ("data", "test", "message"),
    [
        (examples(20, lambda n: "1"), None, "all training examples have the label '1'"),
        ([*examples(20, lambda n: "1"), Example("x", "WWWW", "0")], None, "the class '0' has one example"),
        (examples(4), None, "too few for a validation set with each of the 2 classes"),
        (examples(20), [Example("t", "WW", "7")], "the test set has the label '7' (record 't')"),
        (examples(2000, str), None, "2,000 different labels; is the label a number?"),
    ],
)
def test_unusable_classes_are_named(data, test, message):
    with pytest.raises(InputError) as caught:
        make_splits(data, None, test, numeric=False)
    assert message in str(caught.value)


def test_constant_values_cannot_be_learnt():
    with pytest.raises(InputError, match="all training values are the same"):
        make_splits(examples(20, lambda n: 1.0), None, None, numeric=True)


def test_classes_are_ordered_by_number():
    split = make_splits(examples(40, lambda n: ["10", "9", "x"][n % 3]), None, None, numeric=False)
    assert split.labels() == ["9", "10", "x"]


def test_a_large_test_set_in_the_training_file_does_not_swell_the_share_that_is_drawn():
    data = [
        Example(e.id, e.sequence, e.label, "train" if number < 40 else "test") for number, e in enumerate(examples(400))
    ]
    split = make_splits(data, None, None, numeric=False, by_column=True, validation_fraction=0.25)
    assert [len(split[name]) for name in ("train", "validation", "test")] == [30, 10, 360]
