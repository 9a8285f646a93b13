"""The report of a fine-tuning: sections, tables, figures and how to read them.

Imports matplotlib: set ``MPLCONFIGDIR`` first.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from seqlm.cli.text import shown
from seqlm.metrics import metrics
from seqlm.report.report import Block, Bullets, DatasetTable, Paragraph, Report, Table
from seqlm.report.words import SPLIT_NAMES, number, score_text

from .figures import figures_of, of_labels
from .fold_report import coverage_section, folds_section
from .summary import FINE_TUNED, FinetuneSummary
from .tries import in_words
from .verdict import comparisons, explanation, headline, warnings

MOST_LABELS = 20  # rows of the table of labels


def finetune_report(summary: FinetuneSummary, *, metrics_output: str | None = None) -> Report:
    """The whole report, in the order in which a reader asks.

    Args:
        metrics_output: name of the Galaxy output with all scores, to be shown as a table; None where there is none.
    """
    report = Report("Fine-tuning report", drawn=figures_of(summary))
    pictures = report.pictures
    report.verdict(headline(summary), explanation(summary), comparisons(summary), notes=warnings(summary))
    report.section("Scores", *_scores(summary, metrics_output))
    report.section("Cross-validation", *folds_section(summary))
    report.section("Sets that hold the truth", *coverage_section(summary))
    report.section("Sweep", *_sweep(summary))
    report.section("Learning curves", *pictures("learning-curves"))
    report.section("Confusion matrix", *pictures("confusion-matrix"))
    report.section("Labels", *(_labels(summary) if summary.several else ()), *pictures("labels"))
    report.section("ROC and precision–recall", *pictures("roc", "precision-recall"))
    report.section("Calibration", *pictures("calibration"))
    report.section("Predicted and measured values", *pictures("predicted-measured", "residuals"))
    report.section("Baselines", *pictures("baselines"))
    report.section("Data", *_data(summary), *pictures("lengths"))
    report.section("Ways to train this model", *summary.compared())
    report.closing(
        summary.parameters, summary.versions, {*summary.citations, *_methods(summary)}, summary.about(), trained=True
    )
    return report


def _sweep(summary: FinetuneSummary) -> list[Block]:
    """What was tried, how good it was, and what that choice rests on."""
    if not summary.tries:
        return []
    best = min(summary.tries, key=lambda one: one.loss)
    rows = [
        [in_words(one.settings), f"{one.loss:.4f}", f"{np.std(one.losses, ddof=1):.4f}", "yes" if one is best else ""]
        for one in summary.tries
    ]
    text = (
        f"{len(summary.tries)} settings were tried on the same {len(best.losses)} folds within the training set. The "
        f"one with the lowest mean loss, {in_words(best.settings)}, was then trained once on the whole training set. "
        "Neither the validation nor the test set had a part in the choice. Settings whose losses differ by less than "
        "the deviation over folds are hardly different."
    )
    return [Paragraph(text), Table(["Setting", "Loss on what was left out", "Deviation over folds", "Chosen"], rows)]


def _methods(summary: FinetuneSummary) -> list[str]:
    """Citations of what this report itself uses."""
    keys = ["lp-ft", *(["fmax"] if summary.several else [])]
    keys += ["temperature"] if summary.temperature != 1 else []
    keys += ["proteins-drawn"] if summary.groups else []
    keys += ["conformal"] if summary.checks else []
    keys += ["cv-plus"] if summary.checks and summary.folds else []
    return keys + (["new-proteins", "pair-leakage"] if summary.unit == "pair" else [])


def _scores(summary: FinetuneSummary, metrics_output: str | None) -> list[Block]:
    names = metrics.metrics_for(summary.task)
    split, scores = summary.deciding, summary.scores
    compared = [
        [summary.label(name), *(score_text(scores[model][split][name], name) for model in summary.models)]
        for name in names
    ]
    reading = f"Scores on the {SPLIT_NAMES[split]} with 95 % bootstrap intervals in brackets. {_reading(summary)}"
    blocks: list[Block] = [Paragraph(reading), Table(["Score", *summary.models], compared)]
    if called := _calling(summary):
        blocks.append(Paragraph(called))
    if len(summary.splits) > 1:
        every = [
            [summary.label(name), *(number(scores[FINE_TUNED][s][name].value, name) for s in summary.splits)]
            for name in names
        ]
        text = (
            "The fine-tuned models on what they left out, and their mean on the test set."
            if summary.folds
            else (
                "The fine-tuned model on every split. Training scores far above the others mean that the training "
                f"{summary.wholes if summary.unit == 'residue' else summary.many} were learnt by heart."
            )
        )
        if "validation" in summary.splits:
            chosen = "epochs" if summary.chosen_threshold is None else "epochs and thresholds"
            text += f" Validation scores are a little too good, as that set chose between {chosen}."
        blocks.append(Paragraph(text))
        blocks.append(Table(["Score", *(SPLIT_NAMES[name] for name in summary.splits)], every))
    if metrics_output:
        blocks.append(DatasetTable(metrics_output, "All scores"))
    return blocks


def _reading(summary: FinetuneSummary) -> str:
    """How to read the scores."""
    if summary.regression:
        return "RMSE has the unit of the values, and low is good; of the others 1 is perfect and 0 is guessing."
    if summary.several:
        return (
            "1 is perfect. Macro scores are means over labels, so that a rare label counts as much as a frequent one; "
            "micro scores put all labels of all sequences together, so that frequent labels decide. Guessing gives a "
            "macro AUROC of 0.5. Fmax is the best balance of precision and recall over all thresholds, as in the CAFA "
            "challenges of protein function; every model gets the threshold that suits it best here."
        )
    share = 1 / len(summary.classes)
    if summary.positive is None:
        return f"1 is perfect; guessing gives MCC 0, AUROC 0.5 and balanced accuracy {share:.2g}."
    frequent = np.mean(summary.truth[summary.deciding] == summary.positive)
    why = summary.positive_why and f", {summary.positive_why}"
    return (
        f"1 is perfect; guessing gives MCC 0, AUROC 0.5, balanced accuracy {share:.2g} and AUPRC {frequent:.2g}, the "
        f"share of positives. The positive class is {shown(summary.classes[summary.positive])}{why}."
    )


def _calling(summary: FinetuneSummary) -> str:
    """From which probability on a class is called, where the validation set chose that."""
    threshold = summary.chosen_threshold
    if threshold is None:
        return ""
    where = "other folds" if summary.folds else "validation set"
    best = f"the best {metrics.label(summary.threshold_by)} on the {where}"
    if np.ndim(threshold):
        text = f"Each label has a threshold of its own: it is called from the probability on that has {best}."
    else:
        text = (
            f"A {summary.one} is called {shown(summary.classes[1])} from a probability of {threshold:#.2g} on, the "
            f"threshold with {best}."
        )
    return f"{text} Baselines have thresholds of their own, chosen in the same way."


def _labels(summary: FinetuneSummary) -> list[Block]:
    found = of_labels(summary, FINE_TUNED, MOST_LABELS)
    rows = [
        [
            shown(summary.classes[one.place]),
            f"{one.size:,}" + (f" of {one.known:,}" if one.known < len(summary.truth[summary.deciding]) else ""),
            f"{one.called:,}",
            f"{one.threshold:#.2g}",
            score_text(one.f1, "f1"),
            score_text(one.auroc, "auroc"),
        ]
        for one in found
    ]
    which = (
        f"The {MOST_LABELS} most frequent of {len(summary.classes):,} labels: how"
        if len(found) == MOST_LABELS
        else "How"
    )
    text = (
        f"{which} many sequences of the {SPLIT_NAMES[summary.deciding]} have each label, how many are called to have "
        "it, from which probability on, and how well that does."
    )
    return [Paragraph(text), Table(["Label", "Have it", "Called", "Threshold", "F1", "AUROC"], rows)]


def _data(summary: FinetuneSummary) -> list[Block]:
    columns = _columns(summary)
    blocks: list[Block] = [
        Table(list(columns), [[cell(split) for cell in columns.values()] for split in summary.splits]),
        *_class_counts(summary),
    ]
    if summary.window:
        middle = " or ".join(summary.sites)
        blocks.append(
            Paragraph(
                f"All sequences are windows of {summary.window} residues with {middle} in the middle, so the model can "
                "also scan whole proteins for such sites: choose that when you predict with it."
            )
        )
    elif summary.sites:
        blocks.append(
            Paragraph(
                f"Labels are on {' or '.join(summary.sites)} only. The model has learnt nothing of others: when "
                "you predict with it, scan for sites, which gives rows for these residues only."
            )
        )
    notes = [] if summary.unit == "pair" else ["No sequence occurs twice."]  # of pairs, the table has the number
    if summary.unit == "pair":
        told = {what: count for what, count in summary.duplicates.items() if what.startswith("pairs ")}
        notes = [f"{what[0].upper()}{what[1:]}: {count:,}." for what, count in told.items()]
    elif summary.duplicates:
        notes = [f"Equal sequences {what}: {count:,}." for what, count in summary.duplicates.items()]
    if notes or summary.rules:
        blocks.append(Bullets([*notes, *(f"{rule}." for rule in summary.rules)]))
    counted = "sequences of the same name" if summary.unit == "pair" else "equal sequences"
    if summary.folds:
        return blocks
    blocks.append(
        Paragraph(
            f"Only {counted} are counted here. Similar ones, such as homologous proteins, on both sides of a split "
            "also make scores look better than they are."
        )
    )
    return blocks


def _columns(summary: FinetuneSummary) -> dict[str, Callable[[str], str]]:
    """Header -> cell of a split, of the table of splits."""
    truth, lengths = summary.truth, summary.lengths
    columns: dict[str, Callable[[str], str]] = {"Split": str}
    length = f"{summary.wholes[:-1].capitalize()} length"
    if summary.unit == "residue":
        columns[summary.wholes.capitalize()] = lambda split: f"{len(lengths[split]):,}"
    columns[summary.many.capitalize()] = lambda split: f"{len(truth[split]):,}"
    if summary.unit == "residue":
        columns["Not known, not counted"] = lambda split: f"{summary.masked.get(split, 0):,}"
    elif summary.unit == "pair":
        columns[summary.wholes.capitalize()] = lambda split: f"{len(lengths[split]):,}"
        columns["Of them in training pairs"] = lambda split: (
            "" if split == "train" else f"{summary.shared_members(split):,}"
        )
    else:
        length = "Length"
    columns[f"{length}: min / median / max"] = lambda split: (
        f"{lengths[split].min():,} / {np.median(lengths[split]):,.0f} / {lengths[split].max():,}"
    )
    if summary.regression:
        columns["Value: min / median / max"] = lambda split: (
            f"{truth[split].min():.4g} / {np.median(truth[split]):.4g} / {truth[split].max():.4g}"
        )
    if summary.several:
        columns["Labels each"] = lambda split: f"{(truth[split] == 1).sum(axis=1).mean():.2f}"
        columns["Without a label"] = lambda split: f"{(truth[split] != 1).all(axis=1).sum():,}"
    columns["Where it comes from"] = lambda split: summary.origin.get(split, "")
    return columns


def _class_counts(summary: FinetuneSummary) -> list[Block]:
    """How many units of each class there are in each split."""
    if summary.regression:
        return []
    rows, order = [], range(len(summary.classes))
    if summary.several:  # there may be too many for the page: the most frequent first
        order = np.argsort(-(summary.truth[summary.learnt] == 1).sum(axis=0), kind="stable")
    unknown = summary.several and any((truth < 0).any() for truth in summary.truth.values())
    for c in order:
        cells = []
        for split in summary.splits:
            truth = summary.truth[split]
            count = int(np.sum(truth[:, c] == 1 if summary.several else truth == c))
            share = f" ({count / len(truth):.1%})" if summary.unit == "residue" else ""
            known = f" of {int((truth[:, c] >= 0).sum()):,}" if unknown else ""
            cells.append(f"{count:,}{known}{share}")
        if unknown:
            cells.append(f"{sum(int((summary.truth[split][:, c] < 0).sum()) for split in summary.splits):,}")
        rows.append([summary.classes[c], *cells])
    header = [
        "Label" if summary.several else "Class",
        *summary.splits,
        *(["Not known, not counted"] if unknown else []),
    ]
    return [Table(header, rows)]
