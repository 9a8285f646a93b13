"""LoRA, its variants and its smaller kin, by peft: put onto an encoder, saved, and put back.

W x becomes W x + (alpha / rank) B A x with A (rank, inputs) and B (outputs, rank) trained and W frozen (Hu et al. 2021,
https://doi.org/10.48550/arXiv.2106.09685). DoRA trains the length of each row of W apart from its direction
(https://doi.org/10.48550/arXiv.2402.09353), rsLoRA divides by the root of the rank
(https://doi.org/10.48550/arXiv.2312.03732), PiSSA starts A and B from the largest singular values of W instead of from
noise and zero (https://doi.org/10.48550/arXiv.2404.02948). QLoRA is LoRA on a base model held in 4 bits
(https://doi.org/10.48550/arXiv.2305.14314), see :mod:`seqlm.inference.four_bits`.

AdaLoRA trains B E A with E diagonal, and sets those entries of E to zero that matter least, so that each matrix ends
with a rank of its own (https://doi.org/10.48550/arXiv.2303.10512). IA3 multiplies keys, values and what enters the
second feed-forward map by a trained vector each (https://doi.org/10.48550/arXiv.2205.05638). VeRA has one random A and
B for all matrices, and trains a scale of each rank and of each output (https://doi.org/10.48550/arXiv.2310.11454).
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from seqlm.checkpoints.adapter_tensors import require_biases
from seqlm.cli.errors import InputError
from seqlm.families.family import Family

from .entering import blocks_of
from .finite import check_weights


@dataclass(frozen=True)
class LoraSettings:
    """What the user chose; the names are peft's. What a method does not have is not looked at.

    Attributes:
        method: one of :data:`seqlm.checkpoints.manifest.ADAPTERS`.
        rank: of AdaLoRA, the mean over all matrices at the end.
        vera_rank: of the matrices that VeRA shares.
    """

    method: str = "lora"
    rank: int = 8
    alpha: float = 16
    dropout: float = 0.1
    modules: str = "attention"  # a key of Family.lora_modules
    last_layers: int = 0  # adapt only so many of the last layers; 0 for all
    rslora: bool = False
    pissa: bool = False
    layer_norms: bool = False
    vera_rank: int = 256


def _lora(settings: LoraSettings, **common):
    from peft import LoraConfig

    return LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,
        lora_dropout=settings.dropout,
        use_dora=settings.method == "dora",
        use_rslora=settings.rslora,
        init_lora_weights="pissa" if settings.pissa else True,
        **common,
    )


def _adalora(settings: LoraSettings, **common):
    from peft import AdaLoraConfig

    return AdaLoraConfig(
        target_r=settings.rank,
        init_r=math.ceil(1.5 * settings.rank),  # as the authors have it
        lora_alpha=settings.alpha,
        lora_dropout=settings.dropout,
        total_step=1,  # RankAllocation knows better, once the training does
        **common,
    )


def _vera(settings: LoraSettings, **common):
    from peft import VeraConfig

    # the random matrices are saved, or whoever loads the adapter needs the same generator of random numbers
    return VeraConfig(r=settings.vera_rank, vera_dropout=settings.dropout, save_projection=True, **common)


def _ia3(settings: LoraSettings, **common):
    from peft import IA3Config

    return IA3Config(**common)


# method -> the maker of peft's config
CONFIGS: dict[str, Callable] = {
    "lora": _lora, "dora": _lora, "qlora": _lora, "adalora": _adalora, "vera": _vera, "ia3": _ia3,
}  # fmt: skip


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
    from peft import TaskType, get_peft_model

    family.check_adapter(rank=settings.rank if settings.method not in ("vera", "ia3") else 0)
    layers = _layers(backbone, family, settings.last_layers)
    names = [name for name, _ in backbone.named_modules()]
    norms = [norm for norm in family.layer_norms if any(name.endswith(norm) for name in names)]
    config = CONFIGS[settings.method](
        settings,
        task_type=TaskType.CAUSAL_LM if writes else TaskType.FEATURE_EXTRACTION,
        modules_to_save=norms if settings.layer_norms else None,
        base_model_name_or_path=base_model,
        **_targets(family, settings, names, layers),
    )
    backbone.name_or_path = base_model  # or peft notes the path on this machine in its place
    model = get_peft_model(backbone, config)
    for name, one in model.named_parameters():
        if ".ranknum." in name:  # of AdaLoRA; peft makes them ready to be trained on a GPU, and never saves them
            one.requires_grad_(False)
    return model


def _layers(backbone: nn.Module, family: Family, last: int) -> list[int] | None:
    """Numbers of the layers that are adapted; None for all."""
    if not last:
        return None
    depth = len(blocks_of(backbone, family.layers))
    family.check_adapter(last_layers=last, depth=depth)
    return list(range(depth - last, depth))


def _targets(family: Family, settings: LoraSettings, names: list[str], layers: list[int] | None) -> dict:
    """Which modules are adapted, as entries of peft's config."""
    if settings.method != "ia3":
        family.check_training(settings.modules)
        targets = family.lora_modules[settings.modules]
        if layers is None:
            return {"target_modules": targets}
        # written out, since peft 0.19's entries for layers find none that stand at the top of a model
        return {"target_modules": _named(names, tuple(map(re.escape, targets)), family, layers)}
    # peft's IA3 has no entry for layers, and takes the end of a name for the whole of it, so they are written out
    outputs, inputs = (_named(names, patterns, family, layers) for patterns in (family.scaled, family.scaled_inputs))
    return {"target_modules": outputs + inputs, "feedforward_modules": inputs}


