"""SMILES in one way of writing, and what is said of those that are no molecule."""

import subprocess
import sys
from types import SimpleNamespace

import pytest

from makers.scripts import SCRIPTS
from seqlm.cli.errors import InputError
from seqlm.data.molecules import LONGEST, WRITTEN, parsed
from seqlm.data.records import CANONICAL, PROTEIN, TEXT, Record, Rules
from seqlm.data.sequences import clean
from seqlm.tokenization.encoder import read_canonical


def written(smiles, rules=None):
    return clean(Record("m1", smiles, "", 7), CANONICAL, {}, Rules() if rules is None else rules, "set.csv")


def test_all_ways_to_write_a_molecule_become_one():
    rules = Rules()
    assert {written(smiles, rules) for smiles in ("CCO", "OCC", "C(O)C", "[CH3][CH2][OH]")} == {"CCO"}
    assert rules.sequences[WRITTEN] == 3  # one was written so


@pytest.mark.parametrize(
    ("one", "other"),
    [("N[C@@H](C)C(=O)O", "N[C@H](C)C(=O)O"), ("F/C=C/F", r"F/C=C\F")],
)
def test_stereochemistry_and_salts_stay(one, other):
    assert written(one) != written(other)
    assert written("[Na+].[Cl-]") == written("[Cl-].[Na+]") and "." in written("[Na+].[Cl-]")
    assert written("[13CH4]") == "[13CH4]"


@pytest.mark.parametrize(
    ("smiles", "what"),
    [
        ("c1ccc", "unclosed ring"),
        ("C(C", "extra open parentheses"),
        ("CC(C)(C)(C)C", "Explicit valence for atom # 1 C, 5, is greater than permitted"),
        ("c1cccc1", "kekulize"),
        ("hello", "syntax error"),
        ("C" * (LONGEST + 1), "over the limit"),
    ],
)
def test_what_is_no_molecule_is_named_with_the_reason(smiles, what):
    with pytest.raises(InputError) as refused:
        written(smiles)
    assert "set.csv: record 'm1' (line 7) is no molecule that RDKit can read" in str(refused.value)
    assert what in str(refused.value)
    assert len(str(refused.value)) < 300


def test_an_empty_molecule_is_refused_whichever_way_it_is_to_be_written():
    for alphabet in (TEXT, CANONICAL):
        with pytest.raises(InputError, match="has no molecule"):
            clean(Record("m1", "", "", 7), alphabet, {}, Rules(), "set.csv")
    assert parsed("") == (None, "it is empty")


def test_as_given_needs_no_rdkit():
    code = (
        "import sys; sys.modules['rdkit'] = None; from seqlm.data import molecules; from seqlm.data.records import *; "
        "from seqlm.data.sequences import clean; "
        "print(clean(Record('m', 'OCC'), TEXT, {}, Rules(), 'x'))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=SCRIPTS, check=True)
    assert done.stdout == "OCC\n"


def test_only_models_of_molecules_read_canonical_smiles():
    protein, molecule = SimpleNamespace(alphabet=PROTEIN), SimpleNamespace(alphabet=TEXT)
    read_canonical(protein, molecule)  # of pairs of a protein and a molecule
    assert (protein.alphabet, molecule.alphabet) == (PROTEIN, CANONICAL)
    with pytest.raises(InputError, match="this one reads protein sequences"):
        read_canonical(protein)
