"""The config.json of a new model: its architecture, its size, and the special tokens of its tokenizer.

Needs no torch.
"""

from __future__ import annotations

from argparse import Namespace
from dataclasses import dataclass
from pathlib import Path

from seqlm.archives import strict_json
from seqlm.checkpoints.tokenizer import copy_tokenizer
from seqlm.checkpoints.tokenizer_bundle import TrainedTokenizer
from seqlm.cli.errors import InputError

from .architectures import ARCHITECTURES, SIZES, Architecture

LARGEST = 2_000_000_000  # weights of a new model

# token -> names that it may have, where tokenizer_config.json says nothing
NAMES = {
    "pad_token": ("<pad>", "[PAD]"),
    "unk_token": ("<unk>", "[UNK]"),
    "mask_token": ("<mask>", "[MASK]"),
    "cls_token": ("<cls>", "[CLS]", "<s>"),
    "sep_token": ("[SEP]", "<eos>", "</s>"),
    "bos_token": ("<s>", "<cls>", "[CLS]", "<|endoftext|>"),
    "eos_token": ("</s>", "<eos>", "[SEP]", "<|endoftext|>"),
}


@dataclass(frozen=True)
class Shape:
    """Sizes of a new model."""

    layers: int
    width: int
    heads: int
    inner: int


def shape_of(arguments: Namespace) -> Shape:
    """A named size, with numbers of the user in place of any of its own.

    Raises:
        InputError: heads that do not divide the width.
    """
    layers, width, heads = SIZES[arguments.size]
    layers, width, heads = arguments.layers or layers, arguments.width or width, arguments.heads or heads
    gated = ARCHITECTURES[arguments.architecture].gated
    inner = arguments.inner or (-(-8 * width // 3) // 8 * 8 if gated else 4 * width)
    if width % heads:
        raise InputError(f"a width of {width} cannot be shared by {heads} heads; choose a multiple of the heads")
    rotary = arguments.architecture in ("llama", "esm", "modernbert")
    if rotary and width // heads % 2:
        raise InputError(
            f"each of {heads} heads would have {width // heads} of {width} numbers; rotary positions need an even one"
        )
    return Shape(layers, width, heads, inner)


def special_ids(tokenizer: TrainedTokenizer) -> dict[str, int]:
    """Role, such as ``pad_token`` -> id of its token, as the tokenizer says or as tokens are usually called."""
    found = {}
    for role, names in NAMES.items():
        token = tokenizer.special.get(role) or next((name for name in names if name in tokenizer.vocabulary), None)
        if token is not None:
            found[role] = tokenizer.vocabulary[token]
    return found


def check_tokenizer(architecture: Architecture, tokenizer: TrainedTokenizer) -> dict[str, int]:
    """Ids of special tokens; refuses a tokenizer that does not have those of the architecture."""
    ids = special_ids(tokenizer)
    missing = [role.replace("_", " ") for role in architecture.special if role not in ids]
    missing += [token for token in architecture.named if token not in tokenizer.vocabulary]
    if missing:
        raise InputError(
            f"tokenizer and model do not fit each other: a {architecture.name} needs {' and '.join(missing)}, and "
            f"{tokenizer.name} has none; train a tokenizer with the special tokens of '{architecture.style}', or "
            "choose another architecture"
        )
    return ids


def config_of(arguments: Namespace, tokenizer: TrainedTokenizer, context: int) -> dict:
    """config.json of the new model, as transformers reads it.

    Args:
        context: tokens that it reads at once, special ones among them.
    """
    architecture = ARCHITECTURES[arguments.architecture]
    ids, shape, drop = check_tokenizer(architecture, tokenizer), shape_of(arguments), arguments.dropout
    config = {
        "model_type": arguments.architecture,
        "architectures": [architecture.model_class],
        "vocab_size": tokenizer.size,
        "pad_token_id": ids.get("pad_token"),
        "dtype": "float32",
    }
    if arguments.architecture == "gpt2":
        end = ids["eos_token"]
        config |= {
            "n_positions": context, "n_embd": shape.width, "n_layer": shape.layers, "n_head": shape.heads,
            "n_inner": shape.inner, "embd_pdrop": drop, "resid_pdrop": drop, "attn_pdrop": drop,
            "bos_token_id": ids.get("bos_token", end), "eos_token_id": end,
        }  # fmt: skip
        return _bounded(config, shape)
    config |= {
        "hidden_size": shape.width,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "intermediate_size": shape.inner,
        "max_position_embeddings": context,
    }
    if arguments.architecture == "llama":
        config |= {
            "num_key_value_heads": shape.heads, "head_dim": shape.width // shape.heads, "attention_dropout": drop,
            "bos_token_id": ids["bos_token"], "eos_token_id": ids["eos_token"],
            "rope_parameters": {"rope_theta": 10000.0, "rope_type": "default"}, "tie_word_embeddings": False,
        }  # fmt: skip
    elif arguments.architecture == "modernbert":
        config |= {
            "attention_dropout": drop, "mlp_dropout": drop, "embedding_dropout": drop,
            "cls_token_id": ids["cls_token"], "sep_token_id": ids["sep_token"],
            "bos_token_id": ids["cls_token"], "eos_token_id": ids["sep_token"],
        }  # fmt: skip
    else:
        config |= {"hidden_dropout_prob": drop, "attention_probs_dropout_prob": drop}
    if arguments.architecture == "bert":
        config |= {"type_vocab_size": 2}
    if arguments.architecture == "roberta":  # its positions are counted from behind that of the padding
        config |= {
            "max_position_embeddings": context + ids["pad_token"] + 1, "type_vocab_size": 1,
            "bos_token_id": ids["cls_token"], "eos_token_id": ids["sep_token"],
        }  # fmt: skip
    if arguments.architecture == "esm":
        config |= {
            "max_position_embeddings": context + 2, "position_embedding_type": "rotary", "token_dropout": True,
            "emb_layer_norm_before": False, "mask_token_id": ids["mask_token"], "eos_token_id": ids.get("eos_token"),
            "layer_norm_eps": 1e-5,
        }  # fmt: skip
    return _bounded(config, shape)


def _bounded(config: dict, shape: Shape) -> dict:
    least = shape.layers * (4 * shape.width**2 + 2 * shape.width * shape.inner) + config["vocab_size"] * shape.width
    if least > LARGEST:
        raise InputError(f"such a model has over {least:,} weights; at most {LARGEST:,} can be trained here")
    return config


def write_model_folder(config: dict, tokenizer: TrainedTokenizer, folder: Path) -> None:
    """config.json and the files of the tokenizer, in a new folder."""
    folder.mkdir()
    (folder / "config.json").write_bytes(strict_json.text_of(config))
    copy_tokenizer(tokenizer.folder, folder)
