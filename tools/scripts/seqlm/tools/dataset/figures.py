"""Figures of a dataset: which residues surround the sites, and how near the test set is to the training set."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from seqlm.cli.text import shown
from seqlm.data.records import DNA
from seqlm.report.figure_style import BLUE, GREY, ORANGE, styled

from .leakage import Likeness

# By chemistry: small, hydrophobic, aromatic, polar, positive, negative; so that a preference is a band.
RESIDUES = {"protein": "GAPCVILMFWYSTNQHKRDE", "DNA": "ACGT"}
MOST_POSITIONS = 41
MOST_CLASSES = 4
ERROR = 0.05  # of one marked cell in the whole panel by chance (Bonferroni)


@styled
def composition(windows: Sequence[str], labels: Sequence[str], classes: Sequence[str], alphabet: str) -> Figure:
    """How much more often each letter stands at each position in one class than in all others.

    Dots mark what chance does not explain: a z-test of two shares, corrected for the number of cells of the panel.

    Args:
        windows: (n,) texts of one odd length, the site in the middle.
        labels: (n,) classes.
        classes: a panel each; of two classes, only the one to be shown.
    """
    length = len(windows[0])
    shown_length = min(length, MOST_POSITIONS)
    start = (length - shown_length) // 2
    codes = np.frombuffer("".join(windows).encode("ascii"), np.uint8).reshape(len(windows), length)
    codes = codes[:, start : start + shown_length]
    letters = RESIDUES["DNA" if alphabet == DNA else "protein"]
    half = shown_length // 2
    names = np.asarray(labels)
    tall = 1.0 + 0.15 * len(letters)
    figure = Figure(figsize=(1.9 + 0.14 * max(shown_length, 15), tall * len(classes) + 0.3))
    panels = figure.subplots(len(classes), 1, squeeze=False, sharex=True)[:, 0]
    differences = [_differences(codes, names == name, letters) for name in classes]
    most = max(0.02, max(float(np.abs(difference).max()) for difference, _ in differences))
    for axes, name, (difference, clear) in zip(panels, classes, differences, strict=True):
        image = axes.imshow(100 * difference, cmap="PuOr", vmin=-100 * most, vmax=100 * most, aspect="auto")
        rows, columns = np.nonzero(clear)
        axes.plot(columns, rows, "o", color="black", ms=2.8, mec="white", mew=0.6)
        axes.set_yticks(range(len(letters)), list(letters), fontsize=6.5)
        step = max(1, math.ceil(shown_length / 12))
        ticks = [place for place in range(shown_length) if (place - half) % step == 0]
        axes.set_xticks(ticks, [f"{place - half:+d}".replace("-", "−") if place != half else "site" for place in ticks])
        axes.set_title(f"Label {shown(name, 30)} less the others", loc="left")
        axes.grid(False)
    panels[-1].set_xlabel("Position from the site")
    bar = figure.colorbar(image, ax=list(panels), shrink=0.8)
    bar.set_label("Difference in percentage points")
    bar.outline.set_visible(False)
    return figure


@styled
def likeness(found: Likeness, split: str) -> Figure:
    """Which share of the held-out examples is how near to its nearest training example."""
    figure = Figure(figsize=(4.8, 3.0))
    axes = figure.subplots()
    edges = np.linspace(0, 1, 21)

    def shares(values: np.ndarray) -> np.ndarray:
        # 1.0 has a bin of its own with the last one
        return np.histogram(np.minimum(values, 1 - 1e-9), edges)[0] / max(len(values), 1)

    for threshold in found.thresholds:
        axes.axvline(threshold, color=GREY, ls=":", lw=0.8, zorder=1)
    values = found.by_split[split]
    axes.stairs(shares(values), edges, fill=True, color=BLUE, alpha=0.35)
    axes.stairs(shares(values), edges, color=BLUE, lw=1.6, label=f"this split ({len(values):,})")
    if found.at_random is not None:
        axes.stairs(shares(found.at_random), edges, color=ORANGE, ls="--", lw=1.6, label="split at random")
    if found.by_chance is not None:
        axes.stairs(shares(found.by_chance), edges, color=GREY, ls="-.", lw=1.4, label="shuffled (chance)")
    what = "Tanimoto similarity" if found.of == "molecules" else "Identity"
    axes.set(xlim=(0, 1), xlabel=f"{what} to the nearest training example", ylabel=f"Share of the {split} set")
    axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.legend(loc="best")
    return figure


def _differences(codes: np.ndarray, mine: np.ndarray, letters: str) -> tuple[np.ndarray, np.ndarray]:
    """(letters, positions) share in ``mine`` less the share in the others, and whether that is beyond chance."""
    from scipy.stats import norm

    ours, others = codes[mine], codes[~mine]
    one, other = max(len(ours), 1), max(len(others), 1)
    counts = np.stack([[(part == ord(letter)).sum(axis=0) for letter in letters] for part in (ours, others)])
    shares = counts / np.asarray([one, other])[:, None, None]
    pooled = counts.sum(axis=0) / (one + other)
    error = np.sqrt(pooled * (1 - pooled) * (1 / one + 1 / other))
    difference = shares[0] - shares[1]
    z = np.divide(np.abs(difference), error, out=np.zeros(difference.shape), where=error > 0)
    limit = norm.isf(ERROR / 2 / difference.size)
    # the normal approximation wants a handful of cases
    return difference, (z > limit) & (counts.sum(axis=0) >= 10)
