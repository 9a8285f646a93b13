"""Properties of single sequences: Biopython's and RDKit's own values, and what is said of sequences that have none."""

import math
import random
import subprocess
import sys
from collections import Counter

import pytest
from Bio.SeqUtils import gc_fraction
from Bio.SeqUtils.ProtParam import ProteinAnalysis
from rdkit import Chem
from rdkit.Chem import QED, Crippen, Descriptors

from makers.scripts import SCRIPTS
from seqlm.data.records import CANONICAL, DNA, PROTEIN, TEXT
from seqlm.tools.generate.properties import columns, describe, dusty, low_entropy, meanings

LETTERS = "ACDEFGHIKLMNPQRSTVWY"
REPEATS = "MASYQNRPGGQATDEYGNPIQQQYDEYGNPMGGGGYGTGGGGGATGGQGYGTGGQGYGSGGQGYGTGGQGYGTGTGTEGFGTGGGARHHGQEQLHKESGGGLGGMLHR"


def described(sequence, alphabet):
    values = describe(sequence, alphabet)
    assert len(values) == len(columns(alphabet))
    return dict(zip(columns(alphabet), values, strict=True))


@pytest.mark.parametrize("seed", range(4))
def test_a_protein_has_the_values_of_biopython(seed):
    rng = random.Random(seed)
    protein = REPEATS if seed == 0 else "".join(rng.choices(LETTERS, k=rng.randint(2, 400)))
    found, own = described(protein, PROTEIN), ProteinAnalysis(protein)
    assert found["length"] == len(protein) and found["nonstandard"] == 0
    assert found["molecular_weight"] == pytest.approx(own.molecular_weight())
    assert found["isoelectric_point"] == pytest.approx(own.isoelectric_point())
    assert found["gravy"] == pytest.approx(own.gravy())
    assert found["instability_index"] == pytest.approx(own.instability_index())
    assert found["aromaticity"] == pytest.approx(own.aromaticity())


def test_letters_that_are_no_standard_amino_acid_are_counted_and_left_out():
    found, without = described("MKXVLAUWBBH", PROTEIN), ProteinAnalysis("MKVLAWH")
    assert (found["length"], found["nonstandard"]) == (11, 4)
    assert found["molecular_weight"] == pytest.approx(without.molecular_weight())
    assert found["isoelectric_point"] == pytest.approx(without.isoelectric_point())
    assert found["gravy"] == pytest.approx(without.gravy())
    assert found["aromaticity"] == pytest.approx(1 / 7)
    # K and V, A and W, W and H are no neighbours: of the index only MK, VL and LA are left
    pairs = sum(2 * ProteinAnalysis(pair).instability_index() / 10 for pair in ("MK", "VL", "LA"))
    assert found["instability_index"] == pytest.approx(10 / 7 * pairs)


@pytest.mark.parametrize("sequence", ["", "X", "XXBZ", "*", "é"])
def test_a_protein_without_a_known_residue_has_no_properties(sequence):
    found = described(sequence, PROTEIN)
    assert (found["length"], found["nonstandard"]) == (len(sequence), len(sequence))
    assert all(math.isnan(value) for name, value in found.items() if name not in ("length", "nonstandard"))


def test_one_residue_has_a_weight_and_no_instability():
    found = described("W", PROTEIN)
    assert found["molecular_weight"] == pytest.approx(204.23, abs=0.01)
    assert found["aromaticity"] == 1
    assert math.isnan(found["instability_index"]) and math.isnan(found["low_complexity"])


def low_entropy_by_hand(sequence):
    covered = set()
    for at in range(len(sequence) - 11):
        window = sequence[at : at + 12]
        shares = [count / 12 for count in Counter(window).values()]
        if -sum(share * math.log2(share) for share in shares) < 2.2 - 1e-12:
            covered.update(range(at, at + 12))
    return len(covered) / len(sequence)


@pytest.mark.parametrize("seed", range(5))
def test_low_complexity_is_what_windows_of_twelve_residues_say(seed):
    rng = random.Random(seed)
    protein = "".join("".join(rng.choices(rng.sample(LETTERS, rng.choice([2, 4, 20])), k=15)) for _ in range(9))
    assert low_entropy(protein) == pytest.approx(low_entropy_by_hand(protein))


def test_a_repeat_is_of_low_complexity_and_a_usual_protein_is_not():
    assert low_entropy("A" * 12) == low_entropy("AQ" * 30) == 1
    assert low_entropy(LETTERS * 5) == 0
    assert low_entropy(LETTERS * 5 + "Q" * 12 + LETTERS * 5) == pytest.approx(12 / 212, abs=0.05)
    assert math.isnan(low_entropy("A" * 11))


