"""Pairs: how tables of pairs and their members are read, and splits in which no sequence is on two sides."""

import gzip
import random
import re
from collections import Counter
from types import SimpleNamespace

import numpy as np
import pytest

from seqlm.cli.errors import InputError
from seqlm.data.labels import GivenSplit
from seqlm.data.pairs import Pair, PairReader, make_pair_splits, names_in, read_members
from seqlm.data.records import PROTEIN, Rules

PROTEINS = SimpleNamespace(alphabet=PROTEIN, replacements={})
NAMES = {"a", "b", "c", "d", "7", "8"}


def write(folder, text, name="pairs"):
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def source(**options):
    return PairReader(**{"first": NAMES, "second": NAMES, "files": "proteins.fasta", **options})


def read(folder, text, **options):
    return [(pair.first, pair.second, pair.label) for pair in source(**options).read(write(folder, text))]


EXPECTED = [("a", "b", "yes"), ("c", "d", "no"), ("a", "a", "yes")]
TABLES = {
    "usual names": ("first\tsecond\tlabel\na\tb\tyes\nc\td\tno\na\ta\tyes\n", {}),
    "usual names elsewhere": ("label,x,second,first\nyes,1,b,a\nno,1,d,c\nyes,1,a,a\n", {}),
    "other names, in the usual places": ("one\tother\tbinds\na\tb\tyes\nc\td\tno\na\ta\tyes\n", {}),
    "named columns": (
        "n,binds,one,other\n1,yes,a,b\n2,no,c,d\n3,yes,a,a\n",
        {"first_column": "one", "second_column": "other", "label_column": "binds"},
    ),
    "numbered columns": (
        "n,binds,one,other\n1,yes,a,b\n2,no,c,d\n3,yes,a,a\n",
        {"first_column": "3", "second_column": "4", "label_column": "2"},
    ),
    "no header": ("a\tb\tyes\nc\td\tno\na\ta\tyes\n", {}),
    "no header, numbered columns": (
        "yes,x,a,b\nno,x,c,d\nyes,x,a,a\n",
        {"first_column": "3", "second_column": "4", "label_column": "1"},
    ),
    "CRLF": ("first,second,label\r\na,b,yes\r\nc,d,no\r\na,a,yes\r\n", {}),
    "gz": (gzip.compress(b"a\tb\tyes\nc\td\tno\na\ta\tyes\n"), {}),
}


@pytest.mark.parametrize("kind", TABLES)
def test_every_table_of_the_same_pairs_gives_them_in_its_order(tmp_path, kind):
    text, options = TABLES[kind]
    assert read(tmp_path, text, **options) == EXPECTED
    columns = (options.get("first_column"), options.get("second_column"))
    first, second = names_in([tmp_path / "pairs"], columns)
    assert first >= {"a", "c"} and second >= {"b", "d", "a"}
    assert "yes" not in first | second


def test_names_that_are_numbers_are_no_column_numbers(tmp_path):
    assert read(tmp_path, "7\t8\t1\n8\t8\t0\n") == [("7", "8", "1"), ("8", "8", "0")]
    numbered = {"first_column": "1", "second_column": "2", "label_column": "3"}
    ids = {"1", "2", "3"}
    assert read(tmp_path, "2,1,3\n3,1,4\n", first=ids, second=ids, **numbered) == [("2", "1", "3"), ("3", "1", "4")]
    assert names_in([tmp_path / "pairs"], ("1", "2"))[0] >= {"2", "3"}


def test_a_label_is_a_class_or_a_number(tmp_path):
    assert read(tmp_path, "a,b,1.0\na,c,1\na,d,x.0\n") == [("a", "b", "1"), ("a", "c", "1"), ("a", "d", "x.0")]
    assert read(tmp_path, "a,b,1.0\na,c,-2e1\n", numeric=True) == [("a", "b", 1.0), ("a", "c", -20.0)]
    assert read(tmp_path, "a,b\na,b\n", labelled=False) == [("a", "b", None)] * 2


def test_a_pair_that_is_listed_again_is_left_out_and_counted_both_ways_round_where_that_is_the_same(tmp_path):
    table = "a,b,1\nb,a,1\na,b,1\na,c,0\n"
    for symmetric, kept, left_out in ((True, [("a", "b"), ("a", "c")], 2),
                                      (False, [("a", "b"), ("b", "a"), ("a", "c")], 1)):  # fmt: skip
        rules = Rules()
        assert [row[:2] for row in read(tmp_path, table, symmetric=symmetric, rules=rules)] == kept
        assert rules.lines() == [f"listed a second time, left out: {left_out} pair{'s' * (left_out > 1)}"]
    ordered = read(tmp_path, "a,b,1\nb,a,0\n", symmetric=False)
    assert ordered == [("a", "b", "1"), ("b", "a", "0")]


