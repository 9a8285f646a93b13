"""Sequences written or filled in, and what can be said of them: how probable, how alike, how near to others."""

from __future__ import annotations

import math
import random
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from seqlm.cli.errors import InputError
from seqlm.data.records import CANONICAL, TEXT, Rules
from seqlm.data.sequences import clean
from seqlm.inference import loading
from seqlm.inference.language_models import load_language_model
from seqlm.inference.likelihood import Likelihood
from seqlm.metrics.language_scores import samples, scores
from seqlm.metrics.resampling import Score
from seqlm.similarity import composition, duplicates
from seqlm.similarity.duplicates import Duplicates

from .acceptance import Predictor, Tally, until_accepted
from .filling import Filler, Recovery, recovery
from .inputs import Plan
from .judging import WriterJudge
from .properties import describe
from .writing import EMPTY, Generated, write_all

COMPARED = 200  # shuffled, and reference, sequences that perplexities are compared with
WRITTEN, SHUFFLED, REFERENCE, KNOWN = "written", "shuffled", "reference", "known"


@dataclass
class Acceptance:
    """What another model accepted.

    Attributes:
        first: the first try of each sequence, as the model writes without being steered.
    """

    tally: Tally
    first: list[Generated]


@dataclass
class Result:
    """All sequences in the order in which they were asked for, and what they are compared with.

    Attributes:
        perplexities: of what was written, of the same letters in random order, of the reference: per letter, with
            interval and number of sequences.
        of_base: the same to the base model, where it had a say.
        distances: of word lengths, to the reference set.
        acceptance: of another model, where it was asked for.
        recovered: how often what stood there before was filled in, where it is known.
    """

    sequences: list[Generated]
    found: Duplicates
    perplexities: dict[str, tuple[Score, int]]
    distances: list[composition.Distance]
    rules: Rules
    of_base: dict[str, tuple[Score, int]] = field(default_factory=dict)
    recovered: Recovery | None = None
    acceptance: Acceptance | None = None
    reference_letters: dict[str, float] = field(default_factory=dict)
    own_letters: dict[str, float] = field(default_factory=dict)

    @property
    def kept(self) -> list[Generated]:
        """Those that are kept, the lowest perplexity first."""
        return sorted((one for one in self.sequences if one.rank), key=lambda one: one.rank)


def generate(plan: Plan) -> Result:
    """Write or fill in, score, compare, rank.

    Raises:
        InputError: nothing is left to be kept.
    """
    arguments = plan.arguments
    print("loading the libraries", file=sys.stderr)
    device = loading.prepare(arguments.threads, arguments.seed, arguments.device)
    memory = plan.memory.on(device)
    model = load_language_model(plan.opened, device, arguments.precision)
    rules, budget, base = Rules().merged(plan.rules), memory.tokens(), None
    lost = Rules() if plan.wish else rules  # what wrote nothing is tried again
    if plan.encoder:
        filler = Filler(plan, model, budget)
        write, judge = filler.fill, filler.judge()
    else:
        write, judge = partial(write_all, plan, model, lost), WriterJudge(plan, model, budget)
        base = WriterJudge(plan, model, budget, base=True) if plan.guided else None
    total, acceptance = plan.each * len(plan.prompts), None
    if plan.wish:
        predictor = Predictor(plan.wish, device, arguments.precision, budget)
        last, first, tally = until_accepted(write, predictor, total, arguments.tries)
        found, acceptance = list(last.values()), Acceptance(tally, list(first.values()))
        if len(found) < total:
            rules.count(EMPTY, total - len(found))
    else:
        found = list(write(list(range(total))).values())
    if not found:
        raise InputError(
            f"the model ended each of {total:,} sequences before its first letter; give a "
            "prompt, or another token that ends a sequence"
        )
    for one, likelihood in zip(found, judge.of(found), strict=True):
        one.likelihood = likelihood
        if likelihood is None:
            rules.count("written with letters that the model cannot read back, so without a perplexity")
    for one, likelihood in zip(found, base.of(found), strict=True) if base else ():
        one.base = likelihood
    for one in [*found, *(acceptance.first if acceptance else [])]:
        one.properties = one.properties or describe(one.letters, plan.alphabet)
    print("comparing sequences", file=sys.stderr)
    (plan.scratch / "compared").mkdir()
    alike = duplicates.find(
        [one.id for one in found],
        [one.letters for one in found],
        plan.alphabet,
        plan.scratch / "compared",
        reference=plan.reference,
        near=not arguments.equal_only,
        identity=arguments.near_identity,
        threads=arguments.threads,
    )
    for one, row in zip(found, alike.rows, strict=True):
        one.duplicate = row
    _choose(plan, found)
    if not any(one.rank for one in found):
        reasons = sorted({one.dropped for one in found})
        raise InputError(f"of {len(found):,} sequences none is left: {'; '.join(reasons)}; keep more, or write more")
    result = Result(found, alike, {}, [], rules.merged(alike.rules), acceptance=acceptance)
    _compare(plan, judge, base, result)
    return result


