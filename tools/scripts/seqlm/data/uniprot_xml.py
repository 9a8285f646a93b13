"""UniProt's XML (https://www.uniprot.org/docs/uniprot.xsd) as a stream of entries, of which one is in memory at a time.

The parser is that of the standard library, as it meets a file of a stranger: a document type, in which entities could
be declared that stand for gigabytes or for other files, is refused, and so are elements within elements within elements
and names or attributes that never end.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple
from xml.parsers import expat

from seqlm.cli.errors import InputError
from seqlm.cli.noticing import notice

from . import lines
from .records import Record, identifier, quoted

DEEPEST = 50  # elements within each other; UniProt has ten
LONGEST_TOKEN = 1 << 20  # bytes of a tag with its attributes
LONGEST_TEXT = 100_000  # characters of a name
MOST_FEATURES = 1_000_000  # of one protein; titin has a thousand
_BLOCK = 1 << 16
_INEXACT = {"uncertain": "?", "less than": "<", "greater than": ">"}
_LIGAND = (("ligand", "name"), ("ligand", "label"), ("ligand", "note"), ("ligandPart", "name"))


class XmlFeature(NamedTuple):
    """A feature whose positions are written as in UniProt's text format: ``15``, ``?15``, ``<1``, ``>99`` or ``?``."""

    kind: str
    start: str
    end: str
    note: str
    ligand: str
    line: int


@dataclass
class Entry:
    """A protein: its first accession, its first name such as ``P53_HUMAN``, and its canonical sequence."""

    line: int
    accession: str = ""
    name: str = ""
    sequence: str = ""
    features: list[XmlFeature] = field(default_factory=list)


def is_uniprot_xml(path: Path) -> bool:
    """Whether a file begins as one.

    Raises:
        InputError: XML of another kind.
    """
    start = lines.first_bytes(path).lstrip()
    if start.startswith(b"<uniprot") or (start.startswith(b"<?xml") and b"<uniprot" in start):
        return True
    if start.startswith(b"<?xml"):
        raise InputError(
            f"{path.name} is XML, but not UniProt's, which begins with the element 'uniprot'; give the sequences as "
            "FASTA"
        )
    return False


def read_uniprot_xml(path: Path) -> Iterator[Record]:
    """The sequences, each called by its first accession."""
    notice(
        f"{path.name} is UniProt's XML, of which the canonical sequences are read; the first accession of each is its "
        "id"
    )
    empty = True
    for entry in entries(path):
        empty = False
        yield Record(entry.accession, entry.sequence, f"{entry.accession} {entry.name}".rstrip(), entry.line)
    if empty:
        raise InputError(f"{path.name} holds no proteins; give a file with at least one sequence")


def entries(path: Path, features: bool = False) -> Iterator[Entry]:
    """All entries of a file.

    Args:
        features: whether those are read too.

    Raises:
        InputError: a damaged file, with the line; a document type; an entry without an accession; what is larger or
            deeper than any that UniProt writes.
    """
    reader = _Reader(path, features)
    with lines.opened(path, "rb") as stream:
        while block := stream.read(_BLOCK):
            reader.feed(block)
            yield from reader.taken()
        reader.feed(b"", last=True)
    yield from reader.taken()


