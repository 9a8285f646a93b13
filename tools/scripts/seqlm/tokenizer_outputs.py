"""What an inspection of a tokenizer leaves: tables, and the report as tool markdown, figures and one HTML page."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from .outputs import Outputs, write_table
from .tokenizer_inputs import Plan
from .tokenizer_inspection import SEQUENCE_COLUMNS, TOKEN_COLUMNS, USAGE_COLUMNS, Inspection, Inspector


def write(plan: Plan, outputs: Outputs) -> None:
    """Split all sequences, and fill every output that was asked for."""
    arguments, inspector = plan.arguments, Inspector(plan)
    rows = inspector.rows(arguments.rows)
    if arguments.output_table:
        columns = TOKEN_COLUMNS if arguments.rows == "token" else SEQUENCE_COLUMNS
        write_table(outputs.file(arguments.output_table), columns, rows)
    for _ in rows:  # without a table they are only counted
        pass
    found = inspector.found
    if arguments.output_usage:
        write_table(outputs.file(arguments.output_usage), USAGE_COLUMNS, inspector.usage_rows())
    if arguments.output_report or arguments.output_html or arguments.output_figures:
        _write_report(found, outputs)
    from .tokenizer_verdict import changes, headline

    for line in changes(found):
        print(f"note: {line}", file=sys.stderr)
    print(headline(found), file=sys.stderr)


def _write_report(found: Inspection, outputs: Outputs) -> None:
    from .tokenizer_report import save_figures, tokenizer_report

    arguments, report = found.plan.arguments, tokenizer_report(found)
    formats = tuple(dict.fromkeys(("png", arguments.figure_format)))
    with tempfile.TemporaryDirectory(prefix="figures_") as scratch:
        folder = outputs.folder(arguments.output_figures) if arguments.output_figures else Path(scratch)
        save_figures(found, folder, formats)
        if arguments.output_report:
            outputs.file(arguments.output_report).write_text(report.galaxy_markdown(), encoding="utf-8")
        if arguments.output_html:
            outputs.file(arguments.output_html).write_text(report.html(folder), encoding="utf-8")