def test_a_pair_in_two_splits_is_in_both_as_it_would_be_from_two_files(tmp_path):
    table = "first,second,label,set\na,b,1,train\nb,a,1,test\na,b,1,train\n"
    rules = Rules()
    pairs = list(source(given_split=GivenSplit("set"), rules=rules).read(write(tmp_path, table)))
    assert [(pair.first, pair.split) for pair in pairs] == [("a", "train"), ("b", "test")]
    assert sum(rules.sequences.values()) == 1


MISTAKES = {
    "unknown first member": ("first,second,label\na,b,1\nx,b,0\n", {}, "pairs: line 3 names 'x', which is not in"),
    "unknown second member": ("first,second,label\na,y,1\n", {}, "pairs: line 2 names 'y', which is not in"),
    "unknown member on the first line": ("a,y,1\na,b,0\n", {}, "pairs: line 1 names 'y', which is not in"),
    "unknown first member on the first line": ("y,a,1\na,b,0\n", {}, "pairs: line 1 names 'y', which is not in protei"),
    "member of the other file": (
        "first,second,label\nb,a,1\n",
        {"first": {"a"}, "second": {"b"}, "files": "proteins.fasta or genes.fasta"},
        "line 2 names 'b', which is not in proteins.fasta or genes.fasta",
    ),
    "two labels": ("a,b,1\nc,d,1\nb,a,0\n", {}, "line 3 gives the pair b and a the label 0, and line 1 gives it 1"),
    "two labels in two splits": (
        "first,second,label,set\na,b,1,train\nb,a,0,test\n",
        {"given_split": GivenSplit("set")},
        "line 3 gives the pair b and a the label 0, and line 2 gives it 1; a pair has one label",
    ),
    "no label column": ("a,b\nc,d\n", {}, "pairs: no column 3 for the label column; a row has 2 columns"),
    "label column elsewhere": ("a,b,1\n", {"label_column": "y"}, "pairs: no column 'y' for the label column"),
    "no number": ("a,b,high\n", {"numeric": True}, "pairs: line 1 has 'high' where a number is needed"),
    "infinity": ("a,b,inf\n", {"numeric": True}, "pairs: line 1 has 'inf' where a number is needed"),
    "unprintable label": ("a,b,\u200f1\n", {}, "line 1 has the label '?1'; a label is at most 100"),
    "long label": (f"a,b,{'x' * 101}\n", {}, "a label is at most 100 printable characters"),
    "no such column": ("first,second,label\na,b,1\n", {"first_column": "one"}, "no column 'one' for the first column"),
    "one column for both": ("first,second\na,b\n", {"second_column": "first"}, "cannot be in one column; name two"),
    "FASTA": (">a\nMK\n", {}, "pairs is FASTA; pairs are a table with two names in each row"),
    "no pair": ("first,second,label\n", {}, "pairs has a header but no pairs"),
    "empty": ("\n", {}, "pairs is empty"),
    "a row too short": ("first,second,label\na,b\n", {}, "pairs: line 2 has 2 columns where the first row has 3"),
    "split unknown": (
        "first,second,label,set\na,b,1,half\n",
        {"given_split": GivenSplit("set")},
        "pairs: line 2 has 'half' as its split",
    ),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_named_with_its_place(tmp_path, mistake):
    text, options, message = MISTAKES[mistake]
    with pytest.raises(InputError) as caught:
        read(tmp_path, text, **options)
    assert message in str(caught.value)


def test_names_are_sought_in_tables_only(tmp_path):
    with pytest.raises(InputError, match="reads is FASTQ; pairs are a table with two names in each row"):
        names_in([write(tmp_path, "@a\nMK\n+\nII\n", "reads")], (None, None))


def test_only_the_members_that_are_named_are_kept_in_the_order_of_the_file(tmp_path):
    path = write(tmp_path, ">c\nMKV\n>x\n???\n>x\n???\n>a\nmk*\n", "proteins.fasta")
    rules = Rules()
    assert list(read_members(path, PROTEINS, rules, {"a", "c"}).items()) == [("c", "MKV"), ("a", "MK")]
    assert set(rules.sequences) == {"lower case read as upper case", "stop (*) at the end dropped"}
    table = write(tmp_path, "name,seq\na,MK\n", "proteins.csv")
    assert read_members(table, PROTEINS, Rules(), {"a"}, id_column="name", sequence_column="2") == {"a": "MK"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (">a\nMK\n>b\nMV\n>a\nMK\n", "record 'a' (line 5) has the same id as the record on line 1"),
        (">a\nMK\n>b\nM?\n", "proteins.fasta: record 'b' (line 3) has '?' at position 2"),
        (">a\n" + "ACGT" * 20 + "\n", "proteins.fasta holds DNA or RNA (1 of 1 sequences); the model reads proteins"),
        ("", "proteins.fasta is empty"),
        (gzip.compress(b">a\nMK\n", mtime=0)[:-4], "proteins.fasta: the gzip file is cut short or damaged"),
    ],
)
def test_members_that_cannot_be_right_are_named(tmp_path, text, message):
    with pytest.raises(InputError, match=re.escape(message)):
        read_members(write(tmp_path, text, "proteins.fasta"), PROTEINS, Rules(), {"a", "b"})


