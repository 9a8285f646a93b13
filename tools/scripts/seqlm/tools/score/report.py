"""The report on scores: what came out, whether it can be trusted, and how it was computed."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from seqlm.cli.outputs import Outputs
from seqlm.cli.text import shown
from seqlm.cli.versions import in_one_line, versions
from seqlm.data.records import PROTEIN
from seqlm.report.outputs import wants_report, write_report
from seqlm.report.report import Bullets, Figure, JobParameters, Note, Paragraph, References, Report, Table

from .baselines import MEANINGS, Correlation, Correlations
from .inputs import SEQUENCES, Plan
from .methods import MASKED, ONE_PASS, PSEUDO, RATIO, WILD_TYPE
from .sequences import SequenceScores
from .summary import Effects, Position, ScanSummary, Summary, mean
from .verdict import explanation, headline, less_bits, number, trust, with_interval

PACKAGES = ("torch", "transformers", "numpy")
SETTINGS = ("method", "first_position", "max_perplexity", "keep_best", "precision", "seed")
LISTED = 5  # sequences of the lowest and of the highest perplexity
CITATIONS = {
    "esm2": ("ESM-2: Lin et al. 2023, Science.", "https://doi.org/10.1126/science.ade2574"),
    "prottrans": ("ProtTrans: Elnaggar et al. 2021.", "https://doi.org/10.1109/TPAMI.2021.3095381"),
    "dnabert2": ("DNABERT-2: Zhou et al. 2023.", "https://doi.org/10.48550/arXiv.2306.15006"),
    "protgpt2": ("ProtGPT2: Ferruz et al. 2022.", "https://doi.org/10.1038/s41467-022-32007-7"),
}
OF_METHODS = {
    PSEUDO: ("Pseudo-log-likelihoods: Salazar et al. 2020.", "https://doi.org/10.18653/v1/2020.acl-main.240"),
    MASKED: ("Zero-shot effects: Meier et al. 2021.", "https://doi.org/10.1101/2021.07.09.450648"),
}
OF_METHODS |= {ONE_PASS: OF_METHODS[PSEUDO], WILD_TYPE: OF_METHODS[MASKED]}
BLOSUM = ("BLOSUM62: Henikoff & Henikoff 1992.", "https://doi.org/10.1073/pnas.89.22.10915")
TRANSFORMERS = ("Transformers: Wolf et al. 2020.", "https://doi.org/10.18653/v1/2020.emnlp-demos.6")


def write(plan: Plan, summary: Summary, outputs: Outputs) -> None:
    """Fill what was asked for of report, figures and page."""
    if not wants_report(plan.arguments):
        return
    from seqlm.report.figure_style import save

    from . import figures

    first = plan.arguments.first_position

    def draw(folder: Path, formats: tuple[str, ...]) -> None:
        if has_perplexities(summary.sequences):
            limit = plan.arguments.max_perplexity
            save(figures.perplexities(summary.sequences, limit), folder, "perplexities", formats)
        if summary.scan:
            one = summary.scan.first
            save(figures.heat_map(one, first, plan.family.alphabet), folder, "heat_map", formats)
            save(figures.positions(one, first), folder, "positions", formats)
        if summary.effects:
            save(_effects_figure(plan, summary.effects, figures), folder, "effects", formats)
            if shows_correlations(summary.effects.measured):
                from seqlm.report.figures import baselines

                save(baselines(_by_name(summary.effects.measured), "Spearman correlation", "the model"), folder,
                     "correlations", formats)  # fmt: skip

    write_report(plan.arguments, score_report(plan, summary), draw, outputs)


def has_perplexities(scores: SequenceScores | None) -> bool:
    return scores is not None and int(np.isfinite(scores.perplexity).sum()) > 1


def shows_correlations(found: Correlations | None) -> bool:
    return found is not None and not found.undefined


def _effects_figure(plan: Plan, effects: Effects, figures):
    if not shows_correlations(effects.measured):
        return figures.effects(effects.scores)
    values = np.asarray([each.measured for each in plan.variants.all])
    known = np.isfinite(values)
    title = f"Spearman {with_interval(effects.measured.model.spearman)}, {known.sum():,} variants"
    return figures.measured(values[known], effects.scores[known], shown(plan.variants.measured, 40), title)


def _by_name(found: Correlations) -> dict:
    names = {"the model": found.model} | {MEANINGS[name]: one for name, one in found.baselines.items()}
    return {name: one.spearman for name, one in names.items()}


def score_report(plan: Plan, summary: Summary) -> Report:
    """The whole report, in the order in which a reader asks."""
    report = Report("Score report")

    report.verdict(headline(plan, summary), explanation(plan))
    notes = [f"{note[0].upper()}{note[1:]}." for note in plan.notes]
    report.section("What can be trusted", *(Note(text) for text in (*trust(plan, summary), *notes)))
    if summary.sequences:
        report.section("Perplexities", *_perplexities(plan, summary.sequences))
    if summary.scan:
        report.section("Substitutions", *_scan(plan, summary.scan))
    if summary.effects:
        report.section("Variants", *_variants(plan, summary.effects))
    report.section("How it was computed", Bullets(_computed(plan, summary)))
    report.section("Model", Table(["Property", "Value"], _model(plan)))
    settings = {name.replace("_", " "): str(getattr(plan.arguments, name)) for name in SETTINGS}
    report.section("Parameters", JobParameters(settings))
    report.section("Versions", Bullets([in_one_line(versions(PACKAGES))]))
    report.section("How to cite", References(_cited(plan)))
    return report


def _cited(plan: Plan) -> list[tuple[str, str]]:
    cited = [CITATIONS[key] for key in plan.family.citations if key in CITATIONS]
    method = PSEUDO if plan.method == RATIO and not plan.text else plan.method
    cited += [OF_METHODS[method]] if method in OF_METHODS else []
    return [*cited, *[BLOSUM] * (plan.mode != SEQUENCES and plan.family.alphabet == PROTEIN), TRANSFORMERS]


def _model(plan: Plan) -> list[list[str]]:
    rows = [["model", plan.opened.name], ["family", plan.family.name]]
    rows.append(["kind", "causal, from left to right" if plan.text else "masked, from both sides"])
    rows.append(["sha256", plan.opened.base.sha256[:16] + "…"])
    rows.append(["tokens read at once", f"{plan.limit:,}"])
    return rows


def _perplexities(plan: Plan, scores: SequenceScores) -> list:
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
    blocks = [Table(["Measure", "Value"], rows), Paragraph(text)]
    if has_perplexities(scores):
        caption = "Left: perplexities. Right: bits a letter, of the model and of letters drawn by their frequencies."
        blocks.append(Figure("perplexities", caption))
    return blocks


def _spread(values: np.ndarray) -> str:
    if not len(values):
        return "undefined"
    return f"{number(float(np.median(values)))} ({number(float(values.min()))} to {number(float(values.max()))})"


def _scan(plan: Plan, scan: ScanSummary) -> list:
    from .figures import SHOWN

    one = scan.first
    several = plan.survey.sequences > 1
    which = f" of {shown(one.id, 40)}, the first of {plan.survey.sequences:,} sequences" if several else ""
    cut = (
        f" Only the first {SHOWN:,} of {len(one.sequence):,} positions are drawn." if len(one.sequence) > SHOWN else ""
    )
    rows = [
        ["Positions whose mean score is below 0", f"{scan.damaging:,} of {scan.known:,}"],
        ["Positions where the wild type is the most probable letter", f"{scan.guessed:,} of {scan.known:,}"],
        ["Bits that the wild-type letter costs the model", with_interval(scan.bits)],
        ["Bits saved against the frequencies of the letters", with_interval(scan.less)],
    ]
    blosum = scan.blosum
    if blosum and not blosum.undefined:
        rows.append([f"Spearman with BLOSUM62 ({blosum.n:,} substitutions)", with_interval(blosum.model.spearman)])
    blocks = [
        Figure("heat_map", f"Scores of all single substitutions{which}; the wild type is a black dot.{cut}"),
        Figure("positions", f"Mean score and entropy of the letters at each position{which}."),
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


def _variants(plan: Plan, effects: Effects) -> list:
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
    blocks: list = [Bullets(lines)]
    if effects.blosum and not effects.blosum.undefined:
        blocks.append(Paragraph(f"Spearman with BLOSUM62: {with_interval(effects.blosum.model.spearman)}."))
    if not shows_correlations(found):
        return [*blocks, Figure("effects", "How the scores are distributed.")]
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
        Figure("correlations", "Spearman correlation with the measured values, of the model and of baselines."),
        Figure("effects", "Scores of the model against the measured values."),
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
    if plan.text and plan.text.start is None:
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
