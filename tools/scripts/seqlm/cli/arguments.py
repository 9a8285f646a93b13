"""The check of a single number on the command line."""

from __future__ import annotations

import argparse
import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Number:
    """A parser of one int or float. Forms have the same ranges, which a test compares.

    Attributes:
        low, high: the range; ``low`` is not in it with ``above``.
        words: what may stand in place of a number, such as ``auto``.
    """

    kind: type
    low: float
    high: float = math.inf
    above: bool = False
    words: tuple[str, ...] = ()

    def __call__(self, text: str) -> float | str:
        if text in self.words:
            return text
        try:
            value = self.kind(text)
        except ValueError:
            what = "n integer" if self.kind is int else " number"
            raise argparse.ArgumentTypeError(f"'{text}' is not a{what}") from None
        # written so that NaN, which is in no range, is refused
        if not ((value > self.low if self.above else value >= self.low) and value <= self.high):
            bound = f"above {self.low:g}" if self.above else f"at least {self.low:g}"
            raise argparse.ArgumentTypeError(
                f"{text} is out of range: {bound}" + (f" and at most {self.high:g}" if self.high < math.inf else "")
            )
        return value


@dataclass(frozen=True)
class Numbers:
    """A parser of numbers with commas between; nothing is none of them.

    Attributes:
        each: parses one of them.
    """

    each: Number

    def __call__(self, text: str) -> tuple:
        values = tuple(self.each(part.strip()) for part in text.split(",")) if text.strip() else ()
        if len(set(values)) < len(values):
            raise argparse.ArgumentTypeError(f"'{text}' holds a number twice")
        return values
