"""Equal and near duplicates by MMseqs2 and RDKit: what is found, what is not, and that it is always the same."""

import math
import os
import random
import shutil

import numpy as np
import pytest
from rdkit import Chem, DataStructs
from rdkit.Chem import rdFingerprintGenerator

from seqlm.cli.errors import InputError
from seqlm.data.records import CANONICAL, DNA, PROTEIN, TEXT
from seqlm.similarity import duplicates, fingerprints
from seqlm.similarity.duplicates import UNREADABLE, Reference, find
from seqlm.similarity.mmseqs import SHORTEST

needs_mmseqs = pytest.mark.skipif(not shutil.which("mmseqs"), reason="MMseqs2 is not installed; `make envs`")
LETTERS = "ACDEFGHIKLMNPQRSTVWY"


def random_sequence(length, seed, letters=LETTERS):
    return "".join(random.Random(seed).choices(letters, k=length))


def changed(sequence, share, seed, letters=LETTERS):
    """The sequence with this share of its letters replaced, never the first and the last ten."""
    rng, text = random.Random(seed), list(sequence)
    for place in rng.sample(range(10, len(text) - 10), round(share * len(text))):
        text[place] = rng.choice([letter for letter in letters if letter != text[place]])
    return "".join(text)


@pytest.fixture
def compare(tmp_path):
    """Compare sequences, named s0, s1, …, with a reference file of records r0, r1, …"""

    def run(sequences, alphabet=PROTEIN, reference=None, names=None, **options):
        work = tmp_path / "work"
        work.mkdir(exist_ok=True)
        if reference is not None:
            path = tmp_path / "reference.fasta"
            names = names or [f"r{place}" for place in range(len(reference))]
            path.write_text("".join(f">{name} x\n{text}\n" for name, text in zip(names, reference, strict=True)))
            reference = Reference(path)
        ids = [f"s{place}" for place in range(len(sequences))]
        found = find(ids, sequences, alphabet, work, reference=reference, **{"threads": 1, **options})
        assert len(found.rows) == len(sequences)
        assert not list(work.iterdir())  # nothing is left
        return found

    return run


def test_equal_sequences_are_named_by_the_first_one(compare):
    found = compare(["MKV", "MKL", "MKV", "mkv", "", "MKL"], near=False)
    assert [row.duplicate_of for row in found.rows] == ["", "", "s0", "s0", "", "s1"]
    assert [row.cluster for row in found.rows] == [1, 2, 1, 1, 3, 2]
    assert (found.distinct, found.clusters, found.clustered, found.method) == (3, 3, False, "")
    assert found.reference is None and all(row.nearest == "" for row in found.rows)
    assert compare([], near=False).rows == []


def test_equal_sequences_of_the_reference_are_found_without_mmseqs(compare, monkeypatch):
    monkeypatch.setenv("PATH", "")
    found = compare(["MKV", "MKL", "MKV"], reference=["MKW", "mkv", "MKV*", "A"], near=False)
    assert [row.in_reference for row in found.rows] == ["r1", "", "r1"]
    assert (found.rows[0].nearest, found.rows[0].identity, found.rows[0].coverage) == ("r1", 1.0, 1.0)
    assert math.isnan(found.rows[0].bits)
    assert (found.recited, found.reference, found.reference_too_short) == (2, 4, 4)
    assert found.rules.sequences == {"lower case read as upper case": 1, "stop (*) at the end dropped": 1}


@needs_mmseqs
def test_a_changed_copy_is_near_its_original_and_a_random_sequence_near_none(compare):
    one, two, three = (random_sequence(200, seed) for seed in (1, 2, 3))
    five, twenty = changed(one, 0.05, 4), changed(two, 0.20, 5)
    found = compare([five, one, random_sequence(200, 6), twenty, two, five[:90]], reference=[three, two, one])
    near = [row.nearest for row in found.rows]
    assert near == ["r2", "r2", "", "r1", "r1", "r2"]
    assert found.rows[0].identity == pytest.approx(0.95, abs=0.0006)
    assert found.rows[3].identity == pytest.approx(0.80, abs=0.02)
    assert found.rows[0].coverage == found.rows[5].coverage == 1
    assert found.rows[0].bits > found.rows[3].bits > found.rows[5].bits > 50
    assert found.rows[0].expected < 1e-30
    assert [row.in_reference for row in found.rows] == ["", "r2", "", "", "r1", ""]
    assert (found.rows[1].identity, found.rows[1].coverage) == (1.0, 1.0) and found.rows[1].bits > 300
    assert math.isnan(found.rows[2].identity) and math.isnan(found.rows[2].bits)
    # 95 % is near, 80 % is not; a piece of one is near what it is a piece of
    assert [row.cluster for row in found.rows] == [1, 1, 2, 3, 4, 1]
    assert (found.distinct, found.clusters, found.clustered) == (6, 4, True)
    assert found.method.startswith("MMseqs2 ")
    assert (found.too_short, found.too_long) == (0, 0)


