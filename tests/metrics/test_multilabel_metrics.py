"""Scores of several labels at once equal scikit-learn's, Fmax its definition sequence by sequence."""

import numpy as np
import pytest
from sklearn import metrics as reference

from seqlm.metrics import metrics
from seqlm.metrics.label_scores import label_scores

pytestmark = pytest.mark.filterwarnings("error")


def compartments(n=70, labels=4, seed=0):
    """Truth, some of it empty, and coarse probabilities; the last label is never true."""
    generator = np.random.default_rng(seed)
    truth = (generator.random((n, labels)) < 0.3).astype(int)
    truth[:, -1] = 0
    return truth, np.round(1 / (1 + np.exp(1 - 2 * truth - generator.normal(size=truth.shape))), 2)


def fmax(truth, probabilities):
    """Maximum over thresholds of the harmonic mean, straight from the sums over sequences."""
    best = 0.0
    for step in range(101):
        precisions, recalls = [], []
        for labels, chances in zip(truth, probabilities, strict=True):
            true, called = set(np.flatnonzero(labels)), set(np.flatnonzero(chances >= step / 100))
            if called:
                precisions.append(len(true & called) / len(called))
            if true:
                recalls.append(len(true & called) / len(true))
        precision = np.mean(precisions) if precisions else 0
        recall = np.mean(recalls)
        if precision + recall:
            best = max(best, 2 * precision * recall / (precision + recall))
    return best


def by_reference(truth, probabilities, called):
    some = [c for c in range(truth.shape[1]) if truth[:, c].any()]
    both = [c for c in some if not truth[:, c].all()]
    return {
        "macro_f1": reference.f1_score(truth[:, some], called[:, some], average="macro", zero_division=0),
        "micro_f1": reference.f1_score(truth, called, average="micro", zero_division=0),
        "fmax": fmax(truth, probabilities),
        "macro_auroc": np.mean([reference.roc_auc_score(truth[:, c], probabilities[:, c]) for c in both]),
        "macro_auprc": np.mean([reference.average_precision_score(truth[:, c], probabilities[:, c]) for c in some]),
        "micro_auprc": reference.average_precision_score(truth.ravel(), probabilities.ravel()),
        "subset_accuracy": reference.accuracy_score(truth, called),
        "hamming_accuracy": 1 - reference.hamming_loss(truth, called),
    }


@pytest.mark.parametrize("threshold", [None, 0.3, np.array([0.2, 0.4, 0.6, 0.8])])
def test_scores_equal_scikit_learn_and_the_definition_of_fmax(threshold):
    truth, probabilities = compartments()
    scores = metrics.scores_for("multi-label", truth, probabilities, threshold=threshold, resamples=0)
    called = (probabilities >= (0.5 if threshold is None else threshold)).astype(int)
    assert {name: score.value for name, score in scores.items()} == pytest.approx(
        by_reference(truth, probabilities, called)
    )
    assert tuple(scores) == metrics.metrics_for("multi-label") == metrics.MULTILABEL


def test_intervals_equal_explicit_resampling():
    truth, probabilities = compartments(n=40)
    called = (probabilities >= 0.5).astype(int)
    scores = metrics.scores_for("multi-label", truth, probabilities, resamples=20, seed=3)
    rows = []
    for weights in np.concatenate(list(metrics.resample_weights(40, 20, 3))).astype(int):
        i = np.repeat(np.arange(40), weights)
        rows.append(by_reference(truth[i], probabilities[i], called[i]))
    assert {name: (score.low, score.high) for name, score in scores.items()} == {
        name: pytest.approx(tuple(np.percentile([row[name] for row in rows], [2.5, 97.5]))) for name in rows[0]
    }


def test_paired_difference_takes_a_threshold_for_each_model():
    truth, probabilities = compartments()
    one, other = (
        metrics.plain("micro_f1", truth, probabilities, threshold=threshold) for threshold in (np.full(4, 0.2), None)
    )
    found = metrics.paired_difference(
        "micro_f1", truth, probabilities, probabilities, first_threshold=np.full(4, 0.2), resamples=50
    )
    assert found.value == pytest.approx(one - other) != 0
    assert found.low < found.value < found.high


