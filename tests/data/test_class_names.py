"""What names of classes say when they are looked at together."""

import re
from collections import Counter

import pytest

from seqlm.cli.errors import InputError
from seqlm.data.class_names import HeaderLabels, check_separator, look_at, merging, positive_last, why_positive
from seqlm.data.records import Rules


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["1", "1.0"], "'1' (1 sequence) and '1.0' (1) differ only in how the number is written"),
        (["0", "1", "01"], "differ only in how the number is written"),
        (["Positive", "positive"], "'Positive' (1 sequence) and 'positive' (1) differ only in upper and lower case"),
        (
            ["Cell  membrane", "Cell membrane", "Cell membrane"],
            "'Cell membrane' (2 sequences) and 'Cell  membrane' (1)",
        ),
        (["cell membrane", "Cellmembrane"], "differ only in how they are written"),
        (["\u03b2", "\u0392"], "differ only in upper and lower case"),
    ],
)
def test_two_spellings_of_one_class_stop(names, message):
    with pytest.raises(InputError, match=re.escape(message)):
        look_at(Counter(names), Rules())


@pytest.mark.parametrize(
    "names", [["1", "10"], ["A", "B", "AB"], ["0", "1", "x"], ["1_0", "10"], ["-1", "1"], ["+", "-"]]
)
def test_other_names_are_as_they_are(names):
    rules = Rules()
    look_at(Counter(names), rules)
    assert rules.lines() == []


def test_letters_of_label_strings_may_differ_in_case():
    look_at(Counter("HhBb"), Rules(), letters=True)


@pytest.mark.parametrize("missing", ["NA", "nan", "Null", "?", "unknown", "-1"])
def test_a_name_that_reads_as_missing_is_counted(missing):
    rules = Rules()
    look_at({"0": 5, "1": 4, missing: 3}, rules)
    assert rules.lines() == [f"label '{missing}', a class here although it reads as not known: 3 sequences"]


def test_a_class_that_lists_others_is_counted():
    rules = Rules()
    look_at({"nucleus": 5, "membrane": 4, "nucleus; membrane": 3, "a|b": 1}, rules)
    assert len(rules.sequences) == 1 and rules.sequences.most_common()[0][1] == 3


def test_a_separator_that_no_cell_has_stops_where_another_is_common():
    check_separator(Counter({"a;b": 1, "c, d": 10}), ";")
    check_separator(Counter({"a": 99, "2,4-D": 1}), ";")
    with pytest.raises(
        InputError, match=re.escape("no record has ';' between labels, and 2 of 10 have '|', as in 'a|b'")
    ):
        check_separator(Counter({"a": 8, "a|b": 2}), ";")


@pytest.mark.parametrize(
    ("names", "ordered"),
    [
        (["active", "inactive"], ["inactive", "active"]),
        (["Negative", "Positive"], ["Negative", "Positive"]),
        (["binder", "other"], ["other", "binder"]),
        (["AMP", "non-AMP"], ["non-AMP", "AMP"]),
        (["soluble", "insoluble"], ["insoluble", "soluble"]),
        (["No", "Yes"], ["No", "Yes"]),
        (["true", "false"], ["false", "true"]),
        (["t", "f"], ["f", "t"]),
        (["0", "1"], ["0", "1"]),
        (["cytoplasm", "nucleus"], ["cytoplasm", "nucleus"]),
        (["decoy", "inactive"], ["decoy", "inactive"]),
        (["active", "binder", "other"], ["active", "binder", "other"]),
    ],
)
def test_the_positive_class_is_the_one_that_is_called_so(names, ordered):
    assert positive_last(names, None) == ordered


def test_the_positive_class_that_is_asked_for_is_taken_and_the_reason_said():
    assert positive_last(["inactive", "active"], "inactive") == ["active", "inactive"]
    assert why_positive(["active", "inactive"], "inactive") == "as was asked"
    assert why_positive(["inactive", "active"], None) == "as its name says"
    assert why_positive(["0", "1"], None) == "as it sorts last"
    with pytest.raises(InputError, match="no example has the positive label 'x'"):
        positive_last(["a", "b"], "x")
    with pytest.raises(InputError, match="for two classes, and there are 3"):
        positive_last(["a", "b", "c"], "a")


def test_headers_that_go_on_after_the_label_are_counted():
    rules = Rules()
    headers = HeaderLabels(re.compile(r"LABEL=(\S+)"), rules)
    found = [
        headers.of(header)
        for header in ("a LABEL=Cell membrane", "b LABEL=Cell wall OS=x", "c LABEL=Cell OS=x", "d LABEL=1 kinase", "e")
    ]
    assert found == ["Cell", "Cell", "Cell", "1", ""]
    assert rules.lines() == [
        "header that goes on after its label, as in 'Cell membrane'; mend the pattern if that belongs to it: "
        "2 sequences"
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("HGI", "'HGI' does not say what is merged"),
        ("=H", "does not say what is merged"),
        ("H=", "does not say what is merged"),
        ("HG=H,GI=I", "the label 'G' is to be merged into both H and I"),
    ],
)
def test_a_merging_that_cannot_be_meant_is_refused(text, message):
    with pytest.raises(InputError, match=re.escape(message)):
        merging(text)
