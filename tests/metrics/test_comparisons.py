"""DeLong's test equals the definition by pairs, McNemar's SciPy's binomial; in clusters both agree with resampling."""

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import roc_auc_score

from seqlm.metrics import comparisons, metrics

pytestmark = pytest.mark.filterwarnings("error")


def two_models(n=150, seed=2):
    """Truth and the coarse scores, so that many tie, of a good and a weak model."""
    generator = np.random.default_rng(seed)
    truth = generator.integers(0, 2, n)
    good, weak = (np.round(truth * gain + generator.normal(size=n), 1) for gain in (1.5, 0.8))
    return truth, good, weak


def clustered(proteins=60, seed=1):
    """Residues of proteins whose errors go together: truth, a good and a weak score, and the protein of each."""
    generator = np.random.default_rng(seed)
    groups = np.repeat(np.arange(proteins), generator.integers(2, 12, proteins))
    truth = (generator.random(len(groups)) < generator.uniform(0.1, 0.9, proteins)[groups]).astype(int)
    shared = generator.normal(size=(2, proteins))[:, groups]
    good, weak = (
        truth * gain + generator.normal(size=len(groups)) + 2 * own for gain, own in zip((1.5, 1), shared, strict=True)
    )
    return truth, good, weak, groups


def delong_by_pairs(truth, first, second):
    """The definition: placements counted pair by pair, covariances by numpy."""
    placements = []
    for scores in (first, second):
        above, below = scores[truth == 1][:, None], scores[truth == 0][None, :]
        wins = (above > below) + 0.5 * (above == below)
        placements.append((wins.mean(axis=1), wins.mean(axis=0)))
    of_positives, of_negatives = (np.array(side) for side in zip(*placements, strict=True))
    covariance = np.cov(of_positives) / truth.sum() + np.cov(of_negatives) / (1 - truth).sum()
    difference = of_positives.mean(axis=1) @ [1, -1]
    variance = np.array([1, -1]) @ covariance @ [1, -1]
    return difference, variance, 2 * stats.norm.sf(abs(difference) / variance**0.5)


def test_delong_equals_its_definition_by_pairs_with_ties():
    truth, good, weak = two_models()
    found = comparisons.delong(truth, good, weak)
    difference, variance, p = delong_by_pairs(truth, good, weak)
    assert found.difference.value == pytest.approx(roc_auc_score(truth, good) - roc_auc_score(truth, weak))
    assert found.difference.value == pytest.approx(difference)
    assert found.difference.high - found.difference.value == pytest.approx(1.959964 * variance**0.5)
    assert found.p == pytest.approx(p)
    assert comparisons.delong(truth, weak, good).difference.value == pytest.approx(-difference)


def test_delong_and_the_paired_bootstrap_agree():
    truth, good, weak = two_models(n=400)
    found = comparisons.delong(truth, good, weak).difference
    drawn = metrics.paired_difference("auroc", truth, *(np.column_stack([-s, s]) for s in (good, weak)))
    assert (found.low, found.high) == pytest.approx((drawn.low, drawn.high), abs=0.01)


def test_delong_of_residues_widens_to_what_drawing_proteins_gives():
    truth, good, weak, groups = clustered(200)
    probabilities = [np.column_stack([-scores, scores]) for scores in (good, weak)]
    drawn = metrics.paired_difference("auroc", truth, *probabilities, groups=groups, resamples=2000)
    found = comparisons.delong(truth, good, weak, groups).difference
    assert (found.low, found.high) == pytest.approx((drawn.low, drawn.high), abs=0.01)
    alone = comparisons.delong(truth, good, weak).difference
    assert found.high - found.low > 1.3 * (alone.high - alone.low)


def test_residues_that_are_proteins_of_their_own_change_nothing():
    truth, good, weak = two_models()
    one_each = np.arange(len(truth))
    assert comparisons.delong(truth, good, weak, one_each).p == pytest.approx(comparisons.delong(truth, good, weak).p)


def test_equal_models_do_not_differ_and_one_class_cannot_be_compared():
    truth, good, _ = two_models()
    assert comparisons.delong(truth, good, 3 * good).p == 1
    assert np.isnan(comparisons.delong(np.ones(5), good[:5], good[5:10]).p)
    assert np.isnan(comparisons.delong(np.array([1, 0, 0, 0]), good[:4], good[4:8]).p)


