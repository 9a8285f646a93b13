"""What contacts are worth, in words."""

from __future__ import annotations

import math

from seqlm.report.words import few, ranged
from seqlm.tokenization.unknown import unknown_letters

from .inputs import Plan
from .ranges import LEAST, LONG
from .summary import LIKELY, Summary

UNLIKELY = 0.3  # mean probability of the most probable pairs below which most of them are said to be wrong
EXPLANATION = (
    "The probability that two residues touch (Cβ atoms less than 8 Å apart) is told from how much they attend to each "
    "other in all layers of the language model, by a logistic regression that its authors fitted on 20 proteins of "
    f"known structure (Rao et al. 2020). Pairs are {LEAST} or more residues apart along the chain: short range 6 to "
    f"11, medium 12 to 23, long {LONG} or more. No alignment and no structure is read, so a contact is what the model "
    "has learnt from sequences alone, and no measurement."
)


def headline(plan: Plan, summary: Summary) -> str:
    """The verdict in one sentence, and another one where structures are known."""
    checks = summary.checks
    count, beyond = checks.judged, int(checks.beyond.sum())
    own, shuffled, reordered = (
        f"{checks.mean_of(values).value:.2f}" for values in (checks.top, checks.of_shuffled, checks.of_reordered)
    )
    of = f"in {beyond:,} of {count:,} protein{'s' * (count != 1)}"
    if checks.more:
        text = (
            f"The contacts are more than chance {of}: the most probable pairs have a probability of {own} on average, "
            f"{shuffled} with shuffled weights, and {reordered} with the residues in another order."
        )
    else:
        text = (
            f"The contacts cannot be told from chance: only {of} the most probable pairs are more probable than with "
            f"shuffled weights and with the residues in another order ({own} on average; {shuffled} and {reordered})."
        )
    if (found := summary.precision(("long", 1), plan.arguments.seed)) is not None:
        precision, by_chance, most = found
        text += (
            f" Of the most probable long-range pairs, one for each residue, a share of {ranged(precision, '.2f')} "
            f"touch in the known structures; by chance it would be {by_chance:.2f}, and {most:.2f} at the most."
        )
    return text


def rests_on(plan: Plan, summary: Summary) -> list[str]:
    """The numbers that the verdict rests on, each with what it would have to be."""
    checks = summary.checks
    several = f"{len(checks.of_shuffled):,}"
    lines = [
        "Mean probability of the most probable long-range pairs, as many as there are residues (of short proteins, of "
        f"any range): {ranged(checks.mean_of(checks.top), '.3f')}. If the head is right, so many of them touch",
        f"The same of {several} copies of the model with shuffled weights, and the same head: "
        f"{ranged(checks.mean_of(checks.of_shuffled), '.3f')}; the attention of such a copy has learnt nothing",
        f"The same of {several} orders of the residues of each protein: "
        f"{ranged(checks.mean_of(checks.of_reordered), '.3f')}; what the composition alone makes the model say",
        "A protein counts as more than chance where the model says more than one more such copy, and of one more such "
        "order, would 19 times in 20; by chance alone that is one protein in 20 or fewer",
    ]
    if summary.measured:
        count = len(summary.measured)
        lines.append(
            f"Known structures are compared for {count:,} protein{'s' * (count != 1)}; chance is pairs drawn at random "
            "that are as far apart along the chain"
        )
    return lines


def trust(plan: Plan, summary: Summary) -> list[str]:
    """What a reader must not overlook."""
    checks, found = summary.checks, [*plan.notes]
    top = checks.mean_of(checks.top).value
    if top < UNLIKELY:
        found.append(
            f"By the model's own probabilities only {top:.0%} of the most probable pairs touch. Read pairs of "
            f"{LIKELY} or more, and no others"
        )
    if not summary.measured:
        found.append(
            "Without known structures nobody can say how many of these contacts are right. Give some of relatives that "
            "are known, to see what the model is worth there"
        )
    else:
        found += few(len(summary.measured), "proteins of known structure", 10)
    if any(not one.is_long for one in summary.proteins):
        short = sum(not one.is_long for one in summary.proteins)
        found.append(
            f"{short:,} protein{'s are' if short != 1 else ' is'} too short for as many long-range pairs as residues; "
            "there pairs of any range are judged"
        )
    if any(math.isnan(one.top) for one in summary.proteins):
        found.append(f"Some proteins have no two residues that are {LEAST} or more apart, and are not counted above")
    found.append(
        "Contacts between the chains of a complex, and those of other conformations, look the same as contacts within "
        "one chain"
    )
    return found + unknown_letters(summary.rules, plan.survey.letters)
