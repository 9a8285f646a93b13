"""FASTQ as a stream of records: names and sequences, of which the qualities are checked and not used.

The format: Cock et al. 2010, https://doi.org/10.1093/nar/gkp1137. Sequence and qualities may be wrapped, so that only
their lengths tell where a record ends: a line of qualities can begin with ``@`` or ``+`` too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from seqlm.cli.errors import InputError
from seqlm.cli.noticing import notice

from . import lines
from .header_names import MAX_HEADER, HeaderNames
from .lines import numbered_lines
from .records import Record, quoted

_QUALITIES = re.compile(r"[!-~]*")  # of Sanger, Solexa and Illumina alike


def read_fastq(path: Path, rename: bool) -> Iterator[Record]:
    """The records of a FASTQ file, named as :func:`seqlm.data.sequences.read_records` says.

    Raises:
        InputError: naming the line of a record that has no ``+``, qualities of another length than the sequence or
            other characters than qualities have, or that is cut short.
    """
    notice(f"{path.name} is FASTQ, of which the sequences are read; the qualities are not used")
    naming = None
    if rename:
        naming = HeaderNames(
            path,
            lambda: (header.split(None, 1)[0].encode() for header, _, _ in _entries(path)),
            lambda: (header for header, _, _ in _entries(path)),
        )
    empty = True
    for header, sequence, start in _entries(path):
        empty = False
        name = header.split(None, 1)[0]
        yield Record(naming(name, header) if naming else name, sequence, header, start)
    if empty:
        raise InputError(f"{path.name} is empty; give a file with at least one sequence")


def _entries(path: Path) -> Iterator[tuple[str, str, int]]:
    """(header, sequence, line of the header) of every record."""
    numbered, first = numbered_lines(path), True
    for start, line in numbered:
        if not line.strip():
            continue
        if not line.startswith("@"):
            raise InputError(
                f"{path.name}: line {start} is '{quoted(line)}' where a FASTQ record should begin with '@'; "
                + ("this is no FASTQ file" if first else "the record before it has too many qualities, or is damaged")
            )
        first = False
        header = line[1:].strip()
        if not header:
            raise InputError(f"{path.name}: the header on line {start} has no name after '@'")
        if len(header) > MAX_HEADER:
            raise InputError(f"{path.name}: the header on line {start} is over {MAX_HEADER:,} characters long")
        where = f"{path.name}: record '{quoted(header.split(None, 1)[0])}' (line {start})"
        sequence = _sequence(numbered, header, where)
        _skip_qualities(numbered, len(sequence), where)
        yield header, sequence, start


def _sequence(numbered: Iterator[tuple[int, str]], header: str, where: str) -> str:
    """The letters up to the line that begins with ``+``."""
    parts, length = [], 0
    for number, line in numbered:
        if line.startswith("+"):
            if (again := line[1:].strip()) and again != header:
                raise InputError(f"{where} has another name on line {number}: '+{quoted(again)}'")
            return "".join(parts)
        part = line.strip()
        if len(part.split()) > 1:
            raise InputError(f"{where} has a blank in its sequence, on line {number}")
        if part:
            parts.append(part)
        length += len(part)
        if length > lines.MAX_SEQUENCE:
            raise InputError(f"{where} is over {lines.MAX_SEQUENCE:,} letters long")
    raise InputError(f"{where} has no line that begins with '+' and no qualities; the file is cut short or damaged")


def _skip_qualities(numbered: Iterator[tuple[int, str]], length: int, where: str) -> None:
    """Pass over as many qualities as there are letters."""
    seen = 0
    while seen < length:
        number, line = next(numbered, (0, None))
        if line is None:
            raise InputError(f"{where} has {seen:,} qualities for {length:,} letters; the file is cut short")
        part = line.strip()
        if not _QUALITIES.fullmatch(part):
            raise InputError(f"{where} has something else than qualities on line {number}: '{quoted(part)}'")
        seen += len(part)
    if seen > length:
        raise InputError(f"{where} has {seen:,} qualities for {length:,} letters, the last on line {number}")
