"""What making a dataset leaves: the three sets, one table of all examples, and the report."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

from seqlm.cli.outputs import Outputs, write_table
from seqlm.data.datasets import SPLITS
from seqlm.data.labels import LEFT_OUT
from seqlm.report.outputs import wants_report, write_report

from .inputs import NOT_KNOWN, Plan
from .run import Made
from .site_windows import Entry

LINE = 60  # letters of a FASTA line of a whole sequence


def write(made: Made, outputs: Outputs) -> None:
    """Fill every output that was asked for. A split without examples leaves a file without records."""
    arguments = made.plan.arguments
    # before the report, which tells about labels that had to be changed
    for name in SPLITS:
        if target := getattr(arguments, f"output_{name}"):
            _write_set(made, name, outputs.file(target))
    if arguments.output_table:
        _write_all(made, outputs.file(arguments.output_table))
    if wants_report(arguments):
        from .report import dataset_report

        write_report(arguments, dataset_report(made), outputs)
    counts = ", ".join(f"{name} {len(made.of(name)):,}" for name in made.splits)
    print(f"{len(made.entries):,} {'sites' if made.plan.whole else 'examples'}: {counts}", file=sys.stderr)


def _write_set(made: Made, name: str, path: Path) -> None:
    """FASTA, or the rows of the table that the examples came from, separated by tabs; of whole proteins a row each."""
    entries, plan = made.of(name), made.plan
    if plan.whole:
        write_table(path, ["id", "sequence", "label"], _labelled(plan, entries))
        return
    if plan.columns:
        write_table(path, plan.columns, (entry.fields for entry in entries))
        return
    with path.open("w", encoding="utf-8") as handle:
        for entry in entries:
            handle.write(f">{entry.header or header(made, entry)}\n")
            step = len(entry.sequence) if plan.windows else LINE
            handle.writelines(entry.sequence[at : at + step] + "\n" for at in range(0, len(entry.sequence), step))


def _labelled(plan: Plan, entries: list[Entry]) -> Iterator[tuple[str, str, str]]:
    """Name, sequence and labels of each protein that has a site among the entries."""
    for place, sites in groupby(entries, key=lambda entry: entry.protein):
        protein = plan.proteins[place]
        labels = [NOT_KNOWN] * len(protein.sequence)
        for site in sites:
            labels[site.position - 1] = site.label
        yield protein.id, protein.sequence, "".join(labels)


def header(made: Made, entry: Entry) -> str:
    """The header of a window, with its label as fine-tuning looks for it."""
    label = re.sub(r"\s+", "_", entry.label)
    if label != entry.label:
        made.plan.counted["labels with blanks, which are underscores in FASTA"] += 1
    return f"{entry.id} LABEL={label}"


def _write_all(made: Made, path: Path) -> None:
    groups = made.groups or [""] * len(made.entries)
    names = [SPLITS[place] for place in made.split.tolist()]
    proteins, stranded = made.plan.proteins, any(entry.strand for entry in made.entries)
    rows = [
        *zip(made.entries, names, groups, strict=True),
        *((entry, LEFT_OUT, "") for entry in made.left_out),
    ]
    write_table(
        path,
        [
            *("id", "protein", "position", *(["strand"] if stranded else []), "residue"),
            *("sequence", "label", "split", "cluster"),
        ],
        (
            [
                entry.id,
                proteins[entry.protein].id if entry.protein >= 0 else "",
                entry.position or "",
                *([entry.strand or "+"] if stranded else []),
                entry.residue,
                entry.sequence,
                entry.label,
                name if made.plan.arguments.split != "none" else "",
                group,
            ]
            for entry, name, group in rows
        ),
    )
