"""What a report on scores says, gathered from a stream or from a list."""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field

import numpy as np

from seqlm.data.records import PROTEIN, Rules
from seqlm.metrics.resampling import Score, mean

from .agreement import Agreement, measured_by
from .baselines import Correlations, correlations, of_change, of_variants
from .effects import Scanned
from .inputs import Plan
from .sequences import SequenceScores, letter_bits

MOST_PAIRS = 20_000  # substitutions whose scores are compared with BLOSUM62
EXTREMES = 6  # positions that the report names, each way
OTHER = "positions of X and the like, in the tables but left out of all summaries"


@dataclass
class Summary:
    """What was scored.

    Attributes:
        rules: what was changed in sequences and variants.
        passes: rows of tokens that the model computed.
    """

    rules: Rules
    passes: int = 0
    sequences: SequenceScores | None = None
    effects: Effects | None = None
    scan: ScanSummary | None = None
    agreement: Agreement | None = None


@dataclass(frozen=True)
class Effects:
    """Scores of a list of variants, (variants,), with what they are compared with.

    Attributes:
        each: (models, variants) of which the scores are the mean; None of one model.
        by_model: of each model, how it follows the measured values by itself.
    """

    scores: np.ndarray
    baselines: dict[str, np.ndarray]
    measured: Correlations | None
    blosum: Correlations | None
    each: np.ndarray | None = None
    by_model: tuple[Score | None, ...] = ()


@dataclass(order=True)
class Position:
    """One position of a scan; the mean score comes first, so that positions can be ordered."""

    mean: float
    id: str = field(compare=False)
    number: int = field(compare=False)
    letter: str = field(compare=False)
    entropy: float = field(compare=False)
    worst: str = field(compare=False)
    best: str = field(compare=False)


class ScanSummary:
    """Collects what is said of a scan.

    Attributes:
        first: the first sequence, which figures show.
        positions, known: how many there are, and how many have a letter that a scan puts elsewhere; the others are
            left out of all that is said.
        damaging: positions with a mean score below 0.
        guessed: positions at which the model finds the wild-type letter the most probable.
        substitutions, above: how many there are, and how many score above the wild type.
    """

    def __init__(self, plan: Plan):
        self.first: Scanned | None = None
        self.positions = self.damaging = self.guessed = self.known = self.substitutions = self.above = 0
        self._plan, self._cost = plan, letter_bits(plan.frequencies)
        self._bits: list[np.ndarray] = []  # of the wild-type letter among the letters of the scan
        self._less: list[np.ndarray] = []  # and how many less than where letters are drawn by their frequencies
        self._low: list[Position] = []
        self._high: list[Position] = []
        self._pairs: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
        self._paired = 0
        self.rules = Rules()

    def add(self, one: Scanned) -> None:
        self.first = self.first or one
        first, means, others = self._plan.arguments.first_position, one.means, one.others
        standard = np.flatnonzero(~others.all(1))
        if unknown := len(means) - len(standard):
            self.rules.count(OTHER, unknown)
        self.positions += len(means)
        self.damaging += int((means[standard] < 0).sum())
        self.substitutions += int(others[standard].sum())
        self.above += int((one.scores[standard][others[standard]] > 0).sum())
        column = (~others[standard]).argmax(1)
        bits = -np.log2(one.probabilities[standard, column])
        self.guessed += int((one.probabilities[standard].argmax(1) == column).sum())
        self.known += len(standard)
        self._bits.append(bits)
        self._less.append(np.asarray([self._cost[one.sequence[place]] for place in standard]) - bits)
        self._compare(one, others)
        entropy = one.entropy
        ordered = standard[np.argsort(means[standard], kind="stable")]
        for heap, order in ((self._low, ordered), (self._high, ordered[::-1])):
            for place in order[:EXTREMES].tolist():
                row = np.where(others[place], one.scores[place], np.nan)
                low, high = int(np.nanargmin(row)), int(np.nanargmax(row))
                found = Position(
                    float(means[place]) if heap is self._high else -float(means[place]),
                    one.id,
                    place + first,
                    one.sequence[place],
                    float(entropy[place]),
                    f"{one.letters[low]} ({row[low]:.2f})",
                    f"{one.letters[high]} ({row[high]:.2f})",
                )
                (heapq.heappush if len(heap) < EXTREMES else heapq.heappushpop)(heap, found)

    def _compare(self, one: Scanned, others: np.ndarray) -> None:
        if self._plan.family.alphabet != PROTEIN or self._paired >= MOST_PAIRS:
            return
        places, numbers = np.nonzero(others & ~others.all(1, keepdims=True))
        places, numbers = places[: MOST_PAIRS - self._paired], numbers[: MOST_PAIRS - self._paired]
        if not len(places):
            return
        similar = [
            of_change(PROTEIN, one.sequence[place], one.letters[number])["blosum62"]
            for place, number in zip(places.tolist(), numbers.tolist(), strict=True)
        ]
        offset = self._pairs[-1][2][-1] + 1 if self._pairs else 0
        self._pairs.append((one.scores[places, numbers], np.asarray(similar), places + offset))
        self._paired += len(places)

    @property
    def bits(self) -> Score:
        """What the wild-type letter costs on average among the letters of the scan, with its interval."""
        return mean(np.concatenate(self._bits), self._plan.arguments.seed)

    @property
    def less(self) -> Score:
        """How many bits less than where letters are drawn by their frequencies."""
        return mean(np.concatenate(self._less), self._plan.arguments.seed)

    @property
    def blosum(self) -> Correlations | None:
        """How scores follow BLOSUM62; resamples draw positions."""
        if not self._pairs:
            return None
        scores, similar, places = (np.concatenate(part) for part in zip(*self._pairs, strict=True))
        return correlations(scores, similar, {}, groups=places, seed=self._plan.arguments.seed)

    @property
    def most_damaging(self) -> list[Position]:
        """Positions of the lowest mean scores, the lowest first; ``mean`` is negative."""
        ordered = sorted(self._low, reverse=True)
        return [Position(-each.mean, *_rest(each)) for each in ordered]

    @property
    def most_tolerant(self) -> list[Position]:
        """Positions of the highest mean scores, the highest first."""
        return sorted(self._high, reverse=True)


def _rest(each: Position) -> tuple:
    return each.id, each.number, each.letter, each.entropy, each.worst, each.best


def effects(plan: Plan, scores: np.ndarray, each: np.ndarray | None = None) -> Effects:
    """Scores of a list beside baselines, and how both follow the measured values.

    Args:
        each: (models, variants), where the scores are the mean of several models.
    """
    variants, seed = plan.variants.all, plan.arguments.seed
    baselines = of_variants(plan.family.alphabet, variants, plan.wild_types.sequences)
    measured = blosum = None
    by_model: list[Score | None] = []
    if plan.variants.measured:
        values = np.asarray([each.measured for each in variants])
        measured = correlations(scores, values, baselines, seed=seed)
        by_model = measured_by(each, values, seed) if each is not None else []
    elif "blosum62" in baselines:
        blosum = correlations(scores, baselines["blosum62"], {}, seed=seed)
    return Effects(scores, baselines, measured, blosum, each, tuple(by_model))
