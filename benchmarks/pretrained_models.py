"""Whether the pre-training of the small models in test-data/models helped: each beside its own architecture with random
weights, on tasks that it was not trained for.

    python benchmarks/pretrained_models.py FOLDER [--only NAME …] [--keep FOLDER]

FOLDER holds the data sets under the names below. Each model is used in two ways: frozen (a linear head on its vectors)
and fine-tuned (all weights), by finetune.py; evaluate.py compares the two models on the same test set. Pieces of DNA
are from the last million bases of the genome and molecules from test scaffolds, which pre-training has not seen;
proteins were not looked for among those of the pre-training. Of the proteins with a known structure an eighth is learnt
from. Prints rows of a Markdown table and the commands.
"""

from __future__ import annotations

import argparse
import csv
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

from shapes import ENVIRONMENT, ROOT

MODELS = ROOT / "test-data" / "models"
BEGINS = 3_600_000  # of the genome that pre-training has not seen
PIECES = (
    f"{{data}}/genomes/ecoli_K12_MG1655_genomic.gbff.gz {{out}}/pieces.csv --from {BEGINS} --pieces 1000 --coding 0.5"
)
PROMOTERS = " ".join(
    f"--{split} {{data}}/dna_promoters/{file}.csv"
    for split, file in (("train", "train"), ("validation", "dev"), ("test", "test"))
)
RESIDUES = (
    "--task residue-classification --train {unpacked}/sampled.fasta --sequences {unpacked}/sequences.fasta --mask "
    "{unpacked}/mask.fasta --split-pattern SET=(\\w+)"
)
SCAFFOLDS = (
    "--sequence-column smiles --split scaffold --neighbours skip --output-table {out}/examples.tsv "
    "--output-report {out}/dataset.md"
)
HIV = "--train {out}/examples.tsv --split-column split --class-weights balanced --metric auroc"
# name -> model, score that decides, what makes the examples, options of finetune.py, epochs frozen and fine-tuned
TASKS: dict[str, tuple[str, str, tuple[str, str] | None, str, int, int]] = {
    "secondary structure": ("protein-esm-0.2m", "mcc", None, RESIDUES, 4, 2),
    "dephosphorylation sites": (
        "protein-esm-0.2m", "mcc", None,
        "--train {data}/dephosphorylation/train_sequences.fasta --test {data}/dephosphorylation/test_sequences.fasta",
        20, 20,
    ),
    "coding or not": (
        "dna-modernbert-0.2m", "mcc", ("genome_pieces", PIECES),
        "--train {out}/pieces.csv --validation-fraction 0.15 --test-fraction 0.35", 30, 20,
    ),
    "promoters": ("dna-modernbert-0.2m", "mcc", None, PROMOTERS, 20, 8),
    "HIV": (
        "smiles-gpt2-0.2m", "auroc",
        ("dataset", "--sequences {data}/molecules/hiv.csv.gz --label-column HIV_active " + SCAFFOLDS), HIV, 3, 1,
    ),
    "ESOL": (
        "smiles-gpt2-0.2m", "spearman",
        ("dataset", "--sequences {data}/molecules/esol.csv --labels numbers --label-column 2 " + SCAFFOLDS),
        "--task sequence-regression --train {out}/examples.tsv --split-column split", 30, 20,
    ),
}  # fmt: skip
WAYS = {
    "frozen": "--method head --head linear --learning-rate 0.01",
    "fine-tuned": "--method full --learning-rate 0.001",
}


def thinned(fasta: str, every: int = 8) -> str:
    """All records of the test set, and every eighth of the others, so that it takes minutes."""
    records = fasta.split(">")[1:]
    others = [one for one in records if "SET=test" not in one.split("\n")[0]][::every]
    return "".join(f">{one}" for one in [*others, *(one for one in records if "SET=test" in one.split("\n")[0])])


def random_twin(model: Path, target: Path) -> Path:
    """The same files with new weights."""
    import torch
    import transformers

    shutil.copytree(model, target)
    config = transformers.AutoConfig.from_pretrained(model)
    torch.manual_seed(0)
    getattr(transformers, config.architectures[0])(config).save_pretrained(target)
    return target


