"""Figures of the report on embeddings. Imports matplotlib: set ``MPLCONFIGDIR`` first."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from seqlm.report.figure_style import BLUE, GREY, ORANGE, styled
from seqlm.report.report import Drawn

from .summary import Spread, Summary

BINS = 40


def figures_of(summary: Summary, spread: Spread | None) -> dict[str, Drawn]:
    """Name -> caption and how to draw it."""
    if not spread:
        return {}
    caption = (
        "Left: cosines of random pairs of vectors, as they are and with their mean taken off. Right: lengths of the "
        "vectors before any scaling."
    )
    return {"alikeness": Drawn(caption, lambda: alikeness(spread, summary.sample()[1]))}


@styled
def alikeness(spread: Spread, norms: np.ndarray) -> Figure:
    """Cosines of random pairs, as they are and with the mean taken off, beside the lengths (vectors,)."""
    figure = Figure(figsize=(6.8, 2.7))
    left, right = figure.subplots(1, 2)
    edges = np.linspace(min(-1.0, spread.centred.min()), 1.0, BINS + 1)
    looks = (
        (spread.cosines, "as they are", {"color": BLUE, "alpha": 0.45}),
        (spread.centred, "mean taken off", {"color": ORANGE, "histtype": "step", "lw": 1.6, "ls": "--"}),
    )
    for cosines, label, look in looks:
        left.hist(cosines, edges, weights=np.full(len(cosines), 1 / len(cosines)), label=label, **look)
    left.axvline(0, color=GREY, lw=1, ls=":")
    left.set(xlabel="Cosine of two vectors", ylabel="Share of random pairs")
    left.legend()
    span = (norms.min(), norms.max()) if np.ptp(norms) > 1e-6 * norms.max() else (norms[0] * 0.9, norms[0] * 1.1 + 1e-9)
    right.hist(norms, max(8, min(BINS, len(norms) // 5)), range=span, color=BLUE, alpha=0.45)
    right.set(xlabel="Length of the vector", ylabel="Vectors")
    return figure
