"""Every kind of task on public data: one command each, scores with intervals beside the best baseline, and the time.

    python benchmarks/real_data.py FOLDER [--only NAME …] [--model FOLDER]

FOLDER holds the data sets under the names below. The base model is the tiny ESM of test-data/ with random weights
unless another is given: its scores say that the tools work, how long they take, and what the baselines reach without
any language model; they say nothing about ESM-2. Prints the rows of a Markdown table and the commands.
"""

from __future__ import annotations

import argparse
import csv
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

from shapes import ENVIRONMENT, ROOT

FINETUNE, DATASET, PREDICT = (ROOT / "scripts" / f"{name}.py" for name in ("finetune", "dataset", "predict"))
GB1 = "--task sequence-regression --label-column target --split-column set --validation-column validation --epochs 5"
RESIDUES = "--task residue-classification --split-pattern SET=(\\w+) --epochs 5"
SITES = (
    "--sequences {0} --sites {0} --id-column protein --protein-column protein --sequence-column uniprot_sequence "
    "--negatives given --window 33 --split homology"
)
# name -> archives to unpack; steps: script and its options, with the paths of the data and of earlier outputs
RUNS: dict[str, list[tuple[Path, str]]] = {
    "phos_y": [
        (DATASET, SITES.format("{data}/ptm_sites/phos_y.csv.gz") + " {splits}"),
        (FINETUNE, "{train} --epochs 10"),
        (PREDICT, "--sequences {data}/proteins/ecoli_K12_MG1655.faa.gz --sites model"),
    ],
    "acet_k": [
        (DATASET, SITES.format("{data}/ptm_sites/acet_k.csv.gz") + " {splits}"),
        (FINETUNE, "{train} --epochs 5"),
        (PREDICT, "--sequences {data}/proteins/ecoli_K12_MG1655.faa.gz --sites model"),
    ],
    "binding": [
        (
            FINETUNE,
            "--train {bind_splits}/from_publication.fasta --sequences {bind_splits}/sequences.fasta "
            f"--merge-labels 1234567=1 {RESIDUES}",
        )
    ],
    "secondary_structure": [
        (
            FINETUNE,
            "--train {secondary_structure_splits}/sampled.fasta "
            "--sequences {secondary_structure_splits}/sequences.fasta --mask {secondary_structure_splits}/mask.fasta "
            f"{RESIDUES} --method head --head linear --learning-rate 0.0003",
        )
    ],
    "localisation": [
        (
            FINETUNE,
            "--task multi-label --train {data}/localisation/deeploc_validation.fasta.gz "
            "--label-pattern \\s(\\S+)-[MSU]$ --label-separator - --test-fraction 0.2 --epochs 5",
        )
    ],
    "ecoli_pairs": [
        (
            FINETUNE,
            "--task pair-classification --train {data}/interactions/ecoli_pairs.tsv "
            "--sequences {data}/interactions/ecoli_proteins.fasta.gz --test-fraction 0.2 --method head --epochs 10 "
            "--learning-rate 0.0003",
        )
    ],
    "gb1_two_vs_rest": [(FINETUNE, f"--train {{gb1_splits}}/two_vs_rest.csv {GB1}")],
    "gb1_three_vs_rest": [(FINETUNE, f"--train {{gb1_splits}}/three_vs_rest.csv {GB1}")],
    "gb1_low_vs_high": [(FINETUNE, f"--train {{gb1_splits}}/low_vs_high.csv {GB1}")],
}


def run(name: str, places: dict[str, str], model: Path, folder: Path) -> tuple[str, list[str]]:
    """One row of the table, and the commands that gave it."""
    out = folder / name
    out.mkdir()
    splits = {split: out / f"{split}.fasta" for split in ("train", "validation", "test")}
    places = places | {
        "splits": " ".join(f"--output-{split} {path}" for split, path in splits.items())
        + f" --output-report {out}/dataset.md",
        "train": " ".join(f"--{split} {path}" for split, path in splits.items()),
    }
    seconds, commands = {}, []
    for script, options in RUNS[name]:
        given = options.format(**places).split()
        if script == FINETUNE:
            given += [
                "--model",
                str(model),
                "--output-model",
                f"{out}/model.zip",
                "--output-metrics",
                f"{out}/scores.tsv",
            ]
            given += ["--output-report", f"{out}/report.md", "--output-predictions", f"{out}/predictions.tsv"]
        if script == PREDICT:
            given += ["--model", f"{out}/model.zip", "--base-model", str(model)]
            given += ["--output-table", f"{out}/scan.tsv", "--output-gff3", f"{out}/scan.gff3"]
        commands.append(f"{script.name} {' '.join(given)}")
        start = time.perf_counter()
        done = subprocess.run([sys.executable, str(script), *given], capture_output=True, text=True, env=ENVIRONMENT)
        if done.returncode:
            sys.exit(done.stderr)
        seconds[script.stem] = time.perf_counter() - start
    with (out / "scores.tsv").open() as table:
        rows = [row for row in csv.DictReader(table, delimiter="\t") if row["split"] == "test"]
    deciding = next(
        metric
        for metric in ("fmax", "auprc" if "residue" in RUNS[name][-1][1] else "mcc", "spearman", "mcc")
        if any(row["metric"] == metric for row in rows)
    )
    if name == "secondary_structure":
        deciding = "mcc"
    scores = {row["model"]: row for row in rows if row["metric"] == deciding}
    best = max((model for model in scores if model != "fine-tuned"), key=lambda model: float(scores[model]["value"]))
    unit = list(rows[0])[-1]

    def shown(row: dict) -> str:
        return f"{float(row['value']):.3f} ({float(row['low']):.3f} to {float(row['high']):.3f})"

    times = ", ".join(f"{tool} {value:.0f} s" for tool, value in seconds.items())
    count = f"{int(rows[0][unit]):,} {unit}"
    score = f"{shown(scores['fine-tuned'])} | {best}: {shown(scores[best])}"
    return f"| {name} | {count} | {deciding} | {score} | {times} |", commands


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--only", nargs="*", choices=RUNS, default=list(RUNS))
    parser.add_argument("--model", type=Path, default=ROOT / "test-data" / "models" / "tiny-esm")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        places = {"data": str(arguments.data)}
        for archive in arguments.data.glob("*/*_splits.zip"):
            zipfile.ZipFile(archive).extractall(Path(scratch) / archive.stem)
            places[archive.stem] = f"{scratch}/{archive.stem}/splits"
        print(
            "| data | test units | score | fine-tuned (95 %) | best baseline (95 %) | time |\n|---|---|---|---|---|---|"
        )
        said = {}
        for name in arguments.only:
            row, said[name] = run(name, places, arguments.model, Path(scratch))
            print(row, flush=True)
        for name, commands in said.items():
            print(f"\n{name}:", *(line.replace(scratch, "…") for line in commands), sep="\n    ")


if __name__ == "__main__":
    main()
