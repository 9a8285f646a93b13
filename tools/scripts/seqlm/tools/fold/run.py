"""Proteins folded one after the other, the longest first, each written as soon as it is known."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import torch

from seqlm.cli.errors import InputError
from seqlm.cli.outputs import Outputs
from seqlm.cli.text import shown
from seqlm.data.records import Rules
from seqlm.inference import loading
from seqlm.inference.finite import check_results

from .architectures import Fold
from .inputs import Plan, Protein
from .structures import WHAT, cif_text, pdb_text, write_pae
from .summary import Folded, Summary


def fold_all(plan: Plan, outputs: Outputs) -> Summary:
    """Fold what fits, and write the files of each protein.

    Raises:
        InputError: weights that do not fit the config, or a structure that is no numbers.
    """
    arguments, architecture = plan.arguments, plan.architecture
    print("loading the libraries", file=sys.stderr)
    device = loading.prepare(arguments.threads, arguments.seed, arguments.device)
    plan.memory.on(plan, device)
    model = architecture.load(plan.base.path, plan.memory.precision, device)
    folders = {
        name: outputs.folder(target) if (target := getattr(arguments, f"output_{name}")) else None
        for name in ("pdb", "cif", "pae")
    }
    summary = Summary(Rules().merged(plan.survey.rules))
    places = {one.id: place for place, one in enumerate(plan.proteins)}
    todo = plan.to_fold
    for number, protein in enumerate(todo, start=1):
        start = time.monotonic()
        torch.manual_seed(arguments.seed)  # before each, so that none depends on those before it
        fold = _fold(plan, model, protein)
        _write(plan, protein, fold, folders)
        summary.add(Folded(places[protein.id], fold.plddt, fold.ptm), fold.pae)
        print(
            f"folded {number:,} of {len(todo):,}: {shown(protein.id)}, {len(protein.sequence):,} residues in "
            f"{time.monotonic() - start:.1f} s",
            file=sys.stderr,
            flush=True,
        )
    return summary


def _fold(plan: Plan, model, protein: Protein) -> Fold:
    try:
        fold = plan.architecture.fold(model, protein.sequence, plan.recycles, plan.samples, protein.chunk)
    except torch.OutOfMemoryError:
        raise InputError(
            f"'{shown(protein.id)}' of {len(protein.sequence):,} residues does not fit into the memory of the GPU, "
            "though it was expected to; leave it out"
        ) from None
    numbers = [torch.from_numpy(fold.plddt), torch.from_numpy(fold.pae), torch.tensor(fold.ptm)]
    check_results(numbers, lambda: [protein.id])
    if "nan" in fold.pdb or "inf" in fold.pdb:
        check_results([torch.tensor(float("nan"))], lambda: [protein.id])
    return fold


def _write(plan: Plan, protein: Protein, fold: Fold, folders: dict[str, Path | None]) -> None:
    factors, what = fold.plddt, WHAT
    if values := plan.values:
        factors, what = values.factors(protein.id, len(protein.sequence)), values.what
    text = pdb_text(fold, protein.id, plan.model_name, factors, what, plan.arguments.first_position)
    if folders["pdb"]:
        (folders["pdb"] / f"{protein.name}.pdb").write_text(text, encoding="ascii")
    if folders["cif"]:
        (folders["cif"] / f"{protein.name}.cif").write_text(cif_text(text, protein.name), encoding="ascii")
    if folders["pae"]:
        write_pae(folders["pae"] / f"{protein.name}.json", fold.pae, plan.architecture.largest_pae)
