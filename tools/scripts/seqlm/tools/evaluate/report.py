"""The report of an evaluation: which model is best and how sure that is, then the evidence.

Imports matplotlib: set ``MPLCONFIGDIR`` first.
"""

from __future__ import annotations

from argparse import Namespace

import numpy as np

from seqlm.cli.text import shown
from seqlm.cli.versions import versions
from seqlm.metrics import metrics
from seqlm.report.outputs import parameters
from seqlm.report.report import Block, Bullets, DatasetTable, Paragraph, Report, Table
from seqlm.report.words import in_sentence, score_text

from .figures import figures_of
from .run import MOST_CLASSES, Evaluation
from .verdict import explanation, headline, p_text, paired, warnings

PACKAGES = ("numpy", "scipy", "matplotlib")
SETTINGS = ("metric", "threshold", "split", "positive_label", "unlisted", "misfits", "resamples", "seed")
MOST_MATRICES = 3  # confusion matrices that the report shows; all are among the figures
MOST_COLUMNS = 5  # models in the report's table of scores
MOST_ROWS = 24  # classes in the report's table; all are in the table of classes


def evaluate_report(found: Evaluation, arguments: Namespace) -> Report:
    """The whole report, in the order in which a reader asks."""
    report = Report("Evaluation report", drawn=figures_of(found))
    pictures = report.pictures
    report.verdict(
        headline(found), explanation(found), paired(found) if len(found.cases.models) > 1 else [], notes=warnings(found)
    )
    report.section("Scores", *_scores(found, arguments), *pictures("scores"))
    report.section("Tests of the differences", *_tests(found, arguments))
    report.section("ROC and precision–recall", *pictures("roc", "precision-recall"))
    report.section("Predicted and measured values", *pictures("predicted-measured"))
    matrices = [name for name in report.drawn if name.startswith("confusion-matrix")]
    report.section("Confusion matrices", *pictures(*matrices[:MOST_MATRICES]), *_more(len(matrices)))
    report.section("Classes", *_classes(found), *pictures("classes"))
    report.section("Proteins", *pictures("proteins"))
    report.section("Calibration", *pictures("calibration"))
    report.section("Data", Bullets(_data(found)))
    report.closing(parameters(arguments, SETTINGS), versions(PACKAGES), _cited(found))
    return report


def _more(matrices: int) -> list[Paragraph]:
    if matrices <= MOST_MATRICES:
        return []
    return [Paragraph(f"The matrices of {matrices - MOST_MATRICES} more models are among the figures.")]


def _scores(found: Evaluation, arguments: Namespace) -> list[Block]:
    cases = found.cases
    columns = [*found.ranked()[:MOST_COLUMNS], found.baseline]
    rows = [
        [found.label(name), *(score_text(found.scores[model][name], name) for model in columns)]
        for name in metrics.metrics_for(cases.task)
    ]
    if cases.regression:
        reading = "RMSE is in the unit of the values, 0 is perfect; for the others 1 is perfect and 0 is guessing."
    elif cases.several:
        reading = "1 is perfect. Fmax takes the threshold that is best on these very sequences, as CAFA does."
    else:
        reading = "1 is perfect; guessing has MCC 0, AUROC 0.5 and balanced accuracy "
        reading += f"{1 / len(cases.classes):.2g}."
    if cases.positive is not None:
        reading += f" The positive class is {shown(cases.classes[1])}."
    blocks: list[Block] = [
        Paragraph(
            f"With 95 % bootstrap intervals in brackets. {reading} The baseline predicts the same for everything; what "
            "it predicts was computed from the truth itself."
        ),
        Table(["Score", *(found.names[name] for name in columns)], rows),
    ]
    if (more := len(cases.models) - MOST_COLUMNS) > 0:
        blocks.append(Paragraph(f"{more} more models are in the table of scores."))
    if arguments.output_table and more > 0:
        blocks.append(DatasetTable("scores", "All scores"))
    return blocks


