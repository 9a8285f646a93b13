"""Figures for reports and papers: every function takes data and returns a matplotlib figure, :func:`save` writes it.

Colours are those of Okabe & Ito (2008, https://jfly.uni-koeln.de/color/), told apart with every kind of colour vision;
lines also differ in dash, points in shape. Files hold no date and no version, so equal data give equal bytes.
Set ``MPLCONFIGDIR`` before this module is imported where the home folder cannot be written.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from functools import wraps
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from . import metrics
from .calibration import calibration
from .metrics import Score
from .report import PNG_DPI, shown

BLACK, ORANGE, SKY, GREEN, YELLOW, BLUE, RED, PINK = (
    "#000000", "#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7"
)  # fmt: skip
GREY = "#888888"
CLASS_COLOURS = (BLUE, ORANGE, GREEN, PINK, SKY, RED, BLACK)
DASHES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (8, 2)), (0, (2, 1)))
SPLIT_COLOURS = {"train": BLUE, "validation": ORANGE, "test": GREEN}
FORMATS = ("png", "svg", "pdf")

_STYLE = {
    "font.family": ["DejaVu Sans"],  # comes with matplotlib: the same everywhere
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.labelsize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.8,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#E5E5E5",
    "grid.linewidth": 0.6,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.fontsize": 8,
    "legend.framealpha": 0.85,
    "legend.edgecolor": "none",
    "lines.linewidth": 1.6,
    "figure.constrained_layout.use": True,
    "figure.constrained_layout.w_pad": 0.08,
    "figure.constrained_layout.h_pad": 0.08,
    "savefig.dpi": PNG_DPI,
    "text.parse_math": False,  # a class may be called $
    "svg.hashsalt": "seqlm",
    "svg.fonttype": "none",  # text stays text, to be edited for a paper
    "pdf.fonttype": 42,
}


def _styled(draw):
    @wraps(draw)
    def styled(*arguments, **keywords) -> Figure:
        with matplotlib.rc_context(_STYLE):
            return draw(*arguments, **keywords)

    return styled


def save(figure: Figure, folder: Path, name: str, formats: Sequence[str] = ("png",)) -> None:
    """Write ``folder/name.<format>`` for each of ``FORMATS`` asked for."""
    nothing = {
        "png": {"Software": None},
        "svg": {"Date": None, "Creator": None},
        "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
    }
    with matplotlib.rc_context(_STYLE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")  # a label in a script that the font lacks
        for format in formats:
            figure.savefig(folder / f"{name}.{format}", format=format, metadata=nothing[format])


@_styled
def learning_curves(epochs: Sequence[dict[str, float]], metric: str, metric_label: str, best_epoch: int = 0) -> Figure:
    """Loss, and the validation score where there is one, after each epoch; the epoch that was kept is marked.

    Args:
        epochs: one dictionary an epoch: ``epoch``, ``train_loss`` and perhaps ``validation_loss`` and
            ``validation_<metric>``.
        best_epoch: the one that was kept, or 0.
    """
    validation = {"color": ORANGE, "ls": "--", "marker": "s"}
    panels = [("Loss", {"train_loss": {"color": BLUE, "marker": "o"}, "validation_loss": validation})]
    if any(f"validation_{metric}" in epoch for epoch in epochs):
        panels.append((f"Validation {metric_label}", {f"validation_{metric}": validation}))
    figure = Figure(figsize=(3.4 * len(panels), 2.8))
    for axes, (title, curves) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        if best_epoch:
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


@_styled
def confusion_matrix(truth: np.ndarray, predicted: np.ndarray, classes: Sequence[str]) -> Figure:
    """How the sequences (n,) of each true class were called: shares of the row as shade, numbers as text."""
    size = len(classes)
    counts = np.bincount(truth * size + predicted, minlength=size * size).reshape(size, size)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    side = min(8.0, max(2.4, 1.2 + (0.62 if size <= 12 else 0.3) * size))
    figure = Figure(figsize=(side + 1.4, side + 0.4))
    axes = figure.subplots()
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
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


@_styled
def roc(
    truth, probabilities, classes: Sequence[str], positive: int | None = None, score: Score | None = None
) -> Figure:
    """Sensitivity against false positive rate over all thresholds; a curve a class and their mean for more than two.

    Args:
        truth: (n,) class indices.
        probabilities: (n, classes).
        positive: index of the positive class of two.
        score: AUROC, for the legend.
    """
    figure, axes = _square("False positive rate (1 − specificity)", "Sensitivity (true positive rate)")
    axes.plot([0, 1], [0, 1], color=GREY, ls=":", lw=1, label="chance", zorder=1)
    grid = np.linspace(0, 1, 501)

    def curve(is_positive, scores):
        rates, found, _ = _threshold_counts(is_positive, scores)
        return rates, found / found[-1]

    def mean(curves):
        return grid, np.mean([np.interp(grid, *drawn) for drawn in curves], axis=0)

    _draw_curves(axes, truth, probabilities, classes, positive, curve, mean, _with_interval("AUROC", score))
    return figure


@_styled
def precision_recall(
    truth, probabilities, classes: Sequence[str], positive: int | None = None, score: Score | None = None
) -> Figure:
    """Precision against sensitivity over all thresholds; arguments as for :func:`roc`, ``score`` is AUPRC."""
    figure, axes = _square("Sensitivity (recall)", "Precision")
    grid = np.linspace(0, 1, 501)

    def curve(is_positive, scores):
        _, found, called = _threshold_counts(is_positive, scores)
        precision = found[1:] / called[1:]
        return found / found[-1], np.concatenate([precision[:1], precision])

    def mean(curves):  # at each recall, the precision of the first threshold that reaches it
        return grid, np.mean([y[np.searchsorted(x, np.maximum(grid - 1e-12, 1e-12))] for x, y in curves], axis=0)

    _draw_curves(
        axes,
        truth,
        probabilities,
        classes,
        positive,
        curve,
        mean,
        _with_interval("AUPRC", score),
        drawstyle="steps-pre",
    )
    if len(classes) == 2:
        share = np.mean(np.asarray(truth) == (1 if positive is None else positive))
        axes.axhline(share, color=GREY, ls=":", lw=1, label=f"share of positives, {share:.2f}", zorder=1)
        axes.legend(loc="best")
    return figure


@_styled
def reliability(truth, probabilities, classes: Sequence[str], positive: int | None = None) -> Figure:
    """Observed share against stated probability in bins, with how many sequences each bin holds."""
    bins = calibration(truth, probabilities, positive=positive)
    figure = Figure(figsize=(3.6, 4.2))
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    upper.plot([0, 1], [0, 1], color=GREY, ls=":", lw=1, label="perfect", zorder=1)
    bars = [np.maximum(bins.observed - bins.low, 0), np.maximum(bins.high - bins.observed, 0)]
    upper.errorbar(bins.stated, bins.observed, bars, color=BLUE, fmt="o-", ms=4, capsize=2, elinewidth=1, label="model")
    what = "class called" if len(classes) > 2 else shown(classes[1 if positive is None else positive], 24)
    upper.set(
        xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), ylabel="Share that is right" if len(classes) > 2 else "Observed share"
    )
    upper.legend(loc="upper left")
    lower.bar(bins.middle, bins.counts, width=0.92 * bins.width, color=SKY)
    lower.set(xlabel=f"Stated probability of {what}", ylabel="Sequences")
    lower.yaxis.set_major_locator(MaxNLocator(3, integer=True))
    return figure


@_styled
def scatter(measured: np.ndarray, predicted: np.ndarray, scores: dict[str, Score] | None = None) -> Figure:
    """Predicted against measured values (n,), with the line where they are equal."""
    figure = Figure(figsize=(3.8, 3.6))
    axes = figure.subplots()
    low, high = _limits(np.concatenate([measured, predicted]))
    axes.plot([low, high], [low, high], color=GREY, ls=":", lw=1, label="equal", zorder=1)
    _points(axes, measured, predicted)
    axes.set(xlim=(low, high), ylim=(low, high), xlabel="Measured", ylabel="Predicted", aspect="equal")
    if scores:
        text = "\n".join(_with_interval(metrics.label(name), scores[name]) for name in ("spearman", "r2"))
        axes.set_title(text, fontsize=8, loc="left")
    axes.legend(loc="upper left")
    return figure


@_styled
def residuals(measured: np.ndarray, predicted: np.ndarray) -> Figure:
    """Predicted less measured (n,) against the prediction, and how the differences are distributed."""
    figure = Figure(figsize=(5.0, 3.0))
    axes, side = figure.subplots(1, 2, sharey=True, width_ratios=[3, 1])
    difference = predicted - measured
    _points(axes, predicted, difference)
    axes.axhline(0, color=GREY, ls=":", lw=1, zorder=1)
    axes.set(xlabel="Predicted", ylabel="Predicted − measured")
    side.hist(difference, bins=min(40, max(8, int(len(difference) ** 0.5))), orientation="horizontal", color=SKY)
    side.axhline(0, color=GREY, ls=":", lw=1)
    side.set(xlabel="Sequences")
    return figure


@_styled
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


@_styled
def lengths(by_split: dict[str, np.ndarray]) -> Figure:
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
    axes.set(xlabel="Sequence length", ylabel="Share of the split")
    axes.legend()
    return figure


def _square(x: str, y: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(3.8, 3.6))
    axes = figure.subplots()
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), xlabel=x, ylabel=y, aspect="equal")
    return figure, axes


def _threshold_counts(is_positive: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """False positive rate, positives found and sequences called at every distinct threshold, from none called on."""
    order = np.argsort(-scores, kind="stable")
    last = np.append(np.flatnonzero(np.diff(scores[order])), len(scores) - 1)  # of each run of equal scores
    found = np.concatenate([[0], np.cumsum(is_positive[order])[last]])
    called = np.concatenate([[0], last + 1])
    return (called - found) / max(len(scores) - found[-1], 1), found, called


def _draw_curves(axes, truth, probabilities, classes, positive, curve, mean, label, drawstyle="default") -> None:
    """``curve`` of the positive class of two, or of each class that occurs and, thick, their ``mean``."""
    truth = np.asarray(truth)
    if len(classes) == 2:
        positive = 1 if positive is None else positive
        x, y = curve(truth == positive, probabilities[:, positive])
        axes.plot(x, y, color=BLUE, label=label, drawstyle=drawstyle, zorder=3)
    else:
        present = [c for c in range(len(classes)) if 0 < np.sum(truth == c) < len(truth)]
        curves = [curve(truth == c, probabilities[:, c]) for c in present]
        told_apart = len(present) <= len(CLASS_COLOURS)
        for number, (c, (x, y)) in enumerate(zip(present, curves, strict=True)):
            look = (
                {"color": CLASS_COLOURS[number], "ls": DASHES[number], "lw": 1.1, "label": " " + shown(classes[c], 18)}
                if told_apart
                else {"color": SKY, "lw": 0.6, "alpha": 0.7, "label": "each class" if number == 0 else None}
            )  # the space keeps matplotlib from hiding a label that starts with an underscore
            axes.plot(x, y, drawstyle=drawstyle, zorder=2, **look)
        axes.plot(*mean(curves), color=BLACK, lw=2.2, label=f"mean\n{label}", zorder=3)
    axes.legend(loc="best")


def _with_interval(name: str, score: Score | None) -> str:
    return name if score is None else f"{name} {score.value:.3f} ({score.low:.3f} to {score.high:.3f})"


def _limits(values: np.ndarray) -> tuple[float, float]:
    low, high = float(values.min()), float(values.max())
    margin = 0.04 * (high - low) or 0.5
    return low - margin, high + margin


def _points(axes, x, y) -> None:
    many = len(x) > 500
    # in a vector file ten thousand points would be slow to open, so that many are drawn as an image
    axes.scatter(x, y, s=6 if many else 16, color=BLUE, alpha=0.35 if many else 0.7, lw=0, rasterized=len(x) > 5000)
