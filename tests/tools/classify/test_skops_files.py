"""A classifier from a stranger: what it may hold, and what happens to one that was put together to do harm."""

import io
import json
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
import skops.io
from sklearn.cluster import KMeans
from sklearn.ensemble import RandomForestClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer

from seqlm.cli.errors import InputError
from seqlm.tools.classify import skops_files as classification_skops
from seqlm.tools.classify.methods import METHODS, fit, probabilities

WIDTH = 5


def made_up(classes=3, count=90):
    generator = np.random.default_rng(4)
    truth = generator.permutation(np.arange(count) % classes)
    vectors = generator.normal(size=(count, WIDTH))
    vectors[:, 0] += truth
    return vectors, truth


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """method -> a file of it."""
    folder, (vectors, truth) = tmp_path_factory.mktemp("kept"), made_up()
    for method in METHODS:
        made, _ = fit(method, {}, vectors, truth, balanced=False, seed=0)
        classification_skops.dump(made, folder / f"{method}.skops")
    return folder


def load(path, method="random-forest", features=WIDTH, classes=3):
    return classification_skops.load(path, method, {}, features, classes, False)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("classes", [2, 3])
def test_a_classifier_comes_back_as_it_was(tmp_path, method, classes):
    vectors, truth = made_up(classes)
    for settings in METHODS[method].grid[1:2]:
        made, _ = fit(method, settings, vectors, truth, balanced=METHODS[method].weighted, seed=0)
        wanted = probabilities(made, vectors, classes)
        classification_skops.dump(made, tmp_path / "one.skops")
        found = classification_skops.load(
            tmp_path / "one.skops", method, settings, WIDTH, classes, METHODS[method].weighted
        )
        assert np.array_equal(probabilities(found, vectors, classes), wanted)
        classification_skops.dump(
            fit(method, settings, vectors, truth, balanced=METHODS[method].weighted, seed=0)[0], tmp_path / "two.skops"
        )
        assert (tmp_path / "one.skops").read_bytes() == (tmp_path / "two.skops").read_bytes()


def refused(path, *expected, **options):
    with pytest.raises(InputError) as found:
        load(path, **options)
    assert any(one in str(found.value) for one in expected), str(found.value)


class Mine:
    def __init__(self):
        self.secret = 1


def test_code_is_refused_by_name_and_never_run(tmp_path):
    from functools import partial
    from operator import attrgetter, methodcaller

    marker = tmp_path / "was_here"
    for held, name in (
        (os.system, "posix.system"),
        (partial(os.system, f"touch {marker}"), "functools.partial"),
        (methodcaller("touch", marker), "operator.methodcaller"),
        (attrgetter("__class__"), "operator.attrgetter"),
        (Mine(), f"{__name__}.Mine"),
        (FunctionTransformer(os.system), "FunctionTransformer"),
        (KMeans(), "sklearn.cluster._kmeans.KMeans"),
    ):
        skops.io.dump(Pipeline([("classify", held)]), tmp_path / "hostile.skops")
        refused(tmp_path / "hostile.skops", f"'{name}", name)
    assert not marker.exists()


