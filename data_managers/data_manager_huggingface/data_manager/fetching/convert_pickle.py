"""Convert one file of pickled weights to safetensors. Run as a process of its own by ``conversion.py``.

    python convert_pickle.py pytorch_model.bin model.safetensors

Before the file is opened the process gives up the network and other programs (seccomp), and most of its memory
(RLIMIT_AS). Tensors are written one by one, so that besides the file itself, which is mapped, memory holds one of them;
then every byte is compared through the safetensors library.
"""

from __future__ import annotations

import ctypes
import json
import os
import platform
import resource
import socket
import sys
from pathlib import Path

ZIP = b"PK\x03\x04"
GIB = 1 << 30
MOST_TENSORS = 100_000
# Linux's numbers of system calls: of seccomp itself, and of what is given up: socket, connect, sendto, ptrace, execve,
# execveat, process_vm_readv, process_vm_writev, io_uring_setup.
CALLS = {
    "x86_64": (0xC000003E, 317, (41, 42, 44, 101, 59, 322, 310, 311, 425)),
    "aarch64": (0xC00000B7, 277, (198, 203, 206, 117, 221, 281, 270, 271, 425)),
}
NO_NEW_PRIVILEGES = 38  # of prctl(2)
SET_FILTER, ALL_THREADS = 1, 1  # of seccomp(2)
LOAD, EQUAL, AT_LEAST, RETURN = 0x20, 0x15, 0x35, 0x06  # instructions of the filter
ALLOW, DENY = 0x7FFF0000, 0x0005000D  # DENY: the call fails with EACCES
OTHER_ABI = 0x40000000  # numbers of x32's calls begin here


class Step(ctypes.Structure):
    _fields_ = (("code", ctypes.c_ushort), ("yes", ctypes.c_ubyte), ("no", ctypes.c_ubyte), ("value", ctypes.c_uint))


class Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("steps", ctypes.POINTER(Step)))


def give_up_network() -> None:
    """No socket and no program can be opened any more, by this process and all that it could start.

    Raises:
        OSError: the system cannot do that.
    """
    architecture, seccomp, calls = CALLS[platform.machine()]
    steps = [Step(LOAD, 0, 0, 4), Step(EQUAL, 1, 0, architecture), Step(RETURN, 0, 0, DENY), Step(LOAD, 0, 0, 0)]
    steps += [Step(AT_LEAST, 0, 1, OTHER_ABI), Step(RETURN, 0, 0, DENY)]
    for call in calls:
        steps += [Step(EQUAL, 0, 1, call), Step(RETURN, 0, 0, DENY)]
    steps.append(Step(RETURN, 0, 0, ALLOW))
    listed = (Step * len(steps))(*steps)
    program = Program(len(steps), ctypes.cast(listed, ctypes.POINTER(Step)))
    system = ctypes.CDLL(None, use_errno=True)
    if system.prctl(NO_NEW_PRIVILEGES, 1, 0, 0, 0) or system.syscall(
        seccomp, SET_FILTER, ALL_THREADS, ctypes.byref(program)
    ):
        raise OSError(ctypes.get_errno(), "seccomp")
    try:
        socket.socket().close()
    except PermissionError:
        return
    raise OSError("the network is still there")


