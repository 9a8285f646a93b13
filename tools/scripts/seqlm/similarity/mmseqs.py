"""MMseqs2, run as a program, with numbers for names (Steinegger & Söding 2017, https://doi.org/10.1038/nbt.3988).

What it does not see decides what its silence means, so that was measured, with releases 14 and 18, which differ little
(``benchmarks/blind_spots.py``, figures in RESULTS.md). By itself it masks repeats and corrects scores for an uneven
composition: of 144 proteins made of repeats 3 found another member of their family. Repeats are never masked here.
The correction stays, since without it every third pair among real and shuffled proteins was one with a shuffled
protein; but proteins that lose a fifth of their score to it are compared with each other without it, which finds all of
the 144.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from seqlm.cli.errors import InputError

SENSITIVITY = 5.7  # MMseqs2's default of a search; its clustering takes 4
MOST_HITS = 1000  # of one sequence
EXPECTED = 0.001  # largest E-value of a hit
DNA_WORD = 11  # letters; MMseqs2's own 15 misses relatives below 85 % in short sequences
# By whether it is DNA: letters from which nearly all of a set of 15,400 sequences found themselves (of DNA release 14
# finds none of 17 letters), and letters of one alignment at most: its scores end at 32,767, and it cuts DNA.
SHORTEST = {False: 14, True: 20}
LONGEST_ALIGNED = {False: 5_600, True: 10_000}
UNCORRECTED = ("--comp-bias-corr", 0)
# Bits of a residue aligned with itself. Most proteins have about 2 (99 % of E. coli's more than 1.8), those made of
# proline and glycine at most 1.56.
OWN_BITS = 1.6
_NO_WORD = "No k-mer could be extracted"  # said where nothing of the targets can be searched


def program() -> str:
    """Where MMseqs2 is.

    Raises:
        InputError: it is not installed.
    """
    found = shutil.which("mmseqs")
    if not found:
        raise InputError(
            "related sequences are found by MMseqs2, and there is no program 'mmseqs'; install the package mmseqs2 "
            "(of bioconda or Debian), or do without it"
        )
    return found


def version() -> str:
    """The version of MMseqs2 as it says it, or an empty text where there is none."""
    found = shutil.which("mmseqs")
    if not found:
        return ""
    done = subprocess.run([found, "version"], capture_output=True, text=True, check=False)
    return done.stdout.strip()[:60]


def write(sequences: Iterator[tuple[int, str]], path: Path) -> Path:
    """FASTA of sequences that are named by numbers."""
    with path.open("w", encoding="ascii") as out:
        out.writelines(f">{number}\n{sequence}\n" for number, sequence in sequences)
    return path


def search(
    queries: Path, targets: Path, scratch: Path, columns: str, *, dna: bool, threads: int, options: Sequence = ()
) -> Iterator[np.ndarray]:
    """Alignments of queries with targets, some at a time; the same with any number of threads.

    Args:
        queries, targets: FASTA with numbers for names; of sequences as long as :data:`SHORTEST` says, or longer.
        scratch: a folder for its files, which are gone afterwards.
        columns: numbers that each alignment is to have, by MMseqs2's names, with commas.
        threads: 0 for all.
        options: more of MMseqs2's.

    Yields:
        (alignments, columns) numbers.

    Raises:
        InputError: MMseqs2 is missing or fails.
    """
    table, work = scratch / "hits.tsv", scratch / "mmseqs"
    command = [program(), "easy-search", queries, targets, table, work]
    command += ["--format-output", columns, "-e", EXPECTED, "--max-seqs", MOST_HITS, "-v", 2, "--mask", 0, *options]
    # the kind is said, since proteins of the letters of bases alone would be taken for DNA, and refused
    command += ["--dbtype", 2, "--search-type", 3, "-k", DNA_WORD] if dna else ["--dbtype", 1, "--search-type", 1]
    command += [] if dna else ["-s", SENSITIVITY]
    command += ["--threads", threads] if threads else []
    done = subprocess.run(
        list(map(str, command)), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        errors="replace", check=False,
    )  # fmt: skip
    shutil.rmtree(work, ignore_errors=True)
    if _NO_WORD in done.stdout:
        return
    if done.returncode or not table.exists():
        said = [line.strip() for line in done.stdout.splitlines() if line.strip()]
        with queries.open(encoding="ascii") as lines:
            count = sum(line.startswith(">") for line in lines)
        raise InputError(
            f"MMseqs2 failed (exit status {done.returncode}) on {count:,} sequences; "
            f"its last words: {(said or ['none'])[-1][:300]}"
        )
    with table.open(encoding="ascii") as lines:
        for chunk in iter(lambda: lines.readlines(1 << 24), []):
            yield np.array([line.split("\t") for line in chunk], dtype=float)
    table.unlink()


def uneven(own_bits: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """(n,) whether the correction for composition takes so much of a protein's score that relatives are missed.

    Args:
        own_bits: (n,) bit scores of each protein aligned with itself; 0 where it does not find itself.
        lengths: (n,) letters.
    """
    return own_bits < OWN_BITS * np.minimum(lengths, LONGEST_ALIGNED[False])
