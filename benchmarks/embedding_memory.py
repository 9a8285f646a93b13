"""Peak memory of embed.py with few and with many sequences, for every output by itself and for all of them.

    python benchmarks/embedding_memory.py [--sequences 10000 1000000] [--outputs table npz h5 parquet all]

A model of one layer and random weights reads random peptides, so that what is measured is the streaming and not the
model. Memory must not grow with the number of sequences but for the sixteen bytes a sequence that the survey keeps.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from shapes import ENVIRONMENT, ROOT

OUTPUTS = ("table", "npz", "h5", "parquet")
WIDTH = 32


def make_model(folder: Path) -> None:
    """A Hugging Face folder of an ESM-2 with one narrow layer."""
    import torch
    from transformers import EsmConfig, EsmModel

    torch.manual_seed(0)
    config = EsmConfig(
        vocab_size=33, hidden_size=WIDTH, num_hidden_layers=1, num_attention_heads=2, intermediate_size=WIDTH,
        max_position_embeddings=1026, position_embedding_type="rotary", pad_token_id=1, mask_token_id=32,
    )  # fmt: skip
    EsmModel(config, add_pooling_layer=False).save_pretrained(folder)
    for name in ("vocab.txt", "tokenizer_config.json"):
        shutil.copyfile(ROOT / "test-data" / "models" / "tiny-esm" / name, folder / name)


def make_sequences(path: Path, count: int) -> None:
    rng = random.Random(1)
    with open(path, "w") as handle:
        for number in range(count):
            handle.write(f">sp|P{number:07}|PEPTIDE\n{''.join(rng.choices('ACDEFGHIKLMNPQRSTVWY', k=9))}\n")


def run(folder: Path, sequences: Path, outputs: tuple[str, ...], pooling: str) -> tuple[float, float]:
    """Peak memory of the process in MB, and seconds."""
    command = [sys.executable, ROOT / "scripts" / "embed.py", "--model", folder / "model", "--sequences", sequences]
    command += ["--batch-tokens", "16384", "--threads", "1", "--pooling", pooling]
    for name in outputs:
        command += [f"--output-{name}", folder / f"embeddings.{name}"]
    started = time.monotonic()
    process = subprocess.Popen(list(map(str, command)), env=ENVIRONMENT | dict(os.environ), stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"embed.py failed with the status {status}")
    return usage.ru_maxrss / 1024, time.monotonic() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sequences", nargs="+", type=int, default=[10_000, 1_000_000])
    parser.add_argument("--outputs", nargs="+", choices=[*OUTPUTS, "all"], default=[*OUTPUTS, "all"])
    parser.add_argument("--pooling", default="mean", choices=["mean", "none"])
    arguments = parser.parse_args()
    print(f"{'output':10} {'sequences':>12} {'peak MB':>9} {'seconds':>9} {'a second':>10}")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        make_model(folder / "model")
        for count in arguments.sequences:
            make_sequences(folder / f"{count}.fasta", count)
        for output in arguments.outputs:
            for count in arguments.sequences:
                names = OUTPUTS if output == "all" else (output,)
                peak, seconds = run(folder, folder / f"{count}.fasta", names, arguments.pooling)
                print(f"{output:10} {count:12,} {peak:9.0f} {seconds:9.0f} {count / seconds:10.0f}", flush=True)


if __name__ == "__main__":
    main()
