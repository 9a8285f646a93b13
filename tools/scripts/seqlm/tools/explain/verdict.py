"""What maps are worth, in words."""

from __future__ import annotations

import numpy as np

from seqlm.cli.text import shown
from seqlm.report.words import few, ranged
from seqlm.tokenization.unknown import unknown_letters

from .inputs import Plan
from .methods import ATTENTION, GRADIENTS, MUTAGENESIS, OCCLUSION
from .summary import CHANCE, FEW, FEWEST, MORE, NO_BETTER, SAME, Checks, Summary

GAP = 0.05  # share of the difference to an empty sequence that integrated gradients may miss
METHODS = {
    GRADIENTS: "The value of a position is its share of the difference between the {number} of the sequence and that "
    "of one in which every position is hidden, by integrated gradients (Sundararajan et al. 2017): the values of a "
    "sequence add up to that difference.",
    OCCLUSION: "The value of a position is how much of the {number} is lost when it alone is hidden (Zeiler & Fergus "
    "2014).",
    MUTAGENESIS: "The value of a position is how much of the {number} is lost on average when its letter is replaced "
    "by each of the others (in-silico mutagenesis, Zhou & Troyanskaya 2015).",
    ATTENTION: "The value of a position is its share in what the head of the model reads, by attention rolled out over "
    "all layers (Abnar & Zuidema 2020).",
}


def number_of(plan: Plan) -> str:
    """What is explained, in words."""
    if plan.language:
        return "log-likelihood"
    of = ""
    if plan.level == "residue":
        of = f" of residue {plan.site + 1}" if plan.site is not None else " of the residue that is explained"
    if plan.labels is None:
        return f"predicted value{of}"
    name = f"class {shown(plan.labels[plan.goal], 40)}" if plan.goal is not None else "predicted class"
    return f"log-odds of the {name}{of}"


def headline(plan: Plan, summary: Summary) -> str:
    """The verdict in one sentence."""
    checks, number = summary.checks, number_of(plan)
    outcome, count = checks.outcome, len(checks.gains)
    if outcome == FEW:
        return (
            f"Whether the maps carry more than chance cannot be told from {count:,} sequence{'s' * (count != 1)}; it "
            f"takes {FEWEST} or more."
        )
    less = f"the {number} by {ranged(checks.gain)} more than hiding as many at random"
    if outcome == CHANCE:
        return (
            "The maps carry no more than chance: hiding the positions that they name first lowers "
            f"the {number} no more than hiding as many at random ({ranged(checks.gain)})."
        )
    if outcome == MORE:
        return f"The maps carry more than chance: hiding the positions that they name first lowers {less}."
    if outcome == NO_BETTER:
        return (
            f"The maps are true to the model, but the model is not clearly better than chance: "
            f"{checks.held_out.words}. What the maps name was made up in training."
        )
    if outcome == SAME:
        return (
            "The maps show hardly anything that was learnt: those of the same model with shuffled weights rank the "
            f"positions much alike (rank correlation {ranged(checks.likeness, '.2f')})."
        )
    if checks.held_out:
        return (
            f"Whether the maps carry more than chance cannot be told from these sequences: hiding the positions that "
            f"they name first lowers {less}, and the model is better than chance ({checks.held_out.words}), but it "
            f"tells these no further apart than models with shuffled weights do ({checks.telling:.3g}; one more of "
            f"those stays below {checks.bound:.3g} 19 times in 20)."
        )
    does = "finds these sequences no more probable" if plan.language else "tells these sequences no further apart"
    return (
        f"The maps are true to the model, but not more than chance: hiding the positions that they name first lowers "
        f"{less}, but the model {does} than models with shuffled weights do ({checks.telling:.3g}; one more of those "
        f"stays below {checks.bound:.3g} 19 times in 20)."
    )


def explanation(plan: Plan) -> str:
    """How a value came about, in words."""
    text = METHODS[plan.arguments.method].format(number=number_of(plan))
    hidden = plan.hidden[1]
    if plan.arguments.method == GRADIENTS and plan.family.config.get("token_dropout"):
        hidden = f"the mean of all letters, and in the curves below as {hidden}"
    if plan.level == "residue" and plan.site is None:
        text += " Of each sequence the residue with the highest one is explained."
    text += f" What is hidden is read as {hidden}."
    if plan.arguments.method == ATTENTION:
        return text + " Values are of the model, and no measurement."
    text += " Positive values speak for the prediction, negative ones against it; they are of the model, and no "
    text += "measurement."
    if plan.goal is None and plan.labels and plan.level == "sequence" and plan.task != "multi-label":
        text += " Of each sequence the class is explained that the model predicts."
    return text


def rests_on(plan: Plan, checks: Checks) -> list[str]:
    """The numbers that the verdict rests on, each with what it would have to be."""
    each = checks.of_shuffled.mean(1)
    known = [
        f"The model on what it did not learn from: {one.words}; above {one.chance:g}"
        for one in [checks.held_out]
        if one
    ]
    what = "Log-likelihood a token" if plan.language else "How far apart the sequences are told (deviation)"
    return [
        *known,
        f"Hiding by the maps against random orders: {ranged(checks.gain)}; above 0 where the maps find what the model "
        "rests on",
        f"Hiding by the maps against the order of a map of shuffled weights: {ranged(checks.by_shuffled)}",
        f"Rank correlation with the maps of shuffled weights: {ranged(checks.likeness, '.2f')}; near 0 where the maps "
        "come from what was learnt",
        f"{what}: {checks.telling:.3g}; of {len(each)} models with shuffled weights "
        f"{checks.telling_shuffled.mean():.3g} ({checks.telling_shuffled.min():.3g} to "
        f"{checks.telling_shuffled.max():.3g}), and one more would stay below {checks.bound:.3g} 19 times in 20",
        f"Hiding by maps of their own, models with shuffled weights lose {each.mean():.3g} more than in random orders "
        f"({each.min():.3g} to {each.max():.3g})",
    ]


def trust(plan: Plan, summary: Summary) -> list[str]:
    """What a reader must not overlook."""
    found = [*plan.notes]
    if plan.arguments.method == ATTENTION:
        found.append(
            "Attention says where the model looks, whatever it predicts, and not what speaks for a prediction: values "
            "are the same for every class, and never speak against one. Believe it where another method says the same."
        )
    checks = summary.checks
    if checks.outcome != FEW:
        found += few(len(checks.gains), "sequences", 30)
    if not checks.held_out and not plan.language:
        found.append(
            "How well the model predicts what it did not learn from does not stand in it, and a map is worth no more "
            "than the model."
        )
    gaps = np.asarray([
        one.gap / abs(one.number - one.hidden) for one in summary.explained if one.number != one.hidden
    ])  # fmt: skip
    if np.isfinite(gaps).any() and (off := float(np.nanmedian(gaps))) > GAP:
        found.append(
            f"The values miss {off:.0%} of what they should add up to (median over the sequences). Take more steps "
            "(--steps)."
        )
    if not plan.family.one_letter_tokens:
        found.append(
            f"The model reads several letters as one token; each {plan.letter} has an equal share of the value of its "
            "token."
        )
    return found + unknown_letters(summary.rules, plan.survey.letters)
