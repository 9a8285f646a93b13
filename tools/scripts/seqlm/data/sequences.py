"""Sequences in: FASTA, tab-separated and comma-separated files as a stream of records.

The format is told from the content, gzip included, and no file is ever held in memory whole. What cannot be read is
refused with the file, the record and the line; what has to be changed is counted in :class:`Rules` and reported.
"""

from __future__ import annotations

import csv
import gzip
import itertools
import re
import zlib
from collections.abc import Iterator
from pathlib import Path

from seqlm.cli.errors import InputError

from .records import CANONICAL, DNA, LETTERS, PROTEIN, TEXT, Record, Rules, quoted

SEVERAL_BASES = "N and other codes for several bases kept"
_SEPARATORS = {"tabular": "\t", "csv": ","}

MAX_SEQUENCE = 50_000_000  # letters in one record; a longer one is a genome or a decompression bomb, not an input
MAX_HEADER = 100_000  # characters in one header or table line


class Table:
    """A table: its header, how to find a column in it, by name or 1-based number, and its rows as a stream."""

    def __init__(self, path: Path, columns: list[str], format: str):
        self.path, self.columns, self.format = path, columns, format

    def rows(self) -> Iterator[tuple[int, list[str]]]:
        """(line, cells) of every row below the header."""
        return itertools.islice(_rows(self.path, _SEPARATORS[self.format]), 1, None)

    def index(self, wanted: str, purpose: str) -> int:
        if wanted in self.columns:
            if self.columns.count(wanted) > 1:
                raise InputError(f"{self.path.name}: two columns are called '{wanted}'; give the {purpose} by number")
            return self.columns.index(wanted)
        if wanted.isdecimal() and len(wanted) < 10 and 1 <= int(wanted) <= len(self.columns):
            return int(wanted) - 1
        raise InputError(
            f"{self.path.name}: no column '{wanted}' for the {purpose}; "
            f"the columns are {', '.join(self.columns[:20])}{' …' if len(self.columns) > 20 else ''}"
        )


def sequence_format(path: str | Path) -> str:
    """Tell ``fasta``, ``tabular`` or ``csv`` from the first line that is not blank.

    Raises:
        InputError: for a file that is missing, empty, or none of the three.
    """
    path = Path(path)
    for _, line in numbered_lines(path):
        if not line.strip():
            continue
        if line.startswith(">"):
            return "fasta"
        if "\t" in line:
            return "tabular"
        if "," in line:
            return "csv"
        raise InputError(
            f"{path.name} is neither FASTA nor a table: its first line is '{quoted(line)}'; "
            "a FASTA record starts with '>', a table has its columns separated by tabs or commas"
        )
    raise InputError(f"{path.name} is empty; give a file with at least one sequence")


def read_records(
    path: str | Path,
    *,
    format: str = "auto",
    id_column: str | None = None,
    sequence_column: str | None = None,
) -> Iterator[Record]:
    """Read ``path`` one record at a time.

    Args:
        path: FASTA, tab-separated or comma-separated, plain or gzipped.
        format: ``auto`` (by content), ``fasta``, ``tabular`` or ``csv``.
        id_column: for tables, by name or 1-based number; without one the column ``id`` or else row numbers are the ids.
        sequence_column: for tables, by name or 1-based number; ``sequence`` if not given.

    Yields:
        records in the order of the file; the sequence without white space, otherwise as written.

    Raises:
        InputError: naming the file and the line of what cannot be read.
    """
    path = Path(path)
    if format == "auto":
        format = sequence_format(path)
    if format == "fasta":
        return _fasta(path)
    return _table(path, format, id_column, sequence_column)


def read_table(path: str | Path, format: str = "auto") -> Table:
    """A table; raises InputError for a FASTA file."""
    path = Path(path)
    if format == "auto":
        format = sequence_format(path)
    if format == "fasta":
        raise InputError(f"{path.name} is FASTA and has no columns; leave the column options empty")
    return Table(path, next(_rows(path, _SEPARATORS[format]))[1], format)


