"""Rows that do not fit the sequences that they are about: the first stops a tool, or all are left out and counted."""

from __future__ import annotations

from dataclasses import dataclass, field

from seqlm.cli.errors import InputError

from .records import Rules

STOP, LEAVE_OUT = CHOICES = ("stop", "leave-out")

# what is wrong with a site
UNREADABLE = "in rows that cannot be read"
NO_SEQUENCE = "on proteins without a sequence"
BEYOND = "beyond the end of their protein"
OTHER_RESIDUE = "on another residue than their row says"


@dataclass
class Misfits:
    """What becomes of the rows of one file that cannot be used.

    Attributes:
        choice: one of ``CHOICES``.
        rules: rows left out are counted here, by what is wrong with them.
        unit: what a row is about.
        first: what is wrong with the first that was left out.
        number: of rows left out.
    """

    choice: str = STOP
    rules: Rules = field(default_factory=Rules)
    unit: str = "site"
    first: str = ""
    number: int = 0

    def leave_out(self, why: str, message: str) -> None:
        """Count a row.

        Args:
            why: what is wrong with it, the same words for all of a kind.
            message: the same with file, line and cell.

        Raises:
            InputError: misfits stop the tool.
        """
        if self.choice == STOP:
            raise InputError(f"{message} (--misfits leave-out leaves such rows out)")
        self.rules.count(f"left out, {why}", unit=self.unit)
        self.first = self.first or message
        self.number += 1

    def note(self) -> str:
        """How many were left out, with the first of them; empty where there is none."""
        if not self.number:
            return ""
        rows = f"{self.number:,} {self.unit}{'s' * (self.number != 1)}"
        return f"{rows} left out that cannot be read or do not fit, the first being: {self.first}"
