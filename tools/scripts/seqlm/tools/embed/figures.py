"""Figures of the report on embeddings. Imports matplotlib: set ``MPLCONFIGDIR`` first."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from seqlm.metrics.metrics import label as label_of
from seqlm.report.figure_style import BLUE, CLASS_COLOURS, DASHES, GREY, ORANGE, RED, styled
from seqlm.report.report import Drawn

from .judging import Judged
from .summary import Spread, Summary

BINS = 40


def figures_of(summary: Summary, spread: Spread | None) -> dict[str, Drawn]:
    """Name -> caption and how to draw it."""
    drawn = {}
    judged = summary.judged
    if judged and len(judged.layers) > 1:
        drawn["layers"] = Drawn(
            "What a linear probe of each layer reaches on sequences that it had not seen, with 95 % intervals. Vectors "
            "of the layer with a diamond were written. Lines across: what was judged on the same folds beside them.",
            lambda: layers(judged),
        )
    if not spread:
        return drawn
    caption = (
        "Left: cosines of random pairs of vectors, as they are and with their mean taken off. Right: lengths of the "
        "vectors before any scaling."
    )
    return drawn | {"alikeness": Drawn(caption, lambda: alikeness(spread, summary.sample()[1]))}


@styled
def layers(judged: Judged) -> Figure:
    """The deciding score of each layer with its interval, and of what stands beside the vectors."""
    metric, numbers = judged.metric, np.array(list(judged.layers))
    scores = [entry.score(metric) for entry in judged.layers.values()]
    values, low, high = (np.array([getattr(score, side) for score in scores]) for side in ("value", "low", "high"))
    figure = Figure(figsize=(6.0, 3.4))
    axes = figure.subplots()
    axes.fill_between(numbers, low, high, color=BLUE, alpha=0.18, lw=0)
    axes.plot(numbers, values, color=BLUE, marker="o", ms=4, label="vectors of one layer")
    at = list(judged.layers).index(judged.best)
    axes.plot([judged.best], [values[at]], color=RED, marker="D", ms=8, ls="", label=f"chosen: layer {judged.best}")
    for number, name in enumerate(judged.named):
        value = judged.named[name].score(metric).value
        label = f"{name}, layer chosen in folds" if name.startswith("vectors") else name
        axes.axhline(value, color=CLASS_COLOURS[1 + number % 6], ls=DASHES[1 + number % 6], lw=1.4, label=label)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    name = label_of(metric, len(judged.labelled.classes or ()))
    axes.set(xlabel="Layer (0: embedding of the tokens)", ylabel=f"{name} (95 % interval)")
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure


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
