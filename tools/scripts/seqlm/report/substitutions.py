"""The picture of all single substitutions of a sequence. Imports matplotlib: set ``MPLCONFIGDIR`` first."""

from __future__ import annotations

import math

import numpy as np
from matplotlib.colors import CenteredNorm
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator

from .figure_style import BLACK, DIVERGING, styled

ORDER = {"protein": "GAVLIMCPFWYSTNQHKRDE", "DNA": "AGCT"}  # like letters beside each other
PANEL = 100  # positions in a row of the heat map
MOST_PANELS = 5
SHOWN = PANEL * MOST_PANELS


@styled
def substitution_map(
    sequence: str, known: str, scores: np.ndarray, first: int, alphabet: str, colours: str = DIVERGING
) -> Figure:
    """Scores of all substitutions of the first ``SHOWN`` positions, a row for each letter; the wild type is a dot.

    Args:
        known: letters that take each other's place; scores: (positions, letters).
        first: number of the first position.
        colours: of what is below 0, and of what is above.
    """
    letters = [letter for letter in ORDER[alphabet] if letter in known]
    rows = [known.index(letter) for letter in letters]
    others = np.asarray([[letter != own for letter in known] for own in sequence])
    shown = min(len(sequence), SHOWN)
    panels = math.ceil(shown / PANEL)
    width = min(shown, PANEL)
    values = scores[:shown, rows].T
    norm = _norm(scores[others])
    height = 0.13 * len(letters) + 0.45
    figure = Figure(figsize=(max(3.2, 1.3 + 0.085 * width), panels * height + 0.4))
    grid = figure.subplots(panels, 1, squeeze=False)[:, 0]
    for number, axes in enumerate(grid):
        start = number * PANEL
        part = values[:, start : start + PANEL]
        image = axes.imshow(
            part, cmap=colours, norm=norm, aspect="auto", interpolation="nearest",
            extent=(first + start - 0.5, first + start + part.shape[1] - 0.5, len(letters) - 0.5, -0.5),
        )  # fmt: skip
        wild = [(place, letters.index(letter)) for place, letter in enumerate(sequence[start : start + PANEL])
                if letter in letters]  # fmt: skip
        if wild:
            x, y = np.asarray(wild).T
            axes.plot(x + first + start, y, "o", ms=2.2, color=BLACK)
        axes.set_xlim(first + start - 0.5, first + start + width - 0.5)
        axes.set_yticks(range(len(letters)), letters, fontsize=6)
        axes.tick_params(length=1.5)
        axes.grid(False)
        axes.xaxis.set_major_locator(FixedLocator(_ticks(first + start, part.shape[1])))
    grid[-1].set_xlabel("Position")
    bar = figure.colorbar(image, ax=grid.tolist(), shrink=1 / panels, anchor=(0, 1), aspect=14, pad=0.02)
    bar.set_label("Score", fontsize=8)
    bar.outline.set_visible(False)
    return figure


def _norm(scores: np.ndarray) -> CenteredNorm:
    """White at 0, and both sides alike, as far as all but one in fifty scores go."""
    return CenteredNorm(0, max(float(np.percentile(np.abs(scores), 98)), 1e-6))


def _ticks(start: int, count: int) -> list[int]:
    """Tens, or the first and the last of a few."""
    tens = [number for number in range(start, start + count) if number % 10 == 0]
    return tens if len(tens) > 1 else sorted({start, start + count - 1})
