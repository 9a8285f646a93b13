"""The report on written sequences: are they more than letters in some order, are they new, which are worth a look."""

from __future__ import annotations

from collections import Counter

from seqlm.cli.text import shown
from seqlm.cli.versions import versions
from seqlm.data.records import LETTERS, PROTEIN
from seqlm.metrics.comparisons import share_interval
from seqlm.report.outputs import parameters
from seqlm.report.report import Block, Bullets, Paragraph, Report, Table
from seqlm.report.words import ranged
from seqlm.similarity.duplicates import Duplicate

from .acceptance import means
from .figures import figures_of
from .inputs import Plan
from .run import KNOWN, REFERENCE, SHUFFLED, WRITTEN, Result
from .verdict import explanation, headline, no_molecules, warnings

PACKAGES = ("torch", "transformers", "numpy", "biopython", "rdkit")
SETTINGS = (
    "control", "fill", "sweeps", "at_once", "guidance",
    "accept_class", "accept_above", "accept_below", "tries",
    "num_sequences", "max_length", "max_letters", "strategy", "temperature", "top_p", "min_p", "typical_p",
    "letters", "forbid", "stop_at", "cut", "min_letters", "duplicates", "near_identity", "keep_best", "max_perplexity",
    "seed",
)  # fmt: skip
BEST = 10
FEW_TEMPLATES = 10  # whose letters are known; fewer say nothing of others
CITED = {"protgpt2": "protgpt2-short", "llama": "llama"}  # by what the family of the model names


def generation_report(plan: Plan, result: Result) -> Report:
    """The whole report, in the order in which a reader asks."""
    report = Report("Generation report", drawn=figures_of(plan, result))
    report.verdict(headline(plan, result), explanation(plan, result), notes=warnings(plan, result))
    report.section("The best", _best(plan, result), *_left_out(result))
    if plan.guided:
        report.section("What guidance did", *_guided(plan, result))
    if result.acceptance:
        report.section("What was accepted", *_accepted(plan, result))
    if result.recovered:
        report.section("Whether what stood there came back", *_recovered(result))
    report.section("How probable they are to the model", *_probable(plan, result, report))
    report.section("How new they are", *_new(plan, result))
    report.section("What they are like", *report.pictures("letters"), *_like(plan, result))
    report.section("How to go on", Bullets(_next(plan)))
    report.section("How they were written", Bullets(_how(plan, result)))
    used = versions(PACKAGES)
    if result.found.method:  # a program and its version
        used |= [result.found.method.split(" ", 1)]
    cited = ["mmseqs2", "biopython"] if plan.alphabet in LETTERS else ["rdkit"]
    cited += [*(CITED.get(key, "") for key in plan.family.citations), "transformers"]
    report.closing(parameters(plan.arguments, SETTINGS, unset=True), used, cited)
    return report


def _guided(plan: Plan, result: Result) -> list[Block]:
    (tuned, _), (base, count) = result.perplexities[WRITTEN], result.of_base[WRITTEN]
    weight = plan.arguments.guidance
    meaning = (
        "this is the base model, its adapter switched off" if weight == 0
        else "which lies between the two models" if weight < 1
        else "which takes what fine-tuning changed further than the tuned model does"
    )  # fmt: skip
    return [
        Paragraph(
            f"Each token was chosen by base + {weight:g} × (tuned − base), {meaning}. What was written has a "
            f"perplexity per {plan.letter} of {ranged(tuned, '.3g')} to the tuned model and of {ranged(base, '.3g')} "
            f"to its base model ({count:,} sequences). Both have a say in what is written, so neither is an "
            "independent judge: compare with sequences of the family that were not trained on, and with what the same "
            "seed writes at a guidance of 1."
        )
    ]


