"""The report on scores: what came out, whether it can be trusted, and how it was computed."""

from __future__ import annotations

import numpy as np

from seqlm.cli.outputs import Outputs
from seqlm.cli.text import shown
from seqlm.cli.versions import versions
from seqlm.data.records import PROTEIN
from seqlm.inference.score_methods import MASKED, ONE_PASS, PSEUDO, RATIO, WILD_TYPE
from seqlm.metrics.resampling import mean
from seqlm.report.outputs import parameters, wants_report, write_report
from seqlm.report.report import Block, Bullets, Note, Paragraph, Report, Table
from seqlm.report.words import sentence

from .baselines import MEANINGS, Correlation
from .inputs import SEQUENCES, Plan
from .sequences import SequenceScores
from .summary import Effects, Position, ScanSummary, Summary
from .verdict import explanation, headline, less_bits, not_known, number, trust, with_interval

PACKAGES = ("torch", "transformers", "numpy")
SETTINGS = ("method", "control", "first_position", "misfits", "max_perplexity", "keep_best", "precision", "seed")
LISTED = 5  # sequences of the lowest and of the highest perplexity
CITED = {  # by what the family of the model names, and by the method
    "esm2": "esm2",
    "prottrans": "prottrans-short",
    "dnabert2": "dnabert2",
    "esm1b": "esm1b",
    "saprot": "saprot",
    "igbert": "igbert",
    "foldseek": "foldseek",
    "protgpt2": "protgpt2-short",
    PSEUDO: "pseudo-likelihood",
    ONE_PASS: "pseudo-likelihood",
    MASKED: "zero-shot",
    WILD_TYPE: "zero-shot",
    "generator": "generator",
    "generator-2": "generator-2",
    "carbon": "carbon",
}


def write(plan: Plan, summary: Summary, outputs: Outputs) -> None:
    """Fill what was asked for of report, figures and page."""
    if wants_report(plan.arguments):
        write_report(plan.arguments, score_report(plan, summary), outputs)


def score_report(plan: Plan, summary: Summary) -> Report:
    """The whole report, in the order in which a reader asks."""
    from .figures import figures_of  # with matplotlib, which a run without a report does not need

    report = Report("Score report", drawn=figures_of(plan, summary))
    pictures = report.pictures
    report.verdict(headline(plan, summary), explanation(plan), notes=not_known(plan, summary))
    notes = map(sentence, plan.notes)
    report.section("What can be trusted", *(Note(text) for text in (*trust(plan, summary), *notes)))
    if summary.sequences:
        report.section("Perplexities", *_perplexities(plan, summary.sequences), *pictures("perplexities"))
    if summary.scan:
        report.section("Substitutions", *pictures("heat_map", "positions"), *_scan(plan, summary.scan))
    if summary.effects:
        report.section("Variants", *_variants(plan, summary.effects), *pictures("correlations", "effects"))
    if summary.agreement:
        report.section("The models beside each other", *_models(plan, summary))
    report.section("How it was computed", Bullets(_computed(plan, summary)))
    report.section("Model", Table(["Property", "Value"], _model(plan)))
    report.closing(parameters(plan.arguments, SETTINGS, unset=True), versions(PACKAGES), _cited(plan))
    return report


def _cited(plan: Plan) -> list[str]:
    method = PSEUDO if plan.method == RATIO and not plan.text else plan.method
    blosum = ["blosum62"] if plan.mode != SEQUENCES and plan.family.alphabet == PROTEIN else []
    family = plan.encoder.citations if plan.encoder else plan.family.citations
    return [*(CITED.get(key, "") for key in (*family, method)), *blosum, "transformers"]


