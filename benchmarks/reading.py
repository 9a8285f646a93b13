"""CPU seconds of reading and checking 200,000 proteins, in two checkouts.

    python benchmarks/reading.py BEFORE AFTER [--repeats N]

BEFORE and AFTER are checkouts of this repository. The same FASTA file and the same table, of 75 million residues drawn
at random, are read in turn by the one and by the other; the median of the repeats counts.
"""

from __future__ import annotations

import argparse
import random
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

NUMBER = 200_000
READ = """
import inspect, sys, time
sys.path.insert(0, sys.argv[1])
from seqlm.data.records import PROTEIN, Rules
from seqlm.data.sequences import clean, read_records
options = {"rename": True} if "rename" in inspect.signature(read_records).parameters else {}
begun, rules, number = time.process_time(), Rules(), 0
for record in read_records(sys.argv[2], **options):
    clean(record, PROTEIN, {}, rules, sys.argv[2])
    number += 1
print(number, time.process_time() - begun)
"""


def make(folder: Path) -> list[Path]:
    """A FASTA file with 60 letters a line, and a table."""
    rng = random.Random(1)
    fasta, table = folder / "proteins.fasta", folder / "proteins.tsv"
    with fasta.open("w") as one, table.open("w") as other:
        other.write("id\tsequence\n")
        for number in range(NUMBER):
            sequence = "".join(rng.choices("ACDEFGHIKLMNPQRSTVWY", k=rng.randint(50, 700)))
            lines = "\n".join(sequence[at : at + 60] for at in range(0, len(sequence), 60))
            one.write(f">sp|P{number:06d}|X some words OS=Homo sapiens\n{lines}\n")
            other.write(f"P{number:06d}\t{sequence}\n")
    return [fasta, table]


def seconds(checkout: Path, path: Path) -> float:
    command = [sys.executable, "-c", READ, str(checkout / "scripts"), str(path)]
    number, spent = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert int(number) == NUMBER
    return float(spent)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("before", type=Path)
    parser.add_argument("after", type=Path)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for path in make(Path(folder)):
            pairs = [
                (seconds(arguments.before, path), seconds(arguments.after, path)) for _ in range(arguments.repeats)
            ]
            before, after = (statistics.median(times) for times in zip(*pairs, strict=True))
            print(f"{path.suffix[1:]}: {before:.2f} s before, {after:.2f} s after, ratio {after / before:.2f}")


if __name__ == "__main__":
    main()
