"""The reports of training and of applying a classifier.

Imports matplotlib: set ``MPLCONFIGDIR`` first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure as Drawing

from seqlm.cli.text import shown
from seqlm.cli.versions import in_one_line
from seqlm.metrics import metrics
from seqlm.report import figures
from seqlm.report.report import (
    Block,
    Bullets,
    DatasetTable,
    Figure,
    JobParameters,
    Paragraph,
    References,
    Report,
    Table,
)
from seqlm.report.words import number, with_interval

from .methods import METHODS, settings_in_words
from .run import CHOSEN, Result
from .tables import report_rows
from .verdict import (
    SPLIT_WORDS,
    choice_in_words,
    comparisons,
    explanation,
    headline,
    warnings,
)

SKLEARN = ("scikit-learn: Pedregosa et al. 2011, JMLR.", "https://doi.org/10.48550/arXiv.1201.0490")
BOOTSTRAP = ("Bootstrap intervals: Efron & Tibshirani 1993.", "https://doi.org/10.1201/9780429246593")
NESTED = ("Nested cross-validation: Cawley & Talbot 2010, JMLR.", "https://www.jmlr.org/papers/v11/cawley10a.html")
PLATT = (
    "Probabilities of support vector machines: Platt 1999; Zadrozny & Elkan 2002.",
    "https://doi.org/10.1145/775047.775151",
)
MOST_ROWS = 24  # classes in the table of the report


def training_report(
    result: Result, parameters: dict[str, str], versions: dict[str, str], metrics_output: bool
) -> Report:
    """The whole report, in the order in which a reader asks.

    Args:
        metrics_output: whether Galaxy has the table of all scores as the output ``metrics``.
    """
    report = Report("Classifier report")
    drawn = _figures(result)

    def pictures(*names: str) -> list[Figure]:
        return [Figure(name, drawn[name][0]) for name in names if name in drawn]

    report.verdict(headline(result), explanation(result), comparisons(result), notes=warnings(result))
    report.section("Scores", *_scores(result, metrics_output), *pictures("scores"))
    report.section("Choice", *([Bullets(lines)] if (lines := choice_in_words(result)) else []), *_choices(result))
    report.section("Classification report", *_classes(result))
    report.section("Confusion matrix", *pictures("confusion-matrix"))
    report.section("ROC and precision–recall", *pictures("roc", "precision-recall"))
    report.section("Data", Bullets(_data(result)))
    report.section("Parameters", JobParameters(parameters))
    report.section("Versions", Bullets([in_one_line(versions)]))
    report.section("How to cite", References(_cited(result)))
    return report


def save_figures(result: Result, folder: Path, formats: Sequence[str] = ("png",)) -> None:
    """Draw every figure of the report into ``folder``."""
    for name, (_, draw) in _figures(result).items():
        figures.save(draw(), folder, name, formats)


def _figures(result: Result) -> dict[str, tuple[str, Callable[[], Drawing]]]:
    """Name -> caption and how to draw it."""
    plan, split = result.plan, result.plan.deciding
    metric, truth = plan.arguments.metric, result.truth[split]
    named = {_short(name): result.scores[name][split][metric] for name in [*result.models, *result.baselines]}
    label = metrics.label(metric, len(plan.classes))
    drawn = {
        "scores": (
            f"{label} on the {SPLIT_WORDS[split]} with 95 % intervals. All were judged on the same sequences, "
            "so intervals "
            "may overlap and a difference still be clear.",
            lambda: figures.baselines(named, label, _short(result.judged)),
        )
    }
    return drawn | judged_figures(
        truth,
        result.predictions[result.judged][split],
        plan.classes,
        result.scores[result.judged][split],
        SPLIT_WORDS[split],
    )


def judged_figures(truth: np.ndarray, found: np.ndarray, classes: list[str], scores: dict, where: str) -> dict:
    """Confusion matrix and curves of one classifier on one set."""
    positive = 1 if len(classes) == 2 else None
    drawn = {
        "confusion-matrix": (
            f"Calls on the {where}: rows are true classes, columns what the classifier calls them.",
            lambda: figures.confusion_matrix(truth, found.argmax(axis=1), classes),
        )
    }
    if len(np.unique(truth)) > 1:
        drawn["roc"] = (
            f"ROC on the {where}. Up and to the left is better; the dotted diagonal is guessing.",
            lambda: figures.roc(truth, found, classes, positive, scores["auroc"]),
        )
        drawn["precision-recall"] = (
            f"Precision–recall on the {where}. Up and to the right is better; with few positives this tells "
            "more than ROC.",
            lambda: figures.precision_recall(truth, found, classes, positive, scores["auprc"]),
        )
    return drawn


def _short(name: str) -> str:
    return "chosen in each fold" if name == CHOSEN else name


def score_table(scores: dict[str, dict], classes: int) -> Table:
    """Scores of several models (columns), all metrics (rows)."""
    rows = [
        [metrics.label(name, classes), *(with_interval(found[name], name) for found in scores.values())]
        for name in metrics.CLASSIFICATION
    ]
    return Table(["Score", *(_short(name) for name in scores)], rows)


def reading(classes: list[str]) -> str:
    text = f"1 is perfect; guessing has MCC 0, AUROC 0.5 and balanced accuracy {1 / len(classes):.2g}."
    return text + (f" The positive class is {shown(classes[1])}." if len(classes) == 2 else "")


def _scores(result: Result, metrics_output: bool) -> list[Block]:
    plan, split = result.plan, result.plan.deciding
    blocks: list[Block] = [
        Paragraph(f"On the {SPLIT_WORDS[split]}, with 95 % bootstrap intervals in brackets. {reading(plan.classes)}"),
        score_table(
            {name: result.scores[name][split] for name in [result.judged, *result.baselines]}, len(plan.classes)
        ),
    ]
    columns = ["Classifier", *(SPLIT_WORDS[one] for one in result.scores[result.judged])]
    rows = [
        [_short(name), *(number(result.scores[name][one][plan.arguments.metric].value) for one in result.scores[name])]
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
    if metrics_output and len(result.models) > 1:
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


def _cited(result: Result) -> list[tuple[str, str]]:
    methods = set(result.choice.settings)
    cited = [SKLEARN, BOOTSTRAP]
    cited += [PLATT] if methods & {"linear-svm", "rbf-svm"} else []
    return cited + ([NESTED] if result.plan.folds is not None and result.plan.chooses else [])
