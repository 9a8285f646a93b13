"""Short sequences by edit distance: what is found, what is called chance, what cannot be compared."""

import random

import numpy as np
import pytest
from rapidfuzz.distance import Levenshtein

from seqlm.similarity import edits
from seqlm.similarity.edits import Nearest, compare, other_strand

LETTERS = "ACDEFGHIKLMNPQRSTVWY"


def drawn(count, length, seed, letters=LETTERS):
    rng = random.Random(seed)
    return list(dict.fromkeys("".join(rng.choices(letters, k=length)) for _ in range(count)))


def changed(text, at, letters=LETTERS):
    return text[:at] + next(letter for letter in letters if letter != text[at]) + text[at + 1 :]


def pairs(found):
    assert len(found.first) == len({*zip(found.first.tolist(), found.second.tolist(), strict=True)})
    return {
        frozenset(pair): alike
        for *pair, alike in zip(found.first.tolist(), found.second.tolist(), found.identity.tolist(), strict=True)
    }


@pytest.mark.parametrize(("dna", "length"), [(False, 9), (False, 30), (True, 21), (True, 40)])
def test_every_changed_copy_is_found_and_random_sequences_are_not(dna, length, monkeypatch):
    letters = "ACGT" if dna else LETTERS
    base = drawn(200, length, length, letters)
    copies = [changed(text, 3, letters) for text in base[:50]]
    expected = {frozenset((n, len(base) + n)): pytest.approx(1 - 1 / length) for n in range(50)}
    for chunk in (2_048, 64):
        monkeypatch.setattr(edits, "CHUNK", chunk)
        found = compare([*base, *copies], dna=dna)
        assert {pair: alike for pair, alike in pairs(found).items() if alike > 0.7} == expected
        assert len(found.first) <= 51  # chance is exceeded once in a while
        assert found.compared.all()
        assert found.short.all()
        assert set(found.covered.tolist()) == {1.0}
        assert list(found.by_chance) == [length]


def test_likeness_is_the_edit_distance_of_the_longer_one():
    one, other = "ACDEFGHIKLMN", "ACEFGHIKLMNPQ"
    found = pairs(compare([one, other, *drawn(20, 12, 1)], dna=False))
    assert found[frozenset((0, 1))] == pytest.approx(1 - Levenshtein.distance(one, other) / 13)


def test_dna_is_alike_on_either_strand():
    base = drawn(50, 21, 2, "ACGT")
    copy = other_strand(changed(base[0], 10, "ACGT"))
    assert pairs(compare([*base, copy], dna=True)) == {frozenset((0, 50)): pytest.approx(20 / 21)}
    assert other_strand("AACGTN") == "NACGTT"


def test_what_chance_reaches_depends_on_the_length_and_the_number_of_sequences():
    few, many = (compare(drawn(count, 9, 3), dna=False).by_chance[9] for count in (30, 3_000))
    assert few == pytest.approx(4 / 9)
    assert many == pytest.approx(6 / 9)
    mixed = compare(drawn(100, 8, 4) + drawn(100, 30, 5), dna=False).by_chance
    assert mixed[8] > mixed[30]


def test_so_short_that_one_letter_is_chance_is_not_comparable():
    found = compare([*drawn(1_000, 4, 6), *drawn(100, 20, 7)], dna=False)
    assert not found.compared[: len(found.compared) - 100].any()
    assert found.compared[-100:].all()
    assert len(found.first) == 0


def test_a_peptide_inside_a_protein_is_a_piece_of_it(monkeypatch):
    proteins = drawn(60, 200, 8)
    peptide = changed(proteins[4][50:62], 5)
    found = compare([peptide, *proteins], dna=False)
    assert pairs(found) == {frozenset((0, 5)): pytest.approx(11 / 12)}
    assert found.first.tolist() == [0]
    assert found.covered.tolist() == pytest.approx([12 / 200])
    assert found.compared.tolist() == [True, *[False] * 60]  # the proteins are for MMseqs2
    monkeypatch.setattr(edits, "MOST_PIECES", 59)
    assert not compare([peptide, *proteins], dna=False).compared.any()


def test_too_many_are_not_compared_and_nothing_short_is_nothing(monkeypatch):
    assert not compare(drawn(5, 80, 9), dna=False).short.any()
    monkeypatch.setattr(edits, "MOST_PAIRS", 99)
    found = compare([*drawn(9, 12, 10), changed(drawn(9, 12, 10)[0], 1)], dna=False)
    assert found.short.all()
    assert not found.compared.any()
    assert len(found.first) == 0


def test_threads_change_nothing():
    texts = drawn(300, 12, 11, "ACDE")
    one, two = compare(texts, dna=False, threads=1), compare(texts, dna=False, threads=2)
    for name in ("first", "second", "identity", "covered", "compared"):
        assert np.array_equal(getattr(one, name), getattr(two, name))


def test_the_nearest_of_a_stream_is_named_if_it_is_nearer_than_chance(monkeypatch):
    known = drawn(500, 12, 12)
    queries = {3: changed(known[100], 2), 8: known[7], 9: drawn(1, 12, 13)[0]}
    for chunk in (2_048, 100):
        monkeypatch.setattr(edits, "CHUNK", chunk)
        nearest = Nearest(queries, dna=False)
        assert all(nearest.see(place, text) for place, text in enumerate(known))
        assert not nearest.see(500, "A" * 60)
        assert nearest.found() == {3: (100, pytest.approx(11 / 12)), 8: (7, 1.0)}
    assert not Nearest({}, dna=False).see(0, "MKV")
    assert Nearest({}, dna=False).found() == {}
