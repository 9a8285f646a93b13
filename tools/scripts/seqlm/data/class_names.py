"""The names of classes, looked at together: two spellings of one class, names that are none, which one is positive.

Every tool that reads classes asks here, so that a name means the same in all of them.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence

from seqlm.cli.errors import InputError

from .numbers import decimal
from .records import Rules, quoted

MISSING = frozenset({"na", "n/a", "n.a.", "nan", "null", "?", ".", "unknown", "missing", "nd", "n.d.", "#n/a"})
SEPARATORS = (";", "|", ",")  # that people put between labels
FEW_CELLS = 0.1  # share of cells with another separator from which on it is taken for the right one

# words by which one class of two says what it is; in lower case
_POSITIVE = frozenset({
    "positive", "pos", "active", "yes", "true", "present", "binder", "binding", "binds", "toxic", "hit",
})  # fmt: skip
_NEGATIVE = frozenset({
    "negative", "neg", "inactive", "no", "not", "non", "false", "absent", "other", "others", "rest", "background",
    "control", "controls", "decoy", "decoys", "none",
})  # fmt: skip
_OPPOSITES = (("y", "n"), ("t", "f"), ("p", "n"), ("+", "-"))
_NEGATION = re.compile(r"(non|not|no|in|un|im)[\W_]*")


def look_at(counts: Mapping[str, int], rules: Rules, *, unit: str = "sequence", letters: bool = False) -> None:
    """Refuse two names that are one class, and count what carries a name that is hardly a class.

    Args:
        counts: class name -> how many have it.
        rules: where a name that reads as "not known", or as several labels, is counted.
        letters: names are single letters of label strings, where case may mean something.

    Raises:
        InputError: two names that differ only in case, in blanks, or in how a number is written.
    """
    known: dict[float | str, str] = {}
    for name in counts:
        if letters and len(name) == 1:
            continue
        other = known.setdefault(_meaning(name), name)
        if other != name:
            first, second = sorted((other, name), key=lambda one: -counts[one])
            many = f"{counts[first]:,} {unit}{'s' * (counts[first] != 1)}"
            raise InputError(
                f"the labels '{quoted(first)}' ({many}) and '{quoted(second)}' ({counts[second]:,}) "
                f"differ only in {_difference(first, second)}; write one name for one class"
            )
    for name in counts:
        if _reads_as_missing(name, counts) and not letters:
            rule = f"label '{quoted(name)}', a class here although it reads as not known"
            rules.count(rule, number=counts[name], unit=unit)
        for separator in SEPARATORS:
            parts = {part.strip() for part in name.split(separator)}
            if len(parts) > 1 and parts <= counts.keys():
                rules.count(
                    f"label '{quoted(name)}', a class of its own here although it lists others; several labels at "
                    "once are another task",
                    number=counts[name],
                    unit=unit,
                )
                break


def check_separator(cells: Mapping[str, int], separator: str) -> None:
    """Refuse cells of several labels that are separated by something else.

    Args:
        cells: cell -> how many there are of it.

    Raises:
        InputError: no cell has the separator, and many have another.
    """
    if any(separator in cell for cell in cells):
        return
    total = sum(cells.values())
    for other in SEPARATORS:
        having = {cell: count for cell, count in cells.items() if other in cell.strip(other)}
        if (found := sum(having.values())) > 1 and found >= FEW_CELLS * total:
            raise InputError(
                f"no record has '{separator}' between labels, and {found:,} of {total:,} have '{other}', as in "
                f"'{quoted(next(iter(having)))}'; if it separates labels, name it as the separator, else take it out"
            )


def positive_last(names: Sequence[str], asked: str | None) -> list[str]:
    """Classes in their order, of two the positive one last: the one that is asked for, or called so, or the last.

    >>> positive_last(["active", "inactive"], None)
    ['inactive', 'active']
    """
    names = list(names)
    if asked:
        if len(names) != 2:
            raise InputError(f"a positive label is for two classes, and there are {len(names)}; leave it empty")
        if asked not in names:
            raise InputError(
                f"no example has the positive label '{quoted(asked)}'; the labels are "
                f"{' and '.join(map(quoted, names))}"
            )
        return sorted(names, key=lambda name: name == asked)
    return names[::-1] if len(names) == 2 and called_positive(names) == names[0] else names


def called_positive(names: Sequence[str]) -> str | None:
    """Of two names the one that says that it is the positive class; None where neither does, or both."""
    first, second = (unicodedata.normalize("NFKC", name).casefold().strip() for name in names)
    for positive, negative in _OPPOSITES:
        if {first, second} == {positive, negative}:
            return names[0] if first == positive else names[1]
    says = [_is_positive(one, other) or _is_negative(other, one) for one, other in ((first, second), (second, first))]
    return None if says[0] == says[1] else names[0] if says[0] else names[1]


def why_positive(names: Sequence[str], asked: str | None) -> str:
    """Why the last of two classes is the positive one, in words that follow its name."""
    if asked:
        return "as was asked"
    return "as its name says" if called_positive(names) == names[1] else "as it sorts last"


def _is_negative(name: str, other: str) -> bool:
    negated = _NEGATION.match(name)
    return bool(negated and name[negated.end() :] == other) or not _NEGATIVE.isdisjoint(re.split(r"[\W_]+", name))


def _is_positive(name: str, other: str) -> bool:
    return not _is_negative(name, other) and not _POSITIVE.isdisjoint(re.split(r"[\W_]+", name))


def _meaning(name: str) -> float | str:
    """What is the same for names that nobody means to be different."""
    try:
        return decimal(name)
    except ValueError:
        return "".join(unicodedata.normalize("NFKC", name).casefold().split())


def _difference(first: str, second: str) -> str:
    if not isinstance(_meaning(first), str):
        return "how the number is written"
    if "".join(first.split()) == "".join(second.split()):
        return "blanks"
    return "upper and lower case" if first.casefold() == second.casefold() else "how they are written"


def _reads_as_missing(name: str, names: Mapping[str, int]) -> bool:
    if name == "-1":
        others = names.keys() - {name}
        return not others <= {"1", "+1"} and not any(other.startswith("-") for other in others)
    if name == "-":
        return "+" not in names
    return name.casefold() in MISSING


class HeaderLabels:
    """Finds the labels in FASTA headers, and counts the headers that go on with what may belong to theirs.

    ``LABEL=(\\S+)`` finds Cell in ``P1 LABEL=Cell membrane OS=Homo``, where membrane is no part of another field.
    """

    _GOES_ON = re.compile(r"\s+([^\W\d_][^\s=]*)(?=\s|$)")

    def __init__(self, pattern: re.Pattern, rules: Rules):
        self.pattern, self.rules, self.rule = pattern, rules, ""

    def of(self, header: str) -> str:
        """The label in a header; empty where there is none."""
        found = self.pattern.search(header)
        if not found or not (label := found.group(1)):
            return ""
        rest = found.end(1) < len(header) and self._GOES_ON.match(header, found.end(1))
        if rest and isinstance(_meaning(label), str):
            self.rule = self.rule or (
                f"header that goes on after its label, as in '{quoted(label)} {quoted(rest[1])}'; mend the pattern if "
                "that belongs to it"
            )
            self.rules.count(self.rule)
        return label


def merging(text: str) -> dict[str, str]:
    """Which labels are counted as which class.

    Letters before ``=`` become the class after it; longer labels stand with ``|`` between them.

    Raises:
        InputError: anything else, or a label that is to become two classes.

    >>> merging("HGI=H, EB=E")
    {'H': 'H', 'G': 'H', 'I': 'H', 'E': 'E', 'B': 'E'}
    """
    merged: dict[str, str] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        old, equals, new = (piece.strip() for piece in part.partition("="))
        names = old.split("|") if "|" in old else list(old)
        if not (equals and names and new):
            raise InputError(f"'{quoted(part)}' does not say what is merged; write letters=class, such as 1234567=1")
        for name in names:
            if merged.setdefault(name, new) != new:
                raise InputError(f"the label '{quoted(name)}' is to be merged into both {merged[name]} and {new}")
    return merged
