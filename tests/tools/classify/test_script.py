"""What a user can do wrong with classifiers: one line, before anything heavy, and nothing half-written."""

import json
import zipfile

import numpy as np
import pytest

from makers.scripts import DATA, one_line, run_mistakes

TABLE = (DATA / "embeddings_before.tsv").read_text()
LABELS = (DATA / "embedding_labels.tsv").read_text()
BINDERS = [line.split("\t")[0] for line in LABELS.splitlines() if "\tbinder\t" in line]


def labelled(rows: dict[str, str], column: str = "label") -> str:
    return f"id\t{column}\n" + "".join(f"{name}\t{label}\n" for name, label in rows.items())


NAMES = [line.split("\t")[0] for line in TABLE.splitlines()[1:]]
ONE_RARE = labelled({name: "rare" if number == 4 else "ab"[number % 2] for number, name in enumerate(NAMES)})
FEW = "\n".join(TABLE.splitlines()[:7]) + "\n"
SAME = "id\tdim_1\tdim_2\n" + "".join(f"{name}\t1\t2\n" for name in NAMES)

TRAINING = {
    "empty": ({"embeddings": "", "labels": LABELS}, (), "embeddings is empty"),
    "text": (
        {"embeddings": TABLE.replace("-0.10641", "high"), "labels": LABELS},
        (),
        "line 2 has 'high' in column dim_2",
    ),
    "NaN": ({"embeddings": TABLE.replace("-0.10641", "nan"), "labels": LABELS}, (), "has NaN in column dim_2"),
    "duplicate": (
        {"embeddings": TABLE.replace("embedded_02", "embedded_01"), "labels": LABELS},
        (),
        "'embedded_01' again",
    ),
    "other ids": (
        {"embeddings": TABLE, "labels": LABELS.replace("embedded_", "x_")},
        (),
        "90 of 90 embeddings have no label in labels: 'embedded_01', 'embedded_02', 'embedded_03' …; labels has 'x_01'",
    ),
    "no labels": ({"embeddings": TABLE}, (), "has no column 'label'; name the label column, or give a file"),
    "one class": (
        {"embeddings": TABLE, "labels": labelled(dict.fromkeys(NAMES, "a"))},
        (),
        "all sequences have the label 'a'",
    ),
    "a number each": (
        {"embeddings": TABLE, "labels": LABELS},
        ("--label-column", "stability"),
        "is the label a number or a name",
    ),
    "a class of one": ({"embeddings": TABLE, "labels": ONE_RARE}, (), "the class 'rare' has one sequence"),
    "a class of one in folds": (
        {"embeddings": TABLE, "labels": ONE_RARE},
        ("--cross-validation", "3"),
        "the class 'rare' has one sequence",
    ),
    "all the same": ({"embeddings": SAME, "labels": LABELS}, (), "all embeddings are the same"),
    "fewer rows than folds": (
        {"embeddings": FEW, "labels": LABELS},
        ("--cross-validation", "10"),
        "6 different embeddings cannot be shared among 10",
    ),
    "a test set too small": (
        {"embeddings": FEW, "labels": LABELS},
        ("--test-fraction", "0.01"),
        "too few for a test set",
    ),
    "one fold": ({"embeddings": TABLE, "labels": LABELS}, ("--cross-validation", "1"), "needs 2 folds at least"),
    "two judges": (
        {"embeddings": TABLE, "labels": LABELS},
        ("--cross-validation", "3", "--split-column", "split"),
        "nothing to cross-validate",
    ),
    "no training set": (
        {"embeddings": TABLE, "labels": LABELS.replace("\ttrain", "\ttest")},
        ("--split-column", "split"),
        "of no sequence that it is for training",
    ),
    "no test set": (
        {"embeddings": TABLE, "labels": LABELS.replace("\ttest", "\ttrain")},
        ("--split-column", "split"),
        "some must say 'test'",
    ),
    "a set of another name": (
        {"embeddings": TABLE, "labels": LABELS.replace("\ttest", "\tholdout")},
        ("--split-column", "split"),
        "'holdout' as its split",
    ),
    "positive class": (
        {"embeddings": TABLE, "labels": LABELS},
        ("--positive-label", "yes"),
        "no example has the positive label 'yes'",
    ),
    "too few for a machine": (
        {
            "embeddings": TABLE,
            "labels": labelled({name: "b" if number < 2 else "a" for number, name in enumerate(NAMES)}),
        },
        ("--classifier", "linear-svm", "--test-fraction", "0.5"),
        "the class 'b' has 1 training sequence, and a support vector machine needs for its probabilities 2",
    ),
    "two spellings": (
        {"embeddings": TABLE, "labels": LABELS.replace("embedded_02\tbinder", "embedded_02\tBinder")},
        (),
        "the labels 'binder' (45 sequences) and 'Binder' (1) differ only in upper and lower case",
    ),
    "unknown classifier": (
        {"embeddings": TABLE, "labels": LABELS},
        ("--classifier", "oracle"),
        "invalid choice: 'oracle'",
    ),
}


