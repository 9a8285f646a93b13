"""Training, validation and test sets, so that nothing the test asks was seen in training.

Whatever must not be torn apart is a group, see :mod:`seqlm.data.group_splits`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from seqlm.cli.errors import InputError
from seqlm.data.datasets import SPLITS


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
