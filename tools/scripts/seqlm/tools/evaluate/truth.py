"""What is true of each unit: from a file or the tables themselves, in the classes that the tables predict."""

from __future__ import annotations

import math
from argparse import Namespace
from pathlib import Path

import numpy as np

from seqlm.cli.errors import InputError
from seqlm.data.label_columns import NOT_KNOWN_MARK
from seqlm.data.numbers import decimal
from seqlm.data.prediction_tables import SEVERAL, Names, Predictions, Words, owners
from seqlm.data.records import quoted
from seqlm.data.truth import NO_SITE, SITE, Truth

UNKNOWN = ("", "?", "nan", "na", "-1")  # truths that say that it is not known
UNITS = {"sequence": "sequences", "residue": "residues", "pair": "pairs"}


def own_truth(tables: list[Predictions], names: Names, notes: list[str]) -> Truth:
    """The truth that stands in the tables; where several have it they must agree."""
    told = [table for table in tables if table.truth]
    if not told:
        raise InputError(
            "no table has a column 'truth', so give the truth as a file with --truth: a table, FASTA with labels, or "
            "sites"
        )
    keys = np.concatenate([table.keys for table in told])
    lines = np.concatenate([table.lines for table in told])
    texts = list(dict.fromkeys(text for table in told for text in table.truth.texts))
    place = {text: number for number, text in enumerate(texts)}
    codes = np.concatenate([np.array([place[text] for text in t.truth.texts])[t.truth.codes] for t in told])
    unique, first, back = np.unique(keys, return_index=True, return_inverse=True)
    differing = np.flatnonzero(codes != codes[first][back])
    for row in differing:
        one, other = texts[codes[first][back[row]]], texts[codes[row]]
        if not _same(one, other):
            key = names.shown(tables[0].level, int(keys[row]))
            raise InputError(
                f"the tables disagree on the truth of {key}: '{quoted(one)}' and '{quoted(other)}'; give the truth as "
                "a file with --truth"
            )
    if len(told) < len(tables):
        notes.append(f"{len(told)} of {len(tables)} tables have a column 'truth'; it is taken for all.")
    return Truth(unique, lines[first], Words(texts, codes[first]), None, 0, "the column 'truth' of the tables")


def _same(one: str, other: str) -> bool:
    """Equal as text, as sets of labels, or as numbers of six digits."""
    try:
        return math.isclose(decimal(one), decimal(other), rel_tol=1e-5)
    except ValueError:
        return sorted(one.split(SEVERAL)) == sorted(other.split(SEVERAL))


def true_of(
    everyone: np.ndarray, truth: Truth, first: Predictions, classes: list[str], arguments: Namespace, names, notes
) -> tuple[np.ndarray, np.ndarray]:
    """Keys (m,) whose truth is known, sorted, and the truth of each: class indices, values, or (m, labels) 0 and 1."""
    order = np.argsort(truth.keys, kind="stable")
    keys, codes = truth.keys[order], truth.words.codes[order]
    here = np.isin(keys, everyone, assume_unique=True)
    if first.level == "residue" and (elsewhere := len(here) - int(here.sum())):
        notes.append(f"In the truth at positions that no table predicts: {counted(elsewhere, 'residues')}.")
    keys, codes, lines = keys[here], codes[here], truth.lines[order][here]
    texts = truth.words.texts
    if truth.unlisted is not None:
        rest = np.setdiff1d(everyone, keys, assume_unique=True)
        texts = [*texts, truth.unlisted]
        keys = np.concatenate([keys, rest])
        codes = np.concatenate([codes, np.full(len(rest), len(texts) - 1)])
        order = np.argsort(keys)
        lines = np.concatenate([lines, np.zeros(len(rest), dtype=np.int64)])[order]
        keys, codes = keys[order], codes[order]
        proteins = len(np.unique(owners(rest))) - len(np.intersect1d(owners(rest), owners(truth.keys)))
        notes.append(
            f"Not listed by the truth, and counted as negative: {counted(len(rest), 'residues')}"
            + (f"; of {counted(proteins, 'proteins')} it lists none." if proteins else ".")
        )
    source = Path(arguments.truth).name if arguments.truth else "the column 'truth'"
    used = np.unique(codes)
    values = []
    for code in used:
        try:
            values.append(_value(texts[code], first, classes, arguments.unknown_label))
        except ValueError as problem:
            line = lines[np.argmax(codes == code)]
            raise InputError(f"{source}, line {line}: {problem}") from None
    place = np.searchsorted(used, codes)
    known = np.array([value is not None for value in values])[place]
    if left := int((~known).sum()):
        notes.append(f"Left out, as their truth is not known: {counted(left, UNITS[first.level])}.")
    nothing = np.zeros(len(classes), dtype=np.int64) if first.kind == "multi-label" else 0
    return keys[known], np.array([nothing if value is None else value for value in values])[place[known]]


def unmasked(shared: np.ndarray, first: Predictions, masked: np.ndarray, notes: list[str]) -> np.ndarray:
    if first.level != "residue":
        raise InputError(f"a mask is for residues, and {first.path.name} is a table of {UNITS[first.level]}")
    keep = ~np.isin(shared, masked)
    if not keep.any():
        raise InputError("every residue is masked; in a mask 1 counts and 0 does not")
    notes.append(f"Masked, and not scored: {counted(int((~keep).sum()), 'residues')}.")
    return shared[keep]


def _value(text: str, first: Predictions, classes: list[str], unknown: list[str]):
    """Class index, number, or row of 0, 1 and -1 that a text means; None where it says that the truth is not known.

    Raises:
        ValueError: what it cannot mean.
    """
    if text in unknown and text not in classes:
        return None
    if first.kind == "multi-label":
        return _several(text, classes)
    if text in (SITE, NO_SITE):
        if len(classes) != 2:
            raise ValueError(f"sites are of two classes, and the prediction tables have {len(classes) or 'numbers'}")
        return int(text == SITE)
    if classes:
        return None if text.lower() in UNKNOWN and text not in classes else classes.index(_class(text, classes))
    if text.lower() in UNKNOWN[:-1]:
        return None
    try:
        return decimal(text)
    except ValueError:
        raise ValueError(f"'{quoted(text)}' is no number, and the tables predict numbers") from None


def _several(text: str, classes: list[str]) -> np.ndarray | None:
    """(labels,) 0 or 1, or -1 for a label with a question mark before it; None where none of them is known."""
    if text.lower() in UNKNOWN and text not in classes:
        return None
    parts = [] if text in ("none", "-") else [part.strip() for part in text.split(SEVERAL) if part.strip()]
    unknown = [part for part in parts if part.startswith(NOT_KNOWN_MARK) and part not in classes]
    found = np.isin(classes, [_class(part, classes) for part in parts if part not in unknown]).astype(np.int64)
    found[np.isin(classes, [part.removeprefix(NOT_KNOWN_MARK) for part in unknown])] = -1
    return found if (found >= 0).any() else None


def _class(text: str, classes: list[str]) -> str:
    if text not in classes and text.endswith(".0"):
        text = text[:-2]  # 1.0 is written for 1
    if text in classes:
        return text
    raise ValueError(
        f"the truth '{quoted(text)}' is no class of the prediction tables, which have "
        f"{quoted(', '.join(classes), 200)}; mend the label, or name it as unknown to leave it out"
    )


def counted(n: int, unit: str) -> str:
    return f"{n:,} {unit[:-1] if n == 1 else unit}"
