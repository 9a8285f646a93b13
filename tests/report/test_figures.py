"""Figures draw the numbers they are given, whatever the classes are called, and the same bytes each time."""

import warnings

import numpy as np
import pytest
from matplotlib.figure import Figure
from sklearn import metrics as reference

from seqlm.cli.options import FIGURE_FORMATS
from seqlm.metrics import metrics
from seqlm.metrics.calibration import calibration
from seqlm.metrics.metrics import Score
from seqlm.report import figures

pytestmark = pytest.mark.filterwarnings("error")


def problem(classes: int, n: int = 80, seed: int = 0):
    generator = np.random.default_rng(seed)
    truth = np.concatenate([np.arange(classes), generator.integers(0, classes, n - classes)])
    weights = np.round(8 * np.exp(generator.normal(size=(n, classes)) + 1.5 * np.eye(classes)[truth])) + 1
    return truth, weights / weights.sum(axis=1, keepdims=True)


def line(axes, label: str) -> np.ndarray:
    """The points (n, 2) of the line whose label starts so."""
    return next(drawn.get_xydata() for drawn in axes.lines if str(drawn.get_label()).strip().startswith(label))


def legend(axes) -> list[str]:
    return [text.get_text() for text in axes.get_legend().get_texts()]


@pytest.mark.parametrize("positive", [0, 1])
def test_roc_is_the_curve_of_the_positive_class(positive):
    truth, probabilities = problem(2)
    score = Score(0.9, 0.8, 0.95)
    axes = figures.roc(truth, probabilities, ["no", "yes"], positive, score).axes[0]
    x, y, _ = reference.roc_curve(truth == positive, probabilities[:, positive], drop_intermediate=False)
    assert line(axes, "AUROC") == pytest.approx(np.column_stack([x, y]))
    assert "AUROC 0.900 (0.800 to 0.950)" in legend(axes)


def test_precision_recall_is_the_curve_of_the_positive_class_over_the_share_of_positives():
    truth, probabilities = problem(2)
    axes = figures.precision_recall(truth, probabilities, ["no", "yes"], 1).axes[0]
    precision, recall, _ = reference.precision_recall_curve(truth == 1, probabilities[:, 1], drop_intermediate=False)
    points = line(axes, "AUPRC")
    assert points[1:] == pytest.approx(np.column_stack([recall, precision])[-2::-1])
    assert points[0] == pytest.approx([0, precision[-2]])
    assert line(axes, "share of positives")[0][1] == pytest.approx(np.mean(truth == 1))


def test_area_under_the_drawn_steps_is_average_precision():
    truth, probabilities = problem(2)
    truth = np.where(probabilities[:, 1] == probabilities[:, 1].max(), 0, truth)  # the highest score is a mistake
    axes = figures.precision_recall(truth, probabilities, ["no", "yes"], 1).axes[0]
    points = line(axes, "AUPRC")
    assert points[0].tolist() == [0, 0]
    assert {drawn.get_drawstyle() for drawn in axes.lines[:1]} == {"steps-pre"}
    area = np.sum(np.diff(points[:, 0]) * points[1:, 1])
    assert area == pytest.approx(metrics.plain("auprc", truth, probabilities))


def test_more_classes_have_a_curve_each_and_their_mean():
    truth, probabilities = problem(4)
    axes = figures.roc(truth, probabilities, ["A", "B", "C", "D"]).axes[0]
    x, y, _ = reference.roc_curve(truth == 2, probabilities[:, 2], drop_intermediate=False)
    assert line(axes, "C") == pytest.approx(np.column_stack([x, y]))
    curves = [reference.roc_curve(truth == c, probabilities[:, c]) for c in range(4)]
    grid, mean = line(axes, "mean").T
    assert mean == pytest.approx(np.mean([np.interp(grid, x, y) for x, y, _ in curves], axis=0))


@pytest.mark.parametrize("recall", [0.002, 0.25, 0.5, 1.0])
def test_mean_precision_is_that_of_the_first_thresholds_to_reach_a_recall(recall):
    truth, probabilities = problem(4)
    mean = line(figures.precision_recall(truth, probabilities, list("abcd")).axes[0], "mean")
    expected = []
    for c in range(4):
        precisions, recalls, _ = reference.precision_recall_curve(truth == c, probabilities[:, c])
        expected.append(precisions[np.flatnonzero(recalls >= recall)[-1]])
    assert mean[np.argmin(abs(mean[:, 0] - recall)), 1] == pytest.approx(np.mean(expected))


