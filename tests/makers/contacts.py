"""Models with a head for contacts that is not as it was drawn, and structures of proteins that nobody has seen."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file

NAMES = "ALA ARG ASN ASP CYS GLN GLU GLY HIS ILE LEU LYS MET PHE PRO SER THR TRP TYR VAL"
THREE = dict(zip("ARNDCQEGHILKMFPSTWYV", NAMES.split(), strict=True))


def fitted(source: Path, folder: Path, bias: float = -4.0, dtype: torch.dtype = torch.float32) -> Path:
    """A copy of an ESM with another head for contacts."""
    shutil.copytree(source, folder)
    tensors = load_file(folder / "model.safetensors")
    name = next(name for name in tensors if name.endswith("contact_head.regression.weight"))
    weights = torch.randn(tensors[name].shape, generator=torch.Generator().manual_seed(3)) * 12
    head = {name: weights.to(dtype), name.replace("weight", "bias"): torch.tensor([bias], dtype=dtype)}
    save_file(tensors | head, folder / "model.safetensors", {"format": "pt"})
    return folder


def walk(count: int, seed: int) -> np.ndarray:
    """Places (residues, 3) of a chain that winds about, in Å."""
    generator, places = np.random.default_rng(seed), [np.zeros(3)]
    for _ in range(count - 1):
        step = generator.normal(size=3) - 0.08 * places[-1]
        places.append(places[-1] + 3.8 * step / np.linalg.norm(step))
    return np.asarray(places)


def pdb(path: Path, sequence: str, places: np.ndarray, without: range = range(0), first: int = 101) -> Path:
    """A chain as PDB, each residue its Cα, and 1 Å beside it its Cβ, if it is no glycine."""
    lines = []
    for number, (letter, place) in enumerate(zip(sequence, places, strict=True)):
        for atom in ("CA", "CB")[: 1 + (letter != "G")] if number not in without else ():
            x, y, z = place + (atom == "CB") * np.asarray([1.0, 0, 0])
            lines.append(
                f"ATOM  {len(lines) + 1:5d}  {atom}  {THREE[letter]} A{first + number:4d}    "
                f"{x:8.3f}{y:8.3f}{z:8.3f}  1.00 50.00           C"
            )
    path.write_text("\n".join([*lines, "TER", "END", ""]))
    return path
