"""A report in the forms that were asked for."""

from __future__ import annotations

import sys
import tempfile
from argparse import Namespace
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from seqlm.cli.errors import Unfailing
from seqlm.cli.outputs import Outputs

if TYPE_CHECKING:
    from .report import Report


def wants_report(arguments: Namespace) -> bool:
    """Whether a report was asked for in any form."""
    return bool(arguments.output_report or arguments.output_html or arguments.output_figures)


def write_report(arguments: Namespace, report: Report, outputs: Outputs) -> None:
    """A report in the forms that were asked for: tool markdown, figures, one HTML page; its verdict is printed.

    Every figure is drawn once, as PNG and in the other format that was asked for. Galaxy shows what is printed beside
    the datasets, and the reports of workflows quote it.
    """
    formats = tuple(dict.fromkeys(("png", arguments.figure_format)))
    with tempfile.TemporaryDirectory(prefix="figures_") as scratch:
        folder = outputs.folder(arguments.output_figures) if arguments.output_figures else Path(scratch)
        save_figures(report, folder, formats)
        if arguments.output_report:
            outputs.file(arguments.output_report).write_text(report.galaxy_markdown(), encoding="utf-8")
        if arguments.output_html:
            outputs.file(arguments.output_html).write_text(report.html(folder), encoding="utf-8")
    print(report.verdict_as_text(), file=sys.stdout and Unfailing(sys.stdout), flush=True)


def save_figures(report: Report, folder: Path, formats: Sequence[str] = ("png",)) -> list[str]:
    """Draw every figure of a report into ``folder``; returns their names."""
    from .figure_style import save  # with matplotlib, which a run without a report does not need

    for name, figure in report.drawn.items():
        save(figure.draw(), folder, name, formats)
    return list(report.drawn)


def parameters(
    arguments: Namespace, names: Iterable[str], without: Collection[str] = (), *, unset: bool = False
) -> dict[str, str]:
    """What the user chose, as a report lists it.

    Args:
        names: options that decide what comes out.
        without: those of them that did not matter this time, or what their names begin with.
        unset: list also what was given no value.
    """
    values = {name: getattr(arguments, name) for name in names if not name.startswith(tuple(without))}
    return {name.replace("_", " "): str(value) for name, value in values.items() if unset or value not in (None, "")}
