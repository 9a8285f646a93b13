"""Classifiers of embeddings: the same as scikit-learn's, judged on what is new to them, applied as they were kept."""

from argparse import Namespace
from pathlib import Path

import numpy as np
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import classification_report, matthews_corrcoef
from sklearn.model_selection import GridSearchCV, StratifiedKFold, cross_val_predict, train_test_split
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, LinearSVC

from makers.scripts import manifest, repeated, run_batch, table
from seqlm.cli.errors import InputError
from seqlm.tools.classify.inputs import check
from seqlm.tools.classify.methods import METHODS
from seqlm.tools.classify.run import CHOSEN, train

SEED = 3
OWN = {
    "naive-bayes": GaussianNB(),
    "logistic-regression": make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000)),
    "linear-svm": make_pipeline(
        StandardScaler(),
        CalibratedClassifierCV(LinearSVC(max_iter=10_000, random_state=SEED), cv=5, ensemble=False),
    ),
    "rbf-svm": make_pipeline(StandardScaler(), CalibratedClassifierCV(SVC(), cv=5, ensemble=False)),
    "random-forest": RandomForestClassifier(200, random_state=SEED),
    "gradient-boosting": HistGradientBoostingClassifier(early_stopping=False, random_state=SEED),
    "k-nearest-neighbours": make_pipeline(StandardScaler(), KNeighborsClassifier(algorithm="brute")),
    "mlp": make_pipeline(StandardScaler(), MLPClassifier(max_iter=300, random_state=SEED)),
}


def made_up(count=120, width=6, classes=2, seed=0):
    generator = np.random.default_rng(seed)
    truth = generator.permutation(np.arange(count) % classes)
    vectors = generator.normal(size=(count, width)).round(4)
    vectors[:, 0] += 2.0 * truth
    return vectors.astype(np.float32), truth


def write(folder: Path, vectors, labels, splits=None, sequences=None) -> Namespace:
    """Embeddings, labels, and the options of a training, as the script gives them."""
    folder.mkdir(parents=True, exist_ok=True)
    ids = [f"P{number}" for number in range(len(vectors))]
    np.savez(folder / "embeddings.npz", ids=np.array(ids), embeddings=np.asarray(vectors, np.float32))
    columns = {"id": ids, "label": labels}
    columns |= {"split": splits} if splits is not None else {}
    columns |= {"sequence": sequences} if sequences is not None else {}
    rows = ["\t".join(columns), *("\t".join(map(str, row)) for row in zip(*columns.values(), strict=True))]
    (folder / "labels.tsv").write_text("\n".join(rows) + "\n")
    return Namespace(
        embeddings=folder / "embeddings.npz", labels=folder / "labels.tsv", label_column=None, label_pattern="",
        id_column=None, sequence_column=None, positive_label=None, test_fraction=0.3, cross_validation=0,
        split_column="split" if splits is not None else None, split_pattern=None, identical="together",
        classifier=["naive-bayes"], grid_search="none", class_weights="none", metric="mcc", seed=SEED, class_fasta=[],
        feature_column=[],
    )  # fmt: skip


@pytest.fixture
def options(tmp_path):
    vectors, truth = made_up()
    return write(tmp_path, vectors, truth)


@pytest.mark.parametrize("method", METHODS)
def test_a_drawn_test_set_gives_what_scikit_learn_gives(options, method):
    vectors, truth = made_up()
    options.classifier = [method]
    result = train(check(options))
    learnt, held, true_learnt, true_held = train_test_split(
        vectors.astype(float), truth, test_size=0.3, stratify=truth, random_state=SEED
    )
    own = OWN[method].fit(learnt, true_learnt)
    assert np.array_equal(result.truth["test"], true_held)
    assert np.allclose(result.predictions[method]["test"], own.predict_proba(held), atol=1e-12)
    assert np.array_equal(result.predictions[method]["test"].argmax(axis=1), own.predict(held))
    assert np.allclose(result.predictions[method]["train"], own.predict_proba(learnt), atol=1e-12)
    score = result.scores[method]["test"]["mcc"]
    assert score.value == pytest.approx(matthews_corrcoef(true_held, own.predict(held)))
    assert score.low <= score.value <= score.high


