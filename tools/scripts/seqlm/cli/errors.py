"""The contract for mistakes: one line that starts ``error:``, exit status 2, nothing half-written."""

from __future__ import annotations

import argparse
import errno
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import nullcontext, redirect_stderr

from seqlm import __version__


class InputError(Exception):
    """Something the user can mend. The message says what is wrong, where, and what to do, in one line.

    Attributes:
        here: of several processes only this one noticed it.
    """

    def __init__(self, message: str = "", here: bool = False):
        super().__init__(message)
        self.here = here


class Parser(argparse.ArgumentParser):
    """An argparse parser whose complaints follow the same contract as every other error.

    An option takes one value, whatever that begins with where it is written ``--option=value``, and stands once. What
    may be given several times is declared with ``action="append"`` and is repeated, each time with one value.
    """

    def __init__(self, **keywords):
        super().__init__(allow_abbrev=False, formatter_class=argparse.ArgumentDefaultsHelpFormatter, **keywords)
        self.register("action", "append", Several)
        self.add_argument("--version", action="version", version=__version__)

    def parse_known_args(self, args=None, namespace=None):
        args = sys.argv[1:] if args is None else list(args)
        given = Counter(word.partition("=")[0] for word in args)
        for action in self._actions:
            if not isinstance(action, Several) and sum(given[name] for name in action.option_strings) > 1:
                self.error(f"{action.option_strings[-1]} was given twice")
        return super().parse_known_args(args, namespace)

    def error(self, message: str):
        if message.endswith("expected one argument"):
            message += ", and a value that begins with - is written --option=-value"
        raise InputError(f"{message}; --help lists every option")


class Several(argparse.Action):
    """Keeps every value of an option that is repeated, and not its default beside them."""

    def __call__(self, parser, namespace, values, option_string=None):
        before = getattr(namespace, self.dest)
        setattr(namespace, self.dest, [values] if before is self.default else [*before, values])


def run(main: Callable[[], None]) -> None:
    """Call ``main`` and turn what went wrong into the exit status.

    0 when every output is complete; 2 with one ``error:`` line for a mistake the user can mend (a full disk included);
    anything else is a defect of this program and keeps its traceback. Of several processes that torchrun started, the
    first one speaks.
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # as an exception, so that half-written files are removed
    others = (launched_as() or 0) > 0
    try:
        with quiet() if others else nullcontext():
            main()
    except InputError as mistake:
        if others and not mistake.here:
            time.sleep(2)  # torchrun ends all when one has ended, and the first is to say it before
            sys.exit(2)
        _fail(str(mistake))
    except Exception as problem:
        if launched_as() is not None and lost_another(problem):
            print("another process of this training has ended, and this one with it", file=sys.stderr)
            sys.exit(1)
        # safetensors and zipfile have exceptions of their own for it
        full = isinstance(problem, OSError) and problem.errno in (errno.ENOSPC, errno.EDQUOT)
        if not full and "No space left on device" not in str(problem):
            raise
        _fail("the disk is full, so nothing was written; free some space and run again")
    except KeyboardInterrupt:
        print("error: stopped before the outputs were complete; nothing was written", file=sys.stderr)
        sys.exit(130)


def launched_as() -> int | None:
    """Which process this one is of those that torchrun or accelerate started; None where nobody did."""
    rank, size = os.environ.get("RANK", ""), os.environ.get("WORLD_SIZE", "")
    return int(rank) if rank.isdigit() and size.isdigit() else None


def quiet():
    """A context in which nothing is printed on stderr."""
    return redirect_stderr(open(os.devnull, "w"))


def lost_another(problem: BaseException) -> bool:
    """Whether an exception only says that another process of the same training is no more."""
    text = str(problem).lower()
    return any(words in text for words in ("closed by peer", "reset by peer", "broken pipe", "connection refused"))


def _fail(message: str) -> None:
    print("error: " + " ".join(message.split()), file=sys.stderr)
    sys.exit(2)
