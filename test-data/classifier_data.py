"""What classifiers of the made-up embeddings need beside them: the sequences, and a trained classifier.

Called by make_test_data.py, after embedding_data. Sequences of the class ``binder`` are a little richer in lysine.
"""

from __future__ import annotations

import csv
import os
import random
import subprocess
import sys
from pathlib import Path

LETTERS = "ACDEFGHIKLMNPQRSTVWY"


def make(folder: Path) -> None:
    sequences(folder / "embedding_labels.tsv", folder / "embedding_sequences.fasta")
    classifier(folder)


def sequences(labels: Path, target: Path) -> None:
    rng = random.Random(2024)
    with open(labels, newline="") as handle:
        rows = list(csv.DictReader(handle, delimiter="\t"))
    records = []
    for row in rows:
        pool = LETTERS + "KKK" * (row["label"] == "binder")
        records.append(f">{row['id']} LABEL={row['label']} SET={row['split']}\nM{''.join(rng.choices(pool, k=29))}\n")
    target.write_text("".join(records))


def classifier(folder: Path) -> None:
    """Trained on the embeddings after fine-tuning, with the sets that the file of labels gives."""
    script = folder.parent / "tools" / "scripts" / "classify.py"
    subprocess.run(
        [
            sys.executable, script, "--embeddings", folder / "embeddings_after.tsv",
            "--labels", folder / "embedding_labels.tsv", "--split-column", "split", "--classifier", "naive-bayes",
            "--output-model", folder / "classifier.zip",
        ],
        check=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip


if __name__ == "__main__":
    make(Path(__file__).parent)
