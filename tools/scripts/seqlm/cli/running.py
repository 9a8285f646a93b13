"""What every script does around its own work."""

from __future__ import annotations

import os
import tempfile
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path

from . import errors
from .errors import Parser
from .isolation import isolate
from .outputs import Outputs, check_targets
from .starting import start_and_end_fast


def run(parser: Parser, work: Callable[[Namespace, Path, Outputs], None]) -> None:
    """Read the options and do the work; a mistake ends in one line, and outputs appear all together or not at all.

    Args:
        work: gets the options, a folder that goes with the job, and where outputs are made. What takes long to import
            is imported in there, when a user's mistakes have been looked for.
    """

    def job() -> None:
        arguments = parser.parse_args()
        check_targets(parser, arguments)
        scratch = tempfile.TemporaryDirectory(prefix="seqlm_", ignore_cleanup_errors=True)
        with scratch as scratch, Outputs() as outputs:
            isolate(Path(scratch))
            work(arguments, Path(scratch), outputs)

    start_and_end_fast()
    try:
        errors.run(job)
    except SystemExit as end:
        if end.code:  # at once: a library that could not write, as HDF5, may crash when it is told to end
            os._exit(end.code)
        raise
