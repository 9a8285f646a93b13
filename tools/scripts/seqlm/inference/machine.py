"""Where a job runs and how much memory it may use there. Needs torch only to ask a GPU."""

from __future__ import annotations

import os
import re
import resource
import sys
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

GB = 1e9
GALAXY = "GALAXY_MEMORY_MB"  # what Galaxy says a job may use, in MiB
GPU_DEVICES = ("/dev/nvidiactl", "/dev/nvidia0", "/dev/dxg", "/dev/kfd")
CGROUPS = Path("/sys/fs/cgroup")
BF16 = {"avx512_bf16", "amx_bf16", "bf16"}  # what the kernel calls a CPU's instructions for products of bf16


@dataclass(frozen=True)
class Machine:
    """What there is.

    Attributes:
        kind: ``cpu`` or ``cuda``, where the model is computed.
        memory: bytes of the machine that the job may use; words: a beginning of a sentence on them.
        gpu: bytes of the GPU that are free, without what CUDA takes for itself.
        capability: of the GPU, 7.5 as (7, 5).
    """

    kind: str
    memory: float
    gpu: float = 0.0
    capability: tuple[int, int] = (0, 0)
    words: str = "the job may use"


def machine_without_torch(device: str) -> Machine | None:
    """This machine where it is known that no GPU is used; None where torch has to be asked."""
    if device == "cpu" or (device == "auto" and not any(map(os.path.exists, GPU_DEVICES))):
        memory, words = memory_allowed()
        return Machine("cpu", memory, words=words)
    return None


def machine_of(device) -> Machine:
    """This machine with a device of torch. What this process has taken already counts as free."""
    memory, words = memory_allowed()
    if device.type == "cpu":
        return Machine("cpu", memory, words=words)
    import torch

    free = torch.cuda.mem_get_info(device)[0] + torch.cuda.memory_reserved(device)
    return Machine("cuda", memory, free, torch.cuda.get_device_capability(device), "the GPU has")


def slow_in_bf16(described: Path = Path("/proc/cpuinfo")) -> bool:
    """Whether the CPU is known to have no instructions for products of bf16, which torch then computes one by one.

    Of Arm's, and of x86, which the kernel describes in other words; False where nothing is known.
    """
    try:
        found = re.search(r"^(?:flags|Features)\s*:(.*)$", described.read_text(encoding="utf-8"), re.MULTILINE)
    except (OSError, UnicodeDecodeError):
        return False
    return found is not None and not BF16 & set(found[1].split())


@cache  # folds each load a model
def say_slow_bf16() -> None:
    """A line where bf16 was asked for on such a CPU."""
    print(
        "note: this CPU has no instructions for bf16 (lscpu names neither avx512_bf16 nor amx_bf16), so that it takes "
        "longer than fp32, up to several times, and is less exact",
        file=sys.stderr,
    )


NO_GPU = "no GPU was found"


def why_no_gpu() -> str:
    """Why torch cannot compute on a GPU here, as the beginning of a sentence; empty where it can.

    A driver that is too old makes torch say that there is none. A GPU that torch was not built for seems to be there,
    and fails at the first product: CUDA 13 has left out the V100, CUDA 12.6 does not know what came after the H100.
    """
    import torch

    if torch.cuda.is_available():
        has, built = torch.cuda.get_device_capability(0), torch.cuda.get_arch_list()
        if runs_on(has, built):
            return ""
        name = torch.cuda.get_device_name(0)
        return f"torch {torch.__version__} was not built for the GPU ({name}, compute capability {has[0]}.{has[1]})"
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES", "0") in ("", "-1", "NoDevFiles")
    if hidden or not any(map(os.path.exists, GPU_DEVICES)):
        return NO_GPU
    if not torch.version.cuda:
        return f"there is a GPU, and torch {torch.__version__} was built without CUDA"
    return f"there is a GPU, and its driver is missing or older than CUDA {torch.version.cuda} needs"


def runs_on(capability: tuple[int, int], built: list[str]) -> bool:
    """Whether one of the programs that torch was built as, such as ``sm_86``, runs on a GPU.

    It runs on later GPUs of the same major number (with a letter behind it on that GPU alone); ``compute_90`` is turned
    into one for any later GPU. See section 5.1 of the CUDA C++ Programming Guide. Names of another kind are no CUDA.
    """
    for name in built:
        if found := re.fullmatch(r"(sm|compute)_(\d+)(\d)([af]?)", name):
            kind, letter, made = found[1], found[4], (int(found[2]), int(found[3]))
            later = not letter and made < capability and (kind == "compute" or made[0] == capability[0])
            if made == capability or later:
                return True
    return not any(name.startswith("sm_") for name in built)


def memory_allowed() -> tuple[float, str]:
    """Bytes of memory that this job may use, and the beginning of a sentence that says so.

    What Galaxy gave the job, or else the limit of its control group or what the machine has free, whichever is less.
    """
    given = os.environ.get(GALAXY, "")
    if given.isdecimal() and int(given):
        return int(given) * 2.0**20, "this job has"
    free = _free()
    limit = min(_limits(), default=free)
    return (limit, "this job is held to") if limit < free else (free, "this machine has free")


def _free() -> float:
    """Bytes that can be had, those that this process has already among them; what caches hold can be had too."""
    try:
        return _noted("/proc/meminfo", "MemAvailable") + _noted("/proc/self/status", "VmRSS")
    except (OSError, ValueError, StopIteration):
        return float(os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))


def _noted(file: str, name: str) -> float:
    """Bytes of one line of a file of the kernel's, which gives KiB."""
    with open(file, encoding="ascii") as lines:
        return next(int(line.split()[1]) * 1024.0 for line in lines if line.startswith(name))


def _limits() -> list[float]:
    """Limits of the control groups that this process is in, of both versions, in bytes."""
    try:
        lines = Path("/proc/self/cgroup").read_text().splitlines()
    except OSError:
        lines = []
    files = [CGROUPS / "memory.max", CGROUPS / "memory" / "memory.limit_in_bytes"]
    for line in lines:
        _, controllers, path = line.split(":", 2)
        for folder in (Path(path), *Path(path).parents):
            if not controllers:
                files.append(CGROUPS / str(folder).lstrip("/") / "memory.max")
            elif "memory" in controllers.split(","):
                files.append(CGROUPS / "memory" / str(folder).lstrip("/") / "memory.limit_in_bytes")
    found = []
    for file in files:
        with suppress(OSError, ValueError):  # "max", or no such group
            found.append(float(int(file.read_text())))
    return found


def used_at_most(machine: Machine) -> float:
    """Bytes that this process has used at most so far: of the GPU what was allocated there."""
    if machine.kind == "cuda":
        import torch

        return float(torch.cuda.max_memory_allocated())
    try:
        return _noted("/proc/self/status", "VmHWM")  # rusage counts the process that started this one
    except (OSError, ValueError, StopIteration):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024.0
