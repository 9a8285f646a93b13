"""Figures that set several models side by side: which there are, what stands below them, and how they are drawn.

Imports matplotlib: set ``MPLCONFIGDIR`` first.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from seqlm.cli.text import shown
from seqlm.metrics import metrics
from seqlm.metrics.calibration import Calibration, calibration
from seqlm.metrics.curves import Curve
from seqlm.metrics.metrics import Score
from seqlm.report import figures
from seqlm.report.curve_figures import square
from seqlm.report.figure_style import BLUE, PALE_BLUE, RED, styled
from seqlm.report.figures import CLASS_COLOURS, DASHES, GREY, MARKERS, legend_below
from seqlm.report.report import Drawn

from .run import Evaluation, of_proteins

MOST_MODELS = len(CLASS_COLOURS)  # that can be told apart in one figure
MOST_CLASSES = 24  # rows of the figure of classes
MOST_BARS = 3  # models whose calibration has bars
POINTS = 1_000  # of a curve


def figures_of(found: Evaluation) -> dict[str, Drawn]:
    """Name -> caption and how to draw it, for what these results have data for."""
    cases, label, short = found.cases, found.label(found.metric), found.names
    models = found.ranked()[:MOST_MODELS]
    more = len(cases.models) - len(models)
    rest = f" The {more} models with the lowest {label} are left out." if more else ""
    drawn = {
        "scores": Drawn(
            f"{label} with 95 % intervals. Intervals may overlap and the difference still be clear, as all models were "
            "judged on the same cases: the tests compare them pair by pair.",
            lambda: figures.baselines(
                {short[name]: found.scores[name][found.metric] for name in [*found.ranked(), found.baseline]},
                label,
                short[found.ranked()[0]],
            ),
        )
    }
    if cases.regression:
        drawn["predicted-measured"] = Drawn(
            f"Predicted against measured values; on the dotted line they are equal.{rest}",
            lambda: scatters(
                cases.truth,
                {short[name]: cases.predictions[name] for name in models},
                [f"Spearman {found.scores[name]['spearman'].value:.3f}" for name in models],
            ),
        )
    else:
        drawn |= _curves(found, models, rest) | _matrices(found) | _class_figure(found, models, rest)
        drawn["calibration"] = _calibration(found, models, rest)
    if cases.groups is not None:
        drawn["proteins"] = _protein_figure(found, models, rest)
    return drawn


def _curves(found: Evaluation, models: list[str], rest: str) -> dict[str, Drawn]:
    cases, drawn = found.cases, {}
    is_true, columns = _indicators(found)
    known = cases.truth >= 0 if cases.several else np.ones(is_true.shape, dtype=bool)
    if not any(0 < column[here].sum() < here.sum() for column, here in zip(is_true.T, known.T, strict=True)):
        return drawn
    several = cases.positive is None
    averaged = "Each curve is the mean of one for each class against the rest. " if several else ""

    def areas(metric: str) -> dict[str, str]:
        return {found.names[name]: _area(found.label(metric), found.scores[name][metric]) for name in models}

    drawn["roc"] = Drawn(
        f"ROC. {averaged}Up and to the left is better; the dotted diagonal is guessing.{rest}",
        lambda: roc_overlaid(
            {found.names[name]: roc_points(is_true, cases.predictions[name][:, columns], known) for name in models},
            areas("macro_auroc" if cases.several else "auroc"),
        ),
    )
    pooled = "All labels are pooled. " if cases.several else averaged
    flat = (-1, 1) if cases.several else is_true.shape
    drawn["precision-recall"] = Drawn(
        f"Precision–recall. {pooled}Up and to the right is better; with few positives this tells more than ROC.{rest}",
        lambda: precision_recall_overlaid(
            {
                found.names[name]: precision_recall_points(
                    is_true.reshape(flat), cases.predictions[name][:, columns].reshape(flat), known.reshape(flat)
                )
                for name in models
            },
            areas("micro_auprc" if cases.several else "auprc"),
            float(is_true[known].mean()) if cases.several or not several else None,
        ),
    )
    return drawn


def _indicators(found: Evaluation) -> tuple[np.ndarray, list[int]]:
    """(n, columns) which classes are true, and which they are: the positive one of two, else all."""
    cases = found.cases
    if cases.several:
        return cases.truth == 1, list(range(len(cases.classes)))
    columns = [cases.positive] if cases.positive is not None else list(range(len(cases.classes)))
    return cases.truth[:, None] == np.array(columns), columns


def _area(label: str, score: Score) -> str:
    return f"{label} {score.value:.3f}" + ("" if np.isnan(score.low) else f" ({score.low:.3f} to {score.high:.3f})")


def _matrices(found: Evaluation) -> dict[str, Drawn]:
    cases = found.cases
    if cases.several:
        return {}
    return {
        f"confusion-matrix-{number}": Drawn(
            f"{found.names[name]}: rows are true classes, columns what the model called them.",
            lambda name=name: figures.confusion_matrix(cases.truth, cases.called[name], cases.classes),
        )
        for number, name in enumerate(found.ranked(), start=1)
    }


def _class_figure(found: Evaluation, models: list[str], rest: str) -> dict[str, Drawn]:
    cases = found.cases
    if len(cases.classes) == 2 and not cases.several:
        return {}
    counts = {name: found.class_counts[models[0]][name][0] for name in cases.classes}
    largest = sorted((name for name in counts if counts[name]), key=lambda name: -counts[name])
    chosen = {name: counts[name] for name in largest[:MOST_CLASSES]}
    if not chosen:
        return {}
    cut = f" The {len(chosen)} most frequent of {len(counts)} classes." if len(chosen) < len(counts) else ""
    return {
        "classes": Drawn(
            f"F1 of each class against the rest; in brackets how many {cases.units} have it.{cut}{rest}",
            lambda: figures.class_scores(
                {found.names[name]: {c: found.classes[name][c]["f1"] for c in chosen} for name in models}, "F1", chosen
            ),
        )
    }


def _calibration(found: Evaluation, models: list[str], rest: str) -> Drawn:
    cases = found.cases

    def bins(name: str) -> Calibration:
        if not cases.several:
            return calibration(cases.truth, cases.predictions[name], positive=cases.positive)
        known = cases.truth >= 0
        chance = cases.predictions[name][known]
        return calibration(cases.truth[known], np.column_stack([1 - chance, chance]))

    alone = " They take residues to be independent, so they are too short." if cases.groups is not None else ""
    what = "a label" if cases.several else "the class called"
    what = shown(cases.classes[1], 24) if cases.positive is not None else what
    return Drawn(
        "Whether probabilities can be taken at their word: of cases given 0.8, 8 in 10 should be right. Below the "
        f"diagonal a model is too sure. ECE is the mean distance from it; bars, drawn for up to three models, are 95 % "
        f"intervals.{alone}{rest}",
        lambda: reliability_overlaid(
            {found.names[name]: bins(name) for name in models},
            what,
            "Share that is right" if cases.positive is None else "Observed share",
        ),
    )


def _protein_figure(found: Evaluation, models: list[str], rest: str) -> Drawn:
    cases = found.cases
    name = "spearman" if cases.regression else "mcc"
    values = {found.names[model]: of_proteins(cases, model)[name] for model in models}
    defined = int(np.isfinite(values[found.names[models[0]]]).sum())
    total = len(np.unique(cases.groups))
    return Drawn(
        f"{metrics.label(name)} within each of {defined:,} proteins ({total - defined:,} more have one class only or a "
        "single value). Boxes hold the middle half of the proteins, whiskers reach from 5 to 95 %, and the number is "
        f"the median.{rest}",
        lambda: protein_scores(values, metrics.label(name)),
    )


def _known(is_true: np.ndarray, scores: np.ndarray, known: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Column by column, what is true and what was stated of the units (known,) of which the truth is."""
    for true, stated, here in zip(is_true.T, scores.T, known.T, strict=True):
        yield true[here], stated[here]


