"""The report of the training of a language model: sections, tables, figures and how to read them.

Imports matplotlib: set ``MPLCONFIGDIR`` first.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from seqlm.cli.text import shown
from seqlm.cli.versions import in_one_line
from seqlm.metrics.language_scores import BITS, LABELS
from seqlm.metrics.resampling import Score
from seqlm.report import figures
from seqlm.report.citations import CITATIONS
from seqlm.report.figures import Drawn
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
from seqlm.report.words import SPLIT_NAMES, quantity

from .plan import used_settings
from .run import AFTER, Result
from .verdict import comparisons, deciding, explanation, going_on, headline, reading, warnings

DOI = "https://doi.org/"
METHODS = {
    "adamw": ("AdamW: Loshchilov & Hutter 2019.", DOI + "10.48550/arXiv.1711.05101"),
    "bert": ("Masked language models: Devlin et al. 2019.", DOI + "10.18653/v1/N19-1423"),
    "gpt2": ("GPT-2: Radford et al. 2019.", "https://openai.com/index/better-language-models/"),
    "roberta": ("RoBERTa: Liu et al. 2019.", DOI + "10.48550/arXiv.1907.11692"),
    "span": ("Masked spans: Joshi et al. 2020.", DOI + "10.1162/tacl_a_00300"),
}


def pretraining_report(result: Result, *, metrics_output: str | None = None) -> Report:
    """The whole report, in the order in which a reader asks.

    Args:
        metrics_output: name of the Galaxy output with all scores, to be shown as a table; None where there is none.
    """
    titles = {
        "instruction": "Report: a model that follows instructions",
        "causal": "Report: a model that writes sequences",
    }
    report = Report(titles.get(result.plan.arguments.objective, "Report: a model of masked sequences"))
    drawn = figures_of(result)

    def pictures(*names: str) -> list[Figure]:
        return [Figure(name, drawn[name].caption) for name in names if name in drawn]

    report.verdict(headline(result), explanation(result), comparisons(result), notes=warnings(result))
    report.section("Answers", *_answers(result))
    report.section("Scores", *_scores(result, metrics_output), *pictures("baselines"))
    report.section("Learning curves", *pictures("learning-curves"))
    report.section("How to go on", Bullets(going_on(result)))
    report.section("Data", *_data(result))
    report.section("Parameters", JobParameters(_parameters(result)))
    report.section("Versions and model", Bullets(_versions(result)))
    report.section(
        "How to cite",
        Paragraph("If these results go into a paper, please cite what made them."),
        References(_citations(result)),
    )
    return report


def figures_of(result: Result) -> dict[str, Drawn]:
    """Name -> caption and how to draw it."""
    drawn, history = {}, result.history
    if history.epochs:
        best = history.epochs[history.best_epoch - 1]["epoch"] if history.best_epoch else 0
        drawn["learning-curves"] = Drawn(
            _learning_caption(result), lambda: figures.learning_curves(history.epochs, "perplexity", "perplexity", best)
        )
    split = deciding(result)
    if split and result.plan.examples is None:
        scores = {name: by[split][BITS] for name, by in result.scores.items()}
        drawn["baselines"] = Drawn(
            f"Bits per letter of each model with its 95 % interval ({SPLIT_NAMES[split]}), less is better. All models "
            "were judged on the same letters: the verdict compares them directly.",
            lambda: figures.baselines(scores, LABELS[BITS], AFTER),
        )
    return drawn


def save_figures(result: Result, folder: Path, formats: Sequence[str] = ("png",)) -> list[str]:
    """Draw every figure of the report into ``folder``; returns their names."""
    drawn = figures_of(result)
    for name, figure in drawn.items():
        figures.save(figure.draw(), folder, name, formats)
    return list(drawn)


def _learning_caption(result: Result) -> str:
    history = result.history
    text = "Loss of a token at each look at the validation set, the training loss that of the updates before it."
    if not history.best_epoch:
        return text + " Without a validation set the last weights were kept."
    best = history.epochs[history.best_epoch - 1]["epoch"]
    text += (
        f" Validation loss that rises while training loss falls is learning by heart. The weights of epoch {best} were "
        "kept."
    )
    if history.stopped_early:
        return text + " Training stopped there, as it got no better."
    if history.best_epoch == len(history.epochs):
        text += " It was the last look, so more epochs may help."
    return text


def _scores(result: Result, metrics_output: str | None) -> list[Block]:
    split = deciding(result)
    if not split:
        return []
    compared = [[name, *(_short(by[split].get(metric)) for metric in LABELS)] for name, by in result.scores.items()]
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
    rows = [[name, _short(score), _short(answers.beside.get(name))] for name, score in answers.scores.items()]
    # a sequence has no blank where a line could end, and a wide column pushes the answers off the page
    examples = [[row[1], shown(row[2], 24), row[3], row[4]] for row in answers.rows[:8]]
    return [
        Paragraph(answers.explanation),
        Table(["Score", "Model", answers.baseline], rows),
        Table(["Instruction", "Input", "Truth", "Answer"], examples),
    ]


def _short(score: Score | None) -> str:
    if score is None:
        return "–"
    if score.low != score.low:
        return f"{score.value:.3g}"
    return f"{score.value:.3g} ({score.low:.3g}, {score.high:.3g})"


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


def _parameters(result: Result) -> dict[str, str]:
    arguments = result.plan.arguments
    return {
        name.replace("_", " "): str(value)
        for name in used_settings(result.plan)
        if (value := getattr(arguments, name)) not in (None, "")
    }


def _versions(result: Result) -> list[str]:
    plan, share = result.plan, result.trained / max(result.total, 1)
    config = plan.family
    lines = [
        ("Base model", plan.name if not plan.new else ""),
        ("SHA-256 of its weights", plan.base.sha256 if plan.base else ""),
        (
            "Model",
            f"{config.name}, {config.depth} layers, width {config.hidden_size}, {config.vocabulary_size:,} tokens",
        ),
        ("Weights trained", f"{result.trained:,} of {result.total:,} ({share:.2%})"),
        ("Updates", f"{result.step:,} of {result.steps:,}"),
        (
            "Processes",
            f"{plan.arguments.processes} ({plan.arguments.strategy})" if plan.arguments.processes > 1 else "",
        ),
        ("Seed", str(plan.arguments.seed)),
        ("SHA-256 of the data", plan.sha256[:16] + "…"),
        ("Software", in_one_line(result.manifest["versions"])),
    ]
    return [f"{name}: {shown(value, 300)}" for name, value in lines if value]


def _citations(result: Result) -> list[tuple[str, str]]:
    plan = result.plan
    keys = {*plan.family.citations, "transformers", "smoothing"} | ({"lora", "peft"} if plan.adapted else set())
    own = {"adamw", plan.arguments.architecture} | (set() if plan.causal else {"bert"})
    if plan.arguments.masking == "span" and not plan.causal:
        own.add("span")
    return [CITATIONS[key] for key in CITATIONS if key in keys] + [METHODS[key] for key in METHODS if key in own]
