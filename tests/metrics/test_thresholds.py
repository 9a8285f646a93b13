"""No threshold and no temperature is better than those chosen, and calls follow the thresholds."""

import numpy as np
import pytest
import torch
from scipy.special import softmax
from sklearn.metrics import f1_score, matthews_corrcoef

from seqlm.metrics import thresholds

pytestmark = pytest.mark.filterwarnings("error")
REFERENCE = {"mcc": matthews_corrcoef, "f1": lambda truth, called: f1_score(truth, called, zero_division=0)}


def rare_class(n=80, seed=0, digits=2):
    generator = np.random.default_rng(seed)
    truth = (generator.random(n) < 0.2).astype(int)
    return truth, np.round(1 / (1 + np.exp(2 - 1.5 * truth - generator.normal(size=n))), digits)


@pytest.mark.parametrize("by", ["mcc", "f1"])
@pytest.mark.parametrize("seed", range(5))
def test_no_threshold_is_better(by, seed):
    truth, probability = rare_class(seed=seed)
    chosen = thresholds.best_threshold(truth, probability, by)
    best = max(REFERENCE[by](truth, probability >= cut) for cut in np.arange(0, 1.0001, 0.005))
    assert REFERENCE[by](truth, probability >= chosen) == pytest.approx(best)


def test_it_lies_midway_and_of_equals_nearest_to_one_half():
    assert thresholds.best_threshold([0, 0, 1, 1], [0.1, 0.2, 0.6, 0.9]) == pytest.approx(0.4)
    # both cuts of the mirror image have the same MCC: 0.15 and 0.7
    assert thresholds.best_threshold([0, 1, 0, 1], [0.1, 0.2, 0.6, 0.8]) == pytest.approx(0.7)


@pytest.mark.parametrize("low", [0.3, np.nextafter(0.3, 1)])
def test_neighbours_with_no_number_between_them_are_still_told_apart(low):
    both = np.array([low, np.nextafter(low, 1)])
    assert list(both >= thresholds.best_threshold([0, 1], both)) == [False, True]


def test_where_every_cut_is_worse_than_none_nothing_or_everything_is_called():
    assert thresholds.best_threshold([1, 0], [0.1, 0.6]) == pytest.approx(0.8)
    assert thresholds.best_threshold([1, 0], [0.4, 1.0]) == pytest.approx(0.2)


def test_one_class_leaves_one_half():
    assert thresholds.best_threshold([0, 0], [0.1, 0.9]) == 0.5
    assert thresholds.best_threshold([1, 1], [0.1, 0.9]) == 0.5
    with pytest.raises(ValueError, match="mcc or f1"):
        thresholds.best_threshold([0, 1], [0.1, 0.9], "auroc")


def test_each_label_has_its_own():
    truth, probability = rare_class()
    found = thresholds.best_thresholds(
        np.stack([truth, 1 - truth, np.zeros(80)], axis=1), np.stack([probability] * 3, axis=1), "f1"
    )
    assert list(found) == [
        thresholds.best_threshold(truth, probability, "f1"),
        thresholds.best_threshold(1 - truth, probability, "f1"),
        0.5,
    ]
    assert found[0] != found[1]
    truth = np.concatenate([truth, np.full(40, -1)])  # what is not known chooses nothing
    probability = np.concatenate([probability, np.linspace(0, 1, 40)])
    assert thresholds.best_thresholds(truth[:, None], probability[:, None], "f1") == found[:1]


def test_calls():
    two = np.array([[0.7, 0.3], [0.4, 0.6]])
    assert list(thresholds.called(two)) == [0, 1]
    assert list(thresholds.called(two, 0.3)) == [1, 1]  # at least the threshold
    assert list(thresholds.called(two, 0.61)) == [0, 0]
    assert thresholds.called(two, np.array([0.5, 0.2])).tolist() == [[1, 1], [0, 1]]
    assert thresholds.called(two, several=True).tolist() == [[1, 0], [0, 1]]
    with pytest.raises(ValueError, match="two classes"):
        thresholds.called(np.full((2, 3), 1 / 3), 0.5)
    with pytest.raises(ValueError, match="do not fit"):
        thresholds.called(two, np.full(3, 0.5))


@pytest.mark.parametrize("true_temperature", [0.3, 1.0, 4.0])
def test_the_temperature_that_made_the_classes_is_found(true_temperature):
    generator = np.random.default_rng(0)
    logits = 3 * generator.normal(size=(20_000, 3))
    chances = softmax(logits / true_temperature, axis=1).cumsum(axis=1)
    truth = (generator.random((20_000, 1)) > chances).sum(axis=1)
    assert thresholds.best_temperature(truth, logits) == pytest.approx(true_temperature, rel=0.05)


def likelihood(truth, logits, temperature, kind):
    scaled = torch.tensor(logits / temperature)
    if kind == "sigmoid":
        return torch.nn.functional.binary_cross_entropy_with_logits(scaled, torch.tensor(truth).double()).item()
    return torch.nn.functional.cross_entropy(scaled, torch.tensor(truth)).item()


@pytest.mark.parametrize("kind", ["softmax", "sigmoid"])
def test_no_temperature_is_more_likely(kind):
    generator = np.random.default_rng(3)
    logits = 4 * generator.normal(size=(200, 2))
    noisy = logits + 6 * generator.normal(size=logits.shape)
    truth = (noisy > 0).astype(int) if kind == "sigmoid" else noisy.argmax(axis=1)
    chosen = thresholds.best_temperature(truth, logits, kind)
    assert 1 < chosen < 20
    least = likelihood(truth, logits, chosen, kind)
    assert all(likelihood(truth, logits, other, kind) >= least for other in (chosen * 0.97, chosen * 1.03, 1.0))
    if kind == "sigmoid":
        truth = np.concatenate([truth, np.full((50, 2), -1)])
        logits = np.concatenate([logits, np.full((50, 2), 9.0)])
        assert thresholds.best_temperature(truth, logits, kind) == pytest.approx(chosen, rel=1e-6)


def test_temperatures_stay_within_bounds_and_nonsense_is_refused():
    logits = np.array([[0.01, -0.01], [-0.01, 0.01]])
    assert thresholds.best_temperature(np.array([0, 1]), logits) == pytest.approx(0.05, rel=0.01)
    assert thresholds.best_temperature(np.array([1, 0]), logits) == pytest.approx(20, rel=0.01)
    with pytest.raises(ValueError, match="NaN or infinite"):
        thresholds.best_temperature(np.array([1, 0]), logits * np.inf)
    with pytest.raises(ValueError, match="wanted"):
        thresholds.best_temperature(np.array([1, 0]), logits, "sigmoid")
