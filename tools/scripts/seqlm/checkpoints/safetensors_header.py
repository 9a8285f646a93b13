"""The header of a safetensors file, read without loading a tensor and without trusting a number in it.

The layout is eight bytes of header length (little-endian), a JSON header, then the tensors end to end:
https://huggingface.co/docs/safetensors. The checks are those of the Rust reader, so that a file refused here is named
before torch is imported and a file accepted here opens there.
"""

from __future__ import annotations

import math
import struct
from pathlib import Path

from seqlm.archives import strict_json
from seqlm.archives.entries import looks_like
from seqlm.cli.errors import InputError

BITS = {
    "BOOL": 8, "U8": 8, "I8": 8, "F8_E4M3": 8, "F8_E5M2": 8,
    "U16": 16, "I16": 16, "F16": 16, "BF16": 16,
    "U32": 32, "I32": 32, "F32": 32,
    "U64": 64, "I64": 64, "F64": 64,
}  # fmt: skip
FORMATS = {"F16": "e", "F32": "f", "F64": "d"}  # of the struct module
LONGEST_HEADER = 4 << 20
MOST_TENSORS = 20_000  # of a file, many times those of the largest published models

Tensors = dict[str, tuple[str, tuple[int, ...]]]  # name -> (dtype, shape)


def read_tensors(path: Path, name: str | None = None) -> Tensors:
    """Name, dtype and shape of every tensor in ``path``.

    Raises:
        InputError: the file is truncated, or its header does not describe exactly the bytes that follow it.
    """
    name = name or path.name
    try:
        size = path.stat().st_size
        with open(path, "rb") as stream:
            start = stream.read(512)
            if start.startswith((b"version ", b"<")):
                raise InputError(f"{name} is no safetensors file but {looks_like(start)}")
            length = int.from_bytes(start[:8], "little")
            stream.seek(8)
            if size < 10:
                raise InputError(f"{name} is no safetensors file: it holds {size} bytes")
            if length > LONGEST_HEADER:
                raise InputError(f"{name} is no safetensors file: its header would be {length:,} bytes long")
            if 8 + length > size:
                raise InputError(f"{name} is truncated: its header alone needs {8 + length:,} bytes, it has {size:,}")
            content = stream.read(length)
    except OSError as problem:
        raise InputError(f"{name} cannot be read: {problem.strerror}") from None
    header = strict_json.parse(content, f"the header of {name}", depth=4)
    if not isinstance(header, dict):
        raise InputError(f"the header of {name} is no JSON object")
    _check_metadata(header.pop("__metadata__", {}), name)

    if len(header) > MOST_TENSORS:
        raise InputError(f"{name} holds {len(header):,} tensors; the limit is {MOST_TENSORS:,}")
    tensors: Tensors = {}
    spans = []
    for tensor, entry in header.items():
        dtype, shape, span = _read_entry(tensor, entry, name)
        tensors[tensor] = (dtype, shape)
        spans.append(span)
    _check_spans(spans, size - 8 - length, name)
    return tensors


def first_number(path: Path, tensor: str) -> float | None:
    """The first number of a tensor in a file whose header was read; None of a type that is no usual one."""
    with open(path, "rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        dtype, _, (start, end) = _read_entry(tensor, strict_json.parse(stream.read(length), path.name, depth=4)[tensor],
                                             path.name)  # fmt: skip
        stream.seek(8 + length + start)
        content = stream.read(min(end - start, BITS[dtype] // 8))
    if dtype == "BF16":  # the upper half of a single
        dtype, content = "F32", b"\0\0" + content
    return struct.unpack(f"<{FORMATS[dtype]}", content)[0] if content and dtype in FORMATS else None


def elements(tensors: Tensors) -> int:
    """How many numbers the tensors hold together."""
    return sum(math.prod(shape) for _, shape in tensors.values())


def _check_metadata(metadata, name: str) -> None:
    plain = isinstance(metadata, dict) and all(isinstance(value, str) for value in metadata.values())
    if not plain:
        raise InputError(f"the header of {name} is damaged: __metadata__ may hold text only")


def _read_entry(tensor: str, entry, name: str) -> tuple[str, tuple[int, ...], tuple[int, int]]:
    where = f"the header of {name} is damaged at tensor {tensor[:100]!r}"
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise InputError(f"{where}: it must give dtype, shape and data_offsets")
    dtype, shape, span = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in BITS:
        raise InputError(f"{where}: unknown number type {str(dtype)[:40]!r}")
    if not _are_counts(shape) or len(shape) > 16:
        raise InputError(f"{where}: the shape is no list of sizes")
    if not _are_counts(span) or len(span) != 2:
        raise InputError(f"{where}: data_offsets must be two positions")
    if span[1] - span[0] != math.prod(shape) * BITS[dtype] // 8:
        raise InputError(f"{where}: shape {shape} of {dtype} does not fill bytes {span[0]} to {span[1]}")
    return dtype, tuple(shape), (span[0], span[1])


def _are_counts(values) -> bool:
    return isinstance(values, list) and all(type(value) is int and 0 <= value < 1 << 48 for value in values)


def _check_spans(spans: list[tuple[int, int]], held: int, name: str) -> None:
    """The tensors must lie end to end: no gap to hide something in, no byte in two tensors."""
    position = 0
    for start, end in sorted(spans):
        if start != position:
            raise InputError(f"the header of {name} is damaged: tensors overlap or leave a gap at byte {position}")
        position = end
    if position > held:
        raise InputError(f"{name} is truncated: its header names {position:,} bytes of weights, it has {held:,}")
    if position < held:
        raise InputError(f"{name} holds {held - position:,} bytes that belong to no tensor")
