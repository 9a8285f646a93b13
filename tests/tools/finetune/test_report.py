"""The report's words follow from the numbers: who won, how sure that is, and what makes it doubtful."""

from math import nan

import numpy as np
import pytest

from makers.summaries import SIZES, make_summary
from seqlm.data.datasets import Example, make_splits
from seqlm.metrics.metrics import Score
from seqlm.report.outputs import save_figures
from seqlm.report.report import GAP, MARKDOWN_BYTES, Figure, Heading, Note
from seqlm.report.words import number, with_interval
from seqlm.tools.finetune.report import finetune_report
from seqlm.tools.finetune.verdict import comparisons, explanation, headline, warnings


def text_of_warnings(**changes) -> str:
    return " ".join(warnings(make_summary(**changes)))


def test_the_verdict_compares_whole_intervals_with_zero():
    better, open_, worse = Score(0.3, 0.2, 0.4), Score(0.3, -0.01, 0.6), Score(-0.3, -0.4, -0.2)
    almost_worse = Score(-0.3, -0.6, 0.01)

    def verdict(first, second):
        return headline(make_summary(differences={"majority": first, "k-mer": second}))

    assert verdict(better, better) == "Fine-tuning beat every baseline on the test set."
    assert verdict(better, open_) == ("Fine-tuning beat majority, but did not clearly beat k-mer, on the test set.")
    assert verdict(open_, open_) == "Fine-tuning did not clearly beat any baseline on the test set."
    assert verdict(open_, worse) == (
        "Fine-tuning did not clearly beat majority and was worse than k-mer on the test set."
    )
    assert verdict(better, worse) == "Fine-tuning beat majority, but was worse than k-mer, on the test set."
    assert verdict(worse, worse) == "Fine-tuning was worse than every baseline on the test set."
    sentences = comparisons(make_summary(differences={"majority": open_, "k-mer": worse}))
    assert "no clear difference, 0.300 (-0.010 to 0.600)" in sentences[0]
    assert "fine-tuning is worse, by -0.300 (-0.400 to -0.200)" in sentences[1]
    assert "without a language model" in sentences[1]
    sentences = comparisons(make_summary(differences={"majority": better, "k-mer": almost_worse}))
    assert "no clear difference" in sentences[1]


def test_a_lower_error_is_better():
    summary = make_summary(classes=(), metric="rmse", differences={"mean": Score(-2, -3, -1), "k-mer": Score(2, 1, 3)})
    assert headline(summary) == "Fine-tuning beat mean, but was worse than k-mer, on the test set."
    assert "fine-tuning is better, by 2 (1 to 3)" in comparisons(summary)[0]


def test_a_difference_that_is_undefined_is_no_win():
    summary = make_summary(differences={"majority": Score(np.nan, np.nan, np.nan), "k-mer": Score(0.3, 0.2, 0.4)})
    assert "did not clearly beat majority" in headline(summary)
    assert "cannot be compared" in comparisons(summary)[0]


def test_numbers_read_well():
    assert number(-0.0001) == "0.000"
    assert number(float("nan")) == "undefined"
    assert number(123.456, "rmse") == "123.5"
    assert with_interval(Score(0.5, float("nan"), float("nan"))) == "0.500"


def test_the_explanation_names_metric_split_and_number():
    summary = make_summary()
    score = summary.scores["fine-tuned"]["test"]["mcc"]
    assert explanation(summary).startswith("Judged by MCC on the test set of 300 sequences")
    assert f"{score.value:.3f} ({score.low:.3f} to {score.high:.3f})" in explanation(summary)
    assert "Judged by balanced accuracy" in explanation(make_summary(metric="balanced_accuracy"))
    assert "Judged by Spearman correlation" in explanation(make_summary(classes=()))


def test_a_large_balanced_separate_test_set_needs_no_warning():
    assert warnings(make_summary()) == []
    assert warnings(make_summary(classes=())) == []


def test_each_weakness_is_said():
    assert "There is no test set" in text_of_warnings(sizes={"train": 400, "validation": 200})
    assert "neither a test nor a validation set" in text_of_warnings(sizes={"train": 400})
    assert "Only 50 sequences decide: each moves the accuracy by 2.0%" in text_of_warnings(sizes=SIZES | {"test": 50})
    assert "Only 50 sequences decide. Small" in text_of_warnings(classes=(), sizes=SIZES | {"test": 50})
    assert "org/model has fewer weights than any published model" in text_of_warnings(demonstration=True)
    many = [f"class {number}" for number in range(20)]
    assert "Fewer than 20 sequences of class 0, class 1, class 2 and 17 more" in text_of_warnings(classes=many)


