"""The dataset tool as Galaxy calls it: every form of input, every split, the report, and mistakes in one line."""

import csv
import random
import re
import shutil
from collections import Counter, defaultdict

import numpy as np
import pytest
from Bio.Seq import Seq
from scipy.stats import chi2_contingency

from makers.scripts import DATA
from seqlm.data.labels import read_examples
from seqlm.data.records import PROTEIN, Rules
from seqlm.data.residue_labels import ResidueReader
from seqlm.data.sequences import read_records
from seqlm.report.report import GAP
from seqlm.tools.dataset.figures import _differences

needs_mmseqs = pytest.mark.skipif(not shutil.which("mmseqs"), reason="MMseqs2 is not installed; `make envs`")
SITES = ["--sequences", DATA / "site_proteins.fasta", "--sites", DATA / "known_sites.tsv"]
MOLECULES = ["--sequences", DATA / "molecules.csv", "--id-column", "name", "--sequence-column", "smiles",
             "--label-column", "toxic"]  # fmt: skip
QUICK = ["--split", "group", "--neighbours", "skip"]
SETS = ("train", "validation", "test")


def table(path):
    with open(path, newline="") as handle:
        return list(csv.DictReader(handle, delimiter="\t"))


def read_set(path):
    return read_examples(path, numeric=False, alphabet=PROTEIN, replacements={}, rules=Rules())


@needs_mmseqs
def test_windows_with_a_homology_split_are_ready_for_fine_tuning(dataset):
    out = dataset(*SITES)
    rows = table(out / "all.tsv")
    proteins = {record.id: record.sequence for record in read_records(DATA / "site_proteins.fasta")}
    for row in rows:
        padded = "X" * 16 + proteins[row["protein"]] + "X" * 16
        at = int(row["position"]) - 1
        assert row["sequence"] == padded[at : at + 33]
        assert row["residue"] == row["sequence"][16]
        assert row["id"] == f"{row['protein']}|{row['residue']}{row['position']}"
    for name in SETS:
        assert [(example.id, example.sequence, example.label) for example in read_set(out / name)] == [
            (row["id"], row["sequence"], row["label"]) for row in rows if row["split"] == name
        ]
    sites = {(row["protein"], row["position"]) for row in table(DATA / "known_sites.tsv")}
    assert {(row["protein"].split("|")[1], row["position"]) for row in rows if row["label"] == "1"} == sites
    # proteins come in families of three; one family is one cluster and on one side
    where, cluster = defaultdict(set), defaultdict(set)
    for row in rows:
        number = int(row["protein"][4:9]) - 1
        family = number // 3 if number < 36 else number
        where[family].add(row["split"])
        cluster[row["cluster"]].add(family)
    assert all(len(found) == 1 for found in [*where.values(), *cluster.values()])
    counts = Counter(row["split"] for row in rows)
    assert {name: counts[name] / len(rows) for name in SETS} == pytest.approx(
        {"train": 0.7, "validation": 0.1, "test": 0.2}, abs=0.03
    )
    report = (out / "report.md").read_text().replace(GAP, "")
    assert "**The test set is independent of the training set" in report
    assert "MMseqs2 " in report


@needs_mmseqs
@pytest.mark.parametrize("split", ["homology", "group", "random"])
def test_whole_proteins_have_the_same_sites_as_labels_of_their_residues(dataset, split):
    out = dataset(*SITES, "--split", split, "--site-context", "protein", name="whole")
    rows = table(out / "all.tsv")
    whole = {record.id: record.sequence for record in read_records(DATA / "site_proteins.fasta")}
    if split != "random":
        of_windows = table(dataset(*SITES, "--split", split, name="windows") / "all.tsv")
        assert rows == of_windows  # of the same split, with the window that each is compared by
    found = {}
    for name in SETS:
        reader = ResidueReader(numeric=False, alphabet=PROTEIN, replacements={}, rules=Rules())
        examples = reader.read(out / name)
        names = list(reader.classes)
        assert [example.sequence for example in examples] == [whole[example.id] for example in examples]
        for example in examples:
            for at in np.flatnonzero(example.label >= 0).tolist():
                found[example.id, str(at + 1)] = (names[example.label[at]], name)
    assert found == {(row["protein"], row["position"]): (row["label"], row["split"]) for row in rows}
    where = defaultdict(set)
    for row in rows:
        where[row["protein"]].add(row["split"])
    assert all(len(splits) == 1 for splits in where.values()) and len({row["split"] for row in rows}) == 3
    report = (out / "report.md").read_text().replace(GAP, "")
    assert f"{len(rows)} sites in {len(where)} whole proteins" in report and "tears" not in report


