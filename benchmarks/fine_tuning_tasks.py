"""Real tasks as tables and FASTA files that finetune.py reads, each drawn small, as biologists have them: 255 training
sequences, 45 for validation, up to 400 for the test, a draw a seed.

Nothing is shared between the splits of a task that its makers kept apart; where they say nothing (or where only a
training set is public) the division is random, by protein or by scaffold, as stated in :data:`TASKS`.
"""

from __future__ import annotations

import ast
import csv
import gzip
import io
import random
import re
import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from shapes import ENVIRONMENT, ROOT

TRAINING, VALIDATION, TEST = 255, 45, 400
PROTEINS, DNA, MOLECULES = "protein-esm-0.2m", "dna-modernbert-0.2m", "smiles-gpt2-0.2m"


@dataclass(frozen=True)
class RealTask:
    """``make`` writes the files of one draw into a folder and returns the options of finetune.py."""

    model: str
    level: str
    make: Callable[[Path, Path, random.Random], list[str]]


def _open(path: Path) -> io.TextIOBase:
    return io.TextIOWrapper(gzip.open(path) if path.suffix == ".gz" else open(path, "rb"))


def _table(path: Path) -> list[dict]:
    with _open(path) as file:
        return list(csv.DictReader(file))


def _fasta(text: str) -> list[tuple[str, str]]:
    records = [one.split("\n", 1) for one in text.split(">")[1:]]
    return [(header.strip(), sequence.replace("\n", "")) for header, sequence in records]