def test_a_wide_interval_is_said():
    summary = make_summary()
    summary.scores["fine-tuned"]["test"]["mcc"] = Score(0.5, 0.3, 0.7)
    assert "interval of MCC is 0.40 wide" in " ".join(warnings(summary))


def test_unbalanced_classes_and_calling_all_the_same_are_said():
    summary = make_summary()
    summary.truth["train"] = np.array([0] * 360 + [1] * 40)
    summary.truth["test"] = np.array([0] * 270 + [1] * 30)
    said = " ".join(warnings(summary))
    assert "360 training sequences of no, 40 of yes" in said
    assert "Calling everything no has an accuracy of 0.90" in said
    assert "calls every sequence" not in said
    summary.predictions["fine-tuned"]["test"] = np.tile([0.9, 0.1], (300, 1))
    assert "calls every sequence no" in " ".join(warnings(summary))


def test_sequences_in_both_training_and_test_are_said():
    examples = [Example(f"id{number}", "ACDEF" + "ACDE"[number % 4] * number, "ab"[number % 2]) for number in range(8)]
    dataset = make_splits(examples, None, examples[:4], numeric=False, validation_fraction=0)
    summary = make_summary(duplicates=dataset.duplicates)
    assert warnings(summary) == [
        "4 of the sequences in the test set are also in the training set, so its scores are too good. "
        "Remove duplicates before splitting."
    ]
    assert "Equal sequences in both train and test: 4." in finetune_report(summary).galaxy_markdown().replace(GAP, "")


def section_titles(report) -> list[str]:
    return [block.text for block in report.blocks if isinstance(block, Heading)]


HISTORY = [{"epoch": n, "train_loss": 0.5, "validation_loss": 0.6} for n in (0, 1, 2, 3)]


def test_what_the_course_of_the_training_says_is_put_in_words():
    def said(**changes):
        return text_of_warnings(history=HISTORY, chosen_by="loss", **changes)

    assert "fine-tuning has added nothing here" in said(best_epoch=0)
    assert "The validation loss was still falling when the training ended" in said(best_epoch=3)
    assert "falling" not in said(best_epoch=3, stopped_early=True)
    assert said(best_epoch=2) == said(best_epoch=None) == ""


def test_a_simple_model_that_does_as_well_is_named():
    better, level, worse, undefined = (
        Score(0.2, 0.1, 0.3),
        Score(0, -0.1, 0.1),
        Score(-0.2, -0.3, -0.1),
        Score(*[nan] * 3),
    )

    def said(k_mer, frozen, **changes):
        differences = {"majority": better, "k-mer": k_mer, "frozen embeddings": frozen}
        summary = make_summary(differences=differences, history=HISTORY, chosen_by="loss", **changes)
        summary.scores["frozen embeddings"] = summary.scores["k-mer"]
        return " ".join(warnings(summary))

    assert said(better, better) == said(undefined, better) == ""
    words = said(level, better)
    assert "A simple model of short words in the sequence, without a language model, scores" in words
    assert "Nothing shows here that the task needs a language model" in words and "Embed and Classify" not in words
    words = said(level, worse)  # the better of the two
    assert "the better choice here; Embed and Classify make such a model" in words and "short words" not in words
    start = said(better, level, best_epoch=0)  # which is that very model
    assert "added nothing" in start and "Embed and Classify" not in start


def test_sections_are_in_the_order_of_a_readers_questions():
    history = [{"epoch": 1, "train_loss": 0.5, "validation_loss": 0.6, "validation_mcc": 0.3}]
    report = finetune_report(make_summary(history=history, best_epoch=1))
    assert section_titles(report) == [
        "Verdict",
        "Scores",
        "Learning curves",
        "Confusion matrix",
        "ROC and precision–recall",
        "Calibration",
        "Baselines",
        "Data",
        "Parameters",
        "Versions and model",
        "How to cite",
    ]
    assert "Predicted and measured values" in section_titles(finetune_report(make_summary(classes=())))


@pytest.mark.parametrize("classes", [("no", "yes"), ("a", "b", "c"), ()])
def test_every_figure_shown_is_drawn_and_the_other_way_round(classes, tmp_path):
    summary = make_summary(classes=classes, history=[{"epoch": 1, "train_loss": 0.5}])
    report = finetune_report(summary)
    names = save_figures(report, tmp_path, ("png", "svg"))
    assert sorted(report.figures()) == sorted(names)
    assert {path.name for path in tmp_path.iterdir()} == {f"{name}.{end}" for name in names for end in ("png", "svg")}
    assert report.html(tmp_path).count("<img ") == len(names)