def clean(record: Record, alphabet: str, replacements: dict[str, str], rules: Rules, path: str | Path) -> str:
    """The sequence in the letters that a model reads; every change is counted in ``rules``.

    Lower case (soft masking) becomes upper case, one ``*`` at the end of a protein (a stop codon) is dropped, U in DNA
    becomes T, and ``replacements`` is what the model's family asks for, such as U, Z, O and B to X for ProtT5. Codes
    for several bases, such as N, stay, and are counted.

    Raises:
        InputError: naming record, position (1-based) and letter of what is not in the alphabet; a record without a
            sequence; SMILES that are no molecule, where they are to be made canonical.
    """
    sequence = record.sequence
    where = f"{Path(path).name}: record '{quoted(record.id)}' (line {record.line})"
    if not sequence:
        raise InputError(f"{where} has no {'molecule' if alphabet in (TEXT, CANONICAL) else 'sequence'}")
    if alphabet == TEXT:
        return sequence
    if alphabet == CANONICAL:
        from .molecules import canonical

        return canonical(record, rules, path)
    upper = sequence.upper()
    if upper != sequence:
        rules.count("lower case read as upper case", sum(a != b for a, b in zip(sequence, upper, strict=True)))
    if alphabet == PROTEIN and upper.endswith("*"):
        upper = upper[:-1]
        rules.count("stop (*) at the end dropped")
    if alphabet == DNA and "U" in upper:
        rules.count("U read as T", upper.count("U"))
        upper = upper.replace("U", "T")
    if wrong := _wrong_letter(alphabet).search(upper):
        hint = {
            "-": "remove the gaps of an alignment first",
            ".": "remove the gaps of an alignment first",
            "*": "a stop inside a protein: split or remove the sequence",
        }.get(wrong.group(), f"a {alphabet} sequence has the letters {LETTERS[alphabet]}")
        if alphabet == DNA and wrong.group() in LETTERS[PROTEIN]:
            hint = f"is this a protein? The model reads DNA, of which the letters are {LETTERS[DNA]}"
        raise InputError(f"{where} has '{wrong.group()}' at position {wrong.start() + 1}; {hint}")
    if not upper:
        raise InputError(f"{where} has no sequence")
    if alphabet == DNA and (codes := len(upper) - sum(map(upper.count, "ACGT"))):
        rules.count(SEVERAL_BASES, codes)
    for old, new in replacements.items():
        if old in upper:
            rules.count(f"{old} read as {new}", upper.count(old))
            upper = upper.replace(old, new)
    return upper


def looks_like_dna(sequence: str) -> bool:
    """Whether a sequence given as protein is more likely DNA: 30 letters or more, and nine in ten of them A C G T N.

    Of 9,000 Swiss-Prot proteins none is taken for DNA; the highest share of these letters in one is 0.74.
    """
    return len(sequence) >= 30 and sum(map(sequence.upper().count, "ACGTN")) >= 0.9 * len(sequence)


def looks_like_protein(sequence: str) -> bool:
    """Whether a sequence given as DNA, in legal letters, is more likely a protein: 30 letters or more, and fewer than
    seven in ten of them A C G T U N.

    Nearly every protein has a letter that DNA cannot have, and is refused for that. Of the 74 in 13,298 that have none
    (Swiss-Prot and Escherichia coli), this tells 74. DNA in which three of ten bases are not known for sure is a motif,
    not a sequence that a model could have been trained on.
    """
    return len(sequence) >= 30 and sum(map(sequence.upper().count, "ACGTUN")) < 0.7 * len(sequence)


# alphabet -> what its sequences are, what strangers among them are, and how one is told
_STRANGERS = {PROTEIN: ("proteins", "DNA", looks_like_dna), DNA: ("DNA", "proteins", looks_like_protein)}


class Strangers:
    """Counts sequences that are more likely of another kind than a model of ``alphabet`` reads."""

    def __init__(self, alphabet: str):
        self._kind, self._strangers, self._is_stranger = _STRANGERS.get(alphabet, ("", "", None))
        self._seen = self._found = 0

    def see(self, sequence: str) -> None:
        self._seen += 1
        self._found += self._is_stranger is not None and self._is_stranger(sequence)

    def refuse(self, path: str | Path) -> None:
        """Raise InputError if that is most of them."""
        if self._found > self._seen / 2:
            raise InputError(
                f"{Path(path).name} holds {self._strangers} ({self._found} of {self._seen} sequences); the model reads "
                f"{self._kind}"
            )


