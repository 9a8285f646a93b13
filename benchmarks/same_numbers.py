"""What threads or tokens at once change in what the tools write: the numbers of docs/reproducibility.md.

    python benchmarks/same_numbers.py [--only explain fold …]

Each command of same_bytes.py is run with its own settings, again, with the other number of threads, and with other
numbers of tokens at once, where its script has these. Numbers in tables are compared one by one; of archives, figures
and pages is said whether they are the same bytes.
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
from pathlib import Path

from same_bytes import COMMANDS, WRONG, execute, needed, prepare
from shapes import ROOT

VARIANTS = {
    "again": "",
    "2 threads": "--threads 2",
    "64 tokens": "--batch-tokens 64",
    "5000 tokens": "--batch-tokens 5000",
}
NUMBER = re.compile(rb"-?\d+\.?\d*(?:e[-+]?\d+)?")


def beside(before: dict[str, bytes], after: dict[str, bytes]) -> str:
    """How two runs differ: in how many numbers of tables, and by how much at most; else in which files."""
    if before == after:
        return "same bytes"
    counted, most, others = 0, 0.0, []
    for name in sorted({*before, *after}):
        one, other = before.get(name, b""), after.get(name, b"")
        if one == other:
            continue
        numbers = NUMBER.findall(one), NUMBER.findall(other)
        table = Path(name).suffix in (".tsv", ".bedgraph", ".fasta")
        if not table or NUMBER.sub(b"", one) != NUMBER.sub(b"", other):
            others.append(name)
            continue
        gaps = [abs(float(a) - float(b)) for a, b in zip(*numbers, strict=True) if a != b]
        counted, most = counted + len(gaps), max(most, *gaps)
    found = [f"{counted:,} numbers of tables by {most:.0e} at most"] if counted else []
    return "; ".join([*found, *([f"{len(others)} other files"] if others else [])])


def varied(name: str, words: str, side: Path) -> dict[str, bytes]:
    """The same command with further options, on what the plain ones before it wrote."""
    kept = COMMANDS[name]
    COMMANDS[name] = f"{kept.replace(' ../', ' ../../after/')} {words}"
    try:
        return execute(name, side)
    finally:
        COMMANDS[name] = kept


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", default=[""], metavar="NAME", help="commands whose names begin so")
    chosen = [name for name in COMMANDS if name.startswith(tuple(parser.parse_args().only)) and name not in WRONG]
    chosen = [name for name in chosen if not name.endswith("-help")]
    wanted = sorted({*chosen}.union(*map(needed, chosen)), key=lambda name: len(needed(name)))
    with tempfile.TemporaryDirectory(prefix="same_numbers_") as scratch:
        root = Path(scratch) / "runs"
        prepare(root, {"after": ROOT, **{name.replace(" ", "-"): ROOT for name in VARIANTS}})
        print(f"| command | {' | '.join(VARIANTS)} |\n|{'---|' * (len(VARIANTS) + 1)}")
        for name in wanted:
            plain, cells = execute(name, root / "after"), []
            if plain["exit status"] != b"0":
                sys.exit(f"{name}: {plain['stderr'].decode()}")
            usage = (ROOT / "scripts" / f"{name.split('-')[0]}.py").read_text()
            for variant, words in VARIANTS.items():
                if words.startswith("--batch") and "COMPUTING" not in usage and "--batch-tokens" not in usage:
                    cells.append("–")
                    continue
                cells.append(beside(plain, varied(name, words, root / variant.replace(" ", "-"))))
            if name in chosen:
                print(f"| {name} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