def roc_points(is_true: np.ndarray, scores: np.ndarray, known: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """False positive rate and sensitivity, the mean over columns that hold both classes.

    Args:
        is_true: (n, columns) bool. scores: (n, columns). known: (n, columns) whether the truth is.
    """

    def curve(truth, values):
        found, called = Curve(truth, values).steps()
        return (called - found) / (called[-1] - found[-1]), found / found[-1]

    curves = [curve(t, s) for t, s in _known(is_true, scores, known) if 0 < t.sum() < len(t)]
    if len(curves) == 1:
        return _thinned(*curves[0])
    grid = np.linspace(0, 1, POINTS)
    return grid, np.mean([np.interp(grid, *points) for points in curves], axis=0)


def precision_recall_points(
    is_true: np.ndarray, scores: np.ndarray, known: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Sensitivity and precision, the mean over columns that hold a positive; arguments as for :func:`roc_points`."""

    def curve(truth, values):
        found, called = Curve(truth, values).steps()
        precision = found[1:] / called[1:]
        return found / found[-1], np.concatenate([precision[:1], precision])

    curves = [curve(t, s) for t, s in _known(is_true, scores, known) if t.any()]
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
        boxprops={"facecolor": PALE_BLUE, "edgecolor": BLUE}, medianprops={"color": RED, "lw": 1.8},
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
