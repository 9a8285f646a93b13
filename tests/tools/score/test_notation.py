"""How variants are written."""

import pytest
from Bio.Data.IUPACData import protein_letters_1to3

from seqlm.tools.score.notation import parsed


@pytest.mark.parametrize("between", [":", ",", ";", "+", "/", " ", ", ", " ; "])
def test_several_substitutions_are_split_at_any_usual_sign(between):
    assert parsed(between.join(["A12T", "K30R", "m1v"])) == ([("A", 12, "T"), ("K", 30, "R"), ("M", 1, "V")], "")


@pytest.mark.parametrize("text", ["WT", "wt", "_wt", "wild type", "p.="])
def test_the_wild_type_has_several_names(text):
    assert parsed(text) == ([], "wild type")


def test_hgvs_names_of_amino_acids_are_those_of_biopython():
    for letter, name in protein_letters_1to3.items():
        assert parsed(f"p.{name}5Gly") == ([(letter, 5, "G")], "")
    assert parsed("p.[Ala12Thr;Lys30=]") == ([("A", 12, "T"), ("K", 30, "K")], "")


@pytest.mark.parametrize("text", ["A12", "12T", "A12TT", "A1.5T", "A12T:", "hello", "A12T|K30R", "Xyz5Gly", "AT"])
def test_what_is_no_variant_is_refused(text):
    if text == "A12T:":
        assert parsed(text)[0] == [("A", 12, "T")]
        return
    with pytest.raises(ValueError):
        parsed(text)


def test_hgvs_may_name_the_sequence_before_the_variant():
    for text in ("NP_000537.3:p.Ser2Ala", "NM_000546.6(TP53):p.(Ser2Ala)", "P04637:p.S2A", "p.Ser2Ala"):
        assert parsed(text) == ([("S", 2, "A")], "")
    assert parsed("NP_000537.3:p.=") == ([], "wild type")
