"""DeepSpeed's ZeRO (Rajbhandari et al. 2020, https://doi.org/10.1109/SC41405.2020.00024): its configuration, made here
and checked, and the engine that trains with it.

Stage 2 shares out gradients and the state of the optimizer, stage 3 the weights as well. DeepSpeed is no requirement of
the tool: where it is not installed, the choice is refused before any work.
"""

from __future__ import annotations

import os
from argparse import Namespace
from importlib.util import find_spec
from typing import TYPE_CHECKING

from seqlm.cli.errors import InputError

if TYPE_CHECKING:
    from torch import nn

    from .state import Settings

STAGES = (2, 3)
HALVES = ("bfloat16", "float16")
EVEN = 1024  # buckets are a multiple of
BUCKET = 100_000 * EVEN  # gradients that are summed together; DeepSpeed allocates and fills so many in every update
# what a configuration may hold, and of what kind it is
KNOWN = {
    "train_micro_batch_size_per_gpu": int,
    "gradient_accumulation_steps": int,
    "train_batch_size": int,
    "gradient_clipping": float,
    "steps_per_print": int,
    "wall_clock_breakdown": bool,
    "zero_optimization": dict,
    "zero_allow_untested_optimizer": bool,
    "zero_force_ds_cpu_optimizer": bool,
    "torch_autocast": dict,
}


def check_deepspeed(arguments: Namespace) -> None:
    """Refuse what DeepSpeed cannot do here, without importing it.

    Raises:
        InputError: DeepSpeed is not installed, or a checkpoint is wanted.
    """
    if arguments.strategy != "deepspeed":
        return
    if getattr(arguments, "output_checkpoint", None) or getattr(arguments, "resume", None):
        raise InputError("DeepSpeed keeps its state in files that this tool does not open; choose fsdp for checkpoints")
    if find_spec("deepspeed") is None:
        raise InputError("DeepSpeed is not installed here; choose ddp, or fsdp for models too large for one GPU")


def configuration(settings: Settings, processes: int, stage: int, half: str, weights: int) -> dict:
    """What DeepSpeed is started with.

    Args:
        weights: that are trained.
        half: ``bfloat16`` or ``float16``, in which products are computed of weights that stay in single precision, as
            the loop does it without DeepSpeed; empty for single precision.
    """
    bucket = min(BUCKET, -(-weights // EVEN) * EVEN)
    each = max(1, settings.batch_size // processes)
    config = {
        "train_micro_batch_size_per_gpu": each,
        "gradient_accumulation_steps": 1,  # passes of an update are counted by the loop
        "train_batch_size": each * processes,
        "gradient_clipping": float(settings.clip),
        "steps_per_print": 1 << 30,
        "wall_clock_breakdown": False,
        "zero_allow_untested_optimizer": True,
        "zero_force_ds_cpu_optimizer": False,
        "zero_optimization": {
            "stage": stage,
            "contiguous_gradients": True,
            "overlap_comm": False,
            "reduce_bucket_size": bucket,
            "allgather_bucket_size": bucket,
        },
    }
    if half:
        config["torch_autocast"] = {"enabled": True, "dtype": half}
    check_configuration(config, processes)
    return config


def check_configuration(config: dict, processes: int) -> None:
    """What DeepSpeed itself would complain of, and misspelt entries, which it would pass over.

    Raises:
        ValueError: naming the entry.
    """
    for name, value in config.items():
        if name not in KNOWN:
            raise ValueError(f"DeepSpeed knows no entry {name!r}")
        if type(value) is not KNOWN[name]:
            raise ValueError(f"{name!r} must be {KNOWN[name].__name__}")
    if config["zero_optimization"].get("stage") not in STAGES:
        raise ValueError("the stage must be 2 or 3")
    product = config["train_micro_batch_size_per_gpu"] * config["gradient_accumulation_steps"] * processes
    if config["train_batch_size"] != product:
        raise ValueError("'train_batch_size' must be rows of a pass times passes times processes")
    if config.get("torch_autocast", {}).get("dtype", HALVES[0]) not in HALVES:
        raise ValueError(f"the dtype of 'torch_autocast' must be {' or '.join(HALVES)}")


def start_engine(losing: nn.Module, optimizer, config: dict, rank: int, size: int):
    """DeepSpeed's engine around the model, and its optimizer around ours."""
    os.environ.setdefault("LOCAL_RANK", str(rank))
    os.environ.setdefault("RANK", str(rank))
    os.environ.setdefault("WORLD_SIZE", str(size))
    import deepspeed

    if next(losing.parameters()).device.type == "cpu":
        # sums over shared memory: compiled anew by every job, for a minute, and its processes wait by spinning
        deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False
    deepspeed.init_distributed(dist_init_required=False, verbose=False)
    engine, optimizer, _, _ = deepspeed.initialize(model=losing, optimizer=optimizer, config=config)
    return engine, optimizer