def _draw(groups: dict[str, list], chance: random.Random, shares=(TRAINING, VALIDATION, TEST)) -> dict[str, list]:
    """Whole groups in random order until each split has as many rows as wanted, or its share of those that there are; a
    row more than wanted is left out."""
    order, drawn = sorted(groups), {"train": [], "validation": [], "test": []}
    all_rows = sum(map(len, groups.values()))
    shares = [min(wanted, wanted * all_rows // sum(shares)) for wanted in shares]
    chance.shuffle(order)
    for name, wanted in zip(("test", "validation", "train"), shares[::-1], strict=True):
        while order and len(drawn[name]) < wanted:
            drawn[name] += groups[order.pop()]
        drawn[name] = drawn[name][:wanted]
    return drawn


def _write(drawn: dict[str, list], columns: list[str], path: Path) -> list[str]:
    with path.open("w", newline="") as file:
        table = csv.writer(file, delimiter="\t", lineterminator="\n")
        table.writerow([*columns, "split"])
        table.writerows([*row, split] for split, rows in drawn.items() for row in rows)
    return ["--train", str(path), "--split-column", "split"]


def _alone(rows: list) -> dict[str, list]:
    return {f"{number:07d}": [row] for number, row in enumerate(rows)}


def _balanced(rows: list, chance: random.Random, label: int = -1) -> list:
    """Twice as many of the frequent class as of the rare one, at most, so that a small draw has some of both."""
    by = {}
    for row in rows:
        by.setdefault(row[label], []).append(row)
    fewest = min(map(len, by.values()))
    return [row for one in sorted(by) for row in chance.sample(by[one], min(len(by[one]), 2 * fewest))]


def dephosphorylation(data: Path, folder: Path, chance: random.Random) -> list[str]:
    """As published, all of it: 201 windows to learn from and 50 of other proteins."""
    place = data / "dephosphorylation"
    return ["--train", str(place / "train_sequences.fasta"), "--test", str(place / "test_sequences.fasta")]


def _ptm(file: str):
    def make(data: Path, folder: Path, chance: random.Random) -> list[str]:
        """Windows of 33 residues; by protein, one positive and one negative site of each."""
        proteins = {}
        for row in _table(data / "ptm_sites" / file):
            sequence, rows = row["uniprot_sequence"], []
            for label, column in (("1", "positive_positions"), ("0", "negative_positions")):
                sites = [site for site in ast.literal_eval(row[column]) if sequence[site - 1 : site] == row["aa"]]
                if sites:
                    site = chance.choice(sites)
                    rows.append([("X" * 16 + sequence + "X" * 16)[site - 1 : site + 32], label])
            proteins[row["protein"]] = proteins.get(row["protein"], []) + rows
        return _write(_draw(proteins, chance), ["sequence", "label"], folder / "sites.tsv")

    return make


def dna_binding(data: Path, folder: Path, chance: random.Random) -> list[str]:
    """Whole proteins of at most 150 residues that bind DNA or do not, at random."""
    rows = []
    for label, file in (("1", "swissprot_dna_binding.fasta.gz"), ("0", "swissprot_not_dna_binding.fasta.gz")):
        with _open(data / "proteins" / file) as text:
            rows += [[sequence, label] for _, sequence in _fasta(text.read()) if len(sequence) <= 150]
    rows = list({row[0]: row for row in rows}.values())
    return _write(_draw(_alone(rows), chance), ["sequence", "label"], folder / "proteins.tsv")


def _given(place: str, train: str, test: str):
    def make(data: Path, folder: Path, chance: random.Random) -> list[str]:
        """Training, validation and test rows from the files of these names."""
        learn = [[row["sequence"], row["label"]] for row in _table(data / place / train)]
        judge = [[row["sequence"], row["label"]] for row in _table(data / place / test)]
        drawn = _draw(_alone(learn), chance, (TRAINING, VALIDATION, 0)) | {"test": chance.sample(judge, TEST)}
        return _write(drawn, ["sequence", "label"], folder / "pieces.tsv")

    return make


def coding(data: Path, folder: Path, chance: random.Random) -> list[str]:
    """Pieces of genes and of gaps between them, from the part of the genome that pre-training has not seen."""
    pieces = folder / "pieces.csv"
    command = [sys.executable, str(ROOT / "benchmarks/genome_pieces.py")]
    command += [str(data / "genomes/ecoli_K12_MG1655_genomic.gbff.gz"), str(pieces), "--from", "3600000"]
    command += ["--pieces", "700", "--coding", "0.5", "--seed", str(chance.randrange(1000))]
    subprocess.run(command, check=True, env=ENVIRONMENT, capture_output=True)
    rows = [[row["sequence"], row["label"]] for row in _table(pieces)]
    return _write(_draw(_alone(rows), chance), ["sequence", "label"], folder / "coding.tsv")


def _molecules(file: str, column: str, numbers: bool = False):
    def make(data: Path, folder: Path, chance: random.Random) -> list[str]:
        """By Murcko scaffold."""
        from rdkit import Chem, RDLogger
        from rdkit.Chem.Scaffolds.MurckoScaffold import MurckoScaffoldSmiles

        RDLogger.DisableLog("rdApp.*")
        rows = [[row["smiles"], row[column]] for row in _table(data / "molecules" / file)]
        rows = [row for row in rows if 3 < len(row[0]) <= 120]
        if not numbers:
            rows = _balanced(rows, chance)
        scaffolds = {}
        for row in chance.sample(rows, min(len(rows), 2000)):
            if not Chem.MolFromSmiles(row[0]):
                continue
            scaffold = MurckoScaffoldSmiles(row[0]) or row[0]
            scaffolds.setdefault(scaffold, []).append(row)
        options = _write(_draw(scaffolds, chance), ["sequence", "label"], folder / "molecules.tsv")
        return options + (["--task", "sequence-regression"] if numbers else [])

    return make


def _fitness(split: str):
    def make(data: Path, folder: Path, chance: random.Random) -> list[str]:
        """As published: the test set has variants with more mutations than the training set."""
        with zipfile.ZipFile(data / "fitness/gb1_splits.zip") as archive:
            rows = list(csv.DictReader(io.StringIO(archive.read(f"splits/{split}.csv").decode())))
        by = {"train": [], "test": []}
        for row in rows:
            by[row["set"]].append([row["sequence"], row["target"]])
        drawn = _draw(_alone(by["train"]), chance, (TRAINING, VALIDATION, 0)) | {
            "test": chance.sample(by["test"], TEST)
        }
        return [*_write(drawn, ["sequence", "label"], folder / "variants.tsv"), "--task", "sequence-regression"]

    return make


def localisation(data: Path, folder: Path, chance: random.Random) -> list[str]:
    """Compartments of proteins of at most 250 residues, several at once, at random."""
    with _open(data / "localisation/deeploc_validation.fasta.gz") as text:
        records = _fasta(text.read())
    found = [
        [sequence, re.search(r"\s(\S+)-[MSU]$", header)[1].replace("-", ";")]
        for header, sequence in records
        if re.search(r"\s(\S+)-[MSU]$", header) and len(sequence) <= 250
    ]
    found = list({row[0]: row for row in found}.values())
    return [
        *_write(_draw(_alone(found), chance), ["sequence", "label"], folder / "places.tsv"),
        "--task",
        "multi-label",
    ]


def _residues(archive: str, labels: str, extra: list[str], mask: bool, proteins: tuple[int, int, int]):
    def make(data: Path, folder: Path, chance: random.Random) -> list[str]:
        """As published, by protein; only proteins of at most 200 residues."""
        with zipfile.ZipFile(data / archive) as unpacked:
            read = {
                name: dict(_fasta(unpacked.read(f"splits/{name}.fasta").decode()))
                for name in (labels, "sequences", *(["mask"] if mask else []))
            }
        short = {header.split()[0] for header, one in read["sequences"].items() if len(one) <= 200}
        by = {"train": [], "test": []}
        for header in read[labels]:
            split = re.search(r"SET=(\w+)", header)[1]
            if split in by and header.split()[0] in short:
                by[split].append(header)
        drawn = _draw(_alone(by["train"]), chance, (*proteins[:2], 0))
        drawn["test"] = chance.sample(by["test"], min(len(by["test"]), proteins[2]))
        names = {header.split()[0]: split for split, headers in drawn.items() for header in headers}
        for name, records in read.items():
            with (folder / f"{name}.fasta").open("w") as file:
                for header, one in records.items():
                    if header.split()[0] in names:
                        file.write(f">{header.split()[0]} SET={names[header.split()[0]]}\n{one}\n")
        options = ["--train", str(folder / f"{labels}.fasta"), "--sequences", str(folder / "sequences.fasta"), *extra]
        options += ["--task", "residue-classification", "--split-pattern", r"SET=(\w+)"]
        return options + (["--mask", str(folder / "mask.fasta")] if mask else [])

    return make


def interactions(data: Path, folder: Path, chance: random.Random) -> list[str]:
    """Pairs of proteins of at most 200 residues; no protein of the test set is in a training pair."""
    sequences = data / "interactions/ecoli_proteins.fasta.gz"
    with _open(sequences) as text:
        short = {header.split()[0] for header, one in _fasta(text.read()) if len(one) <= 200}
    with _open(data / "interactions/ecoli_pairs.tsv") as file:
        rows = [row for row in csv.reader(file, delimiter="\t") if row[0] in short and row[1] in short]
    members = sorted({name for row in rows for name in row[:2]})
    tested = set(chance.sample(members, len(members) // 3))
    by = {0: [], 1: [], 2: []}
    for row in rows:
        by[sum(name in tested for name in row[:2])].append([*row[:2], str(int(float(row[2])))])
    drawn = _draw(_alone(by[0]), chance, (400, 80, 0)) | {"test": chance.sample(by[2], min(len(by[2]), TEST))}
    options = _write(drawn, ["first", "second", "label"], folder / "pairs.tsv")
    return [*options, "--sequences", str(sequences), "--task", "pair-classification"]


BINDING = ("binding_sites/bind_splits.zip", "from_publication", ["--merge-labels", "1234567=1"], False, (100, 25, 60))
STRUCTURE = ("secondary_structure/secondary_structure_splits.zip", "sampled", [], True, (100, 25, 60))
TASKS = {
    "dephosphorylation": RealTask(PROTEINS, "sequence", dephosphorylation),
    "phosphotyrosine": RealTask(PROTEINS, "sequence", _ptm("phos_y.csv.gz")),
    "acetyllysine": RealTask(PROTEINS, "sequence", _ptm("acet_k.csv.gz")),
    "DNA-binding proteins": RealTask(PROTEINS, "sequence", dna_binding),
    "core promoters": RealTask(DNA, "sequence", _given("dna_promoters", "train.csv", "test.csv")),
    "splice sites": RealTask(DNA, "sequence", _given("dna_splice", "dev.csv.gz", "test.csv.gz")),
    "coding or not": RealTask(DNA, "sequence", coding),
    "HIV": RealTask(MOLECULES, "sequence", _molecules("hiv.csv.gz", "HIV_active")),
    "ClinTox": RealTask(MOLECULES, "sequence", _molecules("clintox.csv.gz", "CT_TOX")),
    "ESOL": RealTask(MOLECULES, "sequence", _molecules("esol.csv", "logSolubility", numbers=True)),
    "GB1, two against the rest": RealTask(PROTEINS, "sequence", _fitness("two_vs_rest")),
    "localisation": RealTask(PROTEINS, "sequence", localisation),
    "binding residues": RealTask(PROTEINS, "residue", _residues(*BINDING)),
    "secondary structure": RealTask(PROTEINS, "residue", _residues(*STRUCTURE)),
    "protein interactions": RealTask(PROTEINS, "pair", interactions),
}
