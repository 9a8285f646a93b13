"""Figures of the report on written sequences: which there are, what stands below them, and how they are drawn.

Imports matplotlib: set ``MPLCONFIGDIR`` first."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from seqlm.data.records import LETTERS
from seqlm.report.figure_style import BLUE, GREY, ORANGE, styled
from seqlm.report.figures import log_ticks
from seqlm.report.report import Drawn

from .inputs import Plan
from .run import KNOWN, REFERENCE, SHUFFLED, Result

FEWEST = 5  # sequences that are worth a histogram
MOST_LETTERS = 30


def figures_of(plan: Plan, result: Result) -> dict[str, Drawn]:
    """Name -> caption and how to draw it, of those that there is enough for."""
    drawn = {}
    if len(result.kept) >= FEWEST:
        caption = "Left: perplexities of the sequences; lines are those of the other sets. Right: lengths."
        if plan.encoder:
            caption = "Pseudo-perplexities of what was filled in; lines are those of the other sets."
        drawn["written"] = Drawn(caption, lambda: written(plan, result))
    if result.own_letters:
        done = "filled in" if plan.encoder else "written"
        drawn["letters"] = Drawn(f"How often each {plan.letter} is {done}.", lambda: letters(plan, result))
    return drawn


@styled
def written(plan: Plan, result: Result) -> Figure:
    """How probable the sequences are to the model, and how long."""
    figure = Figure(figsize=(6.8, 2.7))
    left, right = (figure.subplots(), None) if plan.encoder else figure.subplots(1, 2)
    values = np.asarray([one.letter_perplexity for one in result.kept])
    values = values[np.isfinite(values)]
    lines = ((SHUFFLED, GREY, ":"), (REFERENCE, ORANGE, "--"), (KNOWN, ORANGE, "--"))  # never both of the last
    means = {name: result.perplexities.get(name, (None, 0)) for name, _, _ in lines}
    marks = [score.value for score, count in means.values() if count]
    low, high = min([*values, *marks], default=1), max([*values, *marks], default=1)
    edges = np.geomspace(0.9 * low, 1.1 * high, _bins(len(values)) + 1)  # one short sequence can have hundreds
    left.hist(values, edges, color=BLUE, alpha=0.45)
    left.set_xscale("log")
    log_ticks(left.xaxis, edges[0], edges[-1])
    for name, colour, dash in lines:
        score, count = means[name]
        if count:
            label = {SHUFFLED: "letters shuffled", REFERENCE: "reference", KNOWN: "what stood there"}[name]
            left.axvline(score.value, color=colour, ls=dash, label=label)
    if any(count for _, count in means.values()):
        left.legend()
    kind = "Pseudo-perplexity" if plan.encoder else "Perplexity"
    left.set(xlabel=f"{kind} per {plan.letter}", ylabel="Sequences kept")
    if right is None:
        return figure
    for complete, label, look in (
        (True, "complete", {"color": BLUE, "alpha": 0.45}),
        (False, "cut at a limit", {"color": ORANGE, "histtype": "step", "lw": 1.6, "ls": "--"}),
    ):
        lengths = [len(one.letters) for one in result.kept if one.complete == complete]
        if lengths:
            span = (0, max(len(one.letters) for one in result.kept) + 1)
            right.hist(lengths, _bins(len(result.kept)), range=span, label=label, **look)
    right.legend()
    right.set(xlabel=f"Length in {plan.letter}s", ylabel="Sequences kept")
    return figure


@styled
def letters(plan: Plan, result: Result) -> Figure:
    """How often each letter is written, beside the reference."""
    own, theirs = result.own_letters, result.reference_letters
    names = sorted({*own, *theirs}, key=lambda letter: (-max(own.get(letter, 0), theirs.get(letter, 0)), letter))
    names = sorted(names[:MOST_LETTERS]) if plan.alphabet in LETTERS else names[:MOST_LETTERS]
    figure = Figure(figsize=(6.8, 2.3))
    axes = figure.subplots()
    places, width = np.arange(len(names)), 0.4 if theirs else 0.7
    axes.bar(
        places - (width / 2 if theirs else 0), [own.get(name, 0) for name in names], width, color=BLUE, label="written"
    )
    if theirs:
        axes.bar(places + width / 2, [theirs.get(name, 0) for name in names], width, color=ORANGE, label="reference")
        axes.legend()
    axes.set_xticks(places, names)
    axes.grid(False, axis="x")
    axes.set(ylabel=f"Share of {plan.letter}s")
    return figure


def _bins(count: int) -> int:
    return int(np.clip(count // 5, 8, 40))
