"""What a report says of a cross-validation, and of conformal sets."""

from __future__ import annotations

import numpy as np

from seqlm.cli.text import shown
from seqlm.metrics.conformal import least
from seqlm.report.report import Block, Paragraph, Table
from seqlm.report.words import SPLIT_NAMES, in_sentence, listed, number, ranged, with_interval

from .summary import FINE_TUNED, Check, FinetuneSummary

MOST_CLASSES = 8  # whose coverage is listed


def folds_section(summary: FinetuneSummary) -> list[Block]:
    """How the folds were made, how well each model did on what it had left out, and what the bundle holds."""
    folds = summary.folds
    if not folds:
        return []
    repeats = max(fold.repeat for fold in folds)
    count, again = len(folds) // repeats, f", {repeats} times anew" if repeats > 1 else ""
    name = in_sentence(summary.label(summary.metric))
    scores = np.asarray([fold.scores[FINE_TUNED] for fold in folds])
    defined = scores[np.isfinite(scores)]
    spread = ""
    if len(defined) > 1:
        ends = (min(defined), max(defined), defined.std(ddof=1))
        low, high, deviation = (number(value, summary.metric) for value in ends)
        spread = (
            f" {summary.label(summary.metric)} of single folds goes from {low} to {high} (standard deviation "
            f"{deviation}): how much depends on which {summary.wholes} happen to be held out."
        )
    text = (
        f"The labelled {summary.many if summary.unit == 'pair' else summary.wholes} were divided into {count} "
        f"folds{again}; {summary.fold_groups}. A model was trained for each fold on the others, with a validation part "
        "of these that chose its epoch, and predicted the fold that it had not seen. Baselines were fitted on the same "
        f"parts.{spread} The bundle holds all {len(folds)} models, and predicts their mean."
    )
    if start := sum(fold.best_epoch == 0 for fold in folds):
        text += (
            f" In {start} of {len(folds)} no epoch was better than the start (0), the simple model on the base model's "
            "embeddings."
        )
    if "test" in summary.truth:
        text += (
            f" On the {SPLIT_NAMES['test']} of {summary.size('test')}, which took no part, this mean has {name} "
            f"{with_interval(summary.scores[FINE_TUNED]['test'][summary.metric], summary.metric)}."
        )
    rows = [
        [
            f"{fold.number}" + (f" ({fold.repeat})" if repeats > 1 else ""),
            f"{fold.units:,}",
            *(number(fold.scores[model], summary.metric) for model in summary.models),
            "–" if fold.best_epoch is None else f"{fold.best_epoch:g}",
        ]
        for fold in folds
    ]
    return [Paragraph(text), Table(["Fold", summary.many.capitalize(), *summary.models, "Epoch kept"], rows)]


def coverage_section(summary: FinetuneSummary) -> list[Block]:
    """What sets and intervals at the chosen coverage are, and how often they held the truth."""
    if not summary.coverage:
        return []
    if not summary.checks:
        return [
            Paragraph(
                f"Sets that hold the truth with a coverage of {summary.coverage:g} need at least "
                f"{least(summary.coverage)} {summary.wholes} that training left out, and a test set or folds to check "
                "them. There are too few."
            )
        ]
    what = "An interval" if summary.regression else "A set"
    of_what = "values" if summary.regression else "classes"
    text = (
        f"{what} of a coverage of {summary.coverage:g} holds all {of_what} that the model cannot exclude, so that "
        f"{100 * summary.coverage:g} % of sets hold the truth (conformal prediction). "
    )
    if summary.regression:
        text = text.replace("of sets hold", "of intervals hold") + "A narrow one says that the model is sure."
    elif summary.several:
        text += "Each label is present, absent, or unsure."
    else:
        text += "A set of one class says that the model is sure, one of several that it cannot tell them apart."
    source = "the held-out folds" if summary.folds else "the validation set, which chose the epoch too,"
    text += f" They are made from how wrong the model was on {source} and promise nothing for other kinds of sequences."
    if summary.folds:
        text += (
            f" What is proven of an ensemble (CV+) is a coverage of {max(0.0, 2 * summary.coverage - 1):.2g}; what is "
            f"met is mostly {summary.coverage:g}. Of the held-out folds each is checked by the scores of the others."
        )
    if summary.unit == "residue":
        text += (
            f" {summary.many.capitalize()} of one {summary.wholes[:-1]} are right or wrong together: the promise is "
            f"about one {summary.one}{'' if summary.regression else ' of each class'}, drawn from a new "
            f"{summary.wholes[:-1]}."
        )
    blocks: list[Block] = [Paragraph(text), Table(*_table(summary))]
    return blocks + [Paragraph(line) for line in [_by_class(summary, summary.checks[0])] if line]


def _table(summary: FinetuneSummary) -> tuple[list[str], list[list[str]]]:
    last = {True: ["Median width"], False: ["Unsure" if summary.several else "Classes in a set", "Sure of one class"]}
    header = ["Checked on", summary.many.capitalize(), "Held the truth", *last[summary.regression]]
    rows = []
    for check in summary.checks:
        row = [SPLIT_NAMES[check.split], f"{check.units:,}", ranged(check.held, ".2f")]
        if summary.regression:
            row.append(f"{check.size:.4g}")
        elif summary.several:
            row += [f"{check.size:.0%}"]
        else:
            row += [f"{check.size:.2f}", f"{check.certain:.0%}"]
        rows.append(row)
    return header[: len(rows[0])], rows


def _by_class(summary: FinetuneSummary, check: Check) -> str:
    if not check.by_class:
        return ""
    parts = [
        f"{share:.2f} of the {count:,} of {shown(summary.classes[y])}"
        for y, (share, count) in list(check.by_class.items())[:MOST_CLASSES]
    ]
    text = f"Class by class, sets held the truth on the {SPLIT_NAMES[check.split]} for {listed(parts)}."
    if check.pooled:
        text += (
            f" A class has fewer than {least(summary.coverage)} {summary.many} to compare with, so all were compared "
            "together: the coverage holds over all classes, and may be lower for a rare one."
        )
    return text
