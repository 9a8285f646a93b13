"""JSON as it arrives from strangers: UTF-8, no NaN or Infinity, no key twice, bounded size and depth.

Python's own reader takes all of these, and a file that two readers understand differently is a way past every check.
"""

from __future__ import annotations

import json
import math
from pathlib import Path

from seqlm.cli.errors import InputError

from .entries import looks_like

MIB = 1 << 20


def read_object(path: Path, name: str | None = None, limit: int = 64 * MIB) -> dict:
    """The JSON object in ``path``; ``name`` is what messages call the file.

    Raises:
        InputError: the file cannot be read, is larger than ``limit`` bytes, is not strict JSON or not an object.
    """
    name = name or path.name
    try:
        with open(path, "rb") as stream:
            content = stream.read(limit + 1)
    except OSError as problem:
        raise InputError(f"{name} cannot be read: {problem.strerror}") from None
    if len(content) > limit:
        raise InputError(f"{name} is larger than {limit // MIB} MiB, which no such file needs")
    found = parse(content, name)
    if not isinstance(found, dict):
        raise InputError(f"{name} holds no JSON object but {_kind(found)}")
    return found


def parse(content: bytes, name: str, depth: int = 64, containers: int = 2_000_000):
    """Strict JSON from bytes, at most ``depth`` levels deep.

    ``containers`` bounds the objects and lists: two bytes of ``[]`` become a hundred bytes of memory.
    """
    if content.count(b"[") + content.count(b"{") > containers:
        raise InputError(f"{name} holds more than {containers:,} lists and objects")
    try:
        found = json.loads(
            content.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_no_constant, parse_float=_finite
        )
    except UnicodeDecodeError as problem:
        raise InputError(f"{name} is not UTF-8 text (byte {problem.start})") from None
    except RecursionError:
        raise InputError(f"{name} is nested too deeply") from None
    except json.JSONDecodeError as problem:
        if content.startswith((b"version ", b"<")):
            raise InputError(f"{name} is not JSON but {looks_like(content[:512])}") from None
        raise InputError(f"{name} is not JSON: {problem.msg} at line {problem.lineno}") from None
    except ValueError as problem:  # a repeated key, a NaN, a number of thousands of digits
        raise InputError(f"{name} is not strict JSON: {problem}") from None
    _bound_depth(found, depth, name)
    return found


def text_of(value) -> bytes:
    """The one way JSON is written here: sorted keys, so that equal content gives equal bytes."""
    return (json.dumps(value, indent=2, sort_keys=True, allow_nan=False) + "\n").encode()


def _unique(pairs: list) -> dict:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))
        raise ValueError(f"the key {twice[:80]!r} appears twice")
    return found


def _no_constant(word: str):
    raise ValueError(f"{word} is no JSON number")


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError(f"{digits[:40]} is too large a number")
    return number


def _bound_depth(found, depth: int, name: str) -> None:
    level = [found]
    for _ in range(depth):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer if isinstance(outer, list) else ())
            if isinstance(inner, (dict, list))
        ]
        if not level:
            return
    raise InputError(f"{name} is nested more than {depth} levels deep")


def _kind(value) -> str:
    kinds = {list: "a list", str: "a text", bool: "true or false", int: "a number", float: "a number"}
    return kinds.get(type(value), "null")