def _models(plan: Plan, summary: Summary) -> list[Block]:
    """How each model by itself follows measured values, and how far they are apart."""
    found = summary.agreement
    what = "Sequences" if summary.sequences else "Variants"
    lines = [f"{what} that were compared: {found.number:,}"]
    if ranks := found.ranks():
        apart = f", lowest and highest of {len(ranks):,} pairs {min(ranks):.2f} and {max(ranks):.2f}"
        lines.append(f"Spearman between two models: {np.mean(ranks):.2f}{apart * (len(ranks) > 1)}")
    if found.number and summary.sequences:
        lines.append(f"Deviation of the bits a letter over the models: {found.spread:.2f} on average")
    elif found.number:
        lines.append(f"Deviation of a score over the models: {found.spread:.2f} on average")
        lines.append(f"Above the wild type for some models and below it for others: {found.opposed:,}")
    blocks: list[Block] = [Bullets(lines)]
    if scores := summary.sequences:
        named = [*zip(plan.names, scores.each, strict=True), ("their mean", scores.log_likelihood)]
        rows = []
        for name, sums in named:
            perplexity = scores.perplexities_of(sums)
            bits = with_interval(mean(scores.bits_of(sums), plan.arguments.seed))
            rows.append([shown(name, 60), _spread(perplexity[np.isfinite(perplexity)]), bits])
        blocks.append(Table(["Scores by", "Perplexity, median (lowest to highest)", "Bits a letter"], rows))
    if summary.effects and summary.effects.by_model and summary.effects.measured.model:
        by_model = zip(plan.names, summary.effects.by_model, strict=True)
        rows = [[shown(name, 60), with_interval(one) if one else "undefined"] for name, one in by_model]
        rows.append(["their mean", with_interval(summary.effects.measured.model.spearman)])
        blocks.append(Table(["Scores by", f"Spearman with {shown(plan.variants.measured, 40)}"], rows))
    return blocks


def _model(plan: Plan) -> list[list[str]]:
    if plan.others:
        named = zip(plan.names, plan.each(), strict=True)
        return [row for name, one in named for row in [["model", name], *_model_rows(one)]]
    return [["model", plan.opened.name], *_model_rows(plan)]


def _model_rows(plan: Plan) -> list[list[str]]:
    rows = [["family", plan.family.name]]
    rows.append(["kind", "causal, from left to right" if plan.text else "masked, from both sides"])
    rows.append(["sha256", plan.opened.base.sha256[:16] + "…"])
    rows.append(["tokens read at once", f"{plan.limit:,}"])
    return rows


def _perplexities(plan: Plan, scores: SequenceScores) -> list[Block]:
    known = np.isfinite(scores.perplexity)
    seed, bits = plan.arguments.seed, scores.bits
    rows = [
        ["Perplexity, median (lowest to highest)", _spread(scores.perplexity[known])],
        ["Bits a letter, the model", with_interval(mean(bits, seed))],
        ["Bits a letter, letters by their frequencies", with_interval(mean(scores.baseline, seed))],
        ["What the model saves", with_interval(less_bits(plan, scores))],
    ]
    text = (
        "Means over the sequences, with 95 % intervals of resampled sequences. The frequencies were counted in these "
        "very sequences, which favours them."
    )
    return [Table(["Measure", "Value"], rows), Paragraph(text)]


def _spread(values: np.ndarray) -> str:
    if not len(values):
        return "undefined"
    return f"{number(float(np.median(values)))} ({number(float(values.min()))} to {number(float(values.max()))})"


def _scan(plan: Plan, scan: ScanSummary) -> list[Block]:
    several = plan.survey.sequences > 1
    rows = [
        ["Positions whose mean score is below 0", f"{scan.damaging:,} of {scan.known:,}"],
        ["Positions where the wild type is the most probable letter", f"{scan.guessed:,} of {scan.known:,}"],
        ["Bits that the wild-type letter costs the model", with_interval(scan.bits)],
        ["Bits saved against the frequencies of the letters", with_interval(scan.less)],
    ]
    blosum = scan.blosum
    if blosum and not blosum.undefined:
        rows.append([f"Spearman with BLOSUM62 ({blosum.n:,} substitutions)", with_interval(blosum.model.spearman)])
    blocks: list[Block] = [
        Table(["Measure", "Value"], rows),
        Paragraph(
            "Intervals are 95 %, of resampled positions. The frequencies were counted in the same sequences. At a "
            "position of high entropy the model holds many letters for possible."
        ),
    ]
    for title, listed in (("Least tolerant", scan.most_damaging), ("Most tolerant", scan.most_tolerant)):
        blocks.append(Table([f"{title} position", "Mean", "Entropy", "Lowest", "Highest"], _extremes(listed, several)))
    return blocks


