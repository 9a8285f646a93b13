"""The report of a dataset: can its split be trusted, what is in it, what was left out.

Imports matplotlib: set ``MPLCONFIGDIR`` first.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure as Drawing

from seqlm.cli.text import shown
from seqlm.cli.versions import in_one_line, versions
from seqlm.data.datasets import SPLITS
from seqlm.data.records import DNA, TEXT
from seqlm.report import figures
from seqlm.report.figure_style import save
from seqlm.report.report import Block, Bullets, Figure, JobParameters, Paragraph, References, Report, Table
from seqlm.similarity.homology import EXPECTED, HALF, SENSITIVITY

from . import figures as dataset_figures
from .run import Made
from .verdict import explanation, headline, percent, warnings

DOI = "https://doi.org/"
CITATIONS = {
    "MMseqs2": ("MMseqs2 (related sequences): Steinegger & Söding 2017.", DOI + "10.1038/nbt.3988"),
    "leakage": ("Leakage between related proteins: Bernett et al. 2024.", DOI + "10.1038/s41592-024-02362-y"),
    "RDKit": ("RDKit (molecules).", "https://www.rdkit.org"),
    "scaffold": ("Scaffolds: Bemis & Murcko 1996.", DOI + "10.1021/jm9602928"),
    "moleculenet": ("Scaffold split: Wu et al. 2018.", DOI + "10.1039/C7SC02664A"),
}
SPLIT_WORDS = {
    "none": "not split",
    "random": "at random",
    "stratified": "at random, with each class in proportion",
    "group": "whole groups on one side",
    "given": "as the file says",
    "scaffold": "whole scaffolds on one side, the largest for training",
    "homology": "whole clusters of related sequences on one side",
}
# Options that decide what comes out, and the words for them
PARAMETERS = (
    "window", "padding", "residues", "feature", "negatives", "ratio", "exclude_flank", "conflicts", "split",
    "validation_fraction", "test_fraction", "identity", "coverage", "seed",
)  # fmt: skip
ONLY_WINDOWS = {"window", "padding", "residues", "feature", "negatives", "ratio", "exclude_flank", "conflicts"}
MOST_LABELS = 30


@dataclass(frozen=True)
class _Drawn:
    caption: str
    draw: Callable[[], Drawing]


def dataset_report(made: Made) -> Report:
    """The whole report, in the order in which a reader asks."""
    report, drawn = Report("Dataset report"), _figures(made)

    def pictures(start: str) -> list[Figure]:
        return [Figure(name, drawing.caption) for name, drawing in drawn.items() if name.startswith(start)]

    report.verdict(headline(made), explanation(made), notes=warnings(made))
    report.section("Sets", *_sets(made))
    report.section("Shared with the training set", *_leakage(made), *pictures("likeness"))
    report.section("Around the site", *pictures("composition"))
    report.section("Lengths", *pictures("lengths"))
    report.section("Changed or left out", Bullets(_changes(made)))
    report.section("Parameters", JobParameters(_parameters(made)))
    report.section("Versions", Bullets(_versions(made)))
    report.section("How to cite", References(_citations(made)))
    return report


def save_figures(made: Made, folder: Path, formats: Sequence[str] = ("png",)) -> list[str]:
    """Draw every figure of the report into ``folder``; returns their names."""
    drawn = _figures(made)
    for name, drawing in drawn.items():
        save(drawing.draw(), folder, name, formats)
    return list(drawn)


def _figures(made: Made) -> dict[str, _Drawn]:
    plan, split, drawn = made.plan, made.leakage.deciding, {}
    for found in made.leakage.likeness:
        values = found.by_split[split]
        sampled = (
            f" {len(values):,} of {found.total[split]:,} were compared." if len(values) < found.total[split] else ""
        )
        drawn[f"likeness-{found.of.replace(' ', '-')}"] = _Drawn(
            f"{_compared(found.of)} Further left is better; dotted lines are where neighbours are counted.{sampled}",
            lambda found=found: dataset_figures.likeness(found, split),
        )
    if plan.windows:
        classes = _shown_classes(made)
        if classes:
            drawn["composition"] = _Drawn(
                "Purple residues stand there more often in windows of this label than in the others, orange ones less "
                "often. Dots mark what chance does not explain. In the middle nothing may differ, or the letter alone "
                "would tell the label.",
                lambda: dataset_figures.composition(
                    [entry.sequence for entry in made.entries],
                    [entry.label for entry in made.entries],
                    classes,
                    plan.alphabet,
                ),
            )
    elif made.entries:
        drawn["lengths"] = _Drawn(
            "Lengths of the sequences. Splits that differ much in length are not of the same kind.",
            lambda: figures.lengths(
                {name: np.asarray([len(entry.sequence) for entry in made.of(name)]) for name in made.splits}
            ),
        )
    return drawn


def _compared(of: str) -> str:
    return {
        "windows": "How many residues each window shares, place by place, with the nearest training window. Shuffled "
        "windows show what equal composition gives.",
        "short sequences": "How many letters each sequence shares, place by place, with the nearest training sequence.",
        "proteins": f"Identity of the protein of each example to the nearest training protein (MMseqs2, sensitivity "
        f"{SENSITIVITY}, E-value up to {EXPECTED}, over at least {percent(HALF)} of the protein; 0: none found).",
        "sequences": f"Identity of each sequence to the nearest training sequence (MMseqs2, E-value up to {EXPECTED}, "
        f"over at least {percent(HALF)} of it; 0: none found).",
        "molecules": "Tanimoto similarity of each molecule to the nearest training molecule (Morgan fingerprints of "
        "radius 2).",
    }[of]


def _shown_classes(made: Made) -> list[str]:
    """Classes that have a panel: the positive one of two, or the most frequent ones."""
    counts = Counter(entry.label for entry in made.entries)
    if len(counts) < 2 or made.plan.numbers:
        return []
    if len(counts) == 2:
        negative = made.plan.arguments.negative_label
        return [next((name for name in sorted(counts, reverse=True) if name != negative), min(counts))]
    return [name for name, _ in counts.most_common(dataset_figures.MOST_CLASSES)]


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
        Paragraph(f"{total:,} {'windows' if plan.windows else 'examples'}, {SPLIT_WORDS[plan.arguments.split]}."),
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
        blocks.append(Paragraph(f"Residues in the middle, by label: {shown(text, 600)}."))
    return blocks


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
            low, high = interval(found, of)
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


def interval(found: int, of: int) -> tuple[float, float]:
    """95 % interval of a share (Wilson 1927, https://doi.org/10.1080/01621459.1927.10502953)."""
    z = 1.959964
    middle = (found + z * z / 2) / (of + z * z)
    half = z / (of + z * z) * (found * (of - found) / of + z * z / 4) ** 0.5
    return (middle - half if found else 0.0), (middle + half if found < of else 1.0)


def _changes(made: Made) -> list[str]:
    lines = [f"{what}: {count:,}." for what, count in sorted(made.plan.counted.items())]
    lines += [f"{rule}." for rule in made.plan.rules.lines()]
    if made.left_out:
        names = ", ".join(shown(entry.id, 30) for entry in made.left_out[:10])
        lines.append(f"Left out were {names}{' …' if len(made.left_out) > 10 else ''}.")
    return lines or ["Nothing was changed or left out."]


def _parameters(made: Made) -> dict[str, str]:
    arguments, plan = made.plan.arguments, made.plan
    return {
        name.replace("_", " "): str(value)
        for name in PARAMETERS
        if (value := getattr(arguments, name)) not in (None, "")
        and (plan.windows or name not in ONLY_WINDOWS)
        and (arguments.split == "homology" or name not in ("identity", "coverage"))
    }


def _versions(made: Made) -> list[str]:
    used = versions(("numpy", "scipy", "matplotlib")) | made.tools
    kind = {DNA: "DNA", TEXT: "molecules (SMILES)"}.get(made.plan.alphabet, "protein")
    return [
        f"Sequences read as: {kind}",
        "Software: " + in_one_line(used),
    ]


def _citations(made: Made) -> list[tuple[str, str]]:
    keys = [*made.tools, *(["scaffold", "moleculenet"] if made.plan.arguments.split == "scaffold" else []), "leakage"]
    return [CITATIONS[key] for key in CITATIONS if key in keys]
