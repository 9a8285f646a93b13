"""The report of applying a classifier. Imports matplotlib: set ``MPLCONFIGDIR`` first."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from seqlm.cli.text import shown
from seqlm.cli.versions import in_one_line
from seqlm.metrics import metrics
from seqlm.report import figures
from seqlm.report.report import Bullets, Figure, Heading, JobParameters, Paragraph, References, Report, Table
from seqlm.report.words import FEW_UNITS, with_interval

from .apply_summary import Applied
from .methods import METHODS, settings_in_words
from .report import BOOTSTRAP, SKLEARN, judged_figures, reading, score_table

MOST_ROWS = 24  # classes in the table of the report
UNSURE = 0.6  # a largest probability below is called unsure


def applied_report(applied: Applied, parameters: dict[str, str], versions: dict[str, str]) -> Report:
    """The whole report, in the order in which a reader asks."""
    report, manifest = Report("Classifier applied"), applied.classifier.manifest
    n = len(applied.embeddings)
    report.verdict(_headline(applied), _explanation(applied), notes=_warnings(applied))
    if applied.labels:
        report.add(
            Heading("Scores"),
            Paragraph(
                f"With 95 % bootstrap intervals in brackets. {reading(applied.classes)} The baseline is always "
                "the class "
                "shares of the training set."
            ),
            score_table(applied.scores, len(applied.classes)),
            *(Figure(name, caption) for name, (caption, _) in _figures(applied).items()),
        )
    called = applied.predictions.argmax(axis=1)
    counts = np.bincount(called, minlength=len(applied.classes))
    learnt = np.array(manifest["counts"], dtype=float)
    order = np.argsort(-counts, kind="stable")
    rows = [
        [applied.classes[c], f"{counts[c]:,}", f"{counts[c] / n:.1%}", f"{learnt[c] / learnt.sum():.1%}"] for c in order
    ]
    report.add(
        Heading("What was called"),
        Table(["Class", "Sequences", "Share", "Share in training"], rows[:MOST_ROWS]),
        *([Paragraph(f"{len(rows) - MOST_ROWS:,} more classes are in the table.")] if len(rows) > MOST_ROWS else []),
        Heading("Classifier"),
        Bullets(_classifier(applied)),
        Heading("Parameters"),
        JobParameters(parameters),
        Heading("Versions"),
        Bullets([in_one_line(versions)]),
        Heading("How to cite"),
        References([SKLEARN, *([BOOTSTRAP] if applied.labels else [])]),
    )
    return report


def save_figures(applied: Applied, folder: Path, formats: Sequence[str] = ("png",)) -> None:
    for name, (_, draw) in _figures(applied).items():
        figures.save(draw(), folder, name, formats)


def _figures(applied: Applied) -> dict:
    if not applied.labels:
        return {}
    scores = next(iter(applied.scores.values()))
    return judged_figures(applied.truth, applied.judged, applied.classes, scores, "labelled sequences")


def _headline(applied: Applied) -> str:
    name = METHODS[applied.classifier.manifest["classifier"]].words
    n = len(applied.embeddings)
    if not applied.labels:
        return f"The {name} called {n:,} sequences."
    score = next(iter(applied.scores.values()))["mcc"]
    if np.isnan(score.low):
        end = "whether it is better than chance cannot be said"
    elif score.low > 0:
        end = "better than chance"
    else:
        end = "not clearly better than chance"
    return f"The {name} called {n:,} sequences and has MCC {with_interval(score)} on those with a label: {end}."


def _explanation(applied: Applied) -> str:
    unsure = int((applied.predictions.max(axis=1) < UNSURE).sum())
    return (
        f"Each sequence is called the class of the largest probability. For {unsure:,} of "
        f"{len(applied.embeddings):,} it is "
        f"below {UNSURE:g}: take those calls lightly."
    )


def _warnings(applied: Applied) -> list[str]:
    found = list(applied.notes)
    if applied.labels and len(applied.truth) < FEW_UNITS:
        found.append(f"Only {len(applied.truth):,} labelled sequences decide. Small differences mean nothing.")
    return found


def _classifier(applied: Applied) -> list[str]:
    manifest = applied.classifier.manifest
    lines = [
        f"{METHODS[manifest['classifier']].words} with {settings_in_words(manifest['settings'])}, from "
        f"{shown(applied.classifier.name)}, trained on {int(sum(manifest['counts'])):,} sequences.",
        f"It reads {len(manifest['columns']):,} dimensions and tells {len(applied.classes):,} classes apart.",
    ]
    for split, scores in manifest["metrics"].items():
        told = scores.get("mcc") if isinstance(scores, dict) and split != "train" else None
        if isinstance(told, list) and len(told) == 3 and all(isinstance(one, float | int) for one in told):
            lines.append(
                f"When it was trained it had {metrics.label('mcc')} {told[0]:.3f} ({told[1]:.3f} to {told[2]:.3f}) "
                f"in {shown(split)}."
            )
    return lines
