"""Morgan fingerprints of molecules (Rogers & Hahn 2010, https://doi.org/10.1021/ci100050t), and how alike they are.

RDKit is imported by the first molecule, since what works on proteins and DNA does without it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache

import numpy as np

RADIUS, BITS = 2, 2048  # ECFP4
CHUNK = 2_048  # molecules on each side of a comparison


@cache
def generator():
    """RDKit's, for the radius and the size above."""
    from rdkit.Chem import rdFingerprintGenerator

    return rdFingerprintGenerator.GetMorganGenerator(radius=RADIUS, fpSize=BITS)


def read_molecule(smiles: str) -> tuple[str, np.ndarray | None]:
    """(canonical SMILES, packed fingerprint (BITS / 8,)), or (the text, None) of what is no molecule."""
    from rdkit import Chem, DataStructs

    from seqlm.data.molecules import parsed

    molecule, _ = parsed(smiles)
    if molecule is None:
        return smiles, None
    text = DataStructs.BitVectToBinaryText(generator().GetFingerprint(molecule))
    return Chem.MolToSmiles(molecule), np.frombuffer(text, np.uint8)


def read_all(sequences: Sequence[str]) -> tuple[list[str], dict[str, np.ndarray]]:
    """What each is compared by for equality, and the packed fingerprints of the molecules among them."""
    keys, prints = [], {}
    for sequence in sequences:
        key, bits = read_molecule(sequence)
        keys.append(key)
        if bits is not None:
            prints.setdefault(key, bits)
    return keys, prints


def similarities(one: np.ndarray, other: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """(first row, Tanimoto similarities (rows, columns)) of packed fingerprints, some rows of ``one`` at a time."""
    theirs = np.unpackbits(other, axis=1).astype(np.float32)  # sums of up to 2,048 ones are exact
    sizes = theirs.sum(axis=1)
    for start in range(0, len(one), CHUNK):
        ours = np.unpackbits(one[start : start + CHUNK], axis=1).astype(np.float32)
        shared = (ours @ theirs.T).astype(float)
        either = ours.sum(axis=1)[:, None] + sizes - shared
        yield start, np.divide(shared, either, out=np.zeros_like(shared), where=either > 0)
