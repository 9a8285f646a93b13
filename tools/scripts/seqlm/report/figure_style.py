"""How every figure looks and how it is written.

Colours are those of Okabe & Ito (2008, https://jfly.uni-koeln.de/color/), told apart with every kind of colour vision;
lines also differ in dash, points in shape. Files hold no date and no version, so equal data give equal bytes.
Set ``MPLCONFIGDIR`` before this module is imported where the home folder cannot be written.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from functools import wraps
from pathlib import Path

import matplotlib
from matplotlib.figure import Figure

from .report import PNG_DPI

BLACK, ORANGE, SKY, GREEN, YELLOW, BLUE, RED, PINK = (
    "#000000", "#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7"
)  # fmt: skip
GREY = "#888888"
DARK_GREY, LIGHT_GREY, PALE_GREY = "#444444", "#B0B0B0", "#E5E5E5"
PALE_BLUE, PALE_SKY, PALE_ORANGE = "#CFE3F1", "#DCEBF7", "#FBE9C6"  # fillings that stand beside each other
# Maps of numbers: from light to dark, from dark to light, and from orange below zero over white to purple above it.
RISING, FALLING, RAMP = "Blues", "Greens_r", "viridis"
DIVERGING = "PuOr"
# pLDDT from very high to very low, as in AlphaFold's database (https://alphafold.ebi.ac.uk).
CONFIDENCE_COLOURS = ("#0053D6", "#65CBF3", "#FFDB13", "#FF7D45")
CLASS_COLOURS = (BLUE, ORANGE, GREEN, PINK, SKY, RED, BLACK)
DASHES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (8, 2)), (0, (2, 1)))

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
    "grid.color": PALE_GREY,
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


def styled(draw):
    """Draw a figure in the style of all."""

    @wraps(draw)
    def drawn(*arguments, **keywords) -> Figure:
        with matplotlib.rc_context(_STYLE):
            return draw(*arguments, **keywords)

    return drawn


def save(figure: Figure, folder: Path, name: str, formats: Sequence[str] = ("png",)) -> None:
    """Write ``folder/name.<format>`` for each of the formats."""
    nothing = {
        "png": {"Software": None},
        "svg": {"Date": None, "Creator": None},
        "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
    }
    with matplotlib.rc_context(_STYLE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")  # a label in a script that the font lacks
        for format in formats:
            figure.savefig(folder / f"{name}.{format}", format=format, metadata=nothing[format])
