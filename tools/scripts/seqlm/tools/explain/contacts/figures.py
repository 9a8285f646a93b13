"""Figures of the report on contacts. Imports matplotlib: set ``MPLCONFIGDIR`` first."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from seqlm.cli.text import shown
from seqlm.report.figure_style import BLACK, BLUE, GREY, ORANGE, PALE_GREY, RED, RISING, styled
from seqlm.report.report import Drawn

from .inputs import Plan
from .ranges import LEAST, LONG
from .structures import DIVISORS, TOUCHING
from .summary import Checks, Protein, Summary

ACROSS = 3  # maps in a row
LISTED = 40  # proteins whose names are written


def figures_of(plan: Plan, summary: Summary) -> dict[str, Drawn]:
    """Name -> caption and how to draw it."""
    drawn = [one for one in summary.proteins if one.map is not None]
    below = "that of shuffled weights"
    if any(one.distances is not None for one in drawn):
        below += f", or, where a structure is known, in red the pairs that are less than {TOUCHING:g} Å apart in it"
    more = len(summary.proteins) > len(drawn)
    figures = {
        "contacts": Drawn(
            f"Above the diagonal the probability that two residues touch; below it {below}. Pairs less than {LEAST} "
            f"residues apart are grey; beyond the dotted line they are {LONG} or more apart (long range)."
            + f" The first {len(drawn)} of the checked proteins are drawn, those of known structure before others; the "
            "table has all." * more,
            lambda: maps(drawn),
        ),
        "chance": Drawn(
            "Mean probability of the most probable long-range pairs of each protein, as many as it has residues: of "
            "the model, of copies with shuffled weights, and of its residues in another order.",
            lambda: chance(summary.checks),
        ),
    }
    if summary.measured:
        figures["precision"] = Drawn(
            "How many of the most probable pairs touch in the known structures, by range, of as many pairs as residues "
            "(L), half and a fifth of that, with 95 % intervals of resampled proteins; in grey what is reached by "
            "chance, by pairs that are as far apart.",
            lambda: precision(summary, plan.arguments.seed),
        )
    return figures


@styled
def maps(drawn: list[Protein]) -> Figure:
    """A square a protein: the model above the diagonal, below it shuffled weights or a known structure."""
    across = min(ACROSS, len(drawn))
    down = -(-len(drawn) // across)
    side = 4.6 if across == 1 else 7.2 / across
    figure = Figure(figsize=(side * across + 0.7, (side + 0.15) * down + 0.3))
    grid = figure.subplots(down, across, squeeze=False)
    for axes in grid.flat[len(drawn) :]:
        axes.axis("off")
    for axes, one in zip(grid.flat, drawn, strict=False):
        count = len(one.map)
        below = one.shuffled if one.distances is None else 0.0
        values = np.where(np.tri(count, k=-1, dtype=bool), below, one.map)
        apart = np.abs(np.arange(count)[:, None] - np.arange(count))
        values[apart < LEAST] = np.nan
        ends = (0.5, count + 0.5, count + 0.5, 0.5)
        image = axes.imshow(values, cmap=RISING, vmin=0, vmax=1, interpolation="nearest", extent=ends)
        if one.distances is not None:
            touching = (one.distances < TOUCHING) & (apart >= LEAST) & np.tri(count, dtype=bool)
            row, column = np.nonzero(touching)
            axes.plot(column + 1, row + 1, "s", ms=max(0.8, 110 / count), color=RED, mew=0)
        if count > LONG:
            for start, end in (((LONG + 1, count), (1, count - LONG)), ((1, count - LONG), (LONG + 1, count))):
                axes.plot(start, end, ":", color=GREY, lw=0.8)
        axes.set(xlim=ends[:2], ylim=ends[2:])
        axes.set_title(f"{shown(one.id, 26)} ({one.top:.2f})", fontsize=7, loc="left", pad=2)
        axes.grid(False)
        axes.set_facecolor(PALE_GREY)
        axes.tick_params(labelsize=6, length=1.5)
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_locator(MaxNLocator(integer=True, nbins=5))
    bar = figure.colorbar(image, ax=grid.ravel().tolist(), aspect=25, shrink=0.7, pad=0.02)
    bar.set_label("Probability of a contact", fontsize=7)
    bar.outline.set_visible(False)
    bar.ax.tick_params(labelsize=6)
    return figure


@styled
def chance(checks: Checks) -> Figure:
    """A column a protein: the model, copies that have learnt nothing, and other orders; the highest first."""
    order = np.argsort(-checks.top, kind="stable")
    figure = Figure(figsize=(max(3.4, min(7.2, 1.8 + 0.16 * len(order))), 2.6))
    axes = figure.subplots()
    place = np.arange(1, len(order) + 1)
    size = 5 if len(order) <= LISTED else 3
    for values, mark, colour in ((checks.of_shuffled, "D", ORANGE), (checks.of_reordered, "x", GREY)):
        for each in values:
            axes.plot(place, each[order], mark, ms=size - 1.5, color=colour, mew=0.8, ls="")
    axes.plot(place, checks.top[order], "o", ms=size, color=BLUE, mec=BLACK, mew=0.4)
    axes.set(xlabel="Protein", ylabel="Mean probability", xlim=(0.3, len(order) + 0.7), ylim=(0, None))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    keys = (("o", BLUE, "the model"), ("D", ORANGE, "shuffled weights"), ("x", GREY, "residues in another order"))
    axes.legend(
        handles=[Line2D([], [], marker=mark, color=colour, ls="", ms=4, label=label) for mark, colour, label in keys],
        loc="lower left",
        bbox_to_anchor=(0, 1),
        ncols=3 if len(order) > 12 else 1,
    )
    return figure


@styled
def precision(summary: Summary, seed: int) -> Figure:
    """A group a range: precision at L, L/2 and L/5 with intervals, above what is reached by chance."""
    figure = Figure(figsize=(5.2, 2.6))
    axes = figure.subplots()
    names = ("short", "medium", "long")
    for group, name in enumerate(names):
        for number, divisor in enumerate(DIVISORS):
            if (found := summary.precision((name, divisor), seed)) is None:
                continue
            score, by_chance, most = found
            place = group * 4 + number
            axes.bar(place, most, width=0.8, color=PALE_GREY, zorder=1)
            axes.plot([place - 0.4, place + 0.4], [by_chance] * 2, color=GREY, lw=1.2)
            wide = [[max(0, score.value - score.low)], [max(0, score.high - score.value)]]
            axes.errorbar([place], [score.value], None if np.isnan(score.low) else wide, fmt="o", color=BLUE, capsize=3)
    places = [group * 4 + number for group in range(3) for number in range(3)]
    axes.set_xticks(places, ["L", "L/2", "L/5"] * 3)
    for group, name in enumerate(names):
        axes.text(group * 4 + 1, 1.03, f"{name} range", ha="center", fontsize=8)
    axes.set(ylabel="Share that touch", ylim=(0, 1), xlim=(-0.8, 10.8))
    axes.grid(False, axis="x")
    return figure
