"""The bundle of a fine-tuning: written, and read back as whoever gets it will."""

from __future__ import annotations

import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from seqlm.checkpoints.bundle import reopened
from seqlm.checkpoints.manifest import ADAPTERS, FORMAT, write_manifest
from seqlm.checkpoints.members import ADAPTER_WEIGHTS, HEAD, member_file
from seqlm.checkpoints.tokenizer import copy_tokenizer
from seqlm.cli.versions import versions
from seqlm.data.records import CANONICAL
from seqlm.inference import loading
from seqlm.inference.adapters import save_adapter
from seqlm.inference.tasks import Head

from .plan import OF_FOLDS, SETTINGS, Plan, Reader


def save(plan: Plan, model: loading.SequenceModel, start: dict | None, folder: Path) -> dict:
    """Write all of the bundle but its scores into ``folder``; returns the manifest."""
    folder.mkdir()
    if plan.arguments.method == "full":
        model.backbone.save_pretrained(folder)
    save_member(plan, model, start, folder)
    copy_tokenizer(plan.base.path, folder)
    manifest = _manifest(plan, model.head)
    write_manifest(manifest, folder)
    return manifest


def save_member(plan: Plan, model: loading.SequenceModel, start: dict | None, folder: Path, member: int = 1) -> None:
    """Write what one member of an ensemble has learnt beside the others: its adapter, if it has one, and its head."""
    if plan.arguments.method in ADAPTERS:
        with TemporaryDirectory(dir=plan.scratch) as scratch:
            own = folder if member == 1 else Path(scratch)
            save_adapter(model.backbone, own, start)
            if member > 1:
                shutil.move(own / ADAPTER_WEIGHTS, folder / member_file(ADAPTER_WEIGHTS, member))
    model.head.save(folder / member_file(HEAD, member))


def read_back(plan: Plan, folder: Path, device: torch.device) -> loading.Finetuned:
    """The fine-tuned model as whoever gets the bundle will have it."""
    bundle = reopened(folder, plan.scratch)
    second_width = plan.second.family.hidden_size if plan.second else 0
    return loading.load_finetuned(
        bundle, bundle.model or plan.base, device, plan.arguments.precision, second_width, plan.encoder.structures
    )


def _manifest(plan: Plan, head: Head) -> dict:
    """What ``seqlm.json`` of the bundle says; scores and threshold are added once the bundle has been read back."""
    arguments = plan.arguments
    manifest = {
        "format": FORMAT,
        "task": arguments.task,
        "method": arguments.method,
        "labels": list(plan.labels) if plan.labels else None,
        "threshold": None,
        "temperature": 1.0,
        "window": plan.window or None,
        "sites": plan.sites or None,
        "alphabet": plan.family.alphabet,
        "family": plan.family.__module__.rsplit(".", 1)[-1],
        "head": head.description(),
        "pooling": plan.encoder.pooling,
        "max_length": plan.encoder.max_length,
        "long_sequences": plan.encoder.long_sequences,
        "base_model": _model(plan.reader),
        "settings": {
            name: value
            for name, value in sorted(vars(arguments).items())
            if name in SETTINGS and value is not None and (plan.folds or name not in OF_FOLDS)
        },
        "versions": versions(),
        "seed": arguments.seed,
        "data_sha256": plan.dataset.sha256,
        "metrics": {},
    }
    if any(reader.encoder.repairs for reader in (plan.reader, plan.second) if reader):
        manifest["tokenizer"] = "repaired"
    if plan.encoder.structures:
        manifest["structures"] = True
    if plan.encoder.chains is not None:
        manifest["light_chains"] = True
    if plan.family.told:
        manifest["prefix"] = plan.family.told
    if plan.folds:
        manifest["members"] = len(plan.folds.folds)
    if plan.second:
        manifest["second_model"] = _model(plan.second)
        if plan.second.family.alphabet == CANONICAL:
            manifest["second_model"]["alphabet"] = CANONICAL
        if plan.second.family.told:
            manifest["second_model"]["prefix"] = plan.second.family.told
    return manifest


def _model(reader: Reader) -> dict:
    return {"id": reader.name, "revision": reader.revision or None, "sha256": reader.base.sha256}
