"""The report says what is true of residues, of pairs and of several labels, each in its own words."""

import numpy as np
import pytest
from sklearn import metrics as reference

from makers.summaries import SIZES, make_summary
from seqlm.metrics.label_scores import label_scores
from seqlm.metrics.metrics import Score
from seqlm.metrics.thresholds import tempered
from seqlm.report.outputs import save_figures
from seqlm.report.report import GAP, MARKDOWN_BYTES, Figure, Heading
from seqlm.tools.finetune import figures as finetune_figures
from seqlm.tools.finetune.report import finetune_report
from seqlm.tools.finetune.verdict import comparisons, explanation, headline, warnings

OPEN = Score(0.1, -0.1, 0.3)
LARGE = SIZES | {"test": 600}
NAMES = ("Nucleus", "Cytoplasm", "Plastid", "Golgi")


def markdown_of(summary) -> str:
    return (
        finetune_report(summary).galaxy_markdown().replace(GAP, "").replace("\N{NO-BREAK SPACE}", " ").replace("\\", "")
    )


def captions(summary) -> dict[str, str]:
    return {block.name: block.caption for block in finetune_report(summary).blocks if isinstance(block, Figure)}


def titles(summary) -> list[str]:
    return [block.text for block in finetune_report(summary).blocks if isinstance(block, Heading)]


# -- residues


def test_residues_are_counted_with_their_proteins_which_the_interval_draws():
    text = explanation(make_summary(unit="residue"))
    assert "on the test set of 300 residues of 30 proteins" in text
    assert "with other proteins of the same kind" in text
    assert "Residues of one protein are not independent, so whole proteins were drawn" in text
    assert "10.1111/j.1467-9868.2007.00593.x" in markdown_of(make_summary(unit="residue"))
    assert "independent" not in explanation(make_summary())


def test_few_proteins_are_few_however_many_residues_they_have():
    assert warnings(make_summary(unit="residue")) == []
    (said,) = warnings(make_summary(unit="residue", sizes=SIZES | {"test": 290}))
    assert said.startswith("Only 29 proteins decide, however many residues they have.")
    summary = make_summary(unit="residue")
    summary.groups["test"] = np.arange(300) // 20  # the rest of the proteins has no residue that is known
    assert "Only 15 proteins decide" in warnings(summary)[0]


def test_unbalanced_residues_are_said_in_residues():
    summary = make_summary(unit="residue", classes=("other", "binding"))
    summary.truth["train"] = np.array([0] * 380 + [1] * 20)
    summary.truth["test"] = np.array([0] * 285 + [1] * 15)
    summary.predictions["fine-tuned"]["test"] = np.tile([0.9, 0.1], (300, 1))
    said = " ".join(warnings(summary))
    assert "Fewer than 20 residues of binding are in the test set" in said
    assert "380 training residues of other, 20 of binding" in said
    assert "calls every residue other" in said


def test_the_table_of_splits_counts_proteins_residues_and_what_is_not_known():
    markdown = markdown_of(make_summary(unit="residue", masked={"train": 12, "test": 7}))
    assert "| Split | Proteins | Residues | Not known, not counted | Protein length: min / median / max |" in markdown
    assert "| train | 40 | 400 | 12 | 33 / 33 / 33 |" in markdown
    assert "| validation | 20 | 200 | 0 |" in markdown
    assert "| yes | 200 (50.0%) | 100 (50.0%) | 150 (50.0%) |" in markdown
    assert "training proteins were learnt by heart" in markdown


def test_dna_has_bases_in_sequences():
    summary = make_summary(unit="residue", alphabet="DNA", sizes=SIZES | {"test": 200})
    assert "200 bases of 20 sequences" in explanation(summary)
    assert "Bases of one sequence are not independent, so whole sequences were drawn" in explanation(summary)
    assert "Only 20 sequences decide, however many bases they have" in warnings(summary)[0]
    assert "| Split | Sequences | Bases |" in markdown_of(summary)


def test_baselines_of_residues_are_explained():
    classes = " ".join(comparisons(make_summary(unit="residue")))
    assert "residue (the class shares of the same letter in training" in classes
    assert "window (a simple model of the letters around" in classes
    assert "residue (the mean of the same letter" in " ".join(comparisons(make_summary(unit="residue", classes=())))