def _accepted(plan: Plan, result: Result) -> list[Block]:
    tally, first = result.acceptance.tally, result.acceptance.first
    kept = [one for one in result.sequences if one.accepted]

    def share(found: int, of: int) -> str:
        low, high = share_interval(found, of)
        return f"{found / of:.1%} ({low:.1%} to {high:.1%}), {found:,} of {of:,}"

    rows = [
        ["Of the first tries, which is what is written without it", share(tally.accepted[0], tally.tried[0])],
        ["Of all tries", share(sum(tally.accepted), sum(tally.tried))],
        [f"Of the sequences, in up to {plan.arguments.tries:,} tries", share(sum(tally.accepted), tally.tried[0])],
    ]
    before, after = (means(some, plan.alphabet, plan.arguments.seed) for some in (first, kept))
    compared = [
        [name.replace("_", " "), ranged(score), ranged(after[name])] for name, score in before.items() if name in after
    ]
    return [
        Paragraph(f"Asked for: {plan.wish.words}, by {shown(plan.wish.name, 80)}."),
        Table(["Accepted", "Share (95 % interval)"], rows),
        Table(["Mean (95 % interval)", "First tries", "Accepted"], compared),
        Paragraph(
            "The second table is of what the accepting model was not asked about, and is the only independent word "
            "here: that model's predictions are what was chosen by, so they do not say whether it is right, and where "
            "it is wrong it is now wrong more often. Judge with a measurement, or with a model that was trained on "
            "other data."
        ),
    ]


def _recovered(result: Result) -> list[Block]:
    found = result.recovered
    several = found.templates >= FEW_TEMPLATES

    def share(score) -> str:
        text = f"{score.value:.1%}"
        return f"{text} ({score.low:.1%} to {score.high:.1%})" if several else text

    rows = [
        ["What was filled in", share(found.share)],
        ["The same letters in random order, expected", share(found.chance)],
        ["More than that", share(found.gained)],
    ]
    text = (
        f"Intervals (95 %) are over {found.templates:,} templates."
        if several
        else f"Of fewer than {FEW_TEMPLATES} templates there is no interval."
    )
    return [
        Table(["Positions with the letter that stood there before", "Share"], rows),
        Paragraph(text + " A model that was trained on these very sequences recovers them from memory."),
    ]


def _best(plan: Plan, result: Result) -> Table:
    if plan.alphabet == PROTEIN:
        chosen = {
            "length": "Length",
            "isoelectric_point": "Isoelectric point",
            "gravy": "GRAVY",
            "instability_index": "Instability index",
        }
    elif plan.alphabet in LETTERS:
        chosen = {"length": "Length", "gc": "GC"}
    else:
        chosen = {"valid": "Valid", "molecular_weight": "Molecular weight", "logp": "logP"}
    from .properties import columns

    places = [columns(plan.alphabet).index(name) for name in chosen]
    rows = [
        [
            str(one.rank),
            one.id,
            f"{one.perplexity:.4g}",
            *(_plain(one.properties[place]) for place in places),
            *([_nearest(one.duplicate)] if plan.reference else []),
            shown(one.letters, 24),
        ]
        for one in result.kept[:BEST]
    ]
    nearest = ["Nearest reference"] if plan.reference else []
    return Table(["Rank", "Name", "Perplexity", *chosen.values(), *nearest, "Begins with"], rows)


def _left_out(result: Result) -> list[Table]:
    """How many were not kept, by the reason."""
    reasons = Counter(one.dropped for one in result.sequences if one.dropped)
    rows = [[reason, f"{count:,}"] for reason, count in reasons.most_common()]
    return [Table(["Left out as", "Sequences"], rows)] if rows else []


def _nearest(alike: Duplicate) -> str:
    """Its name, and how much of the sequence is aligned with it, at which identity."""
    if not alike.nearest:
        return "–"
    over = f" over {alike.coverage:.0%}" if alike.coverage == alike.coverage else ""
    return f"{alike.nearest} ({alike.identity:.0%}{over})"


def _plain(value) -> str:
    return value if isinstance(value, str) else "–" if value != value else f"{value:.4g}"


