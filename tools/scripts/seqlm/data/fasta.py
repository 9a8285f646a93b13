"""FASTA, three-line FASTA too, as a stream of records."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from seqlm.cli.errors import InputError
from seqlm.cli.noticing import notice

from . import lines
from .header_names import MAX_HEADER, HeaderNames
from .lines import beginning, numbered_lines
from .records import Record, quoted


def read_fasta(path: Path, rename: bool) -> Iterator[Record]:
    """The records of a FASTA file, named as :func:`seqlm.data.sequences.read_records` says."""
    naming = HeaderNames(path, lambda: _header_words(path), lambda: _headers(path)) if rename else None
    three_lines = _has_label_lines(path)
    if three_lines:
        notice(f"{path.name} is three-line FASTA: the line below each sequence is read as the labels of its residues")
    header, start, parts, length = None, 0, [], 0

    def record() -> Record:
        name = header.split(None, 1)[0] if header else ""
        if not name:
            raise InputError(f"{path.name}: the header on line {start} has no name after '>'")
        labels = ""
        if three_lines:
            if len(parts) != 2 or len(parts[0]) != len(parts[1]):
                raise InputError(
                    f"{path.name}: record '{quoted(name)}' (line {start}) is not a sequence and a line of as many "
                    "labels, as the first records are"
                )
            labels = parts.pop()
        sequence, words = "".join(parts), ""
        if len(pieces := sequence.split()) > 1:
            sequence, words = "".join(pieces), " ".join(parts)
        return Record(naming(name, header) if naming else name, sequence, header, start, (), words, labels)

    for number, line in numbered_lines(path):
        if line.startswith(">"):
            if header is not None:
                yield record()
            header, start, parts, length = line[1:].strip(), number, [], 0
            if len(header) > MAX_HEADER:
                raise InputError(f"{path.name}: the header on line {number} is over {MAX_HEADER:,} characters long")
        elif line := line.strip():
            if header is None:
                raise InputError(
                    f"{path.name} is not FASTA: line {number} is '{quoted(line)}' before any header; "
                    "each record starts with a line '>name'"
                )
            length += len(line)
            if length > lines.MAX_SEQUENCE:
                raise InputError(f"{path.name}: the record on line {start} is over {lines.MAX_SEQUENCE:,} letters long")
            parts.append(line)
    if header is None:
        raise InputError(f"{path.name} is empty; give a file with at least one sequence")
    yield record()


def _has_label_lines(path: Path) -> bool:
    """Whether each of the first records is a sequence and a second line, just as long, of labels.

    Sequences in lines of a fixed width have two lines of one length only where all of them are equally long.
    """
    records = []
    for line in beginning(path, 60):
        if line.startswith(">"):
            records.append([])
        elif records:
            records[-1].append(line.strip())
    kept = records if len(records) == 1 else records[:-1]  # the last may go on
    if not kept or any(len(each) != 2 or len(each[0]) != len(each[1]) for each in kept):
        return False
    letters = re.compile(r"[A-Za-z*.#-]+")
    return len({len(first) for first, _ in kept}) > 1 or all(
        letters.fullmatch(first) and not letters.fullmatch(second) for first, second in kept
    )


def _headers(path: Path) -> Iterator[str]:
    return (line[1:] for _, line in numbered_lines(path) if line.startswith(">"))


def _header_words(path: Path) -> Iterator[bytes]:
    """The first word of every FASTA header, at the speed of a search in bytes."""
    pattern = re.compile(rb"\n>[ \t]*([^\s]*)")
    with lines.opened(path, "rb") as stream:
        rest = b"\n" + stream.read(3).removeprefix(b"\xef\xbb\xbf")
        while block := stream.read(1 << 22):
            block = (rest + block).replace(b"\r", b"\n")
            cut = block.rfind(b"\n")
            if not cut and len(block) > lines.MAX_SEQUENCE:
                return  # said when the lines are read
            rest = block[cut:]
            yield from pattern.findall(block, 0, cut)
        yield from pattern.findall(rest)