def test_simple_models_of_many_residues_are_said_to_know_only_some(monkeypatch):
    assert "Simple models" not in captions(make_summary(unit="residue"))["baselines"]
    monkeypatch.setattr(finetune_figures, "MOST_UNITS", 100)
    said = captions(make_summary(unit="residue"))["baselines"]
    assert "fitted on at most 100 of the 400 training residues, of proteins drawn whole" in said
    assert "100 of the 400 training pairs, drawn at random" in captions(make_summary(unit="pair"))["baselines"]
    assert "Simple models" not in captions(make_summary())["baselines"]


# -- thresholds and temperatures


def test_what_is_called_follows_the_threshold():
    summary = make_summary(unit="residue", thresholds={"fine-tuned": 0.9, "window": 0.1}, threshold_by="mcc")
    probabilities = summary.predictions["fine-tuned"]["test"][:, 1]
    assert summary.called.tolist() == (probabilities >= 0.9).astype(int).tolist()
    assert summary.called_by("window").mean() > summary.called_by("fine-tuned").mean()
    assert make_summary().called.tolist() == make_summary().predictions["fine-tuned"]["test"].argmax(axis=1).tolist()


def test_a_threshold_is_said_where_the_validation_set_chose_it():
    chosen = {"thresholds": {"fine-tuned": 0.3141}, "threshold_by": "mcc", "classes": ("other", "binding")}
    said = (
        "A residue is called binding from a probability of 0.31 on, the threshold with the best MCC on the validation"
    )
    assert said in markdown_of(make_summary(unit="residue", **chosen))
    assert "red mark" in captions(make_summary(unit="residue", **chosen))["roc"]
    assert "chose between epochs and thresholds" in markdown_of(make_summary(unit="residue", **chosen))
    for other in ({"threshold_by": "none"}, {"threshold_by": ""}, {"sizes": {"train": 400, "test": 300}}):
        assert "is called" not in markdown_of(make_summary(**chosen | other))


def test_all_that_the_validation_set_chose_makes_its_scores_too_good():
    sizes = {"train": 400, "validation": 300}
    (said,) = warnings(make_summary(unit="residue", sizes=sizes))
    assert "also chose the best epoch, so" in said
    assert "Keep some proteins apart" in said
    more = {"thresholds": {"fine-tuned": 0.3}, "threshold_by": "f1", "temperature": 1.5}
    (said,) = warnings(make_summary(unit="residue", sizes=sizes, **more))
    assert "the best epoch, the threshold and the temperature, so" in said


def test_calibration_says_what_it_was_before(tmp_path):
    summary = make_summary(unit="residue")
    cold = tempered(summary.predictions["fine-tuned"]["test"], 0.2, False)
    summary = make_summary(unit="residue", temperature=5.0, uncalibrated=cold)
    before = finetune_figures.calibration(summary.truth["test"], cold, positive=1).ece
    caption = captions(summary)["calibration"]
    assert f"logits were divided by 5, chosen on the validation set; before, the error was {before:.3f}." in caption
    assert "of residues given 0.8, 8 in 10 should be yes" in caption
    assert "divided" not in captions(make_summary())["calibration"]
    assert "arXiv.1706.04599" in markdown_of(summary)
    upper, lower = finetune_figures.figures_of(summary)["calibration"].draw().axes
    assert [text.get_text() for text in upper.get_legend().get_texts()] == ["perfect", "before", "after calibration"]
    assert lower.get_ylabel() == "Residues"


# -- pairs


def test_proteins_in_training_and_test_pairs_are_the_first_warning():
    shared = {"duplicates": {"in pairs of both train and test": 41}}
    (said,) = warnings(make_summary(unit="pair", **shared))
    assert said.startswith("41 of the 75 proteins in the pairs of the test set are in training pairs too.")
    assert "Split by protein" in said
    assert warnings(make_summary(unit="pair")) == []
    assert "12 of the 75 proteins" in warnings(make_summary(unit="pair", pair_leakage={"test": 12}, **shared))[0]
    ordered = warnings(make_summary(unit="pair", symmetric=False, **shared))[0]
    assert "41 of the 75 sequences in the pairs" in ordered
    assert "Split by sequence" in ordered