@pytest.mark.parametrize("method", ["naive-bayes", "logistic-regression", "gradient-boosting"])
def test_cross_validation_gives_the_out_of_fold_predictions_of_scikit_learn(tmp_path, method):
    vectors, truth = made_up(classes=3)
    options = write(tmp_path, vectors, truth)
    options.classifier, options.cross_validation = [method], 4
    result = train(check(options))
    folds = StratifiedKFold(4, shuffle=True, random_state=SEED)
    wanted = cross_val_predict(OWN[method], vectors.astype(float), truth, cv=folds, method="predict_proba")
    assert np.allclose(result.predictions[method]["cross-validation"], wanted, atol=1e-12)
    assert np.allclose(
        result.made.predict_proba(vectors), OWN[method].fit(vectors, truth).predict_proba(vectors), atol=1e-6
    )


def test_given_sets_are_used_as_they_are(tmp_path):
    vectors, truth = made_up()
    splits = np.array(["train", "dev", "test"])[np.arange(120) % 3]
    result = train(check(write(tmp_path, vectors, truth, splits)))
    own = GaussianNB().fit(vectors[splits == "train"].astype(float), truth[splits == "train"])
    for split, name in (("test", "test"), ("dev", "validation")):
        assert np.allclose(result.predictions["naive-bayes"][name], own.predict_proba(vectors[splits == split]))


def test_a_search_chooses_what_scikit_learn_chooses_and_never_looks_at_the_test_set(tmp_path):
    vectors, truth = made_up(count=150, classes=3)
    options = write(tmp_path, vectors, truth)
    options.classifier, options.grid_search, options.metric = ["k-nearest-neighbours"], "small", "accuracy"
    result = train(check(options))
    learnt, _, true_learnt, _ = train_test_split(vectors, truth, test_size=0.3, stratify=truth, random_state=SEED)
    grid = [settings.get("n_neighbors", 5) for settings in METHODS["k-nearest-neighbours"].grid]
    search = GridSearchCV(
        OWN["k-nearest-neighbours"],
        {"kneighborsclassifier__n_neighbors": grid},
        cv=StratifiedKFold(5, shuffle=True, random_state=SEED),
    ).fit(learnt, true_learnt)
    assert result.choice.settings["k-nearest-neighbours"].get("n_neighbors", 5) == search.best_params_.popitem()[1]
    assert result.choice.scores["k-nearest-neighbours"] == pytest.approx(search.best_score_, abs=1e-3)

    # other labels in the test set must not change the choice or the classifier
    plan = check(options)
    plan.truth = plan.truth.copy()
    plan.truth[plan.splits["test"]] = np.roll(plan.truth[plan.splits["test"]], 1)
    again = train(plan)
    assert again.choice == result.choice
    assert np.array_equal(
        again.predictions["k-nearest-neighbours"]["test"], result.predictions["k-nearest-neighbours"]["test"]
    )


def test_several_classifiers_are_judged_by_what_each_fold_chose(tmp_path):
    vectors, truth = made_up()
    options = write(tmp_path, vectors, truth)
    options.classifier, options.cross_validation = ["k-nearest-neighbours", "naive-bayes"], 3
    result = train(check(options))
    assert result.judged == CHOSEN and len(result.fold_choices) == 3
    for fold, text in enumerate(result.fold_choices):
        held = result.plan.folds == fold
        chosen = result.predictions[CHOSEN]["cross-validation"][held]
        assert np.array_equal(chosen, result.predictions[text.split(" ")[0]]["cross-validation"][held])


def test_labels_that_say_nothing_are_not_beaten(tmp_path):
    vectors, truth = made_up(count=200)
    shuffled = np.random.default_rng(5).permutation(truth)
    vectors = np.random.default_rng(6).normal(size=vectors.shape)
    options = write(tmp_path, vectors, shuffled)
    options.classifier, options.grid_search, options.cross_validation = ["naive-bayes", "random-forest"], "small", 3
    result = train(check(options))
    score = result.scores[CHOSEN]["cross-validation"]["mcc"]
    assert score.low < 0 < score.high
    assert result.differences["majority"].low <= 0


def test_equal_embeddings_stay_on_one_side_unless_told(tmp_path):
    vectors, truth = made_up()
    options = write(tmp_path, np.concatenate([vectors, vectors]), np.concatenate([truth, truth]))

    def shared():
        plan = check(options)
        return len(np.intersect1d(plan.groups[plan.splits["train"]], plan.groups[plan.splits["test"]]))

    assert shared() == 0
    options.identical = "ignore"
    assert shared() > 0
    options.identical, options.cross_validation = "together", 4
    plan = check(options)
    assert all(len(np.unique(plan.folds[plan.groups == group])) == 1 for group in range(120))
    assert "kept on the same side as it: 120 sequences" in " ".join(plan.notes)


