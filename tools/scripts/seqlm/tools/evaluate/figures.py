"""Figures that set several models side by side. Each function takes data and returns a matplotlib figure."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from seqlm.cli.text import shown
from seqlm.metrics.calibration import Calibration
from seqlm.metrics.curves import Curve
from seqlm.report.curve_figures import square
from seqlm.report.figure_style import styled
from seqlm.report.figures import CLASS_COLOURS, DASHES, GREY, MARKERS, legend_below

MOST_MODELS = len(CLASS_COLOURS)  # that can be told apart in one figure
MOST_CLASSES = 24  # rows of the figure of classes
MOST_BARS = 3  # models whose calibration has bars
POINTS = 1_000  # of a curve


def roc_points(is_true: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """False positive rate and sensitivity, the mean over columns that hold both classes.

    Args:
        is_true: (n, columns) bool. scores: (n, columns).
    """

    def curve(truth, values):
        found, called = Curve(truth, values).steps()
        return (called - found) / (called[-1] - found[-1]), found / found[-1]

    curves = [curve(t, s) for t, s in zip(is_true.T, scores.T, strict=True) if 0 < t.sum() < len(t)]
    if len(curves) == 1:
        return _thinned(*curves[0])
    grid = np.linspace(0, 1, POINTS)
    return grid, np.mean([np.interp(grid, *points) for points in curves], axis=0)


def precision_recall_points(is_true: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sensitivity and precision, the mean over columns that hold a positive; arguments as for :func:`roc_points`."""

    def curve(truth, values):
        found, called = Curve(truth, values).steps()
        precision = found[1:] / called[1:]
        return found / found[-1], np.concatenate([precision[:1], precision])

    curves = [curve(t, s) for t, s in zip(is_true.T, scores.T, strict=True) if t.any()]
    if len(curves) == 1:
        return _thinned(*curves[0])
    grid = np.linspace(0, 1, POINTS)
    # at each recall, the precision of the first threshold that reaches it
    return grid, np.mean([y[np.searchsorted(x, np.clip(grid, 1e-12, 1) - 1e-12)] for x, y in curves], axis=0)