# -- splits


def communities(count=12, size=10, pairs=20, seed=0):
    """Groups of proteins with many pairs inside each and none between them."""
    rng = random.Random(seed)
    found = []
    for group in range(count):
        members = [f"g{group:02d}_{number}" for number in range(size)]
        every = [(one, other) for one in members for other in members if one < other]
        chosen = rng.sample(every, pairs)
        found += [Pair(one, other, str(number % 2)) for number, (one, other) in enumerate(chosen)]
    rng.shuffle(found)
    return found


def anywhere(proteins=120, pairs=300, seed=0):
    rng = random.Random(seed)
    chosen = {tuple(sorted(rng.sample(range(proteins), 2))) for _ in range(pairs)}
    return [Pair(f"p{one}", f"p{other}", str(n % 2)) for n, (one, other) in enumerate(sorted(chosen))]


def split(pairs, validation=None, test=None, **options):
    return make_pair_splits(pairs, validation, test, **{"numeric": False, **options})


def names_of(pairs):
    return {name for pair in pairs for name in (pair.first, pair.second)}


@pytest.mark.parametrize("data", [communities, anywhere])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_no_sequence_is_on_two_sides_and_what_lies_between_is_counted(data, seed):
    pairs = data(seed=seed)
    found = split(pairs, validation_fraction=0.2, test_fraction=0.2, seed=seed)
    sides = [names_of(found[name]) for name in ("train", "validation", "test")]
    assert all(sides) and not sides[0] & sides[1] and not sides[0] & sides[2] and not sides[1] & sides[2]
    kept = [pair for name in found.splits for pair in found[name]]
    assert max(Counter(kept).values()) == 1 and set(kept) <= set(pairs)
    lost = found.rules.sequences["between two of the splits, left out so that no sequence is in both"]
    assert lost == len(pairs) - len(kept)
    for name in found.splits:  # in the order of the file
        assert [pair for pair in pairs if pair in set(found[name])] == found[name]
    assert not found.duplicates
    assert "by sequence" in found.origin["test"]


def test_few_pairs_are_lost_where_few_have_to_be():
    pairs = communities()
    found = split(pairs, validation_fraction=0.15, test_fraction=0.15)
    shares = {name: len(found[name]) / len(pairs) for name in found.splits}
    assert 0.15 <= shares["test"] <= 0.2 and 0.15 <= shares["validation"] <= 0.2
    kept = sum(shares.values())
    # proteins dealt out one by one at random keep the pairs whose two members fall on one side
    rng = np.random.default_rng(0)
    side = {name: rng.choice(3, p=[0.7, 0.15, 0.15]) for name in sorted(names_of(pairs))}
    assert kept > 0.95 > 0.6 > np.mean([side[pair.first] == side[pair.second] for pair in pairs])


def test_the_same_seed_gives_the_same_split_and_another_seed_another():
    pairs = anywhere()
    one, again, other = (split(pairs, seed=seed)["validation"] for seed in (1, 1, 2))
    assert one == again != other


def test_a_protein_paired_with_itself_is_one_pair():
    pairs = [Pair(f"p{n}", f"p{n}", str(n % 2)) for n in range(40)]
    found = split(pairs, validation_fraction=0.25)
    assert {name: len(found[name]) for name in found.splits} == {"train": 30, "validation": 10}
    assert not found.rules.sequences


def test_equal_names_in_two_files_are_two_sequences():
    pairs = [Pair(str(n), str(n + 1), str(n % 2)) for n in range(0, 40)]
    apart = split(pairs, validation_fraction=0.25, two_kinds=True)
    assert not apart.rules.sequences and len(apart["validation"]) == 10  # as no first member has two pairs
    assert split(pairs, validation_fraction=0.25).rules.sequences
    test = [Pair("x", "3", "0"), Pair("41", "y", "1")]
    assert split(pairs, None, test, validation_fraction=0, two_kinds=True).duplicates == {
        "in pairs of both train and test": 1
    }


