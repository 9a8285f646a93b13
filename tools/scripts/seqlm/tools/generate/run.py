"""Sequences written by a causal model, and what can be said of them: how probable, how alike, how near to others."""

from __future__ import annotations

import math
import random
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from seqlm.cli.errors import InputError
from seqlm.cli.progress import Progress
from seqlm.data.records import CANONICAL, TEXT, Rules
from seqlm.data.sequences import clean
from seqlm.inference import loading
from seqlm.inference.language_models import load_language_model
from seqlm.inference.likelihood import Likelihood, TokenModel, likelihoods
from seqlm.metrics.language_scores import samples, scores
from seqlm.metrics.resampling import Score
from seqlm.similarity import composition, duplicates
from seqlm.similarity.duplicates import Duplicates
from seqlm.tokenization.language_text import LanguageText

from .inputs import Plan
from .properties import describe
from .writing import Generated, write_all

COMPARED = 200  # shuffled, and reference, sequences that perplexities are compared with
WRITTEN, SHUFFLED, REFERENCE = "written", "shuffled", "reference"


@dataclass
class Result:
    """All sequences in the order in which they were asked for, and what they are compared with.

    Attributes:
        perplexities: of what was written, of the same letters in random order, of the reference: per letter, with
            interval and number of sequences.
        distances: of word lengths, to the reference set.
    """

    sequences: list[Generated]
    found: Duplicates
    perplexities: dict[str, tuple[Score, int]]
    distances: list[composition.Distance]
    rules: Rules
    reference_letters: dict[str, float] = field(default_factory=dict)
    own_letters: dict[str, float] = field(default_factory=dict)

    @property
    def kept(self) -> list[Generated]:
        """Those that are kept, the lowest perplexity first."""
        return sorted((one for one in self.sequences if one.rank), key=lambda one: one.rank)


def generate(plan: Plan) -> Result:
    """Write, score, compare, rank.

    Raises:
        InputError: nothing is left to be kept.
    """
    arguments = plan.arguments
    print("loading the libraries", file=sys.stderr)
    device = loading.prepare(arguments.threads, arguments.seed, arguments.device)
    memory = plan.memory.on(device)
    model = load_language_model(plan.opened, device, arguments.precision)
    rules = Rules().merged(plan.rules)
    found = write_all(plan, model, rules)
    if not found:
        raise InputError(
            f"the model ended each of {plan.each * len(plan.prompts):,} sequences before its first letter; give a "
            "prompt, or another token that ends a sequence"
        )
    budget = memory.tokens()
    scorer = TokenModel(model, plan.text.six_mers)
    _score(plan, scorer, found, budget, rules)
    for one in found:
        one.properties = describe(one.letters, plan.alphabet)
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
    result = Result(found, alike, {}, [], rules.merged(alike.rules))
    _compare(plan, scorer, result, budget)
    return result


def _score(plan: Plan, model: TokenModel, found: list[Generated], budget: int, rules: Rules) -> None:
    """Give each sequence its likelihood, read from its letters as any other sequence would be, equal ones once."""
    wanted = dict.fromkeys((one.letters, one.complete) for one in found)
    names, ids = [], []
    for letters, complete in list(wanted):
        row = readable(plan.text, letters, complete)
        if row is None:
            rules.count("written with letters that the model cannot read back, so without a perplexity")
            del wanted[letters, complete]
            continue
        names.append(letters[:20])
        ids.append(row)
    progress = Progress("scoring", len(ids), "sequences", lines=5)
    given = likelihoods(
        model,
        ids,
        budget,
        names,
        lambda share: progress(round(share * len(ids))),
        _limit(plan),
        plan.text.given,
        plan.text.units([letters for letters, _ in wanted]),
    )
    wanted |= dict(zip(wanted, given, strict=True))
    for one in found:
        one.likelihood = wanted.get((one.letters, one.complete))