@pytest.mark.slow
@needs_mmseqs
def test_the_same_seed_gives_the_same_bytes_with_any_number_of_threads(dataset):
    one, two, other = (
        dataset(*SITES, "--threads", threads, "--seed", seed, name=f"{threads}_{seed}", new=threads == 1)
        for threads, seed in ((1, 42), (2, 42), (2, 7))
    )
    names = sorted(path.relative_to(one) for path in one.rglob("*") if path.is_file())
    assert len(names) == 9
    for name in names:
        assert (one / name).read_bytes() == (two / name).read_bytes(), name
    assert (one / "test").read_bytes() != (other / "test").read_bytes()


@pytest.mark.parametrize(
    "options",
    [
        [*SITES],
        ["--sequences", DATA / "site_proteins.fasta", "--sites", DATA / "known_sites.gff3", "--feature", "phospho"],
        ["--sequences", DATA / "site_lists.csv"],
    ],
    ids=["table", "gff", "lists"],
)
def test_every_form_of_the_same_sites_gives_the_same_positives(dataset, options):
    rows = table(dataset(*options, *QUICK) / "all.tsv")
    accession = lambda name: name.split("|")[1] if "|" in name else name  # noqa: E731
    found = {(accession(row["protein"]), row["position"]) for row in rows if row["label"] == "1"}
    assert found == {(row["protein"], row["position"]) for row in table(DATA / "known_sites.tsv")}
    where = defaultdict(set)
    for row in rows:
        where[row["protein"]].add(row["split"])
    assert all(len(splits) == 1 for splits in where.values())


def test_marked_sequences_and_uniprot_text_give_windows_too(dataset):
    rows = table(dataset("--sequences", DATA / "annotated_sites.fasta", *QUICK, name="a") / "all.tsv")
    assert {row["residue"] for row in rows} == {"Y"}
    rows = table(dataset("--sites", DATA / "known_sites.txt", "--residues", "Y", *QUICK, name="b") / "all.tsv")
    assert Counter(row["label"] for row in rows) == {"1": 8, "0": 8}


def test_given_negatives_are_those_of_the_table(dataset):
    rows = table(dataset("--sequences", DATA / "site_lists.csv", "--negatives", "given", *QUICK) / "all.tsv")
    expected = set()
    with (DATA / "site_lists.csv").open() as handle:
        for row in csv.DictReader(handle):
            expected |= {(row["protein"], at) for at in re.findall(r"\d+", row["negative_positions"])}
    assert {(row["protein"], row["position"]) for row in rows if row["label"] == "0"} == expected


def test_windows_of_dna_are_filled_with_n_and_read_on_the_strand_of_their_site(dataset, tmp_path):
    rng = random.Random(5)
    genome = {f"c{n}": "".join(rng.choices("ACGT", k=60)) for n in range(12)}
    (tmp_path / "d.fasta").write_text("".join(f">{name}\n{dna}\n" for name, dna in genome.items()))
    (tmp_path / "s.bed").write_text("".join(f"{name}\t{at}\t{at + 1}\tx\t0\t{'+-'[at % 2]}\n"
                                            for name in genome for at in (0, 21, 40, 59)))  # fmt: skip
    out = dataset("--sequences", tmp_path / "d.fasta", "--sites", tmp_path / "s.bed", "--window", 9, *QUICK)
    rows = table(out / "all.tsv")
    assert {row["strand"] for row in rows} == {"+", "-"}
    for row in rows:
        window = ("NNNN" + genome[row["protein"]] + "NNNN")[int(row["position"]) - 1 :][:9]
        assert row["sequence"] == (str(Seq(window).reverse_complement()) if row["strand"] == "-" else window)
    sites = {(row["protein"], int(row["position"]), row["strand"]) for row in rows if row["label"] == "1"}
    assert sites == {(name, at + 1, "+-"[at % 2]) for name in genome for at in (0, 21, 40, 59)}
    assert "read as positions from 1: 48." in (out / "report.md").read_text().replace(GAP, "")


def test_sites_that_do_not_fit_and_columns_that_nobody_reads_are_in_the_report(dataset, tmp_path):
    rows = (DATA / "known_sites.tsv").read_text().splitlines()
    lines = [f"{row}\t{'score' if at == 0 else '0.5'}" for at, row in enumerate(rows)]
    (tmp_path / "s.tsv").write_text("\n".join([*lines, "T00001\t900\tY\t1", "T00001\t9\tS\t1", "Q1\t3\tY\t1", ""]))
    sites = ["--sequences", DATA / "site_proteins.fasta", "--sites", tmp_path / "s.tsv"]
    out = dataset(*sites, "--misfits", "leave-out", *QUICK)
    report = (out / "report.md").read_text().replace(GAP, "")
    assert "3 sites left out that cannot be read or do not fit, the first being" in report
    for line in ("left out, beyond the end of their protein: 1 site.", "column 'score' not read: 120 rows.",
                 "left out, on proteins without a sequence: 1 site."):  # fmt: skip
        assert line in report
    assert table(out / "all.tsv") == table(dataset(*SITES, *QUICK, name="same") / "all.tsv")


