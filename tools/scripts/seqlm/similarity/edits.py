"""Short sequences compared by the letters that have to be changed, put in or taken out to make one of another.

MMseqs2 does not see peptides and oligonucleotides at all, and of somewhat longer ones only close relatives. Comparing
each with each has no such limit, but in a large set a random sequence has a likeness of something too: of 9 letters, 4
to 6. So a pair counts where it is more alike than anything that 500 random sequences of that length, drawn from the
letters of the set, find in it; where one changed letter is no more than that, a sequence cannot be compared.

RapidFuzz computes the distances (Levenshtein 1966; Hyyrö 2003, bit-parallel) and, for what is short beside the other,
the likeness to the most similar piece of that (longest common subsequence).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from rapidfuzz.distance import Levenshtein
from rapidfuzz.fuzz import partial_ratio
from rapidfuzz.process import cdist

from .mmseqs import SHORTEST

# Letters up to which sequences are compared here, by whether they are DNA. Of proteins that long MMseqs2 finds nearly
# all relatives of 50 % identity, of DNA nine of ten of 80 % (``benchmarks/blind_spots.py``); RapidFuzz is much slower
# for more than 64 letters.
SHORT = {False: 50, True: 64}
MOST_PAIRS = 10_000_000_000  # of short sequences, some minutes; beyond it they are not compared
MOST_PIECES = 40_000_000  # pairs of a short sequence and one that it may be a piece of
RANDOM = 500  # sequences of each length, which tell what chance reaches
LONGER = 1.5  # times the length, from which a sequence is a piece of another
CHUNK = 2_048
_ROUNDING = 1e-5
_OTHER_STRAND = str.maketrans("ACGTURYKMBVDHN", "TGCAAYRMKVBHDN")


@dataclass
class Edits:
    """Pairs of short sequences and others, more alike than by chance, each once.

    Attributes:
        first, second: (pairs,) places; ``first`` is short and not the longer one.
        identity: (pairs,) 1 - distance / length of the longer one; of a piece, the likeness to its place in the other.
        covered: (pairs,) share of ``second`` that was compared: all of it unless ``first`` is a piece.
        short: (n,) whether a sequence is as short as :data:`SHORT` says.
        compared: (n,) whether it was compared here, and one that differs in a letter is told from chance.
        by_chance: length -> likeness that a sequence of that length has to exceed.
    """

    first: np.ndarray
    second: np.ndarray
    identity: np.ndarray
    covered: np.ndarray
    short: np.ndarray
    compared: np.ndarray
    by_chance: dict[int, float]


def compare(sequences: Sequence[str], *, dna: bool, threads: int = 0, seed: int = 0) -> Edits:
    """Compare each short sequence with all short ones and, where MMseqs2 cannot, with the longer ones.

    DNA is compared on both strands.

    Args:
        sequences: (n,) different ones, in capitals.
        threads: 0 for all; they change nothing.
        seed: of the random sequences.
    """
    lengths = np.asarray([len(sequence) for sequence in sequences], int)
    short = (lengths > 0) & (lengths <= SHORT[dna])
    places = np.flatnonzero(short)
    empty = Edits(*(np.empty(0, kind) for kind in (int, int, float, float)), short, np.zeros(len(short), bool), {})
    if not len(places) or len(places) ** 2 > MOST_PAIRS:
        return empty
    workers = threads or -1
    texts = [sequences[place] for place in places]
    limits = _by_chance(texts, texts, dna, workers, seed, _likeness)
    found = [
        (places[one], places[other], alike, np.ones(len(one)))
        for one, other, alike in _pairs(texts, limits, dna, workers)
    ]
    compared = short.copy()
    compared[places] = [limits[len(text)] + _ROUNDING < 1 - 1 / len(text) for text in texts]
    blind = places[lengths[places] < SHORTEST[dna]]
    longer = np.flatnonzero(lengths > LONGER * lengths[blind].min()) if len(blind) else blind
    if len(blind) * len(longer) > MOST_PIECES:
        compared[blind] = False
    elif len(longer):
        pieces, wholes = [sequences[place] for place in blind], [sequences[place] for place in longer]
        inside = _by_chance(pieces, wholes, dna, workers, seed, _piece)
        for one, other, alike in _pieces(pieces, wholes, inside, dna, workers):
            found.append((blind[one], longer[other], alike, lengths[blind[one]] / lengths[longer[other]]))
    columns = [np.concatenate(column) for column in zip(*found, strict=True)]
    return Edits(*columns, short, compared, limits) if found else empty


class Nearest:
    """The nearest of many short sequences, which come one by one, to each of some short queries.

    One that is no nearer than what random sequences find is not named.
    """

    def __init__(self, queries: dict[int, str], *, dna: bool, threads: int = 0, seed: int = 0):
        """
        Args:
            queries: number -> sequence of at most :data:`SHORT` letters.
        """
        self._numbers, self._texts, self._dna, self._workers = [*queries], [*queries.values()], dna, threads or -1
        self._random = _random(self._texts, seed)
        drawn = [text for texts in self._random.values() for text in texts]
        self._all = self._texts + drawn
        self._best, self._place = np.zeros(len(self._all)), np.full(len(self._all), -1)
        self._waiting: list[tuple[int, str]] = []

    def see(self, place: int, text: str) -> bool:
        """Compare a sequence, some at a time; False if it is not short, or if there are no queries."""
        if not self._texts or not 0 < len(text) <= SHORT[self._dna]:
            return False
        self._waiting.append((place, text))
        if len(self._waiting) == CHUNK:
            self._compare()
        return True

    def found(self) -> dict[int, tuple[int, float]]:
        """number of a query -> (place of the first of the nearest, likeness)."""
        self._compare()
        by_chance = self._best[len(self._texts) :].reshape(-1, RANDOM)
        limits = dict(zip(self._random, by_chance.max(axis=1), strict=True))
        rows = zip(self._numbers, self._texts, self._place.tolist(), self._best.tolist(), strict=False)
        return {number: (at, alike) for number, text, at, alike in rows if alike > limits[len(text)] + _ROUNDING}

    def _compare(self) -> None:
        if not self._waiting:
            return
        places, texts = zip(*self._waiting, strict=True)
        for start in range(0, len(self._all), CHUNK):
            alike = _on_strands(_likeness, self._all[start : start + CHUNK], texts, self._dna, self._workers)
            column, part = alike.argmax(axis=1), slice(start, start + CHUNK)
            better = alike.max(axis=1) > self._best[part]
            self._best[part] = np.where(better, alike.max(axis=1), self._best[part])
            self._place[part] = np.where(better, np.asarray(places)[column], self._place[part])
        self._waiting = []


def other_strand(sequence: str) -> str:
    return sequence.translate(_OTHER_STRAND)[::-1]


def _likeness(ours: list[str], theirs: list[str], workers: int, least: float = 0.0) -> np.ndarray:
    """(ours, theirs) 1 - distance / length of the longer one; 0 where it is less than ``least``."""
    return cdist(ours, theirs, scorer=Levenshtein.normalized_similarity, score_cutoff=least, workers=workers)


def _piece(ours: list[str], theirs: list[str], workers: int, least: float = 0.0) -> np.ndarray:
    """(ours, theirs) likeness of each to the most similar piece of a longer one; 0 where it is less than ``least``."""
    alike = cdist(ours, theirs, scorer=partial_ratio, score_cutoff=100 * least, workers=workers) / 100
    alike[np.asarray([len(text) for text in theirs]) <= LONGER * np.asarray([len(text) for text in ours])[:, None]] = 0
    return alike


def _on_strands(how, ours: list[str], theirs: list[str], dna: bool, workers: int, least: float = 0.0) -> np.ndarray:
    alike = how(ours, theirs, workers, least)
    return np.maximum(alike, how([other_strand(text) for text in ours], theirs, workers, least)) if dna else alike


def _by_chance(ours: list[str], theirs: list[str], dna: bool, workers: int, seed: int, how) -> dict[int, float]:
    """length -> likeness to ``theirs`` that no random sequence of that length exceeds."""
    limits = {}
    for length, texts in _random(ours, seed).items():
        best = np.zeros(RANDOM)
        for start in range(0, len(theirs), CHUNK):
            np.maximum(best, _on_strands(how, texts, theirs[start : start + CHUNK], dna, workers).max(axis=1), out=best)
        limits[length] = float(best.max())
    return limits


def _random(texts: list[str], seed: int) -> dict[int, list[str]]:
    """length -> random sequences of the letters of the texts, for each length among them."""
    letters, counts = np.unique(np.frombuffer("".join(texts).encode("ascii"), np.uint8), return_counts=True)
    drawn = {}
    for length in sorted({len(text) for text in texts}):
        some = np.random.default_rng([seed, length]).choice(letters, (RANDOM, length), p=counts / counts.sum())
        drawn[length] = [row.tobytes().decode("ascii") for row in some]
    return drawn


def _pairs(texts: list[str], limits: dict[int, float], dna: bool, workers: int) -> Iterator[tuple]:
    """Chunks of (first, second, likeness): places in ``texts``, the first one not the longer of the two."""
    needed = np.asarray([limits[len(text)] for text in texts])
    lengths = np.asarray([len(text) for text in texts])
    for start in range(0, len(texts), CHUNK):
        ours = texts[start : start + CHUNK]
        for at in range(start, len(texts), CHUNK):
            alike = _on_strands(_likeness, ours, texts[at : at + CHUNK], dna, workers, float(needed.min()))
            enough = np.maximum(needed[start : start + CHUNK, None], needed[at : at + CHUNK])
            one, other = np.nonzero(alike > enough + _ROUNDING)
            one, other, alike = one + start, other + at, alike[one, other]
            once = one < other
            one, other, alike = one[once], other[once], alike[once]
            swap = lengths[one] > lengths[other]
            yield np.where(swap, other, one), np.where(swap, one, other), alike


def _pieces(pieces: list[str], wholes: list[str], limits: dict[int, float], dna: bool, workers: int) -> Iterator[tuple]:
    """Chunks of (first, second, likeness): places in ``pieces`` and in ``wholes``."""
    needed = np.asarray([limits[len(text)] for text in pieces])
    for start in range(0, len(pieces), CHUNK):
        ours, enough = pieces[start : start + CHUNK], needed[start : start + CHUNK, None]
        for at in range(0, len(wholes), CHUNK):
            alike = _on_strands(_piece, ours, wholes[at : at + CHUNK], dna, workers, float(needed.min()))
            one, other = np.nonzero(alike > enough + _ROUNDING)
            yield one + start, other + at, alike[one, other]
