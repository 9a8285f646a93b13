"""Related sequences by MMseqs2: what is found, that it is always the same, and that mistakes are one line."""

import os
import random
import shutil

import numpy as np
import pytest

from makers.scripts import DATA
from seqlm.cli.errors import InputError
from seqlm.data.sequences import read_records
from seqlm.similarity import mmseqs
from seqlm.similarity.homology import Hits, clusters, nearest, search

needs_mmseqs = pytest.mark.skipif(not shutil.which("mmseqs"), reason="MMseqs2 is not installed; `make envs`")


def hits(*pairs):
    """Hits from (first, second, identity, covered of first, covered of second), both ways round."""
    rows = sorted(
        [*((a, b, i, c, max(c, d)) for a, b, i, c, d in pairs), *((b, a, i, d, max(c, d)) for a, b, i, c, d in pairs)]
    )
    columns = list(zip(*rows, strict=True)) or [()] * 5
    return Hits(
        *(np.asarray(column, kind) for column, kind in zip(columns, (int, int, float, float, float), strict=True))
    )


@pytest.fixture
def families():
    return [record.sequence for record in read_records(DATA / "site_proteins.fasta")]


@needs_mmseqs
def test_members_of_a_family_are_one_cluster_and_single_proteins_have_one_each(tmp_path, families):
    found = clusters(search(families, tmp_path, threads=1), len(families), 0.3, 0.5)
    expected = [
        place // 3 if place < 36 else place - 24 for place in range(len(families))
    ]  # 12 families of 3, 14 single
    assert found.tolist() == expected


@needs_mmseqs
@pytest.mark.slow
def test_the_number_of_threads_changes_nothing(tmp_path, families):
    found = []
    for threads in (1, 2, 3):
        folder = tmp_path / str(threads)
        folder.mkdir()
        found.append(search(families, folder, threads=threads))
    for name in ("first", "second", "identity", "covered", "covered_shorter"):
        assert np.array_equal(getattr(found[0], name), getattr(found[1], name))
        assert np.array_equal(getattr(found[0], name), getattr(found[2], name))
    assert not list((tmp_path / "1").iterdir())  # nothing is left of a search


@needs_mmseqs
def test_the_identity_of_a_gapless_pair_is_the_share_of_equal_letters(tmp_path):
    rng = random.Random(5)
    one = "".join(rng.choices("ACDEFGHIKLMNPQRSTVWY", k=300))
    other = "".join(letter if rng.random() < 0.6 else rng.choice("ACDEFGHIKLMNPQRSTVWY") for letter in one)
    equal = sum(a == b for a, b in zip(one, other, strict=True)) / 300
    found = search([one, other], tmp_path, threads=1)
    assert set(zip(found.first.tolist(), found.second.tolist(), strict=True)) == {(0, 1), (1, 0)}
    assert found.identity.max() == pytest.approx(equal, abs=0.02)
    assert found.covered.min() > 0.9


@needs_mmseqs
def test_dna_is_compared_as_dna_also_on_the_other_strand(tmp_path):
    rng = random.Random(6)
    one = "".join(rng.choices("ACGT", k=200))
    other = "".join(letter if rng.random() < 0.9 else rng.choice("ACGT") for letter in one)
    reverse = other[::-1].translate(str.maketrans("ACGT", "TGCA"))
    unrelated = "".join(rng.choices("ACGT", k=200))
    found = search([one, reverse, unrelated], tmp_path, threads=1, dna=True)
    assert clusters(found, 3, 0.8, 0.5).tolist() == [0, 0, 1]


