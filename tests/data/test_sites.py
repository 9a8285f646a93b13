"""Windows around sites, which residues a scan looks at, and how training data made of windows are known."""

import random
import re

import pytest
from Bio.Seq import Seq

from seqlm.cli.errors import InputError
from seqlm.data.records import DNA, LETTERS, PROTEIN, STATES
from seqlm.data.sites import check_residues, reverse_complement, site_positions, window_around, windows_of

PROTEINS = ["".join(random.Random(number).choices("ACDEFGHIKLMNPQRSTVWY", k=number)) for number in range(1, 60, 4)]


@pytest.mark.parametrize("length", [1, 5, 33])
def test_a_window_is_a_slice_of_the_padded_protein(length):
    for protein in PROTEINS:
        padded = "-" * (length // 2) + protein + "-" * (length // 2)
        for position in range(len(protein)):
            window = window_around(protein, position, length, padding="-")
            assert window == padded[position : position + length]
            assert window[length // 2] == protein[position]


def test_a_window_wider_than_the_protein_is_padded_on_both_sides_with_x():
    assert window_around("MYK", 1, 9) == "XXXMYKXXX"


@pytest.mark.parametrize(("position", "length"), [(0, 4), (0, 0), (3, 5), (-1, 5)])
def test_a_window_without_a_middle_or_a_site_is_a_mistake_of_the_caller(position, length):
    with pytest.raises(ValueError, match=r"odd length|no position"):
        window_around("MYK", position, length)


def test_the_reverse_complement_is_that_of_biopython_with_codes_for_several_bases():
    dna = "".join(random.Random(1).choices(LETTERS[DNA], k=200))
    assert reverse_complement(dna) == str(Seq(dna).reverse_complement())


def test_sites_are_found_where_a_regular_expression_finds_them():
    for protein in PROTEINS:
        assert site_positions(protein, "STY") == [hit.start() for hit in re.finditer("[STY]", protein)]


@pytest.mark.parametrize("text", ["STY", "s,t,y", " S T, Y ", "SSTYT"])
def test_residues_are_read_however_they_are_written(text):
    assert check_residues(text, LETTERS[PROTEIN]) == "STY"
    assert check_residues(text, LETTERS[STATES]) == "sty"


@pytest.mark.parametrize(("text", "said"), [("", "no residue"), (" , ", "no residue"), ("S-T", "'-'"), ("S\x07", "'?'"),
                                            ("ACGTN5", "'5'")])  # fmt: skip
def test_what_is_no_residue_is_refused_by_name(text, said):
    with pytest.raises(InputError, match=re.escape(said)):
        check_residues(text, LETTERS[PROTEIN])


def test_windows_are_known_by_one_odd_length_and_few_residues_in_the_middle():
    assert windows_of(window_around(p, q, 15) for p in PROTEINS for q in site_positions(p, "YST")) == (15, "STY")
    assert windows_of(["AAYAA", "AACAA"]) == (5, "CY")


@pytest.mark.parametrize(
    "sequences",
    [
        [],
        ["AAAYAA", "CCCYCC"],  # even
        ["AAYAA", "AAAYAAA"],  # two lengths
        ["AYA", "CYC"],  # peptides
        ["AA" + middle + "AA" for middle in "ACDEFGH"],  # seven residues in the middle
    ],
)
def test_other_sequences_are_no_windows(sequences):
    assert windows_of(sequences) is None


def test_a_few_windows_on_other_residues_do_not_hide_what_the_rest_are():
    windows = ["AA" + middle + "AA" for middle in "Y" * 990 + "FHKLNQRTVG"]
    assert windows_of(windows) == (5, "Y")
    assert windows_of(windows[900:]) is None  # ten in a hundred are more than a few


def test_six_residues_in_the_middle_are_still_sites():
    assert windows_of("AA" + middle + "AA" for middle in "ACDEFG") == (5, "ACDEFG")
