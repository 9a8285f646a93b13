"""Splits: nothing is torn apart, shares and classes are kept as far as that allows."""

from collections import Counter, defaultdict

import numpy as np
import pytest

from seqlm.cli.errors import InputError
from seqlm.data.group_splits import group_split, numbered, strata_of
from seqlm.tools.dataset.splitting import given_split, largest_first, random_split, shares

PARTS = (0.7, 0.1, 0.2)


def grouped(count, seed=0, largest=30):
    """Groups of very different size, and labels that depend on the group."""
    rng = np.random.default_rng(seed)
    sizes = np.minimum(rng.zipf(1.7, count), largest)
    groups = np.repeat(np.arange(count), sizes)
    strata = (rng.random(len(groups)) < np.repeat(rng.beta(0.5, 1.5, count), sizes)).astype(int)
    return groups, strata


@pytest.mark.parametrize("seed", range(5))
def test_no_group_is_torn_apart_and_shares_and_classes_are_kept(seed):
    groups, strata = grouped(400, seed)
    split = group_split(groups, strata, PARTS, seed)
    where = defaultdict(set)
    for group, place in zip(groups.tolist(), split.tolist(), strict=True):
        where[group].add(place)
    assert all(len(places) == 1 for places in where.values())
    for place, part in enumerate(PARTS):
        assert (split == place).mean() == pytest.approx(part, abs=0.005)
        assert strata[split == place].mean() == pytest.approx(strata.mean(), abs=0.01)


def test_the_seed_draws_among_groups_of_equal_size():
    groups, strata = np.arange(100), np.zeros(100, int)
    first, again, other = (group_split(groups, strata, PARTS, seed) for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert [int((first == place).sum()) for place in range(3)] == [70, 10, 20]


def test_the_names_of_groups_do_not_matter():
    groups, strata = grouped(50)
    assert np.array_equal(group_split(groups, strata, PARTS, 3), group_split(groups * 7 + 5, strata, PARTS, 3))


def test_one_giant_group_goes_to_training_and_every_split_has_something():
    groups = np.asarray([0] * 98 + [1, 2])
    split = group_split(groups, np.zeros(100, int), PARTS, 1)
    assert set(split[:98]) == {0}
    assert sorted(split[98:]) == [1, 2]


def test_a_share_of_nothing_gets_nothing():
    split = group_split(np.arange(50), np.zeros(50, int), (0.8, 0.0, 0.2), 1)
    assert Counter(split.tolist()) == {0: 40, 2: 10}


def test_fewer_groups_than_splits_are_refused():
    with pytest.raises(InputError, match="2 clusters cannot be shared among 3 splits"):
        group_split(np.asarray([0, 0, 1]), np.zeros(3, int), PARTS, 1, "clusters")


def test_a_random_split_has_the_shares_asked_for():
    split = random_split(1000, PARTS, 5)
    assert Counter(split.tolist()) == {0: 700, 1: 100, 2: 200}
    assert np.array_equal(split, random_split(1000, PARTS, 5))
    assert not np.array_equal(split, random_split(1000, PARTS, 6))
    with pytest.raises(InputError, match="4 examples are too few"):
        random_split(4, PARTS, 1)


def moleculenet(groups, parts):
    """The published procedure, written as it is described."""
    members = defaultdict(list)
    for place, group in enumerate(groups):
        members[group].append(place)
    ordered = sorted(members.values(), key=lambda places: (len(places), places[0]), reverse=True)
    train, validation, test = [], [], []
    for places in ordered:
        if len(train) + len(places) > parts[0] * len(groups):
            if len(train) + len(validation) + len(places) > (parts[0] + parts[1]) * len(groups):
                test += places
            else:
                validation += places
        else:
            train += places
    return train, validation, test


@pytest.mark.parametrize("seed", range(4))
def test_scaffolds_are_split_as_in_moleculenet(seed):
    groups = np.random.default_rng(seed).permutation(grouped(120, seed, largest=12)[0])
    split = largest_first(groups, PARTS)
    for place, expected in enumerate(moleculenet(groups.tolist(), PARTS)):
        assert np.flatnonzero(split == place).tolist() == sorted(expected)


def test_scaffolds_of_one_size_go_to_training_from_the_end_of_the_file():
    groups = np.asarray([0, 1, 2, 2, 3, 4, 5, 5, 6, 7])
    assert largest_first(groups, (0.6, 0.2, 0.2)).tolist() == [2, 2, 0, 0, 1, 1, 0, 0, 0, 0]


def test_a_share_that_is_no_exact_number_ends_where_deepchem_ends_it():
    assert 0.7 * 41_120 < 28_784
    split = largest_first(np.arange(41_120), (1 - 0.1 - 0.2, 0.1, 0.2))
    assert [int((split == place).sum()) for place in range(3)] == [28_783, 4_113, 8_224]


def test_scaffolds_that_leave_a_set_empty_are_refused():
    with pytest.raises(InputError, match="the validation set stays empty: 2 scaffolds"):
        largest_first(np.asarray([0] * 50 + [1] * 50), PARTS)


def test_values_are_kept_in_proportion_by_ranges_with_as_many_each():
    values = np.random.default_rng(1).lognormal(size=500)
    strata = strata_of([str(value) for value in values], True, PARTS)
    assert Counter(Counter(strata.tolist()).values()) == {50: 10}
    assert max(values[strata == strata[values.argmin()]]) <= np.quantile(values, 0.1)
    split = group_split(np.arange(500), strata, PARTS, 1)
    assert np.median(values[split == 2]) == pytest.approx(np.median(values), rel=0.1)
    # of 80 values the validation set gets 8, two from each of four ranges
    assert len(set(strata_of([str(value) for value in values[:80]], True, PARTS).tolist())) == 4


def test_names_are_numbered_by_their_first_occurrence():
    assert numbered(["b", "a", "b", "c"]).tolist() == [0, 1, 0, 2]


def test_a_given_split_is_taken_and_needs_a_training_set():
    assert given_split(["test", "train", "validation"]).tolist() == [2, 0, 1]
    with pytest.raises(InputError, match="the file names only test and validation"):
        given_split(["test", "validation"])


def test_shares_leave_something_for_training():
    assert shares(0.1, 0.2) == pytest.approx((0.7, 0.1, 0.2))
    with pytest.raises(InputError, match="leave nothing for training"):
        shares(0.5, 0.5)
