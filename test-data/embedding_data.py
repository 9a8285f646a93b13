"""Made-up embeddings of one set of sequences before and after a fine-tuning, and what is known of the sequences.

Called by make_test_data.py. Before, two classes overlap; after, they lie apart but for a few sequences. The labels are
told by the predictions with some errors, and 'stability' follows one direction of both embeddings.
"""

from __future__ import annotations

import io
import random
import zipfile
from pathlib import Path

import numpy as np

SEQUENCES = 90
WIDTH = 8


def make(folder: Path) -> None:
    rng = np.random.default_rng(2024)
    ids = [f"embedded_{number:02}" for number in range(1, SEQUENCES + 1)]
    positive = rng.random(SEQUENCES) < 0.4
    noise = rng.normal(size=(SEQUENCES, WIDTH))
    before, after = noise.copy(), 0.6 * noise
    before[:, 0] += 0.8 * positive
    after[:, 0] += 3.0 * positive + 1.0
    stability = 50 + 4 * noise[:, 1] + rng.normal(size=SEQUENCES)
    split = np.where(rng.random(SEQUENCES) < 0.5, "train", "test")
    called = positive ^ (rng.random(SEQUENCES) < 0.1)
    columns = [f"dim_{number}" for number in range(1, WIDTH + 1)]
    table(folder / "embeddings_before.tsv", ["id", *columns], ids, *before.T)
    table(folder / "embeddings_after.tsv", ["id", *columns], ids, *after.T)
    archive(folder / "embeddings_after.npz", ids, after)
    # with a score beside the vectors that tells the classes apart, which they hardly do
    perplexity = 14 - 4.0 * positive + rng.normal(size=SEQUENCES)
    table(folder / "embeddings_scored.tsv", ["id", *columns, "pseudo_perplexity"], ids, *before.T, perplexity)
    labels = np.where(positive, "binder", "other")
    table(folder / "embedding_labels.tsv", ["id", "label", "split", "stability"], ids, labels, split, stability)
    chance = np.where(called, 0.8, 0.2)
    table(
        folder / "embedding_predictions.tsv",
        ["id", "predicted", "probability_other", "probability_binder"],
        ids,
        np.where(called, "binder", "other"),
        1 - chance,
        chance,
    )


def table(path: Path, columns: list[str], *values) -> None:
    rows = ["\t".join(columns)]
    for cells in zip(*values, strict=True):
        rows.append("\t".join(f"{cell:.5g}" if isinstance(cell, float) else str(cell) for cell in cells))
    path.write_text("\n".join(rows) + "\n")


def archive(path: Path, ids: list[str], vectors: np.ndarray) -> None:
    """What numpy.savez writes, compressed, in any other order than that of the table."""
    order = list(range(len(ids)))
    random.Random(2024).shuffle(order)
    arrays = {"ids": np.array(ids)[order], "embeddings": vectors[order].astype(np.float32)}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, array in arrays.items():
            content = io.BytesIO()
            np.lib.format.write_array(content, array, allow_pickle=False)
            packed.writestr(zipfile.ZipInfo(f"{name}.npy"), content.getvalue(), zipfile.ZIP_DEFLATED)