def test_words_of_the_sequences_are_a_baseline_where_the_sequences_are_known(tmp_path):
    vectors, truth = made_up()
    generator = np.random.default_rng(1)
    sequences = ["".join(generator.choice(list("ACDEFGHIKL" + "WWWW" * label), 40)) for label in truth]
    result = train(check(write(tmp_path, generator.normal(size=vectors.shape), truth, sequences=sequences)))
    assert result.baselines == ["majority", "k-mer", "nearest centroid"]
    assert result.scores["k-mer"]["test"]["mcc"].value > 0.8 > result.scores["naive-bayes"]["test"]["mcc"].value
    assert result.differences["k-mer"].high < 0


@pytest.mark.parametrize("method", ["naive-bayes", "logistic-regression", "random-forest", "rbf-svm"])
def test_balanced_classes_find_more_of_a_rare_one(tmp_path, method):
    vectors, _ = made_up(count=300)
    generator = np.random.default_rng(2)
    truth = (generator.random(300) < 0.15).astype(int)
    vectors = generator.normal(size=(300, 4)) + truth[:, None] * 0.7
    options = write(tmp_path, vectors, truth)
    options.classifier, options.metric = [method], "auroc"
    plain = train(check(options)).predictions[method]["test"][:, 1]
    options.class_weights = "balanced"
    balanced = train(check(options)).predictions[method]["test"][:, 1]
    if method == "rbf-svm":  # its probabilities are calibrated anew, so that only the order can change
        assert not np.allclose(plain, balanced)
    else:
        assert balanced.mean() > plain.mean()


def test_a_class_that_only_the_training_set_lacks_is_refused_and_a_rare_one_in_a_fold_is_no_trouble(tmp_path):
    vectors, truth = made_up(count=60)
    labels = np.array(["a", "b"])[truth].astype(object)
    labels[:2] = "c"
    options = write(tmp_path, vectors, labels)
    options.cross_validation = 5
    result = train(check(options))
    assert "The class 'c' has 2 sequences, so not every one of the 5 folds tests it." in result.plan.notes
    splits = np.where(np.arange(60) < 20, "test", "train")
    with pytest.raises(InputError, match="the test set has the label 'c'"):
        check(write(tmp_path, vectors, labels, splits))


def test_the_positive_class_is_the_second(options):
    plain = train(check(options))
    options.positive_label = "0"
    turned = train(check(options))
    assert turned.plan.classes == ["1", "0"]
    assert np.array_equal(turned.places["test"], plain.places["test"])
    assert turned.scores["naive-bayes"]["test"]["sensitivity"] == plain.scores["naive-bayes"]["test"]["specificity"]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """The script on the tutorial's way: trained twice, applied, scored by the evaluation tool, and searched."""
    root = tmp_path_factory.mktemp("classify")
    vectors, truth = made_up(classes=3, count=150)
    write(root / "in", vectors, np.array(["nuc", "mem", "sec"])[truth])
    files = ("--embeddings", root / "in" / "embeddings.npz", "--labels", root / "in" / "labels.tsv")
    outputs = (
        "--output-predictions", "p.tsv", "--output-metrics", "m.tsv", "--output-classification-report", "c.tsv",
        "--output-model", "model.zip", "--output-report", "r.md", "--output-html", "r.html",
        "--output-figures", "figures",
    )  # fmt: skip
    several = repeated("--classifier", ("random-forest", "mlp", "linear-svm", "gradient-boosting"))
    several += ["--cross-validation", "3"]
    calls = {
        "first": ("classify", *files, *outputs, "--classifier", "naive-bayes", "--seed", "1"),
        "again": ("classify", *files, *outputs, "--classifier", "naive-bayes", "--seed", "1"),
        "evaluated": ("evaluate", "--predictions", root / "first" / "p.tsv", "--output-table", "e.tsv"),
        "applied": ("classify", *files[:2], "--model", root / "first" / "model.zip", "--output-predictions", "p.tsv"),
        "scored": (
            "classify", *files, "--model", root / "first" / "model.zip", *outputs[:6], *outputs[8:],
        ),
        "several": ("classify", *files, *outputs, *several),
        "several again": ("classify", *files, *outputs, *several),
    }  # fmt: skip
    for name in calls:
        (root / name).mkdir()
    given = [(root / name, *call) for name, call in calls.items()]
    done = run_batch(given, torch=False, new=[*calls].index("again"))
    assert [one.returncode for one in done] == [0] * len(calls), [one.stderr for one in done]
    return root


