"""One sequence as it was read, the alphabets there are, and what was changed on the way, counted."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

PROTEIN = "protein"
DNA = "DNA"
TEXT = "text"  # anything else, SMILES for one: the tokenizer decides
CANONICAL = "canonical SMILES"  # molecules, written in one way before the tokenizer sees them
STATES = "3Di"  # how a protein is folded, a lower-case letter a residue (van Kempen et al. 2024)
# IUPAC letters, https://iupac.qmul.ac.uk/AminoAcid/ and https://iupac.qmul.ac.uk/misc/naseq.html
BREAK = ":"  # between the two chains of a sequence that has two
LETTERS = {
    PROTEIN: "ACDEFGHIKLMNPQRSTVWYBJOUXZ",
    DNA: "ACGTNRYSWKMBDHV",
    STATES: "acdefghiklmnpqrstvwy",  # https://doi.org/10.1038/s41587-023-01773-0
}


@dataclass(frozen=True, slots=True)
class Record:
    """One sequence as given, without blanks.

    ``header`` is the FASTA header without ``>``, ``fields`` the row of a table, ``words`` the sequence with its blanks
    where it had some, and ``labels`` the third line of three-line FASTA, a letter for each residue. ``light`` is the
    light chain beside the heavy one in ``sequence``, empty where it is missing; None where none was asked for.
    """

    id: str
    sequence: str
    header: str = ""
    line: int = 0
    fields: tuple[str, ...] = ()
    words: str = ""
    labels: str = ""
    light: str | None = None

    def letters(self, cleaned: str) -> str:
        """The cleaned sequence without the break between two chains, which is no letter."""
        return cleaned.replace(BREAK, "") if self.light else cleaned


@dataclass
class Rules:
    """What was changed on the way in: rule -> how many sequences it touched (and letters, where it applies).

    ``units`` says what is counted where that is not sequences, such as pairs.
    """

    sequences: Counter = field(default_factory=Counter)
    letters: Counter = field(default_factory=Counter)
    units: dict[str, str] = field(default_factory=dict)

    def count(self, rule: str, letters: int = 1, *, number: int = 1, unit: str = "sequence") -> None:
        self.sequences[rule] += number
        self.letters[rule] += max(letters, number)
        self.units[rule] = unit

    def merged(self, other: Rules) -> Rules:
        return Rules(self.sequences + other.sequences, self.letters + other.letters, self.units | other.units)

    def lines(self) -> list[str]:
        """One readable sentence a rule."""
        return [
            f"{rule}: {self.sequences[rule]:,} {self.units.get(rule, 'sequence')}{'s' * (self.sequences[rule] != 1)}"
            + (f", {self.letters[rule]:,} letters" if self.letters[rule] != self.sequences[rule] else "")
            for rule in sorted(self.sequences)
        ]


def identifier(text: str) -> str:
    """An id as all files write it: on one line, with single blanks."""
    return " ".join(text.split())


def quoted(text: str, limit: int = 40) -> str:
    """Text of a user as it may stand in a message: printable, and not too long."""
    if not text.isprintable():
        text = "".join(character if character.isprintable() else "?" for character in text)
    return text if len(text) <= limit else text[: limit - 1] + "…"
