"""Figures of the training of a language model: which there are, what stands below them, and how they are drawn.

Imports matplotlib: set ``MPLCONFIGDIR`` first.
"""

from __future__ import annotations

from seqlm.metrics.language_scores import BITS, LABELS
from seqlm.report import figures
from seqlm.report.report import Drawn
from seqlm.report.words import SPLIT_NAMES

from .run import AFTER, Result
from .verdict import deciding


def figures_of(result: Result) -> dict[str, Drawn]:
    """Name -> caption and how to draw it."""
    drawn, history = {}, result.history
    if history.epochs:
        best = history.epochs[history.best_epoch - 1]["epoch"] if history.best_epoch else 0
        drawn["learning-curves"] = Drawn(
            _learning_caption(result), lambda: figures.learning_curves(history.epochs, "perplexity", "perplexity", best)
        )
    split = deciding(result)
    if split and result.plan.examples is None:
        scores = {name: by[split][BITS] for name, by in result.scores.items()}
        drawn["baselines"] = Drawn(
            f"Bits per letter of each model with its 95 % interval ({SPLIT_NAMES[split]}), less is better. All models "
            "were judged on the same letters: the verdict compares them directly.",
            lambda: figures.baselines(scores, LABELS[BITS], AFTER),
        )
    return drawn


def _learning_caption(result: Result) -> str:
    history = result.history
    text = "Loss of a token at each look at the validation set, the training loss that of the updates before it."
    if not history.best_epoch:
        return text + " Without a validation set the last weights were kept."
    best = history.epochs[history.best_epoch - 1]["epoch"]
    text += (
        f" Validation loss that rises while training loss falls is learning by heart. The weights of epoch {best} were "
        "kept."
    )
    if history.stopped_early:
        return text + " Training stopped there, as it got no better."
    if history.best_epoch == len(history.epochs):
        text += " It was the last look, so more epochs may help."
    return text