@pytest.mark.parametrize(("first_only", "second_only"), [(3, 9), (12, 12), (0, 1), (20, 4)])
def test_mcnemar_is_the_exact_binomial_test_of_few(first_only, second_only):
    right = np.array([(1, 1)] * 5 + [(1, 0)] * first_only + [(0, 1)] * second_only + [(0, 0)] * 4)
    found = comparisons.mcnemar(np.ones(len(right)), right[:, 0], right[:, 1])
    assert (found.first_only, found.second_only) == (first_only, second_only)
    assert found.p == pytest.approx(stats.binomtest(first_only, first_only + second_only).pvalue)


@pytest.mark.parametrize(("first_only", "second_only"), [(10, 15), (80, 41), (13, 13)])
def test_mcnemar_of_many_is_chi_square_with_continuity(first_only, second_only):
    right = np.array([(1, 0)] * first_only + [(0, 1)] * second_only)
    statistic = max(abs(first_only - second_only) - 1, 0) ** 2 / (first_only + second_only)
    found = comparisons.mcnemar(np.ones(len(right)), right[:, 0], right[:, 1])
    assert found.p == pytest.approx(stats.chi2.sf(statistic, 1))


def test_mcnemar_of_several_labels_asks_for_all_of_them():
    truth = np.array([[1, 0], [0, 1], [1, 1]])
    found = comparisons.mcnemar(truth, truth, np.array([[1, 0], [0, 0], [0, 1]]))
    assert (found.first_only, found.second_only) == (2, 0)
    assert comparisons.mcnemar(truth, truth, truth).p == 1


def test_mcnemar_of_residues_keeps_its_error_rate_where_the_plain_test_does_not():
    """Two equally good models whose errors go together within a protein: 5 % of tests should say that they differ."""
    generator = np.random.default_rng(0)
    groups, said = np.repeat(np.arange(50), 20), {"proteins": 0, "residues": 0}
    for _ in range(300):
        right = generator.random((2, 1000)) < generator.choice([0.5, 0.9], size=(2, 50))[:, groups]
        said["proteins"] += comparisons.mcnemar(np.ones(1000), *right, groups).p < 0.05
        said["residues"] += comparisons.mcnemar(np.ones(1000), *right).p < 0.05
    assert said["proteins"] / 300 < 0.09
    assert said["residues"] / 300 > 0.3


def test_steiger_keeps_its_error_rate_and_finds_a_difference():
    generator = np.random.default_rng(0)
    p = []
    for _ in range(400):
        truth = generator.normal(size=40)
        shared = generator.normal(size=40)
        first, second = (truth + shared + generator.normal(size=40) for _ in range(2))
        p.append(comparisons.steiger(truth, first, second))
    assert 0.03 < np.mean(np.array(p) < 0.05) < 0.07
    assert comparisons.steiger(truth, truth + 0.1 * shared, generator.normal(size=40)) < 1e-6
    assert comparisons.steiger(truth, first, 2 * first + 1) == 1
    assert np.isnan(comparisons.steiger(truth, first, np.ones(40)))


def columns_with(first, second, between, n=103):
    """Three columns that have exactly these correlations."""
    wanted = np.linalg.cholesky([[1, first, second], [first, 1, between], [second, between, 1]])
    drawn = np.column_stack([np.ones(n), np.random.default_rng(1).normal(size=(n, 3))])
    return wanted @ np.linalg.qr(drawn)[0][:, 1:].T  # of orthogonal columns with mean 0


@pytest.mark.parametrize(("first", "second", "between"), [(0.5, 0.4, 0.1), (0.5, 0.32, 0.61), (0.2, -0.1, 0.0)])
def test_steiger_is_close_to_the_t_test_of_williams(first, second, between):
    """Another test of the same question (Williams 1959; Steiger 1980, eq. 7); at n = 103 they hardly differ."""
    n = 103
    determinant = 1 - first**2 - second**2 - between**2 + 2 * first * second * between
    mean = (first + second) / 2
    t = (first - second) * np.sqrt(
        (n - 1) * (1 + between) / (2 * (n - 1) / (n - 3) * determinant + mean**2 * (1 - between) ** 3)
    )
    found = comparisons.steiger(*columns_with(first, second, between, n))
    assert found == pytest.approx(2 * stats.t.sf(abs(t), n - 3), abs=0.005)


def test_holm_adjusts_as_by_hand():
    assert comparisons.holm(np.array([0.01, 0.04, np.nan, 0.03])) == pytest.approx(
        [0.03, 0.06, np.nan, 0.06], nan_ok=True
    )
    assert comparisons.holm(np.array([0.9, 0.8])) == pytest.approx([1, 1])
    assert len(comparisons.holm(np.array([]))) == 0
