"""Figures of the report on scores: which there are, what stands below them, and how they are drawn.

Imports matplotlib: set ``MPLCONFIGDIR`` first."""

from __future__ import annotations

import math

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from seqlm.cli.text import shown
from seqlm.report.figure_style import BLUE, GREY, ORANGE, RED, styled
from seqlm.report.figures import baselines, log_ticks, measured_points
from seqlm.report.report import Drawn
from seqlm.report.substitutions import SHOWN, substitution_map

from .baselines import MEANINGS
from .effects import Scanned
from .inputs import Plan
from .sequences import SequenceScores
from .summary import Effects, Summary
from .verdict import with_interval

BINS = 40  # at most


def figures_of(plan: Plan, summary: Summary) -> dict[str, Drawn]:
    """Name -> caption and how to draw it."""
    drawn = {}
    if (scores := summary.sequences) is not None and int(np.isfinite(scores.perplexity).sum()) > 1:
        drawn["perplexities"] = Drawn(
            "Left: perplexities. Right: bits a letter, of the model and of letters drawn by their frequencies.",
            lambda: perplexities(scores, plan.arguments.max_perplexity),
        )
    if summary.scan:
        drawn |= _scan_figures(plan, summary.scan.first)
    if summary.effects:
        drawn |= _effect_figures(plan, summary.effects)
    return drawn


def _scan_figures(plan: Plan, one: Scanned) -> dict[str, Drawn]:
    count, length, first = plan.survey.sequences, len(one.sequence), plan.arguments.first_position
    which = f" of {shown(one.id, 40)}, the first of {count:,} sequences" if count > 1 else ""
    cut = f" Only the first {SHOWN:,} of {length:,} positions are drawn." if length > SHOWN else ""
    return {
        "heat_map": Drawn(
            f"Scores of all single substitutions{which}. Orange is less probable than the wild type, purple more "
            f"probable; the wild type is a black dot.{cut}",
            lambda: substitution_map(one.sequence, one.letters, one.scores, first, plan.family.alphabet),
        ),
        "positions": Drawn(
            f"Mean score and entropy of the letters at each position{which}.", lambda: positions(one, first)
        ),
    }


def _effect_figures(plan: Plan, found: Effects) -> dict[str, Drawn]:
    correlations = found.measured
    if correlations is None or correlations.undefined:
        return {"effects": Drawn("How the scores are distributed.", lambda: effects(found.scores))}
    names = {"the model": correlations.model} | {MEANINGS[name]: one for name, one in correlations.baselines.items()}
    spearman = {name: one.spearman for name, one in names.items()}
    values = np.asarray([each.measured for each in plan.variants.all])
    known = np.isfinite(values)
    title = f"Spearman {with_interval(correlations.model.spearman)}, {known.sum():,} variants"
    return {
        "correlations": Drawn(
            "Spearman correlation with the measured values, of the model and of baselines.",
            lambda: baselines(spearman, "Spearman correlation", "the model"),
        ),
        "effects": Drawn(
            "Scores of the model against the measured values.",
            lambda: measured(values[known], found.scores[known], shown(plan.variants.measured, 40), title),
        ),
    }


@styled
def perplexities(scores: SequenceScores, limit: float | None) -> Figure:
    """Perplexities of all sequences, beside what a letter costs the model and costs without one."""
    values, bits = scores.perplexity[~np.isnan(scores.perplexity)], scores.bits[~np.isnan(scores.perplexity)]
    figure = Figure(figsize=(6.8, 2.8))
    left, right = figure.subplots(1, 2)
    low, high = float(values.min()), float(values.max())
    wide = high > 3 * low
    bins = int(np.clip(len(values) ** 0.5, 8, BINS))
    edges = np.geomspace(low, high, bins) if wide else np.linspace(low - 0.02 * low, high + 0.02 * high, bins)
    left.hist(values, edges, color=BLUE, alpha=0.5)
    if wide:
        left.set_xscale("log")
        log_ticks(left.xaxis, low, high)
    if limit is not None and low <= limit <= high:
        left.axvline(limit, color=RED, ls="--", lw=1, label=f"limit: {limit:g}")
        left.legend()
    left.yaxis.set_major_locator(MaxNLocator(integer=True))
    left.set(xlabel="Perplexity", ylabel="Sequences")
    span = (float(min(bits.min(), scores.baseline.min())), float(max(bits.max(), scores.baseline.max())))
    edges = np.linspace(*span, 2 * bins) if span[0] < span[1] else bins
    right.hist(bits, edges, color=BLUE, alpha=0.5, label="the model")
    right.hist(scores.baseline, edges, color=ORANGE, histtype="step", lw=1.5, label="letters by their frequencies")
    right.yaxis.set_major_locator(MaxNLocator(integer=True))
    right.set(xlabel="Bits a letter", ylabel="Sequences")
    right.legend(loc="upper center", bbox_to_anchor=(0.5, 1.2), ncols=2, columnspacing=1)
    return figure


@styled
def effects(scores: np.ndarray) -> Figure:
    """How the scores of variants (n,) are distributed."""
    figure = Figure(figsize=(4.4, 2.7))
    axes = figure.subplots()
    axes.hist(scores, min(BINS, max(8, int(len(scores) ** 0.5))), color=BLUE, alpha=0.5)
    axes.axvline(0, color=GREY, ls=":", lw=1, label="the wild type")
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set(xlabel="Score", ylabel="Variants")
    axes.legend()
    return figure


@styled
def measured(values: np.ndarray, scores: np.ndarray, name: str, title: str) -> Figure:
    """Scores of variants (n,) against what was measured."""
    figure = Figure(figsize=(4.2, 3.4))
    axes = figure.subplots()
    measured_points(axes, values, scores)
    axes.axhline(0, color=GREY, ls=":", lw=1, label="score of the wild type", zorder=1)
    axes.set(xlabel=name, ylabel="Score")
    axes.set_title(title, fontsize=8, loc="left")
    axes.legend(loc="best")
    return figure


@styled
def positions(one: Scanned, first: int) -> Figure:
    """Mean score of the substitutions at each position, and how undecided the model is there."""
    numbers = np.arange(first, first + len(one.sequence))
    figure = Figure(figsize=(7.2, 3.6))
    top, bottom = figure.subplots(2, 1, sharex=True)
    looks = {"marker": "o", "ms": 2.5} if len(numbers) <= 120 else {}
    lw = 1.2 if len(numbers) <= 300 else 0.7
    top.plot(numbers, one.means, color=BLUE, lw=lw, **looks)
    top.axhline(0, color=GREY, ls=":", lw=1)
    top.set(ylabel="Mean score")
    bottom.plot(numbers, one.entropy, color=ORANGE, lw=lw, **looks)
    highest = math.log2(len(one.letters))
    bottom.axhline(highest, color=GREY, ls=":", lw=1)
    bottom.text(1, highest, f"all {len(one.letters)} letters alike", transform=bottom.get_yaxis_transform(),
                ha="right", va="bottom", fontsize=7, color=GREY)  # fmt: skip
    bottom.set(xlabel="Position", ylabel="Entropy (bits)", ylim=(-0.05 * highest, 1.15 * highest))
    bottom.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
    bottom.set_xlim(numbers[0] - 0.5, numbers[-1] + 0.5)
    return figure