def archive(change=None, without: str = "", extra: tuple[str, bytes] | None = None) -> bytes:
    """The classifier of the test data with another manifest, without a file, or with one more."""
    import io

    content = io.BytesIO()
    with zipfile.ZipFile(DATA / "classifier.zip") as old, zipfile.ZipFile(content, "w") as new:
        for name in old.namelist():
            held = old.read(name)
            if name == "seqlm.json" and change:
                found = json.loads(held)
                change(found)
                held = json.dumps(found).encode()
            if name != without:
                new.writestr(name, held)
        if extra:
            new.writestr(*extra)
    return content.getvalue()


WIDER = TABLE.replace("dim_8\n", "dim_8\tdim_9\n")
WIDER = "\n".join(line + ("\t0.5" if number else "") for number, line in enumerate(WIDER.splitlines())) + "\n"
GOOD = DATA / "classifier.zip"
APPLYING = {
    "other width": ({"embeddings": WIDER, "model": GOOD}, (), "has embeddings of 9 dimensions"),
    "other columns": (
        {"embeddings": TABLE.replace("dim_", "f"), "model": GOOD},
        (),
        "'f1' where classifier.zip was trained on 'dim_1'",
    ),
    "unknown class": (
        {"embeddings": TABLE, "model": GOOD, "labels": LABELS.replace("\tother\t", "\tnone\t")},
        (),
        "has the label 'none', which classifier.zip does not know; it tells binder, other apart",
    ),
    "scores without labels": (
        {"embeddings": TABLE, "model": GOOD},
        ("--output-metrics", "m.tsv"),
        "scores need the true classes",
    ),
    "training options": (
        {"embeddings": TABLE, "model": GOOD},
        ("--cross-validation", "3"),
        "--cross-validation is for training",
    ),
    "no archive": ({"embeddings": TABLE, "model": b"hello"}, (), "model"),
    "cut short": ({"embeddings": TABLE, "model": GOOD.read_bytes()[:-60]}, (), "damaged archive"),
    "a bundle": ({"embeddings": TABLE, "model": DATA / "bundle_head_esm.zip"}, (), ""),
    "no classifier in it": ({"embeddings": TABLE, "model": archive(without="model.skops")}, (), "has no model.skops"),
    "no manifest": ({"embeddings": TABLE, "model": archive(without="seqlm.json")}, (), "has no seqlm.json"),
    "a pickle in it": ({"embeddings": TABLE, "model": archive(extra=("x.pkl", b"x"))}, (), "pickled"),
    "another scikit-learn": (
        {"embeddings": TABLE, "model": archive(lambda one: one["versions"].update({"scikit-learn": "1.2.0"}))},
        (),
        "was made with scikit-learn 1.2.0",
    ),
    "other classes": (
        {"embeddings": TABLE, "model": archive(lambda one: one.update(classes=["a"]))},
        (),
        "no proper entry 'classes'",
    ),
    "other settings": (
        {"embeddings": TABLE, "model": archive(lambda one: one.update(settings={"priors": [1]}))},
        (),
        "no proper entry 'settings'",
    ),
    "another kind": (
        {"embeddings": TABLE, "model": archive(lambda one: one.update(classifier="random-forest"))},
        (),
        "is not that of random-forest",
    ),
    "means that are none": (
        {"embeddings": TABLE, "model": archive(lambda one: one.update(means=["x"] * 8))},
        (),
        "no proper entry 'means'",
    ),
}


@pytest.fixture(scope="module")
def mistakes(tmp_path_factory):
    root = tmp_path_factory.mktemp("mistakes")
    common = ("--output-predictions", "p.tsv")
    training = ("--output-model", "m.zip", "--output-report", "r.md", "--output-figures", "figures")
    found = run_mistakes(root / "train", TRAINING, "classify", (*common, *training))
    return found | run_mistakes(root / "apply", APPLYING, "classify", common)


@pytest.mark.parametrize("name", [*TRAINING, *APPLYING])
def test_a_mistake_is_named_in_one_line_and_leaves_nothing(mistakes, name):
    one_line(mistakes[name][0], (TRAINING | APPLYING)[name][2], mistakes[name][1])


def test_a_mistake_is_named_in_under_two_seconds_and_without_scikit_learn(new_process):
    done = new_process(
        "classify", "--embeddings", DATA / "embeddings_before.tsv", "--labels", DATA / "sites_test.fasta", check=False
    )
    assert done.returncode == 2 and "have no label in sites_test.fasta" in done.stderr


def test_embeddings_of_another_model_are_pointed_out(script, tmp_path):
    found = np.load(DATA / "embeddings_after.npz")
    np.savez(tmp_path / "far.npz", ids=found["ids"], embeddings=found["embeddings"] * 3 + 40)
    options = ("--model", GOOD, "--output-predictions", "p.tsv", "--output-report", "r.md")
    done = script("classify", "--embeddings", tmp_path / "far.npz", *options)
    assert "far from those of the training" in done.stderr
    done = script("classify", "--embeddings", DATA / "embeddings_before.tsv", *options)
    assert "far from those" not in done.stderr


def test_a_missing_file_is_named(script, tmp_path):
    done = script("classify", "--embeddings", tmp_path / "none.tsv", "--labels", tmp_path / "x", check=False)
    assert done.returncode == 2 and "none.tsv is not a file" in done.stderr
