"""Which features are sites: by kind, by words of notes, by ligand; bonds, ranges, and where no negative is drawn."""

from collections import Counter

import pytest

from seqlm.cli.errors import InputError
from seqlm.data.site_choice import choose_sites
from seqlm.data.site_features import Feature, read_gff


def feature(kind, start, end=None, note="", ligand="", exact=True):
    return Feature("a", kind, start, end or start, note, 1, exact, ligand=ligand)


FEATURES = [
    feature("MOD_RES", 3, note="Phosphotyrosine; by A"),
    feature("MOD_RES", 5, note="N6-acetyllysine"),
    feature("MOD_RES", 6, note="N6,N6,N6-trimethyllysine"),
    feature("MOD_RES", 8, note="(3S)-3-hydroxyasparagine"),
    feature("CROSSLNK", 9, note="Glycyl lysine isopeptide (Lys-Gly) (interchain with G-Cter in SUMO2)"),
    feature("DISULFID", 11, 30, note="Interchain"),
    feature("BINDING", 40, 47, ligand="ATP"),
    feature("BINDING", 50, ligand="pyridoxal 5'-phosphate"),
    feature("MUTAGEN", 60, note="R->A: Abolishes binding to phosphotyrosine."),
    feature("DOMAIN", 1, 100, note="Phosphotyrosine-binding"),
    feature("DOMAIN", 1, 100, note="SH3"),
    feature("MOD_RES", 70, note="Phosphoserine", exact=False),
]


def chosen(wanted, features=FEATURES, **options):
    counted = Counter()
    sites, blocked = choose_sites(features, wanted, "1", counted, "f.txt", **options)
    return [site.position for site in sites], blocked, counted


@pytest.mark.parametrize(
    ("wanted", "positions"),
    [
        ("modified residue", [3, 5, 6, 8]),
        ("mod_res", [3, 5, 6, 8]),
        ("acetyl", [5]),
        ("phosphotyrosine", [3]),  # no mutation, no domain
        ("phosphotyrosine, ACETYLLYSINE", [3, 5]),
        ("phosphotyrosine,acetyllysine", [3, 5]),
        ("N6,N6,N6-trimethyllysine", [6]),
        ("N6,N6,N6-trimethyllysine,N6-acetyllysine", [5, 6]),
        ("(3S)-3-hydroxyasparagine", [8]),
        ("Glycyl lysine isopeptide (Lys-Gly) (interchain with G-Cter in SUMO2)", [9]),
        ("disulfide bond", [11, 30]),
        ("ATP, pyridoxal", [50]),
        ("interchain", [9, 11, 30]),
    ],
)
def test_sites_are_chosen_by_kind_by_a_word_or_by_ligand(wanted, positions):
    if wanted == "N6,N6,N6-trimethyllysine,N6-acetyllysine":
        wanted = wanted.replace(",N6-acetyl", ", N6-acetyl")
    assert chosen(wanted)[0] == positions


def test_a_chemical_name_that_the_file_does_not_have_is_not_taken_apart():
    with pytest.raises(InputError, match="no feature of the kind 'N6,N6-dimethyllysine'"):
        chosen("N6,N6-dimethyllysine")


def test_more_terms_than_anybody_writes_are_refused():
    with pytest.raises(InputError, match="101 features are asked for; give up to 100"):
        chosen(", ".join(f"phospho{number}" for number in range(101)))


def test_a_term_that_nothing_fits_is_counted_beside_others():
    assert chosen("phosphotyrosine, sulfotyrosine")[2] == {"features that 'sulfotyrosine' fits": 0}


def test_the_kind_in_words_is_what_the_note_says_before_its_additions():
    sites, _ = choose_sites(FEATURES, "phospho, BINDING", "1", Counter(), "f.txt")
    assert [site.kind for site in sites] == ["MOD_RES: Phosphotyrosine", "BINDING: pyridoxal 5'-phosphate"]


def test_whatever_is_annotated_on_single_residues_is_no_negative_and_of_ranges_every_residue():
    _, blocked, counted = chosen("BINDING")
    spans = [(3, 3), (5, 5), (6, 6), (8, 8), (9, 9), (11, 11), (30, 30), (40, 47), (50, 50), (70, 70)]
    assert blocked == [("a", *span) for span in spans]
    assert counted == {"features longer than one residue, no sites and no negatives": 1}


def test_every_residue_of_a_range_can_be_a_site():
    assert chosen("ATP", ranges="every-residue")[0] == list(range(40, 48))
    assert chosen("DISULFID", ranges="every-residue")[0] == [11, 30]
    assert chosen("SH3", ranges="every-residue")[0] == list(range(1, 101))


def test_positions_that_are_not_exact_are_no_sites_and_no_negatives():
    positions, blocked, counted = chosen("phosphoserine")
    assert positions == [] and ("a", 70, 70) in blocked
    assert counted == {"features without an exact position, no sites and no negatives": 1}


def test_what_is_not_chosen_is_a_mistake_that_lists_the_kinds():
    with pytest.raises(InputError, match=r"several kinds of feature; .* MOD_RES \(5\), BINDING \(2\)"):
        chosen(None)
    for word in ("tyrosine", "abolishes"):  # a word has to begin so; what a mutation does is no site
        with pytest.raises(InputError, match=f"no feature of the kind '{word}'"):
            chosen(word)


def test_gff_says_the_strand_and_its_notes_are_decoded(tmp_path):
    path = tmp_path / "f.gff3"
    path.write_text(
        "##gff-version 3\nc\tx\tTSS\t8\t8\t.\t-\t.\tID=t1;Note=Strong%3B sure\n"
        "c\tx\tBinding site\t?7\t9\t.\t+\t.\tligand=ATP;ligand_id=x\t\n"
    )
    first, second = read_gff(path).features
    assert (first.strand, first.note, first.start, first.exact) == ("-", "Strong; sure", 8, True)
    assert (second.strand, second.ligand, second.start, second.end, second.exact) == ("", "ATP", 7, 9, False)
