"""The report of an extended model: what it can read at once now, and that nothing else has changed.

Imports matplotlib: set ``MPLCONFIGDIR`` first.
"""

from __future__ import annotations

import shutil
import sys

import numpy as np

from seqlm.cli.outputs import Outputs, write_table
from seqlm.cli.text import shown
from seqlm.cli.versions import versions
from seqlm.report.outputs import wants_report, write_report
from seqlm.report.report import Bullets, Drawn, Report, Table

from .extended_tokenizer import MERGES
from .extension import COLUMNS, SETTINGS, WORSE, Extended, notes, share_more, token_rows
from .training_figures import token_lengths
from .training_report import comparison_table
from .verdict import words

SHOWN = 10


def write(found: Extended, outputs: Outputs) -> None:
    """Fill every output that was asked for."""
    arguments = found.plan.arguments
    if arguments.output_model:
        shutil.copyfile(found.archive, outputs.file(arguments.output_model))
    if arguments.output_vocabulary:
        write_table(outputs.file(arguments.output_vocabulary), COLUMNS, token_rows(found))
    if wants_report(arguments):
        write_report(arguments, extension_report(found), outputs)
    for line in (*notes(found), *_changes(found)):
        print(f"note: {line}", file=sys.stderr)
    print(headline(found), file=sys.stderr)


def extension_report(found: Extended) -> Report:
    report, arguments = Report("Vocabulary report", drawn=figures_of(found)), found.plan.arguments
    report.verdict(headline(found), _explanation(found), notes=notes(found))
    report.section(
        "Before and after, on the same sequences",
        comparison_table(found.measured, found.scores, _letter(found)),
        *report.pictures("lengths"),
    )
    report.section("What has changed", Table(["what", "number"], _numbers(found)))
    report.section("New tokens that are used most", _most_used(found))
    report.section("How to go on", Bullets(_next(found)))
    report.section("Changed on the way", Bullets(_changes(found)))
    parameters = {"model": found.plan.name} | {name: str(getattr(arguments, name)) for name in (*SETTINGS, "seed")}
    report.closing(parameters, versions(("tokenizers", "transformers", "numpy", "matplotlib")), ["bpe"])
    return report


def figures_of(found: Extended) -> dict[str, Drawn]:
    """Name -> caption and how to draw it."""
    counts = np.bincount([len(one.text) for one in found.extension.tokens], minlength=2)
    before, after = found.measured
    caption = f"Left: new tokens of each length. Right: {_letter(found)}s of the tokens that were read."
    read = [("after", after), ("before", before)]
    return {"lengths": Drawn(caption, lambda: token_lengths(counts, read, "New tokens"))}


def headline(found: Extended) -> str:
    """One sentence for who reads no further."""
    letter, (before, after) = _letter(found), [rate for rate, _ in found.scores]
    interval = f" (95 % interval {after.low:.2f} to {after.high:.2f})" if after.low == after.low else ""
    if found.scores[1][1].value < WORSE:
        return (
            f"The {len(found.extension.tokens):,} tokens that were added make sequences longer for "
            f"{shown(found.plan.name, 60)}: it reads {after.value:.2f} {letter}s per token{interval} where it read "
            f"{before.value:.2f}, {share_more(found.scores[1][1].value)} more tokens. All old tokens kept their ids."
        )
    return (
        f"{len(found.extension.tokens):,} tokens were added to the {len(found.plan.family.vocabulary):,} of "
        f"{shown(found.plan.name, 60)}: it reads {after.value:.2f} {letter}s per token{interval} where it read "
        f"{before.value:.2f}. All old tokens kept their ids."
    )


def _explanation(found: Extended) -> str:
    letter = _letter(found)
    if found.extension.way == MERGES:
        text = (
            "Merging goes on where the tokenizer ended: a text is split as before, and then neighbours are joined that "
            "are frequent in the corpus. Text without such neighbours is read as ever."
        )
    else:
        text = (
            f"The tokenizer cannot merge what it reads as single words or {letter}s, so new tokens are looked for in a "
            "text first, the longest at each place, and what is between them is split as before."
        )
    return text + (
        " The row of a new token is the mean of the rows of the tokens that it takes the place of, in the embedding "
        "and in the head; all other weights are the same, byte for byte."
    )


def _letter(found: Extended) -> str:
    return words(found.plan.corpus.alphabet)[1]


def _numbers(found: Extended) -> list[list[str]]:
    plan, letter = found.plan, _letter(found)
    rows = [
        ["tokens before", f"{len(plan.family.vocabulary):,}"],
        ["new tokens", f"{len(found.extension.tokens):,}"],
        ["rows of the embedding before", f"{plan.family.vocabulary_size:,}"],
        ["rows of the embedding now", f"{found.size:,}"],
        ["weights with new rows", ", ".join(shown(name, 50) for name in found.tensors)],
        [f"{letter}s of the corpus", f"{plan.corpus.letters:,}"],
        [f"{letter}s held out and read", f"{int(found.measured[0].letters.sum()):,}"],
    ]
    if found.texts:
        rows.append(["sentences read as before, to try it", f"{found.texts[0]} of {found.texts[1]}"])
    return rows


def _most_used(found: Extended) -> Table:
    rows = sorted(token_rows(found), key=lambda row: (-row[3], row[0]))[:SHOWN]
    return Table(["token", "id", "times", "before"], [[row[1], str(row[0]), f"{row[3]:,}", row[4]] for row in rows])


def _next(found: Extended) -> list[str]:
    told = [
        "Continue the training of this model on sequences, with all weights or with an adapter that has embedding and "
        "head saved as well; an adapter that leaves them alone would never learn the new tokens.",
        "An adapter that was trained before, on the old model, does not fit this one.",
    ]
    if found.extension.way == MERGES:
        told.append("Write sequences in capital letters, also inside of instructions; small ones are read as text.")
    return told


def _changes(found: Extended) -> list[str]:
    return found.plan.corpus.rules.lines()
