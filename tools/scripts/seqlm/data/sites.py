"""Sites: the residues that a scan looks at, and the window of sequence around each, which is what a model reads.

A window has an odd length and its site in the middle. Where it reaches over an end of the protein it is filled with
padding, X by default, as the window datasets of the field are made (e.g. of 33 residues around phosphorylated
tyrosines).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from seqlm.cli.errors import InputError

SHOWN_WINDOW = 33  # letters that the table of a scan shows around a site of a model of residues
SHORTEST_WINDOW = 5  # below it equal lengths are no sign of windows: short peptides have them by chance
COMPLEMENT = str.maketrans("ACGTRYKMBDHV", "TGCAYRMKVHDB")  # N, S and W, and what is no base, are their own
RAREST_SITE = 0.01  # share of the windows
MOST_SITE_LETTERS = 6  # more different residues in the middle than any modification or binding preference has


def window_around(sequence: str, position: int, length: int, padding: str = "X") -> str:
    """The window of ``length`` letters whose middle is ``sequence[position]``.

    Args:
        sequence: a whole protein.
        position: 0-based.
        length: odd.
        padding: one letter that stands for what lies beyond the ends.

    Raises:
        ValueError: for an even length, or a position that the sequence does not have.
    """
    if length < 1 or length % 2 == 0:
        raise ValueError(f"a window around a site has an odd length, not {length}")
    if not 0 <= position < len(sequence):
        raise ValueError(f"there is no position {position} in a sequence of {len(sequence)} letters")
    before = length // 2
    left, right = position - before, position + before + 1
    inside = sequence[max(left, 0) : right]
    return padding * max(-left, 0) + inside + padding * max(right - len(sequence), 0)


def reverse_complement(sequence: str) -> str:
    """The other strand of DNA in upper case, codes for several bases included."""
    return sequence.translate(COMPLEMENT)[::-1]


def site_positions(sequence: str, residues: str) -> list[int]:
    """Positions (0-based) of the letters of ``sequence`` that are one of ``residues``, in order."""
    wanted = frozenset(residues)
    return [position for position, letter in enumerate(sequence) if letter in wanted]


def check_residues(text: str, letters: str) -> str:
    """The residues to scan, as a user writes them (``STY``, ``s,t,y``, ``S T Y``): in the case of the
    alphabet, each once, in order.

    Args:
        letters: what the alphabet of the model has, such as ``LETTERS[PROTEIN]`` of :mod:`seqlm.data.sequences`.

    Raises:
        InputError: for no residue at all, or for what is no letter of the alphabet.
    """
    text = text.lower() if letters.islower() else text.upper()  # 3Di states are in lower case
    residues = "".join(dict.fromkeys("".join(text.replace(",", " ").split())))
    if not residues:
        raise InputError("no residue to look for is given; name one letter or more, such as STY")
    for letter in residues:
        if letter not in letters:
            raise InputError(
                f"'{letter if letter.isprintable() else '?'}' is not a residue to look for; the letters are {letters}"
            )
    return residues


def windows_of(sequences: Iterable[str]) -> tuple[int, str] | None:
    """Whether sequences are windows around sites: all of one odd length, with few different residues in the middle.

    Published sets hold a few sites on other residues, mostly of another version of the protein; residues that less than
    one window in a hundred has in its middle are not counted.

    Returns:
        the length and the residues in the middle, sorted; None for anything else.
    """
    length, middles = None, Counter()
    for sequence in sequences:
        if length is None:
            length = len(sequence)
        if len(sequence) != length or length < SHORTEST_WINDOW or length % 2 == 0:
            return None
        middles[sequence[length // 2]] += 1
    sites = few_residues(middles)
    return (length, sites) if sites else None


def few_residues(counts: Counter) -> str:
    """The residues that sites are on, sorted, but for those of less than one in a hundred; empty where they are many.

    Args:
        counts: residue -> how many sites (or labels) are on it.
    """
    letters = [letter for letter, count in counts.items() if count >= RAREST_SITE * counts.total()]
    return "".join(sorted(letters)) if len(letters) <= MOST_SITE_LETTERS else ""
