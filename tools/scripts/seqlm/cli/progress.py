"""Progress of long work on stderr: whole lines, a few dozen of them in all."""

from __future__ import annotations

import sys
import time


class Progress:
    """Prints at most ``lines`` lines between the start and the end of ``total`` units of work.

    >>> progress = Progress("predicting", 1000, "sequences")
    >>> progress(500)
    predicting: 50 % of 1,000 sequences, 812.0 a second, 1 s left
    """

    def __init__(self, what: str, total: int, unit: str, lines: int = 20):
        self.what, self.total, self.unit = what, max(total, 1), unit
        self.step = 1 / lines
        self.start, self.next = time.monotonic(), self.step

    def __call__(self, done: int, note: str = "") -> None:
        share = done / self.total
        if share + 1e-9 < self.next and done < self.total:
            return
        self.next = share + self.step
        spent = max(time.monotonic() - self.start, 1e-9)
        rate = done / spent
        left = (self.total - done) / rate if rate else 0
        print(
            f"{self.what}: {share:.0%} of {self.total:,} {self.unit}, {rate:.1f} a second, {left:.0f} s left"
            + (f", {note}" if note else ""),
            file=sys.stderr,
            flush=True,
        )
