"""Several labels in columns of their own, with 0, 1 and nothing in them."""

import re

import pytest

from seqlm.cli.errors import InputError
from seqlm.data.datasets import Example, make_splits
from seqlm.data.label_columns import in_a_cell, label_names
from seqlm.data.labels import read_examples
from seqlm.data.records import PROTEIN, Rules
from seqlm.data.sequences import read_table

TABLE = "id\tsequence\tNR-AR\tpoisoning, injury\tSR-p53\t7\n"


def read(path, rows, wanted="3-6"):
    path.write_text(TABLE + rows)
    rules = Rules()
    found = read_examples(
        path, numeric=False, alphabet=PROTEIN, replacements={}, rules=rules, label_columns=wanted, separator=";"
    )
    return found, rules


def test_each_column_says_whether_a_sequence_has_its_label(tmp_path):
    rows = "a\tMK\t1\t0\t\t1.0\nb\tML\tno\tActive\tNA\tFALSE\nc\tMV\t\tnan\t?\tnull\nd\tMM\t0\t0\t0\t0\n"
    found, rules = read(tmp_path / "in.tsv", rows)
    assert [(one.id, one.label, one.unknown) for one in found] == [
        ("a", ("NR-AR", "7"), ("SR-p53",)),
        ("b", ("poisoning, injury",), ("SR-p53",)),
        ("d", (), ()),
    ]
    assert rules.lines() == ["left out, as their label is not known: 1 sequence"]
    assert [in_a_cell(one.label, one.unknown) for one in found] == [
        "NR-AR;7;?SR-p53", "poisoning, injury;?SR-p53", "none",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("wanted", "names"),
    [
        ("NR-AR,SR-p53", ["NR-AR", "SR-p53"]),
        ("SR-p53, poisoning, injury", ["SR-p53", "poisoning, injury"]),
        ("3,5-6", ["NR-AR", "SR-p53", "7"]),
        ("7,3", ["7", "NR-AR"]),
    ],
)
def test_columns_have_names_with_commas_and_numbers_and_ranges(tmp_path, wanted, names):
    (tmp_path / "in.tsv").write_text(TABLE + "a\tMK\t1\t0\t1\t1\n")
    assert label_names(read_table(tmp_path / "in.tsv"), wanted) == names


@pytest.mark.parametrize(
    ("wanted", "cell", "message"),
    [
        ("NR-AR,NR-ER", "1", "no column 'NR-ER' for the label columns"),
        ("NR-AR", "1", "several label columns are two at least"),
        ("3,NR-AR", "1", "the label column 'NR-AR' is named twice"),
        ("3-9", "1", "no column '3-9' for the label columns"),
        ("5-3", "1", "no column '5-3' for the label columns"),
        ("3-5", "-1", "has '-1' in label column 'NR-AR', where 0 or 1 is needed; write 0 where it is absent"),
        ("3-5", "0.7", "record 'a' (line 2) has '0.7' in label column 'NR-AR', where 0 or 1 is needed"),
        ("3-5", "none", "write 0 where it is absent, and nothing where that is not known"),
    ],
)
def test_what_is_neither_yes_nor_no_is_refused(tmp_path, wanted, cell, message):
    with pytest.raises(InputError, match=re.escape(message)):
        read(tmp_path / "in.tsv", f"a\tMK\t{cell}\t0\t1\t1\n", wanted)


def test_an_example_without_a_known_label_of_those_that_are_learnt_is_left_out():
    train = [Example("a", "MK", ("x",), "", ("z",)), Example("b", "ML", ("y",)), Example("c", "MV", (), "", ("x", "y"))]
    split = make_splits(train, None, [Example("d", "MM", ("z",), "", ("x", "y"))], numeric=False, validation_fraction=0)
    assert ([one.id for one in split["train"]], split["test"]) == (["a", "b"], [])
    assert split.rules.sequences["without a known label of those that are learnt, left out"] == 2
    other = [Example("a", "MK", ("x",)), *train[1:]]
    digests = [make_splits(one, None, None, numeric=False, validation_fraction=0).sha256 for one in (train, other)]
    assert digests[0] != digests[1]


@pytest.mark.parametrize(
    ("other", "differ"),
    [(("x", "y"), None), (("x",), 1), (("x", "y", "z"), 1)],
)
def test_equal_sequences_differ_in_labels_that_are_known_of_both(other, differ):
    same = [Example("a", "MK", ("x",), "", ("y",)), Example("b", "MK", other), Example("c", "ML", ("y",))]
    if differ and len(other) == 1:
        same.append(Example("d", "MK", ("x", "y")))
    found = make_splits(same, None, None, numeric=False, validation_fraction=0).duplicates
    assert found.get("with different labels within train, 'a' for one") == differ
