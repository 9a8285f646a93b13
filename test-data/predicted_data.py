"""Prediction tables of made-up models for data of this folder, with known errors; called by make_test_data.py."""

from __future__ import annotations

import csv
import math
import random
from collections.abc import Iterable
from pathlib import Path


def make(folder: Path) -> None:
    """All of them, from a seed of its own each."""
    for name, knowledge, seed in (("strong", 2.5, 1), ("weak", 0.6, 2)):
        sites(folder, folder / f"predicted_sites_{name}.tsv", knowledge, random.Random(seed))
    binding(folder, folder / "predicted_binding.tsv", random.Random(3))
    for name, error, seed in (("good", 0.5, 4), ("rough", 2.0, 5)):
        stability(folder, folder / f"predicted_stability_{name}.tsv", error, random.Random(seed))
    several(folder, folder / "predicted_several.tsv", random.Random(6))


def write(path: Path, columns: list[str], rows: Iterable[list]) -> None:
    lines = ["\t".join(columns)]
    lines += ["\t".join(f"{cell:.6g}" if isinstance(cell, float) else str(cell) for cell in row) for row in rows]
    path.write_text("\n".join(lines) + "\n")


def chance(true: bool, knowledge: float, rng: random.Random) -> float:
    """Probability that a model gives a case: right on the whole, more so the more it knows."""
    return 1 / (1 + math.exp(knowledge * (0.5 - true) - rng.gauss(0, 1)))


def fasta(path: Path) -> list[tuple[str, str]]:
    lines = path.read_text().split()
    return [(lines[at][1:], lines[at + 1]) for at in range(0, len(lines) - 1) if lines[at].startswith(">")]


def sites(folder: Path, target: Path, knowledge: float, rng: random.Random) -> None:
    """As fine-tuning writes them, with truth and split."""
    rows = []
    for name, label in fasta(folder / "sites_test.fasta"):  # the header is '>name LABEL=0'
        truth = label.removeprefix("LABEL=")
        p = round(chance(truth == "1", knowledge, rng), 6)
        rows.append([name, int(p >= 0.5), 1 - p, p, truth, "test"])
    write(target, ["id", "predicted", "probability_0", "probability_1", "truth", "split"], rows)


def binding(folder: Path, target: Path, rng: random.Random) -> None:
    """Residues of the test proteins, called from a threshold of 0.3 on."""
    letters = dict(fasta(folder / "binding_sequences.fasta"))
    rows = []
    for header in (folder / "binding_labels.fasta").read_text().split(">")[1:]:
        name, split, labels = header.split()
        if split != "SET=test":
            continue
        for position, (letter, label) in enumerate(zip(letters[name], labels, strict=True), start=1):
            p = round(chance(label == "1", 3.0, rng), 6)
            rows.append([name, position, letter, int(p >= 0.3), 1 - p, p])
    write(target, ["id", "position", "residue", "predicted", "probability_0", "probability_1"], rows)


def stability(folder: Path, target: Path, error: float, rng: random.Random) -> None:
    with (folder / "stability.csv").open() as handle:
        rows = [[row["name"], float(row["melting"]) + rng.gauss(0, error)] for row in csv.DictReader(handle)]
    write(target, ["id", "predicted"], rows)


def several(folder: Path, target: Path, rng: random.Random) -> None:
    with (folder / "several_locations.tsv").open() as handle:
        truth = {row["protein"]: row["locations"].split(";") for row in csv.DictReader(handle, delimiter="\t")}
    labels = sorted({label for one in truth.values() for label in one if label not in ("", "none", "-")})
    rows = []
    for name, true in truth.items():
        chances = [round(chance(label in true, 3.0, rng), 6) for label in labels]
        called = [label for label, p in zip(labels, chances, strict=True) if p >= 0.5]
        rows.append([name, ";".join(called), *chances])
    write(target, ["id", "predicted", *(f"probability_{label}" for label in labels)], rows)
