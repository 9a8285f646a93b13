"""Public DNA and molecule data, embedded and classified, and fine-tuned: scores beside the best baseline.

    python benchmarks/real_embeddings.py FOLDER [--only NAME …] [--dna-model FOLDER] [--molecule-model FOLDER]

FOLDER holds the data sets under the names below. The models are the tiny ones of test-data/ with random weights unless
others are given: their scores say that the tools work, how long they take, and what baselines reach without any
language model; they say nothing about DNABERT-2 or ChemBERTa-2. Prints the rows of a Markdown table and the commands.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from shapes import ENVIRONMENT, ROOT

MODELS = ROOT / "test-data" / "models"
GENOME = "{data}/genomes/ecoli_K12_MG1655_genomic.gbff.gz"
SCAFFOLD = (
    "--sequence-column smiles --split scaffold --output-table {out}/examples.tsv --output-report {out}/dataset.md"
)
EMBED = "--output-table {out}/embeddings.tsv --output-report {out}/embed.md"
CLASSIFY = "--embeddings {out}/embeddings.tsv --output-metrics {out}/scores.tsv --output-report {out}/classify.md"
FINETUNE = "--output-model {out}/model.zip --output-metrics {out}/scores.tsv --output-report {out}/report.md"
MOLECULES = "--labels {out}/examples.tsv --split-column split --class-weights balanced --classifier logistic-regression"
# name -> score that is shown, steps: script and its options
RUNS: dict[str, tuple[str, list[tuple[str, str]]]] = {
    "coding or not, naive Bayes": (
        "mcc",
        [
            ("genome_pieces", f"{GENOME} {{out}}/pieces.csv"),
            ("embed", f"--model {{dna}} --sequences {{out}}/pieces.csv {EMBED}"),
            ("classify", f"{CLASSIFY} --labels {{out}}/pieces.csv --classifier naive-bayes"),
        ],
    ),
    "promoters, logistic regression": (
        "mcc",
        [
            ("embed", f"--model {{dna}} --sequences {{promoters}} {EMBED}"),
            ("classify", f"{CLASSIFY} --labels {{promoters}} --split-column split --classifier logistic-regression"),
        ],
    ),
    "promoters, fine-tuned": (
        "mcc",
        [
            (
                "finetune",
                "--model {dna} --train {data}/dna_promoters/train.csv --validation {data}/dna_promoters/dev.csv "
                f"--test {{data}}/dna_promoters/test.csv --method full --learning-rate 0.001 --epochs 5 {FINETUNE}",
            )
        ],
    ),
    "splice sites, three classes, SVM": (
        "mcc",
        [
            ("embed", f"--model {{dna}} --sequences {{splice}} {EMBED}"),
            ("classify", f"{CLASSIFY} --labels {{splice}} --split-column split --classifier rbf-svm"),
        ],
    ),
    "HIV, logistic regression": (
        "auroc",
        [
            ("dataset", f"--sequences {{data}}/molecules/hiv.csv.gz --label-column HIV_active {SCAFFOLD}"),
            ("embed", f"--model {{molecules}} --sequences {{out}}/examples.tsv {EMBED}"),
            ("classify", f"{CLASSIFY} {MOLECULES} --metric auroc"),
        ],
    ),
    "HIV, fine-tuned": (
        "auroc",
        [
            ("dataset", f"--sequences {{data}}/molecules/hiv.csv.gz --label-column HIV_active {SCAFFOLD}"),
            (
                "finetune",
                "--model {molecules} --train {out}/examples.tsv --split-column split --method full --pooling cls "
                f"--class-weights balanced --metric auroc --learning-rate 0.001 --batch-size 64 --epochs 3 {FINETUNE}",
            ),
        ],
    ),
    "ClinTox, logistic regression": (
        "auroc",
        [
            ("dataset", f"--sequences {{data}}/molecules/clintox.csv.gz --label-column CT_TOX {SCAFFOLD}"),
            ("embed", f"--model {{molecules}} --sequences {{out}}/examples.tsv {EMBED}"),
            ("classify", f"{CLASSIFY} {MOLECULES} --metric auroc"),
        ],
    ),
    "ESOL, fine-tuned": (
        "spearman",
        [
            ("dataset", f"--sequences {{data}}/molecules/esol.csv --label-column logSolubility {SCAFFOLD}"),
            (
                "finetune",
                "--task sequence-regression --model {molecules} --train {out}/examples.tsv --split-column split "
                f"--method full --learning-rate 0.001 --epochs 20 {FINETUNE}",
            ),
        ],
    ),
}


def with_splits(target: Path, parts: dict[str, Path]) -> Path:
    """One table of files that are a split each."""
    with target.open("w", newline="") as output:
        writer = csv.writer(output)
        writer.writerow(["id", "sequence", "label", "split"])
        for split, path in parts.items():
            with (gzip.open if path.suffix == ".gz" else open)(path, "rt", newline="") as handle:
                for number, row in enumerate(csv.DictReader(handle), start=1):
                    writer.writerow([f"{split}_{number}", row["sequence"], row["label"], split])
    return target


def run(name: str, places: dict[str, str], folder: Path) -> tuple[str, list[str]]:
    """One row of the table, and the commands that gave it."""
    metric, steps = RUNS[name]
    folder.mkdir()
    seconds, commands = [], []
    for script, options in steps:
        file = (ROOT / "benchmarks" if script == "genome_pieces" else ROOT / "scripts") / f"{script}.py"
        given = options.format(**places, out=folder).split()
        commands.append(f"{file.name} {' '.join(given)}")
        start = time.perf_counter()
        done = subprocess.run([sys.executable, str(file), *given], capture_output=True, text=True, env=ENVIRONMENT)
        if done.returncode:
            sys.exit(f"{commands[-1]}\n{done.stderr}")
        seconds.append(f"{script} {time.perf_counter() - start:.0f} s")
    with (folder / "scores.tsv").open() as table:
        rows = [row for row in csv.DictReader(table, delimiter="\t") if row["split"] == "test"]
    who, unit = "model" if "model" in rows[0] else "classifier", list(rows[0])[-1]
    scores = {row[who]: row for row in rows if row["metric"] == metric}
    own, *_ = scores  # the first is the model, baselines follow
    best = max((model for model in scores if model != own), key=lambda model: float(scores[model]["value"]))

    def shown(row: dict) -> str:
        return f"{float(row['value']):.3f} ({float(row['low']):.3f} to {float(row['high']):.3f})"

    count = f"{int(scores[own][unit]):,}"
    return (
        f"| {name} | {count} | {metric} | {shown(scores[own])} | {best.removeprefix('baseline: ')}: "
        f"{shown(scores[best])} | {', '.join(seconds)} |",
        commands,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--only", nargs="*", choices=RUNS, default=list(RUNS))
    parser.add_argument("--dna-model", type=Path, default=MODELS / "tiny-dnabert2")
    parser.add_argument("--molecule-model", type=Path, default=MODELS / "tiny-chemberta")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="of the reports")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        promoters = {split: arguments.data / "dna_promoters" / f"{file}.csv" for split, file in
                     (("train", "train"), ("validation", "dev"), ("test", "test"))}  # fmt: skip
        splice = {"train": arguments.data / "dna_splice" / "dev.csv.gz",
                  "test": arguments.data / "dna_splice" / "test.csv.gz"}  # fmt: skip
        places = {
            "data": str(arguments.data),
            "dna": str(arguments.dna_model),
            "molecules": str(arguments.molecule_model),
            "promoters": str(with_splits(Path(scratch) / "promoters.csv", promoters)),
            "splice": str(with_splits(Path(scratch) / "splice.csv", splice)),
        }
        print(
            "| data | test sequences | score | model (95 %) | best baseline (95 %) | time |\n|---|---|---|---|---|---|"
        )
        commands = []
        for number, name in enumerate(arguments.only):
            folder = Path(scratch) / str(number)
            row, used = run(name, places, folder)
            print(row, flush=True)
            commands += used
            if arguments.keep:
                shutil.copytree(folder, arguments.keep / str(number), dirs_exist_ok=True)
    print("\n" + "\n".join(command.replace(scratch, "").replace(str(ROOT), "") for command in commands))


if __name__ == "__main__":
    main()
