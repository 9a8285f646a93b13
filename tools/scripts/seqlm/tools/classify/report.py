"""The report of training a classifier: what it found, the scores, the choice, and how to read them.

Imports matplotlib: set ``MPLCONFIGDIR`` first.
"""

from __future__ import annotations

import numpy as np

from seqlm.cli.text import shown
from seqlm.cli.versions import versions
from seqlm.data.class_names import why_positive
from seqlm.metrics import metrics
from seqlm.report.outputs import parameters
from seqlm.report.report import Block, Bullets, DatasetTable, Paragraph, Report, Table
from seqlm.report.words import number, with_interval

from .figures import figures_of, short
from .inputs import SETTINGS
from .methods import METHODS, settings_in_words
from .run import Result
from .tables import PACKAGES, report_rows
from .verdict import (
    SPLIT_WORDS,
    choice_in_words,
    comparisons,
    explanation,
    headline,
    warnings,
)

MOST_ROWS = 24  # classes in the table of the report


def training_report(result: Result) -> Report:
    """The whole report, in the order in which a reader asks."""
    report = Report("Classifier report", drawn=figures_of(result))
    report.verdict(headline(result), explanation(result), comparisons(result), notes=warnings(result))
    report.section("Scores", *_scores(result), *report.pictures("scores"))
    report.section("Choice", Bullets(choice_in_words(result)), *_choices(result))
    report.section("Classification report", *_classes(result))
    report.section("Confusion matrix", *report.pictures("confusion-matrix"))
    report.section("ROC and precision–recall", *report.pictures("roc", "precision-recall"))
    report.section("Data", Bullets(_data(result)))
    report.closing(_parameters(result), versions(PACKAGES), _cited(result))
    return report


def score_table(scores: dict[str, dict], classes: int) -> Table:
    """Scores of several models (columns), all metrics (rows)."""
    rows = [
        [metrics.label(name, classes), *(with_interval(found[name], name) for found in scores.values())]
        for name in metrics.CLASSIFICATION
    ]
    return Table(["Score", *(short(name) for name in scores)], rows)


def reading(classes: list[str], why: str = "") -> str:
    """How to read the scores, and ``why`` the last of two classes is the positive one."""
    text = f"1 is perfect; guessing has MCC 0, AUROC 0.5 and balanced accuracy {1 / len(classes):.2g}."
    return text + (f" The positive class is {shown(classes[1])}{why and f', {why}'}." if len(classes) == 2 else "")


def _scores(result: Result) -> list[Block]:
    plan, split = result.plan, result.plan.deciding
    why = why_positive(plan.classes, plan.arguments.positive_label) if len(plan.classes) == 2 else ""
    where = f"On the {SPLIT_WORDS[split]}, with 95 % bootstrap intervals in brackets."
    blocks: list[Block] = [
        Paragraph(f"{where} {reading(plan.classes, why)}"),
        score_table(
            {name: result.scores[name][split] for name in [result.judged, *result.baselines]}, len(plan.classes)
        ),
    ]
    columns = ["Classifier", *(SPLIT_WORDS[one] for one in result.scores[result.judged])]
    rows = [
        [short(name), *(number(result.scores[name][one][plan.arguments.metric].value) for one in result.scores[name])]
        for name in [*result.models, *result.baselines]
    ]
    blocks += [
        Paragraph(
            f"{metrics.label(plan.arguments.metric, len(plan.classes))} on each set. A classifier that is much "
            "better on the "
            "training set than elsewhere has learnt it by heart."
        ),
        Table(columns, rows),
    ]
    if plan.arguments.output_metrics and len(result.models) > 1:
        blocks.append(DatasetTable("metrics", "All scores"))
    return blocks


def _choices(result: Result) -> list[Block]:
    choice = result.choice
    if len(choice.settings) < 2:
        return []
    rows = [
        [METHODS[name].words, settings_in_words(choice.settings[name]), number(choice.scores[name])]
        for name in sorted(choice.settings, key=lambda name: -np.nan_to_num(choice.scores[name], nan=-9))
    ]
    return [Table(["Classifier", "Settings", "Score that chose"], rows)]


def _classes(result: Result) -> list[Block]:
    plan, blocks = result.plan, []
    for split in dict.fromkeys([plan.deciding, "train"]):
        called = result.predictions[result.judged][split].argmax(axis=1)
        rows = list(report_rows(split, result.truth[split], called, plan.classes))
        kept = rows if len(rows) <= MOST_ROWS + 3 else [*rows[:MOST_ROWS], *rows[-3:]]
        text = f"On the {SPLIT_WORDS[split]}" + (", as scikit-learn's classification_report." if not blocks else ".")
        if len(kept) < len(rows):
            text += f" The first {MOST_ROWS} of {len(rows) - 3:,} classes; the table has all."
        cells = [
            [str(row[1]), *("" if value is None else f"{value:.3f}" for value in row[2:5]), f"{row[5]:,}"]
            for row in kept
        ]
        blocks += [Paragraph(text), Table(["Class", "Precision", "Recall", "F1", "Sequences"], cells)]
    return blocks


def _data(result: Result) -> list[str]:
    plan = result.plan
    counts = np.bincount(plan.truth, minlength=len(plan.classes))
    order = np.argsort(-counts, kind="stable")
    classes = ", ".join(f"{shown(plan.classes[c])} {counts[c]:,}" for c in order[:10])
    more = f" and {len(order) - 10:,} more" if len(order) > 10 else ""
    first, last = plan.embeddings.columns[0], plan.embeddings.columns[-1]
    sizes = ", ".join(f"{SPLIT_WORDS[split]} {len(rows):,}" for split, rows in result.truth.items())
    return [
        f"{len(plan.truth):,} embeddings of {plan.features.shape[1]:,} dimensions ({shown(first)} to "
        f"{shown(last)}) from "
        f"{plan.embeddings.name}, labels from {plan.labels.source}.",
        f"Classes: {classes}{more}.",
        f"Sets: {plan.origin}; {sizes} sequences.",
        *plan.notes,
    ]


def _parameters(result: Result) -> dict[str, str]:
    """What the user chose and what matters."""
    arguments = result.plan.arguments
    drawn = not (arguments.split_column or arguments.split_pattern)
    without = [] if arguments.cross_validation else ["cross_validation"]
    without += [] if drawn else ["identical"]
    without += [] if drawn and not arguments.cross_validation else ["test_fraction"]
    return parameters(arguments, SETTINGS, without) | {"classifier": ", ".join(arguments.classifier)}


def _cited(result: Result) -> list[str]:
    keys = ["classifiers", "bootstrap"]
    keys += ["platt"] if {"linear-svm", "rbf-svm"} & set(result.choice.settings) else []
    return keys + (["nested"] if result.plan.folds is not None and result.plan.chooses else [])
