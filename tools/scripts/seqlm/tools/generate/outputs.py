"""What a generation leaves: FASTA, table, report."""

from __future__ import annotations

import math
import sys
import textwrap
from collections.abc import Iterator

from seqlm.cli.outputs import Outputs, cell, write_table
from seqlm.data.records import LETTERS
from seqlm.report.outputs import wants_report, write_report

from .inputs import Plan
from .properties import columns
from .run import Result
from .writing import Generated

LINE = 60  # letters a line of FASTA


def write(plan: Plan, result: Result, outputs: Outputs) -> None:
    """Fill every output that was asked for."""
    arguments = plan.arguments
    if arguments.output_fasta:
        with open(outputs.file(arguments.output_fasta), "w", encoding="utf-8") as out:
            out.writelines(fasta(plan, result))
    if arguments.output_table:
        names, rows = table_columns(plan), (_row(plan, one) for one in _ordered(result))
        write_table(outputs.file(arguments.output_table), names, rows)
    if wants_report(arguments):
        from .report import generation_report

        write_report(arguments, generation_report(plan, result), outputs)
    for note in [*plan.notes, *result.rules.lines()]:
        print(f"note: {note}", file=sys.stderr)
    complete = sum(one.complete for one in result.sequences)
    done = "filled in" if plan.encoder else "wrote"
    of_them = "" if plan.encoder else f", {complete:,} of them complete"
    print(f"{done} {len(result.sequences):,} sequences{of_them}; kept {len(result.kept):,}", file=sys.stderr)


def fasta(plan: Plan, result: Result) -> Iterator[str]:
    """Records of what is kept, the lowest perplexity first. A molecule is not broken into lines."""
    for one in result.kept:
        status = "complete" if one.complete else "cut"
        yield f">{one.id} perplexity={cell(one.perplexity)} length={len(one.letters)} {status}\n"
        lines = textwrap.wrap(one.letters, LINE) if plan.alphabet in LETTERS else [one.letters]
        yield "".join(f"{line}\n" for line in lines)


def table_columns(plan: Plan) -> list[str]:
    """Columns of the table of sequences."""
    compared = ["composition_distance", "nearest", "identity", "coverage"] if plan.reference else []
    return [
        *("id", "rank", "kept", "status", "perplexity", "perplexity_per_letter", "tokens"),
        *(["base_perplexity"] if plan.guided else []),
        *(["prediction", "tries"] if plan.wish else []),
        *(["filled"] if plan.encoder else []),
        *columns(plan.alphabet),
        *compared,
        *("duplicate_of", "cluster", "prompt", "sequence"),
    ]


def _ordered(result: Result) -> list[Generated]:
    """What is kept by rank, then the rest as it was written."""
    return [*result.kept, *(one for one in result.sequences if not one.rank)]


def _row(plan: Plan, one: Generated) -> list:
    alike = one.duplicate
    compared = [one.composition, alike.nearest, alike.identity, alike.coverage] if plan.reference else []
    return [
        one.id,
        one.rank or "",
        one.dropped or "yes",
        "complete" if one.complete else "cut",
        one.perplexity,
        one.letter_perplexity,
        one.likelihood.tokens if one.likelihood else "",
        *([one.base.perplexity if one.base else math.nan] if plan.guided else []),
        *([one.prediction, one.tries] if plan.wish else []),
        *([one.filled] if plan.encoder else []),
        *one.properties,
        *compared,
        alike.duplicate_of,
        alike.cluster,
        one.prompt,
        one.letters,
    ]
