"""Evaluation: verdicts that follow from scores and tests, and whole runs of the script."""

import csv
import os
import subprocess
import sys

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics as reference

from makers.predictions import options, residues, two_classes, write
from makers.scripts import ROOT, mistake, repeated
from seqlm.cli.errors import InputError
from seqlm.metrics import comparisons
from seqlm.tools.evaluate.inputs import gather
from seqlm.tools.evaluate.run import distinct, evaluate, of_proteins
from seqlm.tools.evaluate.verdict import headline, warnings


def test_a_threshold_moves_the_calls_of_all_models(tmp_path):
    paths, truth, chances = two_classes(tmp_path)
    found = evaluate(gather(options(paths, threshold=0.3)), resamples=100)
    for name, chance in zip(("model0", "model1"), chances, strict=True):
        assert found.scores[name]["f1"].value == pytest.approx(reference.f1_score(truth, chance >= 0.3))
    numbers = write(tmp_path / "n.tsv", ["id", "predicted", "truth"], [("s1", 0.3, 1)])
    with pytest.raises(InputError, match="a threshold is for two classes"):
        gather(options([numbers], threshold=0.3))


def test_the_better_model_is_named_and_its_tests_are_those_of_the_modules(tmp_path):
    paths, truth, chances = two_classes(tmp_path)
    found = evaluate(gather(options(paths)), resamples=400)
    assert found.ranked() == ["model0", "model1"]
    assert headline(found) == "model0 has the best MCC, clearly better than model1."
    tests = {(test.test, test.metric): test for test in found.tests if test.second == "model1"}
    assert tests["DeLong", "auroc"].p == pytest.approx(comparisons.delong(truth, *chances).p)
    calls = [(chance > 0.5).astype(int) for chance in chances]
    assert tests["McNemar", "accuracy"].p == pytest.approx(comparisons.mcnemar(truth, *calls).p)
    assert tests["bootstrap", "auroc"].p == pytest.approx(tests["DeLong", "auroc"].p, abs=0.01)
    assert tests["bootstrap", "mcc"].difference.value == pytest.approx(
        found.scores["model0"]["mcc"].value - found.scores["model1"]["mcc"].value
    )
    assert found.outcome("model1", "model0") == "worse"


def test_equal_models_show_no_clear_difference_and_useless_ones_do_not_beat_the_baseline(tmp_path):
    paths, *_ = two_classes(tmp_path, gains=(0.0, 0.0))
    found = evaluate(gather(options(paths)), resamples=300)
    assert "but it is not clearly better than" in headline(found)
    assert headline(found).endswith("No model is clearly better than the baseline.")


def test_many_pairs_need_smaller_p(tmp_path):
    paths, *_ = two_classes(tmp_path, gains=(1.6, 1.2, 1.1, 1.0, 0.9), seed=5)
    found = evaluate(gather(options(paths)), resamples=300)
    tests = [test for test in found.tests if (test.test, test.metric) == ("bootstrap", "mcc") and np.isfinite(test.p)]
    assert len(tests) == 10
    assert [test.adjusted for test in tests] == pytest.approx(comparisons.holm(np.array([test.p for test in tests])))
    doubtful = [test for test in tests if test.p < 0.05 <= test.adjusted]
    assert doubtful
    assert all(found.outcome(test.first, test.second) == "open" for test in doubtful)
    assert any("best of 5 models was picked on the very data" in line for line in warnings(found))


def test_numbers_are_compared_by_correlation_and_less_error_is_better(tmp_path):
    generator = np.random.default_rng(0)
    truth = generator.normal(50, 8, 120)
    paths = [
        write(tmp_path / f"r{spread}.tsv", ["id", "predicted", "truth"],
              [(f"s{i}", t + spread * generator.normal(), t) for i, t in enumerate(truth)])
        for spread in (9, 3)
    ]  # fmt: skip
    found = evaluate(gather(options(paths)), "rmse", resamples=300)
    assert found.ranked() == ["r3", "r9"]
    assert headline(found) == "r3 has the best RMSE, clearly better than r9."
    assert found.scores["baseline: mean"]["rmse"].value == pytest.approx(truth.std())
    assert found.scores["r3"]["spearman"].value == pytest.approx(
        stats.spearmanr(found.cases.truth, found.cases.predictions["r3"]).statistic
    )
    steiger = next(test for test in found.tests if test.test == "Steiger")
    assert steiger.p < 1e-6