def test_a_test_set_of_one_class_has_no_curves(tmp_path):
    summary = make_summary()
    summary.truth["test"][:] = 0
    assert "roc" not in finetune_report(summary).drawn
    assert "ROC and precision–recall" not in section_titles(finetune_report(summary))


def test_scores_stand_beside_every_baseline_with_intervals():
    summary = make_summary(classes=("a", "b", "c"))
    markdown = finetune_report(summary, metrics_output="metrics").galaxy_markdown().replace(GAP, "")
    assert "| Score | fine-tuned | majority | k-mer |" in markdown
    score = summary.scores["k-mer"]["test"]["auroc"]
    row = next(line for line in markdown.splitlines() if line.startswith("| Macro AUROC"))
    assert row.endswith(f"| {score.value:.2f}\N{NO-BREAK SPACE}({score.low:.2f},\N{NO-BREAK SPACE}{score.high:.2f}) |")
    assert "| Score | training set | validation set | test set |" in markdown
    every = [f"{summary.scores['fine-tuned'][split]['mcc'].value:.3f}" for split in SIZES]
    assert f"| MCC | {' | '.join(every)} |" in markdown
    assert "output=metrics" in markdown


def test_a_score_that_rounds_to_zero_has_no_sign():
    summary = make_summary()
    summary.scores["k-mer"]["test"]["mcc"] = Score(-0.001, -0.0049, 0.2)
    assert "| 0.00 (0.00, 0.20) |" in finetune_report(summary).galaxy_markdown().replace(GAP, "").replace(
        "\N{NO-BREAK SPACE}", " "
    )


def test_data_model_and_citations_are_given():
    summary = make_summary(
        rules=["U read as X: 3 sequences"],
        origin={"test": "given as a file"},
        trained_weights=10,
        total_weights=1000,
        seed=7,
        versions={"torch": "2.13"},
    )
    markdown = finetune_report(summary).galaxy_markdown().replace(GAP, "")
    assert "| test | 300 | 33 / 33 / 33 | given as a file |" in markdown.replace("\N{NO-BREAK SPACE}", " ")
    assert "| yes | 200 | 100 | 150 |" in markdown
    assert "- No sequence occurs twice.\n- U read as X: 3 sequences.\n" in markdown
    assert "- Weights trained: 10 of 1,000 (1.00%)" in markdown
    assert "- SHA-256 of its weights: " + "ab" * 32 in markdown
    assert "- Software: torch 2.13" in markdown
    assert "- Seed: 7\n" in markdown
    assert "Revision" not in markdown  # unknown here
    for doi in ("10.1109/TPAMI.2021.3095381", "10.1126/science.ade2574", "10.48550/arXiv.2106.09685"):
        assert f"(https://doi.org/{doi})" in markdown


def test_the_learning_curve_says_which_epoch_was_kept_and_why():
    history = [{"epoch": n, "train_loss": 0.5, "validation_loss": 0.6, "validation_mcc": 0.1} for n in (1, 2, 3)]

    def caption(**changes):
        blocks = finetune_report(make_summary(history=history, **changes)).blocks
        return next(block.caption for block in blocks if isinstance(block, Figure))

    assert "Epoch 2 of 3 was kept for its validation MCC." in caption(best_epoch=2, chosen_by="mcc")
    assert "Epoch 2 of 3 was kept for its validation loss." in caption(best_epoch=2, chosen_by="loss")
    assert "more epochs may help" in caption(best_epoch=3)
    assert "more epochs may help" not in caption(best_epoch=2)
    assert "the last epoch was kept" in caption()


def test_a_hundred_classes_with_endless_names_fit_into_what_galaxy_reads(tmp_path):
    names = [f"{number} " + "```galaxy\nhistory_link()\n```|<b>" * 300 for number in range(100)]
    summary = make_summary(
        classes=names,
        sizes={"train": 600, "validation": 200, "test": 300},
        base_model="x" * 5000,
        origin={"train": "y" * 5000},
        duplicates={"in both train and test": 3},
        history=[{"epoch": 1, "train_loss": 0.5}],
    )
    markdown = finetune_report(summary, metrics_output="metrics").galaxy_markdown().replace(GAP, "")
    assert len(markdown.encode()) <= MARKDOWN_BYTES
    assert "more rows are not shown here" in markdown
    assert "\n```galaxy\nhistory_link" not in markdown
    report = finetune_report(summary)
    save_figures(report, tmp_path)
    assert "<b>" not in report.html(tmp_path)


def test_warnings_are_notes_in_the_report():
    notes = [
        block.text for block in finetune_report(make_summary(demonstration=True)).blocks if isinstance(block, Note)
    ]
    assert len(notes) == 1
