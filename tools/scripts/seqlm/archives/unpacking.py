"""Unpack an archive that a stranger made: zip, tar or tar.gz, told apart by content.

Nothing is extracted by zipfile or tarfile. They list what an archive claims to hold; every name, size and type is
checked first, and only then are the bytes copied, counted while they come, into files of known names in one folder.
"""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path

from seqlm.cli.errors import InputError

from .entries import Entry, Limits, clean_name, damage_named, listed


@contextmanager
def emptied_on_failure(folder: Path):
    """Whatever goes wrong inside, an interrupt included, nothing stays in ``folder``."""
    if any(folder.iterdir()):
        raise ValueError(f"{folder} must be empty before an archive is unpacked into it")
    try:
        yield
    except BaseException:
        for file in folder.iterdir():
            file.unlink()
        raise


def unpack(
    path: Path, folder: Path, largest: Callable[[str], int | None], refusal: Callable[[str], str | None], limits: Limits
) -> tuple[str, ...]:
    """Unpack the files of known names; a single top folder around everything is stripped.

    Args:
        path: the archive.
        folder: an empty private folder; the caller wraps the call in :func:`emptied_on_failure`.
        largest: bytes that a file of this name may have; None where the name is not known, so it is never unpacked.
        refusal: why a file that is not known must not be there at all; None where it may be ignored.
        limits: what the whole may cost.

    Returns:
        The names that were ignored.

    Raises:
        InputError: the archive is damaged, no archive, holds something it must not, or is over a limit.
    """
    with damage_named(path), open(path, "rb") as stream, listed(stream, path, limits) as entries:
        wanted, ignored = _plan(entries, path.name, largest, refusal, limits)
        for name, entry in wanted.items():
            _copy(entry, folder / name, path.name)
    return ignored


def _plan(entries, archive, largest, refusal, limits) -> tuple[dict[str, Entry], tuple[str, ...]]:
    """Check every entry against the limits and choose those to unpack, by final name."""
    named: dict[str, Entry] = {}
    seen: set[str] = set()
    for entry in entries:
        name = clean_name(entry.name, archive)
        # A Mac or Windows disk holds one file where the archive holds two that differ in case or accents.
        same = unicodedata.normalize("NFKC", name).casefold()
        if same in seen:
            raise InputError(f"{archive} holds {name!r} twice; pack each file once")
        seen.add(same)
        named[name] = entry
    total = sum(entry.size for entry in named.values())
    if total > limits.total:
        raise InputError(f"{archive} would unpack to {total:,} bytes; the limit is {limits.total:,}")

    wanted: dict[str, Entry] = {}
    ignored = []
    for name, entry in _without_top_folder(named).items():
        most = None if "/" in name else largest(name)
        if most is None:
            if reason := refusal(name):
                raise InputError(f"{archive} holds {name}: {reason}")
            ignored.append(name)
            continue
        if entry.size > most:
            raise InputError(f"{name} in {archive} has {entry.size:,} bytes; the limit for such a file is {most:,}")
        ratio = limits.weights_ratio if name.endswith(".safetensors") else limits.text_ratio
        if entry.packed is not None and entry.size > max(limits.unchecked, ratio * entry.packed):
            raise InputError(
                f"{name} in {archive} would grow from {entry.packed:,} to {entry.size:,} bytes; "
                f"more than {ratio} times is taken for a zip bomb, so pack the files without compression"
            )
        wanted[name] = entry
    return wanted, tuple(sorted(ignored))


def _without_top_folder(named: dict[str, Entry]) -> dict[str, Entry]:
    """Zipping a folder rather than its files puts its name before everything; a Mac adds ``__MACOSX`` beside it."""
    tops = {name.split("/")[0] for name in named if not name.startswith("__MACOSX/")}
    top = f"{tops.pop()}/" if len(tops) == 1 else None
    if top is None or any(not name.startswith((top, "__MACOSX/")) for name in named):
        return named
    return {name.removeprefix(top): entry for name, entry in named.items()}


def _copy(entry: Entry, target: Path, archive: str) -> None:
    written = 0
    handle = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with open(handle, "wb") as out:
        for chunk in entry.chunks():
            written += len(chunk)
            if written > entry.size:
                raise InputError(f"{target.name} in {archive} is larger than the archive declares")
            out.write(chunk)
    if written < entry.size:
        raise InputError(f"{archive} is truncated in {target.name}; upload it again")
