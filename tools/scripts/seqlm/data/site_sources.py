"""Full-length proteins and the known sites on them, from whatever files they come in, joined and checked.

Every site is looked up in its protein: a position beyond the end or a residue other than the one stated mostly means
that the table belongs to another isoform or release, so it stops the tool instead of making a wrong window.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from seqlm.cli.errors import InputError

from .labels import MAX_LETTERS, GivenSplit
from .lines import numbered_lines
from .misfits import BEYOND, NO_SEQUENCE, OTHER_RESIDUE, STOP, Misfits
from .parquet import is_parquet
from .protein_names import ProteinNames
from .records import DNA, PROTEIN, Record, Rules, quoted
from .sequences import HEADED, clean, read_records, read_table, sequence_format, told_alphabet
from .site_choice import BLOCKED, choose_sites
from .site_features import Annotation, is_bed, read_bed, read_gff, read_uniprot, read_uniprot_features
from .site_tables import Site, SiteColumns, holds_sites, preamble, protein_column, read_site_table
from .sites import COMPLEMENT
from .tables import TABLES
from .uniprot_xml import is_uniprot_xml

NONE, TABLE, ANNOTATED, GFF = "none", "table", "annotated", "gff"
UNKNOWN = {PROTEIN: "X", DNA: "N"}


@dataclass(frozen=True, slots=True)
class Protein:
    """One full-length sequence; ``group`` and ``split`` are what the user's file says, or empty."""

    id: str
    sequence: str
    group: str = ""
    split: str = ""


@dataclass
class Source:
    """Proteins, and (place of the protein, site) pairs in the order of the input, each site once.

    Attributes:
        blocked: place of a protein -> (first, last) of what is annotated and so is no negative, besides the sites.
        misfits: sites that were left out.
    """

    proteins: list[Protein]
    sites: list[tuple[int, Site]]
    alphabet: str
    rules: Rules = field(default_factory=Rules)
    counted: Counter = field(default_factory=Counter)
    blocked: dict[int, list[tuple[int, int]]] = field(default_factory=dict)
    misfits: Misfits = field(default_factory=Misfits)


@dataclass(frozen=True)
class SourceOptions:
    """How to read the files; see ``dataset.py --help``."""

    site_format: str = "auto"
    format: str = "auto"
    id_column: str | None = None
    sequence_column: str | None = None
    columns: SiteColumns = field(default_factory=SiteColumns)
    feature: str | None = None
    ranges: str = BLOCKED
    misfits: str = STOP
    other_columns: tuple[str | None, ...] = ()
    positive_label: str = "1"
    negative_label: str = "0"
    alphabet: str = "auto"
    group_of: Callable[[Path, str], Callable[[Record, str], str]] | None = None
    given_split: GivenSplit = field(default_factory=GivenSplit)


def site_format(path: str | Path) -> str:
    """Tell from its content how a file marks sites: ``table``, ``annotated``, ``gff`` (features), or ``none``.

    A FASTA file is annotated if a ``#`` stands between the letters of one of its first thousand lines; a table holds
    sites if it has a column of positions.
    """
    path = Path(path)
    if is_parquet(path):
        return TABLE if holds_sites(path) else NONE
    if is_uniprot_xml(path):
        return GFF
    for number, line in numbered_lines(path):
        if line.startswith("##gff") or re.match(r"(ID|AC|FT) {3}\S", line):
            return GFF
        if line.strip() and not line.startswith("#"):
            cells = line.rstrip("\t").split("\t")
            if len(cells) == 9 and cells[3].isdigit() and cells[4].isdigit():
                return GFF
            break
        if number > 1000:
            break
    if is_bed(path):
        return GFF
    if not preamble(path) and sequence_format(path) == "fasta":
        for number, line in numbered_lines(path):
            if not line.startswith(">") and re.fullmatch(r"\s*[A-Za-z*#]*[A-Za-z]#[A-Za-z*#]*\s*", line):
                return ANNOTATED
            if number > 1000:
                break
        return NONE
    if not preamble(path) and sequence_format(path) not in TABLES:
        return NONE
    return TABLE if holds_sites(path) else NONE


