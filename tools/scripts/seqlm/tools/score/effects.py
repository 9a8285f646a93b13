"""Effects of substitutions: of a list of variants, and of all single ones of each sequence.

The score of a variant is how much more probable it is than its wild type, as a natural logarithm; 0 is as probable as
the wild type, and below 0 less probable.

- masked marginals: the changed positions are masked together, Σ log p(new letter) - log p(wild-type letter) over them
  (Meier et al. 2021, https://doi.org/10.1101/2021.07.09.450648); one pass for each different set of positions;
- wild-type marginals: the same from one pass over the sequence in which nothing is masked;
- log-likelihood ratio: log p(variant) - log p(wild type) of whole sequences;
- next letter: log p(new letter) - log p(wild-type letter), each from what stands before it alone, in one pass. So do
  GENERator's authors, with the position as the first of a 6-mer; here it is the mean over the six places in one.

Probabilities are those over all tokens of the vocabulary, as published.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from seqlm.cli.progress import Progress
from seqlm.inference.score_methods import MASKED, NEXT, RATIO
from seqlm.inference.scoring import Engine

from .inputs import Plan
from .sequences import cleaned

AT_ONCE = 512  # variants as whole sequences
SCAN_LETTERS = 20_000  # of sequences that are scanned together


def variant_scores(plan: Plan, engine: Engine) -> np.ndarray:
    """The score of each variant of the list, (variants,) float64; 0 where nothing changes."""
    return {RATIO: _ratios, NEXT: _next_letters}.get(plan.method, _marginals)(plan, engine)


def _marginals(plan: Plan, engine: Engine) -> np.ndarray:
    """Σ log p(new) - log p(old) over the changed positions."""
    wild = plan.wild_types
    uses = _uses(plan)
    owners = list(uses)
    tokens = dict.fromkeys(protein for protein, *_ in owners)
    for protein in tokens:
        (tokens[protein],) = engine.tokens([(wild.ids[protein], wild.sequences[protein])])
    letters = "".join(sorted({new for each in plan.variants.all for _, new in each.changes}))
    column = dict(zip(letters, engine.code(letters).tolist(), strict=True))
    asked = ((tokens[owner[0]], list(uses[owner]), number) for number, owner in enumerate(owners))
    scores = np.zeros(len(plan.variants.all))
    progress = Progress("scoring", len(owners), "sets of positions" if plan.method == MASKED else "sequences")
    done = set()
    for owner, places, found in engine.positions(asked, lambda owner: wild.ids[owners[owner][0]]):
        ids, of_place = tokens[owners[owner][0]], uses[owners[owner]]
        for place, values in zip(places.tolist(), found, strict=True):
            for variant, new in of_place[place]:
                scores[variant] += values[column[new]] - values[ids[place]]
        done.add(owner)
        progress(len(done))
    return scores


def _uses(plan: Plan) -> dict[tuple, dict[int, list[tuple[int, str]]]]:
    """What is computed together -> place -> (variant, new letter) that it is for.

    Of masked marginals a protein with a set of places; of wild-type marginals a protein.
    """
    uses: dict[tuple, dict[int, list[tuple[int, str]]]] = {}
    for number, variant in enumerate(plan.variants.all):
        if variant.changes:
            owner = (variant.protein, variant.places) if plan.method == MASKED else (variant.protein,)
            of_place = uses.setdefault(owner, {})
            for place, new in variant.changes:
                of_place.setdefault(place, []).append((number, new))
    return uses


def _ratios(plan: Plan, engine: Engine) -> np.ndarray:
    """log p(variant) - log p(wild type); each different variant is computed once."""
    wild = plan.wild_types
    different: dict[tuple, list[int]] = {}
    for number, variant in enumerate(plan.variants.all):
        if variant.changes or variant.sequence:
            different.setdefault((variant.protein, variant.changes, variant.sequence), []).append(number)
    proteins = list(dict.fromkeys(protein for protein, *_ in different))
    items = [(wild.ids[protein], wild.sequences[protein]) for protein in proteins]
    of_wild = dict(zip(proteins, (one.log_probability for one in engine.whole(items)), strict=True))
    scores, keys = np.zeros(len(plan.variants.all)), list(different)
    total = sum(len(key[2] or wild.sequences[key[0]]) for key in keys)
    progress, done = Progress("scoring", total, "letters of variants"), 0
    for start in range(0, len(keys), AT_ONCE):
        part = keys[start : start + AT_ONCE]
        items = [
            (wild.ids[protein], sequence or changed(wild.sequences[protein], changes))
            for protein, changes, sequence in part
        ]
        found = engine.whole(items, lambda letters, before=done: progress(round(before + letters)))
        for key, one in zip(part, found, strict=True):
            scores[different[key]] = one.log_probability - of_wild[key[0]]
        done += sum(len(sequence) for _, sequence in items)
    return scores


def _next_letters(plan: Plan, engine: Engine) -> np.ndarray:
    """Σ log p(new) - log p(old) over the changed positions, from what stands before each in the wild type."""
    wild, letters = plan.wild_types, plan.family.letters if not plan.family.blocks else plan.letters
    scores = np.zeros(len(plan.variants.all))
    of_protein: dict[int, list[int]] = {}
    for number, variant in enumerate(plan.variants.all):
        of_protein.setdefault(variant.protein, []).append(number)
    progress = Progress("scoring", len(of_protein), "sequences")
    for done, (protein, numbers) in enumerate(of_protein.items(), start=1):
        sequence = wild.sequences[protein]
        (found,) = engine.next_letters([(wild.ids[protein], sequence)], letters)
        for number in numbers:
            for place, new in plan.variants.all[number].changes:
                old = letters.find(sequence[place])
                scores[number] += found[place, letters.index(new)] - found[place, old]
        progress(done)
    return scores


def changed(sequence: str, changes: tuple[tuple[int, str], ...]) -> str:
    """The sequence with new letters at some places."""
    letters = list(sequence)
    for place, new in changes:
        letters[place] = new
    return "".join(letters)


@dataclass(frozen=True)
class Scanned:
    """All single substitutions of one sequence.

    Attributes:
        scores: (positions, letters), 0 for the wild-type letter.
        each: (models, positions, letters) of which these are the mean; None of one model.
    """

    id: str
    sequence: str
    scores: np.ndarray
    letters: str
    each: np.ndarray | None = None

    @property
    def means(self) -> np.ndarray:
        """Mean score of the substitutions of each position, (positions,)."""
        return self.scores.sum(1) / self.others.sum(1)

    @property
    def others(self) -> np.ndarray:
        """Which letters are not the wild type's, (positions, letters)."""
        return np.asarray(list(self.sequence))[:, None] != np.asarray(list(self.letters))[None]

    @property
    def probabilities(self) -> np.ndarray:
        """Of each letter at each position among these letters alone, (positions, letters)."""
        raised = np.exp(self.scores - self.scores.max(1, keepdims=True))
        return raised / raised.sum(1, keepdims=True)

    @property
    def entropy(self) -> np.ndarray:
        """Of the letters at each position, in bits, (positions,)."""
        shares = self.probabilities
        return -(shares * np.log2(np.maximum(shares, 1e-300))).sum(1)


