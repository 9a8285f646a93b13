"""A report in the forms that were asked for."""

from __future__ import annotations

import tempfile
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from seqlm.cli.outputs import Outputs

if TYPE_CHECKING:
    from .report import Report


def write_report(
    arguments: Namespace, report: Report, draw: Callable[[Path, tuple[str, ...]], None], outputs: Outputs
) -> None:
    """A report in the forms that were asked for: tool markdown, figures, one HTML page.

    Args:
        draw: draws every figure of the report into a folder, once, in the formats that it is told.
    """
    formats = tuple(dict.fromkeys(("png", arguments.figure_format)))
    with tempfile.TemporaryDirectory(prefix="figures_") as scratch:
        folder = outputs.folder(arguments.output_figures) if arguments.output_figures else Path(scratch)
        draw(folder, formats)
        if arguments.output_report:
            outputs.file(arguments.output_report).write_text(report.galaxy_markdown(), encoding="utf-8")
        if arguments.output_html:
            outputs.file(arguments.output_html).write_text(report.html(folder), encoding="utf-8")


def wants_report(arguments: Namespace) -> bool:
    """Whether a report was asked for in any form."""
    return bool(arguments.output_report or arguments.output_html or arguments.output_figures)