def read_source(sequences: str | None, sites: str | None, options: SourceOptions) -> Source:
    """Proteins and the sites on them.

    Args:
        sequences: FASTA or table of full-length proteins; None where the file of the sites holds them.
        sites: table, annotated FASTA, GFF3, BED, UniProt's text or XML; None where ``sequences`` marks them itself.

    Raises:
        InputError: for whatever is wrong with a file, a protein or a site, naming it.
    """
    marked = Path(sites or sequences)
    kind = site_format(marked) if options.site_format == "auto" else options.site_format
    if kind == TABLE and options.columns == SiteColumns() and is_bed(marked):
        kind = GFF
    counted, blocked, misfits = Counter(), [], Misfits(options.misfits)
    if kind == GFF:
        annotation = _annotation(marked, counted)
        found, blocked = choose_sites(
            annotation.features, options.feature, options.positive_label, counted, marked, options.ranges
        )
        records = _records(sequences, options) if sequences and sites else _from_annotation(annotation, marked)
    elif kind == ANNOTATED:
        if sequences and sites:
            raise InputError(
                f"{marked.name} is FASTA with its sites marked by '#', so it holds the sequences; give it alone"
            )
        raw, found = [], []
        for record in _records(str(marked), options):
            sequence, marks = unmark(record, marked)
            raw.append(Record(record.id, sequence, record.header, record.line, record.fields))
            found += [
                Site(record.id, position, options.positive_label, sequence[position - 1].upper(), record.line)
                for position in marks
            ]
        records = raw
    elif kind == TABLE:
        own = not (sequences and sites)  # one table holds sites and sequences
        columns = options.columns
        if own and columns.protein is None:
            columns = replace(columns, protein=options.id_column)
        found = read_site_table(
            marked, columns, options.positive_label, options.negative_label, misfits, options.other_columns
        )
        records = _records(sequences or str(marked), options, columns.protein if own else None, repeated=own)
    else:
        raise InputError(
            f"{marked.name} marks no sites: it needs a column of positions, a '#' after each site, or features"
        )
    if not found:
        raise InputError(f"{marked.name} has no sites; there is nothing to make windows around")
    source_path = Path(sequences or marked)
    proteins, alphabet, rules = _proteins(records, source_path, options)
    misfits.rules = rules.merged(misfits.rules)
    source = Source(proteins, [], alphabet, misfits.rules, counted, misfits=misfits)
    names = ProteinNames(protein.id for protein in proteins)
    source.sites = _joined(found, names, source, source_path, marked)
    for name, first, last in blocked:
        if (place := names.place(name)) is not None:
            source.blocked.setdefault(place, []).append((first, last))
    return source


def _annotation(path: Path, counted: Counter) -> Annotation:
    if is_uniprot_xml(path):
        return read_uniprot_features(path)
    lines = _first(path, 100)
    if any(re.match(r"ID {3}\S", line) for line in lines):
        return read_uniprot(path)
    if is_bed(path):
        annotation = read_bed(path)
        counted["intervals of BED, whose starts count from 0, read as positions from 1"] += len(annotation.features)
        return annotation
    return read_gff(path)


def unmark(record: Record, path: Path) -> tuple[str, list[int]]:
    """A sequence without its ``#``, and the positions (from 1) of the letters that a ``#`` follows."""
    if not re.fullmatch(r"(?:[^#]#?)*", record.sequence):
        where = f"{path.name}: record '{quoted(record.id)}' (line {record.line})"
        raise InputError(f"{where} has a '#' that follows no residue; a '#' stands right after the residue of a site")
    parts = record.sequence.split("#")
    marks, length = [], 0
    for part in parts[:-1]:
        length += len(part)
        marks.append(length)
    return "".join(parts), marks


def _first(path: Path, count: int) -> list[str]:
    return [line for (_, line), _ in zip(numbered_lines(path), range(count), strict=False)]


def _from_annotation(annotation: Annotation, path: Path) -> list[Record]:
    if not annotation.records:
        raise InputError(f"{path.name} holds no sequences; give the proteins that it describes as --sequences")
    return annotation.records


def _records(path: str, options: SourceOptions, protein: str | None = None, repeated: bool = False) -> list[Record]:
    """Records of a file of sequences; of a table with a row for each site, each protein once."""
    file = Path(path)
    format = sequence_format(file) if options.format == "auto" else options.format
    id_column = options.id_column or protein
    if format not in HEADED and id_column is None:
        table = read_table(file, format)
        id_column = table.columns[protein_column(table, None)]
    records: list[Record] = []
    seen: dict[str, Record] = {}
    for record in read_records(file, format=format, id_column=id_column, sequence_column=options.sequence_column):
        known = seen.setdefault(record.id, record)
        if known is record:
            records.append(record)
        elif not repeated or known.sequence != record.sequence:
            where = f"{file.name}: record '{quoted(record.id)}' (line {record.line})"
            also = " with another sequence" if repeated else ""
            raise InputError(f"{where} has the same id as the record on line {known.line}{also}; ids must be unique")
    return records


