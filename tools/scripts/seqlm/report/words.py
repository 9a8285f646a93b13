"""Words and numbers as all reports write them, and from where on they warn."""

from __future__ import annotations

import math

import numpy as np

from seqlm.metrics.metrics import Score

SPLIT_NAMES = {"train": "training set", "validation": "validation set", "test": "test set"}

# Beyond these the report warns. Few: an accuracy has a 95 % interval of about 0.2 with 100 sequences.
FEW_UNITS = 100
FEW_OF_A_CLASS = 20
WIDE_INTERVAL = 0.2
UNBALANCED = 4  # times as many training examples of the largest class as of the smallest


def number(value: float, metric: str = "") -> str:
    if math.isnan(value):
        return "undefined"
    if metric == "rmse":  # it has the unit of the values, which may be large or small
        return f"{value:.4g}"
    return f"{round(value, 3) + 0:.3f}"  # + 0 turns -0.0 into 0.0


def with_interval(score: Score, metric: str = "") -> str:
    if math.isnan(score.low):
        return number(score.value, metric)
    return f"{number(score.value, metric)} ({number(score.low, metric)} to {number(score.high, metric)})"


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
    if score.low != score.low:
        return quantity(score.value)
    return f"{quantity(score.value)} ({quantity(score.low)} to {quantity(score.high)})"
