"""What is read to fine-tune a model, before any work."""

from seqlm.data.records import CANONICAL, DNA, PROTEIN, TEXT
from seqlm.tools.finetune.inputs import comparing


def test_molecules_are_compared_by_their_canonical_form_and_letters_as_they_are():
    assert comparing(TEXT)("C1=CC=CC=C1") == comparing(TEXT)("c1ccccc1") == "c1ccccc1"
    assert [comparing(alphabet)("OCC") for alphabet in (PROTEIN, DNA, CANONICAL)] == ["OCC"] * 3