def _thinned(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A curve of half a million points as one of a thousand, evenly spaced along its length."""
    if len(x) <= 2 * POINTS:
        return x, y
    way = np.concatenate([[0], np.cumsum(np.hypot(np.diff(x), np.diff(y)))])
    kept = np.unique(np.searchsorted(way, np.linspace(0, way[-1], 2 * POINTS)).clip(0, len(x) - 1))
    return x[kept], y[kept]


@styled
def roc_overlaid(curves: dict[str, tuple[np.ndarray, np.ndarray]], labels: dict[str, str]) -> Figure:
    """ROC curves of several models; ``labels`` holds each one's area in words."""
    figure, axes = square("False positive rate (1 − specificity)", "Sensitivity (true positive rate)")
    axes.plot([0, 1], [0, 1], color=GREY, ls=":", lw=1, label="chance", zorder=1)
    _overlay(figure, axes, curves, labels, "default")
    return figure


@styled
def precision_recall_overlaid(
    curves: dict[str, tuple[np.ndarray, np.ndarray]], labels: dict[str, str], share: float | None
) -> Figure:
    """Precision–recall curves of several models; ``share`` of positives is what guessing reaches, None for none."""
    figure, axes = square("Sensitivity (recall)", "Precision")
    if share is not None:
        axes.axhline(share, color=GREY, ls=":", lw=1, label=f"share of positives, {share:.3g}", zorder=1)
    _overlay(figure, axes, curves, labels, "steps-pre")
    return figure


def _overlay(figure, axes, curves, labels, drawstyle) -> None:
    for number, (name, (x, y)) in enumerate(curves.items()):
        look = {"color": CLASS_COLOURS[number], "ls": DASHES[number], "drawstyle": drawstyle}
        axes.plot(x, y, label=f" {shown(name, 30)}\n {labels[name]}", zorder=3, **look)
    legend_below(figure, axes)


@styled
def reliability_overlaid(bins: dict[str, Calibration], stated: str, observed: str) -> Figure:
    """Observed share against stated probability of several models; of more than three without bars, for clarity."""
    figure, axes = square(f"Stated probability of {stated}", observed)
    axes.plot([0, 1], [0, 1], color=GREY, ls=":", lw=1, label="perfect", zorder=1)
    for number, (name, found) in enumerate(bins.items()):
        bars = [np.maximum(found.observed - found.low, 0), np.maximum(found.high - found.observed, 0)]
        bars = bars if len(bins) <= MOST_BARS else None
        axes.errorbar(
            found.stated, found.observed, bars, color=CLASS_COLOURS[number], ls=DASHES[number], lw=1.3,
            marker=MARKERS[number], ms=4, capsize=2, elinewidth=0.8, label=f" {shown(name, 30)} (ECE {found.ece:.3f})",
        )  # fmt: skip
    legend_below(figure, axes)
    return figure


@styled
def protein_scores(values: dict[str, np.ndarray], metric_label: str) -> Figure:
    """How a score is spread over proteins: box from quarter to quarter, whiskers from 5 to 95 %, median as number."""
    names = list(values)
    figure = Figure(figsize=(4.8, 0.9 + 0.45 * len(names)))
    axes = figure.subplots()
    defined = [found[np.isfinite(found)] for found in values.values()]
    axes.boxplot(
        defined, orientation="horizontal", whis=(5, 95), widths=0.5, showfliers=False, patch_artist=True,
        boxprops={"facecolor": "#CFE3F1", "edgecolor": "#0072B2"}, medianprops={"color": "#D55E00", "lw": 1.8},
    )  # fmt: skip
    for row, found in enumerate(defined, start=1):
        if len(found):
            axes.annotate(f"{np.median(found):.2f}", (np.median(found), row), (0, 11), textcoords="offset points",
                          ha="center", fontsize=8)  # fmt: skip
    axes.set_yticks(range(1, len(names) + 1), [shown(name, 30) for name in names])
    axes.set(ylim=(len(names) + 0.6, 0.3), xlabel=f"{metric_label} within a protein")
    axes.grid(axis="y", visible=False)
    return figure


@styled
def scatters(measured: np.ndarray, predicted: dict[str, np.ndarray], titles: Sequence[str]) -> Figure:
    """Predicted against measured values (n,), a panel a model on the same axes."""
    columns = min(len(predicted), 3)
    rows = -(-len(predicted) // columns)
    figure = Figure(figsize=(2.6 * columns + 0.4, 2.75 * rows + 0.2))
    panels = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
    everything = np.concatenate([measured, *predicted.values()])
    low, high = float(everything.min()), float(everything.max())
    margin = 0.04 * (high - low) or 0.5
    many = len(measured) > 500
    for axes, (name, values), title in zip(panels.flat, predicted.items(), titles, strict=False):
        axes.plot([low - margin, high + margin], [low - margin, high + margin], color=GREY, ls=":", lw=1, zorder=1)
        axes.scatter(
            measured, values, s=5 if many else 14, color=CLASS_COLOURS[0], alpha=0.35 if many else 0.7, lw=0,
            rasterized=len(measured) > 5000,
        )  # fmt: skip
        axes.set(xlim=(low - margin, high + margin), ylim=(low - margin, high + margin), aspect="equal")
        axes.set_title(f"{shown(name, 30)}\n{title}", fontsize=8, loc="left")
        axes.xaxis.set_major_locator(MaxNLocator(5))
        axes.yaxis.set_major_locator(MaxNLocator(5))
    for axes in list(panels.flat)[len(predicted) :]:
        axes.set_visible(False)
    figure.supxlabel("Measured", fontsize=9)
    figure.supylabel("Predicted", fontsize=9)
    return figure