def changed(source: Path, target: Path, schema=None, arrays=None) -> Path:
    """A copy in which functions change the description, or arrays by their file name."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            if name == "schema.json" and schema:
                description = json.loads(content)
                schema(description)
                content = json.dumps(description).encode()
            elif name != "schema.json" and arrays:
                made = io.BytesIO()
                np.save(made, arrays(name, np.load(io.BytesIO(content))))
                content = made.getvalue()
            new.writestr(name, content)
    return target


def everywhere(node, change):
    if isinstance(node, dict):
        change(node)
    for one in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        everywhere(one, change)


@pytest.mark.parametrize(
    ("field", "value"),
    [("left_child", 10**6), ("right_child", -7), ("left_child", 0), ("feature", 10**9), ("feature", -5)],
)
def test_a_tree_that_leads_out_of_its_memory_or_in_a_circle_is_refused(kept, tmp_path, field, value):
    def bent(name, array):
        if array.dtype.names and field in array.dtype.names:
            array = array.copy()
            array[field][0] = value
        return array

    path = changed(kept / "random-forest.skops", tmp_path / "bent.skops", arrays=bent)
    refused(path, "branches lead nowhere", "features that there are not")


@pytest.mark.parametrize(
    ("field", "value"), [("left", 10**6), ("right", 0), ("feature_idx", 10**9), ("is_categorical", 1)]
)
def test_so_is_a_tree_of_gradient_boosting(kept, tmp_path, field, value):
    def bent(name, array):
        if array.dtype.names and field in array.dtype.names:
            array = array.copy()
            array[field][0] = value
        return array

    path = changed(kept / "gradient-boosting.skops", tmp_path / "bent.skops", arrays=bent)
    refused(path, "branches", "features", "a tree without nodes", method="gradient-boosting")


def test_a_tree_with_fewer_nodes_or_more_outputs_than_it_says_is_refused(kept, tmp_path):
    def more_nodes(node):
        if isinstance(node.get("content"), dict) and "node_count" in node["content"]:
            node["content"]["node_count"]["content"] = "1000000"
            node["content"]["node_count"].pop("__id__", None)

    path = changed(kept / "random-forest.skops", tmp_path / "a.skops", lambda all: everywhere(all, more_nodes))
    refused(path, "a tree whose parts do not fit", "two entries of one number")

    def more_outputs(node):
        if node.get("__loader__") == "TreeNode":
            node["__reduce__"]["args"]["content"][2] = {
                **node["__reduce__"]["args"]["content"][2],
                "content": "100000000",
            }
            for one in (node, node["__reduce__"]["args"], node["__reduce__"]["args"]["content"][2]):
                one.pop("__id__", None)

    path = changed(kept / "random-forest.skops", tmp_path / "b.skops", lambda all: everywhere(all, more_outputs))
    refused(path, "a tree whose parts do not fit", "two entries of one number")


def test_a_good_tree_under_the_number_of_another_one_is_refused(kept, tmp_path):
    """skops builds what comes first under a number: what was looked at must be what is built."""

    def mix(schema):
        trees = []
        everywhere(schema, lambda node: trees.append(node) if node.get("__loader__") == "TreeNode" else None)
        trees[1]["__id__"] = trees[0]["__id__"]

    refused(changed(kept / "random-forest.skops", tmp_path / "mixed.skops", mix), "two entries of one number")


@pytest.mark.parametrize(
    ("method", "old", "new"),
    [
        ("rbf-svm", '"rbf"', '"precomputed"'),
        ("k-nearest-neighbours", '"brute"', '"kd_tree"'),
        ("mlp", '"relu"', '"tanh"'),
    ],
)
def test_other_settings_than_the_classifier_is_said_to_have_are_refused(kept, tmp_path, method, old, new):
    def change(node):
        if node.get("content") == old:
            node["content"] = new

    path = changed(kept / f"{method}.skops", tmp_path / "x.skops", lambda all: everywhere(all, change))
    refused(path, "is not that of", "do not fit", method=method)


def longer(array: np.ndarray) -> np.ndarray:
    return np.concatenate([array, array]) if array.ndim else array


@pytest.mark.parametrize("method", ["rbf-svm", "k-nearest-neighbours", "naive-bayes", "logistic-regression", "mlp"])
def test_arrays_that_do_not_fit_together_are_refused_or_harmless(kept, tmp_path, method):
    vectors, _ = made_up()
    with zipfile.ZipFile(kept / f"{method}.skops") as source:
        files = [name for name in source.namelist() if name.endswith(".npy")]
    for bend in (longer, lambda array: array[:1] if array.ndim else array, lambda array: array * 0 + 10_000):
        for file in files:
            path = changed(
                kept / f"{method}.skops",
                tmp_path / "bent.skops",
                arrays=lambda name, array, bend=bend, file=file: bend(array) if name == file else array,
            )
            try:
                found = load(path, method=method)
                probabilities(found, vectors, 3)  # must not end the process
            except (InputError, ValueError, IndexError):
                continue


def test_a_file_that_lies_of_its_features_or_classes_is_refused(kept):
    for method in METHODS:
        path = kept / f"{method}.skops"
        refused(path, "features", "fit", "asks for", method=method, features=WIDTH + 1)
        refused(path, "classes", "fit", method=method, classes=2)


def test_another_classifier_than_it_says_is_refused(kept):
    for method in METHODS:
        if method != "naive-bayes":
            refused(kept / f"{method}.skops", "steps", "setting", method="naive-bayes")


def test_objects_in_an_array_are_refused(kept, tmp_path):
    source = kept / "naive-bayes.skops"
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(tmp_path / "x.skops", "w") as new:
        for name in old.namelist():
            content = io.BytesIO(old.read(name))
            if name == "0.npy":
                content = io.BytesIO()
                np.save(content, np.array([Mine()], object), allow_pickle=True)
            new.writestr(name, content.getvalue())
    refused(tmp_path / "x.skops", "an array that cannot be read", method="naive-bayes")


def test_damage_ends_in_one_line(kept, tmp_path):
    for method in ("naive-bayes", "gradient-boosting"):
        good = (kept / f"{method}.skops").read_bytes()
        for end in (0, 10, len(good) // 2, len(good) - 30):
            (tmp_path / "cut.skops").write_bytes(good[:end])
            with pytest.raises(InputError):
                load(tmp_path / "cut.skops", method=method)


def test_an_unknown_forest_of_skops_itself_is_checked_like_ours(tmp_path):
    vectors, truth = made_up()
    forest = RandomForestClassifier(200, random_state=0).fit(vectors, truth)
    skops.io.dump(Pipeline([("classify", forest)]), tmp_path / "theirs.skops")
    try:
        assert load(tmp_path / "theirs.skops").predict(vectors).shape == (90,)
    except InputError as mistake:  # skops gives copies of one object different contents
        assert "two entries of one number" in str(mistake)
