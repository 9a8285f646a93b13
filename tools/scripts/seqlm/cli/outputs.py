"""Outputs appear all together or not at all.

Every output is made in a temporary folder of the job and gets its name at the end, so that a job that fails, runs out
of disk or is stopped leaves nothing half-written. The folder is in TMPDIR, or in the working directory where only that
is on the filesystem of the output: there a rename puts a whole file in its place. Where neither is, the one with
more room is taken, and the file is copied beside its target first, under a hidden name for as long as that takes.
"""

from __future__ import annotations

import csv
import errno
import os
import shutil
import stat
import tempfile
from argparse import Namespace
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from .errors import InputError, Parser

INPUTS = ("FILE", "PATH", "FASTA", "TABLE", "ZIP")  # metavars of options that name files to read
FOLDER = "FOLDER"  # metavar of an output that is one


class Outputs:
    """A context in which outputs are made; leaving it without an exception puts them in place.

    >>> with Outputs() as outputs:
    ...     table = outputs.file("predictions.tsv")
    ...     write_table(table, ["id"], [["a"]])
    """

    def __init__(self):
        self._pending: list[tuple[Path, Path]] = []
        self._rooms: dict[Path, Path] = {}

    def __enter__(self) -> Outputs:
        return self

    def file(self, target: str | Path) -> Path:
        """A temporary file that becomes ``target``."""
        handle, name = tempfile.mkstemp(dir=self._room(target))
        os.close(handle)
        return self._kept(name, target)

    def folder(self, target: str | Path) -> Path:
        """A temporary folder whose files come into ``target``, a folder that is empty or not there."""
        return self._kept(tempfile.mkdtemp(dir=self._room(target)), target)

    def __exit__(self, kind, value, traceback) -> None:
        try:
            if kind is None:
                self._place()
        finally:
            for room in self._rooms.values():
                shutil.rmtree(room, ignore_errors=True)

    def _room(self, target: str | Path) -> Path:
        near = near_to(target)
        if near not in self._rooms:
            self._rooms[near] = Path(tempfile.mkdtemp(prefix="seqlm_outputs_", dir=near))
        return self._rooms[near]

    def _kept(self, name: str, target: str | Path) -> Path:
        self._pending.append((Path(name), Path(target).absolute()))
        return Path(name)

    def _place(self) -> None:
        """Put everything in place; where one thing fails, take back what was placed, and give back what was there."""
        undo: list[tuple] = []
        try:
            for made, target in self._pending:
                if made.is_dir() and not target.is_dir():
                    target.mkdir()
                    undo.append((target.rmdir,))
                for file, place in _files(made, target):
                    file.chmod(0o666 & ~_umask())
                    if place.exists():
                        undo.append((put, _twin(place, file.with_name(f"{file.name}.before")), place))
                    else:
                        undo.append((place.unlink, True))
                    put(file, place)
        except BaseException:
            for act, *what in reversed(undo):
                with suppress(OSError):
                    act(*what)
            raise


def near_to(target: str | Path) -> Path:
    """A folder for temporary files: TMPDIR or the working directory, the first that is on a target's filesystem.

    Where neither is, the one with more room.
    """
    folders = [Path(tempfile.gettempdir())]
    if os.access(os.curdir, os.W_OK):
        folders.append(Path.cwd())
    device = Path(target).absolute().parent.stat().st_dev
    near = [folder for folder in folders if folder.stat().st_dev == device]
    return near[0] if near else max(folders, key=lambda folder: shutil.disk_usage(folder).free)


def put(made: Path, target: Path) -> None:
    """Move a file to where it replaces ``target`` at once, on another filesystem too."""
    try:
        os.replace(made, target)
    except OSError as problem:
        if problem.errno != errno.EXDEV:
            raise
        handle, beside = tempfile.mkstemp(prefix=".seqlm_", dir=target.parent)
        os.close(handle)
        try:
            shutil.copy(made, beside)
            os.replace(beside, target)
        finally:
            Path(beside).unlink(missing_ok=True)


def _files(made: Path, target: Path) -> Iterator[tuple[Path, Path]]:
    if not made.is_dir():
        yield made, target
        return
    for file in sorted(made.iterdir()):
        yield file, target / file.name


def _twin(file: Path, twin: Path) -> Path:
    """The same file under another name, or a copy on another filesystem."""
    try:
        os.link(file, twin)
    except OSError:
        shutil.copy2(file, twin)
    return twin


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def check_targets(parser: Parser, arguments: Namespace) -> None:
    """Refuse, before any work, outputs that cannot be written, or that would replace what is not theirs.

    Outputs are the options that start with ``--output-``, but for names of columns; inputs those whose metavar is one
    of :data:`INPUTS`.

    Raises:
        InputError: a folder that does not exist or cannot be written to; what is there and is no plain file, or a
            folder that is not empty; an input, or one place for two outputs.
    """
    targets, inputs = [], []
    for action in parser._actions:
        values = getattr(arguments, action.dest, None)
        for value in values if isinstance(values, list) else [values]:
            if action.option_strings[-1].startswith("--output-") and action.metavar != "NAME":
                if value or (value is not None and action.required):
                    targets.append((action, value))
            elif action.metavar in INPUTS and value:
                inputs.append((action.option_strings[-1], value))
    taken: dict[tuple, str] = {}
    for action, value in targets:
        flag = action.option_strings[-1]
        try:
            one = _checked(flag, Path(value).absolute(), action.metavar == FOLDER)
            if one in taken:
                raise InputError(f"{flag} and {taken[one]} have the same name, {value}")
            taken[one] = flag
            for name, path in inputs:
                if os.path.exists(path) and one == _identity(path):
                    raise InputError(f"{flag} would replace the file that {name} reads, {value}")
        except OSError as problem:
            raise InputError(f"{flag}: {value}: {problem.strerror}") from None


def _checked(flag: str, target: Path, folder: bool) -> tuple:
    """What tells one place from another."""
    if not target.parent.is_dir():
        raise InputError(f"{flag}: there is no folder {target.parent}")
    if not os.access(target.parent, os.W_OK | os.X_OK):
        raise InputError(f"{flag}: no permission to write in {target.parent}")
    try:
        kind = target.lstat().st_mode
    except FileNotFoundError:
        return target.parent.resolve(), target.name
    if stat.S_ISLNK(kind):
        raise InputError(f"{flag}: {target} is a link, and what it leads to is left alone; name the place itself")
    if folder and not stat.S_ISDIR(kind):
        raise InputError(f"{flag}: {target} is a file, where a folder is needed")
    if folder and any(target.iterdir()):
        raise InputError(f"{flag}: the folder {target} is not empty, and what is in it is left alone; name a new one")
    if not folder and not stat.S_ISREG(kind):
        what = "a folder" if stat.S_ISDIR(kind) else "a device, pipe or socket"
        raise InputError(f"{flag}: {target} is {what}, where a file is needed")
    return _identity(target)


def _identity(path: str | Path) -> tuple:
    known = os.stat(path)
    return known.st_dev, known.st_ino


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
