"""Predictions along proteins: a panel a protein, its sites as stems or its residues as curves.

Drawn and saved as the other figures are (:mod:`seqlm.report.figure_style`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from seqlm.cli.text import shown
from seqlm.report.figure_style import BLACK, BLUE, CLASS_COLOURS, DASHES, GREY, RED, styled

MOST_PANELS = 12
MOST_NAMED = 10  # sites of a panel that are named
_WIDTH, _PANEL, _KEY = 8.0, 1.15, 0.55  # inches
_LETTER = 0.011  # share of a panel's width that a letter of a site's name takes
_THRESHOLD = (0, (4, 3))  # dashes of its line
_HAIR = 0.3  # points around a called residue, so that a single one of a long protein is still seen
_MARKERS = ("o", "s", "^", "D", "v", "P", "X")  # of sites of several classes


@dataclass(frozen=True)
class Track:
    """Predictions along one protein.

    Attributes:
        positions: (n,) 1-based, ascending: of the sites, or of every residue.
        residues: (n,) letters, in one string.
        values: (n, curves) probabilities of the classes of interest (of two classes the second alone), or (n, 1)
            predicted numbers.
        called: (n, curves) whether the residue was called to be of that class; None for numbers.
    """

    protein: str
    length: int
    positions: np.ndarray
    residues: str
    values: np.ndarray
    called: np.ndarray | None


@styled
def tracks(
    proteins: Sequence[Track],
    classes: Sequence[str] | None,
    *,
    threshold: float | None = None,
    every_residue: bool = False,
    total: int = 0,
) -> Figure:
    """Probabilities, or numbers, along the first ``MOST_PANELS`` of some proteins.

    Sites are stems, filled where they were called, the surest of them named; residues are a curve a class, with a strip
    below it that says where the class was called. Of more classes than there are colours, those called most often are
    drawn, and the key says so.

    Args:
        classes: name of each curve; None for numbers.
        threshold: where the line is drawn, if one probability decides.
        every_residue: the tracks hold every residue of their proteins, not sites.
        total: how many proteins there are in all, for the key.

    Raises:
        ValueError: no protein.
    """
    if not proteins:
        raise ValueError("there is no protein to draw")
    proteins, total = proteins[:MOST_PANELS], max(total, len(proteins))
    curves = _curves(proteins, len(classes) if classes else 1)
    figure = Figure(figsize=(_WIDTH, _KEY + 0.2 + _PANEL * len(proteins)))
    panels = figure.subplots(len(proteins), 1, squeeze=False)[:, 0]
    low, high = _extent(proteins) if classes is None else (0.0, 1.0)
    draw = _residues if every_residue else _sites
    for axes, track in zip(panels, proteins, strict=True):
        margin = 0.01 * track.length + 0.5
        above = 0.12 if every_residue else 0.22  # room for the strip, or for the names of sites
        axes.set(
            xlim=(1 - margin, track.length + margin), ylim=(low - 0.03 * (high - low), high + above * (high - low))
        )
        if classes:
            axes.set_yticks([0, 0.5, 1])
        axes.xaxis.set_major_locator(MaxNLocator(8, steps=[1, 2, 5, 10], integer=True))
        axes.set_title(_title(track, every_residue), loc="left", fontsize=8.5)
        if len(track.positions):
            if threshold is not None:
                axes.axhline(threshold, color=BLACK, lw=0.8, ls=_THRESHOLD, zorder=1.5)
            draw(axes, track, curves)
        else:
            axes.text(0.5, 0.4, "none of these residues", color=GREY, ha="center", transform=axes.transAxes)
    panels[-1].set_xlabel("Position in the protein")
    figure.supylabel("Predicted value" if classes is None else _what(classes), fontsize=9)
    _key(figure, classes, curves, threshold, every_residue, (len(proteins), total))
    return figure


def _curves(proteins: Sequence[Track], number: int) -> list[int]:
    """Which curves are drawn: all, or as many as there are colours, by how often they were called."""
    if number <= len(CLASS_COLOURS):
        return list(range(number))
    counts = sum(track.called.sum(axis=0) for track in proteins)
    return sorted(np.argsort(-counts, kind="stable")[: len(CLASS_COLOURS)].tolist())


def _sites(axes: Axes, track: Track, curves: list[int]) -> None:
    many = len(track.positions) > 120
    for order, curve in enumerate(curves):
        values = track.values[:, curve]
        colour = RED if len(curves) == 1 else CLASS_COLOURS[order]
        if track.called is None:  # numbers: there is nothing to call, and they may be negative
            axes.axhline(0, color=GREY, lw=0.6, zorder=1)
            called = np.ones(len(values), dtype=bool)
        else:
            called = track.called[:, curve].astype(bool)
        axes.vlines(track.positions[~called], 0, values[~called], color=GREY, lw=0.5 if many else 0.8, zorder=2)
        axes.vlines(track.positions[called], 0, values[called], color=colour, lw=0.9 if many else 1.3, zorder=3)
        if len(curves) == 1:  # of several classes each site has a marker only for the one that it was called
            axes.plot(track.positions[~called], values[~called], "o", ms=2.2 if many else 3.4, mfc="white", mec=GREY,
                      mew=0.6, zorder=2.5)  # fmt: skip
        axes.plot(track.positions[called], values[called], _MARKERS[order], ms=3.4 if many else 4.6, color=colour,
                  zorder=4)  # fmt: skip
    if track.called is not None:
        _name(axes, track, curves)


def _name(axes: Axes, track: Track, curves: list[int]) -> None:
    """Letter and position beside the surest called sites, where there is room."""
    best = np.where(track.called, track.values, -1.0)[:, curves].max(axis=1)
    taken: list[float] = []
    room = _LETTER * len(f"Y{track.length}") * (axes.get_xlim()[1] - axes.get_xlim()[0])
    for place in np.argsort(-best, kind="stable"):
        position = float(track.positions[place])
        if best[place] < 0 or len(taken) == MOST_NAMED:
            break
        if all(abs(position - other) >= room for other in taken):
            taken.append(position)
            axes.annotate(f"{track.residues[place]}{int(position)}", (position, best[place]), (0, 3.5),
                          textcoords="offset points", ha="center", va="bottom", fontsize=6.5, zorder=5,
                          annotation_clip=False)  # fmt: skip


def _residues(axes: Axes, track: Track, curves: list[int]) -> None:
    for order, curve in enumerate(curves):
        values = track.values[:, curve]
        colour = BLUE if len(curves) == 1 else CLASS_COLOURS[order]
        edges = np.append(track.positions - 0.5, track.positions[-1] + 0.5)
        if len(curves) == 1 and track.called is not None:
            axes.stairs(values, edges, fill=True, color=colour, alpha=0.25, lw=0, zorder=2)
        axes.stairs(values, edges, baseline=None, color=colour, lw=0.9 if track.length <= 1000 else 0.5,
                    ls=DASHES[order], zorder=3)  # fmt: skip
        if track.called is not None:
            runs = _runs(track.positions[track.called[:, curve].astype(bool)])
            axes.broken_barh(runs, (1.035, 0.07), color=RED if len(curves) == 1 else colour, lw=_HAIR, zorder=4)


def _runs(positions: np.ndarray) -> list[tuple[float, int]]:
    """Where each run of neighbouring positions starts and how long it is, as ``broken_barh`` asks for them."""
    if not len(positions):
        return []
    breaks = np.flatnonzero(np.diff(positions) > 1)
    first, last = positions[[0, *(breaks + 1)]], positions[[*breaks, -1]]
    return list(zip((first - 0.5).tolist(), (last - first + 1).tolist(), strict=True))


def _extent(proteins: Sequence[Track]) -> tuple[float, float]:
    values = np.concatenate([track.values.ravel() for track in proteins] + [[0.0]])
    low, high = float(values.min()), float(values.max())
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def _title(track: Track, every_residue: bool) -> str:
    parts = [f"{track.length:,} residues"]
    if not every_residue:
        parts.append(f"{len(track.positions):,} scanned")
    if track.called is not None and track.called.shape[1] == 1:
        parts.append(f"{int(track.called.sum()):,} called")
    return f"{shown(track.protein, 60)}   ({', '.join(parts)})"


def _what(classes: Sequence[str]) -> str:
    return f"Probability of {shown(classes[0], 24)}" if len(classes) == 1 else "Probability"


def _key(figure: Figure, classes, curves: list[int], threshold, every_residue: bool, drawn: tuple[int, int]) -> None:
    """One key for all panels, above them."""
    entries: list = []
    if classes and len(classes) > 1:
        for order, curve in enumerate(curves):
            look = {"ls": DASHES[order]} if every_residue else {"marker": _MARKERS[order], "ms": 4.6}
            entries.append(Line2D([], [], color=CLASS_COLOURS[order], label=" " + shown(classes[curve], 18), **look))
        if not every_residue:
            entries.append(Line2D([], [], color=GREY, lw=0.8, label="not called"))
    elif classes and every_residue:
        entries += [Line2D([], [], color=BLUE, label="probability"), Patch(color=RED, label="called")]
    elif classes:
        entries.append(Line2D([], [], color=RED, marker="o", ms=4.6, label="called"))
        entries.append(Line2D([], [], color=GREY, marker="o", ms=3.4, mfc="white", lw=0.8, label="not called"))
    if threshold is not None:
        entries.append(Line2D([], [], color=BLACK, lw=0.8, ls=_THRESHOLD, label=f"threshold {threshold:.3g}"))
    notes = []
    if classes and len(curves) < len(classes):
        notes.append(f"{len(classes) - len(curves)} classes not drawn")
    if drawn[0] < drawn[1]:
        notes.append(f"first {drawn[0]} of {drawn[1]:,} proteins")
    entries += [Line2D([], [], ls="", label=note) for note in notes]
    if entries:
        figure.legend(handles=entries, loc="outside upper center", ncols=min(len(entries), 6), handlelength=1.8)