@needs_mmseqs
def test_thresholds_decide_what_is_near(compare):
    one = random_sequence(200, 1, "ACGT")
    sequences = [one, changed(one, 0.15, 2, "ACGT"), one[:100] + random_sequence(150, 3, "ACGT")]
    strict = compare(sequences, DNA)
    assert [row.cluster for row in strict.rows] == [1, 2, 3]
    loose = compare(sequences, DNA, identity=0.8)
    assert [row.cluster for row in loose.rows] == [1, 1, 2]
    looser = compare(sequences, DNA, identity=0.8, coverage=0.4)
    assert [row.cluster for row in looser.rows] == [1, 1, 1]


@needs_mmseqs
def test_repeats_and_unknown_letters_are_compared_too(compare):
    repeat = "GGGGSGGGGS" * 6
    sequences = ["A" * 80, "A" * 79, repeat, repeat[3:], "X" * 40, random_sequence(50, 1) + "*>\n"]
    found = compare(sequences, reference=["A" * 80, "X" * 40])
    assert [row.cluster for row in found.rows] == [1, 1, 2, 2, 3, 4]
    assert [row.in_reference for row in found.rows] == ["r0", "", "", "", "r1", ""]


@needs_mmseqs
def test_sequences_too_short_for_words_are_compared_with_each_other_and_counted(compare):
    long = random_sequence(60, 1)
    found = compare(["MKV", "", long, long[:13], "MKV", "MKW"], reference=[long, "MKV", "A"])
    assert [row.nearest for row in found.rows] == ["r1", "", "r0", "", "r1", ""]
    assert [row.cluster for row in found.rows] == [1, 2, 3, 3, 1, 4]  # a piece belongs to its whole
    assert (found.too_short, found.reference_too_short) == (5, 0)
    only = compare(["MKV", "MKL"], reference=["MKV", "MKW"])
    assert [row.in_reference for row in only.rows] == ["r0", ""]
    assert only.too_short == 2
    alone = compare([long], reference=["MKV"])
    assert (alone.rows[0].nearest, alone.reference_too_short) == ("", 1)


def test_peptides_that_differ_in_a_letter_are_near_duplicates_and_have_a_nearest(compare):
    known = [random_sequence(11, seed) for seed in range(300)]
    close = ["W" + known[7][1:], known[7][:-1] + "W", "".join(sorted(random_sequence(11, 999)))]
    found = compare([*close, known[5]], reference=known)
    assert [row.nearest for row in found.rows] == ["r7", "r7", "", "r5"]
    assert [row.identity for row in found.rows[:2]] == pytest.approx([10 / 11, 10 / 11])
    assert (found.rows[0].coverage, found.rows[3].identity, found.too_short) == (1.0, 1.0, 4)
    assert math.isnan(found.rows[0].bits)
    near = compare(["W" + known[7][1:], known[7], known[9]], identity=0.85)
    assert [row.cluster for row in near.rows] == [1, 1, 2]


@needs_mmseqs
@pytest.mark.slow
def test_a_protein_of_repeats_has_a_nearest_too(compare):
    repeat, others = "GPP" * 40, [random_sequence(120, seed) for seed in range(5)]
    copy = repeat[:30] + "A" + repeat[31:60] + "S" + repeat[61:]
    found = compare([copy, random_sequence(120, 9)], reference=[*others, repeat])
    assert [row.nearest for row in found.rows] == ["r5", ""]
    assert found.rows[0].identity == pytest.approx(118 / 120, abs=0.001)


@needs_mmseqs
@pytest.mark.parametrize("alphabet", [PROTEIN, DNA])
def test_the_shortest_sequences_that_are_compared_are_found(compare, alphabet):
    letters, length = {PROTEIN: LETTERS, DNA: "ACGT"}[alphabet], SHORTEST[alphabet == DNA]
    short = [random_sequence(length, seed, letters) for seed in range(5)]
    long = [random_sequence(100, 10 + seed, letters) + text + "A" for seed, text in enumerate(short)]
    found = compare(short, alphabet, long)
    assert [row.nearest for row in found.rows] == [f"r{place}" for place in range(5)]


@needs_mmseqs
def test_dna_is_compared_as_dna_and_on_both_strands(compare):
    one, two = (random_sequence(200, seed, "ACGT") for seed in (1, 2))
    five = changed(one, 0.05, 3, "ACGT")
    reverse = five[::-1].translate(str.maketrans("ACGT", "TGCA"))
    around = random_sequence(70_000, 4, "ACGT")
    unrelated = random_sequence(200, 5, "ACGT")
    found = compare([five, reverse, unrelated, "ACGTACGT"], DNA, [two, around + one + around])
    assert [row.nearest for row in found.rows] == ["r1", "r1", "", ""]
    assert [row.identity for row in found.rows[:2]] == pytest.approx([0.95, 0.95], abs=0.0006)
    assert [row.cluster for row in found.rows] == [1, 1, 2, 3]
    assert found.too_short == 1


