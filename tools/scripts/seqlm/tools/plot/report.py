"""The report of a plot: what separates, the picture, the scores behind it, and how it was made.

Imports matplotlib: set ``MPLCONFIGDIR`` first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure as Drawing

from seqlm.cli.text import shown
from seqlm.cli.versions import in_one_line
from seqlm.report.figure_style import BLUE, save
from seqlm.report.figures import class_scores
from seqlm.report.report import Block, Bullets, Figure, JobParameters, Paragraph, References, Report, Table
from seqlm.report.words import score_text

from . import figures as plot_figures
from .inputs import OUTCOMES
from .methods import METHODS
from .scores import LABELS, PICTURE_METRICS, Scores
from .verdict import Plot, differences, explanation, headline, warnings

DOI = "https://doi.org/"
CITATIONS = {
    "pca": ("PCA: Jolliffe & Cadima 2016, Phil. Trans. R. Soc. A.", DOI + "10.1098/rsta.2015.0202"),
    "umap": ("UMAP: McInnes et al. 2018, J. Open Source Softw.", DOI + "10.21105/joss.00861"),
    "tsne": ("t-SNE, and how to use it: Kobak & Berens 2019, Nat. Commun.", DOI + "10.1038/s41467-019-13056-x"),
    "silhouette": ("Silhouette: Rousseeuw 1987, J. Comput. Appl. Math.", DOI + "10.1016/0377-0427(87)90125-7"),
    "trust": ("Trustworthiness: Venna & Kaski 2001, ICANN.", DOI + "10.1007/3-540-44668-0_68"),
    "bootstrap": ("Bootstrap intervals: Efron & Tibshirani 1993.", DOI + "10.1201/9780429246593"),
}
MOST_CLASSES = 16  # rows of the table of classes, and of its figure


@dataclass
class Outline:
    """What the report needs beside the results: parameters and versions by name."""

    parameters: dict[str, str]
    versions: dict[str, str]


def picture(found: Plot) -> Drawing:
    """The projection as a figure."""
    points, projection = found.points, found.projection
    titles = [shown(name, 34) for name in found.names]
    if found.separation is not None:
        name = "Purity" if found.deciding == "macro_purity" else "Spearman"
        judged = [scores[found.deciding] for scores in found.separation.tables]
        titles = [
            f"{title}\n{name} {one.score.value:.2f} (chance {one.chance.value:.2f})".replace("-0.00", "0.00")
            for title, one in zip(titles, judged, strict=True)
        ]
    if points.colour == "value":
        return plot_figures.valued(projection.points, projection.axes, titles, points.values, points.column)
    panels = len(titles)
    if points.colour == "outcome":
        groups = plot_figures.outcome_groups([points.outcomes(number) for number in range(panels)])
        title = f"positive class: {shown(points.positive, 32)}"
    elif points.colour == "label":
        groups = plot_figures.class_groups(points.classes, points.codes, panels)
        title = shown(points.column, 32)
    else:
        groups = [plot_figures.Group("", BLUE, "o", [np.arange(len(points))] * panels)]
        title = ""
    return plot_figures.grouped(projection.points, projection.axes, titles, groups, title)


def plot_report(found: Plot, outline: Outline) -> Report:
    """The whole report, in the order in which a reader asks."""
    report = Report("Plot of embeddings")

    report.verdict(headline(found), explanation(found), differences(found), notes=warnings(found))
    report.section("Picture", Figure("projection", _caption(found)))
    report.section("Scores", *_scores(found))
    report.section("Classes", *_classes(found))
    report.section("How the picture was made", Bullets(_making(found)), *_kept(found))
    report.section("Data", Bullets(_data(found)))
    report.section("Parameters", JobParameters(outline.parameters))
    report.section("Versions", Bullets([in_one_line(outline.versions)]))
    cited = [found.method, *(["silhouette"] if found.points.codes is not None else []), "trust", "bootstrap"]
    report.section("How to cite", References([CITATIONS[key] for key in cited]))
    return report


def save_figures(found: Plot, folder: Path, formats: Sequence[str] = ("png",)) -> None:
    """Draw every figure of the report into ``folder``."""
    save(picture(found), folder, "projection", formats)
    if rows := _shown_classes(found):
        scores = {
            name: {shown(found.points.classes[c], 28): purity[c] for c in rows}
            for name, purity in zip(found.names, found.separation.classes, strict=True)
        }
        counts = {shown(found.points.classes[c], 28): count for c, count in rows.items()}
        if len(counts) == len(rows):  # names may be the same once they are shortened
            save(class_scores(scores, "Purity", counts), folder, "classes", formats)


def _caption(found: Plot) -> str:
    points = found.points
    two = len(points.names) == 2
    text = f"{METHODS[found.method]} of {len(points):,} sequences"
    text += ", both tables in one projection and on the same axes." if two else "."
    if points.colour == "outcome":
        text += " Wrong calls are drawn larger and on top."
        if two and points.predicted[0] == points.predicted[1]:
            text += " Both panels are coloured by the same predictions."
    elif points.colour == "label":
        if len(points) >= plot_figures.FEWEST_FOR_MEDIANS:
            text += " Large markers stand at the median of each class."
        if len(set(points.codes.tolist())) > plot_figures.MOST_NAMED + 1:
            text += " The most frequent classes have a colour, the others are grey."
    elif points.colour == "value":
        text += " Values beyond the ends of the colour bar, one in a hundred on either side, have its end colours."
    return text


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


def _shown_classes(found: Plot) -> dict[int, int]:
    """Class -> how many points it has, of the largest classes, where there are more than two."""
    if found.points.codes is None:
        return {}
    counts = np.bincount(found.points.codes, minlength=len(found.points.classes))
    if np.count_nonzero(counts) < 3:
        return {}
    largest = np.argsort(-counts, kind="stable")[:MOST_CLASSES]
    return {int(c): int(counts[c]) for c in largest if counts[c]}


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
    blocks: list[Block] = [
        Paragraph(text),
        Table(["Class", "Sequences", *(f"Purity in {name}" for name in found.names), "Chance"], rows),
    ]
    names = [shown(found.points.classes[c], 28) for c in _shown_classes(found)]
    if names and len(set(names)) == len(names):
        blocks.append(Figure("classes", "Purity of each class, with 95 % intervals; in brackets its sequences."))
    return blocks


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
