"""Figures of a dataset: which residues surround the sites, and how near the test set is to the training set."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from seqlm.cli.text import shown
from seqlm.data.records import DNA
from seqlm.report import figures
from seqlm.report.figure_style import BLACK, BLUE, DIVERGING, GREY, ORANGE, styled
from seqlm.report.report import Drawn
from seqlm.similarity.homology import HALF
from seqlm.similarity.mmseqs import EXPECTED, SENSITIVITY

from .leakage import Likeness
from .run import Made
from .verdict import percent

# By chemistry: small, hydrophobic, aromatic, polar, positive, negative; so that a preference is a band.
RESIDUES = {"protein": "GAPCVILMFWYSTNQHKRDE", "DNA": "ACGT"}
MOST_POSITIONS = 41
MOST_CLASSES = 4
ERROR = 0.05  # of one marked cell in the whole panel by chance (Bonferroni)


def figures_of(made: Made) -> dict[str, Drawn]:
    plan, split, drawn = made.plan, made.leakage.deciding, {}
    for found in made.leakage.likeness:
        values = found.by_split[split]
        sampled = (
            f" {len(values):,} of {found.total[split]:,} were compared." if len(values) < found.total[split] else ""
        )
        drawn[f"likeness-{found.of.replace(' ', '-')}"] = Drawn(
            f"{_compared(found.of)} Further left is better; dotted lines are where neighbours are counted.{sampled}",
            lambda found=found: likeness(found, split),
        )
    if plan.windows:
        classes = _shown_classes(made)
        if classes:
            drawn["composition"] = Drawn(
                "Purple residues stand there more often in windows of this label than in the others, orange ones less "
                "often. Dots mark what chance does not explain. In the middle nothing may differ, or the letter alone "
                "would tell the label.",
                lambda: composition(
                    [entry.sequence for entry in made.entries],
                    [entry.label for entry in made.entries],
                    classes,
                    plan.alphabet,
                ),
            )
    elif made.entries:
        drawn["lengths"] = Drawn(
            "Lengths of the sequences. Splits that differ much in length are not of the same kind.",
            lambda: figures.lengths(
                {name: np.asarray([len(entry.sequence) for entry in made.of(name)]) for name in made.splits}
            ),
        )
    return drawn


def _compared(of: str) -> str:
    return {
        "windows": "How many residues each window shares, place by place, with the nearest training window. Shuffled "
        "windows show what equal composition gives.",
        "short sequences": "How many letters each sequence shares, place by place, with the nearest training sequence.",
        "proteins": f"Identity of the protein of each example to the nearest training protein (MMseqs2, sensitivity "
        f"{SENSITIVITY}, E-value up to {EXPECTED}, over at least {percent(HALF)} of the protein; 0: none found).",
        "sequences": f"Identity of each sequence to the nearest training sequence (MMseqs2, E-value up to {EXPECTED}, "
        f"over at least {percent(HALF)} of it, and edit distance of short ones; 0: none found).",
        "molecules": "Tanimoto similarity of each molecule to the nearest training molecule (Morgan fingerprints of "
        "radius 2).",
    }[of]


def _shown_classes(made: Made) -> list[str]:
    """Classes that have a panel: the positive one of two, or the most frequent ones."""
    counts = Counter(entry.label for entry in made.entries)
    if len(counts) < 2 or made.plan.numbers:
        return []
    if len(counts) == 2:
        negative = made.plan.arguments.negative_label
        return [next((name for name in sorted(counts, reverse=True) if name != negative), min(counts))]
    return [name for name, _ in counts.most_common(MOST_CLASSES)]


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
        image = axes.imshow(100 * difference, cmap=DIVERGING, vmin=-100 * most, vmax=100 * most, aspect="auto")
        rows, columns = np.nonzero(clear)
        axes.plot(columns, rows, "o", color=BLACK, ms=2.8, mec="white", mew=0.6)
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
