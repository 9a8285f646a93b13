"""Several labels of one sequence, and where a file says which split a record is in."""

import random
import re

import pytest

from seqlm.cli.errors import InputError
from seqlm.data.datasets import Example, make_splits, natural
from seqlm.data.labels import GivenSplit, read_examples, several
from seqlm.data.records import PROTEIN, Rules


def read(path, text, **options):
    path.write_text(text)
    settings = {
        "numeric": False,
        "alphabet": PROTEIN,
        "replacements": {},
        "rules": Rules(),
        "separator": ";",
        **options,
    }
    return read_examples(path, **settings)


def test_labels_in_a_cell_are_told_apart_and_each_counts_once(tmp_path):
    table = "id\tsequence\tlabel\na\tMK\tx; y ;x\nb\tMV\tz\nc\tML\tnone\nd\tMM\t-\ne\tMN\t;\n"
    found = read(tmp_path / "in.tsv", table)
    assert [example.label for example in found] == [("x", "y"), ("z",), (), (), ()]
    assert [example.names for example in found] == [example.label for example in found]


def test_the_separator_can_be_any_text_and_labels_can_stand_in_headers(tmp_path):
    found = read(tmp_path / "in.fasta", ">a LABEL=x|y,z\nMK\n", separator="|")
    assert found[0].label == ("x", "y,z")
    assert several("in membrane and nucleus", " and ", "here") == ("in membrane", "nucleus")


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("id,sequence,label\na,MK,\n", {}, "in has no record with a label"),
        (
            "id\tsequence\tlabel\na\tMK\tx, y\nb\tMV\tz\nc\tML\tx, z\n",
            {},
            "no record has ';' between labels, and 2 of 3 have ',', as in 'x, y'",
        ),
        (f"id,sequence,label\na,MK,x;{'y' * 101}\n", {}, "has the label 'yyyy"),
        ("id,sequence,label\na,MK,x\u200f\n", {}, "record 'a' (line 2) has the label 'x?'; a label is at most"),
        ("id,sequence,label\na,MK,x;y|z\n", {"separator": "|"}, "the label 'x;y'; a label holds no ';'"),
        ("id,sequence,label\na,MK,x\na,MV,y\n", {}, "record 'a' (line 3) has the same id as the record on line 2"),
        (">a\nMK\n", {}, "record 'a' (line 1) has no label: the pattern"),
    ],
)  # fmt: skip
def test_bad_cells_are_named(tmp_path, text, options, message):
    with pytest.raises(InputError, match=re.escape(message)):
        read(tmp_path / "in", text, **options)


def test_an_empty_cell_says_that_the_label_is_not_known(tmp_path):
    rules = Rules()
    table = "id\tsequence\tlabel\na\tMK\t2\nb\tML\t\nc\tMV\tNA\n"
    assert [one.label for one in read(tmp_path / "in.tsv", table, rules=rules, separator=None)] == ["2", "NA"]
    assert rules.lines() == ["left out, as their label is not known: 1 sequence"]
    assert [one.label for one in read(tmp_path / "in.tsv", table, rules=rules, numeric=True)] == [2.0]
    assert rules.sequences["left out, as their label is not known"] == 3


def test_rows_that_are_in_no_split_are_left_out_and_counted(tmp_path):
    rules = Rules()
    table = "id\tsequence\tlabel\tset\na\tMK\tx\ttrain\nb\tM?\ty\tleft out\nc\tMV\tz\ttest\n"
    found = read(tmp_path / "in.tsv", table, rules=rules, separator=None, given_split=GivenSplit(column="set"))
    assert [(example.id, example.split) for example in found] == [("a", "train"), ("c", "test")]
    assert rules.lines() == ["left out, as its split says: 1 sequence"]
    with pytest.raises(InputError, match="has '' as its split"):
        read(tmp_path / "in.tsv", table.replace("left out", ""), given_split=GivenSplit(column="set"))


def examples(count, labels):
    rng = random.Random(0)
    return [Example(f"p{n}", "M" + "".join(rng.choices("ACDEFGHIKL", k=12)), labels(n)) for n in range(count)]


def test_a_label_that_no_training_example_has_is_left_out_and_counted():
    train = examples(20, lambda n: ("x", "y") if n % 2 else ("y",))
    test = [Example("t1", "MMMM", ("x", "new")), Example("t2", "MMML", ("new", "newer")), Example("t3", "MML", ("y",))]
    split = make_splits(train, None, test, numeric=False, validation_fraction=0)
    assert [example.label for example in split["test"]] == [("x",), (), ("y",)]
    rule = "labels without a training example left out of test"
    assert (split.rules.sequences[rule], split.rules.letters[rule]) == (2, 3)
    assert split.labels() == ["x", "y"]


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (lambda n: ("x",), "all training examples have the label 'x'; two classes are needed"),
        (lambda n: (), "all training examples have no label; two classes are needed"),
        (lambda n: (f"x{n}",), "1,200 different labels; is the label a number?"),
    ],
)
def test_labels_that_cannot_be_learnt_are_refused(labels, message):
    with pytest.raises(InputError, match=re.escape(message)):
        make_splits(examples(1200, labels), None, None, numeric=False, validation_fraction=0)


