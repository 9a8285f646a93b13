"""What whoever asked can mend, said in one line."""

from __future__ import annotations

SHOWN = 100


class Refused(Exception):
    """The model is not fetched; the message says what is wrong and what to do."""


def quoted(text: object) -> str:
    """A stranger's text, safe to print: no control characters, and not long."""
    plain = "".join(letter if letter.isprintable() else "�" for letter in str(text))
    return repr(plain[:SHOWN]) + ("…" if len(plain) > SHOWN else "")


def amount(size: int) -> str:
    """Bytes for a person: ``11.3 GB``."""
    value = float(size)
    for unit in ("bytes", "kB", "MB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "bytes" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} GB"