def _choose(plan: Plan, found: list[Generated]) -> None:
    """Say of each sequence whether it is kept, and rank those that are."""
    arguments = plan.arguments
    order = sorted(found, key=lambda one: (math.isnan(one.perplexity), one.perplexity))
    seen: set = set()
    for one in order:
        equal = one.duplicate.duplicate_of or one.id
        group = {"report": None, "drop-equal": equal, "drop-near": one.duplicate.cluster}[arguments.duplicates]
        if not one.accepted:
            one.dropped = f"not accepted in {arguments.tries:,} tries"
        elif not one.complete and arguments.cut == "drop":
            one.dropped = "ran into the limit of its length"
        elif arguments.min_letters and len(one.letters) < arguments.min_letters:
            one.dropped = "too short"
        elif arguments.max_perplexity and not one.perplexity <= arguments.max_perplexity:
            one.dropped = "perplexity too high"
        elif group is not None and group in seen:
            one.dropped = "equal to a better one" if arguments.duplicates == "drop-equal" else "near to a better one"
        else:
            seen.add(group)
    kept = [one for one in order if not one.dropped]
    for one in kept[arguments.keep_best :] if arguments.keep_best else []:
        one.dropped = "not among the best"
    for rank, one in enumerate((one for one in kept if not one.dropped), start=1):
        one.rank = rank


def _compare(plan: Plan, judge, base: WriterJudge | None, result: Result) -> None:
    """Perplexities beside those of shuffled and of reference sequences; words of letters beside the reference's."""
    seed, rng = plan.arguments.seed, random.Random(plan.arguments.seed)
    kept = result.kept
    given: dict[str, list[Generated]] = {WRITTEN: kept, SHUFFLED: []}
    if plan.alphabet not in (TEXT, CANONICAL):  # a molecule in any order of its letters is none
        chosen = rng.sample(kept, min(COMPARED, len(kept)))
        given[SHUFFLED] = [_shuffled(one, rng) for one in chosen]
    starts = {one.start.name: one.start for one in kept if one.start.known}
    if starts:
        given[KNOWN] = [Generated(name, start, start.letters) for name, start in starts.items()]
        result.recovered = recovery(kept, seed)
    own = {k: composition.Composition(k, plan.alphabet, seed=seed) for k in composition.lengths(plan.alphabet)}
    for each in own.values():
        each.add_all(one.letters for one in kept)
    single = composition.Composition(1, plan.alphabet, seed=seed)
    single.add_all(one.letters if one.start.places is None else one.filled for one in kept)
    result.own_letters = single.frequencies()
    if plan.reference is not None:
        theirs = {k: composition.Composition(k, plan.alphabet, seed=seed) for k in own}
        letters = composition.Composition(1, plan.alphabet, seed=seed)
        sample = _read_reference(plan, [*theirs.values(), letters], rng)
        if not plan.encoder:
            given[REFERENCE] = [Generated("", plan.prompts[0], sequence) for sequence in sample]
        result.distances = [composition.to_reference(own[k], theirs[k], seed=seed) for k in own]
        result.reference_letters = letters.frequencies()
        for one in result.sequences:
            one.composition = letters.distance_of(one.letters)
    for name, sequences in given.items():
        scored = [one.likelihood for one in sequences] if name == WRITTEN else judge.of(sequences)
        result.perplexities[name] = _pooled(sequences, scored, seed)
        if base:
            scored = [one.base for one in sequences] if name == WRITTEN else base.of(sequences)
            result.of_base[name] = _pooled(sequences, scored, seed)


def _shuffled(one: Generated, rng: random.Random) -> Generated:
    """The same letters, or those that were filled in, in random order."""
    if one.start.places is None:
        return Generated(one.id, one.start, "".join(rng.sample(one.letters, len(one.letters))))
    letters = list(one.letters)
    for place, letter in zip(one.start.places, rng.sample(one.filled, one.scored), strict=True):
        letters[place] = letter
    return Generated(one.id, one.start, "".join(letters))


def _read_reference(plan: Plan, compositions: list[composition.Composition], rng: random.Random) -> list[str]:
    """A fair choice of the reference's sequences; all of them are counted."""
    chosen: list[str] = []
    for number, record in enumerate(plan.reference.records()):
        sequence = clean(record, plan.alphabet, plan.family.replacements, Rules(), plan.reference.path)
        for each in compositions:
            each.add(sequence)
        if len(chosen) < COMPARED:
            chosen.append(sequence)
        elif (place := rng.randint(0, number)) < COMPARED:
            chosen[place] = sequence
    return chosen


def _pooled(sequences: Sequence[Generated], given: Sequence[Likelihood | None], seed: int) -> tuple[Score, int]:
    """Perplexity per letter of a set, with its interval over sequences."""
    found = [(one.scored, likelihood) for one, likelihood in zip(sequences, given, strict=True) if likelihood]
    if not found:
        return Score(math.nan, math.nan, math.nan), 0
    lost = np.asarray([-likelihood.log_probability for _, likelihood in found])
    letters = np.asarray([scored for scored, _ in found], dtype=float)
    return scores(samples(lost, letters, None, seed))["letter_perplexity"], len(found)