def test_labels_are_ordered_by_number_and_then_by_text_whatever_order_they_come_in():
    ordered = ["-1", "1", "2", "10", "1_0", "NaN", "a", "b", "inf", "nan"]
    rng = random.Random(3)
    for _ in range(20):
        assert sorted(rng.sample(ordered, len(ordered)), key=natural) == ordered


# -- splits in a file


def splits(path, text, given):
    return [example.split for example in read(path, text, separator=None, given_split=given)]


def test_a_column_says_the_split_and_another_holds_training_rows_back(tmp_path):
    table = "id,sequence,label,set,held\na,MK,1,train,\nb,MV,1,Training,TRUE\nc,ML,1,TEST,True\nd,MM,1,val,no\n"
    assert splits(tmp_path / "in.csv", table, GivenSplit("set", "held")) == [
        "train",
        "validation",
        "test",
        "validation",
    ]
    assert splits(tmp_path / "in.csv", table, GivenSplit("4")) == ["train", "train", "test", "validation"]
    assert splits(tmp_path / "in.csv", table, GivenSplit()) == [""] * 4


def test_a_pattern_finds_the_split_in_a_header(tmp_path):
    text = (
        ">a LABEL=1 SET=train\nMK\n>b LABEL=1 SET=train VALIDATION=True\nMV\n>c LABEL=1 SET=test VALIDATION=True\nML\n"
    )
    assert splits(tmp_path / "in.fasta", text, GivenSplit(pattern=r"SET=(\w+)")) == ["train", "validation", "test"]


@pytest.mark.parametrize(
    ("text", "given", "message"),
    [
        (">a LABEL=1\nMK\n", GivenSplit("set"), "is FASTA and has no split column; give a pattern for its headers"),
        (">a LABEL=1\nMK\n", GivenSplit(pattern=r"SET=(\w+)"), "record 'a' (line 1) does not say its split"),
        (">a LABEL=1 SET=half\nMK\n", GivenSplit(pattern=r"SET=(\w+)"), "has 'half' as its split; use train"),
        (">a LABEL=1\nMK\n", GivenSplit(pattern="SET="), "the split pattern 'SET=' has no group"),
        (">a LABEL=1\nMK\n", GivenSplit(pattern="("), "the split pattern '(' is not a regular expression"),
        ("id,sequence,label\na,MK,1\n", GivenSplit(pattern=r"SET=(\w+)"), "is a table; name the column that says"),
        ("id,sequence,label\na,MK,1\n", GivenSplit("set"), "no column 'set' for the split column"),
        ("id,sequence,label,set\na,MK,1,train\n", GivenSplit("set", "held"), "no column 'held' for the validation"),
        ("id,sequence,label,set\na,MK,1,train\n", GivenSplit(None, "set"), "a validation column goes with a"),
    ],
)  # fmt: skip
def test_splits_that_cannot_be_read_are_named(tmp_path, text, given, message):
    with pytest.raises(InputError, match=re.escape(message)):
        splits(tmp_path / "in", text, given)


def test_a_set_cannot_be_given_twice_and_some_must_be_for_training():
    data = [Example(e.id, e.sequence, e.label, ("train", "test")[n % 2]) for n, e in enumerate(examples(8, str))]
    with pytest.raises(InputError, match="a test set is given both as a file and in the training file; leave one out"):
        make_splits(data, None, data[:2], numeric=False, by_column=True)
    with pytest.raises(InputError, match="no record of the training file says that it is for training"):
        make_splits([e for e in data if e.split == "test"], None, None, numeric=False, by_column=True)


def test_a_column_that_means_something_and_is_not_read_is_named(tmp_path):
    for given, unread in ((None, ["column 'set' not read: 2 rows"]), (GivenSplit(column="set"), [])):
        path = tmp_path / f"{bool(given)}.csv"
        path.write_text("Entry,sequence,set,label,colour\na,MKV,train,1,red\nb,MKL,test,0,blue\n")
        rules = Rules()
        read_examples(path, numeric=False, alphabet=PROTEIN, replacements={}, rules=rules, given_split=given)
        assert [line for line in rules.lines() if "not read" in line] == unread