def test_a_model_that_only_remembers_proteins_is_said_to():
    summary = make_summary(unit="pair")
    summary.differences["protein frequency"] = OPEN
    assert "did not clearly beat protein frequency" in headline(summary)
    (said,) = warnings(summary)
    assert "only how often each one occurs in training pairs. Nothing shows that the model has learnt more" in said


def test_pairs_are_counted_with_their_proteins():
    summary = make_summary(unit="pair", pair_leakage={"test": 12})
    markdown = markdown_of(summary)
    assert "test set of 300 pairs of 75 proteins" in markdown
    assert "Pairs that share a protein are not independent, so the interval is rather too narrow." in markdown
    assert "| Split | Pairs | Proteins | Of them in training pairs |" in markdown
    assert "| train | 400 | 100 | " in markdown
    assert "| test | 300 | 75 | 12 | 33 / 33 / 33 |" in markdown
    assert "short words in the two sequences" in markdown
    assert "Only sequences of the same name are counted" in markdown
    for doi in ("10.1038/nmeth.2259", "10.1093/bib/bbae076"):
        assert doi in markdown
        assert doi not in markdown_of(make_summary())


def test_values_of_pairs_are_a_regression():
    summary = make_summary(unit="pair", classes=())
    assert "the mean of each member's training pairs" in " ".join(comparisons(summary))
    assert "Value: min / median / max" in markdown_of(summary)


# -- several labels


def labelled(**changes):
    limits = np.array([0.5, 0.3, 0.7, 0.5])
    return make_summary(
        classes=NAMES, unit="labels", sizes=LARGE, thresholds={"fine-tuned": limits}, threshold_by="f1", **changes
    )


def test_each_label_has_a_row_with_its_scores():
    summary = labelled()
    truth, probabilities = summary.truth["test"], summary.predictions["fine-tuned"]["test"]
    called = probabilities >= np.array([0.5, 0.3, 0.7, 0.5])
    found = label_scores(truth, probabilities, np.array([0.5, 0.3, 0.7, 0.5]), most=4)
    sizes = truth.sum(axis=0)
    assert [one.size for one in found] == sorted(sizes, reverse=True)
    markdown = markdown_of(summary)
    for one in found:
        c = one.place
        assert one.f1.value == pytest.approx(reference.f1_score(truth[:, c], called[:, c]))
        assert one.f1.low < one.f1.value < one.f1.high
        assert one.auroc.value == pytest.approx(reference.roc_auc_score(truth[:, c], probabilities[:, c]))
        assert (one.size, one.called) == (sizes[c], called[:, c].sum())
        row = f"| {NAMES[c]} | {one.size} | {one.called} | {one.threshold:.2f} | {one.f1.value:.2f} ("
        assert row in markdown
    assert "Each label has a threshold of its own" in markdown
    assert "best F1 on the validation set" in markdown


def test_labels_take_the_place_of_the_confusion_matrix(tmp_path):
    summary = labelled()
    assert "Labels" in titles(summary)
    assert "Confusion matrix" not in titles(summary)
    names = save_figures(finetune_report(summary), tmp_path)
    assert "labels" in names
    assert "confusion-matrix" not in names
    assert sorted(names) == sorted(finetune_report(summary).figures())
    assert "Hollow: k-mer, the best baseline." in captions(summary)["labels"]
    text = markdown_of(summary)
    assert "a rare label counts as much as a frequent one" in text
    assert "CAFA" in text
    assert "10.1038/nmeth.2340" in text
    assert "Judged by macro F1 on the test set of 600 sequences" in text
    assert "Judged by Fmax" in explanation(labelled(metric="fmax"))
    assert "how frequent each label is" in comparisons(summary)[0]


def test_labels_that_cannot_be_judged_are_said():
    assert warnings(labelled()) == []
    summary = labelled()
    summary.truth["test"][:, 2] = 0
    summary.truth["test"][:, 3] = np.arange(600) < 19
    said = warnings(summary)
    assert said[0] == "No sequence of the test set has Plastid: how well it is predicted is not known."
    assert said[1].startswith("Fewer than 20 sequences of the test set have Golgi;")
    assert [one.place for one in label_scores(summary.truth["test"], np.full((600, 4), 0.5), most=9)][-1] == 3


