"""LoRA and its variants, by peft: put onto an encoder, saved, and put back.

W x becomes W x + (alpha / rank) B A x with A (rank, inputs) and B (outputs, rank) trained and W frozen (Hu et al. 2021,
https://doi.org/10.48550/arXiv.2106.09685). DoRA trains the length of each row of W apart from its direction
(https://doi.org/10.48550/arXiv.2402.09353), rsLoRA divides by the root of the rank
(https://doi.org/10.48550/arXiv.2312.03732), PiSSA starts A and B from the largest singular values of W instead of from
noise and zero (https://doi.org/10.48550/arXiv.2404.02948).
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from seqlm.cli.errors import InputError
from seqlm.families.family import Family

from .finite import check_weights


@dataclass(frozen=True)
class LoraSettings:
    """What the user chose; the names are peft's."""

    rank: int = 8
    alpha: float = 16
    dropout: float = 0.1
    modules: str = "attention"  # a key of Family.lora_modules
    last_layers: int = 0  # adapt only so many of the last layers; 0 for all
    dora: bool = False
    rslora: bool = False
    pissa: bool = False
    layer_norms: bool = False


def add_adapter(
    backbone: nn.Module, family: Family, settings: LoraSettings, base_model: str, writes: bool = False
) -> nn.Module:
    """A fresh adapter on a frozen model; only the adapter (and, if asked, the layer norms) can be trained.

    Args:
        writes: the model is a whole one with its head for tokens, not an encoder, and the adapter is to be put onto
            such a one again.

    Raises:
        InputError: more layers asked for than there are, a rank above the width of the model, or modules that the
            family has no adapter for.
    """
    from peft import LoraConfig, TaskType, get_peft_model

    if settings.rank > family.hidden_size:
        raise InputError(f"the LoRA rank {settings.rank} is above the width of the model, {family.hidden_size}")
    family.check_training(settings.modules)
    layers = None
    if settings.last_layers:
        depth = len(next(m for name, m in backbone.named_modules() if name.split(".")[-1] == family.layers))
        if settings.last_layers > depth:
            raise InputError(f"the model has {depth} layers, so the last {settings.last_layers} cannot be adapted")
        layers = list(range(depth - settings.last_layers, depth))
    names = {name for name, _ in backbone.named_modules()}
    norms = [norm for norm in family.layer_norms if any(name.endswith(norm) for name in names)]
    config = LoraConfig(
        task_type=TaskType.CAUSAL_LM if writes else TaskType.FEATURE_EXTRACTION,
        r=settings.rank,
        lora_alpha=settings.alpha,
        lora_dropout=settings.dropout,
        target_modules=family.lora_modules[settings.modules],
        layers_to_transform=layers,
        layers_pattern=family.layers if layers else None,
        use_dora=settings.dora,
        use_rslora=settings.rslora,
        init_lora_weights="pissa" if settings.pissa else True,
        modules_to_save=norms if settings.layer_norms else None,
        base_model_name_or_path=base_model,
    )
    backbone.name_or_path = base_model  # or peft notes the path on this machine in its place
    return get_peft_model(backbone, config)


def pissa_start(model: nn.Module) -> dict[str, torch.Tensor] | None:
    """A and B of a fresh PiSSA adapter, which :func:`save_adapter` needs; None for any other start."""
    from peft import get_peft_model_state_dict

    if model.peft_config["default"].init_lora_weights != "pissa":
        return None
    tensors = get_peft_model_state_dict(model, save_embedding_layers=False)
    return {name: tensor.detach().cpu().clone() for name, tensor in tensors.items() if "lora_" in name}


def save_adapter(model: nn.Module, folder: Path, start: dict[str, torch.Tensor] | None = None) -> None:
    """Write adapter_config.json and adapter_model.safetensors, byte for byte the same for the same adapter.

    Args:
        start: of a PiSSA adapter, as :func:`pissa_start` gave it. PiSSA takes B0 A0 out of the frozen weights; what is
            written is the adapter of twice the rank that does the same to the unchanged base model,
            B A - B0 A0 = [B | -B0] [A over A0]. (peft has this too, but loses trained layer norms on the way.)
    """
    from safetensors.torch import load_file, save_file

    model.save_pretrained(folder, safe_serialization=True, save_embedding_layers=False)
    (folder / "README.md").unlink(missing_ok=True)
    config = json.loads((folder / "adapter_config.json").read_text())
    if start:
        weights = load_file(folder / "adapter_model.safetensors")
        for name, value in start.items():
            stacked = [weights[name], value] if "lora_A" in name else [weights[name], -value]
            weights[name] = torch.cat(stacked, dim=0 if "lora_A" in name else 1).contiguous()
        save_file(weights, folder / "adapter_model.safetensors", metadata={"format": "pt"})
        config["r"] *= 2
        config["lora_alpha"] *= math.sqrt(2) if config["use_rslora"] else 2  # the scaling stays as it was
        config["init_lora_weights"] = True
    for key, value in config.items():  # peft keeps names in sets, whose order changes from run to run
        if isinstance(value, list):
            config[key] = sorted(value)
    (folder / "adapter_config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")


def load_adapter(backbone: nn.Module, folder: Path, config: dict) -> nn.Module:
    """Put a saved adapter onto its base model.

    Args:
        config: adapter_config.json as :func:`seqlm.checkpoints.adapter_config.check_adapter_config` leaves it;
            the file itself is not read again.

    Raises:
        InputError: tensors that are missing, left over, of another shape than the base model's, or no numbers.
    """
    from peft import LoraConfig, get_peft_model, get_peft_model_state_dict, set_peft_model_state_dict
    from safetensors.torch import load_file

    tensors = load_file(folder / "adapter_model.safetensors")
    check_weights(tensors.items(), "the adapter")
    known = {key: value for key, value in config.items() if key not in ("peft_type", "inference_mode")}
    backbone.name_or_path = config.get("base_model_name_or_path") or ""
    try:
        model = get_peft_model(backbone, LoraConfig(**known, inference_mode=True))
        expected = {
            name: tensor.shape for name, tensor in get_peft_model_state_dict(model, save_embedding_layers=False).items()
        }
        given = {name: tensor.shape for name, tensor in tensors.items()}
        if expected != given:
            wrong = sorted(name for name in expected.keys() | given.keys() if expected.get(name) != given.get(name))
            raise InputError(
                f"the adapter does not fit this base model: {len(wrong)} of its {len(given)} tensors are missing, "
                f"left over or of another shape ({wrong[0]}); give the base model that it was trained on"
            )
        set_peft_model_state_dict(model, tensors)
    except (ValueError, RuntimeError, KeyError, TypeError) as problem:
        raise InputError(f"the adapter cannot be put onto this base model: {str(problem).splitlines()[0]}") from None
    return model.eval()
