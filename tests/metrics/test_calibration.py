"""Bins, Brier score and calibration error equal scikit-learn's, intervals SciPy's."""

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics as reference
from sklearn.calibration import calibration_curve

from seqlm.metrics.calibration import calibration


def test_calibration_bins_equal_scikit_learn_and_wilson():
    truth = np.random.default_rng(1).integers(0, 2, 300)
    probabilities = np.random.default_rng(0).dirichlet([1, 1], size=300)
    bins = calibration(truth, probabilities)
    observed, stated = calibration_curve(truth, probabilities[:, 1], n_bins=10)
    assert bins.observed == pytest.approx(observed)
    assert bins.stated == pytest.approx(stated)
    assert bins.counts.sum() == 300
    assert bins.brier == pytest.approx(reference.brier_score_loss(truth, probabilities[:, 1]))
    assert bins.ece == pytest.approx(np.sum(bins.counts * abs(observed - stated)) / 300)
    found = [
        stats.binomtest(round(share * n), n).proportion_ci(method="wilson")
        for share, n in zip(bins.observed, bins.counts.tolist(), strict=True)
    ]
    assert np.column_stack([bins.low, bins.high]) == pytest.approx(np.array(found), abs=1e-6)


def test_calibration_of_more_classes_is_that_of_the_class_called():
    truth = np.array([0, 1, 2, 2])
    probabilities = np.array([[1.0, 0, 0], [0, 1, 0], [0.6, 0.2, 0.2], [0.1, 0.1, 0.8]])
    bins = calibration(truth, probabilities, bins=10)
    assert list(bins.counts) == [1, 1, 2]  # 0.6, 0.8, 1.0 twice
    assert list(bins.observed) == [0, 1, 1]
    assert bins.brier == pytest.approx((0 + 0 + (0.36 + 0.04 + 0.64) + (0.01 + 0.01 + 0.04)) / 4)
    assert bins.ece == pytest.approx((0.6 + 0.2) / 4)
    assert calibration(truth, probabilities).width == 0.2  # four sequences cannot fill ten bins
