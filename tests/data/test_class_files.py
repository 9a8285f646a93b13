"""A FASTA for each class."""

import re

import pytest

from seqlm.cli.errors import InputError
from seqlm.data.class_files import class_files, told_apart
from seqlm.data.labels import read_examples
from seqlm.data.records import PROTEIN, Rules


def test_each_file_has_a_class_and_names_may_hold_blanks_and_equals_signs(tmp_path):
    found = class_files(["in the family=a.fasta", "pH=7=b.fasta"])
    assert [(one.name, one.path.name) for one in found] == [("in the family", "a.fasta"), ("pH=7", "b.fasta")]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["a.fasta", "x=b.fasta"], "'a.fasta' names no class and its file"),
        (["=a.fasta", "x=b.fasta"], "names no class and its file"),
        (["x=a.fasta", "x=b.fasta"], "the class 'x' has two files"),
        (["x=a.fasta", "y=a.fasta"], "a.fasta is given for two classes, 'x' and 'y'"),
        (["x=a.fasta"], "two classes at least"),
        (["x" * 101 + "=a.fasta", "y=b.fasta"], "a label is at most 100 printable characters"),
    ],
)
def test_what_names_no_class_or_one_twice_is_refused(given, message):
    with pytest.raises(InputError, match=re.escape(message)):
        class_files(given)


def read(folder, first, second):
    (folder / "a.fasta").write_text(first)
    (folder / "b.fasta").write_text(second)
    rules = Rules()

    def examples(one):
        return read_examples(one.path, numeric=False, alphabet=PROTEIN, replacements={}, rules=rules, label=one.name)

    found = told_apart(
        class_files([f"the binders={folder / 'a.fasta'}", f"other={folder / 'b.fasta'}"]), examples, rules
    )
    return [(one.id, one.label) for one in found], rules.lines()


def test_labels_are_the_names_and_ids_of_two_files_are_told_apart(tmp_path):
    found, rules = read(tmp_path, ">s1 LABEL=9\nMK\n>s2\nML\n", ">s1\nMV\n>s3\nMM\n>s4\nMN\n")
    assert found == [
        ("the_binders_s1", "the binders"),
        ("s2", "the binders"),
        ("other_s1", "other"),
        ("s3", "other"),
        ("s4", "other"),
    ]
    assert rules == [
        "of an id that another class has too, so the class stands before it: 2 sequences",
        "of the class 'other', read from b.fasta: 3 sequences",
        "of the class 'the binders', read from a.fasta: 2 sequences",
    ]


def test_an_id_that_is_taken_once_classes_stand_before_ids_is_refused(tmp_path):
    with pytest.raises(InputError, match="two sequences are called 'other_s1'"):
        read(tmp_path, ">s1\nMK\n>other_s1\nML\n", ">s1\nMV\n")
