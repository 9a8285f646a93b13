"""The report on an explanation: whether it is more than chance, what it shows, and how it was computed."""

from __future__ import annotations

import numpy as np

from seqlm.cli.outputs import Outputs
from seqlm.cli.text import shown
from seqlm.cli.versions import versions
from seqlm.report.outputs import parameters, wants_report, write_report
from seqlm.report.report import Bullets, Note, Paragraph, Report, Table
from seqlm.report.words import sentence

from .inputs import Plan
from .methods import ATTENTION, GRADIENTS
from .summary import Summary
from .verdict import explanation, headline, rests_on, trust

PACKAGES = ("torch", "transformers", "captum", "numpy", "scipy")
SETTINGS = ("method", "explained_class", "explained_position", "steps", "checked", "random_models", "precision", "seed")
LISTED = 8  # sequences, and positions of each
CITED = {"esm2": "esm2", "esm1b": "esm1b", "prottrans": "prottrans-short", "dnabert2": "dnabert2", "saprot": "saprot"}


def write(plan: Plan, summary: Summary, outputs: Outputs) -> None:
    """Fill what was asked for of report, figures and page."""
    if wants_report(plan.arguments):
        write_report(plan.arguments, explanation_report(plan, summary), outputs)


def explanation_report(plan: Plan, summary: Summary) -> Report:
    """The whole report, in the order in which a reader asks."""
    from .figures import figures_of  # with matplotlib, which a run without a report does not need

    report = Report("Explanation report", drawn=figures_of(plan, summary))
    report.verdict(headline(plan, summary), explanation(plan), rests_on(plan, summary.checks))
    report.section("What can be trusted", *(Note(sentence(text.rstrip("."))) for text in trust(plan, summary)))
    report.section("More than chance?", *report.pictures("deletion"), Paragraph(_how_checked(plan, summary)))
    report.section(
        "Where the model looks" if plan.arguments.method == ATTENTION else "What speaks for the prediction",
        *report.pictures("maps", "molecules", "heat_map", "logos", "substitutions"),
        Table(*_strongest(plan, summary)),
    )
    report.section("Sequences", Bullets(_read(plan, summary)))
    report.section("Model", Table(["Property", "Value"], _model(plan)))
    cited = [*(CITED.get(key, "") for key in plan.family.citations), plan.arguments.method, "sanity-checks", "deletion"]
    cited += ["captum"] * (plan.arguments.method == GRADIENTS)
    without = ("steps",) * (plan.arguments.method != GRADIENTS) + ("explained_position",) * (plan.site is None)
    report.closing(parameters(plan.arguments, SETTINGS, without), versions(PACKAGES), [*cited, "transformers"])
    return report


def _how_checked(plan: Plan, summary: Summary) -> str:
    count = len(summary.checks.gains)
    which = "all sequences" if count == len(summary.explained) else f"{count:,} sequences drawn at random"
    return (
        f"Checked on {which}. Shuffled weights are those of the model, the numbers of each tensor in another order: "
        "such a model has learnt nothing, and a map that it gives as well does not come from what was learnt "
        "(Adebayo et al. 2018). A model that its maps explain must lose its prediction sooner where what "
        "they name first is hidden. Maps of shuffled weights are true to them as well; so the model must also make "
        "more of the sequences than such a model does. Sequences of which it says different things show that best."
    )


def _strongest(plan: Plan, summary: Summary) -> tuple[list[str], list[list[str]]]:
    rows = []
    for one in summary.ordered()[:LISTED]:
        values = one.item.by_letter(one.values)
        order = np.argsort(-np.nan_to_num(values, nan=-np.inf), kind="stable")[:LISTED]
        named = [f"{one.item.sequence[place]}{place + 1}" for place in order.tolist() if values[place] > 0]
        goal = [shown(plan.labels[one.item.goal], 20)] if plan.labels else []
        site = one.item.site
        name = shown(one.item.id, 30) + ("" if site is None else f", {one.item.sequence[site]}{site + 1}")
        rows.append([name, *goal, f"{one.number:.2f}", f"{one.hidden:.2f}", ", ".join(named)])
    first = "log-odds" if plan.labels else "log-likelihood" if plan.language else "value"
    columns = ["Sequence", *(["Class"] if plan.labels else []), first, "all hidden", "Speak for it the most"]
    return columns, rows


def _read(plan: Plan, summary: Summary) -> list[str]:
    found = plan.survey
    lines = [
        f"{found.sequences:,} sequence{'s' * (found.sequences != 1)} of {found.letters:,} letters, the longest of "
        f"{found.longest:,}"
    ]
    return lines + summary.rules.lines()


def _model(plan: Plan) -> list[list[str]]:
    rows = [["model", plan.name], ["family", plan.family.name], ["task", plan.task]]
    if plan.labels:
        rows.append(["classes", ", ".join(shown(label, 20) for label in plan.labels[:8])])
    if members := plan.manifest.get("members"):
        rows.append(["members", f"{members}, whose mean is explained"])
    if plan.language:
        rows[-1] = ["kind", "causal, from left to right" if plan.text else "masked, all tokens seen in one pass"]
    return [*rows, ["sha256 of its weights", plan.base.sha256[:16] + "…"]]
