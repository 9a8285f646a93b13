"""Pictures of projections: a panel a table, on the same axes, coloured by class, outcome or value.

Colours are told apart with every kind of colour vision, and classes also differ in marker. Points are drawn in random
order, class over class, so that none hides another. Set ``MPLCONFIGDIR`` before this module is imported.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from seqlm.cli.text import shown
from seqlm.report.figure_style import BLACK, BLUE, CLASS_COLOURS, GREY, LIGHT_GREY, ORANGE, PINK, RAMP, styled
from seqlm.report.figures import class_scores
from seqlm.report.report import Drawn

from .inputs import OUTCOMES
from .methods import METHODS
from .verdict import Plot

MARKERS = "os^DvPX"  # beside CLASS_COLOURS
REST_COLOUR, REST_MARKER = LIGHT_GREY, "."
# Right calls are round; wrong ones have corners, are larger and lie on top, as they are few and what is looked for.
OUTCOME_LOOKS = dict(zip(OUTCOMES, ((BLUE, "o"), (ORANGE, "o"), (PINK, "^"), (BLACK, "s")), strict=True))
MOST_CLASSES = 16  # rows of the figure of classes, and of the report's table
MOST_NAMED = len(CLASS_COLOURS)  # classes with a colour of their own
MOST_VECTORS = 2_000  # points that an SVG holds as shapes; more of them as one picture inside it
FEWEST_FOR_MEDIANS = (
    300  # points; beyond, shapes of single points are hard to see, and the class's median shows its own
)
_SLICES = 24  # in which the points of all classes are drawn one after the other
_BY_SIZE = ((300, 26.0, 0.85), (1_000, 16.0, 0.8), (3_000, 9.0, 0.7), (10_000, 5.0, 0.6), (math.inf, 3.0, 0.5))


def figures_of(found: Plot) -> dict[str, Drawn]:
    """Name -> caption and how to draw it."""
    drawn = {"projection": Drawn(_caption(found), lambda: picture(found))}
    counts = _largest_classes(found)
    names = {c: shown(found.points.classes[c], 28) for c in counts}
    if names and len(set(names.values())) == len(names):  # they may be the same once they are shortened
        drawn["classes"] = Drawn(
            "Purity of each class, with 95 % intervals; in brackets its sequences.",
            lambda: class_scores(
                {
                    table: {name: purity[c] for c, name in names.items()}
                    for table, purity in zip(found.names, found.separation.classes, strict=True)
                },
                "Purity",
                {name: counts[c] for c, name in names.items()},
            ),
        )
    return drawn


def picture(found: Plot) -> Figure:
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
        return valued(projection.points, projection.axes, titles, points.values, points.column)
    panels = len(titles)
    if points.colour == "outcome":
        groups = outcome_groups([points.outcomes(number) for number in range(panels)])
        title = f"positive class: {shown(points.positive, 32)}"
    elif points.colour == "label":
        groups = class_groups(points.classes, points.codes, panels)
        title = shown(points.column, 32)
    else:
        groups = [Group("", BLUE, "o", [np.arange(len(points))] * panels)]
        title = ""
    return grouped(projection.points, projection.axes, titles, groups, title)


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
        if len(points) >= FEWEST_FOR_MEDIANS:
            text += " Large markers stand at the median of each class."
        if len(set(points.codes.tolist())) > MOST_NAMED + 1:
            text += " The most frequent classes have a colour, the others are grey."
    elif points.colour == "value":
        text += " Values beyond the ends of the colour bar, one in a hundred on either side, have its end colours."
    return text


def _largest_classes(found: Plot) -> dict[int, int]:
    """Class -> how many points it has, of the largest classes, where there are more than two."""
    if found.points.codes is None:
        return {}
    counts = np.bincount(found.points.codes, minlength=len(found.points.classes))
    if np.count_nonzero(counts) < 3:
        return {}
    largest = np.argsort(-counts, kind="stable")[:MOST_CLASSES]
    return {int(c): int(counts[c]) for c in largest if counts[c]}


@dataclass(frozen=True)
class Group:
    """Points that look alike: their ``rows`` in each panel, and whether they lie ``under`` or ``over`` all others."""

    name: str
    colour: str
    marker: str
    rows: list[np.ndarray]
    layer: str = ""

    def counted(self) -> str:
        """The name with how many points have it, in each panel where that differs."""
        counts = list(dict.fromkeys(len(rows) for rows in self.rows))
        if len(counts) > 1:
            counts = [len(rows) for rows in self.rows]
        return f"{self.name} ({' | '.join(f'{count:,}' for count in counts)})"


def class_groups(classes: Sequence[str], codes: np.ndarray, panels: int) -> list[Group]:
    """The most frequent classes in colours of their own, in the order of ``classes``, and the rest in grey.

    Args:
        codes: (n,) class indices, the same in all panels.
    """
    counts = np.bincount(codes, minlength=len(classes))
    present = np.flatnonzero(counts)
    named = present
    if len(present) > MOST_NAMED + 1:
        named = np.sort(present[np.argsort(-counts[present], kind="stable")][:MOST_NAMED])
    colours, markers = [*CLASS_COLOURS, GREY], [*MARKERS, "*"]
    groups = [
        Group(shown(classes[c], 32), colours[place], markers[place], [np.flatnonzero(codes == c)] * panels)
        for place, c in enumerate(named)
    ]
    if len(named) < len(present):
        rest = np.flatnonzero(~np.isin(codes, named))
        name = f"{len(present) - len(named):,} other classes"
        groups.append(Group(name, REST_COLOUR, REST_MARKER, [rest] * panels, "under"))
    return groups


def outcome_groups(outcomes: Sequence[np.ndarray]) -> list[Group]:
    """The four outcomes; ``outcomes`` holds for each panel the place (n,) in ``OUTCOMES``."""
    return [
        Group(
            name,
            *OUTCOME_LOOKS[name],
            [np.flatnonzero(panel == place) for panel in outcomes],
            "over" if name.startswith("false") else "",
        )
        for place, name in enumerate(OUTCOMES)
    ]


@styled
def grouped(
    points: Sequence[np.ndarray], axes: tuple[str, str], titles: Sequence[str], groups: Sequence[Group], title: str
) -> Figure:
    """Points coloured by group.

    Args:
        points: (n, 2) for each panel. axes: names of the two axes. titles: of the panels.
        groups: as :func:`class_groups` and :func:`outcome_groups` make them; one without a name for a plain picture.
        title: of the legend.
    """
    named = [group for group in groups if group.name]
    columns = _legend_columns(named, len(points))
    figure, panels = _panels(points, axes, titles, 0.26 + 0.19 * math.ceil(len(named) / columns) if named else 0.0)
    size, alpha = _look(len(points[0]))
    for number, (panel, some) in enumerate(zip(panels, points, strict=True)):
        _draw_groups(panel, some, [(group, group.rows[number]) for group in groups], size, alpha)
    if named:
        handles = [
            Line2D([], [], ls="", color=group.colour, marker="o" if group.marker == "." else group.marker, ms=6)
            for group in named
        ]
        figure.legend(
            handles, [group.counted() for group in named], title=title, loc="outside lower center", ncols=columns,
            handletextpad=0.2, columnspacing=1.2, title_fontsize=8, alignment="center",
        )  # fmt: skip
    return figure


@styled
def valued(
    points: Sequence[np.ndarray], axes: tuple[str, str], titles: Sequence[str], values: np.ndarray, name: str
) -> Figure:
    """Points coloured by their values (n,), the same in all panels; a few extreme ones do not use up the colours."""
    figure, panels = _panels(points, axes, titles, 0.55)
    size, alpha = _look(len(points[0]))
    low, high = np.percentile(values, [1, 99])
    if not low < high:
        low, high = values.min(), values.max()
    order = np.random.default_rng(0).permutation(len(values))
    for panel, some in zip(panels, points, strict=True):
        drawn = panel.scatter(
            *some[order].T, c=values[order], cmap=RAMP, vmin=low, vmax=high, s=size, alpha=alpha, lw=0,
            rasterized=len(some) > MOST_VECTORS,
        )  # fmt: skip
    below, above = values.min() < low, values.max() > high
    extend = {(True, True): "both", (True, False): "min", (False, True): "max"}.get(
        (bool(below), bool(above)), "neither"
    )
    bar = figure.colorbar(drawn, ax=list(panels), location="bottom", shrink=0.5, aspect=30, extend=extend, pad=0.06)
    bar.set_label(shown(name, 50))
    bar.solids.set_alpha(1)
    return figure


def _panels(points, names, titles, below: float) -> tuple[Figure, Sequence[Axes]]:
    """Square panels side by side with one pair of limits, and ``below`` inches for a legend.

    Both axes have one unit, so that distances can be seen.
    """
    width = 4.6 if len(points) == 1 else 3.5
    above = 0.16 * max(title.count("\n") + 1 for title in titles)
    figure = Figure(figsize=(width * len(points) + 0.3, width + 0.4 + above + below))
    panels = figure.subplots(1, len(points), squeeze=False, sharex=True, sharey=True)[0]
    stacked = np.concatenate(points)
    low, high = stacked.min(axis=0), stacked.max(axis=0)
    reach = 0.54 * float((high - low).max()) or 0.5
    (left, right), (bottom, top) = ((middle - reach, middle + reach) for middle in ((low + high) / 2).tolist())
    for panel, title in zip(panels, titles, strict=True):
        panel.set(xlim=(left, right), ylim=(bottom, top), xlabel=names[0], box_aspect=1)
        panel.set_title(title, loc="left", fontsize=9)
        panel.xaxis.set_major_locator(MaxNLocator(5))
        panel.yaxis.set_major_locator(MaxNLocator(5))
    panels[0].set_ylabel(names[1])
    return figure, panels


def _look(n: int) -> tuple[float, float]:
    """Area and opacity of a point."""
    return next((size, alpha) for most, size, alpha in _BY_SIZE if n <= most)


def _legend_columns(groups: Sequence[Group], panels: int) -> int:
    """As many as fit beside each other under the panels."""
    longest = max((len(group.counted()) for group in groups), default=1)
    return max(1, min(len(groups), int((4.4, 7.0)[panels - 1] / (0.3 + 0.065 * longest))))


def _draw_groups(panel: Axes, points: np.ndarray, groups: list[tuple[Group, np.ndarray]], size: float, alpha: float):
    """In slices of random points, one group after the other in each slice; what lies under or over them in one."""
    rng = np.random.default_rng(0)
    looks = {
        "under": {"s": 1.6 * size, "alpha": 0.6 * alpha, "lw": 0, "zorder": 2},
        "": {"s": size, "alpha": alpha, "lw": 0, "zorder": 3},
        "over": {"s": 2.2 * size, "alpha": 0.9, "lw": 0.5, "zorder": 4},
    }
    parts = [
        (group, np.array_split(rng.permutation(rows), 1 if group.layer or len(groups) == 1 else _SLICES))
        for group, rows in groups
    ]
    for number in range(_SLICES):
        for group, some in parts:
            if number < len(some) and len(some[number]):
                panel.scatter(
                    *points[some[number]].T, facecolors=group.colour, marker=group.marker,
                    edgecolors="white" if group.colour == BLACK else BLACK,
                    rasterized=len(points) > MOST_VECTORS, **looks[group.layer],
                )  # fmt: skip
    if len(points) < FEWEST_FOR_MEDIANS or len(groups) < 2 or any(group.layer == "over" for group, _ in groups):
        return
    for group, rows in groups:
        if len(rows) and not group.layer:
            middle = np.median(points[rows], axis=0)
            for edge, width in (("white", 2.2), (BLACK, 0.7)):  # the black edge within a white one
                panel.scatter(
                    *middle, s=75, marker=group.marker, facecolors=group.colour, edgecolors=edge, lw=width, zorder=5
                )
