"""Figures of a fine-tuning's report: which there are, what stands below them, and how they are drawn.

Imports matplotlib: set ``MPLCONFIGDIR`` first.
"""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from seqlm.baselines.linear_models import MOST_UNITS
from seqlm.cli.text import shown
from seqlm.metrics import metrics
from seqlm.metrics.calibration import calibration
from seqlm.metrics.label_scores import label_scores
from seqlm.report import figures
from seqlm.report.report import Drawn
from seqlm.report.words import SPLIT_NAMES

from .summary import FINE_TUNED, FinetuneSummary

MOST_LABELS = 40  # in the figure of labels


def figures_of(summary: FinetuneSummary) -> dict[str, Drawn]:
    """Name -> caption and how to draw it, for what this summary has data for."""
    split = summary.deciding
    truth, predicted = summary.truth[split], summary.predictions[FINE_TUNED][split]
    scores = summary.scores[FINE_TUNED][split]
    where = f"{SPLIT_NAMES[split]}, {summary.size(split)}"
    label = summary.label(summary.metric)
    drawn = {}
    if summary.history:
        drawn["learning-curves"] = Drawn(
            _learning_caption(summary),
            lambda: figures.learning_curves(summary.history, summary.metric, label, summary.best_epoch),
        )
    if summary.regression:
        drawn |= _value_figures(summary, truth, predicted, scores, where)
    elif summary.several:
        drawn |= _label_figures(summary, truth, predicted, scores, where)
    else:
        drawn |= _class_figures(summary, truth, predicted, scores, where)
    drawn["baselines"] = Drawn(
        f"{label} of each model with its 95 % interval ({where}). Intervals may overlap and the difference still be "
        f"clear, as all models were judged on the same {summary.many}: the verdict compares them directly."
        + _fitted_on(summary),
        lambda: figures.baselines({name: summary.score(name) for name in summary.models}, label, FINE_TUNED),
    )
    if not (summary.window and len(np.unique(np.concatenate(list(summary.lengths.values())))) == 1):
        drawn["lengths"] = Drawn(
            f"Lengths of the {summary.wholes}. Splits that differ much in length are not of the same kind.",
            lambda: figures.lengths(summary.lengths, f"{summary.wholes[:-1].capitalize()} length"),
        )
    return drawn


def _value_figures(summary: FinetuneSummary, truth, predicted, scores, where: str) -> dict[str, Drawn]:
    many = len(truth) > figures.MOST_DOTS
    some = f" Drawn are {figures.MOST_DOTS:,} of the {summary.many}, at random." if many else ""
    return {
        "predicted-measured": Drawn(
            f"Predicted against measured values ({where}). On the dotted line they are equal.{some}",
            lambda: figures.scatter(truth, predicted, scores),
        ),
        "residuals": Drawn(
            "What is left to explain: predicted less measured. A slope or a funnel means that errors depend on the "
            "value; far points are worth a look.",
            lambda: figures.residuals(truth, predicted, summary.many),
        ),
    }


def _class_figures(summary: FinetuneSummary, truth, predicted, scores, where: str) -> dict[str, Drawn]:
    classes, positive, threshold = summary.classes, summary.positive, summary.chosen_threshold
    drawn = {
        "confusion-matrix": Drawn(
            f"Rows are true classes, columns what the model called them ({where}). Each cell has the number and the "
            "share of its row; what is right is on the diagonal.",
            lambda: figures.confusion_matrix(truth, summary.called, classes),
        ),
    }
    if len(np.unique(truth)) > 1:
        several = "One curve a class against all others, and their mean. " if len(classes) > 2 else ""
        marked = " The red mark is the threshold." if threshold is not None else ""
        drawn["roc"] = Drawn(
            f"ROC ({where}). {several}Up and to the left is better; the dotted diagonal is guessing.{marked}",
            lambda: figures.roc(truth, predicted, classes, positive, scores["auroc"], threshold),
        )
        chance = "" if several else " The dotted line, the share of positives, is guessing."
        drawn["precision-recall"] = Drawn(
            f"Precision–recall. {several}Up and to the right is better; with few positives this tells more than "
            f"ROC.{chance}",
            lambda: figures.precision_recall(truth, predicted, classes, positive, scores["auprc"], threshold),
        )
    right = "right" if len(classes) > 2 else shown(classes[1 if positive is None else positive])
    units = f"of {summary.many} given 0.8, 8 in 10 should be {right}"
    drawn["calibration"] = _calibration(summary, truth, predicted, summary.uncalibrated, classes, summary.many, units)
    return drawn


