"""Figures of how well probabilities tell classes apart, and of whether they can be taken at their word."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullLocator, StrMethodFormatter

from seqlm.cli.text import shown
from seqlm.metrics import thresholds
from seqlm.metrics.calibration import calibration
from seqlm.metrics.metrics import Score

from .figure_style import BLACK, BLUE, CLASS_COLOURS, DASHES, GREY, ORANGE, RED, SKY, styled

MOST_POINTS = 2_000  # of a curve
MOST_CURVES = 40  # beside their mean


@styled
def roc(
    truth,
    probabilities,
    classes: Sequence[str],
    positive: int | None = None,
    score: Score | None = None,
    threshold: float | None = None,
) -> Figure:
    """Sensitivity against false positive rate over all thresholds; a curve a class and their mean for more than two.

    Args:
        truth: (n,) class indices, or (n, labels) 0 or 1, or -1 where that is not known.
        probabilities: (n, classes) or (n, labels).
        positive: index of the positive class of two.
        score: AUROC, for the legend.
        threshold: from which the second of two classes is called; its place on the curve is marked.
    """
    figure, axes = square("False positive rate (1 − specificity)", "Sensitivity (true positive rate)")
    axes.plot([0, 1], [0, 1], color=GREY, ls=":", lw=1, label="chance", zorder=1)
    grid = np.linspace(0, 1, 501)

    def curve(is_positive, scores):
        rates, found, _ = threshold_counts(is_positive, scores)
        return rates, found / found[-1]

    def mean(curves):
        return grid, np.mean([np.interp(grid, *drawn) for drawn in curves], axis=0)

    _draw_curves(axes, truth, probabilities, classes, positive, curve, mean, with_interval("AUROC", score))
    if threshold is not None:
        _mark(
            axes,
            truth,
            probabilities,
            positive,
            threshold,
            lambda true, called: (called[~true].mean(), called[true].mean()),
        )
    return figure


@styled
def precision_recall(
    truth,
    probabilities,
    classes: Sequence[str],
    positive: int | None = None,
    score: Score | None = None,
    threshold: float | None = None,
) -> Figure:
    """Precision against sensitivity over all thresholds; arguments as for :func:`roc`, ``score`` is AUPRC."""
    figure, axes = square("Sensitivity (recall)", "Precision")
    grid = np.linspace(0, 1, 501)

    def curve(is_positive, scores):
        _, found, called = threshold_counts(is_positive, scores)
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
        with_interval("AUPRC", score),
        drawstyle="steps-pre",
    )
    if len(classes) == 2 and np.ndim(truth) == 1:
        share = np.mean(np.asarray(truth) == (1 if positive is None else positive))
        axes.axhline(share, color=GREY, ls=":", lw=1, label=f"share of positives, {share:.2g}", zorder=1)
        axes.legend(loc="best")
    if threshold is not None:
        _mark(
            axes,
            truth,
            probabilities,
            positive,
            threshold,
            lambda true, called: (called[true].mean(), true[called].mean()),
        )
    return figure


@styled
def reliability(
    truth,
    probabilities,
    classes: Sequence[str],
    positive: int | None = None,
    *,
    before: np.ndarray | None = None,
    units: str = "sequences",
) -> Figure:
    """Observed share against stated probability in bins, with how many units each bin holds.

    Args:
        before: (n, classes) as they were before calibration, drawn beside.
    """
    bins = calibration(truth, probabilities, positive=positive)
    figure = Figure(figsize=(3.6, 4.2))
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    upper.plot([0, 1], [0, 1], color=GREY, ls=":", lw=1, label="perfect", zorder=1)
    bars = [np.maximum(bins.observed - bins.low, 0), np.maximum(bins.high - bins.observed, 0)]
    name = "model" if before is None else "after calibration"
    upper.errorbar(bins.stated, bins.observed, bars, color=BLUE, fmt="o-", ms=4, capsize=2, elinewidth=1, label=name)
    if before is not None:
        old = calibration(truth, before, positive=positive)
        upper.plot(
            old.stated, old.observed, color=ORANGE, ls="--", marker="s", ms=3.5, lw=1.2, label="before", zorder=2
        )
    what = "class called" if len(classes) > 2 else shown(classes[1 if positive is None else positive], 24)
    upper.set(
        xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), ylabel="Share that is right" if len(classes) > 2 else "Observed share"
    )
    upper.legend(loc="best")
    lower.bar(bins.middle, bins.counts, width=0.92 * bins.width, color=SKY)
    lower.set(xlabel=f"Stated probability of {what}", ylabel=units.capitalize())
    if bins.counts.max() > 100 * bins.counts.min():  # of rare sites nearly all are in the first bin
        lower.set_yscale("log")
        lower.set_ylim(0.7)
        lower.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))  # 10 to the power of is not drawn as text
        lower.yaxis.set_minor_locator(NullLocator())
    else:
        lower.yaxis.set_major_locator(MaxNLocator(3, integer=True))
    return figure


def square(x: str, y: str) -> tuple[Figure, Axes]:
    """A figure with one square panel, both axes from 0 to 1."""
    figure = Figure(figsize=(3.8, 3.6))
    axes = figure.subplots()
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), xlabel=x, ylabel=y, aspect="equal")
    return figure, axes


def threshold_counts(is_positive: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """False positive rate, positives found and sequences called at every distinct threshold, from none called on."""
    order = np.argsort(-scores, kind="stable")
    last = np.append(np.flatnonzero(np.diff(scores[order])), len(scores) - 1)  # of each run of equal scores
    found = np.concatenate([[0], np.cumsum(is_positive[order])[last]])
    called = np.concatenate([[0], last + 1])
    return (called - found) / max(len(scores) - found[-1], 1), found, called


def _draw_curves(axes, truth, probabilities, classes, positive, curve, mean, label, drawstyle="default") -> None:
    """``curve`` of the positive class of two, or of each class that occurs and, thick, their ``mean``."""
    truth, probabilities = np.asarray(truth), np.asarray(probabilities)
    if len(classes) == 2 and truth.ndim == 1:
        positive = 1 if positive is None else positive
        x, y = _thinned(*curve(truth == positive, probabilities[:, positive]))
        axes.plot(x, y, color=BLUE, label=label, drawstyle=drawstyle, zorder=3)
    else:
        curves = []
        for c in range(len(classes)):
            known = np.full(len(truth), True) if truth.ndim == 1 else truth[:, c] >= 0
            row = truth == c if truth.ndim == 1 else truth[known, c] == 1
            if 0 < row.sum() < len(row):
                curves.append((c, curve(row, probabilities[known, c]), row.sum()))
        told_apart = len(curves) <= len(CLASS_COLOURS)
        frequent = np.argsort([-found for _, _, found in curves], kind="stable")[:MOST_CURVES]
        for number, (c, whole, _) in enumerate(curves[place] for place in np.sort(frequent)):
            look = (
                {"color": CLASS_COLOURS[number], "ls": DASHES[number], "lw": 1.1, "label": " " + shown(classes[c], 18)}
                if told_apart
                else {"color": SKY, "lw": 0.6, "alpha": 0.7, "label": None if number else _each(truth, curves)}
            )  # the space keeps matplotlib from hiding a label that starts with an underscore
            axes.plot(*_thinned(*whole), drawstyle=drawstyle, zorder=2, **look)
        if curves:
            axes.plot(*mean([whole for _, whole, _ in curves]), color=BLACK, lw=2.2, label=f"mean\n{label}", zorder=3)
    axes.legend(loc="best")


def _each(truth: np.ndarray, curves: list) -> str:
    one = "class" if truth.ndim == 1 else "label"
    return f"each {one}" if len(curves) <= MOST_CURVES else f"the {MOST_CURVES} most frequent\nof {len(curves):,}"


def _thinned(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """At most ``MOST_POINTS`` points of a curve, as far apart along it as another."""
    if len(x) <= MOST_POINTS:
        return x, y
    way = np.append(0, np.cumsum(np.abs(np.diff(x)) + np.abs(np.diff(y))))
    chosen = np.unique(np.searchsorted(way, np.linspace(0, way[-1], MOST_POINTS)).clip(0, len(x) - 1))
    return x[chosen], y[chosen]


def _mark(axes, truth, probabilities, positive, threshold: float, place) -> None:
    """Where calls are made: ``place`` of (n,) whether positive and whether called so."""
    positive = 1 if positive is None else positive
    called = thresholds.called(probabilities, threshold) == positive
    true = np.asarray(truth) == positive
    if called.any() and true.any() and not true.all():
        axes.plot(*place(true, called), "D", color=RED, ms=6, zorder=4, label=f"threshold {threshold:.2g}")
        axes.legend(loc="best")


def with_interval(name: str, score: Score | None) -> str:
    return name if score is None else f"{name} {score.value:.3f} ({score.low:.3f} to {score.high:.3f})"
