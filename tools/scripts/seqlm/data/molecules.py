"""SMILES checked and written in one way, by RDKit, which is imported where a molecule is read and nowhere else.

One molecule has many SMILES (CCO, OCC, C(O)C), and a model that was trained on one way of writing reads another less
well. Canonical SMILES (Weininger et al. 1989, https://doi.org/10.1021/ci00062a008) are the same for all of them. Salts,
charges, isotopes and stereochemistry stay as they are.
"""

from __future__ import annotations

import logging
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from seqlm.cli.errors import InputError

from .records import Record, Rules, quoted

if TYPE_CHECKING:
    pass

LONGEST = 5_000  # letters; RDKit takes minutes for more, and no molecule of this kind of data has a tenth of it
WRITTEN = "SMILES written in canonical form"
SMILES = ("as-given", "canonical")


def canonical(record: Record, rules: Rules, path: str | Path) -> str:
    """Canonical SMILES of a record; one that was written otherwise is counted.

    Raises:
        InputError: naming the record and what is wrong with its SMILES.
    """
    molecule, problem = parsed(record.sequence)
    if molecule is None:
        raise InputError(
            f"{Path(path).name}: record '{quoted(record.id)}' (line {record.line}) is no molecule that RDKit can read: "
            f"'{quoted(record.sequence)}', {problem}; mend or remove it, or choose SMILES as given"
        )
    written = _chemistry()[0].MolToSmiles(molecule)
    if written != record.sequence:
        rules.count(WRITTEN)
    return written


def parsed(smiles: str):
    """(molecule, ""), or (None, what is wrong with the SMILES)."""
    if not smiles:
        return None, "it is empty"
    if len(smiles) > LONGEST:
        return None, f"it has {len(smiles):,} letters, over the limit of {LONGEST:,}"
    chemistry, complaints = _chemistry()
    complaints.said.clear()
    molecule = chemistry.MolFromSmiles(smiles)
    if molecule is None:
        return None, complaints.text()
    return (molecule, "") if molecule.GetNumAtoms() else (None, "it has no atom")


class _Complaints(logging.Handler):
    """What RDKit says of the SMILES that it cannot read."""

    def __init__(self):
        super().__init__()
        self.said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.said.append(record.getMessage())

    def text(self) -> str:
        lines = [line.strip() for said in self.said for line in said.splitlines() if line.strip()]
        line = next((line for line in lines if "Error" in line or "valence" in line or "kekul" in line), None)
        line = (line or (lines[0] if lines else "it cannot be read")).partition("] ")[2] or line or "it cannot be read"
        return quoted(line.removeprefix("SMILES Parse Error: ").partition(" for input")[0], 120)


@cache
def _chemistry():
    """RDKit's module of molecules, and what it complains of."""
    from rdkit import Chem, rdBase

    rdBase.LogToPythonLogger()  # by itself it writes every complaint to stderr
    complaints, log = _Complaints(), logging.getLogger("rdkit")
    log.handlers, log.propagate = [complaints], False
    return Chem, complaints
