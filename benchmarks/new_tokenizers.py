"""Time and peak memory of training tokenizers on a genome, and on one twenty times as large, beside published ones.

    python benchmarks/new_tokenizers.py GENOME.fasta [--compare FOLDER …] [--times 20]

The larger corpus is the genome again and again, a tenth of its bases replaced at random each time.
"""

from __future__ import annotations

import argparse
import csv
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

SCRIPT = Path(__file__).parents[1] / "tools" / "scripts" / "tokenizer.py"
REPLACED = 0.1
RUNS = {
    "byte pairs": ["--algorithm", "bpe"],
    "byte pairs, both strands": ["--algorithm", "bpe", "--both-strands"],
    "byte pairs of bytes": ["--algorithm", "byte-bpe"],
    "unigram": ["--algorithm", "unigram"],
    "WordPiece": ["--algorithm", "wordpiece"],
    "6-mers": ["--algorithm", "kmer"],
}


def larger(genome: Path, target: Path, times: int) -> None:
    """Write the genome ``times`` times, each with other bases replaced."""
    lines = genome.read_text().splitlines()
    bases = np.frombuffer("".join(line for line in lines if not line.startswith(">")).encode(), dtype=np.uint8)
    rng = np.random.default_rng(1)
    with target.open("w") as out:
        for number in range(times):
            copy = bases.copy()
            places = rng.random(len(copy)) < REPLACED
            copy[places] = rng.choice(np.frombuffer(b"ACGT", dtype=np.uint8), int(places.sum()))
            out.write(f">copy_{number}\n{copy.tobytes().decode()}\n")


def measured(options: list) -> tuple[float, float, str]:
    """Seconds, MiB at the peak and the last line of one run."""
    start = time.monotonic()
    process = subprocess.Popen([sys.executable, SCRIPT, *map(str, options)], stderr=subprocess.PIPE, text=True)
    stderr = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(stderr)
    return time.monotonic() - start, usage.ru_maxrss / 1024, stderr.splitlines()[-1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("genome", type=Path)
    parser.add_argument("--compare", nargs="*", default=[], type=Path)
    parser.add_argument("--times", type=int, default=20)
    parser.add_argument("--only", nargs="*", default=list(RUNS))
    arguments = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with tempfile.TemporaryDirectory() as folder:
        table, big = Path(folder) / "c.tsv", Path(folder) / "big.fasta"
        others = [part for path in arguments.compare for part in ("--compare-with", path)]
        for name in arguments.only:
            options = ["--train", "--corpus", arguments.genome, *RUNS[name], *others, "--output-comparison", table]
            seconds, memory, said = measured(options)
            print(f"{name}: {seconds:.0f} s, {memory:.0f} MiB; {said}")
            with table.open() as rows:
                for row in csv.DictReader(rows, delimiter="\t"):
                    print(f"    {row['tokenizer']}: {row['letters_per_token']} ({row['low']} to {row['high']}), "
                          f"{row['used']} of {row['vocabulary']} tokens used")  # fmt: skip
        larger(arguments.genome, big, arguments.times)
        for name in ("byte pairs", "byte pairs, both strands"):
            seconds, memory, said = measured(["--train", "--corpus", big, *RUNS[name], "--output-comparison", table])
            print(f"{name}, {arguments.times} times the genome: {seconds:.0f} s, {memory:.0f} MiB; {said}")


if __name__ == "__main__":
    main()