def _named(names: list[str], patterns: tuple[str, ...], family: Family, layers: list[int] | None) -> list[str]:
    """Modules within the layers whose names end with one of the patterns."""
    ending = re.compile(rf"(?:.+\.)?{family.layers}\.(\d+)\.(?:.+\.)?(?:{'|'.join(patterns)})")
    found = ((name, ending.fullmatch(name)) for name in names if patterns)
    return [name for name, match in found if match and (layers is None or int(match.group(1)) in layers)]


def pissa_start(model: nn.Module) -> dict[str, torch.Tensor] | None:
    """A and B of a fresh PiSSA adapter, which :func:`save_adapter` needs; None for any other start."""
    from peft import get_peft_model_state_dict

    if getattr(model.peft_config["default"], "init_lora_weights", None) != "pissa":
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

    if allocation_of(model):
        # from what is kept, and not from the last update: another state may have been the best
        values = {name: one for name, one in model.base_model.model.named_parameters() if ".lora_E." in name}
        model.peft_config["default"].rank_pattern = {
            name: (one != 0).flatten().tolist() for name, one in values.items()
        }
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
    from peft import get_peft_model, set_peft_model_state_dict
    from peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING
    from safetensors.torch import load_file

    tensors, biases = load_file(folder / "adapter_model.safetensors"), {}
    check_weights(tensors.items(), "the adapter")
    known = {key: value for key, value in config.items() if key not in ("peft_type", "inference_mode")}
    if known.get("bias") == "lora_only":
        # not every version of peft knows which these are, so they are put into the base model's own
        known["bias"] = "none"
        biases = {name: tensors.pop(name) for name in list(tensors) if name.endswith(".base_layer.bias")}
    backbone.name_or_path = config.get("base_model_name_or_path") or ""
    try:
        maker = PEFT_TYPE_TO_CONFIG_MAPPING[config.get("peft_type", "LORA")]
        model = get_peft_model(backbone, maker(**known, inference_mode=True))
        if config.get("bias") == "lora_only":
            own = {name: one for name, one in model.state_dict().items() if name.endswith(".base_layer.bias")}
            require_biases(own, biases, "lora_only")
            _check_shapes(own, biases)
            model.load_state_dict(biases, strict=False)
        _check_shapes(adapter_tensors(model), tensors)
        set_peft_model_state_dict(model, tensors)
    except (ValueError, RuntimeError, KeyError, TypeError, AttributeError) as problem:
        raise InputError(f"the adapter cannot be put onto this base model: {str(problem).splitlines()[0]}") from None
    return model.eval()


