"""Small prediction tables for the tests of the evaluation, drawn at random."""

from argparse import Namespace

import numpy as np

AMINO_ACIDS = "ACDEFGHIKLMNPQRSTVWY"


def write(path, columns, rows):
    path.write_text("\n".join("\t".join(map(str, row)) for row in [columns, *rows]) + "\n")
    return path


def options(predictions, **changes):
    defaults = {
        "names": None, "kind": "auto", "truth": None, "truth_column": None, "truth_id_column": None,
        "label_pattern": r"LABEL=(\S+)", "unknown_label": [], "unlisted": "auto", "misfits": "stop", "mask": None,
        "split": None, "positive_label": None, "threshold": None,
    }  # fmt: skip
    return Namespace(predictions=[str(path) for path in predictions], **defaults | changes)


def two_classes(folder, gains=(2.5, 1.0), n=240, seed=1):
    """Tables of models that know more or less, with the truth in them; ids and truth are returned too."""
    generator = np.random.default_rng(seed)
    truth = (generator.random(n) < 0.4).astype(int)
    paths, chances = [], []
    for number, gain in enumerate(gains):
        chance = np.round(1 / (1 + np.exp(gain / 2 - gain * truth - generator.normal(size=n))), 4)
        rows = [
            (f"s{i}", int(p > 0.5), f"{1 - p:.4f}", p, t) for i, (p, t) in enumerate(zip(chance, truth, strict=True))
        ]
        order = generator.permutation(n)  # no table has the order of another
        path = folder / f"model{number}.tsv"
        write(path, ["id", "predicted", "probability_0", "probability_1", "truth"], [rows[i] for i in order])
        paths.append(path)
        chances.append(chance)
    return paths, truth, chances


def residues(folder, proteins=12, seed=3):
    """One table of residues without truth, and the true labels of each protein."""
    generator = np.random.default_rng(seed)
    truth = {f"P{k}": (generator.random(generator.integers(20, 60)) < 0.2).astype(int) for k in range(proteins)}
    rows = []
    for name, labels in truth.items():
        for at, label in enumerate(labels, start=1):
            chance = round(1 / (1 + np.exp(1 - 2 * label - generator.normal())), 4)
            letter = generator.choice(list(AMINO_ACIDS))
            rows.append((name, at, letter, int(chance > 0.5), f"{1 - chance:.4f}", chance))
    columns = ["id", "position", "residue", "predicted", "probability_0", "probability_1"]
    return write(folder / "residues.tsv", columns, rows), truth, np.array([row[-1] for row in rows])
