"""Regular expressions that a user gives, searched in headers and names within a limit of time.

Some patterns that repeat something inside a repeat take twice as long for each letter more. Python looks for signals
while it searches, so an alarm ends a search that would never end.
"""

from __future__ import annotations

import re
import signal
import time

from seqlm.cli.errors import InputError

from .records import quoted

LONGEST = 1000  # letters of a pattern
SECONDS = 5.0  # that one search may take
SECONDS_TOGETHER = 60.0  # that all searches of a pattern may take, where each is timed
PLAIN = 10_000  # letters in which a pattern that has one choice at most, as LABEL=(\S+) has, is found at once


class Pattern:
    """A regular expression of a user.

    Args:
        text: as given.
        what: it is to find, for messages.

    Raises:
        InputError: what is no regular expression.
    """

    def __init__(self, text: str, what: str):
        self.pattern, self._name = text, f"the {what} pattern '{quoted(text)}'"
        if len(text) > LONGEST:
            raise InputError(f"{self._name} has {len(text):,} letters; the limit is {LONGEST:,}")
        try:
            self._compiled = re.compile(text)
        except (re.error, RecursionError, OverflowError, MemoryError) as problem:
            raise InputError(f"{self._name} is not a regular expression: {problem}") from None
        self.groups = self._compiled.groups
        self._choices = sum(map(text.count, "*+?{|"))
        self._spent = 0.0

    def search(self, text: str) -> re.Match | None:
        """Raises InputError where the search takes too long."""
        if self._choices <= 1 and len(text) <= PLAIN:
            return self._compiled.search(text)
        before, began = signal.signal(signal.SIGALRM, self._stop), time.perf_counter()
        signal.setitimer(signal.ITIMER_REAL, SECONDS)
        try:
            return self._compiled.search(text)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
            self._spent += time.perf_counter() - began
            if self._spent > SECONDS_TOGETHER:
                self._stop()

    def _stop(self, *_) -> None:
        raise InputError(f"{self._name} takes too long to search; give one that repeats nothing inside a repeat")
