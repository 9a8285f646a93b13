"""Do maps find what a model was taught, and does the verdict tell them from those of a model that was taught nothing?

    python benchmarks/planted_motif.py [--repeats 3]

Half of the random proteins hold WCHW at a place of its own. The small protein model of test-data learns to tell them
(all weights), and its predictions on new ones are explained by each method; then those of the same bundle with the
numbers of each of its tensors in another order. Printed: how many of the four positions of the highest value lie in the
motif, the gain of hiding by the maps, and the verdict.
"""

from __future__ import annotations

import argparse
import csv
import random
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
from safetensors.numpy import load, save
from shapes import ENVIRONMENT, ROOT

WORK = ROOT / "benchmarks" / ".work" / "motif"
MOTIF, LENGTH, LETTERS = "WCHW", 31, "ACDEFGHIKLMNPQRSTVWY"
METHODS = ("integrated-gradients", "occlusion", "mutagenesis", "attention")


def run(script: str, *arguments) -> str:
    """What a script printed."""
    command = [sys.executable, str(ROOT / "scripts" / f"{script}.py"), *map(str, arguments), "--threads", "1"]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr[-2000:])
    return done.stdout


def written(path: Path, count: int, seed: int) -> Path:
    """Proteins of which every other one holds the motif, at the place that its name says."""
    rng, lines = random.Random(seed), []
    for number in range(count):
        letters, at = rng.choices(LETTERS, k=LENGTH), 0
        if number % 2:
            at = rng.randint(1, LENGTH - len(MOTIF) + 1)
            letters[at - 1 : at - 1 + len(MOTIF)] = MOTIF
        lines.append(f">s{number}_{at} LABEL={'motif' if at else 'none'}\n{''.join(letters)}\n")
    path.write_text("".join(lines))
    return path


def reordered(bundle: Path, target: Path, seed: int) -> Path:
    """The same bundle with the numbers of each tensor in another order."""
    rng = np.random.default_rng(seed)
    with zipfile.ZipFile(bundle) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            if name.endswith(".safetensors"):
                tensors = {key: rng.permutation(one.ravel()).reshape(one.shape) for key, one in load(content).items()}
                content = save(tensors, metadata={"format": "pt"})
            new.writestr(name, content)
    return target


def share_in_motif(table: Path) -> float:
    """Of the sequences with a motif."""
    values: dict[str, list[float]] = {}
    with open(table, newline="") as rows:
        for row in csv.DictReader(rows, delimiter="\t"):
            values.setdefault(row["id"], []).append(float(row["value"]))
    found = []
    for name, own in values.items():
        if at := int(name.partition("_")[2]):
            best = np.argsort(-np.asarray(own))[: len(MOTIF)] + 1
            found.append(np.mean((best >= at) & (best < at + len(MOTIF))))
    return float(np.mean(found))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=3, help="models that were taught nothing")
    repeats = parser.parse_args().repeats
    WORK.mkdir(parents=True, exist_ok=True)
    train, test, new = (
        written(WORK / f"{name}.fasta", count, seed)
        for name, count, seed in (("train", 400, 1), ("test", 100, 2), ("new", 40, 3))
    )
    bundle = WORK / "taught.zip"
    model = ROOT / "test-data" / "models" / "protein-esm-0.2m"
    print(run(
        "finetune", "--model", model, "--train", train, "--test", test, "--method", "full", "--epochs", 25,
        "--learning-rate", 0.003, "--batch-size", 16, "--output-model", bundle, "--output-html", WORK / "taught.html",
    ).splitlines()[0])  # fmt: skip
    bundles = {"taught": bundle}
    bundles |= {
        f"nothing {number}": reordered(bundle, WORK / f"nothing{number}.zip", number) for number in range(repeats)
    }
    print("| model | method | in the motif | gain | told apart | one more shuffled model stays below | verdict |")
    print("|---|---|---|---|---|---|---|")
    for name, path in bundles.items():
        for method in METHODS if name == "taught" else METHODS[:2]:
            said = run(
                "explain", "--model", path, "--sequences", new, "--method", method, "--explained-class", "motif",
                "--checked", 20, "--output-table", WORK / "t.tsv", "--output-report", WORK / "r.md",
            )  # fmt: skip
            said = re.sub(r"\s+", " ", said)
            gain = re.search(r"random orders: (\S+ \([^)]*\))", said).group(1)
            apart = re.search(r"\(deviation\): ([-\d.e]+)", said).group(1)
            bound = re.search(r"would stay below (\S+)", said).group(1)
            verdict = said.split(":")[0]
            found = [name, method, f"{share_in_motif(WORK / 't.tsv'):.0%}", gain, apart, bound, verdict]
            print(f"| {' | '.join(found)} |", flush=True)


if __name__ == "__main__":
    main()
