"""Several processes that share the updates of one training: torch's own data parallelism, over gloo or NCCL.

An update is the same whatever the number of processes: its items are dealt out, and the gradients are summed. ``ddp``
keeps the whole model in each process (Li et al. 2020, https://doi.org/10.14778/3415478.3415530), ``fsdp`` shares out
weights, gradients and the state of the optimizer (Zhao et al. 2023, https://doi.org/10.14778/3611540.3611569).
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import numpy as np
import torch
from torch import nn

from seqlm.cli.errors import InputError, launched_as
from seqlm.inference import loading

from .launching import launched, others

CPU = torch.device("cpu")
PATIENCE = timedelta(days=1)  # the first may embed for hours; that one has ended is noticed otherwise
AT_ONCE = 1 << 24  # numbers that are sent together


@dataclass(frozen=True)
class Group:
    """The processes at work; alone, one of one.

    Attributes:
        shared: they share the threads that this job has.
    """

    rank: int = 0
    size: int = 1
    strategy: str = "ddp"
    device: torch.device = CPU
    shared: bool = False

    @property
    def shares_weights(self) -> bool:
        """Whether each process holds a part of the weights only."""
        return self.size > 1 and self.strategy in ("fsdp", "deepspeed")

    def wrapped(self, losing: nn.Module) -> nn.Module:
        """What is called in training, ready for it; its ``model`` is shared out in place.

        Args:
            losing: with a ``model``, which may name the ``parts`` that are called by themselves in validation.
        """
        if self.size == 1 or self.strategy == "deepspeed":
            return losing
        if self.strategy == "ddp":
            from torch.nn.parallel import DistributedDataParallel

            return DistributedDataParallel(losing, forward_sync_buffers=False)
        from torch import distributed
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.fsdp import fully_shard

        for tensor in [*losing.model.parameters(), *losing.model.buffers()]:
            distributed.broadcast(tensor.data, 0)  # as ddp does it by itself
        mesh = init_device_mesh(self.device.type, (self.size,))
        for part in getattr(losing.model, "parts", [losing.model]):
            for layer in _layers(part):
                fully_shard(layer, mesh=mesh)
            fully_shard(part, mesh=mesh)
        return losing

    @contextmanager
    def working(self) -> Iterator[None]:
        """While all compute, each has its share of the threads."""
        threads = torch.get_num_threads()
        if self.shared:
            torch.set_num_threads(max(1, threads // self.size))
        try:
            yield
        finally:
            torch.set_num_threads(threads)

    @contextmanager
    def together(self, model: nn.Module, last: bool) -> Iterator[None]:
        """Gradients are exchanged in the last pass of an update only."""
        waits = self.size > 1 and self.strategy == "ddp" and not last
        with model.no_sync() if waits else nullcontext():
            yield

    def totals(self, counted: float, passes: int, ended: bool) -> tuple[float, int, bool]:
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

    def told(self, value):
        """What the first process says, in every process: anything that JSON can hold."""
        if self.size == 1:
            return value
        from torch import distributed

        text = json.dumps(value).encode() if self.rank == 0 else b""
        length = torch.tensor([len(text)], device=self.device)
        distributed.broadcast(length, 0)
        content = torch.zeros(int(length), dtype=torch.uint8, device=self.device)
        if self.rank == 0:
            content.copy_(torch.frombuffer(bytearray(text), dtype=torch.uint8))
        distributed.broadcast(content, 0)
        return json.loads(bytes(content.cpu().numpy()))

    def given(
        self, values: np.ndarray | None, room: Callable[[tuple[int, ...]], np.ndarray] | None = None
    ) -> np.ndarray:
        """The numbers that the first process has, fp32, in every process.

        Args:
            room: makes the array that the others fill, of a shape; in memory if not given.
        """
        if self.size == 1:
            return values
        from torch import distributed

        shape = tuple(self.told(list(values.shape) if self.rank == 0 else None))
        found = values
        if self.rank:
            found = room(shape) if room else np.empty(shape, np.float32)
        rows = max(1, AT_ONCE // max(1, int(np.prod(shape[1:]))))
        for at in range(0, shape[0], rows):
            part = torch.from_numpy(np.array(found[at : at + rows], np.float32)).to(self.device)
            distributed.broadcast(part, 0)
            if self.rank:
                found[at : at + rows] = part.cpu().numpy()
        return found

    @contextmanager
    def gathered(self, named: dict[str, torch.Tensor], changed: bool = False) -> Iterator[None]:
        """Whole weights, where DeepSpeed has shared them out; ``changed``: what the first process writes is kept."""
        if self.size == 1 or not any(hasattr(one, "ds_id") for one in named.values()):
            yield
            return
        import deepspeed

        with deepspeed.zero.GatheredParameters(list(named.values()), modifier_rank=0 if changed else None):
            yield

    def whole(self, named: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """All of each weight, on the CPU in fp32; every process takes part."""
        with self.gathered(named):
            return {name: full(one).detach().float().cpu().clone() for name, one in named.items()}

    def like(self, value: torch.Tensor, parameter: torch.Tensor) -> torch.Tensor:
        """A whole tensor as the parameter is held: on its device, or this process's share of it."""
        if not hasattr(parameter, "full_tensor"):
            return value.to(parameter.device, parameter.dtype).clone()
        from torch.distributed.tensor import distribute_tensor

        return distribute_tensor(value.to(self.device), parameter.device_mesh, parameter.placements)

    def settle(self, model: nn.Module) -> None:
        """Give back what was put together for the last batch, so that the model's weights are again those that are
        trained."""
        if self.size > 1 and self.strategy == "fsdp":
            from torch.distributed.fsdp import FSDPModule

            for module in model.modules():
                if isinstance(module, FSDPModule):
                    module.reshard()

    @torch.no_grad()
    def fill(self, named: dict[str, torch.Tensor], values: dict[str, torch.Tensor]) -> None:
        with self.gathered(named, changed=True):
            for name, parameter in named.items():
                parameter.copy_(self.like(values[name], parameter))


