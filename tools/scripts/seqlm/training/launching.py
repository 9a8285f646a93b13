"""Which processes take part in a training, and that they end together. Needs no torch.

Either torchrun or accelerate has started them all, and says by its variables which one this is; or this one is the
first and starts the others. Only the first prints and writes outputs. A process that fails ends all of them: with one
``error:`` line where it was a mistake, and never by waiting for each other for ever.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sys
import threading
import traceback
from argparse import Namespace
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from seqlm.cli.errors import InputError, in_words, launched_as, lost_another, quiet

from .deepspeed_engine import check_deepspeed

GRACE = 20.0  # seconds that a process has to end by itself when another one has failed


def launched() -> int:
    """Processes that torchrun or accelerate started this one as one of; 0 where nobody did."""
    return int(os.environ["WORLD_SIZE"]) if launched_as() is not None else 0


def check_processes(arguments: Namespace, items: str) -> None:
    """Refuse what several processes cannot do.

    Args:
        items: what an update is made of.

    Raises:
        InputError: more processes than an update has items, or DeepSpeed where it is not.
    """
    size = max(arguments.processes, launched())
    if arguments.batch_size < size:
        raise InputError(
            f"{size} processes cannot share updates of {arguments.batch_size} {items}; raise the batch size or lower "
            "the processes"
        )
    check_deepspeed(arguments)


@contextmanager
def others(size: int, work: Callable, arguments: tuple, scratch: Path) -> Iterator[None]:
    """Processes 1 … size - 1, each calling ``work(rank, *arguments)``, while the body runs; none outlives it.

    Args:
        scratch: removed where this process has to be ended because it waits for one that failed.

    Raises:
        InputError: what another process says is wrong, or that one was killed.
    """
    from multiprocessing import get_context
    from multiprocessing.connection import wait

    context = get_context("spawn")
    started, left = [], threading.Event()

    def failed() -> bool:
        return any(process.exitcode for process, _ in started)

    def watch() -> None:
        running = [process for process, _ in started]
        while running and not left.is_set():
            wait([process.sentinel for process in running], timeout=0.5)
            if failed() and not left.wait(GRACE):  # this process waits for one that is no more
                said = _said(started)
                print(said, file=sys.stderr, flush=True)
                shutil.rmtree(scratch, ignore_errors=True)
                _kill(started)
                os._exit(2 if said.startswith("error: ") else 1)
            running = [process for process in running if process.is_alive()]

    try:
        for rank in range(1, size):
            receiver, sender = context.Pipe(duplex=False)
            process = context.Process(target=_take_part, args=(sender, work, rank, arguments), daemon=True)
            process.start()
            sender.close()
            started.append((process, receiver))
        threading.Thread(target=watch, daemon=True).start()
        yield
        for process, _ in started:
            process.join(GRACE)
    except Exception as problem:
        if not started or isinstance(problem, InputError) or not lost_another(problem):
            raise
        for process, _ in started:
            process.join(GRACE / 4)
        said = _said(started)
        if said.startswith("error: "):
            raise InputError(said.removeprefix("error: ")) from None
        print(said, file=sys.stderr)
        raise
    finally:
        left.set()
        _kill(started)


def _kill(started: list) -> None:
    for process, _ in started:
        process.kill()  # and not SIGTERM, at which a training first ends its update, with the others
        process.join()


def _said(started: list) -> str:
    """Why others failed: an ``error:`` line, or the traceback of one."""
    found = []
    for process, receiver in started:
        with contextlib.suppress(EOFError, OSError):
            if receiver.poll():
                found.append(receiver.recv())
        if (process.exitcode or 0) < 0:
            found.append((
                "mistake",
                f"one of the {len(started) + 1} processes was killed (signal {-process.exitcode}), which happens where "
                "memory does not suffice; ask for fewer processes, or fewer tokens at once (--batch-tokens)",
            ))  # fmt: skip
    for kind in ("mistake", "defect", "lost"):
        said = [text for one, text in found if one == kind]
        if said:
            return "error: " + " ".join(said[0].split()) if kind == "mistake" else said[0]
    return "another process of this training has ended, and this one with it"


def _take_part(sender, work: Callable, rank: int, arguments: tuple) -> None:
    """The life of a process that the first one started."""
    threading.Thread(target=_end_with_the_first, daemon=True).start()
    for number in (signal.SIGINT, signal.SIGTERM):  # the first ends its update, and tells the others
        signal.signal(number, signal.SIG_IGN)
    status, said = 0, None
    try:
        with quiet():
            work(rank, *arguments)
    except InputError as mistake:
        status, said = 2, ("mistake", str(mistake))
    except SystemExit:  # the first has told all to end, and takes its time to leave a checkpoint
        pass
    except BaseException as problem:
        lost, known = lost_another(problem), in_words(problem)
        status, said = 1, ("lost" if lost else "mistake" if known else "defect", known or traceback.format_exc())
    if said:
        with contextlib.suppress(OSError):
            sender.send(said)
    sys.stdout.flush()
    os._exit(status)  # without waiting for threads of libraries


def _end_with_the_first() -> None:
    from multiprocessing import parent_process

    parent_process().join()
    os._exit(1)
