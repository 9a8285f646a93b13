"""Lines of a text file, plain or gzipped, none longer than the memory allows."""

from __future__ import annotations

import gzip
import itertools
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from seqlm.cli.errors import InputError

LOOKED_AT = 1_000_000  # letters of a file by which its kind is told
MAX_SEQUENCE = 50_000_000  # letters in one record; a longer one is a genome or a decompression bomb, not an input


@contextmanager
def opened(path: Path, mode: str, **options) -> Iterator[IO]:
    """A file, unpacked if it is gzipped; what is wrong with a gzip file or a text is said as a mistake of the user."""
    if not path.is_file():
        raise InputError(f"{path} is not a file")
    with path.open("rb") as probe:
        magic = probe.read(2)
    try:
        with (gzip.open if magic == b"\x1f\x8b" else open)(path, mode, **options) as stream:
            yield stream
    except UnicodeDecodeError:
        raise InputError(f"{path.name} is not a text file (or not UTF-8)") from None
    except (EOFError, gzip.BadGzipFile, zlib.error):
        raise InputError(f"{path.name}: the gzip file is cut short or damaged; upload it again") from None


def first_bytes(path: Path, count: int = 4096) -> bytes:
    """How a file begins, unpacked if it is gzipped, less a byte order mark."""
    with opened(path, "rb") as stream:
        return stream.read(count).removeprefix(b"\xef\xbb\xbf")


def numbered_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Numbered lines without their ends, from plain or gzipped UTF-8, whatever the line ends."""
    with opened(path, "rt", encoding="utf-8-sig", newline=None) as lines:
        # readline with a limit, so that a file without line ends cannot fill the memory
        for number in itertools.count(1):
            line = lines.readline(MAX_SEQUENCE)
            if not line:
                return
            if len(line) >= MAX_SEQUENCE:
                raise InputError(f"{path.name}: line {number} is longer than {MAX_SEQUENCE:,} characters")
            if "\0" in line:
                raise InputError(f"{path.name} is not a text file: line {number} has a NUL byte")
            yield number, line.rstrip("\n")


def beginning(path: Path, count: int) -> list[str]:
    """The first lines that are not blank: ``count`` of them, or fewer where they are long."""
    kept, letters = [], 0
    for _, line in numbered_lines(path):
        if line.strip():
            kept.append(line)
            letters += len(line)
            if len(kept) == count or letters > LOOKED_AT:
                break
    return kept
