"""What leaks from training to test: compared with plain loops, and against what a random split gives."""

import random

import numpy as np
import pytest
from scipy.stats import binomtest

from seqlm.metrics.comparisons import share_interval
from seqlm.similarity import neighbours
from seqlm.similarity.scaffolds import nearest as tanimoto
from seqlm.similarity.scaffolds import read_molecules
from seqlm.tools.dataset.leakage import Compared, measure_leakage
from seqlm.tools.dataset.site_windows import Entry

LETTERS = "ACDEFGHIKLMNPQRSTVWY"


def windows(count, length, seed, letters=LETTERS):
    rng = random.Random(seed)
    made = ["".join(rng.choices(letters, k=length)) for _ in range(count)]
    return [("X" * (n % 4) + text)[:length] if n % 5 == 0 else text for n, text in enumerate(made)]


@pytest.mark.parametrize("length", [9, 33])
def test_the_nearest_window_is_the_one_with_most_letters_in_the_same_places(length):
    held_out, training = windows(70, length, 1), windows(90, length, 2)
    found = neighbours.nearest(neighbours.as_codes(held_out, "X"), neighbours.as_codes(training, "X"))
    for text, share in zip(held_out, found.tolist(), strict=True):
        best = max(sum(a == b != "X" for a, b in zip(text, other, strict=True)) for other in training)
        assert share == pytest.approx(best / (length - text.count("X")))


def test_more_windows_than_one_piece_and_more_letters_than_a_byte_counts():
    codes = neighbours.as_codes(windows(300, 301, 3))
    assert neighbours.nearest(codes[:150], codes).tolist() == [1.0] * 150
    assert neighbours.nearest(codes[:2], codes[:0]).tolist() == [0, 0]
    many = neighbours.as_codes(windows(9000, 5, 4))
    assert neighbours.nearest(many[8990:], many).tolist() == [1.0] * 10


@pytest.mark.parametrize("run", [4, 5])
def test_a_shared_run_is_found_wherever_it_stands(run, monkeypatch):
    held_out, training = windows(80, 11, 5, "ACDE"), windows(40, 11, 6, "ACDEF")
    runs = lambda text: {text[at : at + run] for at in range(12 - run) if "X" not in text[at : at + run]}  # noqa: E731
    known = set().union(*map(runs, training))
    expected = [bool(runs(text) & known) for text in held_out]
    codes = [neighbours.as_codes(each, "X") for each in (held_out, training)]
    assert neighbours.shares_run(*codes, run).tolist() == expected
    assert 0 < sum(expected) < 80
    monkeypatch.setattr(neighbours, "_HASHES", 100)  # in pieces
    assert neighbours.shares_run(*codes, run).tolist() == expected


def test_padding_is_no_shared_run():
    codes = neighbours.as_codes(["XXXXXAC", "XXXXXDE"], "X")
    assert not neighbours.shares_run(codes[:1], codes[1:], 4).any()
    assert neighbours.nearest(codes[:1], codes[1:]).tolist() == [0.0]


def test_shuffling_keeps_the_middle_the_padding_and_the_composition():
    codes = neighbours.as_codes(windows(50, 15, 7), "X")
    mixed = neighbours.shuffled(codes, np.random.default_rng(1))
    assert np.array_equal(mixed[:, 7], codes[:, 7])
    assert np.array_equal(mixed == 0, codes == 0)
    assert np.array_equal(np.sort(mixed, axis=1), np.sort(codes, axis=1))
    assert (mixed != codes).any(axis=1).mean() > 0.9


def test_only_a_sample_of_very_many_windows_is_compared():
    assert neighbours.how_many(1_000, 10_000, 33) == 1_000
    assert 500 < neighbours.how_many(40_000, 140_000, 33) < 40_000
    assert neighbours.how_many(40_000, 10**9, 33) == neighbours.FEWEST_COMPARED


def entries():
    """Five proteins of ten windows each; the windows of a protein overlap."""
    found = []
    for protein in range(5):
        text = "".join(random.Random(protein).choices(LETTERS, k=60))
        found += [
            Entry(f"p{protein}_{at}", text[at : at + 21], str(at % 2), protein=protein, position=at + 1)
            for at in range(10)
        ]
    return found


