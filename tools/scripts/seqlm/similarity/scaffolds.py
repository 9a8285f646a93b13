"""Molecules: their Bemis–Murcko scaffolds, and how alike two molecules are.

RDKit reads the SMILES. Scaffolds: Bemis & Murcko 1996, https://doi.org/10.1021/jm9602928.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from rdkit import Chem, DataStructs, rdBase
from rdkit.Chem.Scaffolds import MurckoScaffold

from .fingerprints import generator

LONGEST = 5_000  # letters; RDKit takes minutes for more, and no molecule of this kind of data has a tenth of it


@dataclass
class Molecules:
    """What RDKit makes of SMILES, in their order; ``None`` for what it cannot read.

    Attributes:
        canonical: one way to write each molecule.
        scaffolds: its ring systems and what links them; empty for a molecule without a ring.
        fingerprints: which circular surroundings of atoms it has.
    """

    canonical: list[str | None]
    scaffolds: list[str | None]
    fingerprints: list


def read_molecules(smiles: Sequence[str]) -> Molecules:
    """Canonical SMILES, scaffold and fingerprint of each molecule."""
    found = Molecules([], [], [])
    with rdBase.BlockLogs():  # every complaint would be a line; they are counted instead
        for text in smiles:
            molecule = Chem.MolFromSmiles(text) if 0 < len(text) <= LONGEST else None
            if molecule is None or not molecule.GetNumAtoms():
                found.canonical.append(None)
                found.scaffolds.append(None)
                found.fingerprints.append(None)
                continue
            found.canonical.append(Chem.MolToSmiles(molecule))
            found.scaffolds.append(MurckoScaffold.MurckoScaffoldSmiles(mol=molecule))
            found.fingerprints.append(generator().GetFingerprint(molecule))
    return found


def nearest(fingerprints: Sequence, training: Sequence) -> np.ndarray:
    """Largest Tanimoto similarity of each molecule to a training molecule, 0 where there is none."""
    training = list(training)
    return np.asarray([max(DataStructs.BulkTanimotoSimilarity(one, training), default=0.0) for one in fingerprints])


def version() -> str:
    return rdBase.rdkitVersion