def test_a_class_that_does_not_occur_has_no_curve():
    truth, probabilities = problem(3)
    axes = figures.roc(truth % 2, probabilities, ["a", "b", "missing"]).axes[0]
    assert [text.strip() for text in legend(axes)[:3]] == ["chance", "a", "b"]


def test_many_classes_share_one_entry_in_the_legend():
    truth, probabilities = problem(30, n=300)
    assert len(legend(figures.roc(truth, probabilities, [str(c) for c in range(30)]).axes[0])) == 3


def test_several_labels_have_a_curve_each_though_they_are_two():
    generator = np.random.default_rng(0)
    truth, probabilities = generator.integers(0, 2, (80, 2)), np.round(generator.random((80, 2)), 1)
    axes = figures.roc(truth, probabilities, ["A", "B"]).axes[0]
    for c, name in enumerate("AB"):
        x, y, _ = reference.roc_curve(truth[:, c], probabilities[:, c], drop_intermediate=False)
        assert line(axes, name) == pytest.approx(np.column_stack([x, y]))
    axes = figures.precision_recall(truth, probabilities, ["A", "B"]).axes[0]
    precision, recall, _ = reference.precision_recall_curve(truth[:, 1], probabilities[:, 1], drop_intermediate=False)
    assert line(axes, "B")[1:] == pytest.approx(np.column_stack([recall, precision])[-2::-1])
    assert "share of positives" not in " ".join(legend(axes))


def test_of_very_many_labels_the_frequent_ones_are_drawn():
    truth = (np.arange(100)[:, None] < np.arange(60)).astype(int)  # the last one is the most frequent
    probabilities = np.random.default_rng(0).random((100, 60))
    axes = figures.roc(truth, probabilities, [str(c) for c in range(60)]).axes[0]
    assert legend(axes)[1] == "the 40 most frequent\nof 59"
    assert len(axes.lines) == 1 + 40 + 1
    x, y, _ = reference.roc_curve(truth[:, 20], probabilities[:, 20], drop_intermediate=False)
    assert axes.lines[1].get_xydata() == pytest.approx(np.column_stack([x, y]))


@pytest.mark.parametrize("positive", [0, 1])
def test_the_threshold_is_marked_on_the_curves(positive):
    truth, probabilities = problem(2)
    called = (probabilities[:, 1] >= 0.4) == (positive == 1)
    true = truth == positive
    mark = line(figures.roc(truth, probabilities, ["no", "yes"], positive, None, 0.4).axes[0], "threshold 0.4")
    assert mark[0] == pytest.approx([np.mean(called[~true]), np.mean(called[true])])
    drawn = figures.precision_recall(truth, probabilities, ["no", "yes"], positive, None, 0.4).axes[0]
    assert line(drawn, "threshold 0.4")[0] == pytest.approx([np.mean(called[true]), np.mean(true[called])])
    assert line(drawn, "AUPRC")[:, 0].max() == 1


@pytest.mark.parametrize("draw", [figures.roc, figures.precision_recall])
def test_a_curve_of_many_residues_has_few_points_and_the_same_course(draw):
    generator = np.random.default_rng(0)
    truth = (generator.random(60_000) < 0.02).astype(int)
    positive = 1 / (1 + np.exp(4 - 3 * truth - generator.normal(size=60_000)))
    probabilities = np.column_stack([1 - positive, positive])
    drawn = draw(truth, probabilities, ["no", "yes"]).axes[0].lines[1 if draw is figures.roc else 0].get_xydata()
    if draw is figures.roc:
        x, y, _ = reference.roc_curve(truth, positive, drop_intermediate=False)
    else:
        y, x, _ = (values[::-1] for values in reference.precision_recall_curve(truth, positive))
    assert 1000 < len(drawn) <= 2000
    inside = np.searchsorted(x, drawn[:, 0], "right").clip(1, len(x) - 1)
    nearest = np.minimum(np.abs(y[inside] - drawn[:, 1]), np.abs(y[inside - 1] - drawn[:, 1]))
    assert np.median(nearest) < 1e-3
    assert drawn[-1, 0] == 1
    assert np.abs(np.diff(drawn, axis=0)).sum(axis=1).max() < 0.6  # no gap but where precision falls at once


def test_confusion_matrix_has_true_classes_in_rows_and_shares_of_them():
    truth, predicted = np.array([0, 0, 0, 0, 1, 1]), np.array([0, 0, 0, 1, 1, 1])
    axes = figures.confusion_matrix(truth, predicted, ["no", "yes"]).axes[0]
    assert axes.images[0].get_array().tolist() == [[0.75, 0.25], [0, 1]]
    assert [text.get_text() for text in axes.texts] == ["3\n75%", "1\n25%", "0\n0%", "2\n100%"]
    assert [text.get_text() for text in axes.get_yticklabels()] == ["no", "yes"]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("Called class", "True class")