def _wrong_letter(alphabet: str, cache: dict[str, re.Pattern] = {}) -> re.Pattern:  # noqa: B006 - a cache
    return cache.setdefault(alphabet, re.compile(f"[^{LETTERS[alphabet]}]"))


def numbered_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Numbered lines without their ends, from plain or gzipped UTF-8, whatever the line ends."""
    if not path.is_file():
        raise InputError(f"{path} is not a file")
    with path.open("rb") as probe:
        magic = probe.read(2)
    try:
        with (gzip.open if magic == b"\x1f\x8b" else open)(path, "rt", encoding="utf-8-sig", newline=None) as lines:
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
    except UnicodeDecodeError:
        raise InputError(f"{path.name} is not a text file (or not UTF-8)") from None
    except (EOFError, gzip.BadGzipFile, zlib.error):
        raise InputError(f"{path.name}: the gzip file is cut short or damaged; upload it again") from None


def _fasta(path: Path) -> Iterator[Record]:
    header, start, parts, length = None, 0, [], 0
    for number, line in numbered_lines(path):
        if line.startswith(">"):
            if header is not None:
                yield _fasta_record(path, header, start, parts)
            header, start, parts, length = line[1:].strip(), number, [], 0
            if len(header) > MAX_HEADER:
                raise InputError(f"{path.name}: the header on line {number} is over {MAX_HEADER:,} characters long")
        elif line and not line.isspace():
            if header is None:
                raise InputError(
                    f"{path.name} is not FASTA: line {number} is '{quoted(line)}' before any header; "
                    "each record starts with a line '>name'"
                )
            part = "".join(line.split())
            length += len(part)
            if length > MAX_SEQUENCE:
                raise InputError(f"{path.name}: the record on line {start} is over {MAX_SEQUENCE:,} letters long")
            parts.append(part)
    if header is None:
        raise InputError(f"{path.name} is empty; give a file with at least one sequence")
    yield _fasta_record(path, header, start, parts)


def _fasta_record(path: Path, header: str, line: int, parts: list[str]) -> Record:
    identifier = header.split(None, 1)[0] if header else ""
    if not identifier:
        raise InputError(f"{path.name}: the header on line {line} has no name after '>'")
    return Record(identifier, "".join(parts), header, line)


def _rows(path: Path, separator: str) -> Iterator[tuple[int, list[str]]]:
    numbers = []

    def text() -> Iterator[str]:
        for number, line in numbered_lines(path):
            if len(line) > MAX_SEQUENCE:
                raise InputError(f"{path.name}: line {number} is over {MAX_SEQUENCE:,} characters long")
            numbers[:] = [number]
            yield line

    csv.field_size_limit(MAX_SEQUENCE)
    quoting = csv.QUOTE_MINIMAL if separator == "," else csv.QUOTE_NONE
    width = None
    reader = csv.reader(text(), delimiter=separator, quoting=quoting, strict=True)
    while True:
        try:
            row = next(reader, None)
        except csv.Error as problem:
            raise InputError(f"{path.name}: line {numbers[0]} is not a row of a table ({problem})") from None
        if row is None:
            return
        if not any(cell.strip() for cell in row):
            continue
        row = [cell.strip() for cell in row]
        width = width or len(row)
        if len(row) != width:
            raise InputError(f"{path.name}: line {numbers[0]} has {len(row)} columns where the header has {width}")
        yield numbers[0], row


def _table(path: Path, format: str, id_column: str | None, sequence_column: str | None) -> Iterator[Record]:
    rows = _rows(path, _SEPARATORS[format])
    first = next(rows, None)
    if first is None:
        raise InputError(f"{path.name} is empty; give a table with a header and at least one row")
    table = Table(path, first[1], format)
    sequence_at = table.index(sequence_column or "sequence", "sequence column")
    id_at = table.index(id_column, "id column") if id_column else None
    if id_at is None and "id" in table.columns:
        id_at = table.index("id", "id column")
    row = None
    for position, (number, row) in enumerate(rows, start=1):
        identifier = row[id_at] if id_at is not None else f"row_{position}"
        if not identifier:
            raise InputError(f"{path.name}: line {number} has no id")
        yield Record(identifier, "".join(row[sequence_at].split()), "", number, tuple(row))
    if row is None:
        raise InputError(f"{path.name} has a header but no rows")