def test_pairs_that_are_in_two_sets_are_counted_either_way_round():
    train = [Pair("a", "b", "1"), Pair("c", "d", "0"), Pair("e", "f", "1")]
    test = [Pair("b", "a", "1"), Pair("c", "d", "0"), Pair("c", "e", "1")]
    what = "pairs in both train and test, either way round"
    assert split(train, None, test, validation_fraction=0).duplicates[what] == 2
    assert split(train, None, test, validation_fraction=0, two_kinds=True).duplicates[what] == 1


def test_pair_by_pair_keeps_every_pair_and_says_what_is_shared():
    pairs = anywhere()
    found = split(pairs, by_member=False, validation_fraction=0.2)
    assert sorted(map(repr, found["train"] + found["validation"])) == sorted(map(repr, pairs))
    assert len(found["validation"]) == round(0.2 * len(pairs)) and "pair by pair" in found.origin["validation"]
    shared = names_of(found["train"]) & names_of(found["validation"])
    assert found.duplicates == {"in pairs of both train and validation": len(shared)}


def test_training_pairs_with_a_held_out_sequence_are_reported_removed_or_refused():
    train = [Pair(f"p{n}", f"p{n + 1}", str(n % 2)) for n in range(10)]
    test = [Pair("p3", "x", "1"), Pair("y", "z", "0")]
    reported = split(train, None, test, validation_fraction=0)
    assert reported["train"] == train and reported.duplicates == {"in pairs of both train and test": 1}
    removed = split(train, None, test, validation_fraction=0, duplicates="remove")
    assert [pair.first for pair in train if pair not in removed["train"]] == ["p2", "p3"]
    assert removed.rules.lines() == ["removed from training, having a sequence of the validation or test set: 2 pairs"]
    with pytest.raises(InputError, match=r"2 training pairs have a sequence that is in .* the first is p2 p3; split"):
        split(train, None, test, validation_fraction=0, duplicates="refuse")


def test_splits_that_are_given_are_used_as_they_are():
    pairs = [Pair(one.first, one.second, one.label, part) for one, part in
             zip(anywhere(), ["train", "test", "train", "validation", "train"] * 60, strict=False)]  # fmt: skip
    found = split(pairs, by_column=True)
    assert {name: found[name] for name in found.splits} == {
        name: [pair for pair in pairs if pair.split == name] for name in ("train", "validation", "test")
    }
    assert found.origin["test"] == "given in the training file" and not found.rules.sequences
    with pytest.raises(InputError, match="a test set is given both as a file and in the training file; leave one out"):
        split(pairs, None, pairs[:5], by_column=True)
    with pytest.raises(InputError, match="some must say 'train'"):
        split([pair for pair in pairs if pair.split == "test"], by_column=True)


def test_what_a_digest_stands_for_changes_it():
    pairs = anywhere()
    other = [Pair(pairs[0].first, pairs[0].second, "1"), *pairs[1:]]
    digests = [split(data, validation_fraction=0).sha256["train"] for data in (pairs, pairs, other)]
    assert digests[0] == digests[1] != digests[2]


@pytest.mark.parametrize(
    ("pairs", "options", "message"),
    [
        ([Pair("a", "b", "1"), Pair("a", "c", "0")], {}, "2 pairs of 3 sequences cannot be split by sequence: none is"),
        (
            [Pair("a", "b", "1"), Pair("c", "d", "1")],
            {"validation_fraction": 0},
            "all training examples have the label",
        ),
        ([Pair("a", "b", "1")], {"validation_fraction": 0}, "1 training pair is left; a model needs at least two"),
        (
            [Pair("a", "b", 1.0), Pair("c", "d", 1.0)],
            {"validation_fraction": 0, "numeric": True},
            "all training values are the same",
        ),
        ([Pair(f"a{n}", f"b{n}", f"x{n}") for n in range(1001)], {"validation_fraction": 0}, "1,001 different labels"),
    ],
)
def test_pairs_that_cannot_be_learnt_from_are_refused(pairs, options, message):
    with pytest.raises(InputError, match=re.escape(message)):
        split(pairs, **options)


def test_a_column_of_pairs_that_nobody_reads_is_named(tmp_path):
    path = tmp_path / "pairs.csv"
    path.write_text("first,second,label,split\na,b,1,train\nb,c,0,test\n")
    reader = PairReader({"a", "b", "c"}, {"a", "b", "c"}, "sequences.fasta")
    assert len(list(reader.read(path))) == 2
    assert "column 'split' not read: 2 rows" in reader.rules.lines()
