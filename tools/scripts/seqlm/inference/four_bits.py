"""A base model in 4 bits, for QLoRA (Dettmers et al. 2023, https://doi.org/10.48550/arXiv.2305.14314), by bitsandbytes.

Each weight is one of the 16 values of NF4, times a scale for every 64 weights, itself in 8 bits. The linear maps of the
layers are held so; embeddings, norms and biases stay as they are.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING

from seqlm.cli.errors import InputError

if TYPE_CHECKING:
    import torch
    from torch import nn

    from seqlm.families.family import Family


def require_bitsandbytes() -> None:
    """Refuse QLoRA where the library is not there. Needs no torch."""
    if find_spec("bitsandbytes") is None:
        raise InputError(
            "QLoRA needs the package bitsandbytes, which is not installed here; ask for it, or choose the method lora"
        )


def in_four_bits(model: nn.Module, family: Family, dtype: torch.dtype, device: torch.device) -> nn.Module:
    """The same frozen model on the device, the linear maps of its layers in 4 bits.

    Args:
        dtype: in which products are computed.
    """
    import bitsandbytes
    import torch
    from transformers.pytorch_utils import Conv1D

    for name, module in linear_maps(model, family):
        weight = module.weight.data.T.contiguous() if isinstance(module, Conv1D) else module.weight.data
        outputs, inputs = weight.shape
        small = bitsandbytes.nn.Linear4bit(inputs, outputs, bias=False, compute_dtype=dtype, quant_type="nf4")
        small.weight = bitsandbytes.nn.Params4bit(weight, requires_grad=False, quant_type="nf4")
        small.bias = module.bias
        # or on a CPU with bf16 the weights are laid out anew in evaluation, for widths of certain multiples alone
        small.support_avx512bf16_for_cpu = False
        model.set_submodule(name, small.to(device), strict=True)
    model.is_loaded_in_4bit = True  # by which peft knows it
    with torch.no_grad():
        return model.to(device)


def linear_maps(model: nn.Module, family: Family) -> list[tuple[str, nn.Module]]:
    """Linear maps of the layers that 4 bits may hold, by name."""
    from torch import nn
    from transformers.pytorch_utils import Conv1D

    # T5 turns what it gives to these into their format, and HyenaDNA takes sines of what its filters give
    kept = {*(getattr(model, "_keep_in_fp32_modules", None) or ())}
    kept |= {*(getattr(model, "_keep_in_fp32_modules_strict", None) or ())}
    return [
        (name, module)
        for name, module in model.named_modules()
        if isinstance(module, (nn.Linear, Conv1D))
        and family.layers in name.split(".")[:-1]
        and not kept.intersection(name.split("."))
    ]


def weights_of(parameter: torch.Tensor) -> int:
    """How many weights a tensor holds, however they are packed."""
    state = getattr(parameter, "quant_state", None)
    return state.shape.numel() if state is not None else parameter.numel()


def say_full_precision(manifest: dict | None) -> None:
    """A line where an adapter is put onto a base model in another precision than it was trained on."""
    if manifest and manifest["method"] == "qlora":
        print(
            "note: the adapter was trained on the base model in 4 bits (QLoRA); here the base model is read in full",
            file=sys.stderr,
        )
