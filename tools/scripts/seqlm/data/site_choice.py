"""Which features are the sites, by their kind or by a word of their note, and where nobody may look for negatives.

A feature has one residue or two ends, as a bond has, or it is a range. What is annotated but cannot be used as a site
(a range, an uncertain position) is no negative either.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from seqlm.cli.errors import InputError

from .records import quoted
from .site_features import Feature
from .site_tables import Site

MOST_SITES = 5_000_000  # residues of features, which are held in memory
MOST_TERMS = 100  # each of which all features are compared with
BLOCKED, EVERY_RESIDUE = "blocked", "every-residue"

# https://www.uniprot.org/help/sequence_annotation: the name in GFF3, or where it has another one in XML, and the key in
# the text format
_MODIFICATIONS = {
    "modified residue": "mod_res", "lipidation": "lipid", "glycosylation": "carbohyd", "disulfide bond": "disulfid",
    "cross-link": "crosslnk", "lipid moiety-binding region": "lipid", "glycosylation site": "carbohyd",
}  # fmt: skip
_FUNCTIONAL = {
    "binding site": "binding", "active site": "act_site", "site": "site", "metal binding": "metal",
    "nucleotide binding": "np_bind", "calcium binding": "ca_bind", "metal ion-binding site": "metal",
    "nucleotide phosphate-binding region": "np_bind", "calcium-binding region": "ca_bind",
}  # fmt: skip
_CHANGES = {
    "mutagenesis": "mutagen", "natural variant": "variant", "sequence conflict": "conflict",
    "alternative sequence": "var_seq", "sequence uncertainty": "unsure", "mutagenesis site": "mutagen",
    "sequence variant": "variant", "splice variant": "var_seq", "unsure residue": "unsure",
}  # fmt: skip
_KEYS = _MODIFICATIONS | _FUNCTIONAL | _CHANGES
_BONDS = {"disulfid", "crosslnk"}
_OF_RESIDUES = {*_MODIFICATIONS.values(), *_FUNCTIONAL.values()}
# whose notes are looked at together; those of changes, such as "abolishes binding to …", name no site
_TIERS = (set(_MODIFICATIONS.values()), set(_FUNCTIONAL.values()), None)


def choose_sites(
    features: list[Feature],
    wanted: str | None,
    label: str,
    counted: Counter,
    path: str | Path,
    ranges: str = BLOCKED,
) -> tuple[list[Site], list[tuple[str, int, int]]]:
    """The sites among features.

    Args:
        wanted: kinds of feature (``Modified residue`` or ``MOD_RES``), or how words in a note or in the name of a
            ligand begin (``phospho``, ``N6,N6,N6-trimethyllysine``), separated by commas. None where the file has one
            kind only. Words are looked for among modifications first, then among binding and other sites, then among
            other features, and never in what mutations or variants do.
        counted: what is left out is counted here.
        ranges: what a feature of several residues is: ``blocked``, no site, or ``every-residue`` is one.

    Returns:
        the sites, and (protein, first, last) of all that is no negative: what was chosen and, where it is about single
        residues, what was not.

    Raises:
        InputError: nothing fits, or several kinds and none is chosen; the message lists the kinds.
    """
    kinds = Counter(feature.kind for feature in features)
    name = Path(path).name
    known = ", ".join(f"{quoted(kind)} ({count:,})" for kind, count in kinds.most_common(12)) or "none at all"
    if not features:
        raise InputError(f"{name} has no features; there is nothing to make windows around")
    chosen = _chosen(features, wanted, counted)
    if wanted is None and len(kinds) > 1:
        raise InputError(f"{name} has several kinds of feature; say which are the sites: {known}")
    if not any(chosen):
        raise InputError(
            f"{name} has no feature of the kind '{quoted(wanted)}', nor a note with such a word; its kinds are {known}"
        )
    blocking = {_key(feature.kind) for feature, taken in zip(features, chosen, strict=True) if taken} | _OF_RESIDUES
    sites, blocked = [], []
    for feature, taken in zip(features, chosen, strict=True):
        if feature.exact and feature.start == feature.end and taken:  # most of them
            blocked.append((feature.protein, feature.start, feature.end))
        elif taken or _key(feature.kind) in blocking:
            blocked += [(feature.protein, first, last) for first, last in _extent(feature)]
        if not taken:
            continue
        places = _places(feature, ranges)
        if not feature.exact:
            counted["features without an exact position, no sites and no negatives"] += 1
        elif not places:
            counted["features longer than one residue, no sites and no negatives"] += 1
        if len(sites) + len(places) > MOST_SITES:
            raise InputError(f"{name}: more than {MOST_SITES:,} residues are in features; give a part of them")
        kind = _described(feature)
        sites += [Site(feature.protein, at, label, "", feature.line, feature.strand, kind) for at in places]
    return sites, blocked


def _chosen(features: list[Feature], wanted: str | None, counted: Counter) -> list[bool]:
    if wanted is None:
        return [True] * len(features)
    if _term(wanted, features) is not None or not (terms := _split(wanted)):
        terms = [wanted]
    if len(terms) > MOST_TERMS:
        raise InputError(f"{len(terms):,} features are asked for; give up to {MOST_TERMS}")
    chosen = [False] * len(features)
    for term in terms:
        if not term.strip():
            raise InputError("the feature to look for is empty; name a kind such as 'Modified residue'")
        fits = _term(term, features)
        if fits is None:
            counted[f"features that '{quoted(term, 60)}' fits"] += 0
            continue
        for place, feature in enumerate(features):
            chosen[place] |= fits(feature)
    return chosen


def _term(term: str, features: list[Feature]) -> Callable[[Feature], bool] | None:
    """What a term fits: a kind, or else words of notes; None where it fits nothing."""
    plain = " ".join(term.split())
    key = _key(plain)
    if any(_key(feature.kind) == key for feature in features):
        return lambda feature: _key(feature.kind) == key
    word = re.compile(r"(?<!\w)" + re.escape(plain), re.IGNORECASE)
    noted = {(_key(each.kind), each.note, each.ligand) for each in features}
    noted = {each for each in noted if each[0] not in _CHANGES.values() and any(map(word.search, each[1:]))}
    for tier in _TIERS:
        found = {each for each in noted if tier is None or each[0] in tier}
        if found:
            return lambda feature: (_key(feature.kind), feature.note, feature.ligand) in found
    return None


def _split(text: str) -> list[str]:
    """Terms between commas, but for those between the numbers of a chemical name, as in ``N6,N6-`` and ``(2R,3S)-``."""
    terms, start = [], 0
    for comma in re.finditer(",", text):
        before, after = text[max(start, comma.start() - 20) : comma.start()], text[comma.end() : comma.end() + 20]
        locant = re.search(r"(?:^|[^A-Za-z0-9'])[A-Za-z]{0,2}[0-9]+[A-Za-z]?'*$", before)
        if not (locant and re.match(r"[A-Za-z]{0,2}[0-9]+[A-Za-z]?'*(?![A-Za-z0-9])", after)):
            terms.append(text[start : comma.start()].strip())
            start = comma.end()
    return [term for term in (*terms, text[start:].strip()) if term]


def _key(kind: str) -> str:
    kind = kind.casefold()
    return _KEYS.get(kind, kind)


def _places(feature: Feature, ranges: str) -> list[int]:
    """Positions of the sites that a feature is."""
    if not feature.exact:
        return []
    first, last = feature.start, feature.end
    if first == last:
        return [first]
    if _key(feature.kind) in _BONDS:
        return [first, last]
    return list(range(first, min(last, first + MOST_SITES) + 1)) if ranges == EVERY_RESIDUE else []


def _extent(feature: Feature) -> list[tuple[int, int]]:
    """(first, last) of what a feature covers, as far as it is known."""
    ends = [end for end in (feature.start, feature.end) if end is not None]
    if _key(feature.kind) in _BONDS:
        return [(end, end) for end in dict.fromkeys(ends)]
    return [(min(ends), max(ends))] if ends else []


def _described(feature: Feature) -> str:
    """The kind of a site in words: its key, and what its note says before any addition, or its ligand."""
    what = feature.note.partition(";")[0].strip() or feature.ligand.partition(";")[0].strip()
    return f"{feature.kind}: {what}" if what else feature.kind
