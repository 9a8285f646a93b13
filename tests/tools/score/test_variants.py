"""Lists and tables of variants, and what is said where one does not fit its sequence."""

import math

import pytest

from makers.formats import as_parquet
from seqlm.cli.errors import InputError
from seqlm.data.records import DNA, PROTEIN, Rules
from seqlm.tools.score.variants import Columns, WildTypes, read_variants

WILD = "MKTAYIAKQR"
ONE = WildTypes(["w"], [WILD], PROTEIN)
TWO = WildTypes(["w", "v"], [WILD, "MGGSSW"], PROTEIN)


def read(tmp_path, text, wild=ONE, **columns):
    path = tmp_path / "variants.tsv"
    path.write_text(text)
    return read_variants(path, Columns(**columns), wild, Rules())


def message(tmp_path, text, wild=ONE, **columns):
    with pytest.raises(InputError) as problem:
        read(tmp_path, text, wild, **columns)
    return str(problem.value)


def test_a_table_of_variants_may_be_in_parquet(tmp_path):
    path = tmp_path / "variants.parquet"
    path.write_bytes(as_parquet({"variant": ["M1V", "WT"], "fitness": [0.5, None]}))
    found = read_variants(path, Columns(measured="fitness"), ONE, Rules()).all
    assert (found[0].name, found[0].measured) == ("M1V", 0.5) and len(found) == 2


def test_a_list_needs_no_header_and_may_have_one(tmp_path):
    for header in ("", "my variants\n", "variant\n"):
        found = read(tmp_path, f"{header}M1V\nK2R,A4T\n\nWT\nY5=\n").all
        assert [each.changes for each in found] == [((0, "V"),), ((1, "R"), (3, "T")), (), ()]
        assert [each.note for each in found] == ["", "", "wild type", "synonymous"]
        assert [each.name for each in found] == ["M1V", "K2R,A4T", "WT", "Y5="]


def test_a_table_keeps_the_measured_values_and_counts_the_missing_and_the_repeated(tmp_path):
    text = 'id,mutant,score\na,M1V,0.5\nb,"K2R,A4T",NaN\nc,M1V,\nd,A4A:K2R,-1e-3\n'
    found = read(tmp_path, text, measured="score")
    assert found.measured == "score" and found.missing == 2 and found.repeated == 1
    assert found.all[0].measured == 0.5 and math.isnan(found.all[1].measured) and found.all[3].measured == -0.001
    assert found.all[3].changes == ((1, "R"),)


def test_positions_count_from_the_chosen_start(tmp_path):
    wild = WildTypes(["w"], [WILD], PROTEIN, first=-1)
    found = read(tmp_path, "M-1V\nK0R\nR8K\n", wild).all
    assert [each.changes for each in found] == [((0, "V"),), ((1, "R"),), ((9, "K"),)]


def test_variants_of_several_proteins_are_told_apart_by_a_column(tmp_path):
    found = read(tmp_path, "protein\tvariant\nv\tG2A\nw\tK2A\n", TWO).all
    assert [(each.protein, each.changes) for each in found] == [(1, ((1, "A"),)), (0, ((1, "A"),))]


def test_whole_sequences_are_compared_with_their_wild_type(tmp_path):
    text = "n\tseq\n1\tMKTAYIAKQR\n2\tmktgYIAKQW\n3\tMKTAYIAKQRG\n"
    found = read(tmp_path, text, sequence="seq").all
    assert [each.name for each in found] == ["WT", "A4G:R10W", "of 11 letters"]
    assert [each.changes for each in found] == [(), ((3, "G"), (9, "W")), ()]
    assert found[2].sequence == "MKTAYIAKQRG"


def test_letters_that_the_model_reads_as_others_are_read_so_in_variants(tmp_path):
    wild = WildTypes(["w"], ["MXT"], PROTEIN, replacements={"U": "X"})
    assert read(tmp_path, "U2G\n", wild).all[0].changes == ((1, "G"),)


