"""Values as tracks for genome browsers: all of them as bedGraph, and the stretches that speak the most as GFF3.

bedGraph: https://genome.ucsc.edu/goldenPath/help/bedgraph.html; sequences stand for chromosomes, named as in GFF3.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from seqlm.cli.outputs import cell
from seqlm.data.gff3 import feature_line, landmark_of
from seqlm.data.records import PROTEIN

from .inputs import Plan
from .summary import Summary

HALF = 0.5  # of all that speaks for the prediction, which the stretches hold together


def write_bedgraph(path: Path, plan: Plan, summary: Summary) -> None:
    """A line for each run of letters of one value; what was not read has none."""
    with open(path, "w", encoding="utf-8", newline="\n") as file:
        for one in summary.explained:
            name, values = landmark_of(one.item.id), one.item.by_letter(one.values)
            starts = np.flatnonzero(np.diff(values, prepend=np.nan) != 0).tolist()
            for start, end in zip(starts, [*starts[1:], len(values)], strict=True):
                if np.isfinite(values[start]):
                    file.write(f"{name}\t{start}\t{end}\t{cell(float(values[start]))}\n")


def stretches(values: np.ndarray) -> list[tuple[int, int]]:
    """The fewest letters that hold half of all positive values (letters,), as runs [start, end)."""
    positive = np.where(np.isfinite(values) & (values > 0), values, 0)
    order = np.argsort(-positive, kind="stable")
    needed = int(np.searchsorted(np.cumsum(positive[order]), HALF * positive.sum())) + 1
    chosen = np.zeros(len(values) + 2, int)
    chosen[1 + order[:needed]] = positive[order[:needed]] > 0
    edges = np.diff(chosen)
    return list(zip(np.flatnonzero(edges == 1).tolist(), np.flatnonzero(edges == -1).tolist(), strict=True))


def write_gff3(path: Path, plan: Plan, summary: Summary) -> None:
    """A line for each stretch, with the sum of its values as the score."""
    feature = "polypeptide_region" if plan.family.alphabet == PROTEIN else "sequence_feature"
    number = 0
    with open(path, "w", encoding="utf-8", newline="\n") as file:
        file.write("##gff-version 3\n")
        for one in summary.explained:
            item, name = one.item, landmark_of(one.item.id)
            values = item.by_letter(one.values)
            file.write(f"##sequence-region {name} 1 {len(item.sequence)}\n")
            for start, end in stretches(values):
                number += 1
                attributes = {
                    "ID": f"stretch{number}",
                    "Name": item.sequence[start:end],
                    "class": plan.labels[item.goal] if plan.labels else "",
                }
                file.write(feature_line(name, feature, start + 1, end, float(values[start:end].sum()), attributes))
