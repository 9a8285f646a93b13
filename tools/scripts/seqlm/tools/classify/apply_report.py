"""The report of applying a classifier. Imports matplotlib: set ``MPLCONFIGDIR`` first."""

from __future__ import annotations

import numpy as np

from seqlm.cli.text import shown
from seqlm.cli.versions import versions
from seqlm.metrics import metrics
from seqlm.report.report import Bullets, Drawn, Paragraph, Report, Table
from seqlm.report.words import few, with_interval

from .apply_summary import Applied
from .figures import judged_figures
from .methods import METHODS, settings_in_words
from .report import reading, score_table
from .tables import PACKAGES

MOST_ROWS = 24  # classes in the table of the report
UNSURE = 0.6  # a largest probability below is called unsure


def applied_report(applied: Applied, seed: int) -> Report:
    """The whole report, in the order in which a reader asks."""
    report = Report("Classifier applied", drawn=figures_of(applied))
    report.verdict(_headline(applied), _explanation(applied), notes=_warnings(applied))
    if applied.labels:
        report.section(
            "Scores",
            Paragraph(
                f"With 95 % bootstrap intervals in brackets. {reading(applied.classes)} The baseline is always "
                "the class shares of the training set."
            ),
            score_table(applied.scores, len(applied.classes)),
            *report.pictures(*report.drawn),
        )
    rows = _called(applied)
    more = [Paragraph(f"{len(rows) - MOST_ROWS:,} more classes are in the table.")] if len(rows) > MOST_ROWS else []
    table = Table(["Class", "Sequences", "Share", "Share in training"], rows[:MOST_ROWS])
    report.section("What was called", table, *more)
    report.section("Classifier", Bullets(_classifier(applied)))
    cited = ["classifiers", "bootstrap"] if applied.labels else ["classifiers"]
    report.closing({"seed": str(seed)}, versions(PACKAGES), cited)
    return report


def _called(applied: Applied) -> list[list[str]]:
    """How often each class was called, the most frequent first."""
    n = len(applied.embeddings)
    counts = np.bincount(applied.predictions.argmax(axis=1), minlength=len(applied.classes))
    learnt = np.array(applied.classifier.manifest["counts"], dtype=float)
    return [
        [applied.classes[c], f"{counts[c]:,}", f"{counts[c] / n:.1%}", f"{learnt[c] / learnt.sum():.1%}"]
        for c in np.argsort(-counts, kind="stable")
    ]


def figures_of(applied: Applied) -> dict[str, Drawn]:
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
    return [*applied.notes, *(few(len(applied.truth), "labelled sequences") if applied.labels else [])]


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