def test_confusion_matrix_of_a_class_without_examples_is_drawn():
    axes = figures.confusion_matrix(np.array([0, 0]), np.array([0, 1]), ["a", "b"]).axes[0]
    assert axes.images[0].get_array().tolist() == [[0.5, 0.5], [0, 0]]


def test_reliability_draws_the_bins():
    truth, probabilities = problem(2, n=400)
    upper, lower = figures.reliability(truth, probabilities, ["no", "yes"], 1).axes
    points = next(bars[0].get_xydata() for bars in upper.containers)
    observed, stated = (
        calibration(truth, probabilities).observed,
        calibration(truth, probabilities).stated,
    )
    assert points == pytest.approx(np.column_stack([stated, observed]))
    assert sum(bar.get_height() for bar in lower.patches) == 400
    assert lower.get_xlabel() == "Stated probability of yes"


def test_reliability_before_calibration_stands_beside():
    truth, probabilities = problem(2, n=400)
    before = probabilities**3 / (probabilities**3).sum(axis=1, keepdims=True)
    upper, lower = figures.reliability(truth, probabilities, ["no", "yes"], 1, before=before, units="residues").axes
    bins = calibration(truth, before)
    assert line(upper, "before") == pytest.approx(np.column_stack([bins.stated, bins.observed]))
    assert {"perfect", "before", "after calibration"} == set(legend(upper))
    assert lower.get_ylabel() == "Residues"
    assert lower.get_yscale() == "linear"


def test_bins_with_few_are_seen_beside_those_with_very_many(tmp_path):
    truth = np.array([0] * 5000 + [1] * 10)
    positive = np.array([0.01] * 5000 + [0.9] * 10)
    figure = figures.reliability(truth, np.column_stack([1 - positive, positive]), ["no", "yes"])
    assert figure.axes[1].get_yscale() == "log"
    figures.save(figure, tmp_path, "x", ["svg"])
    assert ">1,000</text>" in (tmp_path / "x.svg").read_text()
    assert "mathdefault" not in (tmp_path / "x.svg").read_text()


def test_labels_have_their_score_interval_and_size():
    scores = {"Nucleus": Score(0.8, 0.7, 0.9), "Golgi": Score(0.5, np.nan, np.nan)}
    axes = figures.labels(scores, [1200, 7], "F1", {"k-mer": [0.6, 0.4]}).axes[0]
    assert [text.get_text() for text in axes.get_yticklabels()] == ["Nucleus (1,200)", "Golgi (7)"]
    own = axes.containers[0]
    assert own[0].get_xydata().tolist() == [[0.8, 0], [0.5, 1]]
    assert own[2][0].get_segments()[0][:, 0] == pytest.approx([0.7, 0.9])
    assert line(axes, "k-mer").tolist() == [[0.6, 0], [0.4, 1]]
    assert legend(axes) == ["fine-tuned", "k-mer"]
    assert axes.get_ylim()[0] > axes.get_ylim()[1]  # the most frequent label is at the top


def test_learning_curves_mark_the_epoch_that_was_kept():
    epochs = [
        {"epoch": number, "train_loss": 1 / number, "validation_loss": 2 / number, "validation_mcc": number / 9}
        for number in range(1, 6)
    ]
    loss, score = figures.learning_curves(epochs, "mcc", "MCC", best_epoch=4).axes
    assert line(loss, "training").tolist() == [[number, 1 / number] for number in range(1, 6)]
    assert line(score, "validation").tolist() == [[number, number / 9] for number in range(1, 6)]
    assert set(line(loss, "kept: epoch 4")[:, 0]) == {4}
    assert score.lines[-1].get_xydata().tolist() == [[4, 4 / 9]]
    assert score.get_ylabel() == "Validation MCC"


def test_learning_curves_without_a_validation_set_are_one_panel():
    epochs = [{"epoch": 1, "train_loss": 0.5}]
    figure = figures.learning_curves(epochs, "mcc", "MCC")
    assert len(figure.axes) == 1
    assert legend(figure.axes[0]) == ["training"]


def test_scatter_and_residuals_draw_every_sequence():
    measured, predicted = np.array([1.0, 2.0, 4.0]), np.array([1.5, 2.0, 3.0])
    scores = metrics.regression_scores(measured, predicted, resamples=20)
    axes = figures.scatter(measured, predicted, scores).axes[0]
    assert axes.collections[0].get_offsets().tolist() == [[1, 1.5], [2, 2], [4, 3]]
    assert (line(axes, "equal")[:, 0] == line(axes, "equal")[:, 1]).all()
    assert axes.get_title(loc="left").startswith("Spearman correlation 1.000")
    rest = figures.residuals(measured, predicted).axes[0]
    assert rest.collections[0].get_offsets().tolist() == [[1.5, 0.5], [2, 0], [3, -1]]


