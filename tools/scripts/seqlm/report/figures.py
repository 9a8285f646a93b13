"""Figures for reports and papers: every function takes data and returns a matplotlib figure, :func:`save` writes it.

Curves of classes are in :mod:`seqlm.report.curve_figures`, and the look of all in :mod:`seqlm.report.figure_style`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, PercentFormatter, StrMethodFormatter

from seqlm.cli.text import shown
from seqlm.metrics import metrics
from seqlm.metrics.metrics import Score

from .curve_figures import precision_recall, reliability, roc, with_interval
from .figure_style import (
    BLACK,
    BLUE,
    CLASS_COLOURS,
    DASHES,
    GREEN,
    GREY,
    ORANGE,
    PALE_GREY,
    RED,
    RISING,
    SKY,
    save,
    styled,
)

MARKERS = "osD^vPX"

__all__ = [
    "BLACK", "BLUE", "CLASS_COLOURS", "DASHES", "GREY", "ORANGE", "RED", "baselines", "confusion_matrix",
    "labels", "learning_curves", "lengths", "precision_recall", "reliability", "residuals", "roc", "save", "scatter",
]  # fmt: skip

SPLIT_COLOURS = {"train": BLUE, "validation": ORANGE, "test": GREEN}
MOST_DOTS = 5_000  # of a scatter plot


@styled
def learning_curves(
    epochs: Sequence[dict[str, float]], metric: str, metric_label: str, best_epoch: float | None = None
) -> Figure:
    """Loss, and the validation score where there is one, after each epoch; the epoch that was kept is marked.

    Args:
        epochs: one dictionary an epoch: ``epoch``, ``train_loss`` and perhaps ``validation_loss`` and
            ``validation_<metric>``.
        best_epoch: the one that was kept, or None.
    """
    validation = {"color": ORANGE, "ls": "--", "marker": "s"}
    panels = [("Loss", {"train_loss": {"color": BLUE, "marker": "o"}, "validation_loss": validation})]
    if any(f"validation_{metric}" in epoch for epoch in epochs):
        panels.append((f"Validation {metric_label}", {f"validation_{metric}": validation}))
    figure = Figure(figsize=(3.4 * len(panels), 2.8))
    for axes, (title, curves) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        if best_epoch is not None:
            axes.axvline(best_epoch, color=GREY, lw=1, ls=":", label=f"kept: epoch {best_epoch}")
        for key, look in curves.items():
            points = {epoch["epoch"]: epoch[key] for epoch in epochs if key in epoch}
            if points:
                size = 3.5 if len(points) <= 40 else 0
                name = "training" if key.startswith("train") else "validation"
                axes.plot(list(points), list(points.values()), ms=size, label=name, **look)
            if best_epoch in points and key.startswith("validation"):
                axes.plot(best_epoch, points[best_epoch], "o", ms=10, mfc="none", mec=BLACK, mew=1.2)
        axes.set(xlabel="Epoch", ylabel=title)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    figure.axes[0].legend()  # colours and dashes mean the same in both
    return figure


@styled
def confusion_matrix(truth: np.ndarray, predicted: np.ndarray, classes: Sequence[str]) -> Figure:
    """How the units (n,) of each true class were called: shares of the row as shade, numbers as text."""
    size = len(classes)
    counts = np.bincount(truth * size + predicted, minlength=size * size).reshape(size, size)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    side = min(8.0, max(2.4, 1.2 + (0.62 if size <= 12 else 0.3) * size))
    figure = Figure(figsize=(side + 1.4, side + 0.4))
    axes = figure.subplots()
    image = axes.imshow(shares, cmap=RISING, vmin=0, vmax=1)
    if size <= 12:
        for row in range(size):
            for column in range(size):
                colour = "white" if shares[row, column] > 0.55 else "black"
                axes.text(column, row, f"{counts[row, column]:,}\n{shares[row, column]:.0%}", color=colour,
                          ha="center", va="center", fontsize=9 if size <= 4 else 6.5)  # fmt: skip
    every = max(1, math.ceil(size / 40))
    names = [shown(name, 22) for name in classes]
    slanted = {"rotation": 45, "ha": "right", "rotation_mode": "anchor"} if max(map(len, names)) > 4 else {}
    axes.set_xticks(range(0, size, every), names[::every], **slanted)
    axes.set_yticks(range(0, size, every), names[::every])
    axes.set(xlabel="Called class", ylabel="True class")
    axes.grid(False)
    for spine in axes.spines.values():
        spine.set_visible(True)
    bar = figure.colorbar(image, ax=axes, shrink=0.8, format=PercentFormatter(1))
    bar.set_label("Share of the true class")
    bar.outline.set_visible(False)
    return figure


@styled
def scatter(measured: np.ndarray, predicted: np.ndarray, scores: dict[str, Score] | None = None) -> Figure:
    """Predicted against measured values (n,), with the line where they are equal."""
    figure = Figure(figsize=(3.8, 3.6))
    axes = figure.subplots()
    low, high = _limits(np.concatenate([measured, predicted]))
    axes.plot([low, high], [low, high], color=GREY, ls=":", lw=1, label="equal", zorder=1)
    measured_points(axes, measured, predicted)
    axes.set(xlim=(low, high), ylim=(low, high), xlabel="Measured", ylabel="Predicted", aspect="equal")
    if scores:
        text = "\n".join(with_interval(metrics.label(name), scores[name]) for name in ("spearman", "r2"))
        axes.set_title(text, fontsize=8, loc="left")
    axes.legend(loc="upper left")
    return figure


@styled
def residuals(measured: np.ndarray, predicted: np.ndarray, units: str = "sequences") -> Figure:
    """Predicted less measured (n,) against the prediction, and how the differences are distributed."""
    figure = Figure(figsize=(5.0, 3.0))
    axes, side = figure.subplots(1, 2, sharey=True, width_ratios=[3, 1])
    difference = predicted - measured
    measured_points(axes, predicted, difference)
    axes.axhline(0, color=GREY, ls=":", lw=1, zorder=1)
    axes.set(xlabel="Predicted", ylabel="Predicted − measured")
    side.hist(difference, bins=min(40, max(8, int(len(difference) ** 0.5))), orientation="horizontal", color=SKY)
    side.axhline(0, color=GREY, ls=":", lw=1)
    side.set(xlabel=units.capitalize())
    side.xaxis.set_major_locator(MaxNLocator(2, integer=True))
    return figure


@styled
def baselines(scores: dict[str, Score], metric_label: str, highlight: str) -> Figure:
    """One score with its 95 % interval for each model; the one called ``highlight`` stands out."""
    names = list(scores)
    figure = Figure(figsize=(4.8, 0.7 + 0.4 * len(names)))
    axes = figure.subplots()
    for row, name in enumerate(names):
        score = scores[name]
        if math.isnan(score.value):
            axes.text(0.5, row, "undefined", color=GREY, va="center", ha="center", transform=axes.get_yaxis_transform())
            continue
        colour, marker = (RED, "D") if name == highlight else (BLUE, "o")
        bars = [[max(score.value - score.low, 0)], [max(score.high - score.value, 0)]]
        axes.errorbar(score.value, row, xerr=bars, color=colour, fmt=marker, ms=6, capsize=3, elinewidth=1.5)
        axes.annotate(f"{score.value:.3g}", (score.value, row), (0, 6), textcoords="offset points",
                      ha="center", fontsize=8)  # fmt: skip
    axes.set_yticks(range(len(names)), names)
    axes.set(ylim=(len(names) - 0.5, -0.6), xlabel=f"{metric_label} (95 % interval)")
    axes.grid(axis="y", visible=False)
    return figure


@styled
def labels(
    scores: dict[str, Score], sizes: Sequence[int], metric_label: str, others: dict[str, Sequence[float]]
) -> Figure:
    """A score of each label, from the most frequent on, with its 95 % interval where it has one.

    Args:
        scores: of the model, by label.
        sizes: (labels,) how many sequences have each.
        others: other models -> (labels,) their scores, as hollow points.
    """
    rows = np.arange(len(scores))
    figure = Figure(figsize=(5.2, 0.9 + 0.22 * len(rows)))
    axes = figure.subplots()
    values, low, high = np.array([(score.value, score.low, score.high) for score in scores.values()]).T
    bars = np.nan_to_num([np.maximum(values - low, 0), np.maximum(high - values, 0)])
    axes.errorbar(
        values, rows, xerr=bars, color=RED, fmt="D", ms=5, capsize=2, elinewidth=1.2, label="fine-tuned", zorder=3
    )
    for number, (name, points) in enumerate(others.items()):
        axes.plot(points, rows, "os^v"[number % 4], mfc="none", mec=BLUE, ms=5, label=name)
    names = [f"{shown(name, 30)} ({size:,})" for name, size in zip(scores, sizes, strict=True)]
    axes.set_yticks(rows, names)
    axes.set(ylim=(len(rows) - 0.4, -0.6), xlim=(-0.03, 1.03), xlabel=f"{metric_label} (95 % interval)")
    handles, names = axes.get_legend_handles_labels()
    axes.legend(handles[::-1], names[::-1], loc="lower center", bbox_to_anchor=(0.5, 1), ncols=3)
    return figure


@styled
def lengths(by_split: dict[str, np.ndarray], what: str = "Sequence length") -> Figure:
    """How long the sequences of each split are, as shares so that splits of different size compare."""
    figure = Figure(figsize=(4.8, 2.8))
    axes = figure.subplots()
    everything = np.concatenate([np.asarray(values) for values in by_split.values()])
    low, high = int(everything.min()), int(everything.max())
    fewest = min(len(values) for values in by_split.values())
    bins = 10 if fewest < 50 else 20 if fewest < 500 else 40
    step = max(1, math.ceil((high - low + 1) / bins))
    edges = np.arange(low, high + step + 1, step) - 0.5
    for number, (split, values) in enumerate(by_split.items()):
        colour = SPLIT_COLOURS.get(split, GREY)
        weights = np.full(len(values), 1 / len(values))
        axes.hist(values, edges, weights=weights, histtype="stepfilled", color=colour, alpha=0.15)
        axes.hist(values, edges, weights=weights, histtype="step", color=colour, ls=DASHES[number], lw=1.5,
                  label=f"{split} ({len(values):,})")  # fmt: skip
    if high - low < 10:  # site windows, all of one length
        axes.set_xlim((low + high) / 2 - 10, (low + high) / 2 + 10)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.set(xlabel=what, ylabel="Share of the split")
    axes.legend()
    return figure


def _limits(values: np.ndarray) -> tuple[float, float]:
    low, high = float(values.min()), float(values.max())
    margin = 0.04 * (high - low) or 0.5
    return low - margin, high + margin


def measured_points(axes, x, y) -> None:
    if len(x) > MOST_DOTS:
        drawn = np.sort(np.random.default_rng(0).permutation(len(x))[:MOST_DOTS])
        x, y = x[drawn], y[drawn]
    many = len(x) > 500
    axes.scatter(x, y, s=6 if many else 16, color=BLUE, alpha=0.35 if many else 0.7, lw=0, rasterized=len(x) > 2000)


def log_ticks(axis: Axis, low: float, high: float) -> None:
    """Numbers as they are read, several of them, on a logarithmic axis from ``low`` to ``high``."""
    ratio = high / low
    steps = (1, 2, 5) if ratio < 100 else (1,)
    axis.set_major_locator(MaxNLocator(5) if ratio < 4 else LogLocator(subs=steps))
    axis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axis.set_minor_formatter(NullFormatter())


def legend_below(figure, axes) -> None:
    """Beneath the axes: inside, it would hide the curves of three models or more."""
    handles, names = axes.get_legend_handles_labels()
    lines = sum(name.count("\n") + 1 for name in names)
    figure.set_figheight(figure.get_figheight() + 0.19 * lines)
    figure.legend(handles, names, loc="outside lower center", handlelength=3.2)


@styled
def class_scores(scores: dict[str, dict[str, Score]], metric_label: str, counts: dict[str, int]) -> Figure:
    """One score of each class, for several models, with intervals.

    Args:
        scores: model -> class -> score. counts: class -> units of it, for the axis.
    """
    classes, models = list(counts), list(scores)
    figure = Figure(figsize=(5.6, 0.9 + max(0.28, 0.16 * len(models)) * len(classes)))
    axes = figure.subplots()
    for number, model in enumerate(models):
        rows = np.arange(len(classes)) + 0.7 * ((number + 0.5) / len(models) - 0.5)
        found = [scores[model][name] for name in classes]
        value, low, high = (np.array([getattr(score, side) for score in found]) for side in ("value", "low", "high"))
        bars = np.nan_to_num(np.maximum([value - low, high - value], 0))
        axes.errorbar(
            value, rows, xerr=bars, fmt=MARKERS[number], ms=4.5, color=CLASS_COLOURS[number], capsize=2, elinewidth=1,
            label=f" {shown(model, 30)}",
        )  # fmt: skip
    axes.set_yticks(range(len(classes)), [f"{shown(name, 28)} ({counts[name]:,})" for name in classes])
    some = any(np.isfinite(score.low) for found in scores.values() for score in found.values())
    axes.set(xlim=(-0.02, 1.02), ylim=(len(classes) - 0.4, -0.6), xlabel=metric_label + " (95 % interval)" * some)
    axes.grid(axis="y", visible=False)
    for row in range(1, len(classes)):
        axes.axhline(row - 0.5, color=PALE_GREY, lw=0.6)
    if len(models) > 1:
        legend_below(figure, axes)
    return figure
