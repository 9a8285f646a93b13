"""Words of a set of sequences: SciPy's own distance, and what few sequences, resamples and other sets change."""

import random
from collections import Counter

import numpy as np
import pytest
from scipy.spatial.distance import jensenshannon

from seqlm.cli.errors import InputError
from seqlm.data.records import CANONICAL, DNA, PROTEIN, TEXT
from seqlm.similarity import composition
from seqlm.similarity.composition import Composition, difference, distance, lengths, to_reference

LETTERS = "ACDEFGHIKLMNPQRSTVWY"


def proteins(count, seed, favourite="", length=120):
    rng = random.Random(seed)
    return ["".join(rng.choices(LETTERS + favourite, k=rng.randint(length // 2, length))) for _ in range(count)]


def made(sequences, k, alphabet=PROTEIN, **options):
    return Composition(k, alphabet, **options).add_all(sequences)


def shares(sequences, k, allowed=None):
    words = Counter(text[at : at + k] for text in sequences for at in range(len(text) - k + 1))
    words = {word: n for word, n in words.items() if allowed is None or set(word) <= set(allowed)}
    return {word: n / sum(words.values()) for word, n in words.items()}


def by_scipy(one, other):
    """SciPy's distance of two dictionaries of shares."""
    words = sorted({*one, *other})
    return jensenshannon([one.get(word, 0) for word in words], [other.get(word, 0) for word in words], base=2)


@pytest.mark.parametrize(
    ("alphabet", "letters"), [(PROTEIN, LETTERS), (DNA, "ACGT"), (TEXT, "CNOc1()="), (CANONICAL, "é")]
)
def test_frequencies_are_the_shares_of_all_words(alphabet, letters):
    rng = random.Random(3)
    sequences = ["".join(rng.choices(letters, k=n)) for n in (0, 1, 2, 30, 57)]
    for k in lengths(alphabet):
        found = made(sequences, k, alphabet)
        assert found.frequencies() == pytest.approx(shares(sequences, k))
        assert (found.sequences, found.left_out) == (5, 0)
        assert found.words == sum(max(len(text) - k + 1, 0) for text in sequences)


def test_words_with_letters_of_no_standard_residue_are_counted_apart():
    found = made(["ACXDE", "BZ", "ACD"], 2)
    assert found.frequencies() == pytest.approx({"AC": 0.5, "DE": 0.25, "CD": 0.25})
    assert (found.words, found.left_out) == (4, 3)


@pytest.mark.parametrize("k", [1, 2, 3])
def test_the_distance_of_two_sets_of_proteins_is_that_of_scipy(k):
    one, other = proteins(20, 1), proteins(30, 2, "WWWY")
    expected = by_scipy(shares(one, k), shares(other, k))
    assert distance(made(one, k), made(other, k)) == pytest.approx(expected)
    assert distance(made(other, k), made(one, k)) == pytest.approx(expected)
    assert 0.1 < expected < 1


@pytest.mark.parametrize("k", [3, 6])
def test_the_distance_of_dna_is_that_of_scipy(k):
    rng = random.Random(4)
    one, other = (["".join(rng.choices("ACGT" + more, k=200)) for _ in range(9)] for more in ("", "GC"))
    expected = by_scipy(shares(one, k), shares(other, k))
    assert distance(made(one, k, DNA), made(other, k, DNA)) == pytest.approx(expected)


@pytest.mark.parametrize("k", [1, 2, 3])
def test_sets_of_text_are_compared_although_each_numbers_its_words_by_itself(k):
    one, other = ["CCO", "c1ccccc1", "CC(=O)O"], ["OCC", "NCCN", "c1ccncc1Br"]
    expected = by_scipy(shares(one, k), shares(other, k))
    assert distance(made(one, k, TEXT), made(other, k, TEXT)) == pytest.approx(expected)
    assert distance(made(other, k, TEXT), made(one, k, TEXT)) == pytest.approx(expected)


def test_equal_sets_are_at_0_and_sets_without_a_common_word_at_1():
    assert distance(made(proteins(9, 1), 2), made(proteins(9, 1), 2)) == 0
    assert distance(made(["AAAA"], 2), made(["CCCC"], 2)) == 1
    assert distance(made(["AAAA"], 2, TEXT), made(["CCCC"], 2, TEXT)) == 1
    assert np.isnan(distance(made(["A"], 2), made(["CCCC"], 2)))


def test_one_sequence_has_the_distance_that_scipy_gives():
    reference = proteins(40, 5, "LLL")
    whole = made(reference, 1)
    for sequence in [*proteins(5, 6), "W", "WWWWX"]:
        expected = by_scipy(shares([sequence], 1, LETTERS), shares(reference, 1))
        assert whole.distance_of(sequence) == pytest.approx(expected)
    assert np.isnan(whole.distance_of("")) and np.isnan(whole.distance_of("XX"))
    assert np.isnan(made([], 1).distance_of("MKV"))
    text = made(["CCO", "CCN"], 2, TEXT)
    before = text.frequencies()
    assert text.distance_of("CCBr") == pytest.approx(by_scipy(shares(["CCBr"], 2), shares(["CCO", "CCN"], 2)))
    assert text.frequencies() == before  # looking teaches it no word
    assert text.distance_of("zz") == 1


def test_the_interval_is_that_of_plain_resamples_moved_to_the_distance():
    few, reference = proteins(25, 7), proteins(60, 8, "LK")
    found = to_reference(made(few, 2), made(reference, 2), resamples=400, seed=3)
    rng, theirs = np.random.default_rng(99), shares(reference, 2)
    drawn = [by_scipy(shares([few[n] for n in rng.integers(0, 25, 25)], 2), theirs) for _ in range(400)]
    value = by_scipy(shares(few, 2), theirs)
    assert found.distance.value == pytest.approx(value)
    assert np.mean(drawn) > value  # a resample lacks words
    low, high = np.percentile(drawn, [2.5, 97.5]) - np.mean(drawn) + value
    width = high - low
    assert found.distance.low == pytest.approx(low, abs=0.25 * width)
    assert found.distance.high == pytest.approx(high, abs=0.25 * width)
    assert (found.sequences, found.of, found.k) == (25, 25, 2)
    assert found.words == sum(len(text) - 1 for text in few)


def test_the_interval_holds_the_expected_distance_of_so_many_sequences():
    reference = made(proteins(300, 9, "LK"), 2)
    many = [to_reference(made(proteins(20, 100 + n), 2), reference, resamples=200).distance for n in range(60)]
    expected = np.mean([each.value for each in many])
    held = np.mean([each.low <= expected <= each.high for each in many])
    assert held > 0.8


def test_sequences_of_the_reference_kind_are_no_further_than_the_reference_itself():
    reference = made(proteins(200, 10), 2)
    same = to_reference(made(proteins(30, 11), 2), reference, resamples=200)
    other = to_reference(made(proteins(30, 12, "WWWW"), 2), reference, resamples=200)
    assert same.floor.low < same.distance.value < same.floor.high
    assert other.distance.low > other.floor.high
    assert same.floor_sequences == 30
    assert same.floor.value > 0.1  # 30 sequences are not at 0 even where they are of one kind


def test_the_floor_takes_half_of_a_small_reference_set_and_needs_two_sequences():
    found = to_reference(made(proteins(30, 1), 2), made(proteins(10, 2), 2), resamples=50)
    assert found.floor_sequences == 5 and found.floor.value > 0
    alone = to_reference(made(proteins(30, 1), 2), made(proteins(1, 2), 2), resamples=50)
    assert np.isnan(alone.floor.value) and alone.distance.value > 0


def test_a_single_sequence_has_a_distance_without_an_interval_and_none_has_none():
    reference = made(proteins(9, 1), 1)
    one = to_reference(made(["MKVL"], 1), reference, resamples=20)
    assert one.distance.value > 0 and np.isnan(one.distance.low)
    none = to_reference(made([], 1), reference, resamples=20)
    assert np.isnan(none.distance.value) and none.sequences == 0
    assert np.isnan(to_reference(made(["MKVL"], 1), made([], 1), resamples=20).distance.value)


def test_the_difference_of_two_sets_tells_which_one_is_nearer():
    reference = made(proteins(100, 13, "LLKK"), 1)
    before, after = proteins(40, 14), proteins(30, 15, "LLK")
    found = difference(made(after, 1), made(before, 1), reference, resamples=500)
    assert found.sequences == 30
    assert found.difference.value == pytest.approx(found.after.value - found.before.value)
    assert found.after.value == pytest.approx(by_scipy(shares(after, 1), reference.frequencies()))
    assert found.difference.high < 0 and found.p < 0.01
    same = difference(made(proteins(30, 16), 1), made(before, 1), reference, resamples=500)
    assert same.difference.low < 0 < same.difference.high and same.p > 0.05


def test_text_has_intervals_and_differences_too():
    rng = random.Random(17)
    sets = [["".join(rng.choices(letters, k=25)) for _ in range(20)] for letters in ("CCCNO", "CNOS", "CCNO")]
    one, other, reference = (made(each, 2, TEXT) for each in sets)
    found = to_reference(one, reference, resamples=100)
    assert found.distance.value == pytest.approx(by_scipy(shares(sets[0], 2), shares(sets[2], 2)))
    assert found.distance.low < found.distance.value < found.distance.high
    assert difference(one, other, reference, resamples=100).difference.high < 0


def test_many_sequences_are_sampled_by_the_seed_and_counted_whole():
    sequences = proteins(300, 18, length=40)
    found = made(sequences, 1, keep=50, seed=1)
    assert (found.kept, found.sequences) == (50, 300)
    assert found.frequencies() == pytest.approx(shares(sequences, 1))
    reference = made(proteins(50, 19), 1)
    one = to_reference(found, reference, resamples=50)
    assert (one.sequences, one.of) == (50, 300)
    assert to_reference(made(sequences, 1, keep=50, seed=1), reference, resamples=50) == one
    assert to_reference(made(sequences, 1, keep=50, seed=2), reference, resamples=50) != one
    # each sequence has the same chance, wherever it stands
    kept = Counter()
    for seed in range(300):
        lone = Composition(1, TEXT, keep=5, seed=seed).add_all(chr(65 + n) for n in range(20))
        kept.update(int(numbers[0]) for numbers, _ in lone._kept)
    assert all(40 < kept[n] < 115 for n in range(20))  # 75 expected


def test_chunks_of_resamples_change_nothing(monkeypatch):
    one, reference = made(proteins(30, 20), 2), made(proteins(60, 21), 2)
    expected = to_reference(one, reference, resamples=60, seed=5)
    monkeypatch.setattr(composition, "_CELLS", 1_000)
    found = to_reference(one, reference, resamples=60, seed=5)
    for name in ("value", "low", "high"):
        assert getattr(found.distance, name) == pytest.approx(getattr(expected.distance, name))
        assert getattr(found.floor, name) == pytest.approx(getattr(expected.floor, name))


def test_what_cannot_be_compared_is_a_mistake_of_the_programmer():
    for one, other in ((made(["MKV"], 1), made(["MKV"], 2)), (made(["ACG"], 3, DNA), made(["ACG"], 3))):
        with pytest.raises(ValueError, match="one length and one alphabet"):
            distance(one, other)
    with pytest.raises(ValueError, match="cannot be counted"):
        Composition(8, PROTEIN)


def test_a_text_of_endless_different_words_is_refused(monkeypatch):
    monkeypatch.setattr(composition, "MOST_WORDS", 100)
    with pytest.raises(InputError, match="more than 100 different words of length 1"):
        made(["".join(map(chr, range(200, 400)))], 1, TEXT)
