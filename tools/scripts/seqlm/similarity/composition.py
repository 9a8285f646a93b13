"""How often short words of letters occur in a set of sequences, and how far that is from another set.

The distance of two sets is the Jensen–Shannon distance of the shares of their words, in base 2: 0 if all shares are the
same, 1 if no word is in both (Endres & Schindelin 2003, https://doi.org/10.1109/TIT.2003.813506). Few sequences have
few of the words, and are far from any set for that alone: 100 proteins of 200 residues have at most 20,000 of 8,000
triples. So a distance is set beside what as many sequences of the reference set have, and two sets are compared with as
many sequences of each.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from seqlm.cli.errors import InputError
from seqlm.data.records import DNA, PROTEIN
from seqlm.metrics.resampling import Sample, Score, resample_weights

LETTERS = {PROTEIN: "ACDEFGHIKLMNPQRSTVWY", DNA: "ACGT"}  # words with any other letter are not counted
LENGTHS = {PROTEIN: (1, 2, 3), DNA: (3, 4, 5, 6)}
LENGTHS_OF_TEXT = (1, 2, 3)
KEPT = 2_000  # sequences of a set that are kept for intervals
RESAMPLES = 1_000
MOST_WORDS = 4_000_000  # different ones; a table of more would need gigabytes
_CELLS = 1_000_000  # of a chunk of resamples


def lengths(alphabet: str) -> tuple[int, ...]:
    """The lengths of words that sequences of this kind are compared by."""
    return LENGTHS.get(alphabet, LENGTHS_OF_TEXT)


class Composition:
    """Counts of all words of one length in a stream of sequences.

    The counts are of all sequences; up to ``keep`` of them, drawn with ``seed``, are kept as their own counts.

    Attributes:
        sequences: how many were added.
        words: how many words were counted in them, the same word each time it occurs.
        left_out: words that were not counted, for a letter that is not in the alphabet.
    """

    def __init__(self, k: int, alphabet: str, *, keep: int = KEPT, seed: int = 0):
        """Raises ValueError for words that are too many to count."""
        self.k, self.alphabet = k, alphabet
        self.sequences = self.words = self.left_out = 0
        self._letters = LETTERS.get(alphabet)
        if k < 1 or (self._letters and len(self._letters) ** k > MOST_WORDS):
            raise ValueError(f"words of {k} letters cannot be counted")
        self._numbers: dict[str, int] = {}  # of words, where the alphabet is open
        self._counts = np.zeros(len(self._letters) ** k if self._letters else 64, np.int64)
        self._keep, self._generator = keep, np.random.default_rng(seed)
        self._kept: list[tuple[np.ndarray, np.ndarray]] = []
        if self._letters:
            self._code = np.full(256, -1, np.int64)
            self._code[np.frombuffer(self._letters.encode(), np.uint8)] = np.arange(len(self._letters))

    def add(self, sequence: str) -> None:
        """Count a sequence.

        Raises:
            InputError: more different words than can be counted.
        """
        numbers, counts = np.unique(self._read(sequence, learn=True), return_counts=True)
        if len(self._numbers) > MOST_WORDS:
            raise InputError(
                f"the sequences have more than {MOST_WORDS:,} different words of length {self.k}; "
                "are these SMILES or sequences?"
            )
        if len(self._numbers) > len(self._counts):
            more = max(len(self._numbers), 2 * len(self._counts)) - len(self._counts)
            self._counts = np.concatenate([self._counts, np.zeros(more, np.int64)])
        self._counts[numbers] += counts
        counted = int(counts.sum())
        self.words += counted
        self.left_out += max(len(sequence) - self.k + 1, 0) - counted
        self.sequences += 1
        # every sequence has the same chance to be kept (Vitter 1985, 10.1145/3147.3165, algorithm R)
        place = len(self._kept) if self.sequences <= self._keep else int(self._generator.integers(self.sequences))
        if place < self._keep:
            self._kept[place : place + 1] = [(numbers.astype(np.int32), counts.astype(np.int32))]

    def add_all(self, sequences: Iterable[str]) -> Composition:
        for sequence in sequences:
            self.add(sequence)
        return self

    @property
    def kept(self) -> int:
        """How many sequences are kept for intervals."""
        return len(self._kept)

    def frequencies(self) -> dict[str, float]:
        """word -> its share of all words that were counted; words that do not occur are not there."""
        return {self._word(int(n)): int(self._counts[n]) / self.words for n in np.flatnonzero(self._counts)}

    def distance_of(self, sequence: str) -> float:
        """Distance of one sequence to this set, between 0 and 1; NaN where either has no word."""
        numbers = self._read(sequence, learn=False)
        unknown = int((numbers < 0).sum())
        known, counts = np.unique(numbers[numbers >= 0], return_counts=True)
        if not self.words or not len(numbers):
            return np.nan
        theirs, all_theirs = self._counts[known], counts.sum() + unknown
        shared = _divergence(counts[None] / all_theirs, theirs[None] / self.words)[0]
        # what one side alone has adds half of its share
        alone = (unknown / all_theirs + (self.words - int(theirs.sum())) / self.words) / 2
        return float(np.sqrt(max(shared + alone, 0)))

    def _read(self, sequence: str, *, learn: bool) -> np.ndarray:
        """(words,) numbers of the words in their order.

        With an open alphabet, a word that was not met before gets a number, or -1 unless ``learn``.
        """
        many = len(sequence) - self.k + 1
        if many < 1:
            return np.empty(0, np.int64)
        if not self._letters:
            number = self._numbers
            words = (sequence[at : at + self.k] for at in range(many))
            if learn:
                return np.fromiter((number.setdefault(word, len(number)) for word in words), np.int64, many)
            return np.fromiter((number.get(word, -1) for word in words), np.int64, many)
        codes = self._code[np.frombuffer(sequence.upper().encode("ascii", "replace"), np.uint8)[: len(sequence)]]
        numbers, known = np.zeros(many, np.int64), np.ones(many, bool)
        for at in range(self.k):
            part = codes[at : at + many]
            numbers = numbers * len(self._letters) + part
            known &= part >= 0
        return numbers[known]

    def _word(self, number: int) -> str:
        if not self._letters:
            if getattr(self, "_names", None) is None or len(self._names) != len(self._numbers):
                self._names = list(self._numbers)
            return self._names[number]
        word = ""
        for _ in range(self.k):
            number, letter = divmod(number, len(self._letters))
            word = self._letters[letter] + word
        return word

    def _numbered_as(self, other: Composition) -> np.ndarray:
        """(words of ``other``,) place of each of its words here, -1 for one that is not here."""
        if (self.k, self._letters) != (other.k, other._letters):
            raise ValueError("compositions of words of one length and one alphabet wanted")
        if self._letters:
            return np.arange(len(self._counts))
        return np.fromiter((self._numbers.get(word, -1) for word in other._numbers), np.int64, len(other._numbers))

    def _matrix(self, rows: np.ndarray):
        """Sparse counts (rows, words) of kept sequences."""
        from scipy.sparse import csr_matrix

        kept = [self._kept[row] for row in rows]
        ends = np.concatenate([[0], np.cumsum([len(numbers) for numbers, _ in kept])])
        counts = np.concatenate([np.empty(0), *(counts for _, counts in kept)]).astype(float)
        numbers = np.concatenate([np.empty(0, np.int32), *(numbers for numbers, _ in kept)])
        return csr_matrix((counts, numbers, ends), shape=(len(kept), len(self._counts)))


@dataclass(frozen=True)
class Distance:
    """How far a set is from a reference set.

    Attributes:
        k: length of the words.
        distance: with its 95 % interval over sequences, NaN for a single one.
        floor: what as many sequences of the reference set have to the rest of it: mean, and 95 % of such draws; NaN
            where the reference set has fewer than two sequences with words.
        sequences, of: how many sequences of the set were compared, and how many it has.
        floor_sequences: how many sequences of the reference set a draw has; fewer than ``sequences`` where the
            reference set has fewer than twice as many.
        words: how many words the compared sequences have.
    """

    k: int
    distance: Score
    floor: Score
    sequences: int
    of: int
    floor_sequences: int
    words: int


def distance(one: Composition, other: Composition) -> float:
    """Jensen–Shannon distance of two sets, all sequences of both, between 0 and 1; NaN where one has no word."""
    if not one.words or not other.words:
        one._numbered_as(other)
        return np.nan
    return float(_distances(one._counts[None].astype(float), *_reference(one, other))[0])


def to_reference(
    generated: Composition, reference: Composition, *, resamples: int = RESAMPLES, seed: int = 0
) -> Distance:
    """Distance of a set to a reference set, with its interval and what the reference set itself has.

    The set are the sequences of ``generated`` that were kept; the reference set is whole.

    Raises:
        ValueError: the words differ in length or alphabet.
    """
    rows = np.arange(generated.kept)
    sample = _sample(generated, rows, reference, resamples, seed)
    floor, drawn = _floor(reference, len(rows), min(resamples, 200), seed)
    words = sum(int(counts.sum()) for _, counts in generated._kept)
    return Distance(generated.k, sample.score(), floor, len(rows), generated.sequences, drawn, words)


@dataclass(frozen=True)
class Difference:
    """How much nearer one set is to a reference set than another; negative is nearer.

    Attributes:
        after, before: distances to the reference set, of as many sequences of each.
        difference: after less before, with its 95 % interval.
        p: two-sided.
        sequences: how many of each set were compared.
    """

    k: int
    after: Score
    before: Score
    difference: Score
    p: float
    sequences: int


def difference(
    after: Composition, before: Composition, reference: Composition, *, resamples: int = RESAMPLES, seed: int = 0
) -> Difference:
    """Compare two sets by their distances to one reference set.

    Few sequences are further from any set than many, so as many of each are compared, of the larger set a random
    choice. The sets are drawn independently of each other.

    Raises:
        ValueError: the words differ in length or alphabet.
    """
    many = min(after.kept, before.kept)
    samples = []
    for place, each in enumerate((after, before)):
        generator = np.random.default_rng([seed, place])
        rows = np.sort(generator.choice(each.kept, many, replace=False)) if many else np.arange(0)
        samples.append(_sample(each, rows, reference, resamples, [seed, place, 1]))
    less = samples[0].less(samples[1])
    return Difference(after.k, samples[0].score(), samples[1].score(), less.score(), less.p(), many)


def _sample(each: Composition, rows: np.ndarray, reference: Composition, resamples: int, seed) -> Sample:
    """Distance of some kept sequences to the reference set, and of resamples of them.

    A resample has some sequences twice and lacks others, so it has fewer of the words, and is further from the
    reference set than its sequences are. The resamples are moved back by how much their mean is off; what stays is how
    much they differ.
    """
    where, counts, words = _reference(each, reference)
    matrix = each._matrix(rows)
    seen = np.unique(matrix.indices)
    if not words or not len(seen):
        return Sample(np.nan, np.full(resamples, np.nan))
    matrix, where = matrix[:, seen], where[seen]
    value = _distances(np.asarray(matrix.sum(axis=0)).reshape(1, -1), where, counts, words)[0]
    if len(rows) < 2:  # one sequence says nothing about how much sequences differ
        return Sample(float(value), np.full(resamples, np.nan))
    step = max(1, _CELLS // max(len(seen), len(rows)))
    drawn = [
        _distances((matrix.T @ weights.T).T, where, counts, words)
        for weights in resample_weights(len(rows), resamples, seed, step)
    ]
    drawn = np.concatenate(drawn) if drawn else np.empty(0)
    shift = value - np.nanmean(drawn) if np.isfinite(drawn).any() else 0.0
    return Sample(float(value), np.clip(drawn + shift, 0, 1))


def _floor(reference: Composition, many: int, draws: int, seed: int) -> tuple[Score, int]:
    """Distances of random sequences of the reference set to the rest of it, and how many sequences a draw has."""
    many = min(many, reference.kept // 2)
    if not many or not draws:
        return Score(np.nan, np.nan, np.nan), many
    generator = np.random.default_rng([seed, 2])
    rows = np.arange(reference.kept)
    matrix, found = reference._matrix(rows), []
    seen = np.flatnonzero(reference._counts)
    matrix, whole = matrix[:, seen], reference._counts[seen].astype(float)
    for weights in _choices(generator, len(rows), many, draws, max(1, _CELLS // max(len(seen), len(rows), 1))):
        chosen = (matrix.T @ weights.T).T
        found.append(_between(chosen, whole - chosen))
    sample = np.concatenate(found)
    defined = sample[np.isfinite(sample)]
    return Sample(float(defined.mean()) if len(defined) else np.nan, sample).score(), many


def _choices(generator: np.random.Generator, of: int, many: int, draws: int, step: int) -> Iterator[np.ndarray]:
    """Chunks (rows, of) of ones where a sequence was drawn, ``many`` of them a row, and zeros."""
    for start in range(0, draws, step):
        chosen = np.zeros((min(step, draws - start), of))
        for row in chosen:
            row[generator.choice(of, many, replace=False)] = 1
        yield chosen


def _reference(each: Composition, reference: Composition) -> tuple[np.ndarray, np.ndarray, int]:
    """(place in the reference set of each word of ``each``, counts there, number of words there)."""
    where = reference._numbered_as(each)
    if len(where) < len(each._counts):  # room for words that are still to come
        where = np.concatenate([where, np.full(len(each._counts) - len(where), -1)])
    return where, reference._counts, reference.words


def _distances(ours: np.ndarray, where: np.ndarray, counts: np.ndarray, words: int) -> np.ndarray:
    """Distance of each row of counts (rows, words) to the reference set; NaN for a row without words."""
    theirs = np.where(where >= 0, counts[where], 0)
    total = ours.sum(axis=1, keepdims=True)
    with np.errstate(invalid="ignore"):
        shares = np.where(total > 0, ours / total, np.nan)
    alone = (words - int(theirs.sum())) / words / 2  # words that the reference set alone has, counted without rounding
    return np.sqrt(np.maximum(_divergence(shares, theirs[None] / words) + alone, 0))


def _between(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Distances of rows of counts (rows, words) to rows of counts."""
    totals = [counts.sum(axis=1, keepdims=True) for counts in (one, other)]
    with np.errstate(invalid="ignore"):
        shares = [np.where(all_ > 0, counts / all_, np.nan) for counts, all_ in zip((one, other), totals, strict=True)]
    return np.sqrt(np.maximum(_divergence(*shares), 0))


def _divergence(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Jensen–Shannon divergence in bits over the last axis."""
    both = one + other
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = [np.where(share == 0, 0.0, share * np.log2(2 * share / both)) for share in (one, other)]
    return (terms[0] + terms[1]).sum(axis=-1) / 2
