"""The contract for mistakes: one line that starts ``error:``, exit status 2, nothing half-written."""

from __future__ import annotations

import argparse
import errno
import os
import signal
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable
from contextlib import redirect_stderr, suppress
from typing import TextIO

from seqlm import __version__

STOPPED = 143  # the status of a process that SIGTERM ended


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


class Unfailing:
    """A stream that loses what cannot be written: a line about progress must not end a job."""

    def __init__(self, stream: TextIO):
        self.stream = stream

    def write(self, text: str) -> int:
        with suppress(OSError, ValueError):  # full, or closed
            self.stream.write(text)
        return len(text)

    def flush(self) -> None:
        with suppress(OSError, ValueError):
            self.stream.flush()

    def __getattr__(self, name: str):
        return getattr(self.stream, name)


def run(main: Callable[[], None]) -> None:
    """Call ``main`` and turn what went wrong into the exit status and one ``error:`` line.

    0 when every output is complete; 2 for what the user, or who runs the job, can mend: a mistake, a full disk, memory
    that is used up; 143 and 130 where the job was stopped; 1 for a defect of this program, whose traceback stands above
    its line. Of several processes that torchrun started, the first one speaks.
    """
    signal.signal(signal.SIGTERM, _stop)
    for number in range(3):  # or else an output would get the number, and what libraries say would stand in it
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    others = (launched_as() or 0) > 0
    with redirect_stderr(Unfailing(open(os.devnull, "w") if others or not sys.stderr else sys.stderr)):
        try:
            main()
        except InputError as mistake:
            if others and not mistake.here:
                time.sleep(2)  # torchrun ends all when one has ended, and the first is to say it before
            _end(str(mistake), 2)
        except SystemExit as end:
            if end.code == STOPPED:
                _end("stopped before the outputs were complete, so there are none", STOPPED)
            raise
        except KeyboardInterrupt:
            _end("stopped before the outputs were complete, so there are none", 130)
        except BaseException as problem:
            if launched_as() is not None and lost_another(problem):
                _end("another process of this training has ended, and this one with it", 1)
            known = in_words(problem)
            if not known:
                traceback.print_exc()
            _end(
                known or f"{type(problem).__name__}, a defect of this tool: please report it with the lines above",
                2 if known else 1,
            )


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


def in_words(problem: BaseException) -> str | None:
    """What went wrong outside this program; None where it is a defect of it."""
    text, number = str(problem), problem.errno if isinstance(problem, OSError) else None
    # HDF5, safetensors and zipfile have errors of their own for the first two
    if number in (errno.ENOSPC, errno.EDQUOT) or "No space left on device" in text:
        return "the disk is full, so nothing was written; free some space and run again"
    if number == errno.EFBIG or "File too large" in text:
        return "a file would be larger than this job may write (ulimit -f), so nothing was written"
    if isinstance(problem, MemoryError) or "can't allocate memory" in text or "CUDA out of memory" in text:
        return "the memory is used up, so nothing was written; give the job more, or a smaller file or model"
    if isinstance(problem, OSError):
        return f"{problem.filename or type(problem).__name__}: {problem.strerror or text}"
    if isinstance(problem, RecursionError):
        return "something in a file is nested too deeply to be read"
    if isinstance(problem, OverflowError):
        return f"a number is too large to compute with ({text})"
    if not isinstance(problem, Exception):  # what Rust raises for a panic
        return f"a library gave up on what is in a file ({text})"
    return None


def _stop(*_) -> None:
    """As an exception, so that what is half-written is removed, and only once."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sys.exit(STOPPED)


def _end(message: str, status: int) -> None:
    print("error: " + " ".join(message.split()), file=sys.stderr, flush=True)
    sys.exit(status)
