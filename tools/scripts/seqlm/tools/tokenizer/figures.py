"""Figures of a tokenizer: sequences with the borders of their tokens, and how long tokens and sequences are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch
from matplotlib.ticker import MaxNLocator, PercentFormatter

from seqlm.cli.text import shown
from seqlm.report.figure_style import BLUE, DARK_GREY, GREY, ORANGE, PALE_ORANGE, PALE_SKY, RED, SKY, styled
from seqlm.report.report import Drawn
from seqlm.tokenization.encoder import Piece

from .inspection import Example, Inspection

LINE = 48  # letters in a line of a drawn sequence
LINES = 4  # drawn of one sequence
FILLS = (PALE_SKY, PALE_ORANGE)
LONGEST_BAR = 20  # letters of a token; longer ones share a bar


def figures_of(found: Inspection) -> dict[str, Drawn]:
    """Name -> caption and how to draw it."""
    return {
        "tokens": Drawn(_caption(found), lambda: splits(found.differing or found.examples, found.plan.unknown)),
        "lengths": Drawn(
            "How long tokens and sequences are.",
            lambda: lengths(found.usage, found.letters_of, found.counts, found.plan.limit),
        ),
    }


def _caption(found: Inspection) -> str:
    text = "Each box is one token."
    if found.differing:
        text = "Molecules that the tokenizer reads otherwise as published. Each box is one token."
    if found.unknown:
        text += " A red border: the tokenizer has no token of its own for these letters."
    if found.unread or found.differing:
        text += " Red letters, struck through, are not read at all."
    return text


@styled
def splits(examples: Sequence[Example], unknown: set[int]) -> Figure:
    """The first sequences, a box a token; of molecules as the repaired and as the published tokenizer reads them.

    Boxes take turns in two tints. A thick red border marks a token for what is unknown, and letters struck through in
    red are those that no token stands for.
    """
    rows: list[tuple[str, str, list[Piece]]] = []
    for example in examples:
        both = example.published is not None
        rows.append((shown(example.id, 30) + (", repaired" if both else ""), example.sequence, example.pieces))
        if both:
            rows.append((shown(example.id, 30) + ", as published", example.sequence, example.published))
    heights = [1.25 + min(LINES, -(-max(len(sequence), 1) // LINE)) for _, sequence, _ in rows]
    width = min(LINE, max(30, *(len(sequence) for _, sequence, _ in rows)))
    figure = Figure(figsize=(0.5 + 0.12 * width, 0.3 + 0.26 * sum(heights)))
    axes = figure.subplots()
    axes.set_axis_off()
    axes.set_xlim(-0.5, width + 0.5)
    axes.set_ylim(-sum(heights), 0.3)
    top = 0.0
    for (name, sequence, pieces), height in zip(rows, heights, strict=True):
        cut = len(sequence) - LINE * LINES
        title = name + (f" (the first {LINE * LINES} of {len(sequence):,} letters)" if cut > 0 else "")
        axes.text(-0.3, -top - 0.1, title, fontsize=7.5, color=DARK_GREY, va="center")
        _draw(axes, sequence[: LINE * LINES], pieces, top + 0.85, unknown)
        top += height
    return figure


def _draw(axes, sequence: str, pieces: list[Piece], top: float, unknown: set[int]) -> None:
    for number, piece in enumerate(pieces):
        if piece.start >= len(sequence):
            break
        end = min(piece.end, len(sequence))
        lost = _lost(sequence[piece.start : piece.end], piece) if piece.id not in unknown else set()
        for start in range(piece.start - piece.start % LINE, end, LINE):
            first, last = max(start, piece.start), min(start + LINE, end)
            line, column = divmod(first, LINE)
            box = FancyBboxPatch(
                (column + 0.06, -top - line - 0.4), last - first - 0.12, 0.8, boxstyle="round,pad=0,rounding_size=0.2",
                facecolor=FILLS[number % 2], edgecolor=RED if piece.id in unknown else GREY,
                linewidth=1.4 if piece.id in unknown else 0.6,
            )  # fmt: skip
            axes.add_patch(box)
            for place in range(first, last):
                gone = place - piece.start in lost
                x, y = place % LINE + 0.5, -top - line
                axes.text(
                    x, y, sequence[place], family="DejaVu Sans Mono", fontsize=7, ha="center", va="center",
                    color=RED if gone else "black",
                )  # fmt: skip
                if gone:
                    axes.plot([x - 0.32, x + 0.32], [y, y], color=RED, linewidth=1.0)


def _lost(letters: str, piece: Piece) -> set[int]:
    """Places in a token's letters that the token does not stand for."""
    token = piece.token.lstrip("▁Ġ").removeprefix("##")
    if len(letters) <= len(token):
        return set()
    lost, at = set(), 0
    for place, letter in enumerate(letters):
        if at < len(token) and letter == token[at]:
            at += 1
        else:
            lost.add(place)
    return lost


@styled
def lengths(usage: np.ndarray, letters_of: np.ndarray, counts: Counter, limit: int | None) -> Figure:
    """Letters a token, and tokens a sequence.

    Args:
        usage, letters_of: (vocabulary,) how often each token comes, and the letters of all its occurrences.
        counts: tokens of a sequence -> number of sequences.
        limit: tokens that the model reads at once.
    """
    figure = Figure(figsize=(7.2, 2.6))
    left, right = figure.subplots(1, 2)
    used = np.flatnonzero(usage)
    sizes = np.minimum(np.rint(letters_of[used] / usage[used]).astype(int), LONGEST_BAR)
    bars = np.bincount(sizes, weights=usage[used], minlength=2) / usage.sum()
    left.bar(np.arange(len(bars)), bars, color=SKY, edgecolor=BLUE, linewidth=0.6)
    left.set_xlabel("Letters of a token" + (f" ({LONGEST_BAR}: or more)" if len(bars) > LONGEST_BAR else ""))
    left.set_ylabel("Share of tokens")
    left.set_xlim(-0.2 if bars[0] else 0.2, len(bars) - 0.2)
    left.xaxis.set_major_locator(MaxNLocator(integer=True))
    left.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    values = np.asarray(sorted(counts))
    weights = np.asarray([counts[value] for value in values])
    if len(values) == 1:
        edges = np.asarray([values[0] - 0.5, values[0] + 0.5])
    else:
        bins = min(30, int(values[-1] - values[0]) + 1)
        edges = np.linspace(values[0] - 0.5, values[-1] + 0.5, bins + 1)
    right.hist(values, bins=edges, weights=weights, color=SKY, edgecolor=BLUE, linewidth=0.6)
    if limit is not None and limit < 1.5 * values[-1]:
        right.axvline(limit, color=ORANGE, linestyle="--", label=f"read at once: {limit:,}")
        right.legend()
    right.set_xlabel("Tokens of a sequence")
    right.set_ylabel("Sequences")
    right.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
    right.yaxis.set_major_locator(MaxNLocator(integer=True))
    return figure
