"""Known structures of the proteins, and how many of the predicted contacts they have. Needs no torch.

Two residues touch where their Cβ atoms (Cα of glycine, and where there is no Cβ) are less than 8 Å apart. A chain is
that of a protein if nine in ten of its residues are the same; names play no part. What is resolved in no structure
counts nowhere.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from seqlm.cli.errors import InputError

from .ranges import RANGES, best, pairs

TOUCHING = 8.0  # Å
SAME = 0.9  # of the residues of a chain
FEWEST = 15  # residues of a chain that are told from others
WORD = 4  # letters that a chain and its protein must share somewhere
LARGEST = 1 << 28  # bytes of a file
DIVISORS = (1, 2, 5)  # of the number of residues, which gives how many pairs are looked at


@dataclass(frozen=True)
class Chain:
    """Residues of a chain, in their order, and where they lie, (residues, 3) in Å."""

    name: str
    letters: str
    places: np.ndarray


@dataclass(frozen=True)
class Precision:
    """Of some of the most probable pairs of a range, the share that touch.

    Attributes:
        pairs: how many they are.
        share: of them that touch.
        by_chance: of as many pairs drawn at random that are as far apart along the chain.
        spread: deviation of that share from one such drawing to the next.
    """

    pairs: int
    share: float
    by_chance: float
    spread: float


def read_chains(paths: Sequence[str]) -> list[Chain]:
    """All chains of proteins in PDB and mmCIF files, of the first model each.

    Raises:
        InputError: a file that is neither, or that holds no protein.
    """
    found = []
    for path in map(Path, paths):
        own = [chain for chain in _chains_of(path) if len(chain.letters) >= FEWEST]
        if not own:
            raise InputError(
                f"{path.name} is no structure of a protein: no chain of {FEWEST} residues or more was found in it; "
                "give PDB or mmCIF (--known-structures)"
            )
        found += own
    return found


def _chains_of(path: Path) -> list[Chain]:
    from Bio.Data.PDBData import protein_letters_3to1_extended as letters
    from Bio.PDB import MMCIFParser, PDBParser

    try:
        if path.stat().st_size > LARGEST:
            raise InputError(f"{path.name} is larger than {LARGEST >> 20} MiB, and no structure of one protein")
        with open(path, encoding="utf-8", errors="replace") as file:
            parser = MMCIFParser if any("_atom_site." in line for line in file) else PDBParser
            file.seek(0)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                structure = parser(QUIET=True).get_structure(path.name, file)
            model = next(iter(structure))
    except (InputError, OSError):
        raise
    except Exception:  # whatever a parser makes of a file that is none
        return []
    chains = []
    for chain in model:
        text, places = [], []
        for residue in chain:
            if atom := next((residue[name] for name in ("CB", "CA") if name in residue), None):
                text.append(letters.get(residue.get_resname().strip(), "X"))
                places.append(atom.coord)
        if text:
            chains.append(Chain(f"{path.name}, chain {chain.id}", "".join(text), np.asarray(places, float)))
    return chains


def distances_of(sequence: str, chains: Sequence[Chain]) -> tuple[np.ndarray, str] | None:
    """Å between the residues of a protein, (residues, residues), NaN where they are not known, and the chain that they
    are from: the one that knows the most of them. None where no chain is that of the protein."""
    found = None
    for chain in chains:
        if (known := _matched(sequence, chain.letters)) is not None and (found is None or len(known[0]) > found[0]):
            found = len(known[0]), chain, known
    if found is None:
        return None
    _, chain, (here, there) = found
    places = np.full((len(sequence), 3), np.nan)
    places[here] = chain.places[there]
    return np.linalg.norm(places[:, None] - places[None], axis=-1), chain.name


def _matched(sequence: str, chain: str) -> tuple[np.ndarray, np.ndarray] | None:
    """Places in a protein and in a chain of it that are the same residue."""
    if (start := sequence.find(chain)) >= 0:
        return np.arange(start, start + len(chain)), np.arange(len(chain))
    words = {sequence[at : at + WORD] for at in range(len(sequence) - WORD + 1)}
    if not any(chain[at : at + WORD] in words for at in range(len(chain) - WORD + 1)):
        return None
    from Bio.Align import PairwiseAligner

    aligner = PairwiseAligner(
        mode="global", match_score=1, mismatch_score=-3, open_gap_score=-3, extend_gap_score=-0.01
    )
    aligner.end_gap_score = 0
    blocks = aligner.align(sequence, chain)[0].aligned
    here, there = (np.concatenate([np.arange(*span) for span in side] or [np.arange(0)]) for side in blocks)
    same = np.asarray([sequence[one] == chain[other] for one, other in zip(here, there, strict=True)], bool)
    return (here, there) if same.sum() >= SAME * len(chain) else None


def precisions(probabilities: np.ndarray, distances: np.ndarray) -> dict[tuple[str, int], Precision]:
    """(range, divisor) -> how many of the most probable pairs touch; L is the number of residues that are resolved."""
    resolved = int(np.isfinite(np.diag(distances)).sum())
    found = {}
    for name, (low, high) in RANGES.items():
        first, second = pairs(len(distances), low, high)
        known = np.isfinite(distances[first, second])
        first, second = first[known], second[known]
        touching, apart = distances[first, second] < TOUCHING, second - first
        order = best(probabilities[first, second], resolved)
        for divisor in DIVISORS:
            if chosen := order[: max(1, resolved // divisor)].tolist():
                found[name, divisor] = _precision(touching, apart, np.asarray(chosen))
    return found


def _precision(touching: np.ndarray, apart: np.ndarray, chosen: np.ndarray) -> Precision:
    """Of the pairs (n,) those that are ``chosen``, beside a drawing without replacement of pairs as far apart."""
    there, of_these = np.bincount(apart), np.bincount(apart[chosen], minlength=apart.max() + 1)
    share = np.bincount(apart, weights=touching) / np.maximum(there, 1)
    variance = of_these * share * (1 - share) * (there - of_these) / np.maximum(there - 1, 1)
    count = len(chosen)
    return Precision(
        count,
        float(touching[chosen].mean()),
        float((of_these * share).sum() / count),
        float(variance.sum()) ** 0.5 / count,
    )
