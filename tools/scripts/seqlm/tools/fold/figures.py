"""Figures of the report on structures. Imports matplotlib: set ``MPLCONFIGDIR`` first."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from seqlm.cli.text import shown
from seqlm.report.figure_style import BLACK, CONFIDENCE_COLOURS, FALLING, styled
from seqlm.report.report import Drawn

from .inputs import Plan
from .summary import BANDS, Summary

COLOURS = dict(zip((name for _, name in BANDS), CONFIDENCE_COLOURS, strict=True))
MANY = 3  # proteins from which on they are drawn together


def figures_of(plan: Plan, summary: Summary) -> dict[str, Drawn]:
    """Name -> caption and how to draw it."""
    drawn = {}
    if len(summary.folded) >= MANY:
        caption = "Every protein by its length and its mean pLDDT. Bands are those of pLDDT."
        drawn["proteins"] = Drawn(caption, lambda: proteins(plan, summary))
    caption = (
        "Left: pLDDT along the chain, with its bands. Right: expected error of the place of each residue (across) "
        "where the structures are laid over each other at another (down); dark squares along the diagonal are parts "
        "that are well predicted by themselves, and what is dark between two of them says that they stand to each "
        "other as drawn."
    )
    if len(summary.folded) > len(summary.best):
        caption += f" The {len(summary.best)} proteins with the highest mean pLDDT."
    return drawn | {"confidence": Drawn(caption, lambda: confidence(plan, summary))}


@styled
def confidence(plan: Plan, summary: Summary) -> Figure:
    """pLDDT along the chain beside the expected errors, a row for each of the best proteins."""
    best, first = summary.best, plan.arguments.first_position
    figure = Figure(figsize=(6.8, 0.3 + 2.3 * len(best)))
    panels = figure.subplots(len(best), 2, squeeze=False, width_ratios=(1.7, 1))
    for (left, right), one in zip(panels, best, strict=True):
        length = len(one.plddt)
        positions = np.arange(first, first + length)
        _bands(left)
        left.plot(positions, one.plddt, color=BLACK, lw=1.0, marker="." if length < 30 else "", ms=3)
        left.set(xlim=(first - 0.5, first + length - 0.5), ylim=(0, 100), xlabel="Residue", ylabel="pLDDT")
        left.set_title(f"{shown(plan.proteins[one.place].id, 30)}: mean {one.mean:.1f}, pTM {one.ptm:.2f}", loc="left")
        extent = (first - 0.5, first + length - 0.5, first + length - 0.5, first - 0.5)
        image = right.imshow(summary.pae[one.place], FALLING, vmin=0, vmax=plan.architecture.largest_pae, extent=extent)
        right.grid(False)
        right.set(xlabel="Residue", ylabel="Laid over at")
        figure.colorbar(image, ax=right, label="PAE (Å)")
    return figure


@styled
def proteins(plan: Plan, summary: Summary) -> Figure:
    """Mean pLDDT of each protein by its length."""
    figure = Figure(figsize=(6.8, 2.9))
    axes = figure.subplots()
    _bands(axes)
    found = [*summary.folded.values()]
    axes.plot(
        [len(one.plddt) for one in found], [one.mean for one in found], "o", color=BLACK, ms=3.5, mec="white", mew=0.5
    )
    axes.set(ylim=(0, 100), xlabel="Residues", ylabel="Mean pLDDT")
    return figure


def _bands(axes) -> None:
    """The bands of pLDDT, each with its name at the right."""
    top = 100.0
    for low, name in BANDS:
        axes.axhspan(low, top, color=COLOURS[name], alpha=0.55, lw=0)
        axes.text(1.0, (low + top) / 2, f" {name}", transform=axes.get_yaxis_transform(), va="center", fontsize=7)
        top = low
    axes.grid(False)
