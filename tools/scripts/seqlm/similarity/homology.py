"""Related sequences, found by MMseqs2, and clusters of them for splits.

One search of all sequences against all gives the pairs. Clusters are what these pairs connect, so that no pair that the
search found is torn apart. MMseqs2's own clustering was tried first. It compares a sequence with the representative
of a cluster: with ``easy-cluster`` at 30 % identity and its coverage of 80 %, 594 of the 1,396 E. coli proteins that
have a relative (30 % over half of the protein) still had one in another cluster, and 117 of 202 in a set of 1,110 human
proteins. As connected pairs it was 464 and 123 at that coverage, and none at 50 % of the shorter one.

Sequences that MMseqs2 sees badly or not at all because they are short are compared by :mod:`.edits` as well.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from . import edits, mmseqs

HALF = 0.5  # of a held-out sequence that an alignment has to cover before it counts as a neighbour


@dataclass
class Hits:
    """Alignments of related sequences, each from both sides, sorted. A pair can have two that differ a little.

    Attributes:
        first, second: (pairs,) places of the two sequences; never the same.
        identity: (pairs,) share of equal letters in the alignment.
        covered: (pairs,) share of ``first`` that the alignment covers.
        covered_shorter: (pairs,) share of the one that it covers more, which is the shorter of the two.
        compared: (n,) whether a relative of each sequence would have been seen. That a sequence finds itself is the
            control; short ones are seen where one changed letter is told from chance.
        short: (n,) whether it was compared by edit distance.
        by_chance: length -> identity by edit distance up to which chance explains it, for the lengths that there are.
    """

    first: np.ndarray
    second: np.ndarray
    identity: np.ndarray
    covered: np.ndarray
    covered_shorter: np.ndarray
    compared: np.ndarray = field(default_factory=lambda: np.empty(0, bool))
    short: np.ndarray = field(default_factory=lambda: np.empty(0, bool))
    by_chance: dict[int, float] = field(default_factory=dict)


def search(sequences: Sequence[str], scratch: Path, *, threads: int, dna: bool = False) -> Hits:
    """All pairs of related sequences.

    Args:
        sequences: (n,) different proteins or pieces of DNA; the same input gives the same with any number of threads.
        scratch: an empty folder that exists.
        threads: 0 for all.

    Raises:
        InputError: MMseqs2 is missing or fails.
    """
    lengths = np.asarray([len(sequence) for sequence in sequences], int)
    by_edits = edits.compare(sequences, dna=dna, threads=threads)
    places = np.flatnonzero(lengths >= mmseqs.SHORTEST[dna])
    rows, own_bits, compared = np.empty((0, 5), np.float32), np.zeros(len(lengths)), by_edits.compared
    if len(places):
        print(f"looking for related sequences among {len(places):,} with MMseqs2", file=sys.stderr, flush=True)
        rows, own_bits, found = _aligned(sequences, places, scratch, threads, dna)
        compared = compared | found
    if not dna:
        biased = places[mmseqs.uneven(own_bits[places], lengths[places])]
        if len(biased):
            more, _, found = _aligned(sequences, biased, scratch, threads, dna, mmseqs.UNCORRECTED)
            rows, compared = np.concatenate([rows, more]), compared | found
    short = [by_edits.first, by_edits.second, by_edits.identity, np.ones(len(by_edits.first)), by_edits.covered]
    hits = _both_ways(np.concatenate([rows, np.stack(short, axis=1).astype(np.float32)]))
    hits.compared, hits.short, hits.by_chance = compared, by_edits.short, by_edits.by_chance
    return hits


def _aligned(
    sequences: Sequence[str], places: np.ndarray, scratch: Path, threads: int, dna: bool, options: Sequence = ()
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What MMseqs2 finds among some of the sequences.

    Returns:
        (pairs, 5) places of two, identity, and shares of both that the alignment covers; (n,) bit score of each with
        itself; (n,) whether it found half of itself, or of another.
    """
    fasta = mmseqs.write(((place, sequences[place]) for place in places.tolist()), scratch / "sequences.fasta")
    pairs, own_bits, found = [np.empty((0, 5), np.float32)], np.zeros(len(sequences)), np.zeros(len(sequences), bool)
    columns = "query,target,fident,qcov,tcov,bits"
    for rows in mmseqs.search(fasta, fasta, scratch, columns, dna=dna, threads=threads, options=options):
        query, target = rows[:, 0].astype(int), rows[:, 1].astype(int)
        own = query == target
        np.maximum.at(own_bits, query[own], rows[own, 5])
        found[query[rows[:, 3] >= HALF]] = True
        pairs.append(rows[~own, :5].astype(np.float32))  # numbers up to 16 million are exact
    fasta.unlink()
    return np.concatenate(pairs), own_bits, found


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


def _both_ways(rows: np.ndarray) -> Hits:
    """Pairs from both sides, sorted; MMseqs2 may see one from one side only."""
    one, two = (rows[:, column].astype(np.int32) for column in (0, 1))
    identity, of_one, of_two = rows[:, 2:].astype(np.float32).T
    one, two = np.concatenate([one, two]), np.concatenate([two, one])
    identity = np.concatenate([identity, identity])
    covered, other = np.concatenate([of_one, of_two]), np.concatenate([of_two, of_one])
    shorter = np.maximum(covered, other)
    order = np.lexsort((-shorter, -covered, -identity, two, one))
    return Hits(one[order], two[order], identity[order], covered[order], shorter[order])