def readable(text: LanguageText, letters: str, complete: bool) -> np.ndarray | None:
    """Token ids of a sequence; None if the model has no tokens for it."""
    try:
        return text.encode([letters], complete and text.closes)[0]
    except InputError:
        return None


def _limit(plan: Plan) -> int:
    return plan.family.window + len(plan.family.prefix) + len(plan.family.suffix)


def _choose(plan: Plan, found: list[Generated]) -> None:
    """Say of each sequence whether it is kept, and rank those that are."""
    arguments = plan.arguments
    order = sorted(found, key=lambda one: (math.isnan(one.perplexity), one.perplexity))
    seen: set = set()
    for one in order:
        equal = one.duplicate.duplicate_of or one.id
        group = {"report": None, "drop-equal": equal, "drop-near": one.duplicate.cluster}[arguments.duplicates]
        if not one.complete and arguments.cut == "drop":
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


def _compare(plan: Plan, model: TokenModel, result: Result, budget: int) -> None:
    """Perplexities beside those of shuffled and of reference sequences; words of letters beside the reference's."""
    seed, rng = plan.arguments.seed, random.Random(plan.arguments.seed)
    kept = result.kept
    result.perplexities[WRITTEN] = _pooled([(one.letters, one.likelihood) for one in kept if one.likelihood], seed)
    chosen = rng.sample(kept, min(COMPARED, len(kept)))
    shuffled = []
    if plan.alphabet not in (TEXT, CANONICAL):  # a molecule in any order of its letters is none
        shuffled = ["".join(rng.sample(one.letters, len(one.letters))) for one in chosen]
    result.perplexities[SHUFFLED] = _scored(plan, model, shuffled, budget, seed)
    own = {k: composition.Composition(k, plan.alphabet, seed=seed) for k in composition.lengths(plan.alphabet)}
    for each in own.values():
        each.add_all(one.letters for one in kept)
    single = composition.Composition(1, plan.alphabet, seed=seed).add_all(one.letters for one in kept)
    result.own_letters = single.frequencies()
    if plan.reference is None:
        return
    given: list[str] = []
    theirs = {k: composition.Composition(k, plan.alphabet, seed=seed) for k in own}
    letters = composition.Composition(1, plan.alphabet, seed=seed)
    for number, sequence in enumerate(_reference(plan)):
        for each in (*theirs.values(), letters):
            each.add(sequence)
        # a fair choice from a stream of unknown length
        if len(given) < COMPARED:
            given.append(sequence)
        elif (place := rng.randint(0, number)) < COMPARED:
            given[place] = sequence
    result.perplexities[REFERENCE] = _scored(plan, model, given, budget, seed)
    result.distances = [composition.to_reference(own[k], theirs[k], seed=seed) for k in own]
    result.reference_letters = letters.frequencies()
    for one in result.sequences:
        one.composition = letters.distance_of(one.letters)


def _reference(plan: Plan) -> Iterator[str]:
    for record in plan.reference.records():
        yield clean(record, plan.alphabet, plan.family.replacements, Rules(), plan.reference.path)


def _scored(plan: Plan, model: TokenModel, sequences: Sequence[str], budget: int, seed: int) -> tuple[Score, int]:
    ids = [(letters, row) for letters in sequences if (row := readable(plan.text, letters, True)) is not None]
    given = likelihoods(model, [row for _, row in ids], budget, limit=_limit(plan), given=plan.text.given)
    return _pooled([(letters, one) for (letters, _), one in zip(ids, given, strict=True)], seed)


def _pooled(found: Sequence[tuple[str, Likelihood]], seed: int) -> tuple[Score, int]:
    """Perplexity per letter of a set, with its interval over sequences."""
    if not found:
        return Score(math.nan, math.nan, math.nan), 0
    lost = np.asarray([-one.log_probability for _, one in found])
    letters = np.asarray([len(sequence) for sequence, _ in found], dtype=float)
    return scores(samples(lost, letters, None, seed))["letter_perplexity"], len(found)
