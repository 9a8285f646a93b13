"""The report of a new tokenizer: how it reads sequences that it was not learnt from, beside others.

Imports matplotlib: set ``MPLCONFIGDIR`` first.
"""

from __future__ import annotations

import sys

from seqlm.checkpoints.tokenizer_bundle import write_tokenizer_bundle
from seqlm.cli.outputs import Outputs, write_table
from seqlm.cli.text import shown
from seqlm.cli.versions import versions
from seqlm.metrics.resampling import Score
from seqlm.report.outputs import wants_report, write_report
from seqlm.report.report import Block, Bullets, Paragraph, Report, Table
from seqlm.report.words import percent, ranged
from seqlm.tokenization.special_tokens import STYLES

from .comparison import Measured
from .names import ALGORITHMS, LEARNT
from .training import (
    COMPARISON_COLUMNS,
    SETTINGS,
    VOCABULARY_COLUMNS,
    Trained,
    changes,
    comparison_rows,
    notes,
    vocabulary_facts,
    vocabulary_rows,
)
from .training_figures import SHUFFLED, figures_of, kmers
from .verdict import words

ALIKE = 1.02  # a vocabulary that knows the sequences has tokens this much longer than for random order


def write(trained: Trained, outputs: Outputs) -> None:
    """Fill every output that was asked for."""
    arguments = trained.plan.arguments
    if arguments.output_tokenizer:
        write_tokenizer_bundle(trained.folder, outputs.file(arguments.output_tokenizer))
    if arguments.output_vocabulary:
        write_table(outputs.file(arguments.output_vocabulary), VOCABULARY_COLUMNS, vocabulary_rows(trained))
    if arguments.output_comparison:
        rows = comparison_rows(trained.measured, trained.scores)
        write_table(outputs.file(arguments.output_comparison), COMPARISON_COLUMNS, rows)
    if wants_report(arguments):
        write_report(arguments, training_report(trained), outputs)
    for line in (*notes(trained), *changes(trained)):
        print(f"note: {line}", file=sys.stderr)
    print(headline(trained), file=sys.stderr)


def training_report(trained: Trained) -> Report:
    report, arguments = Report("Tokenizer report", drawn=figures_of(trained)), trained.plan.arguments
    report.verdict(headline(trained), _explanation(trained), notes=notes(trained))
    report.section(
        "Beside others, on the same sequences",
        comparison_table(trained.measured, trained.scores, _letter(trained)),
        *report.pictures("compared"),
    )
    report.section(
        "The vocabulary",
        Table(["what", "number"], _numbers(trained)),
        *report.pictures("lengths"),
        *_tokens(trained),
    )
    report.section("How to go on", Bullets(_next(trained)))
    report.section("Changed on the way", Bullets(changes(trained)))
    parameters = {name: str(getattr(arguments, name)) for name in ("algorithm", "special_tokens", *SETTINGS, "seed")}
    used = versions(("tokenizers", "numpy", "scipy", "matplotlib"))
    report.closing(parameters, used, ["bpe" if arguments.algorithm == "byte-bpe" else arguments.algorithm])
    return report


def _letter(trained: Trained) -> str:
    return words(trained.plan.corpus.alphabet)[1]


def headline(trained: Trained) -> str:
    """One sentence for who reads no further."""
    letter = _letter(trained)
    own, (rate, _) = trained.measured[0], trained.scores[0]
    where = "that it was learnt from" if trained.plan.units.shared else "that it was not learnt from"
    interval = f" (95 % interval {rate.low:.2f} to {rate.high:.2f})" if rate.low == rate.low else ""
    return (
        f"A vocabulary of {len(trained.vocabulary):,} tokens, {ALGORITHMS[trained.plan.arguments.algorithm]}, reads "
        f"{rate.value:.2f} {letter}s per token{interval}, in {int(own.letters.sum()):,} {letter}s {where}."
    )


