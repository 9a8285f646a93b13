"""Variants of sequences, read from lists and tables: substitutions (see ``notation``) or whole sequences.

Nothing here needs torch.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from seqlm.cli.errors import InputError
from seqlm.data.misfits import STOP, Misfits
from seqlm.data.numbers import NOT_MEASURED, decimal
from seqlm.data.parquet import is_parquet
from seqlm.data.protein_names import ProteinNames
from seqlm.data.records import DNA, PROTEIN, Record, Rules, quoted
from seqlm.data.sequences import clean, read_table
from seqlm.data.tables import Table, rows
from seqlm.data.unread_columns import count_unread

from .notation import AMINO_ACIDS, FORMS, REFERENCE, SYNONYMOUS, WILD_TYPE, is_variant, named, parsed

SCANNED = {PROTEIN: AMINO_ACIDS, DNA: "ACGT"}  # alphabet -> the letters that take each other's place in a scan
NEW = {PROTEIN: AMINO_ACIDS + "UO", DNA: "ACGT"}  # and those that a variant may have
VARIANT_COLUMNS = ("variant", "variants", "mutant", "mutation", "mutations", "substitution", "hgvs_pro")
PROTEIN_COLUMNS = ("protein", "sequence_id", "id")
_PROBED = 2_000  # substitutions that another numbering is looked for with


@dataclass(frozen=True, slots=True)
class Variant:
    """One line of the list.

    Attributes:
        name: as it was given; of a whole sequence the substitutions that it has, with their numbers.
        protein: number of the wild type among the sequences.
        changes: (place from 0, new letter) in the order of the places; empty where nothing changes.
        sequence: the whole variant where it has another length than the wild type, else empty.
        measured: NaN where there is no value.
        note: ``wild type`` or ``synonymous`` where nothing changes.
    """

    name: str
    protein: int
    changes: tuple[tuple[int, str], ...]
    sequence: str = ""
    measured: float = math.nan
    note: str = ""

    @property
    def places(self) -> tuple[int, ...]:
        return tuple(place for place, _ in self.changes)


@dataclass
class Variants:
    """All lines of the list.

    Attributes:
        measured: name of the column with measured values; empty where there is none.
        repeated: variants that are equal to one before them.
        missing: variants without a measured value.
        left_out: how many could not be used, with the first; empty where there are none.
    """

    path: Path
    all: list[Variant] = field(default_factory=list)
    measured: str = ""
    repeated: int = 0
    missing: int = 0
    left_out: str = ""


@dataclass(frozen=True)
class Columns:
    """Columns of the table by name or 1-based number; None for the usual name, where the table has it."""

    variant: str | None = None
    sequence: str | None = None
    protein: str | None = None
    measured: str | None = None


@dataclass(frozen=True)
class WildTypes:
    """The sequences that variants are variants of, as the model reads them.

    Attributes:
        first: number of the first letter of each.
        replacements: letters that the model reads as others.
    """

    ids: list[str]
    sequences: list[str]
    alphabet: str
    first: int = 1
    replacements: dict[str, str] = field(default_factory=dict)


class _Unusable(ValueError):
    """A variant that cannot be read or does not fit; ``why`` in the same words for all of a kind."""

    def __init__(self, why: str, message: str):
        super().__init__(message)
        self.why = why


def read_variants(
    path: str | Path, columns: Columns, wild_types: WildTypes, rules: Rules, misfits: str = STOP
) -> Variants:
    """All variants of a list (one a line) or a table with a header, in the order of the file.

    Args:
        rules: counts what was read otherwise than written, what was left out, and columns that were not read.
        misfits: what becomes of variants that cannot be read or do not fit, see :mod:`seqlm.data.misfits`.

    Raises:
        InputError: naming file and line of a variant that cannot be read or does not fit its wild type; all that do
            not fit are counted. Where such are left out: none is left, or more than half do not fit.
    """
    return _Reading(Path(path), columns, wild_types, rules, Misfits(misfits, rules, "variant")).read()


class _Reading:
    def __init__(self, path: Path, columns: Columns, wild_types: WildTypes, rules: Rules, left_out: Misfits):
        self.path, self.columns, self.wild_types, self.rules = path, columns, wild_types, rules
        self.left_out = left_out
        self.names = ProteinNames(wild_types.ids)
        self.misfits: list[tuple[int, str]] = []  # (line, what does not fit) of each variant with such
        self.written: list[tuple[int, str, int]] = []  # (protein, wild-type letter, position), to find the numbering
        self.allowed = set(NEW[wild_types.alphabet])

    def read(self) -> Variants:
        table, rows = _opened(self.path, self.columns)
        found = Variants(self.path)
        as_sequence = self.columns.sequence is not None
        if as_sequence:
            at = table.index(self.columns.sequence, "column of variant sequences")
        else:
            at = _column(table, self.columns.variant, VARIANT_COLUMNS, "column of variants", "--variant-column")
        measured_at = None
        if self.columns.measured is not None:
            measured_at = table.index(self.columns.measured, "column of measured values")
            found.measured = table.columns[measured_at]
        protein_at = self._protein_column(table)
        lines, variants, names, values = [], [], [], []
        for line, cells in rows:
            lines.append(line)
            variants.append(cells[at])
            names.append("" if protein_at is None else cells[protein_at])
            values.append("" if measured_at is None else cells[measured_at])
        if not lines:
            raise InputError(f"{self.path.name} has a header but no variants")
        about = self._about(table, variants, names)
        seen = set()
        make = self._from_sequence if as_sequence else self._from_text
        for line, cell, value, name in zip(lines, variants, values, about, strict=True):
            measured = math.nan if measured_at is None else self._measured(value, line)
            try:
                protein = self._protein(name, line)
                text, changes, sequence, note = make(cell, protein, line)
            except _Unusable as problem:
                self.left_out.leave_out(problem.why, str(problem))
                continue
            if changes is None:  # does not fit, and is among the misfits
                continue
            variant = Variant(text, protein, changes, sequence, measured, note)
            key = (protein, changes, sequence)
            found.repeated += key in seen
            seen.add(key)
            found.missing += measured_at is not None and math.isnan(measured)
            found.all.append(variant)
        if self.misfits and (self.left_out.choice == STOP or len(self.misfits) > len(found.all)):
            self._refuse_misfits(len(found.all) + len(self.misfits))
        for line, misfit in self.misfits:
            self.left_out.leave_out("on another letter or outside the sequence", f"line {line}: {misfit}")
        found.left_out = self.left_out.note()
        if not found.all:
            raise InputError(f"{self.path.name}: no variant is left; {found.left_out}")
        count_unread(table.columns, [at, protein_at, measured_at], self.rules, len(lines))
        return found

    def _protein_column(self, table: Table) -> int | None:
        asked = self.columns.protein
        if asked is None and (asked := next((name for name in PROTEIN_COLUMNS if name in table.columns), None)) is None:
            return None
        return table.index(asked, "column of proteins")

    def _about(self, table: Table, variants: list[str], names: list[str]) -> list[str]:
        """The name of what each variant is a variant of, empty for the only sequence.

        It stands in the column of proteins or before the variant, as in ``NP_000537.3:p.Ala12Thr``. One name alone that
        is not that of the only sequence is taken for it, since the letters are compared; several are not.

        Args:
            names: from the column of proteins, or empty.
        """
        prefixes = [found[1] if ":p." in cell and (found := REFERENCE.match(cell.strip())) else "" for cell in variants]
        for about in (names, prefixes):
            if any(self.names.place(name) is not None for name in dict.fromkeys(about)):
                return about
        if len(self.wild_types.ids) > 1:
            if not any(names) and not any(prefixes):
                purpose = f"column that says which of the {len(self.wild_types.ids):,} sequences a variant is of"
                _column(table, self.columns.protein, PROTEIN_COLUMNS, purpose, "--protein-column")
            return names if any(names) else prefixes
        if self.columns.protein is None and "id" in table.columns and not {*PROTEIN_COLUMNS[:-1]} & {*table.columns}:
            names = []  # ids of the variants
        different = sorted({*names, *prefixes} - {""})
        only = quoted(self.wild_types.ids[0])
        if len(set(names) - {""}) > 1 or len(set(prefixes) - {""}) > 1:
            raise InputError(
                f"{self.path.name} has variants of several sequences ({quoted(', '.join(different), 100)}), and none "
                f"of them is '{only}', the only one that is given"
            )
        for name in different:
            number = max(names.count(name), prefixes.count(name))
            self.rules.count(f"of '{quoted(name)}', taken for '{only}'", number=number, unit="variant")
        return [""] * len(variants)

    def _protein(self, name: str, line: int) -> int:
        if not name and len(self.wild_types.ids) == 1:
            return 0
        if (place := self.names.place(name)) is None:
            raise _Unusable(
                f"of '{quoted(name)}', which is no sequence",
                f"{self.path.name}: line {line} is about '{quoted(name)}', and there is no sequence of that id",
            )
        return place

    def _measured(self, cell: str, line: int) -> float:
        if cell.lower() in NOT_MEASURED:
            return math.nan
        try:
            return decimal(cell)
        except ValueError:
            raise InputError(
                f"{self.path.name}: line {line} has '{quoted(cell)}' where a measured number is wanted; leave the cell "
                "empty where nothing was measured"
            ) from None

    def _from_text(self, cell: str, protein: int, line: int) -> tuple:
        try:
            found, note = parsed(cell)
        except ValueError as problem:
            raise _Unusable(
                "not written as substitutions", f"{self.path.name}: line {line}: {problem}; {FORMS}"
            ) from None
        sequence, first = self.wild_types.sequences[protein], self.wild_types.first
        changes, places, misfit = [], set(), ""
        for old, position, new in found:
            one, place = f"{old}{position}{new}", position - first
            if place in places:
                raise _Unusable(
                    "changing a position twice",
                    f"{self.path.name}: line {line}: '{quoted(cell)}' changes position {position} twice",
                )
            places.add(place)
            old, new = (self.wild_types.replacements.get(letter, letter) for letter in (old, new))
            if new != old and new not in self.allowed:
                self._refuse_letter(new, f"line {line}: '{one}'")
            if len(self.written) < _PROBED:
                self.written.append((protein, old, position))
            if not 0 <= place < len(sequence):
                misfit = misfit or (
                    f"'{one}' is outside '{quoted(self.wild_types.ids[protein])}', whose positions are {first} to "
                    f"{first + len(sequence) - 1}"
                )
            elif sequence[place] != old:
                misfit = misfit or (
                    f"'{one}' says {old} at position {position}, where '{quoted(self.wild_types.ids[protein])}' has "
                    f"{sequence[place]}"
                )
            elif new != old:
                changes.append((place, new))
        if misfit:
            self.misfits.append((line, misfit))
            return cell, None, "", ""
        return cell, tuple(sorted(changes)), "", note or ("" if changes else SYNONYMOUS)

    def _refuse_letter(self, letter: str, where: str) -> None:
        """Raise _Unusable for what is no letter that a variant may have."""
        kind = "a base" if self.wild_types.alphabet == DNA else "an amino acid"
        why, what = {
            "*": ("with a stop", "is a stop; only substitutions by a letter can be scored"),
            "-": ("with a deletion", "is a deletion; only substitutions by a letter can be scored"),
        }.get(
            letter,
            (f"with what is not {kind}", f"names '{letter}', which is not {kind} ({', '.join(sorted(self.allowed))})"),
        )
        raise _Unusable(why, f"{self.path.name}: {where} {what}")

    def _from_sequence(self, cell: str, protein: int, line: int) -> tuple:
        wild = self.wild_types.sequences[protein]
        record = Record(f"variant on line {line}", "".join(cell.split()), line=line)
        try:
            sequence = clean(record, self.wild_types.alphabet, self.wild_types.replacements, self.rules, self.path)
        except InputError as problem:
            raise _Unusable("with letters of no sequence", str(problem)) from None
        if len(sequence) != len(wild):
            return f"of {len(sequence):,} letters", (), sequence, ""
        changes = [(place, new) for place, (old, new) in enumerate(zip(wild, sequence, strict=True)) if old != new]
        for place, new in changes:
            if new not in self.allowed:
                self._refuse_letter(new, f"the variant on line {line} at position {place + self.wild_types.first}")
        name = named(wild, changes, self.wild_types.first)
        return name, tuple(changes), "", "" if changes else WILD_TYPE

    def _refuse_misfits(self, variants: int) -> None:
        line, misfit = self.misfits[0]
        first, many = self.wild_types.first, len(self.misfits)
        count = "this one variant does" if many == 1 else f"{many:,} of {variants:,} variants do"
        hint = f"positions are counted from {first} (--first-position)"
        if (better := self._numbering()) is not None:
            hint += f"; counted from {better}, all would fit"
        raise InputError(f"{self.path.name}: line {line}: {misfit}; {count} not fit, {hint}")

    def _numbering(self) -> int | None:
        """Another number of the first letter with which all wild-type letters would be right.

        Three positions or more, or it would be chance.
        """
        if len(set(self.written)) < 3:
            return None
        longest = max(map(len, self.wild_types.sequences))
        highest = max(position for _, _, position in self.written)
        lowest = min(position for _, _, position in self.written)
        candidates = range(highest - longest + 1, lowest + 1)
        # numbering from 0 or 1, then the nearest to what was given
        for first in sorted(candidates, key=lambda one: (one not in (0, 1), abs(one - self.wild_types.first), one)):
            if all(self._fits(*one, first) for one in self.written):
                return first
        return None

    def _fits(self, protein: int, letter: str, position: int, first: int) -> bool:
        sequence, place = self.wild_types.sequences[protein], position - first
        return 0 <= place < len(sequence) and sequence[place] == letter


def _opened(path: Path, columns: Columns) -> tuple[Table, Iterator[tuple[int, list[str]]]]:
    """The table, and the rows with variants: all of a list without a header."""
    if is_parquet(path):
        table = read_table(path, "parquet")
        return table, table.rows()
    table = read_table(path, "tabular")
    first = table.first[0]
    if kind := {">": "FASTA", "@": "FASTQ", "<": "XML"}.get(first[:1]):
        raise InputError(
            f"{path.name} is {kind}; variants are a list of {FORMS.removeprefix('write ')}, a table, or a table with "
            "whole sequences in a column"
        )
    if len(table.first) > 1:
        return table, table.rows()
    if is_variant(first):
        named = [each for each in (columns.sequence, columns.protein, columns.measured) if each is not None]
        if named:
            raise InputError(f"{path.name} is a list without columns; there is no column '{quoted(named[0])}'")
        return Table(path, ["variant"], "tabular"), rows(path, "tabular")
    if "," in first:
        table = read_table(path, "csv")
    return table, table.rows()


def _column(table: Table, asked: str | None, usual: tuple[str, ...], purpose: str, option: str) -> int:
    if asked is not None:
        return table.index(asked, purpose)
    if name := next((name for name in usual if name in table.columns), None):
        return table.index(name, purpose)
    if len(table.columns) == 1:
        return 0
    raise InputError(
        f"{table.path.name} has no {purpose}: none of its columns is called {' or '.join(usual[:2])}; name one "
        f"({option}) of {', '.join(quoted(name) for name in table.columns[:20])}"
    )


def letters_of(alphabet: str) -> str:
    """Letters that take each other's place in a scan.

    Raises:
        InputError: sequences of another kind than proteins and DNA.
    """
    if alphabet not in SCANNED:
        raise InputError(
            "substitutions are of proteins and DNA; the model reads other text (molecules), of which whole sequences "
            "can be scored by perplexity"
        )
    return SCANNED[alphabet]