def give_up_memory(size: int) -> None:
    """Keep what reading and comparing a file of this many bytes takes, and room to write twice as much."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + 3 * size + GIB
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    resource.setrlimit(resource.RLIMIT_FSIZE, (2 * size + GIB, 2 * size + GIB))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def tensors_of(source: Path) -> dict:
    """The tensors of a file by name.

    Raises:
        ValueError: it holds something else.
    """
    import torch

    with open(source, "rb") as stream:
        mapped = stream.read(len(ZIP)) == ZIP  # what torch wrote before 1.6 is no zip and cannot be mapped
    try:
        content = torch.load(source, map_location="cpu", weights_only=True, mmap=mapped)
    except MemoryError:
        raise
    except Exception as problem:  # a damaged file fails in a dozen ways
        said = next((line.strip() for line in str(problem).splitlines() if line.strip()), type(problem).__name__)
        raise ValueError(f"torch does not read it as weights alone ({said[:200]})") from None
    if not isinstance(content, dict) or not content or len(content) > MOST_TENSORS:
        raise ValueError("it is no table of tensors")
    for name, tensor in content.items():
        if not isinstance(name, str) or len(name) > 1000:
            raise ValueError("a tensor in it has no name")
        if not isinstance(tensor, torch.Tensor) or tensor.layout != torch.strided or tensor.is_quantized:
            raise ValueError(f"{name[:100]!r} in it is no plain tensor")
        if tensor.device.type != "cpu":
            raise ValueError(f"{name[:100]!r} in it has no content")
    return {name: tensor.detach() for name, tensor in content.items()}


def write(tensors: dict, target: Path) -> None:
    """Write safetensors: the length of a header, the header in JSON, and the tensors one after the other.

    Names that share a tensor, such as the embedding and the output of a model, each get a copy.
    """
    import torch

    kinds = {
        torch.float64: "F64", torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16", torch.int64: "I64",
        torch.int32: "I32", torch.int16: "I16", torch.int8: "I8", torch.uint8: "U8", torch.bool: "BOOL",
    }  # fmt: skip
    header, end = {"__metadata__": {"format": "pt"}}, 0
    order = sorted(tensors, key=lambda name: (-tensors[name].itemsize, name))  # so that each begins at a multiple
    for name in order:
        tensor = tensors[name]
        if tensor.dtype not in kinds:
            raise ValueError(f"{name[:100]!r} in it is of the type {tensor.dtype}, which safetensors have not")
        start, end = end, end + tensor.numel() * tensor.itemsize
        header[name] = {"dtype": kinds[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [start, end]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(target, "wb") as stream:
        stream.write(len(text).to_bytes(8, "little") + text)
        for name in order:
            stream.write(_bytes(tensors[name]).numpy())
        stream.flush()
        os.fsync(stream.fileno())


def _bytes(tensor):
    import torch

    return tensor.contiguous().flatten().view(torch.uint8)


def compare(tensors: dict, target: Path) -> None:
    """Read the new file with the safetensors library and compare every byte.

    Raises:
        ValueError: they differ.
    """
    import torch
    from safetensors import safe_open

    with safe_open(target, framework="pt") as file:
        if set(file.keys()) != set(tensors):
            raise ValueError("the names of what was written differ")
        for name, tensor in tensors.items():
            again = file.get_tensor(name)
            same = again.shape == tensor.shape and again.dtype == tensor.dtype
            if not same or not torch.equal(_bytes(again), _bytes(tensor)):
                raise ValueError(f"{name[:100]!r} was not written as it was read")


def convert(source: Path, target: Path) -> None:
    """Write ``target`` from ``source`` and compare the two.

    Raises:
        ValueError: there is something else in the file than tensors, or too much.
    """
    tensors = tensors_of(source)
    if sum(tensor.numel() * tensor.itemsize for tensor in tensors.values()) > 2 * source.stat().st_size + GIB // 2:
        raise ValueError("its tensors are larger than the file")
    write(tensors, target)
    compare(tensors, target)


def main() -> int:
    source, target = (Path(argument) for argument in sys.argv[1:])
    import safetensors.torch  # noqa: F401  while memory may still be taken
    import torch

    torch.set_num_threads(1)
    try:
        give_up_network()
        give_up_memory(source.stat().st_size)
    except (OSError, KeyError, AttributeError):
        print(
            "error: this system cannot take the network and memory from a process; convert it elsewhere",
            file=sys.stderr,
        )
        return 2
    try:
        convert(source, target)
    except (ValueError, MemoryError, RuntimeError) as problem:
        target.unlink(missing_ok=True)
        memory = f"it takes more memory than a file of its size should ({type(problem).__name__})"
        return refuse(str(problem) if isinstance(problem, ValueError) else memory)
    return 0


def refuse(why: str) -> int:
    print(f"error: {why}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
