"""Members of an ensemble take turns on one encoder and give what each gives alone."""

import json
import shutil

import numpy as np
import pytest
import torch

from seqlm.checkpoints.bundle import read_bundle_folder, write_manifest
from seqlm.checkpoints.folder import read_model_folder
from seqlm.cli.errors import InputError
from seqlm.families.recognition import recognise
from seqlm.inference.adapters import LoraSettings, add_adapter, save_adapter
from seqlm.inference.inference import predict
from seqlm.inference.loading import load_backbone, load_finetuned
from seqlm.inference.tasks import Head

CPU = torch.device("cpu")
ITEMS = [("a", "MKTAYIAKQRLL"), ("b", "MSLENTQ"), ("c", "AEV")]


def saved(base, folder, seed: int, settings: LoraSettings | None, level: str) -> dict:
    """A bundle with one member whose weights are all random."""
    found = read_model_folder(base)
    family = recognise(base, found.config)
    head = Head(family.hidden_size, 2, hidden=8)
    manifest = {
        "format": 1, "task": f"{level}-classification", "method": "head", "labels": ["0", "1"], "family": "esm",
        "alphabet": "protein", "pooling": "none" if level == "residue" else "mean", "max_length": 100,
        "long_sequences": "window", "head": head.description(), "versions": {}, "seed": 0,
        "base_model": {"id": "tiny", "sha256": found.sha256},
    }  # fmt: skip
    folder.mkdir()
    if settings:
        manifest["method"] = settings.method
        model = add_adapter(load_backbone(base, family, torch.float32, CPU), family, settings, "tiny")
        torch.manual_seed(seed)
        for parameter in model.parameters():
            if parameter.requires_grad:
                torch.nn.init.normal_(parameter, 1.0 if parameter.ndim == 1 else 0.0, 0.3)
        save_adapter(model, folder)
    torch.manual_seed(seed)
    for parameter in head.parameters():
        torch.nn.init.normal_(parameter, 0.0, 0.1)
    head.save(folder / "head.safetensors")
    write_manifest(manifest, folder)
    return manifest


def predictions(folder, base, **options) -> list[np.ndarray]:
    finetuned = load_finetuned(read_bundle_folder(folder), read_model_folder(base), CPU, "fp32")
    return [given for *_, given in predict(finetuned.model, finetuned.encoder, iter(ITEMS), 64, **options)]


@pytest.mark.parametrize("level", ["sequence", "residue"])
@pytest.mark.parametrize(
    "settings",
    [
        LoraSettings(rank=2),
        LoraSettings("dora", rank=2, layer_norms=True),
        LoraSettings("vera", vera_rank=4),
        LoraSettings("ia3"),
        None,
    ],
    ids=lambda settings: settings.method if settings else "head",
)
def test_members_give_together_what_each_gives_alone(model_path, tmp_path, settings, level, monkeypatch):
    monkeypatch.setattr("seqlm.inference.inference.CHUNK_SEQUENCES", 2)  # so that each has several turns
    base = model_path("esm")
    for member in (1, 2, 3):
        manifest = saved(base, tmp_path / str(member), member, settings, level)
    both = shutil.copytree(tmp_path / "1", tmp_path / "both")
    for member in (2, 3):
        for name in ("adapter_model", "head"):
            if (source := tmp_path / str(member) / f"{name}.safetensors").exists():
                shutil.copyfile(source, both / f"{name}_{member}.safetensors")
    write_manifest(manifest | {"members": 3}, both)
    alone = [predictions(tmp_path / str(member), base) for member in (1, 2, 3)]
    assert abs(alone[0][0] - alone[1][0]).max() > 0.01
    for place, together in enumerate(predictions(both, base)):
        np.testing.assert_allclose(together, np.concatenate([one[place] for one in alone]), atol=1e-6)
    for place, second in enumerate(predictions(both, base, only=1)):
        np.testing.assert_allclose(second, alone[1][place], atol=1e-6)


def test_a_member_that_is_no_number_is_refused(model_path, tmp_path):
    base = model_path("esm")
    manifest = saved(base, tmp_path / "m", 1, LoraSettings(rank=2), "sequence")
    head = Head(manifest["head"]["inputs"], 2, hidden=8)
    head.out.bias.data[0] = float("nan")
    head.save(tmp_path / "m" / "head_2.safetensors")
    shutil.copyfile(tmp_path / "m" / "adapter_model.safetensors", tmp_path / "m" / "adapter_model_2.safetensors")
    (tmp_path / "m" / "seqlm.json").write_text(json.dumps(manifest | {"members": 2}))
    with pytest.raises(InputError, match=r"head_2\.safetensors"):
        predictions(tmp_path / "m", base)