def _proteins(records: list[Record], path: Path, options: SourceOptions) -> tuple[list[Protein], str, Rules]:
    letters = sum(len(record.sequence) for record in records)
    if letters > MAX_LETTERS:
        raise InputError(f"{path.name} has over {MAX_LETTERS:,} letters; give a part of it")
    alphabet = options.alphabet
    if alphabet == "auto":
        alphabet = told_alphabet(record.sequence for record in records)
    format = "fasta"
    if any(record.fields for record in records):
        format = sequence_format(path) if options.format == "auto" else options.format
    group_of = options.group_of(path, format) if options.group_of else lambda record, where: ""
    split_of = options.given_split.reader(path, format)
    rules, proteins = Rules(), []
    for record in records:
        where = f"{path.name}: record '{quoted(record.id)}' (line {record.line})"
        sequence = clean(record, alphabet, {}, rules, path)
        proteins.append(Protein(record.id, sequence, group_of(record, where), split_of(record, where)))
    if len({protein.id for protein in proteins}) < len(proteins):
        first = next(name for name, count in Counter(protein.id for protein in proteins).items() if count > 1)
        raise InputError(f"{path.name} has two sequences of the id '{quoted(first)}'; ids must be unique")
    return proteins, alphabet, rules


def _joined(sites: list[Site], names: ProteinNames, source: Source, path: Path, marked: Path) -> list[tuple[int, Site]]:
    """Each site with the place of its protein, checked against the sequence."""
    joined: list[tuple[int, Site]] = []
    seen: dict[tuple[int, int, str], Site] = {}
    misfits, counted, dna = source.misfits, source.counted, source.alphabet == DNA
    misplaced, absent, file = 0, 0, marked.name
    for site in sites:
        place = names.place(site.protein)
        if place is None:
            absent = absent or sum(names.place(each.protein) is None for each in sites)
            isoform = re.fullmatch(r"(.+)-[0-9]+", site.protein)
            of_isoform = isoform and names.place(isoform[1]) is not None
            misfits.leave_out(
                "on isoforms without a sequence" if of_isoform else NO_SEQUENCE,
                f"{file}: line {site.line} has a site on '{quoted(site.protein)}', which is not in {path.name} "
                f"({absent:,} of {len(sites):,} sites are on such proteins)"
                + (f"; it is an isoform of '{quoted(isoform[1])}'" if of_isoform else "")
                + "; add its sequence, or remove the site",
            )
            continue
        protein = source.proteins[place]
        where = f"{file}: line {site.line}: position {site.position} of '{quoted(protein.id)}'"
        if not 1 <= site.position <= len(protein.sequence):
            misplaced += 1
            misfits.leave_out(
                BEYOND,
                f"{where} is beyond its {len(protein.sequence):,} residues; "
                "are the positions those of another isoform or release, or counted from 0?",
            )
            continue
        if site.strand and not dna:
            counted["strands of sites on proteins, which have none, not used"] += 1
            site = replace(site, strand="")
        letter = protein.sequence[site.position - 1]
        if site.strand:
            letter = letter.translate(COMPLEMENT)
        if site.residue and letter != ("T" if dna and site.residue == "U" else site.residue):
            misplaced += 1
            misfits.leave_out(
                OTHER_RESIDUE,
                f"{where} is {letter} in the sequence and not {site.residue}; "
                "are the positions those of another isoform or release, or counted from 0?",
            )
            continue
        if letter == UNKNOWN[source.alphabet]:
            misfits.leave_out(
                f"on {letter}, which stands for any residue",
                f"{where} is {letter}, which stands for any residue; remove the site",
            )
            continue
        known = seen.setdefault((place, site.position, site.strand), site)
        if known is site:
            joined.append((place, site))
            if site.protein not in names.ids:
                counted["sites whose protein was found by a part of its name"] += 1
        elif known.label == site.label:
            counted["sites listed more than once, taken once"] += 1
        else:
            raise InputError(
                f"{where} is listed as both '{quoted(known.label)}' (line {known.line}) and "
                f"'{quoted(site.label)}'; a site has one label"
            )
    if misplaced > len(joined):
        raise InputError(
            f"{marked.name}: {misplaced:,} of {misplaced + len(joined):,} sites do not fit their proteins, the first "
            f"being: {misfits.first}"
        )
    if not joined:
        raise InputError(f"{marked.name}: no site is left; {misfits.note()}")
    return joined
