"""Text of strangers as messages, reports and figures show it."""

from __future__ import annotations

import unicodedata


def shown(text: str, longest: int = 40) -> str:
    """A user's text on one line and no longer than ``longest`` characters."""
    text = _one_line(text)
    return text if len(text) <= longest else text[: longest - 1].rstrip() + "…"


def _one_line(text: str) -> str:
    """Without line ends, control characters and invisible marks that turn the direction of writing."""
    return " ".join("".join(" " if unicodedata.category(c)[0] == "C" else c for c in str(text)).split())
