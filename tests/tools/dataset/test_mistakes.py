"""What the dataset tool cannot do is said in one line."""

import csv
import gzip
import os

import pytest

from makers.scripts import DATA

HEAVY = ("torch", "transformers", "sklearn")
SITES = ["--sequences", DATA / "site_proteins.fasta", "--sites", DATA / "known_sites.tsv"]
MOLECULES = ["--sequences", DATA / "molecules.csv", "--id-column", "name", "--sequence-column", "smiles",
             "--label-column", "toxic"]  # fmt: skip


def table(path):
    with open(path, newline="") as handle:
        return list(csv.DictReader(handle, delimiter="\t"))


MISTAKES = {
    "no input": ([], "no input is given"),
    "even window": ([*SITES, "--window", 32], "a window of 32 has no residue in its middle"),
    "long window": ([*SITES, "--window", 10_003], "10003 is out of range: at least 3 and at most 10001"),
    "no such residue": ([*SITES, "--residues", "W"], "no site is on W; the sites are on S, T, Y"),
    "no letter": ([*SITES, "--residues", "S1"], "'1' is not a residue to look for"),
    "padding": ([*SITES, "--padding", "XX"], "'XX' cannot fill up a window"),
    "padding that no model reads": ([*SITES, "--padding=-"], "'-' cannot fill up a window; use a letter of ACDEF"),
    "same labels": ([*SITES, "--negative-label", "1"], "positives and negatives cannot both have the label '1'"),
    "whole without sites": (["--sequences", DATA / "sites_train.fasta", "--site-context", "protein"],
                            "whole proteins have labels at known sites, and none are given"),
    "whole with words": ([*SITES, "--site-context", "protein", "--positive-label", "site"],
                         "in whole proteins a label is one letter for each residue, other than ?, and 'site' is none"),
    "whole and unknown": ([*SITES, "--site-context", "protein", "--negative-label", "?"], "and '?' is none"),
    "whole of DNA": (["--sequences", DATA / "starts.fasta", "--sites", DATA / "starts.bed", "--site-context",
                      "protein"], "sites on DNA have a strand, which labels of residues cannot say; take windows"),
    "shares": ([*SITES, "--test-fraction", 0.6, "--validation-fraction", 0.4], "leave nothing for training"),
    "no shares": ([*SITES, "--test-fraction", 0, "--validation-fraction", 0], "there is nothing to split"),
    "no negatives": ([*SITES, "--negatives", "given"], "no negatives are given: all sites have the label '1'"),
    "scaffolds of proteins": ([*SITES, "--split", "scaffold"], "a scaffold split is for molecules"),
    "homology of molecules": ([*MOLECULES, "--split", "homology"], "molecules are split by scaffold"),
    "windows of molecules": ([*SITES, "--alphabet", "SMILES"], "molecules have no positions"),
    "group of what": (["--sequences", DATA / "sites_train.fasta", "--split", "group"], "a split by group needs the"),
    "given by what": ([*SITES, "--split", "given"], "a given split needs the column of a table or a pattern"),
    "features": (["--sequences", DATA / "site_proteins.fasta", "--sites", DATA / "known_sites.gff3"],
                 "known_sites.gff3 has several kinds of feature; say which are the sites: Modified residue (117)"),
    "gff alone": (["--sites", DATA / "known_sites.gff3", "--feature", "phospho"], "holds no sequences"),
    "no sites in it": (["--sequences", DATA / "site_proteins.fasta", "--sites", DATA / "stability.csv"],
                       "stability.csv marks no sites"),
    "whole sequences with sites": ([*SITES, "--site-format", "none"], "leave --sites out"),
    "no labels": (["--sequences", DATA / "site_proteins.fasta"], "has no label: the pattern 'LABEL=(\\S+)' is not in"),
    "label column": (["--sequences", DATA / "stability.csv"], "no column 'label' for the label column"),
    "numbers": (["--sequences", DATA / "promoters.tsv", "--labels", "numbers"], "where a number is needed"),
    "pattern": (["--sequences", DATA / "sites_train.fasta", "--group-pattern", "(", "--split", "group"],
                "is not a regular expression"),
    "a class alone": ([f"--class-fasta=x={DATA / 'sites_train.fasta'}"], "one file for each class needs two classes"),
    "classes and sequences": ([*SITES, f"--class-fasta=x={DATA / 'sites_train.fasta'}"],
                              "there is no other file of sequences or sites"),
    "unknown option": ([*SITES, "--windows", 3], "--help lists every option"),
    "no such file": (["--sequences", "nowhere.fasta"], "nowhere.fasta is not a file"),
    "few groups": ([*SITES, "--group-pattern", "synthe(tic)", "--split", "group"],
                   "1 groups cannot be shared among 3 splits"),
}  # fmt: skip


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_one_line_and_leaves_nothing(script, tmp_path, name):
    options, message = MISTAKES[name]
    if "--split" not in options:
        options = [*options, "--split", "stratified"]
    done = script("dataset", *options, "--neighbours", "skip", "--output-train", "train", check=False, without=HEAVY)
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert message in done.stderr
    assert not list((tmp_path / "work").iterdir())


def test_mistakes_in_files_are_one_line_too(script, tmp_path):
    files = {
        "empty.fasta": (b"", "empty.fasta is empty"),
        "cut.fasta.gz": (gzip.compress(b">a LABEL=1\nMKV\n" * 99)[:-9], "the gzip file is cut short"),
        "twice.csv": (b"id,sequence,label\na,MKV,1\na,MKL,0\n", "has the same id as the record on line 2"),
        "no_molecules.csv": (b"id,sequence,label\na,c1cc(,1\nb,C(=,0\n", "none of the 2 sequences is a molecule"),
    }
    for name, (content, message) in files.items():
        (tmp_path / name).write_bytes(content)
        done = script("dataset", "--sequences", tmp_path / name, "--split", "stratified", check=False)
        assert done.returncode == 2, name
        assert message in done.stderr
        assert done.stderr.count("\n") == 1


def test_a_missing_mmseqs_stops_a_homology_split_only(script, tmp_path):
    tools = tmp_path / "bin"
    tools.mkdir()
    env = {**os.environ, "PATH": str(tools)}
    done = script("dataset", *SITES, check=False, env=env)
    assert done.returncode == 2
    assert "there is no program 'mmseqs'; install the package mmseqs2" in done.stderr
    done = script("dataset", *SITES, "--split", "group", "--output-report", "r.md", env=env)
    assert "MMseqs2 is not installed" in done.stderr
    assert "Related sequences were not looked for" in (tmp_path / "work" / "r.md").read_text()


def test_sites_in_a_plain_list_are_refused_in_one_line(script, tmp_path):
    (tmp_path / "sites.txt").write_text("MKTAYIAK\nMSLLTEVE\n")
    proteins = DATA / "site_proteins.fasta"
    options = ["--sites", tmp_path / "sites.txt", "--site-format", "table", "--output-table", "t"]
    done = script("dataset", "--sequences", proteins, *options, check=False)
    assert done.returncode == 2 and "error: sites.txt is a plain list and has no columns" in done.stderr