@needs_mmseqs
def test_threads_and_names_of_the_reference_change_nothing(compare):
    base = [random_sequence(120, seed, "ACGT") for seed in range(6)]
    sequences = [changed(base[seed % 6], 0.05, seed, "ACGT") for seed in range(12)]
    names = ["a,b", "-v", "$(id)", "r|s", "0", "1"]
    one = compare(sequences, DNA, base, names)
    assert [row.nearest for row in one.rows] == names * 2
    for threads in (2, 0):
        again = compare(sequences, DNA, base, names, threads=threads)
        assert list(map(str, again.rows)) == list(map(str, one.rows))


def test_a_reference_of_another_kind_is_refused(compare):
    with pytest.raises(InputError, match="has 'E' at position 1; is this a protein"):
        compare(["ACGT"], DNA, ["EEEE"], near=False)
    with pytest.raises(InputError, match="holds DNA"):
        compare(["MKV"], PROTEIN, ["ACGT" * 20], near=False)


def test_a_missing_program_is_said_before_anything_is_read(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match="there is no program 'mmseqs'; install the package mmseqs2"):
        find(["s"], ["MKV"], PROTEIN, tmp_path, reference=Reference(tmp_path / "missing.fasta"))


def test_a_failure_says_the_last_words_of_mmseqs(tmp_path, monkeypatch):
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "mmseqs").write_text("#!/bin/sh\necho working; echo 'Out of memory' >&2; exit 7\n")
    (folder / "mmseqs").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}/usr/bin:/bin")
    with pytest.raises(InputError, match=r"failed \(exit status 7\) on 2 sequences; its last words: Out of memory"):
        find(["a", "b"], ["MKV" * 10, "MKL" * 10], PROTEIN, tmp_path)


MOLECULES = ["CC(=O)Oc1ccccc1C(=O)O", "CCO", "O=C(C)Oc1ccccc1C(O)=O", "c1ccc", "OCC", "c1ccc", "CCCCCCCCCCO"]
KNOWN = ["CCCO", "C(C)O", "CC(=O)Oc1ccccc1C(=O)OC", "c1ccccc1", "not one", "CCCCCCCCCO"]


def tanimoto(one, other):
    make = rdFingerprintGenerator.GetMorganGenerator(radius=2, fpSize=2048)
    return DataStructs.TanimotoSimilarity(*(make.GetFingerprint(Chem.MolFromSmiles(text)) for text in (one, other)))


@pytest.mark.parametrize("alphabet", [TEXT, CANONICAL])
def test_molecules_are_equal_whichever_way_they_are_written(compare, alphabet):
    found = compare(MOLECULES, alphabet, KNOWN)
    assert [row.duplicate_of for row in found.rows] == ["", "", "s0", "", "s1", "s3", ""]
    assert [row.in_reference for row in found.rows] == ["", "r1", "", "", "r1", "", ""]
    assert (found.distinct, found.too_short, found.reference_too_short) == (4, 2, 1)
    assert found.rules.sequences == {UNREADABLE: 1}
    assert found.method.startswith("RDKit ")


def test_the_nearest_molecule_is_the_one_with_the_highest_tanimoto_similarity(compare, monkeypatch):
    readable = [text for text in KNOWN if text != "not one"]
    for chunk in (2_048, 2):
        monkeypatch.setattr(fingerprints, "CHUNK", chunk)
        found = compare(MOLECULES, TEXT, KNOWN)
        for text, row in zip(MOLECULES, found.rows, strict=True):
            if text == "c1ccc":
                assert (row.nearest, math.isnan(row.identity)) == ("", True)
                continue
            alike = [tanimoto(text, other) for other in readable]
            assert row.nearest == f"r{KNOWN.index(readable[int(np.argmax(alike))])}"
            assert row.identity == pytest.approx(max(alike))
            assert math.isnan(row.coverage) and math.isnan(row.bits)


def test_molecules_are_clustered_by_similarity(compare, monkeypatch):
    found = compare(MOLECULES, TEXT)  # fingerprints know no chain lengths beyond some atoms
    assert [row.cluster for row in found.rows] == [1, 2, 1, 3, 2, 3, 4]
    chains = ["C" * 20, "CCO", "C" * 25, "CCN", "C" * 30, "CCCO"]
    for chunk in (2_048, 2):
        monkeypatch.setattr(fingerprints, "CHUNK", chunk)
        found = compare(chains, TEXT)
        assert [row.cluster for row in found.rows] == [1, 2, 1, 3, 1, 4]
        assert found.clustered
    monkeypatch.setattr(duplicates, "MOST_CLUSTERED", 5)
    found = compare(chains, TEXT)
    assert (found.clusters, found.clustered) == (6, False)  # too many to compare each with each


def test_a_table_of_molecules_is_a_reference_too(tmp_path):
    table = tmp_path / "known.csv"
    table.write_text("name,smiles\nethanol,OCC\nwater,O\n")
    known = Reference(table, id_column="name", sequence_column="smiles")
    found = find(["a", "b"], ["CCO", "CCCO"], TEXT, tmp_path, reference=known)
    assert [row.in_reference for row in found.rows] == ["ethanol", ""]
    assert found.rows[1].nearest == "ethanol"
    assert found.rows[1].identity == pytest.approx(tanimoto("CCCO", "CCO"))
