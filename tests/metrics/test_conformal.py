"""Conformal sets and intervals equal their definitions, term by term, and hold the truth as often as asked."""

import math
from fractions import Fraction

import numpy as np
import pytest

from seqlm.metrics import conformal
from seqlm.metrics.conformal import Conformity, class_sets, intervals, label_sets


def folds(units: int, members: int, repeats: int = 1) -> np.ndarray:
    """The member of each row, whose folds are all used."""
    one = np.arange(units) % members
    return np.stack([one + members * repeat for repeat in range(repeats)], axis=1).ravel()


@pytest.mark.parametrize("coverage", [0.8, 0.9, 0.95])
@pytest.mark.parametrize("members", [1, 5])
def test_intervals_are_barbers_order_statistics(coverage, members):
    draw = np.random.default_rng(0)
    truth, of, given = draw.normal(size=57), folds(57, members), draw.normal(size=(members, 3))
    conformity = Conformity.of(truth, draw.normal(size=57), of, values=True)
    ends = intervals(conformity, given, coverage)
    alpha, n = 1 - Fraction(str(coverage)), 57
    for unit in range(3):
        lower = sorted(given[m, unit] - s for m, s in zip(of, conformity.scores, strict=True))
        upper = sorted(given[m, unit] + s for m, s in zip(of, conformity.scores, strict=True))
        expected = [lower[math.floor(alpha * (n + 1)) - 1], upper[math.ceil((1 - alpha) * (n + 1)) - 1]]
        assert ends[unit] == pytest.approx(expected)


def test_too_few_scores_give_no_end():
    eight = Conformity(np.ones(8), None, np.zeros(8, int))
    assert intervals(eight, np.zeros((1, 1)), 0.9).tolist() == [[-np.inf, np.inf]]
    assert not eight.enough(0.9)
    assert Conformity(np.ones(9), None, np.zeros(9, int)).enough(0.9)


@pytest.mark.parametrize(("members", "repeats"), [(1, 1), (4, 1), (4, 2)])
def test_sets_are_those_of_the_p_values_within_each_class(members, repeats):
    draw = np.random.default_rng(1)
    truth = np.repeat(draw.integers(0, 3, 120), repeats)
    of = folds(120, members, repeats)
    conformity = Conformity.of(truth, draw.dirichlet([1, 1, 1], len(truth)), of, repeats=repeats)
    given = draw.dirichlet([1, 1, 1], (members * repeats, 20))
    found = class_sets(conformity, given, 0.85)
    for unit in range(20):
        p = []
        for y in range(3):
            stranger = sum(
                Fraction(bool(s >= 1 - given[m, unit, y]), repeats)
                for s, c, m in zip(conformity.scores, truth, of, strict=True)
                if c == y
            )
            p.append((1 + stranger) / (1 + Fraction(int(np.sum(truth == y)), repeats)))
        expected = [value > Fraction("0.15") for value in p]
        expected[max(range(3), key=lambda y: (p[y], given[:, unit, y].mean()))] = True
        assert found[unit].tolist() == expected


def test_classes_are_compared_together_where_one_has_too_few_units():
    truth = np.array([0] * 40 + [1] * 5)
    probabilities = np.stack([np.linspace(0.1, 0.9, 45), 1 - np.linspace(0.1, 0.9, 45)], axis=1)
    given = np.array([[[0.99, 0.01]]])
    pooled = Conformity.of(truth, probabilities)
    assert pooled.few(0.9, 2) == [1]
    assert class_sets(pooled, given, 0.9).tolist() == [[True, False]]
    alone = Conformity.of(truth, probabilities, pooled=False)
    assert class_sets(alone, given, 0.9).tolist() == [[True, True]]  # five units exclude nothing


def test_each_of_several_labels_is_sure_or_unsure_by_itself():
    draw = np.random.default_rng(2)
    truth = draw.integers(0, 2, (400, 2))
    truth[:100, 1] = -1
    good = np.where(truth[:, 0] == 1, draw.beta(8, 1, 400), draw.beta(1, 8, 400))
    conformity = Conformity.of(truth, np.stack([good, draw.random(400)], axis=1))
    found = label_sets(conformity, np.array([[[0.97, 0.5], [0.02, 0.5]]]), 0.9)
    assert found.tolist() == [[[False, True], [True, True]], [[True, False], [True, True]]]
    assert len(conformity.label(1).scores) == 300


def test_coverage_is_what_was_asked_for_also_of_a_rare_class():
    draw = np.random.default_rng(3)

    def sample(n):
        truth = (draw.random(n) < 0.1).astype(int)
        p = 1 / (1 + np.exp(-draw.normal(2 * truth - 2.5, 1)))
        return truth, np.stack([1 - p, p], axis=1)

    held = np.zeros(2)
    for _ in range(40):
        truth, given = sample(2000)
        sets = class_sets(Conformity.of(*sample(500)), given[None], 0.9)
        hit = sets[np.arange(2000), truth]
        held += [hit[truth == y].mean() / 40 for y in (0, 1)]
    assert held == pytest.approx([0.9, 0.91], abs=0.02)  # of 50 units one step is 0.02


def test_a_random_part_is_kept_with_all_repeats_of_a_unit(monkeypatch):
    monkeypatch.setattr(conformal, "MOST_UNITS", 10)
    rows = np.arange(60.0)
    kept = Conformity(rows, rows.astype(int), rows.astype(int), repeats=3).kept(0)
    assert (np.diff(kept.scores.reshape(10, 3), axis=1) == 1).all()
    assert (kept.scores.reshape(10, 3)[:, 0] % 3 == 0).all()
