"""Outputs appear all together or not at all.

Every output is written under a temporary name beside its target and renamed at the end, so that a job that fails, runs
out of disk or is stopped leaves nothing half-written.
"""

from __future__ import annotations

import csv
import os
import shutil
import tempfile
from argparse import Namespace
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from .errors import InputError

if TYPE_CHECKING:
    pass


class Outputs:
    """A context in which outputs are made; leaving it without an exception puts them in place.

    >>> with Outputs() as outputs:
    ...     table = outputs.file("predictions.tsv")
    ...     write_table(table, ["id"], [["a"]])
    """

    def __init__(self):
        self._pending: list[tuple[Path, Path]] = []

    def __enter__(self) -> Outputs:
        return self

    def file(self, target: str | Path) -> Path:
        """A temporary file that becomes ``target``."""
        target = Path(target).absolute()
        handle, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
        os.close(handle)
        self._pending.append((Path(name), target))
        return Path(name)

    def folder(self, target: str | Path) -> Path:
        """A temporary folder that becomes ``target``, in place of what is there."""
        target = Path(target).absolute()
        name = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
        self._pending.append((name, target))
        return name

    def __exit__(self, kind, value, traceback) -> None:
        try:
            if kind is None:
                for temporary, target in self._pending:
                    if temporary.is_dir():
                        temporary.chmod(0o777 & ~_umask())
                        if target.is_dir():
                            shutil.rmtree(target)
                    else:
                        temporary.chmod(0o666 & ~_umask())
                    os.replace(temporary, target)
        finally:
            for temporary, _ in self._pending:
                if temporary.is_dir():
                    shutil.rmtree(temporary, ignore_errors=True)
                else:
                    temporary.unlink(missing_ok=True)


def check_targets(arguments: Namespace) -> None:
    """Refuse, before any work, outputs that cannot be written: every option that starts with ``output_`` is looked at.

    Raises:
        InputError: a folder that does not exist or cannot be written to, or one name for two outputs.
    """
    seen: dict[Path, str] = {}
    for option, value in vars(arguments).items():
        if not option.startswith("output_") or value is None:
            continue
        flag, target = "--" + option.replace("_", "-"), Path(value).absolute()
        if not target.parent.is_dir():
            raise InputError(f"{flag}: there is no folder {target.parent}")
        if not os.access(target.parent, os.W_OK):
            raise InputError(f"{flag}: no permission to write in {target.parent}")
        if target in seen:
            raise InputError(f"{flag} and {seen[target]} have the same name, {target}")
        seen[target] = flag


def write_table(path: str | Path, columns: list[str], rows: Iterable[Iterable]) -> None:
    """Write a tab-separated table with a header; floats get six significant digits, NaN stays empty."""
    with open(path, "w", encoding="utf-8", newline="") as handle:
        writer = csv.writer(handle, delimiter="\t", quoting=csv.QUOTE_NONE, lineterminator="\n", quotechar=None)
        writer.writerow([cell(column) for column in columns])
        for row in rows:
            writer.writerow([cell(value) for value in row])


def cell(value) -> str:
    """One value as it stands in a table: no tab or line end can break the row."""
    if isinstance(value, float):
        return "" if value != value else f"{value:.6g}"
    return " ".join(str(value).split()) if value is not None else ""


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