def test_kinds_of_sites_are_listed_with_their_numbers(dataset):
    gff = ["--sequences", DATA / "site_proteins.fasta", "--sites", DATA / "known_sites.gff3", "--feature", "phospho"]
    out = dataset(*gff, *QUICK)
    counts = Counter(row["residue"] for row in table(out / "all.tsv") if row["label"] == "1")
    report = (out / "report.md").read_text().replace(GAP, "")
    for residue, name in {"Y": "tyrosine", "S": "serine", "T": "threonine"}.items():
        assert f"| Modified residue: Phospho{name} | {counts[residue]} |" in report


def test_a_row_for_each_site_may_hold_its_sequence_and_its_label(dataset, tmp_path):
    with (DATA / "site_lists.csv").open() as handle:
        proteins = list(csv.DictReader(handle))
    expected = {
        (row["protein"], at, label)
        for row in proteins
        for label, name in (("1", "positive_positions"), ("0", "negative_positions"))
        for at in re.findall(r"\d+", row[name])
    }
    sequences = {row["protein"]: row["sequence"] for row in proteins}
    lines = [f"{name},{sequences[name]},{at},{label}\n" for name, at, label in sorted(expected)]
    (tmp_path / "s.csv").write_text("protein,sequence,position,label\n" + "".join(lines))
    rows = table(dataset("--sequences", tmp_path / "s.csv", "--negatives", "given", *QUICK) / "all.tsv")
    assert {(row["protein"], row["position"], row["label"]) for row in rows} == expected


def test_a_random_split_of_windows_is_called_what_it_is(dataset):
    out = dataset(*SITES, "--split", "random", "--neighbours", "skip")
    report = (out / "report.md").read_text().replace(GAP, "")
    assert "**The test set is not independent of the training set: scores on it will be too good.**" in report
    assert "A random split puts windows of one protein" in report
    assert "the search was switched off" in report
    (line,) = re.findall(r"are of a protein that has training examples too \| .*", report)
    assert float(re.findall(r"\| (\d+) %", line)[1]) > 80


@needs_mmseqs
def test_proteins_too_long_for_an_alignment_are_warned_about(dataset, tmp_path):
    rng = random.Random(4)
    texts = ["".join(rng.choices("ACDEFGHIKLMNPQRSTVWY", k=length)) for length in (12_000, *[100] * 29)]
    (tmp_path / "l.fasta").write_text("".join(f">s{n}\n{text}\n" for n, text in enumerate(texts)))
    out = dataset("--sequences", tmp_path / "l.fasta", "--labels", "none", "--split", "stratified")
    assert "Sequences longer than 11,200 letters: 1." in (out / "report.md").read_text().replace(GAP, "")


def fasta_of(path, texts):
    path.write_text("".join(f">s{n} GROUP={n // 4} LABEL={n % 2}\n{text}\n" for n, text in enumerate(texts)))
    return path