def test_a_wild_type_letter_that_does_not_match_names_line_letter_numbering_and_number(tmp_path):
    # numbered as if two residues stood in front
    text = "variant\nM3V\nWT\nK4R\nT5A:Y7F\n"
    found = message(tmp_path, text)
    assert "variants.tsv: line 2: 'M3V' says M at position 3, where 'w' has T" in found
    assert "3 of 4 variants do not fit" in found
    assert "counted from 1 (--first-position); counted from 3, all would fit" in found
    assert "all would fit" not in message(tmp_path, "M3V\nK4R\nW5A:Y7F\n")
    assert "this one variant does not fit" in message(tmp_path, "M1V\nK3R\n")


def test_a_position_outside_names_the_positions_that_there_are(tmp_path):
    found = message(tmp_path, "M1V\nR11K\n")
    assert "line 2: 'R11K' is outside 'w', whose positions are 1 to 10" in found
    assert "'M0V' is outside 'w'" in message(tmp_path, "M0V\n")


MISTAKES = {
    "twice": ("K2R:K2A\n", {}, "'K2R:K2A' changes position 2 twice"),
    "letter": ("K2B\n", {}, "names 'B', which is not an amino acid"),
    "stop": ("K2*\n", {}, "'K2*' is a stop"),
    "ter": ("p.Lys2Ter\n", {}, "is a stop"),
    "deletion": ("K2-\n", {}, "is a deletion"),
    "form": ("variant\tx\nK2\t1\n", {}, "line 2: 'K2' is no substitution; write A123T"),
    "empty": ("", {}, "is empty"),
    "blank": ("\n\n", {}, "is empty"),
    "header alone": ("variant\tx\n", {}, "has a header but no variants"),
    "fasta": (">w\nMKT\n", {}, "is FASTA; variants are a list"),
    "fastq": ("@w\nMKT\n+\nIII\n", {}, "is FASTQ; variants are a list"),
    "no column": ("a\tb\nK2R\t1\n", {}, "has no column of variants"),
    "other column": ("variant\tb\nK2R\t1\n", {"variant": "c"}, "no column 'c' for the column of variants"),
    "list with column": ("K2R\n", {"measured": "activity"}, "is a list without columns"),
    "measured text": ("variant\tx\nK2R\thigh\n", {"measured": "x"}, "line 2 has 'high' where a measured number"),
    "measured infinite": ("variant\tx\nK2R\tinf\n", {"measured": "x"}, "has 'inf' where a measured number"),
    "sequence letter": ("s\tx\nMKTAYIAKQ1\t1\n", {"sequence": "s"}, "has '1' at position 10"),
    "sequence X": ("s\tx\nMKTAYIAKQX\t1\n", {"sequence": "s"}, "names 'X', which is not an amino acid"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes_name_the_line_and_what_is_wrong(tmp_path, name):
    text, columns, expected = MISTAKES[name]
    assert expected in message(tmp_path, text, **columns)


def test_a_protein_that_is_not_among_the_sequences_is_named(tmp_path):
    assert "line 2 is about 'u', and there is no sequence" in message(tmp_path, "protein\tvariant\nu\tG2A\n", TWO)
    assert "which of the 2 sequences a variant is of" in message(tmp_path, "x\tvariant\nu\tG2A\n", TWO)


def left_out(tmp_path, text, wild=ONE, **columns):
    path, rules = tmp_path / "variants.tsv", Rules()
    path.write_text(text)
    found = read_variants(path, Columns(**columns), wild, rules, "leave-out")
    return [each.name for each in found.all], dict(rules.sequences), found.left_out


def test_what_cannot_be_scored_is_left_out_and_counted_where_that_is_wanted(tmp_path):
    text = (
        "hgvs_pro\tscore\np.Met1Val\t1\np.Lys2Ter\t2\np.Thr3del\t3\np.Ala4fs\t4\np.Thr3Gly\t5\np.Arg9Lys\t6\n"
        "p.Met1Xaa\t7\n_wt\t8\nNA\t9\np.[Lys2Gly;Lys2Ala]\t10\n"
    )
    names, rules, note = left_out(tmp_path, text, measured="score")
    assert names == ["p.Met1Val", "p.Thr3Gly", "_wt"]
    assert rules == {
        "left out, with a stop": 1,
        "left out, not written as substitutions": 4,
        "left out, changing a position twice": 1,
        "left out, on another letter or outside the sequence": 1,
    }
    assert note.startswith(
        "7 variants left out that cannot be read or do not fit, the first being: variants.tsv: line 3"
    )
    assert "line 3: 'K2*' is a stop; only substitutions by a letter can be scored (--misfits leave-out" in message(
        tmp_path, text
    )


def test_variants_that_mostly_do_not_fit_have_another_numbering(tmp_path):
    (tmp_path / "variants.tsv").write_text("M3V\nK4R\nT5A\nY9F\nQ9A\n")
    with pytest.raises(InputError, match="4 of 5 variants do not fit"):
        read_variants(tmp_path / "variants.tsv", Columns(), ONE, Rules(), "leave-out")
    (tmp_path / "variants.tsv").write_text("M1*\n")
    with pytest.raises(InputError, match="no variant is left; 1 variant left out"):
        read_variants(tmp_path / "variants.tsv", Columns(), ONE, Rules(), "leave-out")


def test_variants_of_a_sequence_that_is_not_given_are_named_and_never_scored_on_another(tmp_path):
    by_column = "protein\tvariant\nw\tM1A\nu\tM1L\nu\tK2A\n"
    by_prefix = "w:p.Met1Ala\nu:p.Met1Leu\nu:p.Lys2Ala\n"
    for text in (by_column, by_prefix):
        assert "is about 'u', and there is no sequence of that id" in message(tmp_path, text)
        names, rules, _ = left_out(tmp_path, text)
        assert len(names) == 1
        assert rules == {"left out, of 'u', which is no sequence": 2}
    assert "several sequences (u, v), and none of them is 'w'" in message(tmp_path, "u:p.Met1Leu\nv:p.Lys2Ala\n")
    assert "several sequences (u, v)" in message(tmp_path, "protein\tvariant\nu\tM1A\nv\tM1L\n")


def test_one_name_alone_is_taken_for_the_only_sequence_and_said(tmp_path):
    names, rules, _ = left_out(tmp_path, "NP_1.2:p.Met1Leu\nNP_1.2:p.Lys2Ala\nWT\n")
    assert len(names) == 3 and rules == {"of 'NP_1.2', taken for 'w'": 2}
    names, rules, _ = left_out(tmp_path, "id\tvariant\nv1\tM1L\nv2\tK2A\n")  # ids of the variants
    assert len(names) == 2 and rules == {}


def test_sequences_are_found_by_accession_and_entry_name_and_by_the_name_before_a_variant(tmp_path):
    wild = WildTypes(["sp|P1|ONE_HUMAN", "sp|P2|TWO_HUMAN"], [WILD, "MGGSSW"], PROTEIN)
    assert [each.protein for each in read(tmp_path, "P2:p.Gly2Ala\nP1:p.Lys2Ala\n", wild).all] == [1, 0]
    found = read(tmp_path, "protein\tvariant\nTWO_HUMAN\tG2A\nP1\tK2A\n", wild).all
    assert [each.protein for each in found] == [1, 0]


def test_columns_with_a_meaning_that_are_not_read_are_named_for_variants_too(tmp_path):
    assert left_out(tmp_path, "variant\tscore\nM1L\t0.5\n")[1] == {"column 'score' not read": 1}
    assert left_out(tmp_path, "variant\tscore\nM1L\t0.5\n", measured="score")[1] == {}


def test_bases_take_only_bases(tmp_path):
    wild = WildTypes(["d"], ["ACGT"], DNA)
    assert read(tmp_path, "A1T\n", wild).all[0].changes == ((0, "T"),)
    assert "names 'N', which is not a base" in message(tmp_path, "A1N\n", wild)


def test_numbering_from_0_is_suggested(tmp_path):
    found = message(tmp_path, "variant\nM0V\nK1R\nT2A:A3F\n")
    assert "counted from 1 (--first-position); counted from 0, all would fit" in found
