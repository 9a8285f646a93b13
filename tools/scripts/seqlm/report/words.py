"""Words and numbers as all reports write them, and from where on they warn."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from seqlm.cli.text import shown
from seqlm.metrics.metrics import Score

OUT_OF_FOLD = "out-of-fold"  # of a cross-validation: all that was held out once
SPLIT_NAMES = {
    "train": "training set",
    "validation": "validation set",
    "test": "test set",
    OUT_OF_FOLD: "held-out folds",
}

# Beyond these the report warns. Few: an accuracy has a 95 % interval of about 0.2 with 100 sequences.
FEW_UNITS = 100
FEW_OF_A_CLASS = 20
WIDE_INTERVAL = 0.2
UNBALANCED = 4  # times as many training examples of the largest class as of the smallest


def percent(part: float, whole: float) -> str:
    """A share in percent that is never rounded to nothing or to all."""
    value = 100 * part / whole if whole else 0.0
    if 0 < value < 0.1 or 99.9 < value < 100:
        return "under 0.1 %" if value < 1 else "over 99.9 %"
    return f"{value:.1f} %"


def number(value: float, metric: str = "") -> str:
    if math.isnan(value):
        return "undefined"
    if metric == "rmse":  # it has the unit of the values, which may be large or small
        return f"{value:.4g}"
    return f"{round(value, 3) + 0:.3f}"  # + 0 turns -0.0 into 0.0


def with_interval(score: Score, metric: str = "") -> str:
    return _ranged(score, lambda value: number(value, metric))


def ranged(score: Score, digits: str = ".3g") -> str:
    """A number and its interval; ``digits`` as in a format, such as ``.3g``."""
    return _ranged(score, lambda value: f"{value:{digits}}")


def _ranged(score: Score, write: Callable[[float], str]) -> str:
    if math.isnan(score.low):
        return write(score.value)
    return f"{write(score.value)} ({write(score.low)} to {write(score.high)})"


def score_text(score: Score, metric: str) -> str:
    """A score and its interval with two digits, so that several columns stand side by side in Galaxy's page."""
    if np.isnan(score.value):
        return "undefined"
    digits = ".3g" if metric == "rmse" else ".2f"
    value, low, high = (f"{side:{digits}}".replace("-0.00", "0.00") for side in (score.value, score.low, score.high))
    return value if np.isnan(score.low) else f"{value} ({low}, {high})"


def quantity(value: float) -> str:
    return f"{value:.4g}" if value < 1e6 else f"{value:.3g}"


def quantity_with_interval(score: Score) -> str:
    return _ranged(score, quantity)


def quantity_text(score: Score | None) -> str:
    """A quantity and its interval with three digits, so that several columns stand side by side in Galaxy's page."""
    if score is None:
        return "–"
    if math.isnan(score.low):
        return f"{score.value:.3g}"
    return f"{score.value:.3g} ({score.low:.3g}, {score.high:.3g})"


def outcome(gain: Score) -> str:
    """``better``, ``worse``, ``open`` or ``undefined``: on which side of zero the whole interval is."""
    if math.isnan(gain.low):
        return "undefined"
    return "better" if gain.low > 0 else "worse" if gain.high < 0 else "open"


def few(count: int, units: str, fewest: int = FEW_UNITS) -> list[str]:
    """The warning of a verdict that rests on few units; none if there are enough."""
    return [f"Only {count:,} {units} decide. Small differences mean nothing."] if count < fewest else []


def listed(names: Sequence[str]) -> str:
    """Names as they stand in a sentence: a, b and c."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def first_of(names: Sequence[str], most: int = 3) -> str:
    """The first of some names that users gave, and how many more there are."""
    more = [f"{len(names) - most:,} more"] if len(names) > most else []
    return listed([*(shown(name) for name in names[:most]), *more])


def in_sentence(metric: str) -> str:
    """The name of a score as it stands inside a sentence."""
    is_name = metric.isupper() or metric.startswith(("Spearman", "Pearson", "Fmax"))
    return metric if is_name else metric[0].lower() + metric[1:]


def sentence(note: str) -> str:
    """A note of a run as a sentence of its report."""
    return f"{note[0].upper()}{note[1:]}."
