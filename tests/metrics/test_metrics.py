"""Scores equal scikit-learn's and SciPy's, weighted resamples equal explicit ones, and the edges are as documented."""

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics as reference

from seqlm.metrics import metrics
from seqlm.metrics.curves import Curve
from seqlm.metrics.metrics import Score
from seqlm.metrics.resampling import Sample

pytestmark = pytest.mark.filterwarnings("error")


def tied_problem(classes: int, n: int = 120, seed: int = 1):
    """Truth and coarse probabilities, so that many scores tie."""
    generator = np.random.default_rng(seed)
    truth = generator.integers(0, classes, n)
    logits = generator.normal(size=(n, classes)) + 1.2 * np.eye(classes)[truth]
    counts = np.round(8 * np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)) + 1
    return truth, counts / 100


def values_of(scores):
    return {name: score.value for name, score in scores.items()}


def two_class_reference(truth, probabilities, positive):
    called = probabilities.argmax(axis=1)
    score = probabilities[:, positive]
    sides = {"pos_label": positive, "zero_division": 0}
    return {
        "accuracy": reference.accuracy_score(truth, called),
        "balanced_accuracy": reference.balanced_accuracy_score(truth, called),
        "mcc": reference.matthews_corrcoef(truth, called),
        "sensitivity": reference.recall_score(truth, called, **sides),
        "specificity": reference.recall_score(truth, called, pos_label=1 - positive),
        "precision": reference.precision_score(truth, called, **sides),
        "f1": reference.f1_score(truth, called, **sides),
        "auroc": reference.roc_auc_score(truth == positive, score),
        "auprc": reference.average_precision_score(truth == positive, score),
    }


def macro_reference(truth, probabilities):
    called, classes = probabilities.argmax(axis=1), probabilities.shape[1]
    one_hot = np.eye(classes)[truth]
    return {
        "accuracy": reference.accuracy_score(truth, called),
        "balanced_accuracy": reference.balanced_accuracy_score(truth, called),
        "mcc": reference.matthews_corrcoef(truth, called),
        "sensitivity": reference.recall_score(truth, called, average="macro"),
        "specificity": np.mean([reference.recall_score(truth == c, called == c, pos_label=False) for c in set(truth)]),
        "precision": reference.precision_score(truth, called, average="macro", zero_division=0),
        "f1": reference.f1_score(truth, called, average="macro"),
        "auroc": np.mean([reference.roc_auc_score(one_hot[:, c], probabilities[:, c]) for c in range(classes)]),
        "auprc": np.mean(
            [reference.average_precision_score(one_hot[:, c], probabilities[:, c]) for c in range(classes)]
        ),
    }


def regression_reference(truth, predicted):
    return {
        "spearman": stats.spearmanr(truth, predicted).statistic,
        "pearson": stats.pearsonr(truth, predicted).statistic,
        "rmse": reference.root_mean_squared_error(truth, predicted),
        "r2": reference.r2_score(truth, predicted),
    }


@pytest.mark.parametrize("positive", [0, 1])
def test_two_class_scores_equal_scikit_learn_with_ties(positive):
    truth, probabilities = tied_problem(2)
    scores = metrics.classification_scores(truth, probabilities, positive=positive, resamples=0)
    assert values_of(scores) == pytest.approx(two_class_reference(truth, probabilities, positive), abs=1e-12)


def test_macro_scores_equal_scikit_learn_with_ties():
    truth, probabilities = tied_problem(5)
    scores = metrics.classification_scores(truth, probabilities, resamples=0)
    assert values_of(scores) == pytest.approx(macro_reference(truth, probabilities), abs=1e-12)


def test_regression_scores_equal_scipy_and_scikit_learn_with_ties_and_an_offset():
    generator = np.random.default_rng(3)
    truth = generator.integers(0, 12, 90) / 4 + 1e6
    predicted = np.round(truth + generator.normal(size=90), 1)
    scores = metrics.regression_scores(truth, predicted, resamples=0)
    assert values_of(scores) == pytest.approx(regression_reference(truth, predicted), rel=1e-7)