class _Reader:
    """Turns what expat tells of a file into entries."""

    def __init__(self, path: Path, features: bool):
        self._path, self._with_features, self._fed = path, features, 0
        self._parser = expat.ParserCreate("UTF-8")
        self._parser.buffer_text = True
        self._parser.StartElementHandler, self._parser.EndElementHandler = self._start, self._end
        self._parser.StartDoctypeDeclHandler = self._parser.EntityDeclHandler = self._refuse_type
        self._inside: list[str] = []  # names of the elements that are open
        self._entry: Entry | None = None
        self._done: list[Entry] = []
        self._text: list[str] = []
        self._letters, self._most = 0, 0
        self._feature: dict[str, str] = {}

    def feed(self, block: bytes, last: bool = False) -> None:
        try:
            self._parser.Parse(block, last)
        except expat.ExpatError as problem:
            what = expat.errors.messages.get(problem.code, "damaged")
            raise InputError(
                f"{self._path.name}: line {problem.lineno} cannot be read as XML ({what}); the file is cut short or "
                "damaged"
            ) from None
        self._fed += len(block)
        if self._fed - max(self._parser.CurrentByteIndex, 0) > LONGEST_TOKEN:
            raise InputError(f"{self._where()} has a tag of over {LONGEST_TOKEN:,} bytes, as UniProt's XML has not")

    def taken(self) -> list[Entry]:
        """The entries that ended since this was called before."""
        done, self._done = self._done, []
        return done

    def _where(self) -> str:
        return f"{self._path.name}: line {self._parser.CurrentLineNumber}"

    def _refuse_type(self, *_) -> None:
        raise InputError(
            f"{self._where()} declares a document type, which can make a file stand for others; UniProt's XML has none"
        )

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        name = name.rpartition(":")[2]
        self._inside.append(name)
        depth = len(self._inside)
        if depth > DEEPEST:
            raise InputError(f"{self._where()} has over {DEEPEST} elements within each other, as UniProt's XML has not")
        if depth == 1 and name != "uniprot":
            raise InputError(f"{self._path.name} is XML, but not UniProt's: it begins with '{quoted(name)}'")
        if depth == 2 and name == "entry":
            self._entry = Entry(self._parser.CurrentLineNumber)
        if self._entry is None or depth < 3:
            return
        if depth == 3:
            self._start_part(name, attributes)
        elif self._inside[2] == "feature" and self._with_features:
            self._start_of_feature(name, attributes)

    def _start_part(self, name: str, attributes: dict[str, str]) -> None:
        entry = self._entry
        if name == "sequence":
            self._listen(lines.MAX_SEQUENCE)
        elif (name == "accession" and not entry.accession) or (name == "name" and not entry.name):
            self._listen(LONGEST_TEXT)
        elif name == "feature":
            line = str(self._parser.CurrentLineNumber)
            self._feature = {key: attributes.get(key, "") for key in ("type", "description")} | {"line": line}

    def _start_of_feature(self, name: str, attributes: dict[str, str]) -> None:
        within = tuple(self._inside[3:])
        if within in (("location", "begin"), ("location", "end"), ("location", "position")):
            self._feature[name] = _position(attributes)
        elif within == ("location",) and attributes.get("sequence"):
            self._feature["isoform"] = attributes["sequence"]
        elif within in _LIGAND:
            self._listen(LONGEST_TEXT)

    def _listen(self, most: int) -> None:
        self._text, self._letters, self._most = [], 0, most
        self._parser.CharacterDataHandler = self._hear

    def _hear(self, text: str) -> None:
        self._letters += len(text)
        if self._letters > self._most:
            raise InputError(f"{self._where()}: '{self._inside[-1]}' is over {self._most:,} characters long")
        self._text.append(text)

    def _end(self, name: str) -> None:
        depth, within = len(self._inside), tuple(self._inside[2:6])
        name = self._inside.pop()
        if self._parser.CharacterDataHandler is not None:
            self._parser.CharacterDataHandler = None
            self._heard(within, "".join(self._text))
        if depth == 3 and name == "feature" and self._entry is not None and self._with_features:
            self._add_feature()
        if depth == 2 and self._entry is not None:
            if not self._entry.accession:
                raise InputError(f"{self._path.name}: the entry on line {self._entry.line} has no accession")
            self._done.append(self._entry)
            self._entry = None

    def _heard(self, within: tuple[str, ...], text: str) -> None:
        if within == ("sequence",):
            self._entry.sequence = "".join(text.split())
        elif within in (("accession",), ("name",)):
            setattr(self._entry, within[0], identifier(text))
        elif text := identifier(text):
            before = self._feature.get("ligand")
            self._feature["ligand"] = f"{before}; {text}" if before else text

    def _add_feature(self) -> None:
        found = self._feature
        if len(self._entry.features) >= MOST_FEATURES:
            raise InputError(f"{self._where()}: a protein has over {MOST_FEATURES:,} features")
        # a position in another isoform than the one whose sequence is given is none in this one
        start, end = ("?", "?") if "isoform" in found else (found.get("begin", "?"), found.get("end", "?"))
        if "position" in found and "isoform" not in found:
            start = end = found["position"]
        kind, note, ligand = (found.get(key, "") for key in ("type", "description", "ligand"))
        self._entry.features.append(XmlFeature(kind, start, end, note, ligand, int(found["line"])))


def _position(attributes: dict[str, str]) -> str:
    if attributes.get("status") == "unknown":
        return "?"
    return _INEXACT.get(attributes.get("status", ""), "") + attributes.get("position", "?")
