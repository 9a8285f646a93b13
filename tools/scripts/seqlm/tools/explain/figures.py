"""Figures of the report on an explanation. Imports matplotlib: set ``MPLCONFIGDIR`` first."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from matplotlib.colors import CenteredNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from seqlm.cli.text import shown
from seqlm.data.records import CANONICAL, TEXT
from seqlm.metrics.resampling import mean
from seqlm.report.figure_style import BLACK, BLUE, DIVERGING, GREY, ORANGE, RISING, styled
from seqlm.report.logo import KEY, information, logo
from seqlm.report.report import Drawn
from seqlm.report.substitutions import substitution_map

from .deletion import RANDOM_ORDERS, SHARES
from .inputs import SUBSTITUTED, Plan
from .methods import ATTENTION
from .molecules import drawable, molecules
from .summary import FEWEST, Checks, Explained, Summary
from .verdict import number_of

MAPS = 5  # sequences that are drawn one by one
LONGEST = 120  # positions of one
LETTERED = 60  # positions up to which letters are written
ROWS = 100  # sequences of a heat map
MOLECULES = 4
SIDE = 7  # letters of a logo on each side of the middle
MOST_LOGOS = 4
COLOURS = f"{DIVERGING}_r"
SIGNED = "Orange speaks for the prediction, purple against it"


def figures_of(plan: Plan, summary: Summary) -> dict[str, Drawn]:
    """Name -> caption and how to draw it."""
    ordered = [one for one in summary.ordered() if one.shuffled is not None]
    number, signed = number_of(plan), plan.arguments.method != ATTENTION
    read = SIGNED if signed else "The darker, the more the model looks there, whatever it predicts"
    drawn = {
        "deletion": Drawn(
            f"Left: {number} as more and more is hidden, in the order of the maps and in others; bands are 95 % "
            "intervals of resampled sequences. Right: how far the curve lies below that of random orders, of the model "
            "and of models with shuffled weights, each with its own maps.",
            lambda: deletion(summary.checks, number),
        ),
        "maps": Drawn(
            f"Values of the positions, of the sequences with the highest {number}; below each the same of shuffled "
            f"weights. {read}; each strip has a scale of its own."
            + (f" Only the first {LONGEST} positions are drawn." if plan.survey.longest > LONGEST else ""),
            lambda: maps(ordered[:MAPS], signed),
        ),
    }
    lengths = {len(one.item.sequence) for one in ordered}
    if len(lengths) == 1 and len(ordered) > MAPS and max(lengths) <= 4 * LONGEST:
        drawn["heat_map"] = Drawn(
            f"All checked sequences beside each other, the highest {number} on top: left of the model, right of "
            f"shuffled weights. {read}.",
            lambda: heat_map(ordered[:ROWS], signed),
        )
    if plan.family.alphabet in (TEXT, CANONICAL) and (drawn_molecules := drawable(ordered, MOLECULES)):
        drawn["molecules"] = Drawn(
            f"Atoms in the colour of their letters, of the molecules with the highest {number}: left of the "
            f"model, right of shuffled weights, each in a scale of its own. {read}.",
            lambda: molecules(drawn_molecules, COLOURS),
        )
    if logos := logos_of(plan, summary):
        centred = "" if logos[0].whole else f" around the position that speaks the most (0), {SIDE} on each side"
        drawn["logos"] = Drawn(
            f"Of the sequences of the highest {number}: left what letters they have in common (bits), right "
            + (
                f"what their letters speak for on average{centred}; below the axis, against it."
                if signed
                else f"where the model looks on average{centred}."
            )
            + plan.protein * f" {KEY.capitalize()}.",
            lambda: draw_logos(logos, dna=not plan.protein),
        )
    if ordered and ordered[0].effects is not None:
        one = ordered[0]
        drawn["substitutions"] = Drawn(
            f"What every single substitution changes of the {number}, of {shown(one.item.id, 40)}; orange raises it, "
            "purple lowers it, the letter itself is a black dot.",
            lambda: substitution_map(
                one.item.sequence[: one.item.tokens], plan.substituted, one.effects, 1, plan.family.alphabet, COLOURS
            ),
        )
    return drawn


@dataclass(frozen=True)
class Logo:
    """Sequences of one class in one frame.

    Attributes:
        title: the class; empty where there is only one.
        bits, values: (positions, letters); first: number of the first position.
        whole: the frame is all of each sequence.
    """

    title: str
    bits: np.ndarray
    values: np.ndarray
    letters: str
    first: int
    whole: bool


def logos_of(plan: Plan, summary: Summary) -> list[Logo]:
    """A logo of each class that is explained, of the sequences of the highest numbers."""
    if plan.family.alphabet not in SUBSTITUTED:
        return []
    letters, found = SUBSTITUTED[plan.family.alphabet], []
    lengths = {len(one.item.sequence) for one in summary.explained}
    whole = len(lengths) == 1 and max(lengths) <= LETTERED
    for goal in sorted({one.item.goal for one in summary.explained}):
        mine = [one for one in summary.ordered() if one.item.goal == goal]
        best = mine[: max(FEWEST, len(mine) // 4)]
        if len(best) < FEWEST:
            continue
        framed = [_framed(one, whole) for one in best]
        values = np.zeros((len(framed[0][0]), len(letters)))
        for text, own in framed:
            for place, (letter, value) in enumerate(zip(text, own.tolist(), strict=True)):
                if letter in letters and np.isfinite(value):
                    values[place, letters.index(letter)] += value / len(framed)
        bits = information([text for text, _ in framed], letters)
        title = shown(plan.labels[goal], 30) if plan.labels and plan.goal is None else ""
        found.append(Logo(title, bits, values, letters, 1 if whole else -SIDE, whole))
    return found[:MOST_LOGOS]


def _framed(one: Explained, whole: bool) -> tuple[str, np.ndarray]:
    """The letters of a frame and their values; around the position that speaks the most, with - beyond the ends."""
    text, values = one.item.sequence, one.item.by_letter(one.values)
    if whole:
        return text, values
    middle = int(np.nanargmax(np.convolve(np.nan_to_num(values), np.ones(3), "same")))
    ends = range(middle - SIDE, middle + SIDE + 1)
    inside = [0 <= place < len(text) for place in ends]
    letters = "".join(text[place] if known else "-" for place, known in zip(ends, inside, strict=True))
    return letters, np.asarray([values[place] if known else 0.0 for place, known in zip(ends, inside, strict=True)])


@styled
def draw_logos(logos: list[Logo], dna: bool) -> Figure:
    """Two logos a class: what sequences have in common, and what speaks for the class."""
    figure = Figure(figsize=(7.2, 1.5 * len(logos) + 0.5))
    for (left, right), one in zip(figure.subplots(len(logos), 2, squeeze=False), logos, strict=True):
        logo(left, one.bits, one.letters, one.first, dna)
        logo(right, one.values, one.letters, one.first, dna)
        left.set(ylabel="Bits")
        right.set(ylabel="Mean value")
        left.set_title(one.title, fontsize=8, loc="left")
    for axes in figure.axes[-2:]:
        axes.set_xlabel("Position")
    return figure


def _norm(values: np.ndarray) -> CenteredNorm:
    return CenteredNorm(0, max(float(np.nanpercentile(np.abs(values), 99)), 1e-9))


@styled
def deletion(checks: Checks, number: str) -> Figure:
    """Curves of the number while tokens are hidden, and the gains of the model and of shuffled ones."""
    figure = Figure(figsize=(7.0, 3.1))
    left, right = figure.subplots(1, 2, width_ratios=(1.7, 1))
    curves = checks.curves
    for name, values, colour, dash in (
        ("by the maps", curves[:, 0], BLUE, "-"),
        ("random orders", curves[:, 1 : 1 + RANDOM_ORDERS].mean(1), GREY, "--"),
        ("by maps of shuffled weights", curves[:, 1 + RANDOM_ORDERS], ORANGE, "-."),
    ):
        scores = [mean(column, checks.seed) for column in values.T]
        left.plot(SHARES, [one.value for one in scores], color=colour, ls=dash, label=name)
        if len(values) > 1:
            left.fill_between(
                SHARES, [one.low for one in scores], [one.high for one in scores], color=colour, alpha=0.18, lw=0
            )
    left.xaxis.set_major_formatter(PercentFormatter(1))
    left.set(xlabel="Hidden", ylabel=f"{number[0].upper()}{number[1:]}"[:60])
    figure.legend(*left.get_legend_handles_labels(), loc="outside upper left", ncols=3, handlelength=2.6)
    each = checks.of_shuffled.mean(1)
    gain = checks.gain
    right.axhline(0, color=GREY, ls=":", lw=1)
    right.errorbar(
        [0],
        [gain.value],
        [[max(0, gain.value - gain.low)], [max(0, gain.high - gain.value)]],
        fmt="o",
        color=BLUE,
        capsize=3,
    )
    spread = np.linspace(-0.12, 0.12, len(each)) if len(each) > 1 else [0]
    right.plot(1 + np.asarray(spread), each, "D", ms=4, color=ORANGE, mec=BLACK, mew=0.5)
    right.set_xticks([0, 1], ["the model", "shuffled\nweights"])
    right.set(xlim=(-0.6, 1.6), ylabel="Below random orders by")
    return figure


@styled
def maps(chosen: list[Explained], signed: bool = True) -> Figure:
    """Values of single sequences as strips with their letters, above those of shuffled weights.

    Args:
        signed: values are for and against something, and not only more or less.
    """
    look = {"cmap": COLOURS, "vmin": -1, "vmax": 1} if signed else {"cmap": RISING, "vmin": 0, "vmax": 1}
    figure = Figure(figsize=(7.2, 0.75 * len(chosen) + 0.5))
    grid = figure.subplots(len(chosen), 1, squeeze=False)[:, 0]
    for axes, one in zip(grid, chosen, strict=True):
        item = one.item
        rows = np.stack([item.by_letter(one.values), item.by_letter(one.shuffled)])[:, :LONGEST]
        scaled = rows / np.maximum(np.nanmax(np.abs(rows), axis=1, keepdims=True), 1e-12)
        count = rows.shape[1]
        axes.imshow(scaled, aspect="auto", interpolation="nearest", **look,
                    extent=(0.5, count + 0.5, 1.5, -0.5))  # fmt: skip
        if count <= LETTERED:
            for place, letter in enumerate(item.sequence[:count]):
                for row in range(2):
                    dark = abs(scaled[row, place]) > 0.75
                    axes.text(
                        place + 1, row, letter, ha="center", va="center", fontsize=6, color="white" if dark else BLACK
                    )
        axes.set_yticks([0, 1], ["model", "shuffled"], fontsize=6)
        axes.set_title(f"{shown(item.id, 50)}  ({one.number:.2f})", fontsize=7, loc="left", pad=2)
        axes.grid(False)
        axes.tick_params(labelsize=6, length=1.5)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
    grid[-1].set_xlabel("Position")
    return figure


@styled
def heat_map(chosen: list[Explained], signed: bool = True) -> Figure:
    """Values of sequences of one length, (sequences, positions), beside those of shuffled weights."""
    figure = Figure(figsize=(7.2, max(2.2, 0.045 * len(chosen) + 0.8)))
    for axes, title, values in zip(
        figure.subplots(1, 2, sharey=True),
        ("the model", "shuffled weights"),
        (
            np.stack([one.item.by_letter(one.values) for one in chosen]),
            np.stack([one.item.by_letter(one.shuffled) for one in chosen]),
        ),
        strict=True,
    ):
        count = values.shape[1]
        colours, norm = (COLOURS, _norm(values)) if signed else (RISING, Normalize(0, np.nanmax(values)))
        image = axes.imshow(values, cmap=colours, norm=norm, aspect="auto", interpolation="nearest",
                            extent=(0.5, count + 0.5, len(values) + 0.5, 0.5))  # fmt: skip
        axes.set_title(title, fontsize=8, loc="left")
        axes.set_xlabel("Position")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
        axes.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
        axes.grid(False)
        bar = figure.colorbar(image, ax=axes, aspect=18, pad=0.02)
        bar.outline.set_visible(False)
        bar.ax.tick_params(labelsize=6)
    figure.axes[0].set_ylabel("Sequence")
    return figure
