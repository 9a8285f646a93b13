"""The report of the training of a language model: sections, tables, figures and how to read them.

Imports matplotlib: set ``MPLCONFIGDIR`` first.
"""

from __future__ import annotations

from seqlm.cli.text import shown
from seqlm.metrics.language_scores import LABELS
from seqlm.report.outputs import parameters
from seqlm.report.report import Block, Bullets, DatasetTable, Paragraph, Report, Table
from seqlm.report.words import SPLIT_NAMES, quantity, quantity_text

from .figures import figures_of
from .plan import used_settings
from .run import AFTER, Result
from .verdict import comparisons, deciding, explanation, going_on, headline, reading, warnings


def pretraining_report(result: Result, *, metrics_output: str | None = None) -> Report:
    """The whole report, in the order in which a reader asks.

    Args:
        metrics_output: name of the Galaxy output with all scores, to be shown as a table; None where there is none.
    """
    titles = {
        "instruction": "Report: a model that follows instructions",
        "causal": "Report: a model that writes sequences",
    }
    arguments = result.plan.arguments
    report = Report(titles.get(arguments.objective, "Report: a model of masked sequences"), drawn=figures_of(result))
    report.verdict(headline(result), explanation(result), comparisons(result), notes=warnings(result))
    report.section("Answers", *_answers(result))
    report.section("Scores", *_scores(result, metrics_output), *report.pictures("baselines"))
    report.section("Learning curves", *report.pictures("learning-curves"))
    report.section("How to go on", Bullets(going_on(result)))
    report.section("Data", *_data(result))
    used = parameters(arguments, used_settings(result.plan))
    report.closing(used, result.manifest["versions"], _cited(result), _about(result), trained=True)
    return report


def _scores(result: Result, metrics_output: str | None) -> list[Block]:
    split = deciding(result)
    if not split:
        return []
    compared = [
        [name, *(quantity_text(by[split].get(metric)) for metric in LABELS)] for name, by in result.scores.items()
    ]
    blocks: list[Block] = [
        Paragraph(
            f"Scores on the {SPLIT_NAMES[split]} with 95 % bootstrap intervals in brackets; less is better. "
            + reading(result)
        ),
        Table(["Model", *LABELS.values()], compared),
    ]
    if len(result.scores[AFTER]) > 1:
        every = [
            [label, *(quantity(by[metric].value) for by in result.scores[AFTER].values())]
            for metric, label in LABELS.items()
        ]
        blocks += [
            Paragraph("The trained model on every held-out set."),
            Table(["Score", *result.scores[AFTER]], every),
        ]
    if metrics_output:
        blocks.append(DatasetTable(metrics_output, "All scores with their intervals"))
    return blocks


def _answers(result: Result) -> list[Block]:
    answers = result.answers
    if not answers:
        return []
    rows = [
        [name, quantity_text(score), quantity_text(answers.beside.get(name))] for name, score in answers.scores.items()
    ]
    # a sequence has no blank where a line could end, and a wide column pushes the answers off the page
    examples = [[row[1], shown(row[2], 24), row[3], row[4]] for row in answers.rows[:8]]
    return [
        Paragraph(answers.explanation),
        Table(["Score", "Model", answers.baseline], rows),
        Table(["Instruction", "Input", "Truth", "Answer"], examples),
    ]


def _data(result: Result) -> list[Block]:
    plan = result.plan
    rows = [
        [split, f"{result.rows[split]:,}", f"{result.tokens[split]:,}", _letters(result, split)]
        for split in plan.splits
    ]
    notes = []
    if plan.corpus is not None:
        repeated = plan.corpus.repeated
        notes = [
            f"{plan.corpus.records:,} sequence{'s' * (plan.corpus.records != 1)} of {plan.corpus.letters:,} letters, "
            f"{plan.corpus.alphabet}. Held out: {plan.documents.way}.",
            f"Equal sequences: {repeated:,}, each on one side with its like."
            if repeated
            else "No sequence occurs twice.",
        ]
        if plan.arguments.both_strands:
            notes.append("Both strands were learnt from; what is held out was judged on the strand that was given.")
        notes.append(
            "Each set that is held out has at most "
            f"{plan.arguments.held_out_letters:,} letters, so that looking at it takes little time."
        )
    notes += [f"{rule}." for rule in plan.rules.lines()]
    return [Table(["Split", "Rows", "Tokens", "Letters"], rows), *([Bullets(notes)] if notes else [])]


def _letters(result: Result, split: str) -> str:
    if result.plan.documents is None:
        return f"{result.letters[split]:,}" if split in result.letters else "–"
    return f"{result.plan.documents.letters(['train', 'validation', 'test'].index(split)):,}"


def _about(result: Result) -> dict[str, str]:
    plan, share = result.plan, result.trained / max(result.total, 1)
    config, arguments = plan.family, plan.arguments
    return {
        "Base model": plan.name if not plan.new else "",
        "SHA-256 of its weights": plan.base.sha256 if plan.base else "",
        "Model": f"{config.name}, {config.depth} layers, width {config.hidden_size}, {config.vocabulary_size:,} tokens",
        "Weights trained": f"{result.trained:,} of {result.total:,} ({share:.2%})",
        "Updates": f"{result.step:,} of {result.steps:,}",
        "Processes": f"{arguments.processes} ({arguments.strategy})" if arguments.processes > 1 else "",
        "Seed": str(arguments.seed),
        "SHA-256 of the data": plan.sha256[:16] + "…",
    }


def _cited(result: Result) -> set[str]:
    plan = result.plan
    keys = {*plan.family.citations, "transformers", "smoothing", "adamw", plan.arguments.architecture}
    keys |= {"lora", "peft"} if plan.adapted else set()
    if not plan.causal:
        keys |= {"bert", "span"} if plan.arguments.masking == "span" else {"bert"}
    return keys