def test_the_tutorials_split_and_report_come_out(runs):
    vectors, truth = made_up(classes=3, count=150)
    labels = np.array(["nuc", "mem", "sec"])[truth]
    learnt, held, y_learnt, y_held = train_test_split(vectors, labels, test_size=0.3, stratify=labels, random_state=1)
    own = GaussianNB().fit(learnt, y_learnt)
    for split, y, x in (("test", y_held, held), ("train", y_learnt, learnt)):
        wanted = classification_report(y, own.predict(x), output_dict=True)
        rows = {row["class"]: row for row in table(runs / "first" / "c.tsv") if row["split"] == split}
        assert list(rows) == list(wanted)
        for name, values in wanted.items():
            if name == "accuracy":
                assert float(rows[name]["f1"]) == pytest.approx(values, abs=1e-5) and not rows[name]["precision"]
                continue
            for ours, theirs in (("precision", "precision"), ("recall", "recall"), ("f1", "f1-score")):
                assert float(rows[name][ours]) == pytest.approx(values[theirs], abs=1e-5)
            assert int(rows[name]["support"]) == values["support"]


def test_the_same_seed_gives_the_same_bytes(runs):
    for first, again in (("first", "again"), ("several", "several again")):
        for file in ("p.tsv", "m.tsv", "c.tsv", "model.zip", "r.md", "r.html", "figures/roc.png"):
            assert (runs / first / file).read_bytes() == (runs / again / file).read_bytes(), (first, file)


def of_the_test_set(runs):
    rows = table(runs / "first" / "m.tsv")
    return {row["metric"]: row for row in rows if (row["classifier"], row["split"]) == ("naive-bayes", "test")}


def test_predictions_are_read_by_the_evaluation_tool_which_finds_the_same_scores(runs):
    ours = {
        row["metric"]: row
        for row in table(runs / "first" / "m.tsv")
        if (row["classifier"], row["split"]) == ("naive-bayes", "test")
    }
    theirs = {row["metric"]: row for row in table(runs / "evaluated" / "e.tsv") if row["model"] == "p"}
    for metric in ("mcc", "accuracy", "auroc"):
        assert float(ours[metric]["value"]) == pytest.approx(float(theirs[metric]["value"]), abs=1e-5)
    assert ours["mcc"]["units"] == theirs["mcc"]["units"] == "45"


def test_an_applied_classifier_says_what_it_said_in_training(runs):
    trained, applied = table(runs / "first" / "p.tsv"), table(runs / "applied" / "p.tsv")
    assert [{name: row[name] for name in applied[0]} for row in trained] == applied
    scored = table(runs / "scored" / "m.tsv")
    assert {row["classifier"] for row in scored} == {"naive-bayes", "baseline: majority"}
    assert "very embeddings that the classifier was made from" in (runs / "scored" / "r.md").read_text()


def test_what_is_kept_says_what_it_is(runs):
    kept = manifest(runs / "first" / "model.zip")
    assert kept["classes"] == ["mem", "nuc", "sec"] and kept["columns"] == [f"dim_{n}" for n in range(1, 7)]
    assert sum(kept["counts"]) == 105 and kept["classifier"] == "naive-bayes" and kept["seed"] == 1
    row = next(
        r
        for r in table(runs / "first" / "m.tsv")
        if (r["classifier"], r["split"], r["metric"]) == ("naive-bayes", "test", "mcc")
    )
    assert kept["metrics"]["test"]["mcc"][0] == pytest.approx(float(row["value"]), abs=1e-5)


def test_a_report_fits_into_galaxy_and_begins_with_a_verdict(runs):
    for name in ("first", "several", "scored"):
        text = (runs / name / "r.md").read_text()
        assert len(text.encode()) < 10_000 and text.split("\n")[2] == "## Verdict"
    assert "baseline" in (runs / "first" / "r.md").read_text()
    assert "chosen in each fold" in (runs / "several" / "r.md").read_text()
