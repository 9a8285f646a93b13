"""The report of a fine-tuning: sections, tables, figures and how to read them.

Imports matplotlib: set ``MPLCONFIGDIR`` first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure as Drawing

from . import figures, metrics
from .calibration import calibration
from .finetune_summary import FINE_TUNED, SPLIT_NAMES, FinetuneSummary
from .report import (
    Block,
    Bullets,
    DatasetTable,
    Figure,
    Heading,
    JobParameters,
    Note,
    Paragraph,
    References,
    Report,
    Table,
    shown,
)
from .verdict import comparisons, explanation, headline, number, warnings

DOI = "https://doi.org/"
CITATIONS = {
    "prottrans": ("ProtT5 (ProtTrans): Elnaggar et al. 2021, IEEE TPAMI.", DOI + "10.1109/TPAMI.2021.3095381"),
    "esm2": ("ESM-2: Lin et al. 2023, Science.", DOI + "10.1126/science.ade2574"),
    "lora": ("LoRA: Hu et al. 2021.", DOI + "10.48550/arXiv.2106.09685"),
    "transformers": ("Transformers: Wolf et al. 2020.", DOI + "10.18653/v1/2020.emnlp-demos.6"),
    "peft": ("PEFT: Mangrulkar et al. 2022.", "https://github.com/huggingface/peft"),
    "scikit-learn": ("scikit-learn (baselines): Pedregosa et al. 2011.", DOI + "10.48550/arXiv.1201.0490"),
}


@dataclass(frozen=True)
class _Drawn:
    caption: str
    draw: Callable[[], Drawing]


def finetune_report(summary: FinetuneSummary, *, metrics_output: str | None = None) -> Report:
    """The whole report, in the order in which a reader asks.

    Args:
        metrics_output: name of the Galaxy output with all scores, to be shown as a table; None where there is none.
    """
    report = Report("Fine-tuning report")
    drawn = _figures(summary)

    def section(title: str, *blocks: Block) -> None:
        if blocks:
            report.add(Heading(title), *blocks)

    def pictures(*names: str) -> list[Figure]:
        return [Figure(name, drawn[name].caption) for name in names if name in drawn]

    section(
        "Verdict",
        Paragraph(headline(summary), strong=True),
        Paragraph(explanation(summary)),
        Bullets(comparisons(summary)),
        *(Note(text) for text in warnings(summary)),
    )
    section("Scores", *_scores(summary, metrics_output))
    section("Learning curves", *pictures("learning-curves"))
    section("Confusion matrix", *pictures("confusion-matrix"))
    section("ROC and precision–recall", *pictures("roc", "precision-recall"))
    section("Calibration", *pictures("calibration"))
    section("Predicted and measured values", *pictures("predicted-measured", "residuals"))
    section("Baselines", *pictures("baselines"))
    section("Data", *_data(summary), *pictures("lengths"))
    section("Parameters", JobParameters(summary.parameters))
    section("Versions and model", Bullets(_versions(summary)))
    section(
        "How to cite",
        Paragraph("If these results go into a paper, please cite what made them."),
        References([CITATIONS[key] for key in summary.citations]),
    )
    return report


def save_figures(summary: FinetuneSummary, folder: Path, formats: Sequence[str] = ("png",)) -> list[str]:
    """Draw every figure of the report into ``folder``; returns their names."""
    drawn = _figures(summary)
    for name, figure in drawn.items():
        figures.save(figure.draw(), folder, name, formats)
    return list(drawn)


def _figures(summary: FinetuneSummary) -> dict[str, _Drawn]:
    """Name -> caption and how to draw it, for what this summary has data for."""
    split = summary.deciding
    truth, predicted = summary.truth[split], summary.predictions[FINE_TUNED][split]
    scores = summary.scores[FINE_TUNED][split]
    where = f"{SPLIT_NAMES[split]}, {len(truth):,} sequences"
    label = summary.label(summary.metric)
    drawn = {}
    if summary.history:
        drawn["learning-curves"] = _Drawn(
            _learning_caption(summary),
            lambda: figures.learning_curves(summary.history, summary.metric, label, summary.best_epoch),
        )
    if summary.regression:
        drawn["predicted-measured"] = _Drawn(
            f"Predicted against measured values ({where}). On the dotted line they are equal.",
            lambda: figures.scatter(truth, predicted, scores),
        )
        drawn["residuals"] = _Drawn(
            "What is left to explain: predicted less measured. A slope or a funnel means that errors depend on the "
            "value; far points are worth a look.",
            lambda: figures.residuals(truth, predicted),
        )
    else:
        drawn |= _class_figures(summary, truth, predicted, scores, where)
    drawn["baselines"] = _Drawn(
        f"{label} of each model with its 95 % interval ({where}). Intervals may overlap and the difference still be "
        "clear, as all models saw the same sequences: the verdict compares them pair by pair.",
        lambda: figures.baselines({name: summary.score(name) for name in summary.models}, label, FINE_TUNED),
    )
    drawn["lengths"] = _Drawn(
        "Lengths of the sequences. Splits that differ much in length are not of the same kind.",
        lambda: figures.lengths(summary.lengths),
    )
    return drawn


def _class_figures(summary: FinetuneSummary, truth, predicted, scores, where: str) -> dict[str, _Drawn]:
    classes, positive = summary.classes, summary.positive
    bins = calibration(truth, predicted, positive=positive)
    drawn = {
        "confusion-matrix": _Drawn(
            f"Rows are true classes, columns what the model called them ({where}). Each cell has the number and the "
            "share of its row; what is right is on the diagonal.",
            lambda: figures.confusion_matrix(truth, summary.called, classes),
        ),
    }
    if len(np.unique(truth)) > 1:
        several = "One curve a class against all others, and their mean. " if len(classes) > 2 else ""
        drawn["roc"] = _Drawn(
            f"ROC ({where}). {several}Up and to the left is better; the dotted diagonal is guessing.",
            lambda: figures.roc(truth, predicted, classes, positive, scores["auroc"]),
        )
        chance = "" if several else " The dotted line, the share of positives, is guessing."
        drawn["precision-recall"] = _Drawn(
            f"Precision–recall. {several}Up and to the right is better; with few positives this tells more than "
            f"ROC.{chance}",
            lambda: figures.precision_recall(truth, predicted, classes, positive, scores["auprc"]),
        )
    drawn["calibration"] = _Drawn(
        "Whether probabilities can be taken at their word: of sequences given 0.8, 8 in 10 should be right. Below the "
        f"diagonal the model is too sure. Brier score {bins.brier:.3f}, expected calibration error {bins.ece:.3f} "
        "(0 is perfect); bars are 95 % intervals.",
        lambda: figures.reliability(truth, predicted, classes, positive),
    )
    return drawn


def _learning_caption(summary: FinetuneSummary) -> str:
    text = "Loss after each epoch. Validation loss that rises while training loss falls is overfitting."
    if not summary.best_epoch:
        return text + " Without a validation set the last epoch was kept."
    chosen = "loss" if summary.chosen_by == "loss" else summary.label(summary.chosen_by or summary.metric)
    text += f" Epoch {summary.best_epoch} of {len(summary.history)} was kept for its validation {chosen}."
    if summary.best_epoch == len(summary.history):
        text += " It was the last one, so more epochs may help."
    return text


def _scores(summary: FinetuneSummary, metrics_output: str | None) -> list[Block]:
    names = metrics.metrics_for(summary.task)
    split, scores = summary.deciding, summary.scores
    if summary.regression:
        reading = "RMSE has the unit of the values, and low is good; of the others 1 is perfect and 0 is guessing."
    else:
        share = 1 / len(summary.classes)
        reading = f"1 is perfect; guessing gives MCC 0, AUROC 0.5 and balanced accuracy {share:.2g}."
    if summary.positive is not None:
        reading += f" The positive class is {shown(summary.classes[summary.positive])}."
    compared = [
        [summary.label(name), *(_short(scores[model][split][name], name) for model in summary.models)] for name in names
    ]
    blocks: list[Block] = [
        Paragraph(f"Scores on the {SPLIT_NAMES[split]} with 95 % bootstrap intervals in brackets. {reading}"),
        Table(["Score", *summary.models], compared),
    ]
    if len(summary.splits) > 1:
        every = [
            [summary.label(name), *(number(scores[FINE_TUNED][s][name].value, name) for s in summary.splits)]
            for name in names
        ]
        learnt = "Training scores far above the others mean that the training sequences were learnt by heart."
        blocks.append(Paragraph(f"The fine-tuned model on every split. {learnt}"))
        blocks.append(Table(["Score", *(SPLIT_NAMES[name] for name in summary.splits)], every))
    if metrics_output:
        blocks.append(DatasetTable(metrics_output, "All scores"))
    return blocks


def _short(score: metrics.Score, metric: str) -> str:
    """A score and its interval with two digits, so that five columns stand side by side in Galaxy's page."""
    if np.isnan(score.value):
        return "undefined"
    digits = ".3g" if metric == "rmse" else ".2f"
    if np.isnan(score.low):
        return f"{score.value:{digits}}"
    return f"{score.value:{digits}} ({score.low:{digits}}, {score.high:{digits}})"


