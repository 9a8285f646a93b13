"""Structures as files: PDB, mmCIF by Biopython, and expected errors as JSON.

Both kinds of structure hold chain A alone, the numbers of the residues as in the sequence, and as B factor of every
atom what is known of its residue: its pLDDT, or a value that was given.
"""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from .architectures import Fold

B_FACTOR = slice(60, 66)  # columns of an ATOM line
NUMBER = slice(22, 26)
WHAT = "B factors are the pLDDT of each residue, 0 to 100"


def pdb_text(fold: Fold, title: str, model: str, factors: Sequence[float], what: str, first: int) -> str:
    """The text of a PDB file.

    Args:
        factors: (residues,) B factor of the atoms of each residue, -99.99 to 999.99.
        what: they are.
        first: number of the first residue.
    """
    lines = [
        f"TITLE     {_plain(title, 70)}",
        "EXPDTA    THEORETICAL MODEL",
        f"REMARK   3 {_plain(f'Predicted by {model}', 69)}",
        f"REMARK   3 {_plain(what, 69)}",
    ]
    for line in fold.pdb.splitlines():
        if line.startswith(("ATOM", "TER")):
            residue = int(line[NUMBER])
            line = f"{line[: NUMBER.start]}{residue + first - 1:>4}{line[NUMBER.stop :]}"
            if line.startswith("ATOM"):
                line = f"{line[: B_FACTOR.start]}{factors[residue - 1]:>6.2f}{line[B_FACTOR.stop :]}"
            lines.append(line)
    return "\n".join([*lines, "END", ""])


def cif_text(pdb: str, name: str) -> str:
    """The text of an mmCIF file with the atoms of a PDB file."""
    from Bio.PDB import MMCIFIO, PDBParser

    structure = PDBParser(QUIET=True).get_structure(name, io.StringIO(pdb))
    writer, text = MMCIFIO(), io.StringIO()
    writer.set_structure(structure)
    writer.save(text)
    return text.getvalue()


def write_pae(path: Path, pae: np.ndarray, most: float) -> None:
    """Expected errors in the form of AlphaFold's database, which viewers read: Å, with two digits.

    Args:
        pae: (residues, residues).
        most: the largest that the model can say.
    """
    rows = [[round(float(value), 2) for value in row] for row in pae]
    content = [{"predicted_aligned_error": rows, "max_predicted_aligned_error": most}]
    path.write_text(json.dumps(content, separators=(",", ":")) + "\n", encoding="utf-8")


def _plain(text: str, longest: int) -> str:
    """Text as it may stand in a PDB file: one line of printable ASCII."""
    line = " ".join(text.split())
    return "".join(letter if " " <= letter <= "~" else "?" for letter in line)[:longest]
