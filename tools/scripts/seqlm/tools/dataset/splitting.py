"""Training, validation and test sets, so that nothing the test asks was seen in training.

Whatever must not be torn apart is a group: the windows of a protein, a cluster of related proteins, a scaffold. Whole
groups go to one split, and those that hold shares and classes best are found greedily, largest groups first.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable, Sequence

import numpy as np

from seqlm.cli.errors import InputError
from seqlm.data.datasets import SPLITS

RANGES = 10  # of values that are kept in proportion


def shares(validation: float, test: float) -> tuple[float, float, float]:
    """Shares of training, validation and test set.

    Raises:
        InputError: nothing is left for training.
    """
    if validation + test >= 1:
        raise InputError(
            f"the shares of validation ({validation:g}) and test set ({test:g}) leave nothing for training; "
            "together they must be under 1"
        )
    return 1 - validation - test, validation, test


def random_split(count: int, parts: Sequence[float], seed: int) -> np.ndarray:
    """(count,) places in ``SPLITS``, drawn without looking at anything.

    Raises:
        InputError: too few examples for a share.
    """
    sizes = [round(part * count) for part in parts]
    sizes[0] = count - sizes[1] - sizes[2]
    if any(part and size < 1 for part, size in zip(parts, sizes, strict=True)):
        raise InputError(f"{count:,} examples are too few for these shares; add examples, or raise the smallest share")
    split = np.repeat(np.arange(3, dtype=np.int8), sizes)
    return np.random.default_rng(seed).permutation(split)


def group_split(
    groups: np.ndarray, strata: np.ndarray, parts: Sequence[float], seed: int, what: str = "groups"
) -> np.ndarray:
    """(n,) places in ``SPLITS``, whole groups together, classes in the same shares as far as groups allow.

    Groups are taken from the largest to the smallest, in an order that the seed draws among equals. Each goes where
    the mean over classes of (number - target)² / target, summed over splits, and the same of all examples grow least.

    Args:
        groups: (n,) number of each example's group, from 0.
        strata: (n,) number of each example's class, from 0.
        what: the groups in a word, for the message.

    Raises:
        InputError: fewer groups than splits.
    """
    wanted = [place for place, part in enumerate(parts) if part]
    members = defaultdict(Counter)
    for group, stratum in zip(groups.tolist(), strata.tolist(), strict=True):
        members[group][stratum] += 1
    if len(members) < len(wanted):
        raise InputError(
            f"{len(members)} {what} cannot be shared among {len(wanted)} splits without tearing one apart; "
            "give more varied examples, or split in another way"
        )
    totals = np.bincount(strata).tolist()
    target = {place: [parts[place] * total for total in totals] for place in wanted}
    filled = {place: [0] * len(totals) for place in wanted}
    full = dict.fromkeys(wanted, 0)
    count = len(groups)
    order = np.random.default_rng(seed).permutation(len(members)).tolist()
    names = sorted(members)
    sizes = {name: members[name].total() for name in names}
    split_of = {}
    left = len(names)
    for name in sorted((names[place] for place in order), key=lambda name: -sizes[name]):
        empty = [place for place in wanted if not full[place]]
        # the last groups go where there is none yet
        best = min(
            empty if len(empty) >= left else wanted,
            key=lambda place: (
                sum(
                    (2 * number * (filled[place][stratum] - target[place][stratum]) + number**2)
                    / target[place][stratum]
                    for stratum, number in members[name].items()
                )
                + (2 * sizes[name] * (full[place] - parts[place] * count) + sizes[name] ** 2) / (parts[place] * count)
            ),
        )
        split_of[name] = best
        full[best] += sizes[name]
        left -= 1
        for stratum, number in members[name].items():
            filled[best][stratum] += number
    return np.asarray([split_of[group] for group in groups.tolist()], np.int8)


def largest_first(groups: np.ndarray, parts: Sequence[float]) -> np.ndarray:
    """(n,) places in ``SPLITS``: the largest groups for training, the rare ones for validation and test.

    The scaffold split of MoleculeNet (Wu et al. 2018, https://doi.org/10.1039/C7SC02664A) as DeepChem computes it:
    groups by falling size, and among equals the one whose first member comes last in the input, fill the training set
    as long as they fit, then the validation set. No seed changes it.

    Raises:
        InputError: a split that stays empty.
    """
    sizes = Counter(groups.tolist())  # in the order of the input
    count = len(groups)
    # the shares as they were asked for, and no tolerance: DeepChem's 0.7 * 41,120 is a little less than 28,784
    training = round(parts[0], 12)
    room = [training * count, (training + parts[1]) * count]
    full, split_of = [0, 0, 0], {}
    ordered = sorted(((size, first, name) for first, (name, size) in enumerate(sizes.items())), reverse=True)
    for size, _, name in ordered:
        if full[0] + size <= room[0]:
            place = 0
        elif parts[1] and full[0] + full[1] + size <= room[1]:
            place = 1
        else:
            place = 2 if parts[2] else 1
        split_of[name] = place
        full[place] += size
    for place, part in enumerate(parts):
        if part and not full[place]:
            largest = max(sizes.values())
            raise InputError(
                f"the {SPLITS[place]} set stays empty: {len(sizes)} scaffolds, the largest with {largest:,} of "
                f"{count:,} molecules, do not fit these shares; change the shares, or split in another way"
            )
    return np.asarray([split_of[group] for group in groups.tolist()], np.int8)


def numbered(names: Sequence[Hashable]) -> np.ndarray:
    """(n,) numbers from 0, the same for equal names, in the order of their first occurrence."""
    known: dict[Hashable, int] = {}
    return np.asarray([known.setdefault(name, len(known)) for name in names], np.int64)


def strata_of(labels: Sequence[str], numbers: bool, parts: Sequence[float]) -> np.ndarray:
    """(n,) classes to be kept in proportion: labels, or up to ten ranges of the values with equally many each.

    Ranges are so few that the smallest split has two examples of each.
    """
    if not numbers:
        return numbered(labels)
    values = np.asarray(labels, float)
    fewest = len(values) * min((part for part in parts if part), default=1.0)
    ranges = int(min(max(fewest / 2, 2), RANGES))
    edges = np.quantile(values, np.linspace(0, 1, ranges + 1)[1:-1])
    return numbered(np.searchsorted(edges, values, side="right").tolist())


def given_split(names: Sequence[str]) -> np.ndarray:
    """(n,) places in ``SPLITS`` of the names that the file gives.

    Raises:
        InputError: no example is for training.
    """
    split = np.asarray([SPLITS.index(name) for name in names], np.int8)
    if not (split == 0).any():
        named = " and ".join(sorted(set(names)))
        raise InputError(f"no example is in the training set; the file names only {named}")
    return split
