"""The report of a plot: what separates, the picture, the scores behind it, and how it was made.

Imports matplotlib: set ``MPLCONFIGDIR`` first.
"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence

import numpy as np

from seqlm.cli.text import shown
from seqlm.cli.versions import versions
from seqlm.report.outputs import parameters
from seqlm.report.report import Block, Bullets, Paragraph, Report, Table
from seqlm.report.words import score_text

from .figures import MOST_CLASSES, figures_of
from .inputs import OUTCOMES
from .methods import METHODS
from .scores import LABELS, PICTURE_METRICS, Scores
from .verdict import Plot, differences, explanation, headline, warnings

PACKAGES = ("numpy", "scipy", "scikit-learn", "matplotlib")
SETTINGS = (
    "method", "colour_by", "scale", "centre", "metric", "neighbours", "min_dist", "perplexity", "score_neighbours",
    "positive_label", "split", "points", "resamples", "seed",
)  # fmt: skip
OF_METHOD = {"neighbours": "umap", "min_dist": "umap", "perplexity": "tsne"}


def plot_report(found: Plot, arguments: Namespace) -> Report:
    """The whole report, in the order in which a reader asks."""
    report = Report("Plot of embeddings", drawn=figures_of(found))

    report.verdict(headline(found), explanation(found), differences(found), notes=warnings(found))
    report.section("Picture", *report.pictures("projection"))
    report.section("Scores", *_scores(found))
    report.section("Classes", *_classes(found), *report.pictures("classes"))
    report.section("How the picture was made", Bullets(_making(found)), *_kept(found))
    report.section("Data", Bullets(_data(found)))
    without = [name for name, method in OF_METHOD.items() if method != arguments.method]
    packages = (*PACKAGES, "umap-learn") if arguments.method == "umap" else PACKAGES
    cited = [found.method, *(["silhouette"] if found.points.codes is not None else []), "trust", "bootstrap"]
    report.closing(parameters(arguments, SETTINGS, without), versions(packages), cited)
    return report


def _scores(found: Plot) -> list[Block]:
    if found.separation is None:
        return []
    k = found.separation.neighbours
    if found.points.colour == "value":
        reading = (
            f"How well the mean value of a sequence's {k} nearest neighbours tells its own: 1 is perfect, a "
            "correlation of 0 is chance."
        )
    else:
        reading = (
            f"Purity is the share of a sequence's {k} nearest neighbours that have its label: 1 is perfect. Silhouette "
            "compares distances within a class and to the nearest other one: 1 is far apart, 0 is on top of each "
            "other, below 0 is nearer to another class."
        )
    return [
        Paragraph(
            f"{reading} In brackets are 95 % intervals; chance is what permuted labels give. Intervals take sequences "
            "to be independent, which relatives are not."
        ),
        _table(found, found.separation),
        *_sampled(found.separation),
    ]


def _table(found: Plot, scores: Scores) -> Table:
    """A row a score and table of embeddings: Galaxy's page is too narrow for all of them side by side."""
    two = len(found.names) == 2
    rows = []
    for metric in scores.tables[0]:
        for name, table in zip(found.names, scores.tables, strict=True):
            judged = table[metric]
            rows.append([LABELS[metric], name, score_text(judged.score, metric), score_text(judged.chance, metric)])
        if scores.differences:
            rows.append([LABELS[metric], "difference", score_text(scores.differences[metric], metric), ""])
    columns = ["Score", "Table", "Value", "Chance"]
    return Table(columns, rows) if two else Table([columns[0], *columns[2:]], [[row[0], *row[2:]] for row in rows])


def _sampled(scores: Scores) -> list[Block]:
    points = {metric: judged.points for metric, judged in scores.tables[0].items()}
    most = max(points.values())
    fewer = [f"{LABELS[metric]} on {count:,}" for metric, count in points.items() if count < most]
    return [Paragraph(f"Measured on a random part of the {most:,} sequences: {', '.join(fewer)}.")] if fewer else []


def _classes(found: Plot) -> list[Block]:
    if found.points.codes is None:
        return []
    counts = np.bincount(found.points.codes, minlength=len(found.points.classes))
    present = np.flatnonzero(counts)
    largest = present[np.argsort(-counts[present], kind="stable")][:MOST_CLASSES]
    rows = [
        [
            shown(found.points.classes[c], 28),
            f"{counts[c]:,}",
            *(score_text(purity[int(c)], "purity") for purity in found.separation.classes),
            f"{(counts[c] - 1) / (len(found.points) - 1):.2f}",
        ]
        for c in largest
    ]
    text = "Purity of each class."
    if len(largest) < len(present):
        text += f" The {len(largest)} largest of {len(present):,}."
    columns = ["Class", "Sequences", *(f"Purity in {name}" for name in found.names), "Chance"]
    return [Paragraph(text), Table(columns, rows)]


def _making(found: Plot) -> list[str]:
    projection, names = found.projection, found.quoted
    lines = []
    if len(names) == 2:
        lines.append(f"One {METHODS[found.method]} was fitted on the rows of {names[0]} and {names[1]} together.")
    lines += [f"{name[0].upper()}{name[1:]}: {value}." for name, value in projection.settings.items()]
    if projection.explained:
        lines.append(f"Variance of all rows on the axes: {_shares(projection.explained)}.")
        if len(names) == 2:
            lines += [
                f"Variance of {name} around its own mean on the same axes: {_shares(shares)}."
                for name, shares in zip(names, projection.explained_of, strict=True)
            ]
    return [*lines, *projection.notes]


def _shares(shares: Sequence[float]) -> str:
    return " and ".join(f"{100 * share:.1f} %" for share in shares)


def _kept(found: Plot) -> list[Block]:
    k = found.picture.neighbours
    return [
        Paragraph(
            f"What the picture keeps of the neighbourhoods: the share of the {k} nearest neighbours that are nearest "
            "in the picture too, and trustworthiness, which is 1 when nobody is near in the picture who was far "
            "before, and about 0.5 for points thrown at random."
        ),
        _table(found, Scores([{name: table[name] for name in PICTURE_METRICS} for table in found.picture.tables], k)),
        *_sampled(found.picture),
    ]


def _data(found: Plot) -> list[str]:
    points = found.points
    where = f" of the split '{points.split}'" if points.split else ""
    lines = [f"{len(points):,} sequences{where}, embedded in {points.tables[0].shape[1]:,} dimensions."]
    if points.colour == "value":
        values = points.values
        lines.append(
            f"Values are from {points.source}: {values.min():.4g} to {values.max():.4g}, median "
            f"{np.median(values):.4g}."
        )
    elif points.colour != "none":
        lines.append(f"Labels are from {points.source}: {len(set(points.codes.tolist())):,} classes.")
    if points.colour == "outcome":
        for number, name in enumerate(found.quoted):
            counts = np.bincount(points.outcomes(number), minlength=4)
            words = ", ".join(f"{what} {count:,}" for count, what in zip(counts, OUTCOMES, strict=True))
            lines.append(f"Calls in {name}: {words}.")
    return [*lines, *points.notes]
