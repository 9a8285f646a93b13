"""Sequences in: FASTA, FASTQ, UniProt's XML, tables as text or in Parquet, lists and SDF as a stream of records.

The format is told from the content, gzip included, and no file is ever held in memory whole. What cannot be read is
refused with the file, the record and the line; what has to be changed is counted in :class:`Rules` and reported.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from seqlm.cli.errors import InputError
from seqlm.cli.noticing import notice

from . import tables
from .fasta import read_fasta
from .fastq import read_fastq
from .lines import beginning, first_bytes, numbered_lines
from .numbers import NOT_MEASURED
from .parquet import is_parquet
from .records import BREAK, CANONICAL, DNA, LETTERS, PROTEIN, STATES, TEXT, Record, Rules, identifier, quoted
from .tables import SEQUENCES, Table
from .uniprot_xml import is_uniprot_xml, read_uniprot_xml

SEVERAL_BASES = "N and other codes for several bases kept"
SINGLE = "without a light chain, read as a single chain"
CUT_AT_BLANK = "cut at the first blank, behind which a name or an extension stands"
HEADED = ("fasta", "fastq", "uniprotxml")  # whose records have a header, where a label or a split may stand
KINDS = {
    "fasta": "FASTA", "fastq": "FASTQ", "uniprotxml": "UniProt's XML", "sdf": "an SDF file", "list": "a plain list",
}  # fmt: skip
_ONE_WORD = re.compile(r"[A-Za-z*-]{2,}")


def sequence_format(path: str | Path) -> str:
    """Tell one of :data:`KINDS` or of ``tables.TABLES`` from the first lines that are not blank.

    Raises:
        InputError: for a file that is missing, empty, or none of these.
    """
    path = Path(path)
    if is_parquet(path):
        return "parquet"
    _refuse_by_start(path, first_bytes(path, 512))
    if is_uniprot_xml(path):
        return "uniprotxml"
    start = beginning(path, 50)
    if not start:
        raise InputError(f"{path.name} is empty; give a file with at least one sequence")
    first = start[0]
    if first.startswith(">"):
        return "fasta"
    if first.startswith("@") and len(start) > 1 and (_ONE_WORD.fullmatch(start[1].strip()) or start[1][0] == "+"):
        return "fastq"
    if any(re.search(r"V[23]000\s*$", line) for line in start[:4]):
        return "sdf"
    if "\t" in first:
        return "tabular"
    if "," in first:
        return "csv"
    words = [line.split(None, 1) for line in start]
    if all(_ONE_WORD.fullmatch(word[0]) for word in words) and all(len(word) == 1 for word in words):
        return "list"
    if all(tables.SMILES.fullmatch(word[0]) for word in words):
        return "list"
    raise InputError(
        f"{path.name} is neither FASTA nor a table: its first line is '{quoted(first)}'; a FASTA record starts with "
        "'>', a FASTQ record with '@', a table has its columns separated by tabs or commas, a list has a sequence or a "
        "SMILES in each line"
    )


def _checked_format(path: Path, format: str) -> str:
    """The format of a file: as its content says, or as it was given unless the first bytes say that it is not."""
    if format == "auto":
        return sequence_format(path)
    if is_parquet(path) != (format == "parquet"):
        found = "no parquet file" if format == "parquet" else f"a parquet file and not {KINDS.get(format, format)}"
        raise InputError(f"{path.name} is {found}; give it as what it is")
    if format != "parquet":
        _refuse_by_start(path, first_bytes(path, 512))
    if format == "uniprotxml" and not is_uniprot_xml(path):
        raise InputError(f"{path.name} is not UniProt's XML; give it as what it is")
    return format


def _refuse_by_start(path: Path, start: bytes) -> None:
    """Files that look like no text, or like text of another kind."""
    if start.startswith(b"PAR1"):
        raise InputError(f"{path.name} is a parquet file that is gzipped; unpack it and upload what is inside")
    if start.startswith(b"\x1f\x8b"):
        raise InputError(f"{path.name} is compressed twice; unpack it with gunzip and upload what is inside")


def read_records(
    path: str | Path,
    *,
    format: str = "auto",
    id_column: str | None = None,
    sequence_column: str | None = None,
    light_column: str | None = None,
    rename: bool = False,
) -> Iterator[Record]:
    """Read ``path`` one record at a time.

    Args:
        path: FASTA (three-line FASTA too), FASTQ, UniProt's XML, a table, a list with a sequence or a SMILES in each
            line and perhaps a name after it, or SDF, plain or gzipped; or a table in Parquet.
        format: ``auto`` (by content), or what :func:`sequence_format` tells.
        id_column: for tables, by name or 1-based number; without one the column ``id`` or another of its names, or
            else row numbers are the ids.
        sequence_column: for tables, by name or 1-based number; ``sequence`` may go by another of its names, or be the
            only column of sequences in a table without a header.
        light_column: of a table, by name or 1-based number, holds light chains beside heavy ones in the sequence
            column; a row may have none.
        rename: records whose headers begin with the same word go by the whole header, or are numbered where headers
            are equal too. Otherwise that is left to the caller.

    Yields:
        records in the order of the file; the sequence without white space, otherwise as written.

    Raises:
        InputError: naming the file and the line of what cannot be read.
    """
    path = Path(path)
    format = _checked_format(path, format)
    if light_column:
        return _table(path, format, id_column, sequence_column, light_column)
    match format:
        case "fasta":
            return read_fasta(path, rename)
        case "fastq":
            return read_fastq(path, rename)
        case "uniprotxml":
            return read_uniprot_xml(path)
        case "list":
            return _list(path)
        case "sdf":
            from .molecules import read_sdf

            return read_sdf(path)
    return _table(path, format, id_column, sequence_column)


def read_table(path: str | Path, format: str = "auto") -> Table:
    """A table; raises InputError for a FASTA file and other files without columns."""
    path = Path(path)
    format = _checked_format(path, format)
    if format not in tables.TABLES:
        raise InputError(
            f"{path.name} is {KINDS[format]} and has no columns; leave the column options empty, or give a table"
        )
    return tables.read_table(path, format)


def clean(record: Record, alphabet: str, replacements: dict[str, str], rules: Rules, path: str | Path) -> str:
    """The sequence in the letters that a model reads; every change is counted in ``rules``.

    Blanks go: SMILES end at the first, overlapping k-mers are joined, other words are glued. Lower case (soft masking)
    becomes upper case, one ``*`` at the end of a protein (a stop codon) is dropped, U in DNA becomes T, and
    ``replacements`` is what the model's family asks for, such as U, Z, O and B to X for ProtT5. Codes for several
    bases, such as N, stay, and are counted. 3Di states are in lower case, as residues are in capitals, and stay.
    Between a heavy chain and its light chain stands :data:`~seqlm.data.records.BREAK`.

    Raises:
        InputError: naming record, position (1-based) and letter of what is not in the alphabet; a record without a
            sequence; SMILES that are no molecule, where they are to be made canonical.
    """
    if record.light:
        sequence, words = _without_space(record.light)
        both = replace(record, light=None), Record(f"{record.id}, light chain", sequence, line=record.line, words=words)
        return BREAK.join(clean(chain, alphabet, replacements, rules, path) for chain in both)
    if record.light is not None:
        rules.count(SINGLE)
    sequence = _without_blanks(record.words, alphabet, rules) if record.words else record.sequence
    if not sequence:
        what = "molecule" if alphabet in (TEXT, CANONICAL) else "sequence"
        raise InputError(f"{_where(record, path)} has no {what}")
    if alphabet == TEXT:
        return sequence
    if alphabet == CANONICAL:
        from .molecules import canonical

        return canonical(record, sequence, rules, path)
    if alphabet == STATES:
        return _states(record, sequence, path)
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
        raise InputError(f"{_where(record, path)} has '{wrong.group()}' at position {wrong.start() + 1}; {hint}")
    if not upper:
        raise InputError(f"{_where(record, path)} has no sequence")
    if alphabet == DNA and (codes := len(upper) - sum(map(upper.count, "ACGT"))):
        rules.count(SEVERAL_BASES, codes)
    for old, new in replacements.items():
        if old in upper:
            rules.count(f"{old} read as {new}", upper.count(old))
            upper = upper.replace(old, new)
    return upper


def _states(record: Record, sequence: str, path: str | Path) -> str:
    """3Di states, of which capitals are refused: they would as well be residues."""
    if wrong := _wrong_letter(STATES).search(sequence):
        hint = f"3Di states are the lower-case letters {LETTERS[STATES]}"
        if wrong.group().lower() in LETTERS[STATES]:
            hint += "; residues are read without this prefix, and 3Di states in capitals have to be put in lower case"
        raise InputError(f"{_where(record, path)} has '{wrong.group()}' at position {wrong.start() + 1}; {hint}")
    return sequence


def _where(record: Record, path: str | Path) -> str:
    return f"{Path(path).name}: record '{quoted(record.id)}' (line {record.line})"


def _without_blanks(words: str, alphabet: str, rules: Rules) -> str:
    """A sequence that was written with blanks in it."""
    parts = words.split()
    k = len(parts[0])
    pairs = list(itertools.pairwise(parts))
    if len(pairs) * (k - 1) >= 4 and all(len(b) == k and a[1:] == b[:-1] for a, b in pairs):
        rules.count(f"overlapping {k}-mers joined to the sequence that they were cut from", len(parts))
        return parts[0] + "".join(part[-1] for part in parts[1:])
    if alphabet in (TEXT, CANONICAL):
        rules.count(CUT_AT_BLANK)
        return parts[0]
    rules.count("blanks within the sequence removed", len(pairs))
    return "".join(parts)


SHORT = 30  # letters; shorter sequences are told together, as one of them says little


def looks_like_dna(sequence: str) -> bool:
    """Whether a sequence given as protein is more likely DNA or RNA: 30 letters or more, nine in ten A C G T U N.

    Of 9,000 Swiss-Prot proteins none is taken for DNA; the highest share of these letters in one is 0.74.
    """
    return len(sequence) >= SHORT and sum(map(sequence.upper().count, "ACGTUN")) >= 0.9 * len(sequence)


def looks_like_protein(sequence: str) -> bool:
    """Whether a sequence given as DNA, in legal letters, is more likely a protein: 30 letters or more, and fewer than
    seven in ten of them A C G T U N.

    Nearly every protein has a letter that DNA cannot have, and is refused for that. Of the 74 in 13,298 that have none
    (Swiss-Prot and Escherichia coli), this tells 74. DNA in which three of ten bases are not known for sure is a motif,
    not a sequence that a model could have been trained on.
    """
    return len(sequence) >= SHORT and sum(map(sequence.upper().count, "ACGTUN")) < 0.7 * len(sequence)


def told_alphabet(sequences: Iterable[str]) -> str:
    """DNA where most of up to a thousand sequences look like DNA or RNA, else protein."""
    strangers = Strangers(PROTEIN)
    for sequence in itertools.islice(sequences, 1000):
        strangers.see(sequence)
    return DNA if strangers.are_most() else PROTEIN


# alphabet -> what its sequences are, what strangers among them are, and how one is told
_STRANGERS = {PROTEIN: ("proteins", "DNA or RNA", looks_like_dna), DNA: ("DNA", "proteins", looks_like_protein)}


class Strangers:
    """Counts sequences that are more likely of another kind than a model of ``alphabet`` reads.

    A short sequence says little, so that all the short ones of a file are looked at as one.
    """

    def __init__(self, alphabet: str):
        self._kind, self._strangers, self._is_stranger = _STRANGERS.get(alphabet, ("", "", None))
        self._seen = self._found = self._short = 0
        self._pool: list[str] = []
        self._pooled = 0

    def see(self, sequence: str) -> None:
        self._seen += 1
        if self._is_stranger is None:
            return
        if len(sequence) >= SHORT:
            self._found += self._is_stranger(sequence)
            return
        self._short += 1
        if self._pooled < 100_000:
            self._pool.append(sequence)
            self._pooled += len(sequence)

    def found(self) -> int:
        """Sequences of the other kind."""
        short = self._is_stranger is not None and self._is_stranger("".join(self._pool))
        return self._found + short * self._short

    def are_most(self) -> bool:
        return self.found() > self._seen / 2

    def refuse(self, path: str | Path) -> None:
        """Raise InputError if that is most of them."""
        if self.are_most():
            raise InputError(
                f"{Path(path).name} holds {self._strangers} ({self.found()} of {self._seen} sequences); the model "
                f"reads {self._kind}"
            )


def _wrong_letter(alphabet: str, cache: dict[str, re.Pattern] = {}) -> re.Pattern:  # noqa: B006 - a cache
    return cache.setdefault(alphabet, re.compile(f"[^{LETTERS[alphabet]}]"))


def _list(path: Path) -> Iterator[Record]:
    """A sequence or a SMILES in each line, and perhaps its name after a blank."""
    names = [identifier(line.split(None, 1)[1]) for _, line in numbered_lines(path) if len(line.split(None, 1)) > 1]
    count = sum(bool(line.strip()) for _, line in numbered_lines(path))
    named = len(set(names)) == count
    ids = "its names are the ids" if named else "the ids are row_1, row_2 …"
    notice(
        f"{path.name} is read as a list with a {'molecule and its name' if names else 'sequence'} in each line; {ids}"
    )
    row = 0
    for number, line in numbered_lines(path):
        if words := line.split(None, 1):
            row += 1
            yield Record(identifier(words[1]) if named else f"row_{row}", words[0], "", number)


def _without_space(cell: str) -> tuple[str, str]:
    """The sequence in a cell of a table, and the cell itself if there are blanks within."""
    parts = cell.split()
    return "".join(parts), cell if len(parts) > 1 else ""


def _table(
    path: Path, format: str, id_column: str | None, sequence_column: str | None, light_column: str | None = None
) -> Iterator[Record]:
    table = read_table(path, format)
    if sequence_column not in (None, "", "sequence"):
        sequence_at = table.index(sequence_column, "sequence column")
    else:
        sequence_at = table.find(SEQUENCES)
        if sequence_at is None and table.header is False:
            sequence_at = tables.sequence_place(table)
        if sequence_at is None:
            sequence_at = table.index("sequence", "sequence column")
        table.say(sequence_at, "sequence column", "sequence")
    light_at = table.index(light_column, "column of light chains") if light_column else None
    if light_at == sequence_at:
        raise InputError(
            f"{path.name}: column '{quoted(table.columns[light_at])}' was given for heavy and for light chains; each "
            "has a column of its own"
        )
    id_at = (
        table.index(id_column, "id column") if id_column else tables.id_place(table, {sequence_at, light_at} - {None})
    )
    row, lights = None, 0
    for position, (number, row) in enumerate(table.rows(), start=1):
        name = identifier(row[id_at]) if id_at is not None else f"row_{position}"
        if not name:
            raise InputError(f"{path.name}: line {number} has no id")
        light = None
        if light_at is not None:
            light = "" if row[light_at].lower() in NOT_MEASURED else row[light_at]
            lights += bool(light)
        sequence, words = _without_space(row[sequence_at])
        yield Record(name, sequence, "", number, tuple(row), words, light=light)
    if row is None:
        raise InputError(f"{path.name} has a header but no rows")
    if light_at is not None and not lights:
        raise InputError(
            f"{path.name}: column '{quoted(table.columns[light_at])}' has no light chain in any row; leave it out to "
            "read single chains"
        )