def test_dna_has_the_gc_of_biopython_and_other_letters_are_counted():
    rng = random.Random(1)
    sequence = "".join(rng.choices("ACGTN", k=300))
    found = described(sequence, DNA)
    assert found["gc"] == pytest.approx(gc_fraction(sequence, ambiguous="remove"))
    assert (found["length"], found["nonstandard"]) == (300, sequence.count("N"))
    assert math.isnan(described("NNN", DNA)["gc"])
    assert all(math.isnan(described("", DNA)[name]) for name in ("gc", "low_complexity"))


def dust_by_hand(sequence):
    """The definition: perfect intervals by comparing each interval with all within it."""
    triplets = [sequence[at : at + 3] for at in range(len(sequence) - 2)]
    score = {}
    for start in range(len(triplets)):
        for end in range(start + 2, min(start + 62, len(triplets)) + 1):
            counts = Counter(triplets[start:end])
            score[start, end] = sum(n * (n - 1) / 2 for n in counts.values()) / (end - start - 1)
    masked = set()
    for (start, end), value in score.items():
        inner = (score[a, b] for a in range(start, end - 1) for b in range(a + 2, end + 1))
        if value > 2 and value >= max(inner):
            masked.update(range(start, end + 2))
    return len(masked) / len(sequence)


@pytest.mark.parametrize("seed", range(3))
def test_low_complexity_of_dna_is_symmetric_dust_by_its_definition(seed):
    rng = random.Random(seed)
    piece = lambda n: "".join(rng.choices("ACGT", k=n))  # noqa: E731
    sequence = piece(12) + "A" * 9 + piece(8) + "ACG" * 6 + piece(12)
    assert dusty(sequence) == pytest.approx(dust_by_hand(sequence))
    assert 0.1 < dusty(sequence) < 0.8


def test_dust_masks_repeats_of_any_length_and_stops_at_unknown_bases():
    rng = random.Random(2)
    assert dusty("A" * 500) == dusty("CA" * 200) == 1
    assert dusty("".join(rng.choices("ACGT", k=2000))) < 0.02
    assert dusty("AAAA" + "N" * 4 + "AAAA") == 0  # the intervals on either side are too short
    assert dusty("N" * 50) == 0
    assert math.isnan(dusty("AC"))


@pytest.mark.parametrize("alphabet", [TEXT, CANONICAL])
def test_a_molecule_has_the_values_of_rdkit(alphabet):
    aspirin = "O=C(C)Oc1ccccc1C(=O)O"
    found, molecule = described(aspirin, alphabet), Chem.MolFromSmiles(aspirin)
    assert (found["length"], found["valid"], found["canonical"]) == (21, "yes", "CC(=O)Oc1ccccc1C(=O)O")
    assert found["molecular_weight"] == pytest.approx(Descriptors.MolWt(molecule)) == pytest.approx(180.16, abs=0.01)
    assert found["logp"] == pytest.approx(Crippen.MolLogP(molecule)) == pytest.approx(1.31, abs=0.01)
    assert found["tpsa"] == pytest.approx(63.6)
    assert found["rings"] == 1
    assert found["qed"] == pytest.approx(QED.qed(molecule)) == pytest.approx(0.55, abs=0.01)


@pytest.mark.parametrize("smiles", ["", "c1ccc", "C(C)(C)(C)(C)C", "not a molecule", "C" * 6000])
def test_what_is_no_molecule_says_so_without_a_word_of_rdkit(smiles, capfd):
    found = described(smiles, TEXT)
    assert (found["length"], found["valid"], found["canonical"]) == (len(smiles), "no", "")
    assert all(math.isnan(found[name]) for name in ("molecular_weight", "logp", "tpsa", "rings", "qed"))
    assert capfd.readouterr() == ("", "")


def test_every_column_has_its_meaning():
    for alphabet in (PROTEIN, DNA, TEXT, CANONICAL):
        assert list(meanings(alphabet)) == columns(alphabet)
        assert all(meanings(alphabet).values())


def test_neither_biopython_nor_rdkit_is_imported_before_it_is_needed():
    code = (
        "import sys; sys.modules['rdkit'] = sys.modules['Bio'] = None; from seqlm.tools.generate import properties; "
        "print(properties.describe('ACGT', 'DNA')[1])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=SCRIPTS, check=True)
    assert done.stdout == "0.5\n"
