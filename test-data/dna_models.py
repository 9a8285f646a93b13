"""Tiny models of DNA, and a ProGen2, with random weights: files, names and odd settings are those of the published
models."""

from __future__ import annotations

import json
import random
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers

sys.path.insert(0, str(Path(__file__).parent.parent / "tools" / "scripts"))
sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
from makers.models import hyenadna, nucleotide_transformer_v2, progen2
from makers.six_mer_models import generator
from seqlm.models.dnabert2 import DnaBert2Config, DnaBert2Model

SPECIAL = {
    "unk_token": "[UNK]",
    "cls_token": "[CLS]",
    "sep_token": "[SEP]",
    "pad_token": "[PAD]",
    "mask_token": "[MASK]",
}
TOKENS = 256
LONGEST = 636  # the published tokenizer cuts there, unless it is told not to


def tiny_dnabert2(folder: Path) -> None:
    """Two layers with twelve heads, so that the slopes of ALiBi are not those of a power of two."""
    _tokenizer(folder)
    config = {
        "alibi_starting_size": 512,
        "architectures": ["BertForMaskedLM"],
        "attention_probs_dropout_prob": 0.0,
        "auto_map": {
            "AutoConfig": "configuration_bert.BertConfig",
            "AutoModel": "bert_layers.BertModel",
            "AutoModelForMaskedLM": "bert_layers.BertForMaskedLM",
        },
        "classifier_dropout": None,
        "gradient_checkpointing": False,
        "hidden_act": "gelu",
        "hidden_dropout_prob": 0.1,
        "hidden_size": 48,
        "initializer_range": 0.02,
        "intermediate_size": 96,
        "layer_norm_eps": 1e-12,
        "max_position_embeddings": 512,
        "model_type": "bert",
        "num_attention_heads": 12,
        "num_hidden_layers": 2,
        "pad_token_id": 0,  # which is [UNK]; nothing depends on it, as padding is masked
        "position_embedding_type": "absolute",
        "torch_dtype": "float32",
        "type_vocab_size": 2,
        "use_cache": True,
        "vocab_size": TOKENS,
    }
    (folder / "config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
    encoder = DnaBert2Model(DnaBert2Config(**config))
    with torch.no_grad():
        for parameter in encoder.parameters():  # spread wider than for training, so that tokens matter
            if parameter.ndim == 2:
                parameter.normal_(std=0.2)
    weights = {f"bert.{name}": tensor.contiguous() for name, tensor in encoder.state_dict().items()}
    # what the published file holds beside the encoder
    weights |= {
        "bert.pooler.dense.weight": torch.zeros(48, 48),
        "bert.pooler.dense.bias": torch.zeros(48),
        "cls.predictions.transform.dense.weight": torch.zeros(48, 48),
        "cls.predictions.transform.dense.bias": torch.zeros(48),
        "cls.predictions.decoder.bias": torch.zeros(TOKENS),
    }
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def _tokenizer(folder: Path) -> None:
    """Byte pairs of one to several bases, learnt from DNA with repeats and runs of A and T."""
    rng = random.Random(11)
    motifs = ["".join(rng.choices("ACGT", weights=[3, 2, 2, 3], k=rng.randint(4, 9))) for _ in range(60)]
    corpus = ["".join(rng.choices(motifs, k=40)) for _ in range(150)]
    tokenizer = Tokenizer(models.BPE(unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    trainer = trainers.BpeTrainer(
        vocab_size=TOKENS, special_tokens=list(SPECIAL.values()), initial_alphabet=list("ACGT"), show_progress=False
    )
    tokenizer.train_from_iterator(corpus, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 1), ("[SEP]", 2)]
    )
    tokenizer.enable_truncation(LONGEST)
    tokenizer.enable_padding(pad_id=3, pad_token="[PAD]")
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": LONGEST, "padding_side": "right"}
    text = json.dumps(settings | SPECIAL, indent=2, sort_keys=True)
    (folder / "tokenizer_config.json").write_text(text + "\n")


def tiny_nucleotide_transformer_v2(folder: Path) -> None:
    """Two layers, so narrow that a vector for each of 4,107 tokens is a small file; without the head, as wide again."""
    sizes = {"hidden_size": 8, "num_attention_heads": 2, "intermediate_size": 16, "initializer_range": 0.3}
    nucleotide_transformer_v2(folder, **sizes)
    weights = load_file(folder / "model.safetensors")
    encoder = {name: tensor for name, tensor in weights.items() if name.startswith("esm.")}
    save_file(encoder, folder / "model.safetensors", metadata={"format": "pt"})


def tiny_progen2(folder: Path) -> None:
    """Two layers of ProGen2's kind."""
    progen2(folder, embed_dim=32, rotary_dim=4, n_positions=256)


def tiny_hyenadna(folder: Path) -> None:
    """Two layers of HyenaDNA's kind, which reads from left to right, a token for each base."""
    hyenadna(folder)


def tiny_generator(folder: Path) -> None:
    """Two layers of GENERator's kind, so narrow that two rows for each of 4,128 tokens are a small file."""
    sizes = {"hidden_size": 8, "num_attention_heads": 2, "intermediate_size": 16, "initializer_range": 0.6}
    generator(folder, **sizes)