def test_many_cells_are_scored_from_bins_with_the_same_interval(monkeypatch):
    truth, probabilities = compartments(n=300)
    exact = metrics.scores_for("multi-label", truth, probabilities, resamples=300)
    monkeypatch.setattr("seqlm.metrics.resampling.EXACT", 100)
    monkeypatch.setattr("seqlm.metrics.curves.EXACT", 100)
    monkeypatch.setattr("seqlm.metrics.curves.BINS", 50)
    binned = metrics.scores_for("multi-label", truth, probabilities, resamples=300)
    for name in exact:
        assert binned[name].value == exact[name].value
        assert (binned[name].low, binned[name].high) == pytest.approx((exact[name].low, exact[name].high), abs=0.01)


def test_empty_truth_is_undefined_and_shapes_must_fit():
    scores = metrics.scores_for("multi-label", np.zeros((5, 2), int), np.full((5, 2), 0.2), resamples=5)
    undefined = {name for name, score in scores.items() if np.isnan(score.value)}
    assert undefined == set(metrics.MULTILABEL) - {"subset_accuracy", "hamming_accuracy"}
    with pytest.raises(ValueError, match="wanted"):
        metrics.scores_for("multi-label", np.zeros((5, 3), int), np.full((5, 2), 0.2))
    with pytest.raises(ValueError, match="0 or 1"):
        metrics.scores_for("multi-label", np.full((5, 2), 2), np.full((5, 2), 0.2))


# -- truth that is not known


def partly_known(n=120, share=0.3):
    """As :func:`compartments`, and a share of the truth not known; the last label is known of three sequences."""
    truth, probabilities = compartments(n)
    generator = np.random.default_rng(9)
    truth[generator.random(truth.shape) < share] = -1
    truth[0, :3] = 1, 0, -1  # none is without anything known
    truth[3:, -1] = -1
    truth[(truth < 0).all(axis=1), 0] = 0
    return truth, probabilities


def by_reference_of_known(truth, probabilities, called):
    known = truth >= 0
    columns = [(truth[k, c], probabilities[k, c], called[k, c]) for c, k in enumerate(known.T)]
    some = [column for column in columns if (column[0] == 1).any()]
    both = [column for column in some if (column[0] == 0).any()]
    rows = [(truth[row, k], probabilities[row, k], called[row, k]) for row, k in enumerate(known)]
    return {
        "macro_f1": np.mean([reference.f1_score(t, c, zero_division=0) for t, _, c in some]),
        "micro_f1": reference.f1_score(truth[known], called[known]),
        "fmax": fmax([t for t, _, _ in rows], [p for _, p, _ in rows]),
        "macro_auroc": np.mean([reference.roc_auc_score(t, p) for t, p, _ in both]),
        "macro_auprc": np.mean([reference.average_precision_score(t, p) for t, p, _ in some]),
        "micro_auprc": reference.average_precision_score(truth[known], probabilities[known]),
        "subset_accuracy": np.mean([(t == c).all() for t, _, c in rows]),
        "hamming_accuracy": np.mean(truth[known] == called[known]),
    }


def test_what_is_not_known_counts_nowhere():
    truth, probabilities = partly_known()
    called = (probabilities >= 0.5).astype(int)
    scores = metrics.scores_for("multi-label", truth, probabilities, resamples=30, seed=3)
    assert {name: score.value for name, score in scores.items()} == pytest.approx(
        by_reference_of_known(truth, probabilities, called)
    )
    rows = []
    for weights in np.concatenate(list(metrics.resample_weights(120, 30, 3))).astype(int):
        i = np.repeat(np.arange(120), weights)
        rows.append(by_reference_of_known(truth[i], probabilities[i], called[i]))
    for name, score in scores.items():
        assert (score.low, score.high) == pytest.approx(
            tuple(np.percentile([row[name] for row in rows], [2.5, 97.5]))
        ), name


def test_what_is_predicted_of_the_unknown_changes_nothing():
    truth, probabilities = partly_known()
    other = np.where(truth < 0, 1 - probabilities, probabilities)
    one, two = (metrics.scores_for("multi-label", truth, given, resamples=20) for given in (probabilities, other))
    assert one == two
    with pytest.raises(ValueError, match="no truth is known"):
        metrics.scores_for("multi-label", np.full((3, 2), -1), np.full((3, 2), 0.5))


def test_scores_of_a_label_are_of_the_sequences_of_which_it_is_known():
    truth, probabilities = partly_known()
    for found in label_scores(truth, probabilities, most=3):
        known = truth[:, found.place] >= 0
        true, given = truth[known, found.place], probabilities[known, found.place]
        assert (found.known, found.size, found.called) == (known.sum(), true.sum(), (given >= 0.5).sum())
        assert found.auroc.value == pytest.approx(reference.roc_auc_score(true, given))
