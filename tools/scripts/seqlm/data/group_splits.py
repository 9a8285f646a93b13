"""Groups that are not torn apart, dealt out to splits or folds.

Whatever must not be torn apart is a group: the windows of a protein, a cluster of related proteins, a scaffold. Whole
groups go to one split, and those that hold shares and classes best are found greedily, largest groups first.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable, Sequence

import numpy as np

from seqlm.cli.errors import InputError

RANGES = 10  # of values that are kept in proportion


def group_split(
    groups: np.ndarray, strata: np.ndarray, parts: Sequence[float], seed: int, what: str = "groups"
) -> np.ndarray:
    """(n,) places in ``parts``, whole groups together, classes in the same shares as far as groups allow.

    Groups are taken from the largest to the smallest, in an order that the seed draws among equals. Each goes where
    the mean over classes of (number - target)² / target, summed over splits, and the same of all examples grow least.

    Args:
        groups: (n,) number of each example's group, from 0.
        strata: (n,) number of each example's class, from 0.
        parts: the share of each split; 0 for one that stays empty.
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
