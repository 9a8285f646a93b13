"""Models that are installed on a server, among which an adapter or a head finds the base model that it names.

They come as a table of a line each, without a header, as the forms write it from Galaxy's table of models::

    Rostlab/prot_t5_xl_uniref50 → 973be27… → /data/huggingface/Rostlab/prot_t5_xl_uniref50        id, version, path

What a bundle says is compared with ids and versions and is never a path that is opened.
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from pathlib import Path

from seqlm.cli.errors import InputError

HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
# what the data manager puts behind the id of a model of which another version is in the table
_VERSION = re.compile(r"_[0-9a-f]{12}$")


@dataclass(frozen=True)
class Installed:
    id: str
    version: str
    path: str

    @property
    def model(self) -> str:
        """The id without a version; the Hub knows no two ids that differ in capitals alone."""
        return _VERSION.sub("", self.id).lower()


def read_installed(path: Path | str) -> list[Installed]:
    """The rows of the table, each path once; those that lack a column are left out, and it is said how many.

    Raises:
        InputError: there is no such file.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as problem:
        raise InputError(f"the table of installed models {path} cannot be read: {problem.strerror}") from None
    rows = {number: line.split("\t") for number, line in enumerate(lines, 1) if line.strip()}
    whole = [row for row in rows.values() if _is_whole(row)]
    if left := len(rows) - len(whole):
        first = next(number for number, row in rows.items() if not _is_whole(row))
        print(
            f"note: {Path(path).name}: {left:,} of {len(rows):,} rows of installed models are not an id, a version "
            f"and a path, and were left out; the first is line {first}",
            file=sys.stderr,
        )
    return list({row[2]: Installed(*row) for row in whole}.values())


def _is_whole(row: list[str]) -> bool:
    return len(row) == 3 and bool(row[0] and row[2])


def versions_of(rows: list[Installed], wanted: str, revision: str | None = None) -> list[Installed]:
    """The rows of a model, those first that are most likely the version that is wanted.

    Args:
        wanted: its id; capitals do not matter, and a version behind it may differ.
        revision: its version, where it is known.
    """
    model = Installed(wanted, "", "").model
    found = [row for row in rows if row.model == model]
    return sorted(found, key=lambda row: (not revision or row.version != revision, row.id != wanted))
