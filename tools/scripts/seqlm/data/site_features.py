"""Known sites from annotation: GFF3, as UniProt and others write it, and UniProt's own text format.

GFF3: https://github.com/The-Sequence-Ontology/Specifications/blob/master/gff3.md; UniProt's flat file:
https://web.expasy.org/docs/userman.html, of which the feature table is read as it is now (``FT   MOD_RES   15`` and
``/note="…"`` on lines of its own) and as it was until 2019 (all on one line).
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote

from seqlm.cli.errors import InputError

from .lines import MAX_SEQUENCE, numbered_lines
from .records import Record, quoted
from .site_tables import Site

MOST_FEATURES = 20_000_000  # in one file; all of Swiss-Prot has a quarter of it


@dataclass(slots=True)
class Feature:
    """One annotation. Positions count from 1 and the end belongs to it; ``None`` is a position that is not known."""

    protein: str
    kind: str
    start: int | None
    end: int | None
    note: str
    line: int


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
        start, end = (_position(cell, where) for cell in cells[3:5])
        attributes = [part.partition("=") for part in cells[8].split(";")]
        note = "; ".join(unquote(value) for key, _, value in attributes if key.strip().lower() in ("note", "name"))
        _add(found, Feature(unquote(cells[0]), unquote(cells[2]), start, end, note, number), where)
    return found


def read_uniprot(path: str | Path) -> Annotation:
    """All features and sequences of a file in UniProt's text format; a protein is called by its first accession.

    Raises:
        InputError: an entry without an accession, or a feature line that cannot be read.
    """
    path, found = Path(path), Annotation()
    accession, start_line, features, parts, in_sequence = "", 0, [], [], False
    for number, line in numbered_lines(path):
        where = f"{path.name}: line {number}"
        code, rest = line[:2], line[5:]
        if code == "ID":
            accession, start_line, features, parts, in_sequence = "", number, [], [], False
        elif code == "AC" and not accession:
            accession = rest.split(";")[0].strip()
        elif code == "FT":
            _uniprot_feature(rest, features, number, where)
        elif code == "SQ":
            in_sequence = True
        elif code == "//":
            if not accession:
                raise InputError(f"{where}: the entry that ends here has no accession (AC line)")
            for feature in features:
                feature.protein = accession
                _add(found, feature, where)
            if parts:
                found.records.append(Record(accession, "".join(parts), line=start_line))
            accession, start_line, features, parts, in_sequence = "", 0, [], [], False
        elif in_sequence:
            parts.append("".join(line.split()))
    if accession or features:
        raise InputError(f"{path.name}: the last entry has no end (//); the file is cut short")
    return found


def choose_sites(
    features: list[Feature], wanted: str | None, label: str, counted: Counter, path: str | Path
) -> list[Site]:
    """The sites among features: those of the kind wanted that are one residue long.

    Args:
        wanted: a kind of feature (``Modified residue``), or how words in its note begin (``phospho``); several are
            separated by commas. None where the file has one kind only.
        counted: what is left out is counted here.

    Raises:
        InputError: nothing fits, or several kinds and none is chosen; the message lists the kinds.
    """
    kinds = Counter(feature.kind for feature in features)
    known = ", ".join(f"{quoted(kind)} ({count:,})" for kind, count in kinds.most_common(12))
    name = Path(path).name
    if wanted is None:
        if len(kinds) > 1:
            raise InputError(f"{name} has several kinds of feature; say which are the sites: {known}")
        chosen = features
    else:
        terms = [term for term in (part.strip() for part in wanted.split(",")) if term]
        if not terms:
            raise InputError("the feature to look for is empty; name a kind such as 'Modified residue'")
        words = re.compile("|".join(rf"\b{re.escape(term)}" for term in terms), re.IGNORECASE)
        same = {term.casefold() for term in terms}
        chosen = [each for each in features if each.kind.casefold() in same or words.search(each.note)]
        if not chosen:
            raise InputError(
                f"{name} has no feature of the kind '{quoted(wanted)}', nor a note with such a word; "
                f"its kinds are {known or 'none at all'}"
            )
    sites = []
    for feature in chosen:
        if feature.start is None or feature.end is None:
            counted["features without an exact position, left out"] += 1
        elif feature.start != feature.end:
            counted["features longer than one residue, left out"] += 1
        else:
            sites.append(Site(feature.protein, feature.start, label, "", feature.line))
    return sites


def _add(found: Annotation, feature: Feature, where: str) -> None:
    if len(found.features) >= MOST_FEATURES:
        raise InputError(f"{where}: more than {MOST_FEATURES:,} features; give a part of them")
    found.features.append(feature)


def _position(text: str, where: str) -> int | None:
    """A position; None for one that UniProt marks as not exact (``?15``, ``<1``, ``>99``, ``~4``)."""
    if re.fullmatch(r"[<>?~]\d*", text):
        return None
    if not re.fullmatch(r"\d{1,9}", text) or int(text) < 1:
        raise InputError(f"{where} has '{quoted(text)}' as a position; positions are whole numbers from 1")
    return int(text)


def _uniprot_feature(rest: str, features: list[Feature], number: int, where: str) -> None:
    """Add the feature that starts on this line of the table, or the line to the one before."""
    if rest[:1].strip():
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
        features.append(Feature("", cells[0], _position(start, where), _position(end or start, where), note, number))
    elif features and (text := rest.strip()):
        if not text.startswith("/"):  # goes on from the line above
            features[-1].note += " " + text.rstrip('"')
        elif text.startswith("/note="):
            features[-1].note += text.removeprefix("/note=").strip('"')


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
