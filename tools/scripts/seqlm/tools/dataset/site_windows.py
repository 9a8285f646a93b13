"""Labelled windows around known sites, with negatives that are drawn from the same proteins.

A window says nothing about a model if positives and negatives differ by how they were chosen. So negatives stand on the
same letters and in the same proteins as the positives, away from known sites and from all else that is annotated, and
no negative has the text of a positive.

A site on the reverse strand of DNA is read there: its window is the reverse complement of what the sequence has around
it, its letter the complement. Its negatives are drawn and read on the reverse strand too, so that the strand tells
nothing of the label; what is a site on one strand is a negative on neither.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from dataclasses import dataclass

import numpy as np

from seqlm.cli.errors import InputError
from seqlm.data.records import quoted
from seqlm.data.site_sources import Protein, Source
from seqlm.data.sites import COMPLEMENT, reverse_complement, window_around

MOST_LETTERS = 500_000_000  # of all windows together, which are held in memory


@dataclass(slots=True)
class Entry:
    """One example of a dataset.

    Attributes:
        label: as text, also where it is a number; empty where there are no labels.
        protein: place in the list of proteins; -1 for an example that is no window.
        position: of the site, from 1; 0 for an example that is no window.
        residue: in the middle of the window, as it is read there.
        strand: ``-`` where the window is of the reverse strand, else empty.
        group, split: what the user's file says; empty where it says nothing.
        header: of a FASTA record.
        fields: the row of a table.
    """

    id: str
    sequence: str
    label: str
    protein: int = -1
    position: int = 0
    residue: str = ""
    strand: str = ""
    group: str = ""
    split: str = ""
    header: str = ""
    fields: tuple[str, ...] = ()


@dataclass(frozen=True)
class WindowOptions:
    """How windows are made; see ``dataset.py --help``."""

    length: int = 33
    padding: str = "X"
    residues: str = ""  # none: whatever the sites stand on
    negatives: str = "same-protein"
    ratio: float = 1.0
    exclude_flank: int = 0
    conflicts: str = "drop"
    repeats: bool = False  # keep windows that are equal to another with the same label
    negative_label: str = "0"
    seed: int = 42


def check_window(length: int) -> int:
    """Refuse a window that has no middle."""
    if length < 3 or length % 2 == 0:
        raise InputError(f"a window of {length} has no residue in its middle; give an odd number from 3, such as 33")
    return length


def make_windows(source: Source, options: WindowOptions) -> list[Entry]:
    """Windows in the order of their proteins and, within one, of their positions.

    What is left out is counted in ``source.counted``.

    Raises:
        InputError: no site on one of the residues asked for, no negatives where they are needed, or, where conflicts
            are refused, two equal windows with different labels.
    """
    counted, proteins = source.counted, source.proteins
    sites = source.sites
    if options.residues:
        letters = [_letter(proteins, place, site.position, site.strand) for place, site in sites]
        sites = [each for each, letter in zip(sites, letters, strict=True) if letter in options.residues]
        if not sites:
            letters = ", ".join(sorted(set(letters)))
            raise InputError(f"no site is on {options.residues}; the sites are on {letters}")
        if left_out := len(source.sites) - len(sites):
            counted["sites on other residues, left out"] += left_out
    if options.negatives != "given":
        positives = [(place, site) for place, site in sites if site.label != options.negative_label]
        if not positives:
            raise InputError(f"every site has the label of negatives, '{options.negative_label}'; there is no positive")
        if left_out := len(sites) - len(positives):
            drawn = "negatives are drawn" if options.negatives == "same-protein" else "no negatives are wanted"
            counted[f"negative sites of the input, not used since {drawn}"] += left_out
        sites = positives
    elif len(labels := {site.label for _, site in sites}) < 2:
        raise InputError(
            f"no negatives are given: all sites have the label '{quoted(next(iter(labels)))}'; "
            "have them drawn from the same proteins instead"
        )
    chosen = [(place, site.position, site.strand, site.label) for place, site in sites]
    if options.negatives == "same-protein":
        known = defaultdict(list, {place: list(spans) for place, spans in source.blocked.items()})
        for place, site in source.sites:
            # a negative of the input is no site; it may be drawn
            if site.label != options.negative_label:
                known[place].append((site.position, site.position))
        chosen += [
            (*drawn, options.negative_label) for drawn in draw_negatives(proteins, chosen, known, options, counted)
        ]
    if len(chosen) * options.length > MOST_LETTERS:
        raise InputError(
            f"{len(chosen):,} windows of {options.length:,} letters are over {MOST_LETTERS:,} letters together; "
            "make the windows shorter, or give fewer sites"
        )
    chosen.sort(key=lambda each: each[:3])
    names = [re.sub(r"\s+", "_", protein.id) for protein in proteins]
    entries = []
    for place, position, strand, label in chosen:
        protein = proteins[place]
        window = _window(protein.sequence, position, strand, options)
        residue = window[options.length // 2]
        entries.append(
            Entry(
                id=f"{names[place]}|{residue}{position}{f'({strand})' if strand else ''}",  # (-) as bedtools writes it
                sequence=window,
                label=label,
                protein=place,
                position=position,
                residue=residue,
                strand=strand,
                group=protein.group,
                split=protein.split,
            )
        )
    return _without_repeats(entries, options, counted)


def draw_negatives(
    proteins: list[Protein],
    positives: list[tuple[int, int, str, str]],
    known: dict[int, list[tuple[int, int]]],
    options: WindowOptions,
    counted: Counter,
) -> list[tuple[int, int, str]]:
    """(place of the protein, position from 1, strand) of negatives.

    For every letter, protein and strand, ``ratio`` times as many are drawn as it has positives; what is left over of a
    fraction goes to the next protein. A candidate has the letter, is not annotated, has no annotated residue within
    ``exclude_flank``, and its window is not the text of a positive.

    Args:
        positives: (place, position, strand, label).
        known: place -> (first, last) from 1 of all that is annotated, on whatever strand, also of what is not used.

    Raises:
        InputError: there is no candidate at all.
    """
    rng = np.random.default_rng(options.seed)
    taken = {_window(proteins[place].sequence, position, strand, options) for place, position, strand, _ in positives}
    wanted: dict[tuple[int, str], Counter] = defaultdict(Counter)
    for place, position, strand, _ in positives:
        wanted[place, strand][_letter(proteins, place, position, strand)] += 1
    owed, drawn = Counter(), []
    for place, strand in sorted(wanted):
        sequence = proteins[place].sequence
        if strand:
            sequence = sequence.translate(COMPLEMENT)
        letters = np.frombuffer(sequence.encode(), np.uint8)
        free = np.ones(len(letters), bool)
        for first, last in known[place]:
            free[max(0, first - 1 - options.exclude_flank) : max(0, last + options.exclude_flank)] = False
        for letter in sorted(wanted[place, strand]):
            owed[letter] += options.ratio * wanted[place, strand][letter]
            count = int(owed[letter] + 1e-9)
            owed[letter] -= count
            candidates = rng.permutation(np.flatnonzero(free & (letters == ord(letter))))
            found = 0
            for candidate in candidates.tolist():
                if found == count:
                    break
                if _window(proteins[place].sequence, candidate + 1, strand, options) in taken:
                    counted["candidates for negatives not drawn, their window being that of a positive"] += 1
                    continue
                drawn.append((place, candidate + 1, strand))
                found += 1
            if found < count:
                counted["negatives that could not be drawn, their protein having too few candidates"] += count - found
    if not drawn:
        letters = ", ".join(sorted({letter for each in wanted.values() for letter in each}))
        raise InputError(
            f"no negative could be drawn: the proteins with sites have no other {letters} that is not annotated and "
            "far enough from a site; allow candidates nearer to sites, or give negatives"
        )
    return drawn


def _window(sequence: str, position: int, strand: str, options: WindowOptions) -> str:
    window = window_around(sequence, position - 1, options.length, options.padding)
    return reverse_complement(window) if strand else window


def _letter(proteins: list[Protein], place: int, position: int, strand: str) -> str:
    letter = proteins[place].sequence[position - 1]
    return letter.translate(COMPLEMENT) if strand else letter


def _without_repeats(entries: list[Entry], options: WindowOptions, counted: Counter) -> list[Entry]:
    """Each window with each of its labels once, or repeats too; windows with two labels dropped, kept or refused."""
    first: dict[tuple[str, str], Entry] = {}
    labels: dict[str, set[str]] = defaultdict(set)
    for entry in entries:
        first.setdefault((entry.sequence, entry.label), entry)
        labels[entry.sequence].add(entry.label)
    kept = entries if options.repeats else list(first.values())
    if repeated := len(entries) - len(kept):
        counted["windows equal to another with the same label, kept once"] += repeated
    conflicting = [entry for entry in kept if len(labels[entry.sequence]) > 1]
    if not conflicting:
        return kept
    if options.conflicts == "refuse":
        one = conflicting[0]
        other = next(entry for entry in conflicting if entry.sequence == one.sequence and entry is not one)
        raise InputError(
            f"{len(conflicting):,} windows are equal to one with another label, such as '{quoted(one.id)}' "
            f"({quoted(one.label)}) and '{quoted(other.id)}' ({quoted(other.label)}); drop or keep them"
        )
    counted[f"windows equal to one with another label, {'kept' if options.conflicts == 'keep' else 'dropped'}"] += len(
        conflicting
    )
    return kept if options.conflicts == "keep" else [entry for entry in kept if len(labels[entry.sequence]) == 1]