@needs_mmseqs
def test_peptides_that_mmseqs_does_not_see_are_clustered_by_edit_distance(tmp_path):
    rng = random.Random(7)
    base = ["".join(rng.choices("ACDEFGHIKLMNPQRSTVWY", k=9 + n % 3)) for n in range(20)]
    peptides = [text for each in base for text in (each, each[:2] + "W" + each[3:], each[:-1] + "C")]
    found = search(peptides, tmp_path, threads=1)
    assert clusters(found, 60, 0.3, 0.5).tolist() == [place // 3 for place in range(60)]
    assert found.compared.all()
    assert found.short.all()
    assert sorted(found.by_chance) == [9, 10, 11]


@needs_mmseqs
@pytest.mark.parametrize(
    "unit", ["GPP", *(pytest.param(unit, marks=pytest.mark.slow) for unit in ("Q", "GAGAGS", "KKE"))]
)
def test_proteins_made_of_repeats_find_their_relatives(tmp_path, unit, families):
    repeats = [(unit * 60)[:length] for length in (90, 120, 150)]
    repeats = [text[:20] + "W" + text[21:60] + "L" + text[61:] for text in repeats]
    found = search([*repeats, *families], tmp_path, threads=1)
    numbers = clusters(found, 3 + len(families), 0.3, 0.5).tolist()
    assert numbers[:3] == [0, 0, 0]
    assert 0 not in numbers[3:]
    assert found.compared.all()


@needs_mmseqs
def test_a_sequence_that_does_not_find_itself_was_not_compared(tmp_path, families):
    rng = random.Random(8)
    giant = "".join(rng.choices("ACDEFGHIKLMNPQRSTVWY", k=12_000))  # longer than two alignments
    found = search(["X" * 80, "MKV", giant, *families], tmp_path, threads=1)
    assert found.compared[:3].tolist() == [False, False, False]
    assert found.compared[3:].all()


@needs_mmseqs
def test_proteins_of_the_letters_of_bases_are_compared_as_proteins(tmp_path):
    rng = random.Random(9)
    texts = ["".join(rng.choices("ACGT", k=120)) for _ in range(4)]
    found = search([*texts, texts[0][:50] + "G" + texts[0][51:]], tmp_path, threads=1)
    assert clusters(found, 5, 0.9, 0.5).tolist() == [0, 1, 2, 3, 0]
    assert found.compared.all()


def test_clusters_are_what_pairs_connect_numbered_from_the_first():
    found = hits((3, 1, 0.4, 0.9, 0.9), (1, 4, 0.35, 0.6, 0.3), (0, 2, 0.29, 1.0, 1.0), (5, 0, 0.9, 0.2, 0.45))
    assert clusters(found, 6, 0.3, 0.5).tolist() == [0, 1, 2, 1, 1, 3]
    assert clusters(found, 6, 0.25, 0.5).tolist() == [0, 1, 0, 1, 1, 2]
    assert clusters(found, 6, 0.3, 0.4).tolist() == [0, 1, 2, 1, 1, 0]
    assert clusters(hits(), 3, 0.3, 0.5).tolist() == [0, 1, 2]


def test_the_nearest_training_sequence_counts_where_half_is_covered():
    found = hits((0, 1, 0.4, 0.9, 0.9), (0, 2, 0.8, 0.4, 0.9), (3, 1, 0.6, 0.5, 0.5))
    assert nearest(found, np.asarray([0, 3, 4]), np.asarray([1, 2])).tolist() == pytest.approx([0.4, 0.6, 0.0])
    assert nearest(found, np.asarray([2]), np.asarray([0])).tolist() == pytest.approx([0.8])
    assert nearest(found, np.asarray([1]), np.asarray([1, 2])).tolist() == [1.0]  # a protein on both sides


def fake(tmp_path, monkeypatch, script):
    """A program 'mmseqs' that is a shell script, and the only one to be found."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "mmseqs").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "mmseqs").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}/usr/bin:/bin")


def test_a_missing_program_is_one_sentence_with_its_package(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match="there is no program 'mmseqs'; install the package mmseqs2"):
        search(["MKV" * 20], tmp_path, threads=1)
    assert mmseqs.version() == ""


def test_a_failure_says_the_last_words_of_mmseqs(tmp_path, monkeypatch):
    fake(tmp_path, monkeypatch, "echo working; echo 'Out of memory' >&2; echo; exit 7")
    with pytest.raises(
        InputError, match=r"MMseqs2 failed \(exit status 7\) on 2 sequences; its last words: Out of memory"
    ):
        search(["MKV" * 20, "MKL" * 20], tmp_path, threads=1)


def test_mmseqs_gets_numbers_for_names_and_no_shell(tmp_path, monkeypatch):
    fake(tmp_path, monkeypatch, f'printf "%s\\n" "$@" > {tmp_path}/arguments; cp "$2" {tmp_path}/seen; : > "$4"')
    work = tmp_path / "a folder; with $(signs)"
    work.mkdir()
    found = search(["MKV" * 20, "MKW", "MKL" * 20], work, threads=3)
    assert len(found.first) == 0
    assert (tmp_path / "seen").read_text() == f">0\n{'MKV' * 20}\n>2\n{'MKL' * 20}\n"
    arguments = (tmp_path / "arguments").read_text().splitlines()
    assert arguments[:5] == [
        "easy-search",
        *[str(work / name) for name in ("sequences.fasta",) * 2 + ("hits.tsv", "mmseqs")],
    ]
    assert arguments[-2:] == ["--threads", "3"]
