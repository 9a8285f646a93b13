"""Whole sequences and molecules with labels, or without, become sets."""

import csv
import random
import re
import shutil
from collections import Counter, defaultdict

import pytest

from makers.scripts import DATA
from seqlm.data.labels import read_examples
from seqlm.data.records import PROTEIN, Rules
from seqlm.data.sequences import read_records
from seqlm.report.report import GAP

needs_mmseqs = pytest.mark.skipif(not shutil.which("mmseqs"), reason="MMseqs2 is not installed; `make envs`")
MOLECULES = ["--sequences", DATA / "molecules.csv", "--id-column", "name", "--sequence-column", "smiles",
             "--label-column", "toxic"]  # fmt: skip
SETS = ("train", "validation", "test")
QUICK = ["--split", "group", "--neighbours", "skip"]


def table(path):
    with open(path, newline="") as handle:
        return list(csv.DictReader(handle, delimiter="\t"))


def read_set(path):
    return read_examples(path, numeric=False, alphabet=PROTEIN, replacements={}, rules=Rules())


def test_a_table_keeps_its_rows_and_columns(dataset):
    out = dataset("--sequences", DATA / "stability.csv", "--id-column", "name", "--label-column", "melting",
                  "--split", "stratified", "--neighbours", "skip")  # fmt: skip
    original = (DATA / "stability.csv").read_text().replace(",", "\t").splitlines()
    parts = [(out / name).read_text().splitlines() for name in SETS]
    assert {part[0] for part in parts} == {original[0]}
    assert sorted(line for part in parts for line in part[1:]) == sorted(original[1:])
    assert [len(part) - 1 for part in parts] == [56, 8, 16]
    assert "| Value | Smallest | Median | Largest |" in (out / "report.md").read_text().replace(GAP, "")


def test_equal_sequences_stay_together_where_a_split_is_stratified(dataset, tmp_path):
    rng = random.Random(2)
    lines = [f"s{n}\t{''.join(rng.choices('ACDEFGHIKL', k=3))}\t{n % 2}\n" for n in range(800)]
    (tmp_path / "t.tsv").write_text("id\tsequence\tlabel\n" + "".join(lines))
    rows = table(
        dataset("--sequences", tmp_path / "t.tsv", "--split", "stratified", "--neighbours", "skip") / "all.tsv"
    )
    where = defaultdict(set)
    for row in rows:
        where[row["sequence"]].add(row["split"])
    assert len(where) < 600
    assert all(len(splits) == 1 for splits in where.values())


def test_groups_come_from_headers_and_columns(dataset, tmp_path):
    text = "".join(f">f{n // 4}_{n} LABEL={n % 2}\n{'MKV' + 'ACDEFGHIKLMNPQRSTVWY'[n % 20]}\n" for n in range(80))
    (tmp_path / "g.fasta").write_text(text)
    out = dataset("--sequences", tmp_path / "g.fasta", "--group-pattern", r"^(f\d+)_", *QUICK)
    where = defaultdict(set)
    for row in table(out / "all.tsv"):
        assert row["cluster"] == row["id"].split("_")[0]
        where[row["cluster"]].add(row["split"])
    assert len(where) == 20
    assert all(len(splits) == 1 for splits in where.values())
    assert (out / "train").read_text().startswith(">f")
    assert " LABEL=" in (out / "train").read_text()


def test_a_given_split_is_taken_and_measured(dataset, tmp_path):
    rng = random.Random(3)
    texts = ["".join(rng.choices("ACDEFGHIKLMNPQRSTVWY", k=31)) for _ in range(60)]
    texts[50] = texts[0]
    rows = [f"s{n},{text},{n % 2},{'train' if n < 40 else 'test'}\n" for n, text in enumerate(texts)]
    (tmp_path / "g.csv").write_text("id,sequence,label,set\n" + "".join(rows))
    out = dataset(
        "--sequences", tmp_path / "g.csv", "--split", "given", "--split-column", "set", "--neighbours", "skip"
    )
    assert [row["split"] for row in table(out / "all.tsv")] == ["train"] * 40 + ["test"] * 20
    assert (out / "validation").read_text() == "id\tsequence\tlabel\tset\n"
    report = (out / "report.md").read_text().replace(GAP, "")
    assert "| have the same sequence as a training example | 5 % (0.89 to 24) |" in report
    assert "**The test set is not independent" in report


