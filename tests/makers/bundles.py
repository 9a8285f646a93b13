"""Small archives for the tests of bundles: a good one made without torch, and the means to damage it."""

from __future__ import annotations

import io
import json
import struct
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save

from seqlm.checkpoints.bundle import open_bundle
from seqlm.cli.errors import InputError

MANIFEST = {
    "format": 1,
    "task": "sequence-classification",
    "method": "lora",
    "labels": ["dephosphorylated", "phosphorylated"],
    "family": "esm",
    "alphabet": "protein",
    "pooling": "mean",
    "max_length": 1022,
    "long_sequences": "window",
    "threshold": 0.5,
    "window": 33,
    "head": {"kind": "mlp", "inputs": 8, "outputs": 2, "hidden": 8},
    "base_model": {"id": "facebook/esm2_t6_8M_UR50D", "revision": None, "sha256": "ab" * 32},
    "metrics": {"test": {"mcc": [0.48, 0.21, 0.71], "auroc": [0.81, None, None]}},
    "versions": {"torch": "2.13.0"},
    "seed": 42,
    "data_sha256": "cd" * 32,
}
ADAPTER_CONFIG = {
    "peft_type": "LORA",
    "task_type": "FEATURE_EXTRACTION",
    "r": 2,
    "lora_alpha": 4,
    "lora_dropout": 0.1,
    "target_modules": ["query", "value"],
    "bias": "none",
    "auto_mapping": {"base_model_class": "EsmModel", "parent_library": "transformers.models.esm.modeling_esm"},
    "megatron_core": "megatron.core",
    "qalora_group_size": 16,
    "eva_config": None,
    "base_model_name_or_path": "facebook/esm2_t6_8M_UR50D",
}
CONFIG = {"model_type": "esm", "hidden_size": 8, "num_hidden_layers": 1, "intermediate_size": 16, "vocab_size": 33,
          "num_attention_heads": 2, "max_position_embeddings": 1026, "position_embedding_type": "rotary"}  # fmt: skip


def tensors(**shapes) -> bytes:
    """A safetensors file; ``__`` in a name stands for a dot."""
    generator = np.random.default_rng(0)
    return save({
        name.replace("__", "."): generator.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()
    })  # fmt: skip


def adapter_bundle(**changed) -> dict[str, bytes]:
    """Files of a good adapter bundle by name; ``changed`` are entries of adapter_config.json."""
    return {
        "seqlm.json": json.dumps(MANIFEST).encode(),
        "adapter_config.json": json.dumps(ADAPTER_CONFIG | changed).encode(),
        "adapter_model.safetensors": tensors(layer__query__lora_A__weight=(2, 8), layer__query__lora_B__weight=(8, 2)),
        "head.safetensors": tensors(
            dense__weight=(8, 8), dense__bias=(8,), out__weight=(2, 8), out__bias=(2,), shift=(1,), scale=(1,)
        ),
        "README.md": b"# A model card\n",
    }


def model_folder(**changed) -> dict[str, bytes]:
    """Files of a good plain Hugging Face folder; ``changed`` are entries of config.json."""
    return {
        "config.json": json.dumps(CONFIG | changed).encode(),
        "model.safetensors": tensors(
            embeddings__weight=(33, 8), query=(8, 8), key=(8, 8), value=(8, 8), out=(8, 8), up=(16, 8), down=(8, 16)
        ),
        "vocab.txt": b"<cls>\n<pad>\n<eos>\nA\nC\n",
        "tokenizer_config.json": b'{"tokenizer_class": "EsmTokenizer", "cls_token": "<cls>"}',
    }


def write_files(folder: Path, files: dict[str, bytes]) -> Path:
    folder.mkdir(exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


def zipped(path: Path, files: dict, compression: int = zipfile.ZIP_DEFLATED) -> Path:
    """A zip of name -> bytes; a name may be a ready ZipInfo."""
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in files.items():
            archive.writestr(name, content, compress_type=compression)
    return path


def tarred(path: Path, files: dict, mode: str = "w") -> Path:
    """A tar of name -> bytes; a name may be a ready TarInfo."""
    with tarfile.open(path, mode) as archive:
        for name, content in files.items():
            member = name if isinstance(name, tarfile.TarInfo) else tarfile.TarInfo(name)
            if member.type == tarfile.REGTYPE:
                member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def refused(archive: Path, **limits) -> str:
    """Open ``archive``, expect a refusal, and return the message once nothing is found to have been written."""
    folder = archive.parent / "unpacked"
    folder.mkdir(exist_ok=True)
    before = snapshot(archive.parent)
    with pytest.raises(InputError) as refusal:
        open_bundle(archive, folder, **limits)
    assert snapshot(archive.parent) == before, "a refused archive left files behind"
    assert "\n" not in str(refusal.value)
    return str(refusal.value)


def opened(archive: Path):
    folder = archive.parent / "unpacked"
    folder.mkdir()
    return open_bundle(archive, folder)


def snapshot(folder: Path) -> dict[str, int]:
    return {str(file): file.lstat().st_mtime_ns for file in folder.rglob("*") if not file.is_dir()}


def header_of(header, content: bytes = b"") -> bytes:
    """A safetensors file with this header, true or not."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + content
