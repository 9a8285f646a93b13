"""The report of a dataset: can its split be trusted, what is in it, what was left out.

Imports matplotlib: set ``MPLCONFIGDIR`` first.
"""

from __future__ import annotations

from collections import Counter

import numpy as np

from seqlm.cli.text import shown
from seqlm.cli.versions import versions
from seqlm.data.datasets import SPLITS
from seqlm.data.records import DNA, TEXT
from seqlm.metrics.comparisons import share_interval
from seqlm.report.outputs import parameters
from seqlm.report.report import Block, Bullets, Figure, Paragraph, Report, Table

from .figures import figures_of
from .inputs import NOT_KNOWN
from .run import ACYCLIC, Made
from .verdict import explanation, headline, percent, warnings

SPLIT_WORDS = {
    "none": "not split",
    "random": "at random",
    "stratified": "at random, with each class in proportion",
    "group": "whole groups on one side",
    "given": "as the file says",
    "scaffold": "whole scaffolds on one side",
    "homology": "whole clusters of related sequences on one side",
}
# Options that decide what comes out, and the words for them
PARAMETERS = (
    "site_context", "window", "padding", "residues", "feature", "ranges", "misfits", "negatives", "ratio",
    "exclude_flank", "conflicts", "split", "validation_fraction", "test_fraction", "scaffolds",
    "identity", "coverage", "seed",
)  # fmt: skip
ONLY_WINDOWS = {
    "site_context",
    "window",
    "padding",
    "residues",
    "feature",
    "ranges",
    "misfits",
    "negatives",
    "ratio",
    "exclude_flank",
    "conflicts",
}
MOST_LABELS = 30


def dataset_report(made: Made) -> Report:
    """The whole report, in the order in which a reader asks."""
    report, plan = Report("Dataset report", drawn=figures_of(made)), made.plan

    def pictures(start: str) -> list[Figure]:
        return report.pictures(*(name for name in report.drawn if name.startswith(start)))

    report.verdict(headline(made), explanation(made), notes=warnings(made))
    report.section("Sets", *_sets(made))
    report.section("Shared with the training set", *_leakage(made), *pictures("likeness"))
    report.section("Around the site", *pictures("composition"))
    report.section("Lengths", *pictures("lengths"))
    report.section("Changed or left out", Bullets(_changes(made)))
    without = [] if plan.windows else [*ONLY_WINDOWS]
    without += [] if plan.arguments.split == "homology" else ["identity", "coverage"]
    without += [] if plan.arguments.split == "scaffold" else ["scaffolds"]
    used = versions(("numpy", "scipy", "matplotlib", *(["rapidfuzz"] if made.short else []))) | made.tools
    report.closing(parameters(plan.arguments, PARAMETERS, without), used, _cited(made), _about(made))
    return report


def _sets(made: Made) -> list[Block]:
    plan, rows = made.plan, []
    total = len(made.entries)
    for name in made.splits:
        entries = made.of(name)
        row = [name if plan.arguments.split != "none" else "all", f"{len(entries):,}", percent(len(entries) / total)]
        if plan.windows:
            row.append(f"{len({entry.protein for entry in entries}):,}")
        if made.group_name:
            where = (made.split == SPLITS.index(name)).tolist()
            row.append(f"{len({group for group, here in zip(made.groups, where, strict=True) if here}):,}")
        rows.append(row)
    columns = ["Set", "Examples", "Share", *(["Proteins"] if plan.windows else [])]
    if made.group_name:
        columns.append(f"{made.group_name.capitalize()}s")
    blocks: list[Block] = [
        Paragraph(_counted(made)),
        Table(columns, rows),
    ]
    names = made.splits
    heads = names if plan.arguments.split != "none" else ["all"]
    if plan.numbers:
        rows = []
        for name, head in zip(names, heads, strict=True):
            values = np.asarray([float(entry.label) for entry in made.of(name)])
            rows.append([head, *(f"{value:.4g}" for value in (values.min(), np.median(values), values.max()))])
        blocks += [Paragraph("Values in each set:"), Table(["Value", "Smallest", "Median", "Largest"], rows)]
    elif any(entry.label for entry in made.entries):
        counts = {name: Counter(entry.label for entry in made.of(name)) for name in names}
        labels = [label for label, _ in Counter(entry.label for entry in made.entries).most_common()]
        rows = [[label, *(f"{counts[name][label]:,}" for name in names)] for label in labels[:MOST_LABELS]]
        blocks += [Paragraph("Examples of each label:"), Table(["Label", *heads], rows)]
        if len(labels) > MOST_LABELS:
            blocks.append(Paragraph(f"{len(labels) - MOST_LABELS:,} rarer labels are not listed."))
    if plan.windows:
        residues = Counter((entry.residue, entry.label) for entry in made.entries)
        text = ", ".join(
            f"{residue} {shown(label, 20)}: {count:,}" for (residue, label), count in sorted(residues.items())
        )
        where = "that have a label" if plan.whole else "in the middle"
        blocks.append(Paragraph(f"Residues {where}, by label: {shown(text, 600)}."))
        if plan.kinds:
            listed = plan.kinds.most_common(MOST_LABELS)
            blocks += [
                Paragraph("What the sites are, as their source says:"),
                Table(
                    ["Kind", "Sites" if plan.whole else "Windows"],
                    [[shown(kind, 100), f"{count:,}"] for kind, count in listed],
                ),
            ]
            if rarer := len(plan.kinds) - len(listed):
                blocks.append(Paragraph(f"{rarer:,} rarer kinds are not listed."))
    return blocks


