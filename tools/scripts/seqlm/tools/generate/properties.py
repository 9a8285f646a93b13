"""What can be said of one sequence without a model: of a protein, of DNA, of a molecule.

Proteins are described by Biopython's ProtParam over the 20 standard amino acids alone: molecular weight of one chain,
isoelectric point (Bjellqvist et al. 1993, https://doi.org/10.1002/elps.11501401163), GRAVY (Kyte & Doolittle 1982,
https://doi.org/10.1016/0022-2836(82)90515-0), instability (Guruprasad et al. 1990,
https://doi.org/10.1093/protein/4.2.155; above 40 is unstable), aromaticity (Lobry & Gautier 1994,
https://doi.org/10.1093/nar/22.15.3174). Molecules by RDKit: logP (Wildman & Crippen 1999,
https://doi.org/10.1021/ci990307l), polar surface (Ertl et al. 2000, https://doi.org/10.1021/jm000942e), drug-likeness
(Bickerton et al. 2012, https://doi.org/10.1038/nchem.1243).

Biopython and RDKit are imported where they are needed and nowhere else.
"""

from __future__ import annotations

import math
import re

import numpy as np

from seqlm.data.records import DNA, PROTEIN

STANDARD = "ACDEFGHIKLMNPQRSTVWY"
BASES = "ACGT"
YES, NO = "yes", "no"

# SEG's window and the entropy that starts a segment: Wootton & Federhen 1993, 10.1016/0097-8485(93)85006-X
WINDOW, LOWEST_ENTROPY = 12, 2.2
# DUST's window of 64 bases has 62 triplets; a score above 2 is its level of 20: Morgulis et al. 2006,
# 10.1089/cmb.2006.13.1028
TRIPLETS, HIGHEST_DUST = 62, 2

# column -> what it is, in words and unit
_PROTEIN = {
    "length": "residues",
    "molecular_weight": "molecular weight of the standard residues as one chain, Da",
    "isoelectric_point": "pH at which the charges add up to none",
    "gravy": "mean hydropathy, positive is hydrophobic",
    "instability_index": "instability index, above 40 is predicted to be unstable",
    "aromaticity": "share of F, W and Y",
    "low_complexity": "share of residues in windows of 12 with an entropy below 2.2 bits",
    "nonstandard": "residues that are none of the 20 standard amino acids and were left out of the other columns",
}
_DNA = {
    "length": "bases",
    "gc": "share of G and C among A, C, G and T",
    "low_complexity": "share of bases that DUST masks",
    "nonstandard": "letters other than A, C, G and T",
}
_MOLECULE = {
    "length": "characters of the SMILES",
    "valid": "whether RDKit can read the SMILES as a molecule",
    "canonical": "the SMILES in RDKit's one way of writing",
    "molecular_weight": "average molecular weight, g/mol",
    "logp": "Crippen's estimate of the octanol–water partition, log10",
    "tpsa": "topological polar surface, Å²",
    "rings": "rings (smallest set)",
    "qed": "drug-likeness between 0 and 1",
}


def meanings(alphabet: str) -> dict[str, str]:
    """column -> what it is; anything but proteins and DNA is read as SMILES."""
    return {PROTEIN: _PROTEIN, DNA: _DNA}.get(alphabet, _MOLECULE)


def columns(alphabet: str) -> list[str]:
    """Names of what :func:`describe` gives."""
    return list(meanings(alphabet))


def describe(sequence: str, alphabet: str) -> list:
    """One value a column: numbers, NaN where a property is not defined; ``valid`` and ``canonical`` are texts.

    Args:
        sequence: in capitals if it is a protein or DNA; any text is taken.
        alphabet: as in :mod:`seqlm.data.sequences`.
    """
    return {PROTEIN: _protein, DNA: _dna}.get(alphabet, _molecule)(sequence)


def _protein(sequence: str) -> list:
    from Bio.SeqUtils.ProtParam import ProteinAnalysis

    pieces = re.findall(f"[{STANDARD}]+", sequence)
    known = "".join(pieces)
    described = [math.nan] * 5
    if known:
        whole = ProteinAnalysis(known)
        # neighbours across a letter that is left out are none, so the index is added up from piece to piece
        instability = sum(len(piece) * ProteinAnalysis(piece).instability_index() for piece in pieces) / len(known)
        described = [
            whole.molecular_weight(),
            whole.isoelectric_point(),
            whole.gravy(),
            instability if any(len(piece) > 1 for piece in pieces) else math.nan,
            whole.aromaticity(),
        ]
    return [len(sequence), *described, low_entropy(sequence), len(sequence) - len(known)]


