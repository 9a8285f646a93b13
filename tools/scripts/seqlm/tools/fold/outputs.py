"""What folding leaves beside the structures: tables and the report."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator

from seqlm.cli.outputs import Outputs, write_table
from seqlm.report.outputs import wants_report, write_report

from .inputs import Plan
from .summary import Summary

COLUMNS = ["id", "length", "mean_plddt", "ptm", "confident", "unknown", "file", "status"]


def write(plan: Plan, summary: Summary, outputs: Outputs) -> None:
    """Fill every output that was asked for."""
    arguments = plan.arguments
    if arguments.output_table:
        write_table(outputs.file(arguments.output_table), COLUMNS, rows(plan, summary))
    if arguments.output_residues:
        names = ["id", "position", "letter", "plddt", *(["value"] if plan.values else [])]
        write_table(outputs.file(arguments.output_residues), names, residues(plan, summary))
    if wants_report(arguments):
        from .report import folding_report

        write_report(arguments, folding_report(plan, summary), outputs)
    left_out = [f"{one.id} was left out: {one.left_out}" for one in plan.proteins if one.left_out]
    for note in [*plan.notes, *left_out, *summary.rules.lines()]:
        print(f"note: {note}", file=sys.stderr)
    print(f"folded {len(summary.folded):,} of {len(plan.proteins):,} proteins", file=sys.stderr)


def rows(plan: Plan, summary: Summary) -> Iterator[list]:
    """A row for each protein, in the order of the file."""
    for place, protein in enumerate(plan.proteins):
        found = summary.folded.get(place)
        measured = [found.mean, found.ptm, found.confident] if found else [math.nan] * 3
        status = f"left out: {protein.left_out}" if protein.left_out else "folded"
        name = protein.name if found else ""
        yield [protein.id, len(protein.sequence), *measured, protein.unknown, name, status]


def residues(plan: Plan, summary: Summary) -> Iterator[list]:
    """A row for each residue of what was folded, letters as the model read them."""
    first = plan.arguments.first_position
    for place, protein in enumerate(plan.proteins):
        if found := summary.folded.get(place):
            columns = [protein.sequence, found.plddt.tolist()]
            if plan.values:
                columns.append(plan.values.of(protein.id, len(protein.sequence)).tolist())
            for number, cells in enumerate(zip(*columns, strict=True), start=first):
                yield [protein.id, number, *cells]