def explicit_intervals(scorer, n, resamples, seed):
    """Percentiles of a reference scorer on resamples written out with np.repeat."""
    weights = np.concatenate(list(metrics.resample_weights(n, resamples, seed))).astype(int)
    rows = [scorer(np.repeat(np.arange(n), row)) for row in weights]
    return {name: np.nanpercentile([row[name] for row in rows], [2.5, 97.5]) for name in rows[0]}


def assert_same_intervals(scores, expected):
    assert {name: (score.low, score.high) for name, score in scores.items()} == {
        name: pytest.approx(tuple(bounds), abs=1e-9) for name, bounds in expected.items()
    }


def test_two_class_intervals_equal_explicit_resampling():
    truth, probabilities = tied_problem(2, n=60)
    scores = metrics.classification_scores(truth, probabilities, positive=1, resamples=25, seed=4)
    assert_same_intervals(
        scores, explicit_intervals(lambda i: two_class_reference(truth[i], probabilities[i], 1), 60, 25, 4)
    )


def test_macro_intervals_equal_explicit_resampling():
    truth, probabilities = tied_problem(3, n=80)
    scores = metrics.classification_scores(truth, probabilities, resamples=25, seed=4)
    assert_same_intervals(scores, explicit_intervals(lambda i: macro_reference(truth[i], probabilities[i]), 80, 25, 4))


def test_regression_intervals_equal_explicit_resampling():
    generator = np.random.default_rng(5)
    truth = generator.integers(0, 9, 50) / 3
    predicted = np.round(truth + generator.normal(size=50), 1)
    scores = metrics.regression_scores(truth, predicted, resamples=25, seed=6)
    assert_same_intervals(scores, explicit_intervals(lambda i: regression_reference(truth[i], predicted[i]), 50, 25, 6))


def test_paired_difference_uses_the_same_resamples_for_both():
    truth, probabilities = tied_problem(2, n=60)
    other = np.roll(probabilities, 7, axis=0)
    difference = metrics.paired_difference("mcc", truth, probabilities, other, resamples=25, seed=4)

    def both(i):
        first, second = (two_class_reference(truth[i], p[i], 1)["mcc"] for p in (probabilities, other))
        return {"mcc": first - second}

    assert_same_intervals({"mcc": difference}, explicit_intervals(both, 60, 25, 4))
    assert difference.value == pytest.approx(both(np.arange(60))["mcc"])
    assert metrics.paired_difference("auroc", truth, other, other) == Score(0.0, 0.0, 0.0)


@pytest.mark.parametrize("difference", [0.5, 2.0, 5.0])
def test_p_of_a_difference_is_that_of_a_normal_one_even_beyond_what_can_be_counted(difference):
    drawn = difference + np.random.default_rng(0).normal(size=5000)
    expected = 2 * stats.norm.sf(difference)
    assert Sample(difference, drawn).p() == pytest.approx(expected, rel=0.15)
    assert Sample(-difference, -drawn).p() == pytest.approx(expected, rel=0.15)
    assert Sample(0.0, np.zeros(10)).p() == 1
    assert np.isnan(Sample(np.nan, np.full(10, np.nan)).p())


def proteins_of(n: int, seed: int = 7):
    """Residues of proteins of 1 to 9 residues, in no order."""
    return np.random.default_rng(seed).permutation(np.repeat(np.arange(n), np.arange(n) % 9 + 1)[:n])


def test_intervals_of_residues_come_from_drawing_whole_proteins():
    truth, probabilities = tied_problem(2, n=60)
    groups = proteins_of(60)
    scores = metrics.scores_for("residue-classification", truth, probabilities, groups=groups, resamples=25, seed=4)
    names = np.unique(groups)
    assert_same_intervals(
        scores,
        explicit_intervals(
            lambda drawn: two_class_reference(*in_proteins(drawn, names, groups, truth, probabilities), 1),
            len(names),
            25,
            4,
        ),
    )


def in_proteins(drawn, names, groups, *columns):
    """Rows of the proteins that were drawn, as often as they were."""
    rows = np.concatenate([np.flatnonzero(groups == names[number]) for number in drawn])
    return [column[rows] for column in columns]


