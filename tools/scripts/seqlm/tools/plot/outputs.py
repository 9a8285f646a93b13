"""What a plot leaves: the points of the picture, the picture, scores, and the report."""

from __future__ import annotations

import shutil
import sys
import tempfile
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path

from seqlm.cli.outputs import Outputs, write_table
from seqlm.report.outputs import wants_report, write_report

from .inputs import OUTCOMES, Points
from .methods import METHODS
from .run import prepared, project, spread_of
from .scores import score_classes, score_pictures, score_values
from .verdict import Plot, headline


def write(arguments: Namespace, points: Points, outputs: Outputs) -> None:
    """Project, score, and fill every output that was asked for."""
    found = _found(arguments, points)
    if arguments.output_table:
        columns = {"none": [], "label": ["label"], "value": ["value"], "outcome": ["label", "predicted", "outcome"]}
        write_table(
            outputs.file(arguments.output_table), ["id", "table", "x", "y", *columns[points.colour]], _rows(found)
        )
    if arguments.output_metrics:
        columns = ["table", "metric", "value", "low", "high", "chance", "chance_low", "chance_high", "points"]
        write_table(outputs.file(arguments.output_metrics), columns, _scores(found))
    with tempfile.TemporaryDirectory(prefix="figures_") as scratch:
        _draw(arguments, found, Path(scratch), outputs)
    for note in [*points.notes, *found.projection.notes]:
        print(f"note: {note}", file=sys.stderr)
    print(headline(found), file=sys.stderr)


def _found(arguments: Namespace, points: Points) -> Plot:
    count = f"{len(points):,} points" + (" of each of 2 tables" if len(points.tables) == 2 else "")
    print(f"{METHODS[arguments.method]} of {count}", file=sys.stderr, flush=True)
    tables = prepared(points.tables, scale=arguments.scale, centre=arguments.centre)
    projection = project(
        tables,
        arguments.method,
        metric=arguments.metric,
        neighbours=arguments.neighbours,
        min_dist=arguments.min_dist,
        perplexity=arguments.perplexity,
        seed=arguments.seed,
    )
    if arguments.centre == "spread" and len(points.tables) == 2:
        spreads = " and ".join(f"{spread_of(table):.3g}" for table in points.tables)
        first, second = points.names
        projection.notes.append(
            f"Both tables were scaled to one spread. As they were, the root mean square distance from the mean was "
            f"{spreads} in '{first}' and '{second}'."
        )
    print("scoring in all dimensions", file=sys.stderr, flush=True)
    how = {
        "neighbours": arguments.score_neighbours,
        "metric": arguments.metric,
        "resamples": arguments.resamples,
        "seed": arguments.seed,
    }
    separation = None
    if points.values is not None:
        separation = score_values(tables, points.values, **how)
    elif points.codes is not None:
        separation = score_classes(tables, points.codes, **how)
    picture = score_pictures(tables, projection.points, **how)
    return Plot(points, arguments.method, projection, separation, picture)


def _rows(found: Plot) -> Iterator[list]:
    points = found.points
    for number, (name, places) in enumerate(zip(points.names, found.projection.points, strict=True)):
        outcomes = points.outcomes(number) if points.colour == "outcome" else None
        for row, (identity, (x, y)) in enumerate(zip(points.ids, places.tolist(), strict=True)):
            colour = []
            if points.values is not None:
                colour = [float(points.values[row])]
            elif points.codes is not None:
                colour = [points.classes[points.codes[row]]]
            if outcomes is not None:
                colour += [points.predicted[number][row], OUTCOMES[outcomes[row]]]
            yield [identity, name, x, y, *colour]


def _scores(found: Plot) -> Iterator[list]:
    names = found.points.names
    for scores in filter(None, (found.separation, found.picture)):
        for name, table in zip(names, scores.tables, strict=True):
            for metric, judged in table.items():
                score, chance = judged.score, judged.chance
                yield [
                    name, metric, score.value, score.low, score.high, chance.value, chance.low, chance.high,
                    judged.points,
                ]  # fmt: skip
        for metric, score in scores.differences.items():
            points = scores.tables[0][metric].points
            yield [" - ".join(names[::-1]), metric, score.value, score.low, score.high, None, None, None, points]
    if found.separation is None:
        return
    for name, classes in zip(names, found.separation.classes, strict=False):
        counts = found.points.codes.tolist()
        for c, score in classes.items():
            own = counts.count(c)
            chance = (own - 1) / (len(counts) - 1)
            label = f"purity of {found.points.classes[c]}"
            yield [name, label, score.value, score.low, score.high, chance, None, None, own]


def _draw(arguments: Namespace, found: Plot, scratch: Path, outputs: Outputs) -> None:
    from seqlm.report.figure_style import save

    from .figures import picture
    from .report import plot_report

    for path, format in ((arguments.output_plot, "png"), (arguments.output_svg, "svg")):
        if path:
            save(picture(found), scratch, "plot", (format,))
            shutil.copyfile(scratch / f"plot.{format}", outputs.file(path))
    if wants_report(arguments):
        write_report(arguments, plot_report(found, arguments), outputs)
