"""The contract for mistakes: one line that starts ``error:``, exit status 2, nothing half-written."""

from __future__ import annotations

import argparse
import errno
import signal
import sys
from collections.abc import Callable


class InputError(Exception):
    """Something the user can mend. The message says what is wrong, where, and what to do, in one line."""


class Parser(argparse.ArgumentParser):
    """An argparse parser whose complaints follow the same contract as every other error."""

    def __init__(self, **keywords):
        super().__init__(allow_abbrev=False, formatter_class=argparse.ArgumentDefaultsHelpFormatter, **keywords)

    def error(self, message: str):
        raise InputError(f"{message}; --help lists every option")


def run(main: Callable[[], None]) -> None:
    """Call ``main`` and turn what went wrong into the exit status.

    0 when every output is complete; 2 with one ``error:`` line for a mistake the user can mend (a full disk included);
    anything else is a defect of this program and keeps its traceback.
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # as an exception, so that half-written files are removed
    try:
        main()
    except InputError as mistake:
        _fail(str(mistake))
    except Exception as problem:
        # safetensors and zipfile have exceptions of their own for it
        full = isinstance(problem, OSError) and problem.errno in (errno.ENOSPC, errno.EDQUOT)
        if not full and "No space left on device" not in str(problem):
            raise
        _fail("the disk is full, so nothing was written; free some space and run again")
    except KeyboardInterrupt:
        print("error: stopped before the outputs were complete; nothing was written", file=sys.stderr)
        sys.exit(130)


def _fail(message: str) -> None:
    print("error: " + " ".join(message.split()), file=sys.stderr)
    sys.exit(2)
