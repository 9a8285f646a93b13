"""The report on contacts: whether they are more than chance, maps, and how many are right where that is known."""

from __future__ import annotations

import math

from seqlm.cli.outputs import Outputs
from seqlm.cli.text import shown
from seqlm.cli.versions import versions
from seqlm.report.outputs import parameters, wants_report, write_report
from seqlm.report.report import Bullets, Note, Paragraph, Report, Table
from seqlm.report.words import score_text, sentence

from .inputs import Plan
from .structures import DIVISORS
from .summary import LIKELY, Summary
from .verdict import EXPLANATION, headline, rests_on, trust

PACKAGES = ("torch", "transformers", "numpy", "scipy")
SETTINGS = ("method", "contact_floor", "checked", "random_models", "precision", "seed")
LISTED = 12  # proteins
NAMED = 4  # pairs of each


def write(plan: Plan, summary: Summary, outputs: Outputs) -> None:
    """Fill what was asked for of report, figures and page."""
    if wants_report(plan.arguments):
        write_report(plan.arguments, contact_report(plan, summary), outputs)


def contact_report(plan: Plan, summary: Summary) -> Report:
    """The whole report, in the order in which a reader asks."""
    from .figures import figures_of  # with matplotlib, which a run without a report does not need

    report = Report("Contact report", drawn=figures_of(plan, summary))
    report.verdict(headline(plan, summary), EXPLANATION, rests_on(plan, summary))
    report.section("What can be trusted", *(Note(sentence(text.rstrip("."))) for text in trust(plan, summary)))
    report.section("Contacts", *report.pictures("contacts"), Table(*_proteins(summary)))
    if summary.measured:
        report.section("In known structures", *report.pictures("precision"), Table(*_precisions(plan, summary)))
    report.section("More than chance?", *report.pictures("chance"), Paragraph(_how_checked(summary)))
    report.section("Sequences", Bullets(_read(plan, summary)))
    opened = plan.opened
    report.section(
        "Model",
        Table(
            ["Property", "Value"],
            [
                ["model", opened.name],
                ["family", opened.family.name],
                ["sha256 of its weights", opened.base.sha256[:16] + "…"],
            ],
        ),
    )
    cited = [
        *opened.family.citations,
        "contacts",
        "sanity-checks",
        "transformers",
        *(["biopython"] * bool(plan.chains)),
    ]
    packages = (*PACKAGES, *(("biopython",) * bool(plan.chains)))
    report.closing(parameters(plan.arguments, SETTINGS), versions(packages), cited)
    return report


def _proteins(summary: Summary) -> tuple[list[str], list[list[str]]]:
    rows = []
    for one in sorted(summary.proteins, key=lambda one: (math.isnan(one.top), -one.top))[:LISTED]:
        named = [f"{letter}{place}–{other}{there} {value:.2f}" for place, letter, there, other, value in one.strongest]
        likely = [f"{count:,}" for count in one.likely.values()]
        top = "–" if math.isnan(one.top) else f"{one.top:.2f}"
        rows.append([shown(one.id, 30), f"{len(one.sequence):,}", top, *likely, ", ".join(named[:NAMED])])
    columns = [f"{name} ≥ {LIKELY}" for name in ("short", "medium", "long")]
    return ["Protein", "Residues", "Mean of the best", *columns, "Most probable, long range"], rows


def _precisions(plan: Plan, summary: Summary) -> tuple[list[str], list[list[str]]]:
    rows = []
    for name in ("short", "medium", "long"):
        for divisor in DIVISORS:
            if (found := summary.precision((name, divisor), plan.arguments.seed)) is not None:
                score, by_chance, most = found
                pairs = "L" if divisor == 1 else f"L/{divisor}"
                rows.append([name, pairs, score_text(score, ""), f"{by_chance:.3f}", f"{most:.3f}"])
    return ["Range", "Pairs", "Touch", "By chance", "By chance at the most (39 in 40)"], rows


def _how_checked(summary: Summary) -> str:
    count = len(summary.checks.top)
    which = "all proteins" if count == len(summary.proteins) else f"{count:,} proteins drawn at random"
    return (
        f"Checked on {which}. Shuffled weights are those of the model, the numbers of each tensor in another order, "
        "under the same head: what such a copy gives as well was not learnt (Adebayo et al. 2018). A protein with its "
        "residues in another order is none; what the model says of it comes from the letters alone."
    )


def _read(plan: Plan, summary: Summary) -> list[str]:
    found = plan.survey
    lines = [
        f"{found.sequences:,} protein{'s' * (found.sequences != 1)} of {found.letters:,} residues, the longest of "
        f"{found.longest:,}; the model reads {plan.opened.family.window:,} at once"
    ]
    lines += [f"{shown(name, 30)}: {shown(chain, 60)}" for name, chain in list(plan.known.items())[:LISTED]]
    return lines + summary.rules.lines()
