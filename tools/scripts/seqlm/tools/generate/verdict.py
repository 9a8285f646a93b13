"""What was written, in words: how many, how probable to the model, and what a reader must not overlook."""

from __future__ import annotations

from seqlm.cli.text import shown
from seqlm.data.records import DNA, LETTERS, PROTEIN
from seqlm.report.words import ranged, sentence

from .inputs import Plan
from .properties import NO
from .run import SHUFFLED, WRITTEN, Result

SMALL = 10_000_000  # weights; ProtGPT2 has 738 million


def headline(plan: Plan, result: Result) -> str:
    """The verdict in one sentence."""
    kept, total = len(result.kept), len(result.sequences)
    complete = sum(one.complete for one in result.kept)
    done = "filled in" if plan.encoder else "written"
    passed = f", {sum(one.accepted for one in result.sequences):,} accepted" if result.acceptance else ""
    text = f"{total:,} sequence{'s were' if total != 1 else ' was'} {done}{passed} and {kept:,} kept"
    if not complete:
        return f"{text}; none of these is complete: the model did not end one within the limit."
    if not plan.encoder:
        text += "; all of them are complete" if complete == kept else f", {complete:,} of them complete"
    if result.found.reference is None:
        return text + "."
    recited = sum(bool(one.duplicate.in_reference) for one in result.kept)
    return (
        f"{text}; {recited or 'none':{',' if recited else ''}} of them {_are(recited)} in the reference set as it is."
    )


def _are(count: int) -> str:
    return "are" if count > 1 else "is"


def explanation(plan: Plan, result: Result) -> str:
    score, _ = result.perplexities[WRITTEN]
    name, which = shown(plan.opened.name, 80), "wrote them, they have a perplexity"
    if plan.encoder:
        which = "filled them in, what it filled in has a pseudo-perplexity"
    text = (
        f"To {name}, which {which} of {ranged(score, '.3g')} per {plan.letter}: between so many {plan.letter}s the "
        "model is undecided at each place, on average. "
    )
    other, compared = result.perplexities[SHUFFLED]
    if compared:
        text += f"The same letters in random order have {ranged(other, '.3g')}. " + (
            "So the model knows more than how frequent letters are. "
            if other.low > score.high
            else "That is no clear difference: the model tells an order of letters hardly from any other. "
        )
    return text + (
        "A low perplexity says that the model finds a sequence usual. It does not say that it "
        + {PROTEIN: "folds or does anything", DNA: "does anything"}.get(plan.alphabet, "binds anything or can be made")
        + ": only an experiment does."
    )


def warnings(plan: Plan, result: Result) -> list[str]:
    """What a reader must not overlook."""
    found = [sentence(note) for note in plan.notes]
    parameters = plan.opened.base.parameters
    if parameters < SMALL:
        found.append(
            f"The model has {parameters:,} weights, which is very small; ProtGPT2 has 738 million. What it writes "
            "shows that the tool works, and little of biology."
        )
    cut = sum(not one.complete for one in result.kept)
    if cut > len(result.kept) / 2:
        found.append(
            f"{cut:,} of {len(result.kept):,} sequences ran into the limit and stop in the middle. Allow more tokens, "
            "or leave out what is cut."
        )
    if result.found.distinct < 0.9 * len(result.sequences):
        found.append(
            f"Only {result.found.distinct:,} of {len(result.sequences):,} sequences differ. Raise the temperature, or "
            "let the model choose from more tokens."
        )
    if plan.alphabet not in LETTERS:
        invalid = no_molecules(plan, result)
        if invalid > len(result.kept) / 2:
            found.append(f"{invalid:,} of {len(result.kept):,} are no molecules: RDKit cannot read them.")
    return found


def no_molecules(plan: Plan, result: Result) -> int:
    """How many of what was kept are no molecules."""
    from .properties import columns

    place = columns(plan.alphabet).index("valid")
    return sum(one.properties[place] == NO for one in result.kept)