def _explanation(trained: Trained) -> str:
    arguments, letter = trained.plan.arguments, _letter(trained)
    texts = []
    mixed = next((at for at, one in enumerate(trained.measured) if one.name == SHUFFLED), None)
    if arguments.algorithm in LEARNT and mixed is not None:
        rate, ratio = trained.scores[0][0].value, trained.scores[mixed][1]
        knows = ratio.value < 1 / ALIKE and not ratio.high >= 1
        texts.append(
            f"With their {letter}s in random order the same sequences give {rate * ratio.value:.2f}: "
            + (
                "the vocabulary holds words of these sequences, and not only their composition."
                if knows
                else "the vocabulary has learnt hardly more than how frequent each letter is."
            )
        )
    if same := kmers(trained):
        texts.append(
            f"As many tokens would be needed for every k-mer of {same:.2f} {letter}s, which is what any sequence at "
            "all could be read with."
        )
    if arguments.algorithm == "kmer" and arguments.overlapping:
        texts.append(
            f"K-mers that overlap give one token for each {letter}; each is seen {arguments.kmer} times, so a model "
            "that is to fill in hidden tokens must have whole neighbourhoods hidden."
        )
    both = vocabulary_facts(trained).both
    if trained.plan.both_strands and both and both[0] < 0.5 * both[1]:
        texts.append(
            "Most tokens have no reverse complement among the tokens, though both strands were learnt from: merging "
            "has a direction. A sequence and its other strand are not split alike, so train the model on both."
        )
    texts.append(
        "More letters per token make sequences shorter for the model; that says nothing about how well it will learn. "
        "Whether a tokenizer is a good one, only a model that was trained with it can show."
    )
    return " ".join(texts)


def comparison_table(measured: list[Measured], scores: list[tuple[Score, Score]], letter: str) -> Table:
    """A row for each tokenizer, the first the one that others are compared with."""
    rows = []
    for one, (rate, ratio) in zip(measured, scores, strict=True):
        letters = int(one.letters.sum())
        lost = one.unknown + one.unread
        rows.append([
            shown(one.name, 30), f"{one.vocabulary:,}", ranged(rate, ".2f"),
            ranged(ratio, ".2f") if one is not measured[0] else "1",
            f"{lost:,} ({percent(lost, letters)})" if lost else "none",
            f"{one.used:,} ({percent(one.used, max(one.vocabulary, one.used))})",
        ])  # fmt: skip
    return Table(
        ["tokenizer", "tokens", f"{letter}s per token", f"ratio to {measured[0].name}", "unknown", "used"], rows
    )


def _numbers(trained: Trained) -> list[list[str]]:
    plan, own, facts = trained.plan, trained.measured[0], vocabulary_facts(trained)
    sequence, letter = words(plan.corpus.alphabet)
    rows = [
        [f"{sequence}s in the corpus", f"{plan.corpus.records:,}"],
        [f"{letter}s in the corpus", f"{plan.corpus.letters:,}"],
        [f"{letter}s learnt from" + (", both strands" if plan.both_strands else ""), f"{trained.letters:,}"],
        [f"{letter}s held out and read", f"{int(own.letters.sum()):,}"],
        ["tokens in the vocabulary", f"{len(trained.vocabulary):,}"],
        ["of these special", f"{len(trained.special)}"],
        [f"tokens of one {letter}", f"{int(facts.lengths[1]):,}"],
        ["used by the sequences held out", f"{own.used:,} ({percent(own.used, own.vocabulary)})"],
        [
            "short units repeated, such as AAAA",
            f"{len(facts.repeated):,} ({percent(len(facts.repeated), own.vocabulary)})",
        ],
    ]  # fmt: skip
    if facts.both and facts.both[1]:
        whole = f"{facts.both[0]:,} of {facts.both[1]:,} ({percent(*facts.both)})"
        rows.append(["whose reverse complement is a token too", whole])
    return rows


def _tokens(trained: Trained) -> list[Block]:
    if trained.plan.arguments.algorithm not in LEARNT:
        return []
    facts = vocabulary_facts(trained)
    blocks: list[Block] = [
        Table(["longest tokens", "letters", "times"], [[text, f"{len(text)}", f"{n:,}"] for text, n in facts.longest])
    ]
    if facts.repeated:
        listed = ", ".join(shown(text, 24) for text in facts.repeated[:8])
        blocks.append(Paragraph(f"Repeats in the vocabulary, the longest first: {listed}."))
    return blocks


def _next(trained: Trained) -> list[str]:
    arguments, letter = trained.plan.arguments, _letter(trained)
    told = [
        f"Train a model from scratch with this tokenizer: its special tokens are those of "
        f"{STYLES[arguments.special_tokens].made_for}. It fits no model that exists already, whose tokens have other "
        "numbers.",
        "See how it splits your sequences: this tool, 'Show how a model splits sequences', with the archive as model.",
    ]
    if arguments.algorithm in LEARNT:
        told.append(
            f"Fewer tokens are learnt better by a small model, since each comes more often; more tokens let it read "
            f"more {letter}s at once. Tokens that the sequences held out never use will hardly be learnt."
        )
        own = trained.measured[0]
        if own.letters.sum() > 100_000 and own.used < 0.9 * own.vocabulary:
            told.append("Many tokens are not used: a smaller vocabulary would read these sequences nearly as coarsely.")
    return told
