"""Figures of the training of a language model: which there are, what stands below them, and how they are drawn.

Imports matplotlib: set ``MPLCONFIGDIR`` first.
"""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from seqlm.metrics.language_scores import BITS, LABELS
from seqlm.report import figures
from seqlm.report.figure_style import BLUE, GREY, styled
from seqlm.report.report import Drawn
from seqlm.report.words import SPLIT_NAMES

from .summary import AFTER, LanguageSummary


def figures_of(summary: LanguageSummary) -> dict[str, Drawn]:
    """Name -> caption and how to draw it."""
    where = f"{SPLIT_NAMES[summary.deciding]}, {len(summary.after):,} sequences"
    drawn = {}
    if summary.history:
        drawn["learning-curves"] = Drawn(
            _learning_caption(summary),
            lambda: figures.learning_curves(summary.history, "perplexity", "perplexity", summary.best_epoch),
        )
    many = len(summary.after) > figures.MOST_DOTS
    some = f" Drawn are {figures.MOST_DOTS:,} sequences, at random." if many else ""
    drawn["before-after"] = Drawn(
        f"Perplexity per token of each sequence before and after fine-tuning ({where}). Below the dotted line it fell. "
        f"Points far from the others are worth a look: they may be no members of the family, or fragments.{some}",
        lambda: before_after(summary.before, summary.after),
    )
    drawn["baselines"] = Drawn(
        f"Bits per letter of each model with its 95 % interval ({where}), less is better. Intervals may overlap and "
        "the difference still be clear, as all models were judged on the same sequences: the verdict compares them "
        "directly.",
        lambda: figures.baselines({name: summary.score(name) for name in summary.models}, LABELS[BITS], AFTER),
    )
    drawn["lengths"] = Drawn(
        "Lengths of the sequences. Splits that differ much in length are not of the same kind.",
        lambda: figures.lengths(summary.lengths, "Sequence length"),
    )
    return drawn


@styled
def before_after(before: np.ndarray, after: np.ndarray) -> Figure:
    """Perplexity of each sequence (n,) after against before, with the line where nothing changed."""
    figure = Figure(figsize=(4.0, 3.8))
    axes = figure.subplots()
    values = np.concatenate([before, after])
    values = values[np.isfinite(values)]
    low, high = float(values.min()) / 1.06, float(values.max()) * 1.06
    axes.plot([low, high], [low, high], color=GREY, ls=":", lw=1, label="no change", zorder=1)
    chosen = np.arange(len(before))
    if len(chosen) > figures.MOST_DOTS:
        chosen = np.sort(np.random.default_rng(0).permutation(len(chosen))[: figures.MOST_DOTS])
    many = len(chosen) > 500
    axes.scatter(before[chosen], after[chosen], s=6 if many else 16, color=BLUE, alpha=0.35 if many else 0.7, lw=0)
    axes.set(xscale="log", yscale="log", xlim=(low, high), ylim=(low, high), aspect="equal")
    axes.set(xlabel="Perplexity before", ylabel="Perplexity after")
    for axis in (axes.xaxis, axes.yaxis):
        figures.log_ticks(axis, low, high)
    axes.legend(loc="upper left")
    return figure


def _learning_caption(summary: LanguageSummary) -> str:
    text = "Loss of a token after each epoch. Validation loss that rises while training loss falls is overfitting."
    if summary.best_epoch is None:
        return text + " Without a validation set the last epoch was kept."
    text += (
        f" Epoch {summary.best_epoch} of {summary.history[-1]['epoch']} was kept, for its validation loss; perplexity "
        "is the exponential of it."
    )
    if summary.best_epoch == 0:
        text += " That is the model before the first update: training bettered nothing."
    elif summary.stopped_early:
        text += " Training stopped early, as it got no better."
    elif summary.best_epoch == summary.history[-1]["epoch"]:
        text += " It was the last one, so more epochs may help."
    return text