@needs_mmseqs
@pytest.mark.parametrize(("split", "apart"), [("homology", True), ("group", True), ("random", False)])
def test_variants_of_a_peptide_stay_together_or_the_verdict_says_so(dataset, tmp_path, split, apart):
    rng = random.Random(5)
    base = ["".join(rng.choices("ACDEFGHIKLMNPQRSTVWY", k=rng.choice([8, 9, 10]))) for _ in range(30)]
    texts = [text for each in base for text in (each, "W" + each[1:], each[:4] + "W" + each[5:], each[:-1] + "W")]
    out = dataset("--sequences", fasta_of(tmp_path / "p.fasta", texts), "--split", split, "--group-pattern",
                  r"GROUP=(\d+)")  # fmt: skip
    where = defaultdict(set)
    for row in table(out / "all.tsv"):
        where[int(row["id"][1:]) // 4].add(row["split"])
    assert all(len(splits) == 1 for splits in where.values()) == apart
    report = (out / "report.md").read_text().replace(GAP, "")
    assert ("**The test set is independent of the training set" in report) == apart
    assert ("**The test set is not independent of the training set" in report) != apart
    assert f"of up to 50 letters: {len(set(texts))}. They were compared by edit distance as well" in report


@needs_mmseqs
def test_a_verdict_that_could_not_be_reached_is_none(dataset, tmp_path):
    rng = random.Random(6)
    texts = ["".join(rng.choices("ACDEFGHIKLMNPQRSTVWY", k=3)) for _ in range(60)]
    texts += ["".join(rng.choices("ACDEFGHIKLMNPQRSTVWY", k=80)) for _ in range(60)]
    path = fasta_of(tmp_path / "t.fasta", dict.fromkeys(texts))
    report = (dataset("--sequences", path, name="a") / "report.md").read_text().replace(GAP, "")
    assert "**Whether the test set is independent of the training set cannot be said.**" in report
    (found,) = re.findall(r"For (\d+) of (\d+) test examples .* would not have been seen: they are too short", report)
    assert 6 < int(found[0]) < int(found[1])
    skipped = dataset("--sequences", path, "--split", "stratified", "--neighbours", "skip", name="b")
    report = (skipped / "report.md").read_text().replace(GAP, "")
    assert "cannot be said.**" in report
    assert "Related sequences were not looked for, since the search was switched off." in report


def test_without_a_split_all_examples_are_in_one_file(dataset):
    out = dataset(*SITES, "--split", "none")
    assert (out / "test").read_text() == (out / "validation").read_text() == ""
    assert len(read_set(out / "train")) == len(table(out / "all.tsv"))
    assert "there is no test set to trust or not" in (out / "report.md").read_text().replace(GAP, "")


def test_the_report_is_escaped_and_fits_into_galaxy(dataset, tmp_path):
    evil = "<script>|`[x](http://evil)"
    rng = random.Random(1)
    lines = ["id,sequence,label\n"]
    for n in range(300):
        lines.append(f"{evil}{n},{''.join(rng.choices('ACDEFGHIKLMNPQRSTVWY', k=40))},{evil}{n % 60}\n")
    (tmp_path / "e.csv").write_text("".join(lines))
    out = dataset("--sequences", tmp_path / "e.csv", "--split", "stratified", "--neighbours", "skip")
    markdown, html = (out / "report.md").read_text(), (out / "report.html").read_text()
    assert len(markdown.encode()) <= 10_000
    assert "<script>" not in markdown + html
    assert "](http://evil" not in markdown
    assert "Classes with few test examples: " in markdown


def test_letters_that_tell_the_label_alone_are_warned_about(dataset, tmp_path):
    (tmp_path / "p.fasta").write_text("".join(f">p{n}\nM{'ACDEFGHIKL'[n]}YGGSAKW\n" for n in range(10)))
    rows = "".join(f"p{n}\t3\t1\np{n}\t6\t0\n" for n in range(10))
    (tmp_path / "s.tsv").write_text("protein\tposition\tlabel\n" + rows)
    out = dataset("--sequences", tmp_path / "p.fasta", "--sites", tmp_path / "s.tsv", "--window", 11, "--negatives",
                  "given", *QUICK)  # fmt: skip
    assert "S (10 of label 0), Y (10 of label 1)" in (out / "report.md").read_text().replace(GAP, "")


def test_dots_of_the_composition_are_those_of_a_chi_square_test():
    rng = np.random.default_rng(1)
    codes = rng.choice(np.frombuffer(b"ACDE", np.uint8), (400, 3))
    mine = np.arange(400) < 150
    codes[:60, 1] = ord("D")
    difference, clear = _differences(codes, mine, "ACDE")
    for row, letter in enumerate(b"ACDE"):
        for column in range(3):
            ours, others = ((codes[part, column] == letter) for part in (mine, ~mine))
            assert difference[row, column] == pytest.approx(ours.mean() - others.mean())
            counts = [[each.sum(), (~each).sum()] for each in (ours, others)]
            assert clear[row, column] == (chi2_contingency(counts, correction=False).pvalue < 0.05 / 12)
    assert clear[2, 1]
    assert clear.sum() < 6


# Mistakes. Neither torch nor scikit-learn is needed, so their import fails.


HEAVY = ("torch", "transformers", "sklearn")


def test_neither_torch_nor_scikit_learn_is_needed(dataset):
    dataset(*SITES, *QUICK, without=HEAVY)


def test_an_empty_label_is_not_known_and_lists_have_none(script, tmp_path):
    (tmp_path / "labelled.csv").write_text("id,sequence,label\na,MKTAYIAK,1\nb,MSLLTEVE,\nc,MADEEKLP,0\n")
    (tmp_path / "molecules.smi").write_text("CCO ethanol\nc1ccccc1 benzene\nCCCl chloropropane\n")
    common = ["--split", "none", "--neighbours", "skip", "--output-table", "set.tsv"]
    script("dataset", "--sequences", tmp_path / "labelled.csv", *common, "--output-html", "report.html")
    assert [row["id"] for row in table(tmp_path / "work" / "set.tsv")] == ["a", "c"]
    assert "left out, as their label is not known: 1 sequence" in (tmp_path / "work" / "report.html").read_text()
    script("dataset", "--sequences", tmp_path / "molecules.smi", "--labels", "none", "--alphabet", "SMILES", *common)
    rows = table(tmp_path / "work" / "set.tsv")
    assert [(row["id"], row["sequence"]) for row in rows] == [
        ("ethanol", "CCO"), ("benzene", "c1ccccc1"), ("chloropropane", "CCCl"),
    ]  # fmt: skip