def _tests(found: Evaluation, arguments: Namespace) -> list[Block]:
    named = [test for test in found.tests if test.second != found.baseline]
    tests = [test for test in named if test.test != "bootstrap" or test.metric == found.metric]
    if not tests:
        return []
    rows = [
        [
            f"{found.names[test.first]} − {found.names[test.second]}",
            test.test,
            found.label(test.metric),
            score_text(test.difference, test.metric) if np.isfinite(test.difference.value) else "",
            p_text(test.p),
            p_text(test.adjusted),
        ]
        for test in sorted(tests, key=lambda test: test.test != "bootstrap")
    ]
    pairs = len({(test.first, test.second) for test in tests})
    what = {
        "bootstrap": "the bootstrap resamples the same cases for both models",
        "McNemar": "McNemar's test looks at the cases that only one of the two calls rightly",
        "DeLong": "DeLong's test compares AUROCs",
        "Steiger": "Steiger's test compares Pearson correlations",
    }
    others = dict.fromkeys(found.label(test.metric) for test in named if test not in tests)
    used = list(dict.fromkeys(test.test for test in tests))
    blocks: list[Block] = [
        Paragraph(
            f"Differences of the first less the second: {'; '.join(what[name] for name in used)}."
            + (" All of them take into account that residues of one protein go together." if _grouped(found) else "")
            + (f" The last column is p after Holm, for {pairs} pairs." if pairs > 1 else "")
            + (
                f" The table of tests also has {', '.join(map(in_sentence, others))}."
                if arguments.output_comparisons
                else ""
            )
        ),
        Table(["Models", "Test", "Score", "Difference", "p", "p (Holm)"], rows),
    ]
    if arguments.output_comparisons and len(rows) > 30:
        blocks.append(DatasetTable("comparisons", "All tests"))
    return blocks


def _grouped(found: Evaluation) -> bool:
    return found.cases.groups is not None


def _classes(found: Evaluation) -> list[Block]:
    cases = found.cases
    if not cases.classes:
        return []
    best = found.ranked()[0]
    scores, counts = found.classes[best], found.class_counts[best]
    chosen = cases.classes
    if len(cases.classes) > 2:
        chosen = sorted(cases.classes, key=lambda name: -counts[name][0])[:MOST_ROWS]
    text = f"Each class against the rest, as {found.names[best]} calls it."
    if len(chosen) < len(cases.classes):
        text += f" The {len(chosen)} most frequent of {len(cases.classes):,}; the table of classes has all."
    if len(cases.classes) > MOST_CLASSES:
        text += " With so many classes their scores have no intervals."
    shown_metrics = ("precision", "sensitivity", "f1", "auprc")
    rows = [
        [
            name,
            *(f"{count:,}" for count in counts[name]),
            *(score_text(scores[name][metric], metric) for metric in shown_metrics),
        ]
        for name in chosen
    ]
    columns = ["Class", "True", "Called", "Both", *(metrics.label(metric) for metric in shown_metrics)]
    return [Paragraph(text), Table(columns, rows)]


def _data(found: Evaluation) -> list[str]:
    cases = found.cases
    lines = [
        f"Scored: {len(cases):,} {cases.units}" + (f" of the split '{shown(cases.split)}'." if cases.split else ".")
    ]
    if cases.groups is not None:
        lines[0] = lines[0][:-1] + f", in {len(np.unique(cases.groups)):,} proteins."
    lines.append(f"The truth is from {cases.source}.")
    if cases.regression:
        values = cases.truth
        lines.append(f"Measured values: {values.min():.4g} to {values.max():.4g}, median {np.median(values):.4g}.")
    return [*lines, *cases.notes]


def _cited(found: Evaluation) -> list[str]:
    tests = {test.test for test in found.tests}
    keys = ["bootstrap"]
    if "DeLong" in tests:
        keys += ["delong"] + (["obuchowski"] if _grouped(found) else [])
    if "McNemar" in tests:
        keys.append("mcnemar")
    if "Steiger" in tests:
        keys.append("steiger")
    return keys + (["fmax"] if found.cases.several else [])