def test_calling_nothing_is_said_unless_it_is_true():
    summary = labelled()
    summary.predictions["fine-tuned"]["test"][:] = 0.01
    assert "calls no label for any sequence" in " ".join(warnings(summary))
    summary = labelled()
    summary.predictions["fine-tuned"]["test"][:100] = 0.01
    nothing = int((summary.called.sum(axis=1) == 0).sum())
    without = int((summary.truth["test"].sum(axis=1) == 0).sum())
    said = f"calls no label at all for {nothing} of 600 sequences; {without} truly have none"
    assert said in " ".join(warnings(summary))
    summary.truth["test"][:100] = 0
    assert "no label" not in " ".join(warnings(summary))


def test_calibration_of_labels_counts_each_label_of_each_sequence():
    summary = labelled()
    _, lower = finetune_figures.figures_of(summary)["calibration"].draw().axes
    assert sum(bar.get_height() for bar in lower.patches) == 600 * 4
    truth, probabilities = summary.truth["test"].ravel(), summary.predictions["fine-tuned"]["test"].ravel()
    assert f"Brier score {reference.brier_score_loss(truth, probabilities):.3f}" in captions(summary)["calibration"]


def test_the_table_of_splits_counts_labels():
    summary = labelled()
    truth = summary.truth["test"]
    row = f"| test | 600 | 33 / 33 / 33 | {truth.sum() / 600:.2f} | {(truth.sum(axis=1) == 0).sum()} |"
    assert row in markdown_of(summary)
    counts = [[truth.sum(axis=0)[c] for truth in summary.truth.values()] for c in range(4)]
    rows = [f"| {NAMES[c]} | {counts[c][0]} | {counts[c][1]} | {counts[c][2]} |" for c in range(4)]
    places = [markdown_of(summary).index(row) for row in rows]
    frequent = np.argsort([-counts[c][0] for c in range(4)], kind="stable")
    assert [places[c] for c in frequent] == sorted(places)  # from the most frequent in training on


# -- windows, and what is too much for a page


def test_windows_around_sites_are_said_and_their_length_is_not_drawn():
    summary = make_summary(window=33, sites="ST")
    assert "windows of 33 residues with S or T in the middle, so the model can also scan whole" in markdown_of(summary)
    assert "lengths" not in finetune_figures.figures_of(summary)
    assert "lengths" in finetune_figures.figures_of(make_summary())


@pytest.mark.parametrize(("unit", "classes"), [("residue", 40), ("labels", 200), ("pair", 40)])
def test_many_classes_with_endless_names_fit_into_what_galaxy_reads(unit, classes, tmp_path):
    names = [f"{number} 酵素の活性部位 ```galaxy\nhistory_link()\n``` <b>" * 20 for number in range(classes)]
    summary = make_summary(
        classes=names,
        unit=unit,
        sizes={"train": 600, "validation": 200, "test": 290},
        demonstration=True,
        temperature=1.5,
        duplicates={"in both train and test": 3, "in pairs of both train and test": 5},
        masked={"train": 5},
        origin={"train": "y" * 5000},
        rules=[f"rule {number}: {number} sequences" for number in range(9)],
        history=[{"epoch": 1, "train_loss": 0.5, "validation_loss": 0.5}],
        best_epoch=1,
    )
    summary.truth["test"][: len(summary.truth["test"]) // 2] = 0
    if unit == "labels":
        summary.truth["test"][:, 150:] = 0
    markdown = finetune_report(summary, metrics_output="metrics").galaxy_markdown().replace(GAP, "")
    assert len(markdown.encode()) <= MARKDOWN_BYTES
    assert "\n```galaxy\nhistory_link" not in markdown
    report = finetune_report(summary)
    save_figures(report, tmp_path)
    assert "<b>" not in report.html(tmp_path)


def test_hundreds_of_thousands_of_residues_make_figures_that_open_fast(tmp_path):
    n = 300_000
    summary = make_summary(unit="residue")
    generator = np.random.default_rng(0)
    summary.truth["test"] = (generator.random(n) < 0.05).astype(int)
    positive = 1 / (1 + np.exp(3 - 3 * summary.truth["test"] - generator.normal(size=n)))
    summary.predictions["fine-tuned"]["test"] = np.column_stack([1 - positive, positive])
    summary.groups["test"] = np.arange(n) // 300
    assert "300,000 residues of 1,000 proteins" in explanation(summary)
    names = save_figures(finetune_report(summary), tmp_path, ("svg",))
    assert max((tmp_path / f"{name}.svg").stat().st_size for name in names) < 150_000