def test_of_very_many_units_some_are_drawn_as_points_and_all_counted():
    measured = np.arange(30_000.0)
    axes = figures.scatter(measured, measured).axes[0]
    assert len(axes.collections[0].get_offsets()) == 5000
    assert axes.get_xlim()[1] > 29_999
    rest, side = figures.residuals(measured, measured + np.arange(30_000) % 7, "residues").axes
    assert len(rest.collections[0].get_offsets()) == 5000
    assert sum(bar.get_width() for bar in side.patches) == 30_000
    assert side.get_xlabel() == "Residues"


def test_baselines_show_each_score_and_its_interval():
    scores = {"fine-tuned": Score(0.6, 0.4, 0.7), "majority": Score(np.nan, np.nan, np.nan)}
    axes = figures.baselines(scores, "MCC", "fine-tuned").axes[0]
    assert [text.get_text() for text in axes.get_yticklabels()] == ["fine-tuned", "majority"]
    assert [text.get_text() for text in axes.texts] == ["0.6", "undefined"]
    (segment,) = axes.collections[0].get_segments()
    assert segment[:, 0] == pytest.approx([0.4, 0.7])


@pytest.mark.parametrize("longest", [33, 34, 900])
def test_lengths_count_every_sequence_of_a_split_once(longest):
    axes = figures.lengths({"train": np.array([33] * 30 + [longest]), "test": np.array([33, longest])}).axes[0]
    drawn = [patch.get_xy() for patch in axes.patches]
    assert max(points[:, 1].max() for points in drawn) == pytest.approx(1 if longest == 33 else 30 / 31)
    assert legend(axes) == ["train (31)", "test (2)"]
    low, high = axes.get_xlim()
    assert low < 33
    assert high > longest


def test_files_are_the_same_bytes_each_time_and_hold_no_date_or_version(tmp_path):
    truth, probabilities = problem(2)
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        figures.save(figures.roc(truth, probabilities, ["no", "yes"]), tmp_path / folder, "roc", FIGURE_FORMATS)
    for ending in FIGURE_FORMATS:
        content = (tmp_path / "a" / f"roc.{ending}").read_bytes()
        assert content == (tmp_path / "b" / f"roc.{ending}").read_bytes()
        assert b"Matplotlib v" not in content
        assert b"matplotlib.org" not in content
        assert b"dc:date" not in content
        assert b"CreationDate" not in content


def test_text_in_a_vector_figure_stays_text(tmp_path):
    truth, probabilities = problem(2)
    figures.save(figures.reliability(truth, probabilities, ["no", "kinase"]), tmp_path, "x", ["svg"])
    assert ">Stated probability of kinase</text>" in (tmp_path / "x.svg").read_text()


def test_names_that_mean_something_to_matplotlib_are_drawn_as_they_are(tmp_path):
    classes = ["_hidden", "$\\frac{$", "日本\x00\n語", "<b>"]
    truth, probabilities = problem(4)
    for name, figure in (
        ("roc", figures.roc(truth, probabilities, classes)),
        ("confusion", figures.confusion_matrix(truth, probabilities.argmax(axis=1), classes)),
        ("bars", figures.baselines({classes[1]: Score(0.5, 0.4, 0.6)}, "MCC", "")),
    ):
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            figures.save(figure, tmp_path, name, FIGURE_FORMATS)
        assert said == []
    texts = (tmp_path / "roc.svg").read_text()
    assert "_hidden</text>" in texts
    assert "$\\frac{$</text>" in texts
    assert "日本 語</text>" in texts
    assert "&lt;b&gt;</text>" in texts


@pytest.mark.parametrize(("low", "high"), [(1.1, 1.5), (4, 6), (2.7, 81), (1.3, 59), (3, 2_000), (0.02, 0.9), (1, 1e5)])
def test_a_logarithmic_axis_has_numbers_to_read_it_by(low, high):
    axes = Figure().subplots()
    axes.plot([low, high], [0, 0])
    axes.set_xscale("log")
    figures.log_ticks(axes.xaxis, low, high)
    axes.figure.draw_without_rendering()
    read = [float(tick.get_text()) for tick in axes.get_xticklabels() if low <= tick.get_position()[0] <= high]
    assert 3 <= len(read) <= 8
    assert read == sorted(set(read))
    assert not [tick.get_text() for tick in axes.get_xticklabels(minor=True) if tick.get_text()]
