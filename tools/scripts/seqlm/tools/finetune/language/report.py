"""The report of the fine-tuning of a language model: sections, tables, figures and how to read them.

Imports matplotlib: set ``MPLCONFIGDIR`` first.
"""

from __future__ import annotations

import numpy as np

from seqlm.metrics.language_scores import LABELS
from seqlm.report.report import Block, Bullets, DatasetTable, Paragraph, Report, Table
from seqlm.report.words import SPLIT_NAMES, quantity, quantity_text

from .figures import figures_of
from .summary import AFTER, LanguageSummary
from .verdict import comparisons, explanation, going_on, headline, reading, warnings


def language_report(summary: LanguageSummary, *, metrics_output: str | None = None) -> Report:
    """The whole report, in the order in which a reader asks.

    Args:
        metrics_output: name of the Galaxy output with all scores, to be shown as a table; None where there is none.
    """
    report = Report("Fine-tuning report: a model that writes sequences", drawn=figures_of(summary))
    pictures = report.pictures
    report.verdict(headline(summary), explanation(summary), comparisons(summary), notes=warnings(summary))
    report.section("Scores", *_scores(summary, metrics_output), *pictures("baselines"))
    report.section("Learning curves", *pictures("learning-curves"))
    report.section("Sequences before and after", *pictures("before-after"))
    report.section("How to go on", Bullets(going_on(summary)))
    report.section("Data", *_data(summary), *pictures("lengths"))
    report.section("Ways to train this model", *summary.compared())
    report.closing(summary.parameters, summary.versions, summary.citations, summary.about(), trained=True)
    return report


def _scores(summary: LanguageSummary, metrics_output: str | None) -> list[Block]:
    split = summary.deciding
    compared = [
        [name, *(quantity_text(summary.scores[name][split].get(metric)) for metric in LABELS)]
        for name in summary.models
    ]
    blocks: list[Block] = [
        Paragraph(
            f"Scores on the {SPLIT_NAMES[split]} with 95 % bootstrap intervals in brackets; less is better. "
            + reading(summary)
        ),
        Table(["Model", *LABELS.values()], compared),
    ]
    if len(summary.splits) > 1:
        every = [
            [label, *(quantity(summary.score(AFTER, metric, one).value) for one in summary.splits)]
            for metric, label in LABELS.items()
        ]
        blocks.append(
            Paragraph(
                "The fine-tuned model on every split. A perplexity of training sequences far below the others means "
                "that they were partly learnt by heart."
            )
        )
        blocks.append(Table(["Score", *summary.splits], every))
    if metrics_output:
        blocks.append(DatasetTable(metrics_output, "All scores with their intervals"))
    return blocks


def _data(summary: LanguageSummary) -> list[Block]:
    rows = [
        [
            split,
            f"{len(lengths):,}",
            f"{lengths.min():,} / {np.median(lengths):,.0f} / {lengths.max():,}",
            f"{summary.tokens[split]:,}",
            summary.origin.get(split, ""),
        ]
        for split, lengths in ((split, summary.lengths[split]) for split in summary.splits)
    ]
    notes = [f"Equal sequences {what}: {count:,}." for what, count in summary.duplicates.items()]
    notes = notes or ["No sequence occurs twice."]
    columns = ["Split", "Sequences", "Length: min / median / max", "Tokens told", "Where it comes from"]
    return [Table(columns, rows), Bullets([*notes, *(f"{rule}." for rule in summary.rules)])]
