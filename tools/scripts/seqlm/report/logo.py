"""Sequence logos: letters stacked at each position, as high as what they stand for; below the axis where that is less
than 0 (Schneider & Stephens 1990, https://doi.org/10.1093/nar/18.20.6097).

Imports matplotlib: set ``MPLCONFIGDIR`` first. Drawn here as the usual libraries bring pandas and whole Matplotlib with
its windows along.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
from matplotlib.axes import Axes
from matplotlib.font_manager import FontProperties
from matplotlib.patches import PathPatch
from matplotlib.path import Path
from matplotlib.textpath import TextPath
from matplotlib.ticker import MaxNLocator
from matplotlib.transforms import Affine2D

from .figure_style import BLACK, BLUE, GREEN, GREY, ORANGE, PINK, RED

KINDS = {BLACK: "AVLIMP", ORANGE: "FWY", GREEN: "STNQGC", BLUE: "KRH", RED: "DE"}  # of residues
COLOURS = {letter: colour for colour, letters in KINDS.items() for letter in letters}
BASES = {"A": GREEN, "C": BLUE, "G": ORANGE, "T": RED}
KEY = "hydrophobic black, aromatic orange, polar green, basic blue, acidic red"


def logo(axes: Axes, heights: np.ndarray, letters: str, first: int = 1, dna: bool = False) -> None:
    """Draw heights (positions, letters); at each position the higher letter stands further out."""
    colours = BASES if dna else COLOURS
    for place, row in enumerate(heights):
        for sign in (1, -1):
            base = 0.0
            for column in np.argsort(sign * row, kind="stable").tolist():
                high = sign * row[column]
                if high <= 0:
                    continue
                path = _outline(letters[column]).transformed(
                    Affine2D().scale(0.92, sign * high).translate(first + place - 0.46, sign * base)
                )
                axes.add_patch(PathPatch(path, lw=0, fc=colours.get(letters[column], PINK)))
                base += high
    low = float(np.minimum(heights, 0).sum(1).min())
    high = float(np.maximum(heights, 0).sum(1).max())
    axes.set_xlim(first - 0.6, first + len(heights) - 0.4)
    axes.set_ylim(1.05 * low, max(1.05 * high, 1e-9))
    axes.axhline(0, color=GREY, lw=0.6)
    axes.grid(False)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))


@cache
def _outline(letter: str) -> Path:
    """A letter that fills the unit square; a narrow one only its middle."""
    path = TextPath((0, 0), letter, size=1, prop=FontProperties(family="DejaVu Sans", weight="bold"))
    box = path.get_extents()
    width = max(box.width, 0.45)  # of an I
    return path.transformed(
        Affine2D().translate((width - box.width) / 2 - box.x0, -box.y0).scale(1 / width, 1 / box.height)
    )


def information(sequences: Sequence[str], letters: str) -> np.ndarray:
    """Bits of each letter at each position of sequences of one length, (positions, letters): its share times what the
    position tells, less what as few sequences tell by chance (Schneider et al. 1986,
    https://doi.org/10.1016/0022-2836(86)90165-8)."""
    found = np.zeros((len(sequences[0]), len(letters)))
    for place, row in enumerate(found):
        seen = [sequence[place] for sequence in sequences if sequence[place] in letters]
        if not seen:
            continue
        shares = np.asarray([seen.count(letter) for letter in letters]) / len(seen)
        entropy = -(shares[shares > 0] * np.log2(shares[shares > 0])).sum()
        row[:] = shares * max(0.0, np.log2(len(letters)) - entropy - (len(letters) - 1) / (2 * np.log(2) * len(seen)))
    return found
