"""Labels of single residues: strings as long as the sequence, tables of positions, or ``#`` marks in FASTA.

::

    >P1 SET=train            >P1                 id  position  residue         >P1
    MKTAYIAK                 00010010            P1  4         A               MKTA#YIA#K
    (sequences)              (label string)      (table of positions)          (annotated FASTA)

A residue whose label is not known (masked, unresolved in a structure) has the class -1 or the value NaN, and counts in
no loss and no score.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from seqlm.cli.errors import InputError

from .datasets import Example
from .labelled_sites import NEGATIVE, POSITIVE, LabelledSite, labelled_sites, says_bed
from .labels import MAX_LETTERS, GivenSplit, number
from .misfits import BEYOND, NO_SEQUENCE, OTHER_RESIDUE, STOP, UNREADABLE, Misfits
from .protein_names import ProteinNames, parts_of
from .records import DNA, Record, Rules, quoted
from .sequences import HEADED, KINDS, Strangers, clean, read_records, read_table, sequence_format
from .site_tables import POSITION, SiteColumns, holds_sites, preamble
from .tables import label_place

UNKNOWN_VALUES = ("", "nan", "na", "none", "?")


@dataclass
class ResidueReader:
    """Reads one file of residue labels after another into examples that share one list of classes.

    Attributes:
        numeric: labels are numbers and not classes.
        alphabet, replacements, rules: see :func:`seqlm.data.sequences.clean`.
        sequences: file with the full sequences, for label strings in FASTA and for tables of positions.
        mask: FASTA of 0 and 1, as long as the sequences; 0 marks residues that do not count.
        unknown: letters of a label string that mark residues that do not count.
        merged: label -> the class that it is counted as, see :func:`seqlm.data.class_names.merging`.
        unlisted: what a residue is that a table of positions does not list: ``negative`` or ``unknown``.
        misfits: what becomes of sites that cannot be read or do not fit, see :mod:`seqlm.data.misfits`.
        classes: class -> its number, in the order in which they were met.
        without_row: proteins in ``sequences`` that no table of positions read so far has a row of; None where there
            was no such table.
    """

    numeric: bool
    alphabet: str
    replacements: dict[str, str]
    rules: Rules
    sequences: Path | None = None
    mask: Path | None = None
    unknown: str = "?"
    merged: dict[str, str] = field(default_factory=dict)
    unlisted: str = "negative"
    misfits: str = STOP
    format: str = "auto"
    id_column: str | None = None
    sequence_column: str | None = None
    label_column: str | None = None
    position_column: str | None = None
    given_split: GivenSplit = field(default_factory=GivenSplit)
    classes: dict[str, int] = field(default_factory=dict)
    without_row: set[str] | None = None
    _file: Path | None = field(default=None, init=False)  # what messages name, the one that holds the sequences

    def read(self, path: str | Path) -> list[Example]:
        """The examples of one file, in its order.

        Raises:
            InputError: a label string of another length than its sequence, a position beyond the end or not of the
                stated residue, a protein without a sequence, a label that is no number where one is needed.
        """
        path = Path(path)
        self._file = self.sequences or path
        form = "tabular" if preamble(path) else sequence_format(path) if self.format == "auto" else self.format
        if form in HEADED and form != "fasta":
            raise InputError(
                f"{path.name} is {KINDS[form]}, which has no labels of residues; they stand in FASTA or in a table"
            )
        if form == "fasta":
            if self.sequences:
                examples = self._strings(path)
            else:
                examples = (
                    self._three_lines(path) if next(read_records(path, format=form)).labels else self._marks(path)
                )
        elif self._has_positions(path, form):
            examples = self._positions(path, form)
        else:
            examples = self._columns(path, form)
        return self._checked(list(self._masked(examples)), path)

    # -- the three forms

    def _strings(self, path: Path) -> Iterator[Example]:
        """FASTA of label strings; sequences in a file of their own."""
        sequences, _ = self._sequences({record.id for record in read_records(path, format="fasta")})
        split_of = self.given_split.reader(path, "fasta")
        for record in _unique(read_records(path, format="fasta"), path):
            where = _where(path, record)
            bare = self._named(sequences, record.id, where)
            if record.sequence == bare.sequence and len(set(bare.sequence)) > 1:
                raise InputError(
                    f"{where} is the same text in {self.sequences.name}; one file must hold the labels, the other the "
                    "sequences"
                )
            yield self._example(bare, self._parse(record.sequence, where), split_of(record, where), where)

    def _three_lines(self, path: Path) -> Iterator[Example]:
        """FASTA with the label string of each sequence in the line below it."""
        split_of = self.given_split.reader(path, "fasta")
        for record in _unique(read_records(path, format="fasta", rename=True), path):
            where = _where(path, record)
            yield self._example(record, self._parse(record.labels, where), split_of(record, where), where)

    def _columns(self, path: Path, form: str) -> Iterator[Example]:
        """A table with a sequence and a label string (numbers with commas or blanks between them) in each row."""
        table = read_table(path, form)
        if self.sequences:
            raise InputError(
                f"{path.name} has no column 'position', and beside a file of sequences a table lists positions; name "
                "its position column, or leave the file of sequences out if the table holds the sequences"
            )
        label_at = label_place(table, self.label_column)
        split_of = self.given_split.reader(path, form)
        for record in _unique(self._records(path, form), path):
            where = _where(path, record)
            label = self._parse(record.fields[label_at], where)
            yield self._example(record, label, split_of(record, where), where)

    def _marks(self, path: Path) -> Iterator[Example]:
        """FASTA with ``#`` after each site."""
        if self.numeric:
            raise InputError(f"{path.name}: '#' marks are classes; numbers need a table with a label column")
        negative, positive = self._class(NEGATIVE), self._class(POSITIVE)
        split_of = self.given_split.reader(path, "fasta")
        marked = False
        for record in _unique(read_records(path, format="fasta", rename=True), path):
            where = _where(path, record)
            if record.sequence.startswith("#") or "##" in record.sequence:
                raise InputError(f"{where} has a '#' that follows no residue; it stands right after a site")
            if any(map(str.isdigit, record.sequence)):
                raise InputError(
                    f"{where} has digits; if they are the labels of its residues, give the file with the sequences too"
                )
            parts = record.sequence.split("#")
            marked |= len(parts) > 1
            label = np.full(sum(map(len, parts)), negative, dtype=np.int16)
            label[np.cumsum([len(part) for part in parts[:-1]], dtype=int) - 1] = positive
            bare = Record(record.id, "".join(parts), record.header, record.line)
            yield self._example(bare, label, split_of(record, where), where)
        if not marked:
            raise InputError(
                f"{path.name} has no label for any residue: no '#' stands after a site. If it holds label strings, "
                "give the file with the sequences too"
            )

    def _positions(self, path: Path, form: str) -> Iterator[Example]:
        """A table with a row a site: protein, position (from 1 on), and perhaps its residue and its label; or BED."""
        if not self.sequences:
            raise InputError(f"{path.name} lists positions; give the file with the sequences of its proteins too")
        sequences, others = self._sequences({name for _, name, *_ in self._sites(path, form, Rules())})
        names, records = ProteinNames(sequences), list(sequences.values())
        fill = np.nan if self.numeric else -1 if self.unlisted == "unknown" else self._class(NEGATIVE)
        split_of = self.given_split.reader(path, form)
        misfits = Misfits(self.misfits, self.rules)
        labels: dict[str, np.ndarray] = {}
        splits: dict[str, str] = {}
        seen: set[tuple[str, int]] = set()
        wrong, file = 0, path.name
        for line, name, position, residue, text, row in self._sites(path, form, self.rules):
            where = f"{file}: line {line}"
            if (place := names.place(name)) is None:
                misfits.leave_out(NO_SEQUENCE, self._unknown(name, where))
                continue
            record = records[place]
            found = POSITION.fullmatch(position)
            if not found or int(found[2]) < 1:
                misfits.leave_out(
                    UNREADABLE, f"{where} has '{quoted(position)}' as a position; positions are whole numbers from 1 on"
                )
                continue
            at, residue = int(found[2]) - 1, residue or found[1]
            if at >= len(record.sequence):
                wrong += 1
                misfits.leave_out(
                    BEYOND,
                    f"{where} lists position {at + 1:,} of '{quoted(record.id)}', which has "
                    f"{len(record.sequence):,} residues",
                )
                continue
            letter = record.sequence[at]
            if residue and residue != letter and self._letter(residue) != self._letter(letter):
                wrong += 1
                misfits.leave_out(
                    OTHER_RESIDUE,
                    f"{where} says {quoted(residue.upper())} at position {at + 1} of '{quoted(record.id)}', where the "
                    f"sequence has {letter}; is it another version of the protein, or are positions "
                    "counted from 0?",
                )
                continue
            if (record.id, at) in seen:
                raise InputError(f"{where} lists position {at + 1} of '{quoted(record.id)}' a second time")
            seen.add((record.id, at))
            kind = np.float32 if self.numeric else np.int16
            label = labels.setdefault(record.id, np.full(len(record.sequence), fill, dtype=kind))
            if self.numeric:
                label[at] = _value(text, where)
            else:
                label[at] = -1 if text and text in self.unknown else self._class(text, where)
            split = split_of(Record(record.id, "", "", line, tuple(row)), where) if self.given_split else ""
            if splits.setdefault(record.id, split) != split:
                raise InputError(f"{where} puts '{quoted(record.id)}' into a second split; a protein is in one of them")
        if wrong > len(seen):
            raise InputError(
                f"{path.name}: {wrong:,} of {wrong + len(seen):,} sites do not fit their proteins, the first being: "
                f"{misfits.first}"
            )
        others |= set(sequences) - set(labels)
        self.without_row = others if self.without_row is None else self.without_row & others
        for name, label in labels.items():
            yield self._example(sequences[name], label, splits[name], f"{path.name}: protein '{quoted(name)}'")

    def _sites(self, path: Path, form: str, rules: Rules) -> Iterator[LabelledSite]:
        return labelled_sites(path, form, self._site_columns, self.given_split, rules, numeric=self.numeric)

    @property
    def _site_columns(self) -> SiteColumns:
        return SiteColumns(protein=self.id_column, position=self.position_column, label=self.label_column)

    def _letter(self, letter: str) -> str:
        letter = letter.upper()
        return "T" if self.alphabet == DNA and letter == "U" else letter

    # -- what they share

    def _example(self, record: Record, label: np.ndarray, split: str, where: str) -> Example:
        sequence = clean(record, self.alphabet, self.replacements, self.rules, self._file)
        if len(label) == len(sequence) + 1 and record.sequence.endswith("*"):
            label = label[:-1]  # that of the stop codon
        if len(label) != len(sequence):
            commas = "; numbers stand with commas between them" if self.numeric and len(label) == 1 else ""
            raise InputError(
                f"{where} has {len(label):,} labels, and its sequence has {len(sequence):,} residues{commas}"
            )
        return Example(record.id, sequence, label, split)

    def _parse(self, text: str, where: str) -> np.ndarray:
        """(residues,) classes or values from a label string."""
        if self.numeric:
            parts = re.split(r"[,;\s]+", text.strip().strip("[]"))
            values = [np.nan if part.lower() in UNKNOWN_VALUES else _value(part, where) for part in parts]
            return np.asarray(values, dtype=np.float32)
        letters = {letter: self._class(letter, where) for letter in dict.fromkeys(text) if letter not in self.unknown}
        places = np.full(0x110000 if not text.isascii() else 128, -1, dtype=np.int16)
        for letter, place in letters.items():
            places[ord(letter)] = place
        return places[np.frombuffer(text.encode("utf-32-le"), dtype=np.uint32)]

    def _class(self, name: str, where: str = "") -> int:
        name = self.merged.get(name, name)
        if not name or len(name) > 100 or not name.isprintable():
            raise InputError(f"{where} has the label '{quoted(name)}'; a label is 1 to 100 printable characters")
        if name not in self.classes and len(self.classes) >= 1000:
            raise InputError(
                f"{where}: more than 1,000 different labels; are they numbers? Then choose a regression task"
            )
        return self.classes.setdefault(name, len(self.classes))

    def _sequences(self, wanted: set[str]) -> tuple[dict[str, Record], set[str]]:
        """The sequences that are wanted, by name, and the names of the others: a whole proteome is never kept."""
        kept, others = {}, set()
        wanted = wanted | {part for name in wanted if "|" in name for part in parts_of(name)}
        for record in _unique(self._records(self.sequences, sequence_format(self.sequences)), self.sequences):
            if record.id in wanted or not wanted.isdisjoint(parts_of(record.id)):
                kept[record.id] = record
            else:
                others.add(record.id)
        return kept, others

    def _records(self, path: Path, form: str) -> Iterator[Record]:
        if form == "fasta":
            return read_records(path, format="fasta")
        ids = self.id_column
        if path == self.sequences and (ids or "").isdecimal():
            ids = None  # the number is that of a column of the table with the labels
        return read_records(path, format=form, id_column=ids, sequence_column=self.sequence_column)

    def _named(self, sequences: dict[str, Record], name: str, where: str) -> Record:
        if name not in sequences:
            raise InputError(self._unknown(name, where))
        return sequences[name]

    def _unknown(self, name: str, where: str) -> str:
        return f"{where} is about '{quoted(name)}', which is not in {self.sequences.name}; the names must be the same"

    def _has_positions(self, path: Path, form: str) -> bool:
        return (
            bool(self.position_column)
            or holds_sites(path)
            or (bool(self.sequences) and says_bed(path, self._site_columns))
        )

    def _masked(self, examples: Iterator[Example]) -> Iterator[Example]:
        """Examples with what is masked set to unknown; those without a single known residue are left out, counted."""
        masks = {}
        if self.mask:
            masks = {record.id: record.sequence for record in _unique(read_records(self.mask), self.mask)}
        for example in examples:
            if masks:
                mask = masks.get(example.id)
                if mask is None:
                    raise InputError(f"{self.mask.name} has no mask for '{quoted(example.id)}'")
                if strange := "".join(sorted(set(mask) - {"0", "1"})):
                    raise InputError(
                        f"{self.mask.name}: the mask of '{quoted(example.id)}' has '{quoted(strange[0])}'; a mask has "
                        "1 for residues that count and 0 for those that do not"
                    )
                if len(mask) != len(example.sequence):
                    raise InputError(
                        f"{self.mask.name}: the mask of '{quoted(example.id)}' has {len(mask):,} letters, and its "
                        f"sequence has {len(example.sequence):,} residues"
                    )
                hidden = np.frombuffer(mask.encode(), dtype=np.uint8) == ord("0")
                example.label[hidden] = np.nan if self.numeric else -1
            known = np.isfinite(example.label) if self.numeric else example.label >= 0
            if not known.any():
                self.rules.count("without a single known label, left out", len(known))
                continue
            if not known.all():
                self.rules.count("with residues of unknown label, which count nowhere", int((~known).sum()))
            yield example

    def _checked(self, examples: list[Example], path: Path) -> list[Example]:
        if not examples:
            raise InputError(f"{path.name}: no protein has a residue with a known label")
        if sum(len(example.sequence) for example in examples) > MAX_LETTERS:
            raise InputError(f"{path.name} has over {MAX_LETTERS:,} letters; train on a part of it")
        strangers = Strangers(self.alphabet)
        for example in examples:
            strangers.see(example.sequence)
        strangers.refuse(self._file)
        return examples


def _unique(records: Iterator[Record], path: Path) -> Iterator[Record]:
    seen: dict[str, int] = {}
    for record in records:
        if record.id in seen:
            raise InputError(
                f"{_where(path, record)} has the same id as the record on line {seen[record.id]}; ids must be unique"
            )
        seen[record.id] = record.line
        yield record


def _where(path: Path, record: Record) -> str:
    return f"{path.name}: record '{quoted(record.id)}' (line {record.line})"


def _value(text: str, where: str) -> float:
    """A number that single precision can hold, which is what labels of residues are kept in."""
    value = number(text, where)
    if abs(value) > float(np.finfo(np.float32).max):
        raise InputError(f"{where} has {quoted(text)} as a value, which is too large")
    return value