def test_intervals_of_residue_values_come_from_drawing_whole_proteins():
    generator = np.random.default_rng(5)
    truth = generator.integers(0, 9, 60) / 3
    predicted = np.round(truth + generator.normal(size=60), 1)
    groups = proteins_of(60)
    names = np.unique(groups)
    scores = metrics.scores_for("residue-regression", truth, predicted, groups=groups, resamples=25, seed=6)
    assert_same_intervals(
        scores,
        explicit_intervals(
            lambda drawn: regression_reference(*in_proteins(drawn, names, groups, truth, predicted)), len(names), 25, 6
        ),
    )


def test_residues_that_go_together_have_wider_intervals():
    truth, probabilities = tied_problem(2, n=100)
    copies = np.repeat(np.arange(100), 8)
    alone = metrics.scores_for("residue-classification", truth[copies], probabilities[copies], resamples=300)["mcc"]
    grouped = metrics.scores_for(
        "residue-classification", truth[copies], probabilities[copies], groups=copies, resamples=300
    )["mcc"]
    once = metrics.scores_for("sequence-classification", truth, probabilities, resamples=300)["mcc"]
    assert grouped == once  # eight copies of a residue tell nothing new
    assert grouped.high - grouped.low > 2 * (alone.high - alone.low)


@pytest.fixture
def few_are_many(monkeypatch):
    """What is done for more than 20,000 units is done for 200."""
    for module in ("resampling", "curves", "value_metrics"):
        monkeypatch.setattr(f"seqlm.metrics.{module}.EXACT", 200)
    monkeypatch.setattr("seqlm.metrics.curves.BINS", 60)
    monkeypatch.setattr("seqlm.metrics.value_metrics.BINS", 40)


@pytest.mark.parametrize("grouped", [True, False])
@pytest.mark.parametrize("classes", [2, 3])
def test_many_units_are_scored_from_bins_with_nearly_the_same_interval(grouped, classes, request):
    generator = np.random.default_rng(1)
    truth = (generator.random(900) < 0.15).astype(int) if classes == 2 else generator.integers(0, classes, 900)
    logits = generator.normal(size=(900, classes)) + 1.5 * np.eye(classes)[truth]
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    groups = proteins_of(900) if grouped else None
    exact = metrics.scores_for("residue-classification", truth, probabilities, groups=groups, resamples=2000)
    request.getfixturevalue("few_are_many")
    binned = metrics.scores_for("residue-classification", truth, probabilities, groups=groups, resamples=2000)
    for name in metrics.CLASSIFICATION:
        assert binned[name].value == exact[name].value
        assert (binned[name].low, binned[name].high) == pytest.approx((exact[name].low, exact[name].high), abs=0.006)


def test_bins_follow_the_few_positives(few_are_many):
    """With 60 bins for 20,000 units of which 1 % are positive, bins of equal size alone would be off by 0.1."""
    generator = np.random.default_rng(1)
    truth = generator.random(20_000) < 0.01
    curve = Curve(truth, 2.5 * truth + generator.normal(size=20_000))
    everyone = np.arange(20_000)
    binned = curve.counted(everyone, np.zeros(20_000, int), 1)(np.ones((1, 1)))
    assert curve.bins <= 61
    assert [float(area[0]) for area in binned] == pytest.approx(curve.areas(), abs=0.03)


@pytest.mark.parametrize("grouped", [True, False])
def test_many_values_are_ranked_in_bins_with_nearly_the_same_interval(grouped, request):
    generator = np.random.default_rng(1)
    truth = generator.normal(size=900)
    predicted = truth + generator.normal(size=900)
    groups = proteins_of(900) if grouped else None
    exact = metrics.scores_for("residue-regression", truth, predicted, groups=groups, resamples=500)
    request.getfixturevalue("few_are_many")
    binned = metrics.scores_for("residue-regression", truth, predicted, groups=groups, resamples=500)
    for name in ("pearson", "rmse", "r2"):
        assert (binned[name].low, binned[name].high) == pytest.approx((exact[name].low, exact[name].high), abs=1e-9)
    assert binned["spearman"].value == exact["spearman"].value
    assert binned["spearman"].low == pytest.approx(exact["spearman"].low, abs=0.003)
    assert binned["spearman"].high == pytest.approx(exact["spearman"].high, abs=0.003)