def scans(plan: Plan, engine: Engine) -> Iterator[Scanned]:
    """All single substitutions of each sequence, in the order of the file."""
    of_chunk: Callable = {RATIO: _ratio_scans, NEXT: _next_scans}.get(plan.method, _marginal_scans)
    progress = Progress("scanning", plan.survey.letters, "positions")
    done = 0
    for chunk in _chunks(plan):
        yield from of_chunk(plan, engine, chunk, lambda positions, before=done: progress(round(before + positions)))
        done += sum(len(sequence) for _, sequence in chunk)


class Spooled:
    """Scans of each model in files, so that one model at a time is in memory, and one sequence of all."""

    def __init__(self):
        self._files: list = []

    def add(self, found: Iterator[Scanned]) -> None:
        """Run through the scans of a further model."""
        self._files.append(tempfile.TemporaryFile())  # noqa: SIM115 - gone with this object
        for one in found:
            self._files[-1].write(np.ascontiguousarray(one.scores, dtype=np.float64).tobytes())

    def averaged(self, plan: Plan) -> Iterator[Scanned]:
        """The mean of all models, sequence by sequence."""
        for file in self._files:
            file.seek(0)
        for record, sequence in cleaned(plan):
            shape = (len(sequence), len(plan.letters))
            parts = [np.frombuffer(file.read(8 * shape[0] * shape[1])).reshape(shape) for file in self._files]
            each = np.stack(parts)
            yield Scanned(record.id, sequence, each.mean(axis=0), plan.letters, each)


def _chunks(plan: Plan) -> Iterator[list[tuple[str, str]]]:
    chunk, letters = [], 0
    for record, sequence in cleaned(plan):
        chunk.append((record.id, sequence))
        letters += len(sequence)
        if letters >= SCAN_LETTERS:
            yield chunk
            chunk, letters = [], 0
    if chunk:
        yield chunk


def _marginal_scans(plan: Plan, engine: Engine, chunk: list[tuple[str, str]], told: Callable) -> Iterator[Scanned]:
    tokens = engine.tokens(chunk)
    columns = engine.code(plan.letters)
    found = [np.zeros((len(sequence), len(plan.letters))) for _, sequence in chunk]
    if plan.method == MASKED:
        asked = ((ids, [place], owner) for owner, ids in enumerate(tokens) for place in range(len(ids)))
    else:
        asked = ((ids, range(len(ids)), owner) for owner, ids in enumerate(tokens))
    done = 0
    for owner, places, values in engine.positions(asked, lambda owner: chunk[owner][0]):
        found[owner][places] = values[:, columns] - values[np.arange(len(places)), tokens[owner][places]][:, None]
        done += len(places)
        told(done)
    for (name, sequence), scores in zip(chunk, found, strict=True):
        yield Scanned(name, sequence, scores, plan.letters)


def _next_scans(plan: Plan, engine: Engine, chunk: list[tuple[str, str]], told: Callable) -> Iterator[Scanned]:
    letters = plan.letters if plan.family.blocks else plan.family.letters
    places = [letters.index(letter) for letter in plan.letters]
    for (name, sequence), found in zip(chunk, engine.next_letters(chunk, letters, told), strict=True):
        own = found[np.arange(len(sequence)), [letters.index(letter) for letter in sequence]]
        yield Scanned(name, sequence, found[:, places] - own[:, None], plan.letters)


def _ratio_scans(plan: Plan, engine: Engine, chunk: list[tuple[str, str]], told: Callable) -> Iterator[Scanned]:
    done = 0
    for name, sequence in chunk:
        scores = np.zeros((len(sequence), len(plan.letters)))
        (wild,) = engine.whole([(name, sequence)])
        step = max(1, AT_ONCE // len(plan.letters))  # positions
        for start in range(0, len(sequence), step):
            cells = [
                (place, number, letter)
                for place in range(start, min(start + step, len(sequence)))
                for number, letter in enumerate(plan.letters)
                if letter != sequence[place]
            ]
            variants = [(name, changed(sequence, ((place, letter),))) for place, _, letter in cells]
            for (place, number, _), one in zip(cells, engine.whole(variants), strict=True):
                scores[place, number] = one.log_probability - wild.log_probability
            told(done + min(start + step, len(sequence)))
        done += len(sequence)
        yield Scanned(name, sequence, scores, plan.letters)