def allocation_of(model: nn.Module) -> nn.Module | None:
    """The part of peft's that deals out ranks, if the model has an AdaLoRA adapter."""
    return next((module for module in model.modules() if "rankallocator" in vars(module)), None)


class RankAllocation:
    """What AdaLoRA does beside the updates of any training: ranks go to the matrices where they matter.

    Of 100 updates, 15 train all ranks, 35 take them away one after the other, and 50 train what is left
    (Zhang et al. 2023, https://doi.org/10.48550/arXiv.2303.10512).

    Args:
        tuner: as :func:`allocation_of` found it.
        steps: updates of the whole training.
    """

    def __init__(self, tuner: nn.Module, steps: int):
        self.tuner, self.config = tuner, tuner.peft_config["default"]
        self.config.total_step, self.config.tinit, self.config.tfinal = steps, steps * 15 // 100, steps // 2
        self.config.deltaT = max(1, steps // 500)
        self.fixed = False

    def regularise(self) -> None:
        """Add the gradient of what keeps the rows of A and the columns of B apart, once an update.

        peft adds the same to a ``loss`` among the outputs of the model, which an encoder does not have.
        """
        named = self.tuner.model.named_parameters()
        trained = {name: one for name, one in named if ("lora_A" in name or "lora_B" in name) and one.requires_grad}
        products = [one @ one.T if "lora_A" in name else one.T @ one for name, one in trained.items()]
        apart = [torch.linalg.norm(one - torch.eye(len(one), device=one.device, dtype=one.dtype)) for one in products]
        loss = self.config.orth_reg_weight * torch.stack(apart).mean()
        for one, gradient in zip(trained.values(), torch.autograd.grad(loss, list(trained.values())), strict=True):
            one.grad = gradient if one.grad is None else one.grad.add_(gradient)

    def allocate(self, done: int) -> None:
        """After an update, while its gradients are still there.

        Args:
            done: updates so far, this one among them.
        """
        last = self.config.total_step - self.config.tfinal
        step = last if done > last and not self.fixed else done  # an update without anything to learn is left out
        self.fixed = self.fixed or step >= last
        self.tuner.update_and_allocate(step)


def adapter_tensors(model: nn.Module) -> dict[str, torch.Tensor]:
    """The tensors of the adapter on a model, as a file names them; what is written into them is in the model."""
    from peft import get_peft_model_state_dict

    return get_peft_model_state_dict(model, save_embedding_layers=False)


def other_adapter(model: nn.Module, file: Path) -> dict[str, torch.Tensor]:
    """The tensors of another adapter of the same kind as that on ``model``, to be written into its place.

    Raises:
        InputError: as :func:`load_adapter`.
    """
    from safetensors.torch import load_file

    tensors = load_file(file)
    check_weights(tensors.items(), file.name)
    _check_shapes(live := adapter_tensors(model), tensors)
    return {name: tensor.to(live[name]) for name, tensor in tensors.items()}


def _check_shapes(expected: dict[str, torch.Tensor], given: dict[str, torch.Tensor]) -> None:
    """Refuse tensors that the adapter of this base model does not have."""
    expected, given = ({name: tensor.shape for name, tensor in one.items()} for one in (expected, given))
    if expected != given:
        wrong = sorted(name for name in expected.keys() | given.keys() if expected.get(name) != given.get(name))
        raise InputError(
            f"the adapter does not fit this base model: {len(wrong)} of its {len(given)} tensors are missing, "
            f"left over or of another shape ({wrong[0]}); give the base model that it was trained on"
        )