def _data(summary: FinetuneSummary) -> list[Block]:
    rows = []
    for split in summary.splits:
        lengths = summary.lengths[split]
        row = [split, f"{len(lengths):,}", f"{lengths.min():,} / {np.median(lengths):,.0f} / {lengths.max():,}"]
        if summary.regression:
            truth = summary.truth[split]
            row.append(f"{truth.min():.4g} / {np.median(truth):.4g} / {truth.max():.4g}")
        rows.append([*row, summary.origin.get(split, "")])
    values = ["Value: min / median / max"] if summary.regression else []
    blocks: list[Block] = [
        Table(["Split", "Sequences", "Length: min / median / max", *values, "Where it comes from"], rows)
    ]
    if not summary.regression:
        counts = {split: np.bincount(summary.truth[split], minlength=len(summary.classes)) for split in summary.splits}
        blocks.append(
            Table(
                ["Class", *summary.splits],
                [[name, *(f"{counts[s][c]:,}" for s in summary.splits)] for c, name in enumerate(summary.classes)],
            )
        )
    notes = [f"Equal sequences {what}: {count:,}." for what, count in summary.duplicates.items()]
    blocks.append(Bullets([*(notes or ["No sequence occurs twice."]), *(f"{rule}." for rule in summary.rules)]))
    blocks.append(
        Paragraph(
            "Only equal sequences are counted here. Similar ones, such as homologous proteins, on both sides of a "
            "split also make scores look better than they are."
        )
    )
    return blocks


def _versions(summary: FinetuneSummary) -> list[str]:
    share = summary.trained_weights / summary.total_weights if summary.total_weights else 0
    lines = [
        ("Base model", summary.base_model),
        ("Revision", summary.revision),
        ("SHA-256 of its weights", summary.sha256),
        ("Model family", summary.family),
        ("Weights trained", f"{summary.trained_weights:,} of {summary.total_weights:,} ({share:.2%})"),
        ("Seed", str(summary.seed)),
        ("SHA-256 of the data", summary.data_sha256),
        ("Software", ", ".join(f"{name} {version}" for name, version in summary.versions.items())),
    ]
    return [f"{name}: {shown(value, 300)}" for name, value in lines if value]
