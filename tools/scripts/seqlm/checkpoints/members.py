"""Members of an ensemble in a bundle: adapters and heads of one shape, the first under the names that peft knows."""

from __future__ import annotations

import re
from pathlib import Path

from seqlm.cli.errors import InputError

from .manifest import FILE, MOST_MEMBERS
from .safetensors_header import read_tensors

ADAPTER_WEIGHTS, HEAD = "adapter_model.safetensors", "head.safetensors"
_LATER = re.compile(r"(adapter_model|head)_([1-9]\d?)\.safetensors")


def member_file(first: str, member: int) -> str:
    """The file of a member, from 1 on, by that of the first one.

    >>> member_file("head.safetensors", 1), member_file("head.safetensors", 2)
    ('head.safetensors', 'head_2.safetensors')
    """
    return first if member == 1 else first.replace(".", f"_{member}.")


def first_of(name: str) -> str:
    """The file of the first member that stands for that of a later one; any other name as it is."""
    found = _LATER.fullmatch(name)
    return f"{found[1]}.safetensors" if found and 2 <= int(found[2]) <= MOST_MEMBERS else name


def check_members(manifest: dict | None, kind: str, held: set[str], folder: Path, archive: str) -> None:
    """Compare the members that are there with those that ``seqlm.json`` names, and each with the first.

    Raises:
        InputError: a member too many or too few, or of another shape.
    """
    members = (manifest or {}).get("members", 1)
    firsts = [HEAD, *([ADAPTER_WEIGHTS] if kind == "adapter" else [])]
    expected = {member_file(first, member): first for member in range(2, members + 1) for first in firsts}
    found = {name for name in held if first_of(name) != name}
    if wrong := sorted(found ^ expected.keys()):
        what = "holds" if wrong[0] in found else "lacks"
        raise InputError(
            f"{archive} {what} {wrong[0]}, and {FILE} in it says that there "
            f"{'is 1 member' if members == 1 else f'are {members} members'}; the files do not belong together"
        )
    of_first = {first: read_tensors(folder / first, f"{first} in {archive}") for first in firsts if expected}
    for name, first in sorted(expected.items()):
        if read_tensors(folder / name, f"{name} in {archive}") != of_first[first]:
            raise InputError(
                f"{name} in {archive} holds other tensors than {first}; the members do not belong together"
            )
