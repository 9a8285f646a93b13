"""A file of sequences for each class, as most data sets of two classes are published: binders.fasta, others.fasta."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from seqlm.cli.errors import InputError

from .labels import class_name
from .records import Rules, quoted

Labelled = TypeVar("Labelled")  # with an id


@dataclass(frozen=True)
class ClassFile:
    """The sequences of one class."""

    name: str
    path: Path


def class_files(given: Sequence[str], fewest: int = 2) -> list[ClassFile]:
    """What ``NAME=FILE`` says, for each class; a name may hold ``=``.

    Raises:
        InputError: no name or no file, a class or a file that comes twice, fewer than ``fewest``.
    """
    files = []
    for text in given:
        name, equals, path = text.rpartition("=")
        name = name.strip()
        if not (equals and name and path):
            raise InputError(
                f"'{quoted(text, 80)}' names no class and its file; write NAME=FILE, such as binder=a.fasta"
            )
        class_name(name, quoted(path))
        for other in files:
            if name == other.name:
                raise InputError(f"the class '{quoted(name)}' has two files; put them together, or name another class")
            if Path(path) == other.path:
                raise InputError(
                    f"{other.path.name} is given for two classes, '{quoted(other.name)}' and '{quoted(name)}'"
                )
        files.append(ClassFile(name, Path(path)))
    if len(files) < fewest:
        raise InputError("one file for each class needs two classes at least; give the others too")
    return files


def told_apart(files: Iterable[ClassFile], read: Callable[[ClassFile], list[Labelled]], rules: Rules) -> list[Labelled]:
    """What ``read`` gives of each file, in their order; where two files have an id, the class is put before it."""
    found = [(one, read(one)) for one in files]
    counts = Counter(item.id for _, items in found for item in items)
    joined = []
    for one, items in found:
        rules.count(f"of the class '{quoted(one.name)}', read from {one.path.name}", number=len(items))
        before = re.sub(r"\s+", "_", one.name)
        for item in items:
            if counts[item.id] > 1:
                rules.count("of an id that another class has too, so the class stands before it")
                item = replace(item, id=f"{before}_{item.id}")
            joined.append(item)
    if len({item.id for item in joined}) < len(joined):
        twice = Counter(item.id for item in joined).most_common(1)[0][0]
        raise InputError(f"two sequences are called '{quoted(twice)}' once their classes stand before their ids")
    return joined