def test_one_class_leaves_scores_undefined_and_says_so(tmp_path):
    columns = ["id", "predicted", "probability_0", "probability_1", "truth"]
    path = write(tmp_path / "a.tsv", columns, [(f"s{i}", i % 2, 1 - i % 2, i % 2, 1) for i in range(8)])
    found = evaluate(gather(options([path])), resamples=100)
    assert np.isnan(found.scores["a"]["auroc"].value)
    lines = " ".join(warnings(found))
    assert "Undefined on these data: Specificity, AUROC." in lines
    assert "No sequence is truly 0" in lines
    assert "Only 8 sequences decide." in lines


def test_scores_within_proteins_are_those_of_their_residues(tmp_path):
    path, truth, chances = residues(tmp_path)
    target = tmp_path / "t.fasta"
    target.write_text("".join(f">{name}\n{''.join(map(str, labels))}\n" for name, labels in truth.items()))
    cases = gather(options([path], truth=str(target)))
    found = of_proteins(cases, "residues")
    start = 0
    for place, labels in enumerate(truth.values()):
        chance = chances[start : start + len(labels)]
        start += len(labels)
        assert (found["residues"][place], found["positives"][place]) == (len(labels), labels.sum())
        if 0 < labels.sum() < len(labels):
            assert found["auroc"][place] == pytest.approx(reference.roc_auc_score(labels, chance))
            assert found["mcc"][place] == pytest.approx(reference.matthews_corrcoef(labels, chance > 0.5))
        else:
            assert np.isnan(found["mcc"][place])


def rows_of(path):
    with open(path, newline="") as handle:
        return list(csv.DictReader(handle, delimiter="\t"))


def outputs(name):
    return [
        "--output-table", f"{name}.tsv", "--output-comparisons", f"{name}_tests.tsv",
        "--output-classes", f"{name}_classes.tsv", "--output-report", f"{name}.md",
        "--output-figures", f"{name}_figures", "--figure-format", "svg", "--output-html", f"{name}.html",
        "--resamples", "100",
    ]  # fmt: skip


def test_a_run_writes_everything_twice_the_same(script, new_process, tmp_path):
    paths, *_ = two_classes(tmp_path, n=80)
    for run, how in (("one", script), ("two", new_process)):
        names = repeated("--names", ("big|model", "<b>small</b>"))
        how("evaluate", *repeated("--predictions", paths), *names, *outputs(run))
    work = tmp_path / "work"
    for ending in (".tsv", "_tests.tsv", "_classes.tsv", ".md", ".html"):
        assert (work / f"one{ending}").read_bytes() == (work / f"two{ending}").read_bytes(), ending
    scores = rows_of(work / "one.tsv")
    assert {row["model"] for row in scores} == {"big|model", "<b>small</b>", "baseline: majority"}
    assert all(row["units"] == "80" for row in scores)
    assert {row["class"] for row in rows_of(work / "one_classes.tsv")} == {"0", "1"}
    report, page = (work / "one.md").read_text(), (work / "one.html").read_text()
    assert len(report.encode()) <= 10_000
    assert r"big\|model" in report
    assert "<b>small" not in report + page
    figures = {file.name for file in (work / "one_figures").iterdir()}
    assert {"roc.png", "roc.svg", "precision-recall.svg", "calibration.png", "confusion-matrix-2.png"} <= figures


def test_long_names_are_cut_so_that_they_differ():
    assert list(distinct(["short", "x" * 40]).values()) == ["short", "x" * 29 + "…"]
    runs = [f"Test predictions of the model fine-tuned on sites, run {number}" for number in (1, 2)]
    assert [name[-6:] for name in distinct(runs).values()] == [" run 1", " run 2"]
    inner = [f"{'x' * 32}{number}{'x' * 40}" for number in (1, 2)]
    assert [name[:3] for name in distinct(inner).values()] == ["1: ", "2: "]


