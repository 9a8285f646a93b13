"""Sequences in: FASTA, tab-separated and comma-separated files as a stream of records.

The format is told from the content, gzip included, and no file is ever held in memory whole. What cannot be read is
refused with the file, the record and the line; what has to be changed is counted in :class:`Rules` and reported.
"""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from seqlm.cli.errors import InputError
from seqlm.cli.noticing import notice

from . import lines, tables
from .lines import beginning, numbered_lines
from .records import CANONICAL, DNA, LETTERS, PROTEIN, STATES, TEXT, Record, Rules, identifier, quoted
from .tables import SEQUENCES, Table

SEVERAL_BASES = "N and other codes for several bases kept"
CUT_AT_BLANK = "cut at the first blank, behind which a name or an extension stands"
_ONE_WORD = re.compile(r"[A-Za-z*-]{2,}")
MAX_HEADER = 100_000  # characters in one header or table line


def sequence_format(path: str | Path) -> str:
    """Tell ``fasta``, ``tabular``, ``csv``, ``list`` or ``sdf`` from the first lines that are not blank.

    Raises:
        InputError: for a file that is missing, empty, or none of these.
    """
    path = Path(path)
    start = beginning(path, 50)
    if not start:
        raise InputError(f"{path.name} is empty; give a file with at least one sequence")
    first = start[0]
    if first.startswith(">"):
        return "fasta"
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
        "'>', a table has its columns separated by tabs or commas, a list has a sequence or a SMILES in each line"
    )


def read_records(
    path: str | Path,
    *,
    format: str = "auto",
    id_column: str | None = None,
    sequence_column: str | None = None,
    rename: bool = False,
) -> Iterator[Record]:
    """Read ``path`` one record at a time.

    Args:
        path: FASTA (three-line FASTA too), a table, a list with a sequence or a SMILES in each line and perhaps a name
            after it, or SDF; plain or gzipped.
        format: ``auto`` (by content), ``fasta``, ``tabular`` or ``csv``.
        id_column: for tables, by name or 1-based number; without one the column ``id`` or another of its names, or
            else row numbers are the ids.
        sequence_column: for tables, by name or 1-based number; ``sequence`` may go by another of its names, or be the
            only column of sequences in a table without a header.
        rename: records whose headers begin with the same word go by the whole header, or are numbered where headers
            are equal too. Otherwise that is left to the caller.

    Yields:
        records in the order of the file; the sequence without white space, otherwise as written.

    Raises:
        InputError: naming the file and the line of what cannot be read.
    """
    path = Path(path)
    if format == "auto":
        format = sequence_format(path)
    match format:
        case "fasta":
            return _fasta(path, rename)
        case "list":
            return _list(path)
        case "sdf":
            from .molecules import read_sdf

            return read_sdf(path)
    return _table(path, format, id_column, sequence_column)


def read_table(path: str | Path, format: str = "auto") -> Table:
    """A table; raises InputError for a FASTA file and other files without columns."""
    path = Path(path)
    if format == "auto":
        format = sequence_format(path)
    if format not in tables.SEPARATORS:
        what = {"fasta": "FASTA", "sdf": "an SDF file"}.get(format, "a plain list")
        raise InputError(f"{path.name} is {what} and has no columns; leave the column options empty, or give a table")
    return tables.read_table(path, format)


def clean(record: Record, alphabet: str, replacements: dict[str, str], rules: Rules, path: str | Path) -> str:
    """The sequence in the letters that a model reads; every change is counted in ``rules``.

    Blanks go: SMILES end at the first, overlapping k-mers are joined, other words are glued. Lower case (soft masking)
    becomes upper case, one ``*`` at the end of a protein (a stop codon) is dropped, U in DNA becomes T, and
    ``replacements`` is what the model's family asks for, such as U, Z, O and B to X for ProtT5. Codes for several
    bases, such as N, stay, and are counted. 3Di states are in lower case, as residues are in capitals, and stay.

    Raises:
        InputError: naming record, position (1-based) and letter of what is not in the alphabet; a record without a
            sequence; SMILES that are no molecule, where they are to be made canonical.
    """
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


def _fasta(path: Path, rename: bool) -> Iterator[Record]:
    naming = _Naming(path) if rename else None
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


class _Naming:
    """Names for FASTA records whose headers begin with the same word: the whole header, or else numbers."""

    def __init__(self, path: Path):
        self._whole, self._given = False, Counter()
        # eight bytes a record; the words themselves are held only where some come again
        hashes = np.sort(np.fromiter(map(hash, _header_words(path)), dtype=np.int64))
        again = set(hashes[1:][hashes[1:] == hashes[:-1]].tolist())
        self._repeated: set[str] = set()
        if not again:
            return
        words = Counter(word for word in _header_words(path) if hash(word) in again)
        self._repeated = {word.decode(errors="replace") for word, count in words.items() if count > 1}
        if not self._repeated:  # two words of one hash
            return
        self._taken = {word.decode(errors="replace") for word in _header_words(path)}
        headers = Counter(identifier(line[1:]) for _, line in numbered_lines(path) if line.startswith(">"))
        self._whole = max(headers.values()) == 1 and max(map(len, headers)) <= LONGEST_NAME
        how = "the whole headers are the ids" if self._whole else "these are numbered, as in name, name_2, name_3"
        notice(
            f"{path.name}: {len(self._repeated):,} first words of headers come more than once, such as "
            f"'{quoted(min(self._repeated))}'; {how}"
        )

    def __call__(self, word: str, header: str) -> str:
        if word not in self._repeated:
            return identifier(header) if self._whole else word
        if self._whole:
            return identifier(header)
        self._given[word] += 1
        if self._given[word] == 1:
            return word
        while (name := f"{word}_{self._given[word]}") in self._taken:
            self._given[word] += 1
        self._taken.add(name)
        return name


LONGEST_NAME = 500  # letters of a header that can be an id


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


def _table(path: Path, format: str, id_column: str | None, sequence_column: str | None) -> Iterator[Record]:
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
    id_at = table.index(id_column, "id column") if id_column else tables.id_place(table, {sequence_at})
    row = None
    for position, (number, row) in enumerate(table.rows(), start=1):
        name = identifier(row[id_at]) if id_at is not None else f"row_{position}"
        if not name:
            raise InputError(f"{path.name}: line {number} has no id")
        sequence = row[sequence_at]
        words = ""
        if len(parts := sequence.split()) > 1:
            sequence, words = "".join(parts), sequence
        yield Record(name, sequence, "", number, tuple(row), words)
    if row is None:
        raise InputError(f"{path.name} has a header but no rows")