def _extremes(listed: list[Position], several: bool) -> list[list[str]]:
    return [
        [
            f"{each.letter}{each.number}" + (f" of {shown(each.id, 20)}" if several else ""),
            f"{each.mean:.2f}",
            f"{each.entropy:.2f}",
            each.worst,
            each.best,
        ]
        for each in listed
    ]


def _variants(plan: Plan, effects: Effects) -> list[Block]:
    scores, found = effects.scores, effects.measured
    middle = f"{np.median(scores):.2f} ({scores.min():.2f} to {scores.max():.2f})"
    lines = [f"{len(scores):,} variants, median score {middle}, lowest and highest in brackets"]
    if plan.variants.repeated:
        lines.append(f"equal to one before them, with the same score: {plan.variants.repeated:,}")
    unchanged = sum(not each.changes and not each.sequence for each in plan.variants.all)
    if unchanged:
        lines.append(f"changing nothing (wild type or synonymous), with the score 0: {unchanged:,}")
    if longer := sum(bool(each.sequence) for each in plan.variants.all):
        lines.append(f"of another length than their wild type: {longer:,}")
    if plan.variants.missing:
        lines.append(f"without a measured value, and so no part of the correlation: {plan.variants.missing:,}")
    blocks: list[Block] = [Bullets(lines)]
    if effects.blosum and not effects.blosum.undefined:
        blocks.append(Paragraph(f"Spearman with BLOSUM62: {with_interval(effects.blosum.model.spearman)}."))
    if found is None or found.undefined:
        return blocks
    rows = [_row("the model", found.model)]
    rows += [_row(MEANINGS[name], one) for name, one in found.baselines.items()]
    text = (
        f"Over {found.n:,} variants, with 95 % intervals of resampled variants. Baselines know nothing of the protein; "
        "the model is better where the interval of the last column is above 0, and worse where it is below."
    )
    return [
        *blocks,
        Table(["Scores by", "Spearman", "Pearson", "Model better by"], rows),
        Paragraph(text),
    ]


def _row(name: str, one: Correlation) -> list[str]:
    less = with_interval(one.less) if one.less else ""
    return [name, with_interval(one.spearman), with_interval(one.pearson), less]


def _computed(plan: Plan, summary: Summary) -> list[str]:
    found = plan.survey
    several = found.sequences > 1
    longest = f", the longest of {found.longest:,}" if several else ""
    lines = [
        f"{found.sequences:,} sequence{'s' * several} of {found.letters:,} letters{longest}; "
        f"rows of tokens computed: {summary.passes:,}"
    ]
    if plan.mode != SEQUENCES:
        lines.append(f"The first letter has the number {plan.arguments.first_position}")
    for name, one in zip(plan.names, plan.each(), strict=True):
        if one.encoder and one.encoder.read_as:
            lines.append(f"Read as: {one.encoder.read_as}" + f" (by {name})" * bool(plan.others))
    if plan.text and plan.text.control:
        lines.append(
            f"Before each sequence stands the control tag {shown(plan.text.control, 60)}, which is not scored itself"
        )
    elif plan.text and plan.text.start is None:
        lines.append("The model has no token that begins a sequence, so the first token of each is not scored")
    if plan.text and not plan.text.ends:
        lines.append("The model has no token that ends a sequence, so the end is not scored")
    if plan.text and plan.text.line_length:
        lines.append(
            f"Line breaks stand after every {plan.text.line_length} letters, as in the training, and are scored"
        )
    if not plan.family.one_letter_tokens and plan.mode == SEQUENCES:
        ends = found.sequences * bool(plan.text and plan.text.ends)
        tokens = int(summary.sequences.tokens.sum()) - ends
        lines.append(f"{found.letters / max(tokens, 1):.2f} letters a token on average")
    if found.repeated:
        lines.append(f"sequences that are equal to an earlier one: {found.repeated:,}")
    return lines + summary.rules.lines()