def test_units_that_are_alike_are_drawn_together_as_often_as_one_by_one(few_are_many):
    """300 units of two kinds: the share of right calls varies as a binomial does."""
    truth = np.repeat([1, 0, 1], [100, 120, 80])
    probabilities = np.column_stack([1 - truth, truth]) * 0.8 + 0.1
    probabilities[220:] = [0.9, 0.1]  # wrong
    score = metrics.scores_for("sequence-classification", truth, probabilities, resamples=4000)["accuracy"]
    expected = stats.binom(300, 220 / 300).ppf([0.025, 0.975]) / 300
    assert (score.low, score.high) == pytest.approx(tuple(expected), abs=0.005)


def test_thresholds_and_groups_reach_the_scores():
    truth, probabilities = tied_problem(2)
    probabilities = probabilities / probabilities.sum(axis=1, keepdims=True)
    scores = metrics.scores_for("pair-classification", truth, probabilities, threshold=0.7, resamples=0)
    called = (probabilities[:, 1] >= 0.7).astype(int)
    assert scores["mcc"].value == pytest.approx(reference.matthews_corrcoef(truth, called))
    assert metrics.plain("mcc", truth, probabilities, threshold=0.7) == scores["mcc"].value
    difference = metrics.paired_difference("mcc", truth, probabilities, probabilities, first_threshold=0.7)
    usual = reference.matthews_corrcoef(truth, probabilities.argmax(axis=1))
    assert difference.value == pytest.approx(scores["mcc"].value - usual) != 0
    with pytest.raises(ValueError, match="groups"):
        metrics.scores_for("residue-classification", truth, probabilities, groups=np.zeros(3))


def test_resamples_are_seeded_whole_and_independent_of_one_another():
    rows = np.concatenate(list(metrics.resample_weights(7, 300, seed=1)))
    assert rows.shape == (300, 7)
    assert (rows.sum(axis=1) == 7).all()
    assert len(np.unique(rows, axis=0)) > 200
    assert np.array_equal(rows, np.concatenate(list(metrics.resample_weights(7, 300, seed=1))))
    assert not np.array_equal(rows, np.concatenate(list(metrics.resample_weights(7, 300, seed=2))))


def test_one_class_leaves_undefined_scores_undefined():
    truth, probabilities = np.zeros(6, dtype=int), np.tile([0.8, 0.2], (6, 1))
    values = values_of(metrics.classification_scores(truth, probabilities, resamples=10))
    undefined = {name for name, value in values.items() if np.isnan(value)}
    assert undefined == {"sensitivity", "auroc", "auprc"}
    assert (values["mcc"], values["precision"], values["f1"]) == (0, 0, 0)
    assert (values["accuracy"], values["balanced_accuracy"], values["specificity"]) == (1, 1, 1)


def test_resamples_in_which_a_score_is_undefined_are_left_out():
    truth = np.array([0] * 9 + [1])  # one resample in three holds no positive
    probabilities = np.column_stack([1 - np.linspace(0, 0.9, 10), np.linspace(0, 0.9, 10)])
    scores = metrics.classification_scores(truth, probabilities, resamples=200)
    assert scores["auroc"] == Score(1.0, 1.0, 1.0)


def test_a_class_without_examples_takes_no_part_in_macro_scores():
    truth, probabilities = tied_problem(3)
    wider = np.column_stack([probabilities, np.zeros(len(truth))])
    without = metrics.classification_scores(truth, probabilities, resamples=20)
    assert metrics.classification_scores(truth, wider, resamples=20) == without


@pytest.mark.parametrize("constant", [0.0, 0.1, 1e9])
def test_constant_predictions_tell_nothing_and_constant_truth_asks_nothing(constant):
    line, flat = np.arange(9.0), np.full(9, constant)
    values = values_of(metrics.regression_scores(line, flat, resamples=10))
    assert (values["spearman"], values["pearson"]) == (0, 0)
    assert values["rmse"] > 0
    values = values_of(metrics.regression_scores(flat, line, resamples=10))
    assert np.isnan([values["spearman"], values["pearson"], values["r2"]]).all()