def _dna(sequence: str) -> list:
    known = sum(map(sequence.count, BASES))
    gc = (sequence.count("G") + sequence.count("C")) / known if known else math.nan
    return [len(sequence), gc, dusty(sequence), len(sequence) - known]


def _molecule(smiles: str) -> list:
    from seqlm.data.molecules import parsed

    molecule, _ = parsed(smiles)
    if molecule is None:
        return [len(smiles), NO, "", *[math.nan] * 5]
    from rdkit import Chem
    from rdkit.Chem import QED, Crippen, Descriptors, rdMolDescriptors

    return [
        len(smiles),
        YES,
        Chem.MolToSmiles(molecule),
        Descriptors.MolWt(molecule),
        Crippen.MolLogP(molecule),
        rdMolDescriptors.CalcTPSA(molecule),
        rdMolDescriptors.CalcNumRings(molecule),
        QED.qed(molecule),
    ]


def low_entropy(sequence: str) -> float:
    """Share of letters that lie in a window of ``WINDOW`` with a Shannon entropy below ``LOWEST_ENTROPY`` bits.

    This is the first step of SEG; its second, which widens the segments and then trims them, is left out. NaN for a
    sequence that is shorter than one window.
    """
    letters = _codes(sequence)
    windows = len(letters) - WINDOW + 1
    if windows < 1:
        return math.nan
    counts = np.arange(WINDOW + 1)
    bits = counts * np.log2(np.maximum(counts, 1)) / WINDOW
    entropy = np.full(windows, math.log2(WINDOW))
    for letter in np.unique(letters):
        until = np.concatenate([[0], np.cumsum(letters == letter)])
        entropy -= bits[until[WINDOW:] - until[:-WINDOW]]
    return _covered(np.flatnonzero(entropy < LOWEST_ENTROPY), WINDOW, len(letters))


def dusty(sequence: str) -> float:
    """Share of bases that symmetric DUST masks: all perfect intervals of up to ``TRIPLETS`` triplets.

    An interval of l triplets scores the number of pairs of equal triplets in it over l - 1. It is perfect if that is
    above ``HIGHEST_DUST`` and no interval within it scores more. Letters other than A, C, G and T end an interval. NaN
    for a sequence without a triplet.
    """
    if len(sequence) < 3:
        return math.nan
    masked = sum(_masked(piece.group()) for piece in re.finditer(f"[{BASES}]{{4,}}", sequence))
    return masked / len(sequence)


def _masked(bases: str) -> int:
    letters = np.searchsorted(np.frombuffer(BASES.encode(), np.uint8), _codes(bases))
    triplets = letters[:-2] * 16 + letters[1:-1] * 4 + letters[2:]
    n = len(triplets)
    pairs = np.zeros(n, np.int64)  # of equal triplets, in the interval that starts at each place
    before = np.zeros(n, np.int64)  # triplets equal to the one at each place, in the interval that ends there
    best = np.full(n, -np.inf)  # score of any interval within the one that starts at each place
    change = np.zeros(n + 3, np.int64)
    for length in range(2, min(TRIPLETS, n) + 1):
        starts = n - length + 1
        before[length - 1 :] += triplets[length - 1 :] == triplets[:starts]
        pairs[:starts] += before[length - 1 :]
        score = pairs[:starts] / (length - 1)
        within = np.maximum(best[:starts], best[1 : starts + 1])
        perfect = np.flatnonzero((score > HIGHEST_DUST) & (score >= within))
        change[perfect] += 1
        change[perfect + length + 2] -= 1
        best[:starts] = np.maximum(within, score)
    return int((np.cumsum(change)[: n + 2] > 0).sum())


def _codes(sequence: str) -> np.ndarray:
    """(letters,) numbers of the letters."""
    return np.frombuffer(sequence.encode("utf-32-le"), np.uint32)


def _covered(starts: np.ndarray, width: int, length: int) -> float:
    change = np.zeros(length + 1, np.int64)
    change[starts] += 1
    change[starts + width] -= 1
    return float((np.cumsum(change)[:length] > 0).mean())