def _probable(plan: Plan, result: Result, report: Report) -> list[Block]:
    words = {
        WRITTEN: "Written and kept",
        SHUFFLED: "The same letters in random order",
        REFERENCE: "The reference set",
    }
    if plan.encoder:
        words |= {WRITTEN: "Filled in and kept", KNOWN: "What stood there before"}
    kind = "Pseudo-perplexity" if plan.encoder else "Perplexity"
    header = ["Sequences", "Number", f"{kind} per {plan.letter} (95 % interval)"]
    rows = [[words[name], f"{count:,}", ranged(score)] for name, (score, count) in result.perplexities.items() if count]
    if plan.guided:
        header = [*header[:2], "To the tuned model (95 % interval)", "To the base model (95 % interval)"]
        rows = [[*row, ranged(score)] for row, (score, _) in zip(rows, _counted(result.of_base), strict=True)]
    table = Table(header, rows)
    if plan.encoder:
        text = (
            f"Of the {plan.letter}s that were filled in alone: each was masked in its turn, with all others as they "
            "are. Sequences are ranked by it. What a model fills in is more probable to it than to any other; a second "
            "model is the better judge."
        )
        return [table, *report.pictures("written"), Paragraph(text)]
    text = (
        "The table of sequences has the perplexity per token too, by which they are ranked. It is that of the sequence "
        "read from its letters, as the scoring tool reads it, and equals the exponential of the model's loss. What a "
        "model writes is more probable to it than to any other; a second model is the better judge."
    )
    if REFERENCE in result.perplexities:
        text += (
            " Sequences of a perplexity far below the reference's are often repeats of what is most usual; far above "
            "it, strings that resemble nothing."
        )
    return [table, *report.pictures("written"), Paragraph(text)]


def _counted(perplexities: dict) -> list:
    return [found for found in perplexities.values() if found[1]]


def _new(plan: Plan, result: Result) -> list[Block]:
    found, total = result.found, len(result.sequences)
    lines = [f"{found.distinct:,} of {total:,} sequences differ from each other"]
    likeness = "identity" if plan.alphabet in LETTERS else "Tanimoto similarity"
    if found.clustered:
        lines.append(
            f"{found.clusters:,} clusters of near duplicates ({likeness} of {plan.arguments.near_identity:.0%} or more)"
        )
    if found.reference is not None:
        near = sum(bool(one.duplicate.nearest) for one in result.sequences)
        same = sum(one.duplicate.identity >= plan.arguments.near_identity for one in result.sequences)
        lines += [
            f"{found.reference:,} reference sequences; {found.recited:,} of the written sequences are among them as "
            "they are",
            f"{near:,} have a related sequence in the reference set, {same:,} one with {likeness} of "
            f"{plan.arguments.near_identity:.0%} or more",
        ]
    if found.too_short:
        how = (
            "are too short for MMseqs2 and were compared with other short sequences, by edit distance"
            if plan.alphabet in LETTERS
            else "cannot be read and were compared for equality alone"
        )
        lines.append(f"{found.too_short:,} {how}")
    if not plan.reference:
        lines.append(
            "without a reference set nothing can be said of how new they are: give the sequences that the model was "
            "trained on, or those of the family in question"
        )
    return [Bullets(lines)]


def _like(plan: Plan, result: Result) -> list[Block]:
    blocks: list[Block] = []
    if result.distances:
        rows = [
            [
                f"{each.k}",
                ranged(each.distance),
                f"{ranged(each.floor, '.3g')}, {each.floor_sequences:,} sequences" if each.floor_sequences else "–",
            ]
            for each in result.distances
        ]
        blocks.append(Table(["Letters a word", "Distance to the reference", "Of the reference to itself"], rows))
        blocks.append(
            Paragraph(
                "Jensen–Shannon distance of how often words occur: 0 is the same, 1 nothing in common. Few sequences "
                "are far from any set for want of words, so look at what as many of the reference's own sequences have "
                "to the rest of it."
            )
        )
    if plan.alphabet not in LETTERS:
        valid = len(result.kept) - no_molecules(plan, result)
        low, high = share_interval(valid, len(result.kept))
        blocks.append(
            Paragraph(
                f"RDKit reads {valid:,} of {len(result.kept):,} as molecules: {valid / len(result.kept):.1%} "
                f"({low:.1%} to {high:.1%})."
            )
        )
    return blocks


