"""Several processes that share the updates of one training: torch's own data parallelism, over gloo or NCCL.

An update is the same whatever the number of processes: its rows are dealt out, and the gradients are summed. ``ddp``
keeps the whole model in each process (Li et al. 2020, https://doi.org/10.14778/3415478.3415530), ``fsdp`` shares out
weights, gradients and the state of the optimizer (Zhao et al. 2023, https://doi.org/10.14778/3611540.3611569).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import torch
from torch import nn

CPU = torch.device("cpu")
PATIENCE = timedelta(minutes=30)


@dataclass(frozen=True)
class Group:
    """The processes at work; alone, one of one."""

    rank: int = 0
    size: int = 1
    strategy: str = "ddp"
    device: torch.device = CPU

    @property
    def shares_weights(self) -> bool:
        """Whether each process holds a part of the weights only."""
        return self.size > 1 and self.strategy in ("fsdp", "deepspeed")

    def wrapped(self, model: nn.Module) -> nn.Module:
        """The model as it is to be called in training."""
        if self.size == 1:
            return model
        if self.strategy == "fsdp":
            from torch.distributed.device_mesh import init_device_mesh
            from torch.distributed.fsdp import fully_shard

            mesh = init_device_mesh(self.device.type, (self.size,))
            for layer in _layers(model):
                fully_shard(layer, mesh=mesh)
            fully_shard(model.model, mesh=mesh)  # and not what only adds up its loss: it is also called by itself
            return model
        if self.strategy == "deepspeed":
            return model
        from torch.nn.parallel import DistributedDataParallel

        return DistributedDataParallel(model, find_unused_parameters=False)

    @contextmanager
    def together(self, model: nn.Module, last: bool):
        """Gradients are exchanged in the last pass of an update only."""
        waits = self.size > 1 and self.strategy == "ddp" and not last
        with model.no_sync() if waits else nullcontext():
            yield

    def totals(self, counted: int, passes: int, ended: bool) -> tuple[float, int, bool]:
        """What counts in all processes together, the most passes of any, whether any is to be ended."""
        if self.size == 1:
            return float(counted), passes, ended
        from torch import distributed

        given = torch.tensor([float(counted), float(passes), float(ended)], dtype=torch.float64, device=self.device)
        every = [torch.zeros_like(given) for _ in range(self.size)]
        distributed.all_gather(every, given)
        every = torch.stack(every)
        return float(every[:, 0].sum()), int(every[:, 1].max()), bool(every[:, 2].max() > 0)

    def summed(self, value: float) -> float:
        if self.size == 1:
            return value
        from torch import distributed

        given = torch.tensor([value], dtype=torch.float64, device=self.device)
        distributed.all_reduce(given)
        return float(given)

    def agree(self, wanted: bool) -> bool:
        """Whether any process wants it."""
        return wanted if self.size == 1 else self.summed(float(wanted)) > 0

    @contextmanager
    def gathered(self, named: dict[str, torch.Tensor], changed: bool = False):
        """Whole weights, where DeepSpeed has shared them out; ``changed``: what the first process writes is kept."""
        if self.size == 1 or not any(hasattr(one, "ds_id") for one in named.values()):
            yield
            return
        import deepspeed

        with deepspeed.zero.GatheredParameters(list(named.values()), modifier_rank=0 if changed else None):
            yield

    def like(self, value: torch.Tensor, parameter: torch.Tensor) -> torch.Tensor:
        """A whole tensor as the parameter is held: on its device, or this process's share of it."""
        if not hasattr(parameter, "full_tensor"):
            return value.to(parameter.device, parameter.dtype).clone()
        from torch.distributed.tensor import distribute_tensor

        return distribute_tensor(value.to(self.device), parameter.device_mesh, parameter.placements)

    @torch.no_grad()
    def fill(self, named: dict[str, torch.Tensor], values: dict[str, torch.Tensor]) -> None:
        with self.gathered(named, changed=True):
            for name, parameter in named.items():
                parameter.copy_(self.like(values[name], parameter))

    def close(self) -> None:
        if self.size > 1:
            from torch import distributed

            distributed.destroy_process_group()


def full(tensor: torch.Tensor) -> torch.Tensor:
    """The whole of a tensor that processes may have shared out."""
    return tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor


def _layers(model: nn.Module) -> list[nn.Module]:
    """The layers of the model: members of its lists of modules."""
    lists = [one for one in model.modules() if isinstance(one, nn.ModuleList)]
    longest = max(lists, key=len, default=[])
    return list(longest)


def launched() -> int:
    """Processes that torchrun or accelerate started this one as one of; 0 where nobody did."""
    return int(os.environ.get("WORLD_SIZE", 0)) if "RANK" in os.environ else 0


def join(rank: int, size: int, strategy: str, device: torch.device, meeting: Path | None) -> Group:
    """Take part as process ``rank`` of ``size``.

    Args:
        meeting: a file that does not exist yet, where the processes find each other; None where torchrun says how.
    """
    if size == 1:
        return Group(device=device)
    from torch import distributed

    if device.type == "cuda":
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", rank)))
        torch.cuda.set_device(device)
    distributed.init_process_group(
        "nccl" if device.type == "cuda" else "gloo",
        init_method=f"file://{meeting}" if meeting else "env://",
        rank=rank,
        world_size=size,
        timeout=PATIENCE,
    )
    return Group(rank, size, strategy, device)


def start_others(size: int, work: Callable, arguments: tuple) -> list:
    """Start processes 1 … size - 1, each calling ``work(rank, *arguments)``; they end with this one."""
    from torch import multiprocessing

    context = multiprocessing.get_context("spawn")
    others = [context.Process(target=work, args=(rank, *arguments), daemon=True) for rank in range(1, size)]
    for other in others:
        other.start()
    return others