def measured(split, **compared):
    leakage = measure_leakage(entries(), np.asarray(split, np.int8), Compared(padding="X", **compared), seed=1)
    return {measure.what: measure for measure in leakage.measures}, leakage


def test_whole_proteins_on_one_side_share_nothing_and_a_random_split_shares_all():
    by_protein, leakage = measured([0] * 30 + [1] * 10 + [2] * 10)
    assert leakage.deciding == "test"
    for what in (
        "are of a protein that has training examples too",
        "share 11 residues in a row with a training window",
    ):
        assert by_protein[what].found == {"validation": 0, "test": 0}
        assert by_protein[what].of == {"validation": 10, "test": 10}
        assert by_protein[what].at_random == 1.0
    torn, leakage = measured([0, 0, 0, 0, 2] * 10)
    for what in (
        "are of a protein that has training examples too",
        "share 11 residues in a row with a training window",
    ):
        assert torn[what].found == {"test": 10}
    assert leakage.worst(2)[0] == 1.0
    assert leakage.worst(3)[0] == 0.0  # windows are shifted, so none is equal place by place


def test_equal_sequences_are_found_in_other_groups():
    given = [Entry("a", "MKV", "1"), Entry("b", "MKV", "1"), Entry("c", "MKL", "0"), Entry("d", "MKW", "0")]
    leakage = measure_leakage(given, np.asarray([0, 2, 2, 0]), Compared(groups=np.asarray([0, 1, 2, 0])), seed=1)
    assert [(measure.what, measure.found) for measure in leakage.measures] == [
        ("have the same sequence as a training example", {"test": 1}),
        ("are of a group that has training examples too", {"test": 0}),
    ]
    assert leakage.worst(1)[1].what == "have the same sequence as a training example"


def test_what_shuffled_windows_reach_is_no_leak():
    # two letters only: every window is like every other
    given = [Entry(f"w{n}", text, "1", protein=n, position=1) for n, text in enumerate(windows(200, 9, 8, "AC"))]
    leakage = measure_leakage(given, np.asarray([0] * 150 + [2] * 50), Compared(padding="X"), seed=1)
    for measure in leakage.measures:
        if "50 %" in measure.what or "in a row" in measure.what:
            assert measure.found["test"] / 50 > 0.9
            assert measure.by_chance > 0.9
    equal = next(measure for measure in leakage.measures if "same sequence" in measure.what)
    assert leakage.worst(2) == (equal.found["test"] / 50, equal)  # which has no correction for chance


def test_one_set_alone_leaks_nowhere():
    assert measure_leakage(entries(), np.zeros(50, np.int8), Compared(), seed=1).measures == []


@pytest.mark.parametrize(("found", "of"), [(0, 50), (7, 50), (50, 50), (1, 3)])
def test_intervals_are_those_of_wilson(found, of):
    expected = binomtest(found, of).proportion_ci(method="wilson")
    assert share_interval(found, of) == pytest.approx((expected.low, expected.high), abs=1e-6)


def test_scaffolds_are_ring_systems_and_linkers():
    found = read_molecules(
        ["CCc1ccccc1", "OC(=O)c1ccccc1", "c1ccccc1CCC1CCCCC1O", "CCO", "not a molecule", "C" * 6000, ""]
    )
    assert found.scaffolds == ["c1ccccc1", "c1ccccc1", "c1ccc(CCC2CCCCC2)cc1", "", None, None, None]
    assert found.canonical[3] == read_molecules(["OCC"]).canonical[0]


def test_tanimoto_is_the_share_of_common_features():
    found = read_molecules(["CCO", "CCN", "CCO", "c1ccccc1"]).fingerprints
    bits = [set(each.GetOnBits()) for each in found]
    expected = max(len(bits[0] & other) / len(bits[0] | other) for other in (bits[1], bits[3]))
    assert tanimoto(found[:1], [found[1], found[3]]).tolist() == pytest.approx([expected])
    assert tanimoto(found[:1], found[2:]).tolist() == [1.0]
    assert tanimoto(found[:1], []).tolist() == [0.0]
