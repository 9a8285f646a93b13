"""Which sequence a name is of: its id, or the accession or entry name in one such as ``sp|P04637|P53_HUMAN``."""

from __future__ import annotations

import re
from collections.abc import Iterable

_PARTS = re.compile(r"(?:sp|tr|gb|ref|emb|dbj)\|([^|\s]+)(?:\|([^|\s]*))?")


class ProteinNames:
    """The place of each sequence by any of its names; a part that several ids have names none of them."""

    def __init__(self, ids: Iterable[str]):
        self.ids = {name: place for place, name in enumerate(ids)}
        self._parts: dict[str, int | None] = {}
        for name, place in self.ids.items():
            for part in parts_of(name):
                self._parts[part] = None if part in self._parts else place

    def place(self, name: str) -> int | None:
        """The place of the sequence that a name is of, or None."""
        if (place := self.ids.get(name)) is None and (place := self._parts.get(name)) is None:
            return next((found for part in parts_of(name) if (found := self._parts.get(part)) is not None), None)
        return place


def parts_of(name: str) -> list[str]:
    """The accession and the entry name in a name, or the name itself."""
    found = _PARTS.match(name) if "|" in name else None
    return [part for part in found.groups() if part] if found else [name]