ALONE = Group()


def full(tensor: torch.Tensor) -> torch.Tensor:
    """The whole of a tensor that processes may have shared out."""
    return tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor


def _layers(model: nn.Module) -> list[nn.Module]:
    """The layers of the model: members of its lists of modules."""
    lists = [one for one in model.modules() if isinstance(one, nn.ModuleList)]
    longest = max(lists, key=len, default=[])
    return list(longest)


@contextmanager
def taking_part(plan, device: torch.device, work: Callable) -> Iterator[Group]:
    """The group that this process is one of, while it trains together. Where nobody else has started the others, this
    one does, and each calls ``work(plan, group)``.

    Args:
        plan: with ``arguments`` and ``scratch``; it is sent to the others.
        work: a function of a module.

    Raises:
        InputError: more processes than GPUs, or a mistake that another process has found.
    """
    arguments, scratch = plan.arguments, plan.scratch
    if launched():
        with joined(launched_as(), launched(), arguments.strategy, device, None) as group:
            yield group
        return
    size = arguments.processes
    if device.type == "cuda" and size > torch.cuda.device_count():
        raise InputError(
            f"each of the {size} processes needs a GPU, and this job has {torch.cuda.device_count()}; ask for fewer "
            "processes"
        )
    meeting = scratch / "meeting"
    with others(size, _take_part, (plan, work), scratch), joined(0, size, arguments.strategy, device, meeting) as group:
        yield group


def _take_part(rank: int, plan, work: Callable) -> None:
    """What every process but the first does."""
    arguments = plan.arguments
    device = loading.prepare(arguments.threads, arguments.seed, arguments.device)
    with joined(rank, arguments.processes, arguments.strategy, device, plan.scratch / "meeting") as group:
        work(plan, group)


@contextmanager
def joined(rank: int, size: int, strategy: str, device: torch.device, meeting: Path | None) -> Iterator[Group]:
    """Take part as process ``rank`` of ``size``.

    Args:
        meeting: a file that does not exist yet, where the processes find each other; None where torchrun says how.
    """
    if size == 1:
        yield Group(device=device)
        return
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
    yield Group(rank, size, strategy, device, shared=meeting is not None)
    distributed.destroy_process_group()  # where all went well: else it would wait for the others