def run(script: str, options: list[str], commands: list[str]) -> float:
    """Seconds that it took."""
    file = (ROOT / "benchmarks" if script == "genome_pieces" else ROOT / "scripts") / f"{script}.py"
    commands.append(f"{file.name} {' '.join(options)}")
    start = time.perf_counter()
    done = subprocess.run([sys.executable, str(file), *options], capture_output=True, text=True, env=ENVIRONMENT)
    if done.returncode:
        sys.exit(f"{commands[-1]}\n{done.stderr}")
    return time.perf_counter() - start


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as table:
        return list(csv.DictReader(table, delimiter="\t", quoting=csv.QUOTE_NONE))


def shown(row: dict[str, str], value: str = "value") -> str:
    return f"{float(row[value]):.3f} ({float(row['low']):.3f} to {float(row['high']):.3f})"


def judge(name: str, places: dict[str, str], twins: dict[str, Path], out: Path, commands: list[str]) -> None:
    """Print the two rows of a task."""
    model, metric, before, options, *epochs = TASKS[name]
    places = places | {"out": str(out)}
    if before:
        run(before[0], before[1].format(**places).split(), commands)
    best = None
    for (way, how), count in zip(WAYS.items(), epochs, strict=True):
        found, tables, seconds = {}, {}, 0.0
        for kind, folder in (("pre-trained", MODELS / model), ("random", twins[model])):
            at = out / f"{way}-{kind}"
            at.mkdir()
            given = f"{options} {how} --epochs {count} --threads 1".format(**places).split()
            given += [
                "--model",
                str(folder),
                "--output-model",
                f"{at}/model.zip",
                "--output-metrics",
                f"{at}/scores.tsv",
            ]
            given += ["--output-predictions", f"{at}/predictions.tsv", "--output-report", f"{at}/report.md"]
            seconds += run("finetune", given, commands)
            scores = [row for row in rows(at / "scores.tsv") if row["split"] == "test" and row["metric"] == metric]
            found[kind], tables[kind] = (
                next(row for row in scores if row["model"] == "fine-tuned"),
                at / "predictions.tsv",
            )
            others = [row for row in scores if "embeddings" not in row["model"] and row["model"] != "fine-tuned"]
            best = max(others, key=lambda row: float(row["value"]))
        comparisons = out / f"{way}.tsv"
        comparing = [word for name, path in tables.items() for word in (f"--predictions={path}", f"--names={name}")]
        comparing += ["--metric", metric]
        comparing += ["--output-table", f"{out}/{way}-scores.tsv", "--output-comparisons", str(comparisons)]
        run("evaluate", comparing, commands)
        tested = next(row for row in rows(comparisons) if row["metric"] == metric)
        units = int(found["random"][list(found["random"])[-1]])
        cells = [name, way, f"{units:,}", metric, shown(found["pre-trained"]), shown(found["random"])]
        cells += [shown(tested, "difference"), f"{best['model'].removeprefix('baseline: ')}: {shown(best)}"]
        print(f"| {' | '.join(cells)} | {seconds:.0f} s |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--only", nargs="*", choices=TASKS, default=list(TASKS))
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="of the reports")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        work, commands = Path(scratch), []
        with zipfile.ZipFile(arguments.data / "secondary_structure" / "secondary_structure_splits.zip") as archive:
            for member in archive.namelist():
                if member.endswith(".fasta"):
                    (work / "unpacked").mkdir(exist_ok=True)
                    text = archive.read(member).decode()
                    text = thinned(text) if member.endswith("sampled.fasta") else text
                    (work / "unpacked" / Path(member).name).write_text(text)
        wanted = {TASKS[name][0] for name in arguments.only}
        twins = {name: random_twin(MODELS / name, work / f"random-{name}") for name in sorted(wanted)}
        places = {"data": str(arguments.data), "unpacked": str(work / "unpacked")}
        print("| task | way | test units | score | pre-trained (95 %) | random weights (95 %) | difference (95 %) | "
              "best without a model (95 %) | time of both |\n|---|---|---|---|---|---|---|---|---|")  # fmt: skip
        for number, name in enumerate(arguments.only):
            out = work / str(number)
            out.mkdir()
            judge(name, places, twins, out, commands)
            if arguments.keep:
                shutil.copytree(out, arguments.keep / name.replace(" ", "-"), dirs_exist_ok=True)
        print("\n" + "\n".join(one.replace(scratch, "").replace(str(ROOT), "") for one in commands))


if __name__ == "__main__":
    main()
