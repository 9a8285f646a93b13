"""Sites and stretches of sequences as GFF3, for genome browsers and for tools that work with intervals.

Version 1.26 of the format: https://github.com/The-Sequence-Ontology/Specifications/blob/master/gff3.md. A protein is
the landmark of its sites. Sites are grouped by protein and in the order of their positions, so that browsers and tabix
can index the file as it is.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from seqlm.cli.outputs import cell

SOURCE = "SeqLM"
# what a site is, as terms of the Sequence Ontology (http://www.sequenceontology.org)
FEATURES = {
    "polypeptide_region": "SO:0000839",
    "post_translationally_modified_region": "SO:0001089",
    "binding_site": "SO:0000409",
    "sequence_feature": "SO:0000110",  # of DNA
}
_RESERVED = frozenset("%;=&,")


@dataclass(frozen=True, slots=True)
class Site:
    """One residue that was predicted.

    Attributes:
        position: 1-based.
        probability: of the class called, or of the class of interest where none was called.
        called: name of the class called; empty if the residue is no site.
        window: the sequence around it that the model read, if it read a window.
    """

    position: int
    residue: str
    probability: float
    called: str
    window: str = ""


class SiteWriter:
    """A GFF3 file that grows a protein at a time.

    >>> with SiteWriter(path, "binding_site") as writer:
    ...     writer.protein("P1", 120, [Site(7, "Y", 0.93, "binding")])

    Args:
        feature: a key of ``FEATURES``.
        every: also write residues that were not called.
    """

    def __init__(self, path: str | Path, feature: str = "polypeptide_region", every: bool = False):
        if feature not in FEATURES:
            raise ValueError(f"{feature} is none of {', '.join(FEATURES)}")
        self._feature, self._every, self._written = feature, every, 0
        self._file = open(path, "w", encoding="utf-8", newline="\n")  # noqa: SIM115 - closed by __exit__
        self._file.write("##gff-version 3\n")

    def __enter__(self) -> SiteWriter:
        return self

    def __exit__(self, *_) -> None:
        self._file.close()

    def protein(self, name: str, length: int, sites: Iterable[Site]) -> None:
        """Write one protein: a line that it exists, so that one without any site is not lost, and a line a site.

        Raises:
            ValueError: for sites beyond the protein or out of order.
        """
        landmark, last = landmark_of(name), 0
        self._file.write(f"##sequence-region {landmark} 1 {length}\n")
        for site in sites:
            if not last <= site.position <= length or site.position < 1:
                raise ValueError(f"site {site.position} of {name} is out of order or beyond its {length} residues")
            last = site.position
            if site.called or self._every:
                self._written += 1
                attributes = {
                    "ID": f"site{self._written}",
                    "Name": f"{site.residue}{site.position}",
                    "predicted": site.called,
                    "probability": cell(site.probability),
                    "residue": site.residue,
                    "window": site.window,
                }
                self._file.write(
                    feature_line(landmark, self._feature, site.position, site.position, site.probability, attributes)
                )


def feature_line(landmark: str, feature: str, start: int, end: int, score: float, attributes: dict[str, str]) -> str:
    """A line of a feature; ``attributes`` that are empty are left out, ``landmark`` as :func:`landmark_of` gives it."""
    told = ";".join(f"{key}={_escaped(value)}" for key, value in attributes.items() if value)
    columns = (landmark, SOURCE, feature, start, end, cell(score) or ".", ".", ".", told)
    return "\t".join(map(str, columns)) + "\n"


def landmark_of(name: str) -> str:
    """A sequence's id in the letters that column 1 may hold, the rest as %XX; a ``>`` at its start is one of them."""
    return quote(name, safe=".:^*$@!+_?-|").replace("~", "%7E")


def _escaped(text: str) -> str:
    """A value of column 9: what has a meaning there, and what cannot be seen, as %XX."""
    return "".join(letter if letter.isprintable() and letter not in _RESERVED else quote(letter) for letter in text)
