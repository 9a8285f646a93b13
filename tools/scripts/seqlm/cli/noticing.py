"""What was noticed about a user's files: said once on stderr, and again in the report."""

from __future__ import annotations

import sys

_SAID: dict[str, None] = {}  # in the order in which it was noticed


def notice(text: str) -> None:
    """Say it, unless it has been said."""
    if text not in _SAID:
        _SAID[text] = None
        print(f"note: {text}", file=sys.stderr)


def forget() -> None:
    _SAID.clear()


def noticed() -> list[str]:
    """All that was said."""
    return list(_SAID)