def test_a_resample_of_one_value_has_no_correlation():
    for truth in np.random.default_rng(0).normal(size=(30, 3)):
        score = metrics.regression_scores(truth, 3 * truth, resamples=100)["pearson"]  # one in nine draws one value
        assert (score.low, score.high) == pytest.approx((1, 1))


def test_a_threshold_moves_the_calls_but_not_the_curves():
    truth, probabilities = tied_problem(2)
    strict = (probabilities[:, 1] > 0.06).astype(int)
    usual = metrics.classification_scores(truth, probabilities, resamples=0)
    moved = metrics.classification_scores(truth, probabilities, predicted=strict, resamples=0)
    assert moved["sensitivity"].value == pytest.approx(reference.recall_score(truth, strict))
    assert moved["sensitivity"] != usual["sensitivity"]
    assert moved["auroc"].value == usual["auroc"].value


def test_plain_scores_are_the_point_scores():
    truth, probabilities = tied_problem(3)
    scores = metrics.classification_scores(truth, probabilities, resamples=0)
    assert {name: metrics.plain(name, truth, probabilities) for name in metrics.CLASSIFICATION} == values_of(scores)
    assert metrics.plain("rmse", np.array([1.0, 2.0]), np.array([1.0, 4.0])) == pytest.approx(2**0.5)


def test_labels_say_macro_only_for_more_than_two_classes():
    assert metrics.label("sensitivity") == "Sensitivity"
    assert metrics.label("sensitivity", 4) == "Macro sensitivity"
    assert metrics.label("auroc", 4) == "Macro AUROC"
    assert metrics.label("f1", 3) == "Macro F1"
    assert metrics.label("mcc", 4) == "MCC"
    assert all(metrics.label(name) for name in metrics.HIGHER_IS_BETTER)
    assert metrics.metrics_for("sequence-regression") == metrics.REGRESSION
    assert list(metrics.scores_for("sequence-regression", np.arange(3), np.arange(3))) == list(metrics.REGRESSION)
    assert metrics.metrics_for("residue-regression") == metrics.REGRESSION
    assert metrics.metrics_for("pair-classification") == metrics.CLASSIFICATION
    assert metrics.metrics_for("multi-label") == metrics.MULTILABEL
    assert metrics.label("macro_f1", 9) == "Macro F1"
    assert [name for name, higher in metrics.HIGHER_IS_BETTER.items() if not higher] == ["rmse"]


@pytest.mark.parametrize(
    ("truth", "probabilities"),
    [
        (np.array([], dtype=int), np.empty((0, 2))),
        (np.array([0, 1]), np.array([[0.5, 0.5]])),
        (np.array([0, 2]), np.full((2, 2), 0.5)),
        (np.array([0, 1]), np.array([[0.5, np.nan], [0.5, 0.5]])),
    ],
)
def test_input_that_cannot_be_scored_is_refused(truth, probabilities):
    with pytest.raises(ValueError, match=r"wanted|indices|NaN"):
        metrics.classification_scores(truth, probabilities)


def test_values_that_are_not_numbers_are_refused():
    with pytest.raises(ValueError, match="NaN or infinite"):
        metrics.regression_scores(np.array([1.0, np.nan]), np.array([1.0, 2.0]))
    with pytest.raises(ValueError, match="unknown metric"):
        metrics.plain("kappa", np.array([0, 1]), np.full((2, 2), 0.5))


def test_half_a_million_residues_are_scored():
    generator = np.random.default_rng(0)
    truth = (generator.random(500_000) < 0.05).astype(int)
    score = 1 / (1 + np.exp(-truth - generator.normal(size=500_000)))
    groups = np.sort(generator.integers(0, 1500, 500_000))
    found = metrics.scores_for("residue-classification", truth, np.column_stack([1 - score, score]), groups=groups)
    assert found["auroc"].value == pytest.approx(reference.roc_auc_score(truth, score))
    found = metrics.scores_for("residue-regression", truth + score, score, groups=groups)
    assert found["pearson"].value == pytest.approx(np.corrcoef(truth + score, score)[0, 1])
