"""Tiny RoBERTas of ChemBERTa-2's kinds, MLM and MTR, and molecules for them."""

from __future__ import annotations

import json
import random
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from transformers import RobertaConfig, RobertaModel

SPECIAL = ["[PAD]", "[unused1]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
TOKENS = [
    *"cC()O1=N2n3Fs.So-#456oBI/\\P",
    *("Cl", "Br", "[nH]", "[C@H]", "[C@@H]", "[O-]", "[N+]", "[Na+]", "[Cl-]", "[NH+]", "%10", ">>"),
]  # fmt: skip
HALIDES, OTHERS = ("Cl", "Br", "CCl", "CBr", "C(Cl)Cl"), ("O", "C", "N", "C(=O)O", "C(=O)[O-].[Na+]")
RINGS = ("c1ccccc1", "c1ccncc1", "c1cc[nH]c1", "C1CCCCC1", "C1CCNCC1", "c1ccsc1", "c1ccoc1")


def tiny_chemberta(folder: Path) -> None:
    """Two layers of RoBERTa's kind with the defect of ChemBERTa-2: atoms of several letters, and no merges for them."""
    RobertaModel(_config(layers=2), add_pooling_layer=False).save_pretrained(folder)
    weights = load_file(folder / "model.safetensors")
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    _tokenizer(folder)


def tiny_chemberta_mtr(folder: Path) -> None:
    """One layer, in a checkpoint as ChemBERTa-2 MTR's: with a regression head, and means and deviations of three
    properties among the weights and in config.json."""
    torch.manual_seed(7)
    encoder = RobertaModel(_config(layers=1), add_pooling_layer=False)
    weights = {f"roberta.{name}": tensor.contiguous() for name, tensor in encoder.state_dict().items()}
    weights["regression.dense.weight"], weights["regression.dense.bias"] = torch.randn(48, 48), torch.zeros(48)
    weights["regression.out_proj.weight"], weights["regression.out_proj.bias"] = torch.randn(3, 48), torch.zeros(3)
    norm = {"norm_mean": [0.5, 1.0, 2.0], "norm_std": [1.0, 2.0, 0.5]}
    save_file(
        weights | {name: torch.tensor(values) for name, values in norm.items()},
        folder / "model.safetensors",
        metadata={"format": "pt"},
    )
    config = encoder.config.to_dict() | {"architectures": ["RobertaForRegression"]} | norm
    (folder / "config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
    _tokenizer(folder)


def _config(layers: int) -> RobertaConfig:
    return RobertaConfig(
        vocab_size=50,
        hidden_size=48,
        num_hidden_layers=layers,
        num_attention_heads=4,
        intermediate_size=96,
        max_position_embeddings=130,
        type_vocab_size=1,
        pad_token_id=1,
        bos_token_id=0,
        eos_token_id=2,
    )


def _tokenizer(folder: Path) -> None:
    vocabulary = {token: number for number, token in enumerate(SPECIAL + TOKENS)}
    tokenizer = {
        "tokenizer_class": "RobertaTokenizer",
        "cls_token": "[CLS]",
        "sep_token": "[SEP]",
        "pad_token": "[PAD]",
        "unk_token": "[UNK]",
        "mask_token": "[MASK]",
    }
    (folder / "vocab.json").write_text(json.dumps(vocabulary, indent=1) + "\n")
    (folder / "merges.txt").write_text("#version: 0.2\n")
    (folder / "tokenizer_config.json").write_text(json.dumps(tokenizer, indent=2, sort_keys=True) + "\n")


def make(here: Path, count: int = 72) -> None:
    """Molecules with a halogen, which the class is about, some salts, and other ways to write them."""
    rng = random.Random(11)
    rows = ["name\tsmiles\tclass\n"]
    for number in range(count):
        halide = number % 2
        ring = rng.choice(RINGS)
        chain = "C" * rng.randint(0, 4)
        end = rng.choice(HALIDES if halide else OTHERS)
        middle = rng.choice(["", "[C@H](C)", "[C@@H](O)", "C(=O)"])
        text = f"{ring}{chain}{middle}{end}"
        if rng.random() < 0.2:
            text = f"C({ring})C{end}"  # not how RDKit writes it
        rows.append(f"molecule_{number:02d}\t{text}\t{'halide' if halide else 'other'}\n")
    (here / "halides.tsv").write_text("".join(rows))
    lines = (row.split("\t") for row in rows[1:])
    (here / "halides.smi").write_text("".join(f"{text} {name}\n" for name, text, _ in lines))