def test_molecules_are_split_by_scaffold_and_a_broken_one_is_named(dataset):
    out = dataset(*MOLECULES, "--split", "scaffold")
    rows = table(out / "all.tsv")
    where = defaultdict(set)
    for row in rows[:-1]:
        where[row["cluster"]].add(row["split"])
    assert all(len(splits) == 1 for splits in where.values())
    assert where["c1ccccc1"] == {"train"}
    assert rows[-1]["id"] == "broken"
    assert rows[-1]["split"] == "left out"
    assert sum(len((out / name).read_text().splitlines()) - 1 for name in SETS) == 72
    report = (out / "report.md").read_text().replace(GAP, "")
    assert "SMILES that cannot be read, left out of every split: 1." in report
    assert "Left out were broken." in report
    assert "are of a scaffold that has training examples too | 0 % (0 to 26) | 0 % (0 to 26) |" in report
    assert "molecules (SMILES)" in report
    acyclic = [row["id"] for row in rows if row["cluster"] == "acyclic"]
    assert where["acyclic"] == {"train"}
    text = f"Molecules without a ring count as one scaffold; all {len(acyclic)} are in the train set."
    assert f"the largest for training (as MoleculeNet does). {text}" in report


def test_scaffolds_can_be_split_with_each_class_in_proportion(dataset):
    out = dataset(*MOLECULES, "--split", "scaffold", "--scaffolds", "balanced")
    rows = [row for row in table(out / "all.tsv") if row["split"] in SETS]
    assert Counter(row["split"] for row in rows) == {"train": 49, "validation": 8, "test": 15}  # of 72: 50.4, 7.2, 14.4
    report = (out / "report.md").read_text().replace(GAP, "")
    assert "whole scaffolds on one side, each class in proportion." in report
    assert "are of a scaffold that has training examples too | 0 %" in report


def test_equal_molecules_with_different_labels_are_named(dataset, tmp_path):
    text = (DATA / "molecules.csv").read_text() + "kekule,C1=CC=CC=C1O,1\n"  # the first of the table, labelled 0
    (tmp_path / "m.csv").write_text(text)
    out = dataset("--sequences", tmp_path / "m.csv", "--id-column", "name", "--sequence-column", "smiles",
                  "--label-column", "toxic", "--split", "stratified")  # fmt: skip
    report = (out / "report.md").read_text().replace(GAP, "")
    assert re.search(r"Equal molecules with different labels: 6, synthetic\\?_00 for one", report)  # 5 without it


def test_molecules_are_recognised_without_being_told(dataset):
    report = (dataset(*MOLECULES, "--split", "stratified") / "report.md").read_text()
    assert "have a training molecule 60 % alike" in report


@needs_mmseqs
def test_whole_sequences_without_labels_are_split_by_homology(dataset):
    out = dataset("--sequences", DATA / "site_proteins.fasta", "--labels", "none", "--site-format", "none")
    rows = table(out / "all.tsv")
    where = defaultdict(set)
    for place, row in enumerate(rows[:36]):
        where[place // 3].add(row["split"])
    assert all(len(splits) == 1 for splits in where.values())
    assert "are of a cluster that has training examples too" in (out / "report.md").read_text().replace(GAP, "")


def fasta_of(path, texts):
    path.write_text("".join(f">s{n} GROUP={n // 4} LABEL={n % 2}\n{text}\n" for n, text in enumerate(texts)))
    return path


def test_labels_with_blanks_can_be_read_back_from_fasta(dataset, tmp_path):
    (tmp_path / "p.fasta").write_text("".join(f">p{n}\nM{'ACDEFGHIKL'[n]}YGGSAKW\n" for n in range(10)))
    rows = "".join(f"p{n}\t3\tkinase {'AB'[n % 2]}\n" for n in range(10))
    (tmp_path / "s.tsv").write_text("protein\tposition\tlabel\n" + rows)
    out = dataset("--sequences", tmp_path / "p.fasta", "--sites", tmp_path / "s.tsv", "--window", 15, "--negatives",
                  "given", *QUICK)  # fmt: skip
    assert {example.label for example in read_set(out / "train")} == {"kinase_A", "kinase_B"}
    assert {row["label"] for row in table(out / "all.tsv")} == {"kinase A", "kinase B"}
    assert "labels with blanks, which are underscores in FASTA: 10." in (out / "report.md").read_text().replace(GAP, "")


def test_a_fasta_for_each_class_becomes_labelled_sets(dataset):
    files = {"in the family": DATA / "protein_family.fasta", "other": DATA / "other_proteins.fasta"}
    out = dataset(*(f"--class-fasta={name}={path}" for name, path in files.items()), "--split", "stratified",
                  "--neighbours", "skip")  # fmt: skip
    rows = table(out / "all.tsv")
    assert Counter(row["label"] for row in rows) == {"in the family": 160, "other": 60}
    assert {example.label for example in read_set(out / "test")} == {"in_the_family", "other"}
    assert {row["id"] for row in rows if row["label"] == "other"} == {one.id for one in read_records(files["other"])}
    assert "of the class 'other', read from other_proteins.fasta: 60 sequences" in (
        (out / "report.md").read_text().replace(GAP, "").replace("\\", "")
    )
