"""What an inspection of a tokenizer leaves: tables, and the report as tool markdown, figures and one HTML page."""

from __future__ import annotations

import sys

from seqlm.cli.outputs import Outputs, write_table
from seqlm.report.outputs import wants_report, write_report

from .inputs import Plan
from .inspection import SEQUENCE_COLUMNS, TOKEN_COLUMNS, USAGE_COLUMNS, Inspector


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
    if wants_report(arguments):
        from .report import tokenizer_report

        write_report(arguments, tokenizer_report(found), outputs)
    from .verdict import changes, headline

    for line in changes(found):
        print(f"note: {line}", file=sys.stderr)
    print(headline(found), file=sys.stderr)
