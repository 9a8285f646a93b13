"""Tables that training and applying a classifier both write."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

PACKAGES = ("numpy", "scipy", "scikit-learn", "skops")
METRIC_COLUMNS = ["classifier", "split", "metric", "value", "low", "high", "units"]
REPORT_COLUMNS = ["split", "class", "precision", "recall", "f1", "support"]


def report_rows(split: str, truth: np.ndarray, called: np.ndarray, classes: list[str]) -> Iterator[list]:
    """scikit-learn's classification report as rows of a table."""
    from sklearn.metrics import classification_report

    found = classification_report(truth, called, output_dict=True, zero_division=0)
    for name, row in found.items():
        if name == "accuracy":
            yield [split, "accuracy", None, None, float(row), len(truth)]
        else:
            shown = classes[int(name)] if name.isdecimal() else name
            values = [float(row[key]) for key in ("precision", "recall", "f1-score")]
            yield [split, shown, *values, int(row["support"])]
