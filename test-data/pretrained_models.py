"""Train the small models of models/ that know something: of proteins, DNA and molecules, on public data.

    python test-data/pretrained_models.py FOLDER [--only protein dna molecules] [--keep FOLDER]

FOLDER holds proteins/ (proteome of Escherichia coli K-12 and 9,000 proteins of Swiss-Prot, FASTA), genomes/ (its
genome, GenBank) and molecules/hiv.csv.gz (MoleculeNet's HIV set). Each takes less than an hour on one core. Everything
is done by the tools' own scripts: tokenizer.py, pretrain.py, and dataset.py for the scaffolds.

What later tasks are judged on is left out of training where the task is on the same data: the last million bases of the
genome, and the molecules whose scaffolds are the validation and test sets of the HIV task.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import json
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

HERE = Path(__file__).parent
SCRIPTS = HERE.parent / "tools" / "scripts"
PROTEINS = ("ecoli_K12_MG1655.faa.gz", "swissprot_dna_binding.fasta.gz", "swissprot_not_dna_binding.fasta.gz")
GENOME = "ecoli_K12_MG1655_genomic.gbff.gz"
LEARNT_BASES = 3_600_000  # of the genome; pieces of the rest are there to judge by
SHAPE = ("--layers", 4, "--width", 64, "--heads", 2, "--dropout", 0)
LEARNING = ("--learning-rate", 0.002, "--patience", 0)
HELD_OUT = ("--validation-fraction", 0.02, "--test-fraction", 0.03)
COMPUTING = ("--batch-tokens", 4096, "--threads", 1)
KEPT = ("config.json", "generation_config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json",
        "vocab.txt")  # fmt: skip

# name of the folder -> what it is, what it was trained on, options of tokenizer.py and of pretrain.py
MODELS = {
    "protein": (
        "protein-esm-0.2m",
        ("--algorithm", "character", "--special-tokens", "esm"),
        ("--architecture", "esm", "--context", 256, "--split", "record", "--batch-size", 16, "--epochs", 2,
         "--evaluate-every", 800),
    ),
    "dna": (
        "dna-modernbert-0.2m",
        ("--algorithm", "kmer", "--kmer", 3, "--special-tokens", "bert"),
        ("--architecture", "modernbert", "--context", 128, "--both-strands", "--split", "stretch", "--batch-size", 32,
         "--epochs", 8, "--evaluate-every", 1000),
    ),
    "molecules": (
        "smiles-gpt2-0.2m",
        ("--algorithm", "character", "--special-tokens", "gpt2"),
        ("--architecture", "gpt2", "--context", 128, "--split", "record", "--batch-size", 64, "--epochs", 16,
         "--evaluate-every", 1000),
    ),
}  # fmt: skip


def run(script: str, *arguments) -> None:
    command = [sys.executable, SCRIPTS / f"{script}.py", *arguments]
    print("$", f"{script}.py", *arguments, flush=True)
    subprocess.run(list(map(str, command)), check=True, env={**os.environ, "OMP_NUM_THREADS": "1"})


def proteins(data: Path, work: Path) -> tuple[Path, tuple]:
    target = work / "proteins.fasta"
    with target.open("wb") as output:
        for name in PROTEINS:
            output.write(gzip.decompress((data / "proteins" / name).read_bytes()))
    return target, ("--alphabet", "protein")


def genome(data: Path, work: Path) -> tuple[Path, tuple]:
    from Bio import SeqIO

    with gzip.open(data / "genomes" / GENOME, "rt") as handle:
        sequence = str(next(SeqIO.parse(handle, "genbank")).seq)[:LEARNT_BASES]
    target = work / "genome.fasta"
    lines = [sequence[at : at + 70] for at in range(0, len(sequence), 70)]
    target.write_text(f">ecoli_1_{LEARNT_BASES}\n" + "\n".join(lines) + "\n")
    return target, ()


def molecules(data: Path, work: Path) -> tuple[Path, tuple]:
    """The molecules of the training scaffolds, as dataset.py splits them when nothing else is said."""
    run("dataset", "--sequences", data / "molecules" / "hiv.csv.gz", "--sequence-column", "smiles", "--label-column",
        "HIV_active", "--split", "scaffold", "--neighbours", "skip", "--output-table", work / "split.tsv",
        "--output-report", work / "split.md")  # fmt: skip
    target = work / "molecules.tsv"
    with (work / "split.tsv").open(newline="") as table, target.open("w") as output:
        output.write("id\tsequence\n")
        for row in csv.DictReader(table, delimiter="\t", quoting=csv.QUOTE_NONE):
            if row["split"] == "train":
                output.write(f"{row['id']}\t{row['sequence']}\n")
    return target, ("--alphabet", "text")


CORPORA = {"protein": proteins, "dna": genome, "molecules": molecules}


def train(name: str, data: Path, work: Path, kept: Path | None) -> None:
    folder, tokenizer, model = MODELS[name]
    corpus, alphabet = CORPORA[name](data, work)
    run("tokenizer", "--train", "--corpus", corpus, *alphabet, *tokenizer, "--output-tokenizer", work / "tokenizer.zip")
    run("pretrain", "--corpus", corpus, *alphabet, "--tokenizer", work / "tokenizer.zip", *model, *SHAPE, *LEARNING,
        *HELD_OUT, *COMPUTING, "--output-model", work / "model.zip", "--output-metrics", work / "scores.tsv",
        "--output-log", work / "log.tsv", "--output-html", work / "report.html")  # fmt: skip
    install(work / "model.zip", HERE / "models" / folder)
    if kept:
        shutil.copytree(work, kept / name, dirs_exist_ok=True)


def install(bundle: Path, target: Path) -> None:
    """The model of a bundle as a plain folder; its card, which is written by hand, stays."""
    target.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(bundle) as archive:
        for name in KEPT:
            if name in archive.namelist():
                (target / name).write_bytes(archive.read(name))
    assert json.loads((target / "config.json").read_text())["dtype"] == "float32"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--only", nargs="*", choices=MODELS, default=list(MODELS))
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="of scores, logs and reports")
    arguments = parser.parse_args()
    for name in arguments.only:
        with tempfile.TemporaryDirectory() as work:
            train(name, arguments.data, Path(work), arguments.keep)


if __name__ == "__main__":
    main()
