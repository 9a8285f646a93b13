"""Features of annotation: GFF3, as UniProt and others write it, BED, and UniProt's own text format and XML.

GFF3: https://github.com/The-Sequence-Ontology/Specifications/blob/master/gff3.md; BED:
https://samtools.github.io/hts-specs/BEDv1.pdf; UniProt's flat file: https://web.expasy.org/docs/userman.html, of which
the feature table is read as it is now (``FT   MOD_RES   15`` and ``/note="…"`` on lines of its own) and as it was until
2019 (all on one line).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from urllib.parse import unquote

from seqlm.cli.errors import InputError

from .lines import MAX_SEQUENCE, numbered_lines
from .parquet import is_parquet
from .records import Record, quoted
from .uniprot_xml import entries

MOST_FEATURES = 20_000_000  # in one file; all of Swiss-Prot has a quarter of it
INTERVAL = "interval"  # what a line of BED is called, which names no kind
STRANDS = ("+", "-", ".", "?")


@dataclass(slots=True)
class Feature:
    """One annotation.

    Attributes:
        start, end: from 1, and the end belongs to it; None where no number is given.
        exact: both ends are known for sure, unlike ``?15``, ``<1``, ``>99`` and ``~4``.
        strand: ``-`` for the reverse strand of DNA, else empty.
        ligand: what a binding site binds, with what UniProt notes on it.
    """

    protein: str
    kind: str
    start: int | None
    end: int | None
    note: str
    line: int
    exact: bool = True
    strand: str = ""
    ligand: str = ""


@dataclass
class Annotation:
    """Features, and the sequences that the same file holds."""

    features: list[Feature] = field(default_factory=list)
    records: list[Record] = field(default_factory=list)


def read_gff(path: str | Path) -> Annotation:
    """All features of a GFF3 file, and its ``##FASTA`` section.

    Raises:
        InputError: a line without nine columns, a position that is no number.
    """
    path, found = Path(path), Annotation()
    lines = numbered_lines(path)
    for number, line in lines:
        if line.startswith("##FASTA"):
            found.records = _fasta_section(path, lines)
            break
        if not line.strip() or line.startswith("#"):
            continue
        where = f"{path.name}: line {number}"
        cells = line.rstrip("\t").split("\t")  # UniProt ends lines with a tab
        if len(cells) != 9:
            raise InputError(f"{where} has {len(cells)} columns; a feature of GFF3 has nine, separated by tabs")
        attributes = [part.partition("=") for part in cells[8].split(";")]
        note, ligand = (
            "; ".join(unquote(value) for key, _, value in attributes if key.strip().lower() in names and value)
            for names in (("note", "name"), LIGAND)
        )
        strand = _strand(cells[6], where)
        _add(
            found,
            _feature(unquote(cells[0]), unquote(cells[2]), *cells[3:5], note, number, where, strand, ligand),
            path,
        )
    return found


def read_bed(path: str | Path) -> Annotation:
    """All intervals of a BED file, their name as a note. BED counts from 0 and its end lies outside.

    Raises:
        InputError: a line that is no interval.
    """
    path, found = Path(path), Annotation()
    for number, line in _bed_lines(path):
        where, cells = f"{path.name}: line {number}", line.rstrip().split("\t")
        if not _is_interval(cells):
            raise InputError(f"{where} is no line of BED: name, start from 0, end, and perhaps name, score and strand")
        note = cells[3] if len(cells) > 3 and cells[3] != "." else ""
        strand = _strand(cells[5], where) if len(cells) > 5 else ""
        start, end = int(cells[1]) + 1, int(cells[2])
        _add(found, Feature(cells[0], INTERVAL, start, end, note, number, start <= end, strand), path)
    return found


def bed_positions(path: str | Path) -> Iterator[tuple[int, str, int]]:
    """(line, name, position from 1) of every position in the intervals of a BED file.

    Raises:
        InputError: more than ``MOST_FEATURES`` positions.
    """
    features = read_bed(path).features
    if sum(each.end - each.start + 1 for each in features) > MOST_FEATURES:
        raise InputError(
            f"{Path(path).name}: its intervals have more than {MOST_FEATURES:,} positions; give a part of it"
        )
    for each in features:
        yield from ((each.line, each.protein, at) for at in range(each.start, each.end + 1))


def is_bed(path: str | Path) -> bool:
    """Whether a file is BED: a name and two numbers, of which the first is smaller, in all of its first lines."""
    lines = list(islice(_bed_lines(Path(path)), 1000))
    return bool(lines) and all(_is_interval(line.rstrip().split("\t")) for _, line in lines)


def _bed_lines(path: Path) -> Iterator[tuple[int, str]]:
    if is_parquet(path):
        return
    for number, line in numbered_lines(path):
        if line.strip() and not line.startswith(("#", "track", "browser")):
            yield number, line


def _is_interval(cells: list[str]) -> bool:
    if len(cells) < 3 or not all(re.fullmatch(r"[0-9]{1,9}", cell) for cell in cells[1:3]):
        return False
    return int(cells[1]) <= int(cells[2]) and (len(cells) < 6 or cells[5] in STRANDS)


def read_uniprot(path: str | Path) -> Annotation:
    """All features and sequences of a file in UniProt's text format; a protein is called by its first accession.

    Raises:
        InputError: an entry without an accession, or a feature line that cannot be read.
    """
    path, found = Path(path), Annotation()
    accession, start_line, table, parts, in_sequence = "", 0, _FeatureTable(), [], False
    for number, line in numbered_lines(path):
        where = f"{path.name}: line {number}"
        code, rest = line[:2], line[5:]
        if code == "ID":
            accession, start_line, table, parts, in_sequence = "", number, _FeatureTable(), [], False
        elif code == "AC" and not accession:
            accession = rest.split(";")[0].strip()
        elif code == "FT":
            table.read(rest, number, where)
        elif code == "SQ":
            in_sequence = True
        elif code == "//":
            if not accession:
                raise InputError(f"{where}: the entry that ends here has no accession (AC line)")
            for feature in table.features:
                feature.protein = accession
                _add(found, feature, path)
            if parts:
                found.records.append(Record(accession, "".join(parts), line=start_line))
            accession, start_line, table, parts, in_sequence = "", 0, _FeatureTable(), [], False
        elif in_sequence:
            parts.append("".join(line.split()))
    if accession or table.features:
        raise InputError(f"{path.name}: the last entry has no end (//); the file is cut short")
    return found


def read_uniprot_features(path: str | Path) -> Annotation:
    """All features and sequences of a file in UniProt's XML, as :func:`read_uniprot` gives them of its text format.

    Raises:
        InputError: what :func:`seqlm.data.uniprot_xml.entries` raises, or a position that is none.
    """
    path, found = Path(path), Annotation()
    for entry in entries(path, features=True):
        for each in entry.features:
            where = f"{path.name}: line {each.line}"
            feature = _feature(entry.accession, each.kind, each.start, each.end, each.note, each.line, where)
            feature.ligand = each.ligand
            _add(found, feature, path)
        if entry.sequence:
            found.records.append(Record(entry.accession, entry.sequence, line=entry.line))
    return found


def _add(found: Annotation, feature: Feature, path: Path) -> None:
    if len(found.features) >= MOST_FEATURES:
        raise InputError(f"{path.name}: line {feature.line}: more than {MOST_FEATURES:,} features; give a part of them")
    found.features.append(feature)


def _feature(protein, kind, first, last, note, line, where, strand="", ligand="") -> Feature:
    """A feature whose positions are text, as ``?15`` of UniProt."""
    (start, sure), (end, as_sure) = _position(first, where), _position(last, where)
    return Feature(protein, kind, start, end, note, line, sure and as_sure, strand, ligand)


def _position(text: str, where: str) -> tuple[int | None, bool]:
    """A position, None where there is none, and whether it is exact: ``?15``, ``<1``, ``>99`` and ``~4`` are not."""
    if text.isascii() and text.isdigit() and len(text) < 10 and text[0] != "0":
        return int(text), True
    if not (found := re.fullmatch(r"([<>?~]?)([0-9]{0,9})", text)) or not text or found[2].strip("0") == "" != found[2]:
        raise InputError(f"{where} has '{quoted(text)}' as a position; positions are whole numbers from 1")
    return int(found[2]) if found[2] else None, not found[1]


def _strand(text: str, where: str) -> str:
    if text not in STRANDS:
        raise InputError(f"{where} has '{quoted(text)}' as its strand; it is +, - or .")
    return "-" if text == "-" else ""


LIGAND = ("ligand", "ligand_note", "ligand_part", "ligand_label")


class _FeatureTable:
    """The FT lines of one entry, a feature after the other.

    Texts are wrapped at blanks, which are put back, and after hyphens, where there was none; Biopython's reader joins
    lines in the same way.
    """

    def __init__(self):
        self.features: list[Feature] = []
        self._open = ""  # the qualifier that a line without one continues

    def read(self, rest: str, number: int, where: str) -> None:
        """Add the feature that starts on this line, or the line to the one before."""
        if rest[:1].strip():
            self._start(rest, number, where)
        elif self.features and (text := rest.strip()):
            if found := re.match(r'/(\w+)="?', text):
                self._open, text = found[1], text[found.end() :]
                self._append(text.rstrip('"'), "; ")
            else:
                self._append(text.rstrip('"'), "" if self._text().endswith("-") else " ")

    def _start(self, rest: str, number: int, where: str) -> None:
        cells = rest.split(None, 2)
        if len(cells) < 2:
            raise InputError(f"{where} is not a feature: '{quoted(rest)}'")
        where_at = cells[1]
        if len(cells) == 3 and re.match(r"(\?|[<>?~]?\d+)(\s|$)", cells[2]):
            end, _, note = cells[2].partition(" ")  # as until 2019: start and end in columns, then the note
            start, note = where_at, note.strip()
        else:
            # P04637-2:15 is a position in another isoform than the one whose sequence is given
            start, _, end = ("?" if ":" in where_at else where_at).partition("..")
            note = cells[2] if len(cells) == 3 else ""
        self.features.append(_feature("", cells[0], start, end or start, note, number, where))
        self._open = "note"

    def _text(self) -> str:
        return self.features[-1].ligand if self._open in LIGAND else self.features[-1].note

    def _append(self, text: str, between: str) -> None:
        if self._open in LIGAND:
            self.features[-1].ligand += (between if self.features[-1].ligand else "") + text
        elif self._open == "note":
            self.features[-1].note += (between if self.features[-1].note else "") + text


def _fasta_section(path: Path, lines) -> list[Record]:
    records, header, start, parts, length = [], None, 0, [], 0
    for number, line in lines:
        if line.startswith(">"):
            if header is not None:
                records.append(Record(header, "".join(parts), line=start))
            name = line[1:].split(None, 1)
            if not name:
                raise InputError(f"{path.name}: the header on line {number} has no name after '>'")
            header, start, parts, length = unquote(name[0]), number, [], 0
        elif line.strip():
            if header is None:
                raise InputError(f"{path.name}: line {number} of the FASTA section stands before any header")
            parts.append("".join(line.split()))
            length += len(parts[-1])
            if length > MAX_SEQUENCE:
                raise InputError(f"{path.name}: the record on line {start} is over {MAX_SEQUENCE:,} letters long")
    if header is not None:
        records.append(Record(header, "".join(parts), line=start))
    return records