def _label_figures(summary: FinetuneSummary, truth, predicted, scores, where: str) -> dict[str, Drawn]:
    best = _best_baseline(summary)

    def labels() -> Figure:
        own = of_labels(summary, FINE_TUNED, MOST_LABELS)
        other = {best: [one.f1.value for one in of_labels(summary, best, MOST_LABELS)]} if best else {}
        names = {summary.classes[one.place]: one.f1 for one in own}
        return figures.labels(names, [one.size for one in own], "F1", other)

    frequent = f" The {MOST_LABELS} most frequent of {truth.shape[1]:,} labels." if truth.shape[1] > MOST_LABELS else ""
    other = f" Hollow: {best}, the best baseline." if best else ""
    several = "One curve a label, and their mean. "
    drawn = {
        "labels": Drawn(
            f"F1 of each label with its 95 % interval ({where}); in brackets how many sequences have it."
            f"{frequent}{other}",
            labels,
        )
    }
    if any({0, 1} <= set(column.tolist()) for column in truth.T):
        drawn["roc"] = Drawn(
            f"ROC ({where}). {several}Up and to the left is better; the dotted diagonal is guessing.",
            lambda: figures.roc(truth, predicted, summary.classes, None, scores["macro_auroc"]),
        )
        drawn["precision-recall"] = Drawn(
            f"Precision–recall. {several}Up and to the right is better; for a rare label this tells more than ROC.",
            lambda: figures.precision_recall(truth, predicted, summary.classes, None, scores["macro_auprc"]),
        )

    def cells(probabilities):  # each label of each sequence is one yes or no
        if probabilities is None:
            return None
        given = probabilities[truth >= 0]
        return np.column_stack([1 - given, given])

    units = "of labels given 0.8, 8 in 10 should be there"
    classes = ["", "a label"]
    drawn["calibration"] = _calibration(
        summary, truth[truth >= 0], cells(predicted), cells(summary.uncalibrated), classes, "labels", units
    )
    return drawn


def of_labels(summary: FinetuneSummary, model: str, most: int) -> list:
    """:func:`seqlm.metrics.label_scores.label_scores` of a model on the deciding split."""
    split = summary.deciding
    probabilities, threshold = summary.predictions[model][split], summary.thresholds.get(model)
    return label_scores(summary.truth[split], probabilities, threshold, most=most, seed=summary.seed)


def _calibration(summary, truth, predicted, before, classes, many: str, units: str) -> Drawn:
    bins = calibration(truth, predicted, positive=summary.positive)
    text = (
        f"Whether probabilities can be taken at their word: {units}. Below the diagonal they "
        f"are too high. Brier score {bins.brier:.3f}, expected calibration error {bins.ece:.3f} (0 is perfect); bars "
        "are 95 % intervals."
    )
    if summary.temperature != 1:
        text += f" Calibrated: logits were divided by {summary.temperature:.3g}, chosen on the validation set"
        if before is not None:
            old = calibration(truth, before, positive=summary.positive)
            text += f"; before, the error was {old.ece:.3f}"
        text += ". Which of two is ranked higher does not change."
    return Drawn(
        text,
        lambda: figures.reliability(truth, predicted, classes, summary.positive, before=before, units=many),
    )


def _best_baseline(summary: FinetuneSummary) -> str:
    """The baseline with the best deciding score."""
    sign = 1 if metrics.HIGHER_IS_BETTER[summary.metric] else -1
    scored = {name: sign * summary.score(name).value for name in summary.models[1:]}
    scored = {name: value for name, value in scored.items() if not np.isnan(value)}
    return max(scored, key=scored.get) if scored else ""


def _fitted_on(summary: FinetuneSummary) -> str:
    n = len(summary.truth[summary.learnt])
    if summary.unit == "sequence" or n <= MOST_UNITS:
        return ""
    drawn = f", of {summary.wholes} drawn whole" if summary.unit == "residue" else ", drawn at random"
    return f" Simple models were fitted on at most {MOST_UNITS:,} of the {n:,} training {summary.many}{drawn}."


def _learning_caption(summary: FinetuneSummary) -> str:
    text = "Loss after each epoch. Validation loss that rises while training loss falls is overfitting."
    if summary.best_epoch is None:
        return text + " Without a validation set the last epoch was kept."
    chosen = "loss" if summary.chosen_by == "loss" else summary.label(summary.chosen_by or summary.metric)
    last = summary.history[-1]["epoch"]
    text += f" Epoch 0 is the model before the first update. Epoch {summary.best_epoch} of {last} was kept for its "
    text += f"validation {chosen}."
    if summary.best_epoch == last:
        text += " It was the last one, so more epochs may help."
    return text
