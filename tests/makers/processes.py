"""What other processes do in the tests of several processes; needs no torch."""

import os
import signal
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))

from seqlm.cli.errors import InputError, run
from seqlm.training import launching


def work(rank: int, how: str) -> None:
    """The life of another process."""
    print("nobody is to read this", file=sys.stderr)
    if how == "mistaken":
        raise InputError(f"process {rank} is mistaken")
    if how == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "defective":
        raise ZeroDivisionError("a defect")
    time.sleep(600)


def main() -> None:
    how, waits = sys.argv[1:]
    launching.GRACE = 1.0
    with tempfile.TemporaryDirectory(dir=".") as scratch, launching.others(3, work, (how,), Path(scratch)):
        if how == "waiting":
            raise InputError("the first is mistaken")
        time.sleep(600 if waits == "for ever" else 2)
        raise RuntimeError("[gloo] Connection closed by peer")


if __name__ == "__main__":
    run(main)
