"""Molecules drawn by RDKit, each atom in the colour of what its letters in the SMILES speak for.

Letters of bonds, branches and rings belong to no atom and are left out of the drawing; the table has them.
"""

from __future__ import annotations

import io
import re
from collections.abc import Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure
from matplotlib.image import imread

from seqlm.cli.text import shown
from seqlm.report.figure_style import styled

from .summary import Explained

ATOM = re.compile(r"\[[^\]]*\]|Br|Cl|[BCNOPSFIbcnops*]")  # of OpenSMILES, http://opensmiles.org/opensmiles.html
SIZE = (440, 300)  # pixels of a drawing


def atom_values(smiles: str, values: np.ndarray) -> np.ndarray | None:
    """Values of the atoms, in RDKit's order, from those of the letters (letters,); None where RDKit cannot read it."""
    molecule = _molecule(smiles)
    if molecule is None:
        return None
    places = [match.span() for match in ATOM.finditer(smiles)]
    if len(places) != molecule.GetNumAtoms():
        return None
    return np.asarray([np.nansum(values[start:end]) for start, end in places])


def _molecule(smiles: str):
    from rdkit import Chem, RDLogger

    RDLogger.DisableLog("rdApp.*")
    asked = Chem.SmilesParserParams()
    asked.removeHs = False  # an atom that is written is one of those that are counted
    return Chem.MolFromSmiles(smiles, asked)


def drawable(explained: Sequence[Explained], most: int) -> list[Explained]:
    """The first of those that RDKit can draw."""
    found = []
    for one in explained:
        if len(found) < most and atom_values(one.item.sequence, one.item.by_letter(one.values)) is not None:
            found.append(one)
    return found


@styled
def molecules(chosen: Sequence[Explained], colours: str) -> Figure:
    """Each molecule twice: left as the model has it, right as shuffled weights have it."""
    figure = Figure(figsize=(6.4, 2.2 * len(chosen) + 0.2))
    for row, one in zip(figure.subplots(len(chosen), 2, squeeze=False), chosen, strict=True):
        for axes, name, values in zip(row, ("the model", "shuffled weights"), (one.values, one.shuffled), strict=True):
            of_atoms = atom_values(one.item.sequence, one.item.by_letter(values))
            axes.imshow(_drawn(one.item.sequence, of_atoms, colours), interpolation="lanczos")
            axes.set_title(f"{shown(one.item.id, 30)}, {name}", fontsize=7, loc="left")
            axes.axis("off")
    return figure


def _drawn(smiles: str, values: np.ndarray, colours: str) -> np.ndarray:
    """A picture (height, width, 4) of a molecule, white where an atom has no value."""
    from rdkit.Chem.Draw import rdMolDraw2D

    scaled = 0.5 + 0.5 * np.clip(values / max(float(np.abs(values).max()), 1e-12), -1, 1) * 0.6  # letters stay legible
    highlighted = {place: tuple(colormaps[colours](value)[:3]) for place, value in enumerate(scaled.tolist())}
    canvas = rdMolDraw2D.MolDraw2DCairo(*SIZE)
    canvas.drawOptions().useBWAtomPalette()
    rdMolDraw2D.PrepareAndDrawMolecule(
        canvas, _molecule(smiles), highlightAtoms=list(highlighted), highlightAtomColors=highlighted, highlightBonds=[]
    )
    canvas.FinishDrawing()
    return imread(io.BytesIO(canvas.GetDrawingText()), format="png")
