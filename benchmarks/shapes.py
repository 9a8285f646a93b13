"""Models with the shape of published ones and random weights, and bundles made on them, for the benchmarks."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
ESM2_8M = {
    "vocab_size": 33,
    "hidden_size": 320,
    "num_hidden_layers": 6,
    "num_attention_heads": 20,
    "intermediate_size": 1280,
    "max_position_embeddings": 1026,
    "position_embedding_type": "rotary",
    "token_dropout": True,
    "mask_token_id": 32,
    "pad_token_id": 1,
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
}
ESM2_35M = {**ESM2_8M, "hidden_size": 480, "num_hidden_layers": 12, "intermediate_size": 1920}
# for every way that is compared, as the tools set it: threads that spin while they wait suffer on a shared machine
ENVIRONMENT = {**os.environ, "OMP_WAIT_POLICY": "PASSIVE"}


def esm2_8m(folder: Path) -> Path:
    """A Hugging Face folder of ESM-2 8M's shape."""
    return esm2(folder, ESM2_8M)


def esm2(folder: Path, shape: dict) -> Path:
    """A Hugging Face folder of a shape; its 33 tokens are those of every ESM-2."""
    import torch
    from transformers import EsmConfig, EsmModel

    torch.manual_seed(0)
    EsmModel(EsmConfig(**shape), add_pooling_layer=False).save_pretrained(folder)
    for name in ("vocab.txt", "tokenizer_config.json"):
        shutil.copyfile(ROOT / "test-data" / "models" / "tiny-esm" / name, folder / name)
    return folder


def finetuned(base: Path, target: Path, *options: object) -> Path:
    """A bundle on ``base``, by the tool itself; ``options`` say on what."""
    tool = ROOT / "scripts" / "finetune.py"
    command = [sys.executable, tool, "--model", base, "--epochs", 1, "--output-model", target, *options]
    subprocess.run([str(part) for part in command], check=True, capture_output=True, env=ENVIRONMENT)
    return target
