"""Related sequences, found by MMseqs2, and clusters of them for splits.

One search of all sequences against all gives the pairs. Clusters are what these pairs connect, so that no pair that the
search found is torn apart. MMseqs2's own clustering was tried first. It compares a sequence with the representative
of a cluster: with ``easy-cluster`` at 30 % identity and its coverage of 80 %, 594 of the 1,396 E. coli proteins that
have a relative (30 % over half of the protein) still had one in another cluster, and 117 of 202 in a set of 1,110 human
proteins. As connected pairs it was 464 and 123 at that coverage, and none at 50 % of the shorter one.

MMseqs2: Steinegger & Söding 2017, https://doi.org/10.1038/nbt.3988. It is run as a program, with numbers for names.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from seqlm.cli.errors import InputError

SENSITIVITY = 5.7  # MMseqs2's default of a search; its clustering takes 4
MOST_HITS = 1000  # of one sequence
EXPECTED = 0.001  # largest E-value of a hit
DNA_WORD = 11  # letters; MMseqs2's own 15 misses relatives below 85 % in short sequences
# Letters of one alignment at most, measured with equal sequences: MMseqs2's scores end at 32,767, and it cuts DNA.
LONGEST_ALIGNED = {False: 5_600, True: 10_000}  # by whether it is DNA
HALF = 0.5  # of a held-out sequence that an alignment has to cover before it counts as a neighbour
_FEW_LINES = 40


@dataclass
class Hits:
    """Alignments of related sequences, each from both sides, sorted. A pair can have two that differ a little.

    Attributes:
        first, second: (pairs,) places of the two sequences; never the same.
        identity: (pairs,) share of equal letters in the alignment.
        covered: (pairs,) share of ``first`` that the alignment covers.
        covered_shorter: (pairs,) share of the one that it covers more, which is the shorter of the two.
    """

    first: np.ndarray
    second: np.ndarray
    identity: np.ndarray
    covered: np.ndarray
    covered_shorter: np.ndarray


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


def search(sequences: Sequence[str], scratch: Path, *, threads: int, dna: bool = False) -> Hits:
    """All pairs of related sequences.

    Args:
        sequences: proteins or DNA; the same input gives the same pairs with any number of threads.
        scratch: an empty folder that exists.
        threads: 0 for all.

    Raises:
        InputError: MMseqs2 is missing or fails.
    """
    mmseqs = program()
    fasta, table, work = scratch / "sequences.fasta", scratch / "hits.tsv", scratch / "work"
    with fasta.open("w", encoding="ascii") as out:
        out.writelines(f">{place}\n{sequence}\n" for place, sequence in enumerate(sequences))
    command = [mmseqs, "easy-search", fasta, fasta, table, work]
    command += ["--format-output", "query,target,fident,qcov,tcov", "-e", EXPECTED, "--max-seqs", MOST_HITS, "-v", 2]
    command += ["--search-type", 3, "-k", DNA_WORD] if dna else ["--search-type", 1, "-s", SENSITIVITY]
    if threads:
        command += ["--threads", threads]
    print(f"looking for related sequences among {len(sequences):,} with MMseqs2", file=sys.stderr, flush=True)
    done = subprocess.run(
        list(map(str, command)), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        errors="replace", check=False,
    )  # fmt: skip
    if done.returncode or not table.exists():
        said = [line.strip() for line in done.stdout.splitlines()[-_FEW_LINES:] if line.strip()]
        raise InputError(
            f"MMseqs2 failed (exit status {done.returncode}) on {len(sequences):,} sequences; "
            f"its last words: {(said or ['none'])[-1][:300]}"
        )
    hits = _read(table)
    shutil.rmtree(work, ignore_errors=True)
    fasta.unlink()
    table.unlink()
    return hits


def clusters(hits: Hits, count: int, identity: float, coverage: float) -> np.ndarray:
    """(count,) number of the cluster of each sequence, from 0 in the order of their first members.

    Two sequences are in one cluster if an alignment of at least this identity covers at least this share of the shorter
    of the two, or if a chain of such pairs connects them.
    """
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    near = (hits.identity >= identity) & (hits.covered_shorter >= coverage)
    edges = coo_matrix((np.ones(near.sum(), bool), (hits.first[near], hits.second[near])), shape=(count, count))
    found = connected_components(edges, directed=False)[1]
    firsts = np.unique(found, return_index=True)[1]
    rank = np.empty(len(firsts), np.int64)
    rank[np.argsort(firsts)] = np.arange(len(firsts))
    return rank[found]


def nearest(hits: Hits, held_out: np.ndarray, training: np.ndarray) -> np.ndarray:
    """Highest identity of each held-out sequence to a training sequence, 0 where there is no related one.

    Only alignments count that cover half of the held-out sequence.

    Args:
        held_out: (m,) places of sequences.
        training: (n,) places of sequences; one that is in both has an identity of 1.

    Returns:
        (m,) shares.
    """
    count = 1 + max(int(places.max(initial=0)) for places in (hits.first, hits.second, held_out, training))
    in_training = np.zeros(count, bool)
    in_training[training] = True
    best = np.zeros(count)
    counts = in_training[hits.second] & (hits.covered >= HALF)
    np.maximum.at(best, hits.first[counts], hits.identity[counts])
    best[training] = 1.0
    return best[held_out]


def _read(table: Path) -> Hits:
    """The alignments that MMseqs2 wrote, sorted, both ways round."""
    first, second, rest = [], [], []
    with table.open(encoding="ascii") as lines:
        for chunk in iter(lambda: lines.readlines(1 << 24), []):
            values = np.array([line.split("\t") for line in chunk], dtype=float).reshape(-1, 5)
            values = values[values[:, 0] != values[:, 1]]
            first.append(values[:, 0].astype(np.int32))
            second.append(values[:, 1].astype(np.int32))
            rest.append(values[:, 2:].astype(np.float32))
    if not first:
        return Hits(*(np.empty(0, kind) for kind in (np.int32, np.int32, np.float32, np.float32, np.float32)))
    query, target, values = np.concatenate(first), np.concatenate(second), np.concatenate(rest)
    identity, of_query, of_target = values.T
    # MMseqs2 may see a pair from one side only
    one, two = np.concatenate([query, target]), np.concatenate([target, query])
    identity = np.concatenate([identity, identity])
    covered, other = np.concatenate([of_query, of_target]), np.concatenate([of_target, of_query])
    shorter = np.maximum(covered, other)
    order = np.lexsort((-shorter, -covered, -identity, two, one))
    return Hits(one[order], two[order], identity[order], covered[order], shorter[order])
