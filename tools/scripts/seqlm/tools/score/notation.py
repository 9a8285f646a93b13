"""How variants are written: ``A123T``, several at once, or in the words of HGVS.

::

    A123T                 one substitution: wild-type letter, position, new letter
    A12T:K30R             several at once; also with , ; + / or a space between them
    p.Ala12Thr            as HGVS writes it, p.[Ala12Thr;Lys30Arg] for several
    NP_000537.3:p.Ala12Thr  with the name of the sequence that it is a variant of
    A12A, A12=            synonymous: nothing changes
    WT, _wt               the wild type itself
"""

from __future__ import annotations

import re

from seqlm.data.records import quoted

AMINO_ACIDS = "ACDEFGHIKLMNPQRSTVWY"
WILD_TYPE = "wild type"
SYNONYMOUS = "synonymous"
FORMS = "write A123T, or A12T:K30R for several at once, or WT for the wild type"
_WILD_TYPES = {"wt", "_wt", "wildtype", "wild-type", "wild_type", "wild type", "p.=", "="}
_SYNONYMS = {"_sy", "p.(=)"}
REFERENCE = re.compile(r"([^\s:;,\[\]()]+)(?:\([^\s()]*\))?:(?=p\.)")  # NP_000537.3: and NM_000546.6(TP53):
_BETWEEN = re.compile(r"[:,;+/\s]+")
_ONE = re.compile(r"([A-Za-z*]|[A-Z][a-z]{2})(-?[0-9]{1,9})([A-Za-z*=-]|[A-Z][a-z]{2})")
_NAMES = "AlaCysAspGluPheGlyHisIleLysLeuMetAsnProGlnArgSerThrValTrpTyrSecPylTer"
_THREE = dict(zip(re.findall("...", _NAMES), AMINO_ACIDS + "UO*", strict=True))


def parsed(text: str) -> tuple[list[tuple[str, int, str]], str]:
    """((wild-type letter, position, new letter) …, note) of one variant in any of the ways of writing it.

    Raises:
        ValueError: saying in words what is wrong.

    >>> parsed("A12T:K30R")
    ([('A', 12, 'T'), ('K', 30, 'R')], '')
    >>> parsed("WT")
    ([], 'wild type')
    """
    plain = text.strip()
    if ":p." in plain:
        plain = REFERENCE.sub("", plain, count=1)
    if plain.lower() in _WILD_TYPES:
        return [], WILD_TYPE
    if plain.lower() in _SYNONYMS:
        return [], SYNONYMOUS
    plain = plain.removeprefix("p.").strip("[]()")
    found = []
    for part in filter(None, _BETWEEN.split(plain)):
        match = _ONE.fullmatch(part.removeprefix("p."))
        if not match:
            raise ValueError(f"'{quoted(part)}' is no substitution")
        old, position, new = (_THREE.get(each, each.upper()) for each in match.groups())
        if len(old) > 1 or len(new) > 1:
            raise ValueError(f"'{quoted(part)}' names no amino acid")
        found.append((old, int(position), old if new == "=" else new))
    if not found:
        raise ValueError("there is no variant")
    return found, ""


def named(wild: str, changes: list[tuple[int, str]], first: int) -> str:
    """``A12T:K30R`` from places and letters; ``WT`` where there are none."""
    return ":".join(f"{wild[place]}{place + first}{new}" for place, new in changes) or "WT"


def is_variant(text: str) -> bool:
    """Whether it is one in any of the ways of writing it."""
    try:
        parsed(text)
    except ValueError:
        return False
    return True
