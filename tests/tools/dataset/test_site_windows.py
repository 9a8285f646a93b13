"""Windows around sites: what they hold, where negatives come from, and what is left out."""

import random
from collections import Counter

import pytest
from Bio.Seq import Seq

from seqlm.cli.errors import InputError
from seqlm.data.site_sources import Protein, Source
from seqlm.data.site_tables import Site
from seqlm.tools.dataset.site_windows import WindowOptions, check_window, make_windows


def source(sequences, sites):
    """``sites``: (place, position, label) or (place, position)."""
    proteins = [Protein(f"p{place}", sequence) for place, sequence in enumerate(sequences)]
    return Source(proteins, [(s[0], Site(f"p{s[0]}", s[1], s[2] if len(s) > 2 else "1")) for s in sites], "protein")


def made(given, **options):
    return make_windows(given, WindowOptions(**{"length": 5, "negatives": "none", **options}))


def test_the_site_is_in_the_middle_and_ends_are_filled_up():
    entries = made(source(["MAYSTYK"], [(0, 1), (0, 3), (0, 7)]))
    assert [(entry.id, entry.sequence) for entry in entries] == [
        ("p0|M1", "XXMAY"),
        ("p0|Y3", "MAYST"),
        ("p0|K7", "TYKXX"),
    ]


def random_proteins(count, seed=1):
    rng = random.Random(seed)
    return ["".join(rng.choices("ACDEFGHIKLMNPQRSTVWY", k=120)) for _ in range(count)]


def with_sites(sequences, letters="ST", step=3):
    return source(
        sequences,
        [
            (place, at + 1)
            for place, sequence in enumerate(sequences)
            for at, letter in enumerate(sequence)
            if letter in letters and at % step == 0
        ],
    )


def test_negatives_stand_on_the_same_letters_of_the_same_proteins_and_on_no_site():
    given = with_sites(random_proteins(20))
    entries = made(given, negatives="same-protein")
    sites = {(place, site.position) for place, site in given.sites}
    negatives = [entry for entry in entries if entry.label == "0"]
    positives = [entry for entry in entries if entry.label == "1"]
    assert not sites & {(entry.protein, entry.position) for entry in negatives}
    have = Counter((entry.protein, entry.residue) for entry in positives)
    drawn = Counter((entry.protein, entry.residue) for entry in negatives)
    missing = given.counted["negatives that could not be drawn, their protein having too few candidates"]
    assert sum((have - drawn).values()) == missing
    assert not drawn - have
    for entry in entries:
        assert given.proteins[entry.protein].sequence[entry.position - 1] == entry.residue == entry.sequence[2]


def test_a_window_on_the_reverse_strand_is_that_of_biopython_and_so_are_its_negatives():
    rng = random.Random(3)
    dna = "".join(rng.choices("ACGT", k=300))
    sites = [(position, strand) for position in range(2, 300, 40) for strand in ("", "-")]
    given = Source([Protein("c", dna)], [(0, Site("c", at, "1", strand=strand)) for at, strand in sites], "DNA")
    entries = made(given, length=7, padding="N", negatives="same-protein")
    for entry in entries:
        plus = ("NNN" + dna + "NNN")[entry.position - 1 : entry.position + 6]
        assert entry.sequence == (str(Seq(plus).reverse_complement()) if entry.strand else plus)
        assert entry.residue == entry.sequence[3]
    drawn = [entry for entry in entries if entry.label == "0"]
    assert not {entry.position for entry in drawn} & {position for position, _ in sites}
    kinds = [Counter((e.strand, e.residue) for e in entries if e.label == label) for label in "10"]
    assert kinds[0] == kinds[1]
    assert len({entry.id for entry in entries}) == len(entries)


def test_no_negative_is_drawn_where_anything_is_annotated():
    given = source(["".join(random.Random(4).choices("STY", k=60))], [(0, 1)])
    given.blocked = {0: [(3, 30), (41, 41), (55, 80)]}
    free = {1, 2, *range(31, 41), *range(42, 55)}
    letter = given.proteins[0].sequence[0]
    entries = made(given, length=15, negatives="same-protein", ratio=90)
    assert {entry.position for entry in entries} == {at for at in free if given.proteins[0].sequence[at - 1] == letter}


@pytest.mark.parametrize("flank", [1, 4])
def test_no_negative_is_within_the_flank_of_a_site(flank):
    given = with_sites(random_proteins(60), step=5)
    sites = {(place, site.position) for place, site in given.sites}

    def near(entries):
        negatives = [(entry.protein, entry.position) for entry in entries if entry.label == "0"]
        return [n for n in negatives if any((n[0], n[1] + by) in sites for by in range(-flank, flank + 1))]

    assert near(made(given, negatives="same-protein"))
    assert not near(made(given, negatives="same-protein", exclude_flank=flank))


@pytest.mark.parametrize("ratio", [0.5, 1.0, 2.5])
def test_the_ratio_holds_also_where_it_is_a_fraction(ratio):
    sequence = "".join(random.Random(4).choices("AYG", k=200))
    sites = [at + 1 for at, letter in enumerate(sequence) if letter == "Y"][:4]
    given = source([sequence], [(0, at) for at in sites])
    drawn = Counter(entry.label for entry in made(given, negatives="same-protein", ratio=ratio, length=41))
    assert drawn["1"] == 4
    assert drawn["0"] == int(4 * ratio)