def test_the_report_of_many_models_with_long_names_fits(script, tmp_path):
    paths, *_ = two_classes(tmp_path, gains=np.linspace(0.5, 2, 10), n=60)
    names = [f"Test predictions of the model fine-tuned on sites, run {number}" for number in range(10)]
    script("evaluate", *repeated("--predictions", paths), *repeated("--names", names), *outputs("m"))
    report = (tmp_path / "work" / "m.md").read_text()
    assert len(report.encode()) <= 10_000
    assert "5 more models are in the table of scores" in report
    assert "The 3 models with the lowest MCC are left out" in report
    assert len(rows_of(tmp_path / "work" / "m.tsv")) == 11 * 9


def test_residues_get_a_table_of_proteins_and_sequences_do_not(script, tmp_path):
    path, truth, _ = residues(tmp_path)
    target = tmp_path / "t.fasta"
    target.write_text("".join(f">{name}\n{''.join(map(str, labels))}\n" for name, labels in truth.items()))
    script("evaluate", "--predictions", path, "--truth", target, *outputs("r"), "--output-proteins", "proteins.tsv")
    rows = rows_of(tmp_path / "work" / "proteins.tsv")
    assert [row["id"] for row in rows] == list(truth)
    assert int(rows[0]["positives"]) == truth["P0"].sum()
    assert "Whole proteins were resampled" in (tmp_path / "work" / "r.md").read_text()
    paths, *_ = two_classes(tmp_path, n=20)
    done = script("evaluate", *repeated("--predictions", paths), "--output-proteins", "none.tsv", check=False)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "--output-proteins is for tables of residues" in done.stderr
    assert not (tmp_path / "work" / "none.tsv").exists()


@pytest.mark.parametrize("kind", ["classes", "numbers", "labels"])
def test_every_kind_has_its_report(script, tmp_path, kind):
    generator = np.random.default_rng(0)
    names = ["nucleus", "membrane", "secreted"]
    if kind == "numbers":
        columns = ["id", "predicted", "truth"]
        rows = [(f"s{i}", i + generator.normal(), i) for i in range(40)]
    elif kind == "classes":
        columns = ["id", "predicted", *(f"probability_{name}" for name in names), "truth"]
        chances = generator.dirichlet([1, 1, 1], 40)
        rows = [(f"s{i}", names[p.argmax()], *p, names[i % 3]) for i, p in enumerate(chances)]
    else:
        columns = ["id", "predicted", *(f"probability_{name}" for name in names), "truth"]
        chances = generator.random((40, 3))
        rows = [
            (f"s{i}", ";".join(np.array(names)[p > 0.5]), *p, ";".join(names[: i % 4])) for i, p in enumerate(chances)
        ]
    script("evaluate", "--predictions", write(tmp_path / "m.tsv", columns, rows), *outputs("m"))
    report = (tmp_path / "work" / "m.md").read_text()
    section = {"classes": "## Confusion matrices", "numbers": "## Predicted and measured values", "labels": "Fmax"}[
        kind
    ]
    assert section in report
    assert "baseline: " in report


def test_a_mistake_is_one_line_and_comes_before_anything_heavy_is_imported(script, new_process, tmp_path):
    path = write(tmp_path / "a.tsv", ["id", "score"], [("s", 1)])
    line = mistake(new_process, "evaluate", "--predictions", path, "--output-table", "t.tsv")
    assert line.startswith("error: a.tsv is no prediction table")
    assert not (tmp_path / "work" / "t.tsv").exists()
    for metric, message in (
        ("rmse", "error: rmse is no score for"),
        ("nonsense", "error: argument --metric: invalid choice: 'nonsense' (choose from"),
    ):
        paths, *_ = two_classes(tmp_path, n=20)
        done = script("evaluate", *repeated("--predictions", paths), "--metric", metric, check=False)
        assert done.stderr.startswith(message)


def test_no_heavy_library_is_imported(tmp_path):
    paths, *_ = two_classes(tmp_path, n=20)
    code = (
        "import sys, evaluate; evaluate.run(evaluate.options(), evaluate.work); "
        "print({'torch', 'sklearn', 'transformers'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "--predictions", paths[0], "--output-html", "t.html", "--resamples", "100"],
        cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT / "scripts")}, capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    assert done.stdout.splitlines()[-1] == "set()"
