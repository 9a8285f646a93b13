"""The report on structures: which of them can be believed, and where."""

from __future__ import annotations

from seqlm.cli.text import shown
from seqlm.cli.versions import versions
from seqlm.report.outputs import parameters
from seqlm.report.report import Bullets, Report, Table
from seqlm.report.words import percent

from .figures import figures_of
from .inputs import Plan
from .structures import WHAT
from .summary import BANDS, Summary, band
from .verdict import LIMITS, MEANING, headline, warnings

PACKAGES = ("torch", "transformers", "numpy", "biopython")
SETTINGS = ("recycles", "samples", "first_position", "precision", "seed")


def folding_report(plan: Plan, summary: Summary) -> Report:
    """The whole report, in the order in which a reader asks."""
    report = Report("Folding report", drawn=figures_of(plan, summary))
    report.verdict(headline(plan, summary), f"{MEANING} {LIMITS}", notes=warnings(plan, summary))
    report.section("Where they can be believed", *report.pictures("confidence", "proteins"), _bands(summary))
    report.section("The proteins", _proteins(plan, summary))
    report.section("How to go on", Bullets(_next()))
    report.section("How they were folded", Bullets(_how(plan, summary)))
    report.closing(
        parameters(plan.arguments, SETTINGS),
        versions(PACKAGES),
        [plan.architecture.citation, "plddt", "biopython", "transformers"],
    )
    return report


def _bands(summary: Summary) -> Table:
    """How many residues are in each band."""
    counts = dict.fromkeys((name for _, name in BANDS), 0)
    for one in summary.folded.values():
        for value in one.plddt:
            counts[band(value)] += 1
    total = sum(counts.values())
    return Table(
        ["pLDDT", "Called", "Residues", "Share"],
        [
            [f"{low:.0f} and more" if low else "under 50", name, f"{counts[name]:,}", percent(counts[name], total)]
            for low, name in BANDS
        ],
    )


def _proteins(plan: Plan, summary: Summary) -> Table:
    """Each protein, the highest mean pLDDT first."""
    rows = []
    for one in sorted(summary.folded.values(), key=lambda one: (-one.mean, one.place)):
        protein = plan.proteins[one.place]
        length, share = f"{len(one.plddt):,}", percent(one.confident, 1)
        rows.append([shown(protein.id), length, f"{one.mean:.1f}", band(one.mean), f"{one.ptm:.2f}", share])
    return Table(["Protein", "Residues", "Mean pLDDT", "Called", "pTM", "pLDDT of 70 or more"], rows)


def _next() -> list[str]:
    return [
        "Galaxy's viewers of molecules open the structures; coloured by B factor they show what is said below.",
        "Compare structures with experiments or with each other, for example with US-align or Foldseek.",
        "Check geometry, and relax it, before anything is computed on the atoms.",
    ]


def _how(plan: Plan, summary: Summary) -> list[str]:
    name, memory = plan.architecture.name, plan.memory
    drawn = f", of {plan.samples} structures drawn that with the highest pTM" if plan.architecture.draws else ""
    lines = [
        f"{shown(plan.model_name)}: {name}, {plan.recycles} recycle{'s' * (plan.recycles != 1)}{drawn}; its language "
        f"model was computed in {memory.precision}, all else in fp32; {plan.base.parameters:,} weights, "
        f"SHA-256 {plan.base.sha256[:16]}…",
        "The structures hold chain A alone; residues have the numbers of the sequence"
        + (f", from {plan.arguments.first_position}" if plan.arguments.first_position != 1 else "")
        + f". {plan.values.what if plan.values else WHAT}.",
    ]
    if chunked := [one for one in plan.to_fold if one.chunk]:
        lines.append(
            f"As memory was short, {len(chunked):,} protein{'s were' if len(chunked) > 1 else ' was'} computed some "
            "rows at a time, which changes the last digits at the most"
        )
    return lines + summary.rules.lines()
