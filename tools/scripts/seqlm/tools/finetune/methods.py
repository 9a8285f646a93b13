"""What can be trained of a model, what each way asks for, and what can stay together in one fold."""

from __future__ import annotations

from argparse import Namespace

from seqlm.checkpoints.manifest import ADAPTERS
from seqlm.cli.errors import InputError
from seqlm.families.family import Family
from seqlm.inference.four_bits import require_bitsandbytes
from seqlm.training.launching import launched

# method -> the learning rate that suits it, where none is given. The few numbers of IA3 and VeRA take larger steps
# (https://doi.org/10.48550/arXiv.2205.05638, https://doi.org/10.48550/arXiv.2310.11454), and so do AdaLoRA's, which
# start from zero (https://doi.org/10.48550/arXiv.2303.10512)
LEARNING_RATES = {
    "lora": 3e-4, "dora": 3e-4, "qlora": 3e-4, "adalora": 1e-3, "vera": 4e-3, "ia3": 3e-3, "full": 2e-5, "head": 1e-3,
}  # fmt: skip
VERA_RANK = 256
GROUPS = ("auto", "none", "homology", "scaffold", "protein", "column")
NAMES = {
    "lora": "LoRA", "dora": "DoRA", "adalora": "AdaLoRA", "vera": "VeRA", "ia3": "IA3", "qlora": "QLoRA",
    "head": "Only the head", "full": "All weights",
}  # fmt: skip
# method -> options, or what their names begin with, that do not matter to it
UNUSED = {
    "lora": (),
    "dora": (),
    "qlora": ("lora_start",),
    "adalora": ("lora_start", "lora_scaling"),
    "vera": ("lora_start", "lora_scaling", "lora_rank", "lora_alpha"),
    "ia3": ("lora_start", "lora_scaling", "lora_rank", "lora_alpha", "lora_dropout", "lora_modules"),
    "full": ("lora", "train_layer_norms"),
    "head": ("lora", "train_layer_norms"),
}


def check_method(arguments: Namespace) -> None:
    """Fill in what was not given, and refuse what the method cannot do.

    Raises:
        InputError: options that contradict each other, or QLoRA where bitsandbytes is not installed.
    """
    method = arguments.method
    if arguments.learning_rate is None:
        arguments.learning_rate = LEARNING_RATES[method]
    if arguments.lora_start == "pissa" and method == "dora":
        raise InputError("a PiSSA start and DoRA cannot be combined; choose one of them")
    if method not in ADAPTERS:
        return
    if arguments.lora_start == "pissa" and "lora_start" in UNUSED[method]:
        raise InputError(f"a PiSSA start is for the method lora; the method is {method}")
    if arguments.lora_scaling == "rslora" and "lora_scaling" in UNUSED[method]:
        raise InputError(f"the scaling of rsLoRA is for the methods lora, dora and qlora; the method is {method}")
    if method == "vera":
        arguments.vera_rank = arguments.vera_rank or VERA_RANK
    elif arguments.vera_rank:
        raise InputError(f"--vera-rank is for the method vera; the method is {method}")
    several = max(arguments.processes, launched()) > 1
    if method in ("adalora", "qlora") and several and arguments.strategy != "ddp":
        raise InputError(f"processes that share the weights of a model cannot train with {method}; choose ddp")
    if method == "qlora":
        require_bitsandbytes()


def check_trained(arguments: Namespace, family: Family) -> None:
    """Refuse what cannot be trained of a model of this family, the settings of a sweep included.

    Raises:
        InputError: modules, a rank or a number of layers that it has not, or checkpointing that it cannot do.
    """
    unused = UNUSED[arguments.method]
    modules = None if "lora_modules".startswith(unused) else arguments.lora_modules
    family.check_training(modules, arguments.gradient_checkpointing and arguments.method != "head")
    if arguments.method in ADAPTERS:
        rank = 0 if "lora_rank".startswith(unused) else max(arguments.lora_rank, *arguments.sweep_ranks, 0)
        family.check_adapter(rank, max(arguments.lora_last_layers, *arguments.sweep_layers, 0))


def cited(method: str) -> tuple[str, ...]:
    """Keys of the citations of a method."""
    if method not in ADAPTERS:
        return ()
    return tuple(dict.fromkeys(("lora", method, "peft"))) if method not in ("vera", "ia3") else (method, "peft")
