"""Figures of a new tokenizer: how long its tokens are, and how coarsely it reads beside others."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from seqlm.cli.text import shown
from seqlm.report.figure_style import BLUE, GREY, ORANGE, SKY, styled
from seqlm.report.report import Drawn

from .comparison import Measured, kmers_of
from .figures import LONGEST_BAR
from .names import LEARNT
from .training import NEW, Trained, vocabulary_facts
from .verdict import words

SHUFFLED = "letters in random order"
MOST = 12  # tokenizers in the figure


def figures_of(trained: Trained) -> dict[str, Drawn]:
    """Name -> caption and how to draw it."""
    letter = words(trained.plan.corpus.alphabet)[1]
    rows = [
        (one.name, rate.value, rate.low, rate.high)
        for one, (rate, _) in zip(trained.measured, trained.scores, strict=True)
    ]
    read = [("in their order", trained.measured[0])]
    read += [(SHUFFLED, one) for one in trained.measured if one.name == SHUFFLED]
    return {
        "compared": Drawn(_caption(trained, letter), lambda: compared(rows, letter, kmers(trained))),
        "lengths": Drawn(
            f"Left: tokens of each length in the vocabulary. Right: in the {letter}s that were read.",
            lambda: token_lengths(vocabulary_facts(trained).lengths, read),
        ),
    }


def kmers(trained: Trained) -> float | None:
    """Letters of k-mers of which there are as many as tokens; None where the tokens were not learnt."""
    if trained.plan.arguments.algorithm not in LEARNT:
        return None
    return kmers_of(trained.measured[0].vocabulary, trained.plan.corpus.alphabet)


def _caption(trained: Trained, letter: str) -> str:
    text = f"{letter.capitalize()}s per token, with 95 % intervals over sequences; {NEW} is this tokenizer."
    if kmers(trained):
        text += f" Dashed: {letter}s of a k-mer, if as many tokens were all k-mers."
    return text


@styled
def token_lengths(
    of_vocabulary: np.ndarray, read: Sequence[tuple[str, Measured]], what: str = "Tokens of the vocabulary"
) -> Figure:
    """Tokens of each length: in the vocabulary, and in the sequences.

    Args:
        of_vocabulary: (longest + 1,) how many tokens have each length.
        read: one or two ways to read sequences, with what to call them.
        what: is counted on the left.
    """
    figure = Figure(figsize=(7.2, 2.7))
    left, right = figure.subplots(1, 2)
    counts = _capped(np.arange(len(of_vocabulary)), of_vocabulary)
    left.bar(np.arange(1, len(counts)), counts[1:], color=SKY, edgecolor=BLUE, linewidth=0.6)
    left.set_ylabel(what)
    for (label, reading), colour, dash in zip(read, (BLUE, ORANGE), ("-", "--"), strict=False):
        shares = _shares(reading)
        right.step(
            np.append(np.arange(len(shares)) - 0.5, len(shares) - 0.5)[1:], np.append(shares, shares[-1])[1:],
            where="post", color=colour, linestyle=dash, label=label,
        )  # fmt: skip
    right.set_ylabel("Share of tokens read")
    right.set_ylim(0)
    right.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    if len(read) > 1:
        right.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=2, frameon=False)
    for axes in (left, right):
        axes.set_xlabel("Letters of a token" + (f" ({LONGEST_BAR}: or more)" if len(counts) > LONGEST_BAR else ""))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    return figure


def _capped(lengths: np.ndarray, counts: np.ndarray) -> np.ndarray:
    return np.bincount(np.minimum(lengths, LONGEST_BAR), weights=counts, minlength=2)


def _shares(reading: Measured) -> np.ndarray:
    """(longest + 1,) share of the tokens read that have each length."""
    used = np.flatnonzero(reading.usage)
    lengths = np.rint(reading.lengths[used] / reading.usage[used]).astype(int)
    return _capped(lengths, reading.usage[used]) / max(reading.usage.sum(), 1)


@styled
def compared(rows: Sequence[tuple[str, float, float, float]], letter: str, kmers: float | None) -> Figure:
    """Letters per token of each tokenizer with its interval, the first one marked.

    Args:
        rows: (name, value, low, high).
        letter: what a letter is called.
        kmers: letters of k-mers of which there are as many as the first has tokens.
    """
    rows = list(rows)[:MOST]
    figure = Figure(figsize=(7.2, 0.8 + 0.32 * len(rows)))
    axes = figure.subplots()
    for place, (_, value, low, high) in enumerate(rows):
        colour = BLUE if place == 0 else GREY
        if low == low:
            axes.plot([low, high], [place, place], color=colour, linewidth=2.2)
        axes.plot([value], [place], marker="o" if place == 0 else "s", color=colour, markersize=6)
    if kmers:
        axes.axvline(kmers, color=ORANGE, linestyle="--", label=f"k-mers, as many tokens: {kmers:.2f}")
        axes.legend(loc="lower right", bbox_to_anchor=(1, 1), frameon=False)
    axes.set_yticks(range(len(rows)), [shown(name, 34) for name, *_ in rows])
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_xlim(0, 1.12 * max(kmers or 0, *(max(value, high if high == high else 0) for _, value, _, high in rows)))
    axes.set_xlabel(f"{letter.capitalize()}s per token")
    return figure