def _next(plan: Plan) -> list[str]:
    lines = ["Score the best with another model: 'Score sequences and variants' takes the FASTA file as it is."]
    again = "The same seed gives the same sequences, and asking for more gives these again and new ones behind them."
    if plan.encoder:
        return [*lines, "Allow other positions, or fewer, and compare the perplexities of what is filled in.", again]
    if plan.alphabet == PROTEIN:
        lines.append("Predict structures of a few, and look for confident ones, before anything is ordered.")
    lines += [
        "Bias the model towards a family: fine-tune it on its sequences ('Write sequences like these'), and write "
        "again with a reference set that was not trained on.",
        again,
    ]
    return lines


def _how(plan: Plan, result: Result) -> list[str]:
    arguments = plan.arguments
    how = {
        "sample": "each token drawn at random from "
        + (f"the {plan.top_k:,} most probable" if plan.top_k else "all of them"),
        "greedy": "always the most probable token",
        "beam": f"the most probable sequences that {arguments.num_beams} beams find",
    }[arguments.strategy]
    if plan.penalty != 1:
        how += f"; tokens that are there already made less probable (penalty {plan.penalty:g})"
    if plan.encoder:
        return [*_filled(plan, how), *result.rules.lines()]
    if plan.guided:
        how += f"; by base + {arguments.guidance:g} × (tuned − base)"
    prompts = [prompt for prompt in plan.prompts if prompt.letters]
    lines = [
        how,
        f"{len(prompts):,} prompt{'s' * (len(prompts) != 1)}, {plan.each:,} sequences each"
        if prompts
        else f"{plan.each:,} sequences from nothing but "
        + ("the control tag" if plan.text.control else "the token that begins one"),
        f"at most {arguments.max_length:,} tokens"
        + (f" and {arguments.max_letters:,} {plan.letter}s" if arguments.max_letters else "")
        + f" each; the model has {len(plan.text.texts):,} tokens and {len(plan.forbidden):,} of them were ruled out",
    ]
    if plan.text.control:
        lines.append(f"before each stood the control tag {shown(plan.text.control, 60)}, which is no part of it")
    if arguments.stop_at:
        lines.append(f"each is complete before {shown(arguments.stop_at, 60)}, where the model wrote that")
    if plan.text.line_length:
        lines.append(
            f"the model was trained on lines of {plan.text.line_length} {plan.letter}s: line breaks were taken off "
            "what it wrote, and put back where a sequence is scored"
        )
    return lines + result.rules.lines()


def _filled(plan: Plan, how: str) -> list[str]:
    arguments, places = plan.arguments, sum(len(prompt.places) for prompt in plan.prompts)
    at_once = f"{arguments.at_once:,} positions at once in the first sweep, half as many in each later one"
    return [
        f"Gibbs sampling: each position masked and {how.replace('each token ', '')}, all others given",
        f"{len(plan.prompts):,} template{'s' * (len(plan.prompts) != 1)} with {places:,} positions to fill, "
        f"{plan.each:,} sequence{'s' * (plan.each != 1)} each",
        f"{arguments.sweeps:,} sweeps over all positions in random order; "
        + (at_once if arguments.at_once > 1 else "one position at a time"),
        "what a masked model says of single positions need not belong to one distribution of whole sequences, so more "
        "sweeps, or other positions at once, can give other sequences",
        f"the model has {plan.family.vocabulary_size:,} tokens and {len(plan.forbidden):,} of them were ruled out",
    ]