def test_a_fraction_goes_over_to_the_next_protein():
    given = with_sites(random_proteins(40), letters="Y", step=2)
    positives = len(given.sites)
    entries = made(given, negatives="same-protein", ratio=0.25)
    missing = given.counted["negatives that could not be drawn, their protein having too few candidates"]
    assert Counter(entry.label for entry in entries)["0"] == int(positives * 0.25) - missing


def test_the_seed_decides_which_are_drawn():
    def negatives(seed):
        entries = made(with_sites(random_proteins(10)), negatives="same-protein", seed=seed)
        return [entry.id for entry in entries if entry.label == "0"]

    assert negatives(1) == negatives(1) != negatives(2)


def test_a_negative_never_has_the_text_of_a_positive():
    # each protein is a copy of the other, and of each another site is known
    sequence = "MAAYCCDDYEEGGYWW"
    refused = 0
    for seed in range(8):
        given = source([sequence, sequence], [(0, 4), (1, 9)])
        entries = made(given, negatives="same-protein", seed=seed)
        assert {entry.sequence for entry in entries if entry.label == "0"} == {"GGYWW"}
        refused += given.counted["candidates for negatives not drawn, their window being that of a positive"]
    assert 0 < refused < 16


def test_a_negative_of_the_table_is_used_only_where_it_is_asked_for():
    sites = [(0, 3), (0, 6, "0")]
    assert [entry.label for entry in made(source(["MAYSTYK"], sites), negatives="given")] == ["1", "0"]
    given = source(["MAYSTYK"], sites)
    assert [entry.label for entry in made(given, negatives="none")] == ["1"]
    assert given.counted == {"negative sites of the input, not used since no negatives are wanted": 1}


def test_several_labels_need_no_negatives():
    entries = made(source(["MAYSTYK"], [(0, 3, "A"), (0, 6, "B")]), negatives="given")
    assert [entry.label for entry in entries] == ["A", "B"]


def test_sites_on_other_residues_are_left_out_and_counted():
    given = source(["MAYSTYK"], [(0, 3), (0, 4), (0, 6)])
    assert [entry.residue for entry in made(given, residues="Y")] == ["Y", "Y"]
    assert given.counted == {"sites on other residues, left out": 1}


def test_equal_windows_are_kept_once():
    given = source(["AAYAA", "AAYAA", "CAYAC"], [(0, 3), (1, 3), (2, 3)])
    assert [entry.id for entry in made(given)] == ["p0|Y3", "p2|Y3"]
    assert given.counted == {"windows equal to another with the same label, kept once": 1}
    assert [entry.id for entry in made(given, repeats=True)] == ["p0|Y3", "p1|Y3", "p2|Y3"]  # in whole proteins


CONFLICT = (["AAYAA", "AAYAA", "CAYAC"], [(0, 3, "1"), (1, 3, "0"), (2, 3, "0")])


def test_windows_with_two_labels_are_dropped_kept_or_refused():
    given = source(*CONFLICT)
    assert [entry.id for entry in made(given, negatives="given")] == ["p2|Y3"]
    assert given.counted == {"windows equal to one with another label, dropped": 2}
    assert len(made(source(*CONFLICT), negatives="given", conflicts="keep")) == 3
    with pytest.raises(InputError, match=r"2 windows are equal to one with another label, such as 'p0\|Y3' \(1\)"):
        made(source(*CONFLICT), negatives="given", conflicts="refuse")


@pytest.mark.parametrize(
    ("sites", "options", "message"),
    [
        ([(0, 3)], {"residues": "W"}, "no site is on W; the sites are on Y"),
        ([(0, 3)], {"negatives": "given"}, "no negatives are given: all sites have the label '1'"),
        ([(0, 3, "0")], {}, "every site has the label of negatives, '0'"),
        (
            [(0, 1)],
            {"negatives": "same-protein"},
            "no negative could be drawn: the proteins with sites have no other M",
        ),
        ([(0, 3)], {"negatives": "same-protein", "exclude_flank": 9}, "no negative could be drawn"),
    ],
)
def test_what_gives_no_dataset_is_said(sites, options, message):
    with pytest.raises(InputError) as caught:
        made(source(["MAYSTYK"], sites), **options)
    assert message in str(caught.value)


def test_windows_that_would_fill_the_memory_are_refused(monkeypatch):
    monkeypatch.setattr("seqlm.tools.dataset.site_windows.MOST_LETTERS", 9)
    with pytest.raises(InputError, match="2 windows of 5 letters are over 9 letters together"):
        made(source(["MAYSTYK"], [(0, 3), (0, 6)]))


@pytest.mark.parametrize(("length", "message"), [(32, "no residue in its middle"), (1, "odd")])
def test_a_window_has_a_residue_in_its_middle(length, message):
    with pytest.raises(InputError, match=message):
        check_window(length)