def _counted(made: Made) -> str:
    """How many examples there are, and how they were split."""
    plan, total = made.plan, len(made.entries)
    if not plan.whole:
        return f"{total:,} {'windows' if plan.windows else 'examples'}, {_how(made)}."
    proteins = {entry.protein for entry in made.entries}
    residues = sum(len(plan.proteins[place].sequence) for place in proteins)
    return (
        f"{total:,} sites in {len(proteins):,} whole proteins, {_how(made)}. Of the {residues:,} residues all others "
        f"have the label {NOT_KNOWN}: they are not known, and count neither in training nor in scores."
    )


def _how(made: Made) -> str:
    """How the split came about, and where molecules without a ring went."""
    how = SPLIT_WORDS[made.plan.arguments.split]
    if made.plan.arguments.split != "scaffold":
        return how
    balanced = made.plan.arguments.scaffolds == "balanced"
    how += ", each class in proportion" if balanced else ", the largest for training (as MoleculeNet does)"
    places = [place for place, group in zip(made.split.tolist(), made.groups, strict=True) if group == ACYCLIC]
    if places:
        where = SPLITS[places[0]]
        how += f". Molecules without a ring count as one scaffold; all {len(places):,} are in the {where} set"
    return how


def _leakage(made: Made) -> list[Block]:
    leakage = made.leakage
    if not leakage.measures:
        return []
    held_out = [name for name in made.splits if name != "train"]
    chance = any(measure.by_chance is not None for measure in leakage.measures)
    rows = []
    for measure in leakage.measures:
        row = [measure.what]
        for name in held_out:
            found, of = measure.found[name], max(measure.of[name], 1)
            low, high = share_interval(found, of)
            row.append(f"{percent(found / of)} ({_digits(low)} to {_digits(high)})")
        row.append("" if measure.at_random is None else percent(measure.at_random))
        if chance:
            row.append("" if measure.by_chance is None else percent(measure.by_chance))
        rows.append(row)
    sizes = {name: len(made.of(name)) for name in held_out}
    columns = ["Examples that …", *(f"{name.capitalize()} ({sizes[name]:,})" for name in held_out), "Split at random"]
    blocks: list[Block] = [
        Paragraph(
            "What the held-out sets have in common with the training set, with 95 % intervals in brackets, beside a "
            f"random split of the same examples ({leakage.deciding} set)."
        ),
        Table([*columns, *(["Shuffled"] if chance else [])], rows),
    ]
    return blocks


def _digits(share: float) -> str:
    return percent(share).removesuffix(" %")


def _changes(made: Made) -> list[str]:
    lines = [f"{what}: {count:,}." for what, count in sorted(made.plan.counted.items())]
    lines += [f"{rule}." for rule in made.plan.rules.lines()]
    if made.left_out:
        names = ", ".join(shown(entry.id, 30) for entry in made.left_out[:10])
        lines.append(f"Left out were {names}{' …' if len(made.left_out) > 10 else ''}.")
    return lines or ["Nothing was changed or left out."]


def _about(made: Made) -> dict[str, str]:
    return {"Sequences read as": {DNA: "DNA", TEXT: "molecules (SMILES)"}.get(made.plan.alphabet, "protein")}


def _cited(made: Made) -> list[str]:
    programs = {"MMseqs2": "related-sequences", "RDKit": "molecules"}
    split = ["scaffolds"] if made.plan.arguments.split == "scaffold" else []
    split += ["moleculenet"] if split and made.plan.arguments.scaffolds == "moleculenet" else []
    return [*(programs[name] for name in made.tools), *split, "leakage"]
