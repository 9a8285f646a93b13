"""Fitted classifiers as files that hold no code: skops, which is a zip of arrays and a ``schema.json``.

skops refuses classes that nobody trusts, but trusts all of scikit-learn, and cannot look into a tree, whose numbers
scikit-learn follows without checking them. So a file is held against more, before scikit-learn sees any of it: only the
classes of :data:`CLASSES` and plain values may occur, arrays are as long as they say, and every tree is walked. What is
built from it must then have the very settings of one of our own pipelines, and shapes that fit together.
"""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path

import numpy as np

from . import strict_json
from .archive_entries import GIB, MIB, Limits, damage_named, listed
from .classification_methods import pipeline
from .errors import InputError
from .sequences import _shown

CLASSES = frozenset(
    {
        "sklearn.calibration.CalibratedClassifierCV",
        "sklearn.calibration._CalibratedClassifier",
        "sklearn.calibration._SigmoidCalibration",
        "sklearn.ensemble._forest.RandomForestClassifier",
        "sklearn.ensemble._hist_gradient_boosting.binning._BinMapper",
        "sklearn.ensemble._hist_gradient_boosting.gradient_boosting.HistGradientBoostingClassifier",
        "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
        "sklearn._loss.link.Interval",
        "sklearn._loss.link.LogitLink",
        "sklearn._loss.link.MultinomialLogit",
        "sklearn._loss.loss.HalfBinomialLoss",
        "sklearn._loss.loss.HalfMultinomialLoss",
        "sklearn.linear_model._logistic.LogisticRegression",
        "sklearn.naive_bayes.GaussianNB",
        "sklearn.neighbors._classification.KNeighborsClassifier",
        "sklearn.neural_network._multilayer_perceptron.MLPClassifier",
        "sklearn.pipeline.Pipeline",
        "sklearn.preprocessing._data.StandardScaler",
        "sklearn.preprocessing._label.LabelBinarizer",
        "sklearn.preprocessing._label.LabelEncoder",
        "sklearn.svm._classes.LinearSVC",
        "sklearn.svm._classes.SVC",
        "sklearn.tree._classes.DecisionTreeClassifier",
    }
)
NUMBERS = frozenset({"ndarray", "float32", "float64", "int32", "int64", "uint32", "uint64"})
# loader of skops -> the classes that it may make
_LOADERS = {
    "ObjectNode": CLASSES,
    "DictNode": frozenset({"builtins.dict"}),
    "ListNode": frozenset({"builtins.list"}),
    "TupleNode": frozenset({"builtins.tuple"}),
    "JsonNode": frozenset({"builtins.str"}),
    "TypeNode": frozenset({"builtins.str"}),
    "NdArrayNode": frozenset(f"numpy.{name}" for name in NUMBERS),
    "TreeNode": frozenset({"sklearn.tree._tree.Tree"}),
    "LossNode": frozenset({"sklearn._loss._loss.CyHalfBinomialLoss", "sklearn._loss._loss.CyHalfMultinomialLoss"}),
}
_TRUSTED = sorted(CLASSES | _LOADERS["TreeNode"])  # the rest skops trusts by itself
_LIMITS = Limits(total=4 * GIB, files=100_000)
_SCHEMA = "schema.json"
_LARGEST_SCHEMA = 256 * MIB
_DEEPEST = 200


# -- writing -------------------------------------------------------------------------------------------------------


def dump(made, path: Path) -> None:
    """Write a fitted pipeline. The same pipeline always gives the same bytes, which skops' own files do not: they hold
    addresses in memory and the time of day."""
    from skops import io as skops

    _forget_training(made.named_steps["classify"])
    with zipfile.ZipFile(io.BytesIO(skops.dumps(made))) as source:
        files: dict[str, str] = {}
        schema = _renumbered(json.loads(source.read(_SCHEMA)), {}, files)
        with zipfile.ZipFile(path, "w") as target:
            for old, new in files.items():
                _write(target, new, source.read(old))
            _write(target, _SCHEMA, json.dumps(schema, separators=(",", ":")).encode())


def _forget_training(classifier) -> None:
    """Drop what only goes on with training: random generators and the state of the optimiser."""
    for name in ("_optimizer", "_random_state", "_best_coefs", "_best_intercepts", "_feature_subsample_rng"):
        if hasattr(classifier, name):
            delattr(classifier, name)


def _write(target: zipfile.ZipFile, name: str, content: bytes) -> None:
    entry = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
    entry.external_attr = 0o644 << 16
    target.writestr(entry, content, compress_type=zipfile.ZIP_DEFLATED, compresslevel=6)


def _renumbered(node, first: dict[int, dict], files: dict[str, str]):
    """With objects numbered and files named in the order in which they occur; what occurs again is as it was first."""
    if isinstance(node, list):
        return [_renumbered(one, first, files) for one in node]
    if not isinstance(node, dict):
        return node
    number = node.get("__id__")
    if number in first:
        return first[number]
    made = {name: _renumbered(one, first, files) for name, one in node.items()}
    if isinstance(node.get("file"), str):
        made["file"] = files.setdefault(node["file"], f"{len(files)}.npy")
    if number is not None:
        made["__id__"] = len(first)
        first[number] = made
    return made


# -- reading -------------------------------------------------------------------------------------------------------


def load(path: Path, method: str, settings: dict, features: int, classes: int, balanced: bool):
    """The pipeline in a file that nobody trusts.

    Args:
        method, settings, balanced: what it is said to be, see :mod:`seqlm.classification_methods`.
        features, classes: how many it is said to read and to tell apart.

    Raises:
        InputError: anything else than such a pipeline.
    """
    from skops import io as skops

    try:
        _Schema(path, features, classes).check()
        foreign = sorted(set(skops.get_untrusted_types(file=path)) - set(_TRUSTED))
        if foreign:
            raise _refused(path, foreign[0])
        made = skops.load(path, trusted=_TRUSTED)
        _check_pipeline(made, method, settings, features, classes, balanced)
    except InputError:
        raise
    except Exception as problem:  # whatever scikit-learn says to objects that were put together by hand
        raise InputError(
            f"{path.name} holds no classifier that works ({_shown(str(problem), 100)}); train it again"
        ) from None
    return made


def _refused(path: Path, what: str) -> InputError:
    return InputError(
        f"{path.name} holds '{_shown(what, 80)}', which is no part of a classifier that this tool trains; such a file "
        "can run code, so it is not opened"
    )


class _Schema:
    """``schema.json`` and its arrays, checked without building any of it."""

    def __init__(self, path: Path, features: int, classes: int):
        self.path, self.features, self.classes = path, features, classes
        self.arrays: dict[str, np.ndarray] = {}
        self.seen: dict[int, dict] = {}
        self.bytes = 0

    def check(self) -> None:
        with damage_named(self.path), open(self.path, "rb") as stream, listed(stream, self.path, _LIMITS) as entries:
            self.entries = {entry.name: entry for entry in entries}
            if len(self.entries) < len(entries) or sum(entry.size for entry in entries) > _LIMITS.total:
                raise self.wrong("files that come twice or are too large")
            if _SCHEMA not in self.entries or self.entries[_SCHEMA].size > _LARGEST_SCHEMA:
                raise self.wrong("no description of a classifier")
            content = b"".join(self.entries[_SCHEMA].chunks())
            schema = strict_json.parse(content, self.path.name, depth=_DEEPEST, containers=20_000_000)
            self.node(schema)

    def wrong(self, what: str) -> InputError:
        return InputError(f"{self.path.name} is no classifier that this tool wrote: it has {what}; train it again")

    def node(self, node) -> None:
        """One node and all below it."""
        if not isinstance(node, dict):
            raise self.wrong("an entry without a class")
        loader, name = node.get("__loader__"), f"{node.get('__module__')}.{node.get('__class__')}"
        if not isinstance(loader, str) or name not in _LOADERS.get(loader, ()):
            raise _refused(self.path, name)
        # skops builds what comes first under a number and never looks at the rest
        number = node.get("__id__")
        if number is not None and (type(number) is not int or self.seen.setdefault(number, node) != node):
            raise self.wrong("two entries of one number")
        content = node.get("content")
        if loader == "NdArrayNode":
            self.array(node)
        elif loader in ("ListNode", "TupleNode"):
            if not isinstance(content, list):
                raise self.wrong("a list that is none")
            for one in content:
                self.node(one)
        elif loader == "DictNode":
            if not isinstance(content, dict):
                raise self.wrong("a dictionary that is none")
            self.node(node.get("key_types"))
            for one in content.values():
                self.node(one)
        elif loader == "JsonNode":
            if not isinstance(content, str) or len(content) > 10_000:
                raise self.wrong("a value that is none")
            self.value(node)
        elif loader in ("ObjectNode", "TreeNode", "LossNode"):
            if content is not None:
                self.node(content)
            if loader != "ObjectNode":
                self.node((node.get("__reduce__") or {}).get("args"))
        if loader == "TreeNode":
            self.tree(node)

    def value(self, node: dict):
        try:
            found = json.loads(node["content"])  # infinity is among the bounds of a loss
        except (ValueError, RecursionError):
            raise self.wrong("a value that is none") from None
        if isinstance(found, dict | list):
            raise self.wrong("a value that is none")
        return found

    def array(self, node: dict) -> np.ndarray:
        """The array of a node: no objects, and exactly as long as it says."""
        file = node.get("file")
        if node.get("type") != "numpy" or not isinstance(file, str) or file not in self.entries:
            raise self.wrong("an array without numbers")
        if file not in self.arrays:
            entry = self.entries[file]
            content = io.BytesIO(b"".join(entry.chunks()))
            try:
                self.arrays[file] = np.lib.format.read_array(content, allow_pickle=False, max_header_size=10_000)
            except Exception:  # what numpy raises for an array that is none is of many kinds
                raise self.wrong("an array that cannot be read") from None
            if self.arrays[file].nbytes + 64 > entry.size + 128 or self.arrays[file].dtype.hasobject:
                raise self.wrong("an array that is longer than its file")
        self.bytes += self.arrays[file].nbytes
        if self.bytes > _LIMITS.total:
            raise self.wrong("more numbers than its files")
        return self.arrays[file]

    def tree(self, node: dict) -> None:
        """A decision tree, whose numbers scikit-learn uses as places in memory."""
        features, classes, outputs = self.three(node["__reduce__"]["args"])
        state = node.get("content", {}).get("content", {})
        if set(state) != {"max_depth", "node_count", "nodes", "values"}:
            raise self.wrong("a tree without nodes")
        nodes, values, count = self.array(state["nodes"]), self.array(state["values"]), self.value(state["node_count"])
        good = features == self.features and outputs == 1 and classes.dtype.kind == "i" and classes.shape == (1,)
        good = good and int(classes[0]) <= self.classes and type(count) is int and nodes.shape == (count,) and count > 0
        good = good and values.shape == (count, 1, int(classes[0])) and values.dtype == float
        names = nodes.dtype.names or ()
        if not good or not {"left_child", "right_child", "feature"} <= set(names):
            raise self.wrong("a tree whose parts do not fit")
        check_branches(
            nodes["left_child"], nodes["right_child"], nodes["left_child"] == -1, nodes["feature"], features, self
        )

    def three(self, node: dict) -> tuple:
        parts = node.get("content")
        loaders = [part.get("__loader__") for part in parts] if isinstance(parts, list) else []
        if loaders != ["JsonNode", "NdArrayNode", "JsonNode"]:
            raise self.wrong("a tree without a size")
        return self.value(parts[0]), self.array(parts[1]), self.value(parts[2])


def check_branches(left, right, leaf, feature, features: int, schema: _Schema) -> None:
    """Every branch (nodes,) leads to a later node, so that a walk ends, and asks for a feature that there is."""
    place = np.arange(len(left))
    inner = ~np.asarray(leaf, dtype=bool)
    for child in (np.asarray(left, np.int64), np.asarray(right, np.int64)):
        if ((child <= place) | (child >= len(left)))[inner].any():
            raise schema.wrong("a tree whose branches lead nowhere")
    asked = np.asarray(feature, np.int64)[inner]
    if len(asked) and (asked.min() < 0 or asked.max() >= features):
        raise schema.wrong("a tree that asks for features that there are not")


# -- what was built ------------------------------------------------------------------------------------------------


def _check_pipeline(made, method: str, settings: dict, features: int, classes: int, balanced: bool) -> None:
    """Raises ValueError for a pipeline that is not what it is said to be, or whose arrays do not fit together."""
    wanted = pipeline(method, settings, np.full(classes, 1 << 20), balanced=balanced, seed=0)
    if [name for name, _ in made.steps] != [name for name, _ in wanted.steps]:
        raise ValueError("its steps are not those of " + method)
    ours, theirs = _plain(wanted), _plain(made)
    for name in {**ours, **theirs}:
        if ours.get(name) != theirs.get(name):
            raise ValueError(f"the setting {name} is not that of {method}")
    classifier = made.named_steps["classify"]
    if "_in_fit" in vars(classifier) or any(
        callable(value) for value in vars(classifier).values() if not _is_model(value)
    ):
        raise ValueError("it has what no fitted classifier has")
    labels = classifier.classes_
    if labels.dtype.kind != "i" or labels.ndim != 1 or len(labels) < 2 or labels.min() < 0 or labels.max() >= classes:
        raise ValueError("its classes are not those that it is said to tell apart")
    if made.n_features_in_ != features or classifier.n_features_in_ != features:
        raise ValueError("its features are not as many as it is said to read")
    check = _CHECKS.get(method)
    if check:
        check(classifier, features, len(labels))
    outcome = made.predict_proba(np.zeros((1, features), np.float32))
    if outcome.shape != (1, len(labels)):
        raise ValueError("its probabilities are not as many as its classes")


def _is_model(value) -> bool:
    return f"{type(value).__module__}.{type(value).__name__}" in CLASSES


def _plain(made) -> dict:
    """Settings that can be compared: no estimators, and none that depend on the data or the seed."""
    found = {}
    for name, value in made.get_params(deep=True).items():
        if name.endswith(("random_state", "__cv", "n_neighbors", "priors")) or name in ("steps", "scale", "classify"):
            continue
        found[name] = type(value).__name__ if _is_model(value) else repr(value)
    return found


def _check_neighbours(classifier, features: int, classes: int) -> None:
    kept, labels = classifier._fit_X, classifier._y
    good = (
        classifier._fit_method == "brute" and classifier._tree is None and classifier.effective_metric_ == "euclidean"
    )
    good = good and kept.ndim == 2 and kept.shape[1] == features and labels.shape == (len(kept),)
    good = (
        good
        and labels.dtype.kind == "i"
        and labels.min() >= 0
        and labels.max() < classes
        and not classifier.outputs_2d_
    )
    if not good or classifier.n_samples_fit_ != len(kept) or not 1 <= int(classifier.n_neighbors) <= len(kept):
        raise ValueError("its neighbours do not fit together")


def _check_machine(calibrated, features: int, classes: int) -> None:
    """Support vectors (vectors, D), their coefficients (classes - 1, vectors) and how many there are of each class."""
    for one in calibrated.calibrated_classifiers_:
        machine = one.estimator
        vectors = machine.support_vectors_
        count = len(vectors)
        good = vectors.shape == (count, features) and machine.support_.shape == (count,)
        good = good and machine._n_support.shape == (classes,) and machine._n_support.min() >= 0
        good = (
            good
            and int(machine._n_support.sum(dtype=np.int64)) == count
            and machine._dual_coef_.shape == (classes - 1, count)
        )
        good = good and machine._intercept_.shape == (classes * (classes - 1) // 2,) and not machine._sparse
        good = good and len(machine._probA) == len(machine._probB) == 0 and machine.shape_fit_[1] == features
        if not good or len(machine.classes_) != classes:
            raise ValueError("its support vectors do not fit together")


def _check_boosted(classifier, features: int, classes: int) -> None:
    trees = 1 if classes == 2 else classes
    if classifier.n_trees_per_iteration_ != trees or classifier._n_features != features:
        raise ValueError("its trees are not as many as its classes")
    if classifier._preprocessor is not None or classifier.is_categorical_ is not None:
        raise ValueError("it has categories, which embeddings have not")
    mapper = classifier._bin_mapper
    if mapper.is_categorical_.shape != (features,) or mapper.is_categorical_.any():
        raise ValueError("it has categories, which embeddings have not")
    for group in classifier._predictors:
        if len(group) != trees:
            raise ValueError("its trees are not as many as its classes")
        for tree in group:
            nodes = tree.nodes
            if nodes.ndim != 1 or not len(nodes) or nodes["is_categorical"].any():
                raise ValueError("it has a tree without nodes")
            check_branches(nodes["left"], nodes["right"], nodes["is_leaf"], nodes["feature_idx"], features, _Broken())


class _Broken:
    """Says what is wrong with a tree as the other checks of this part do."""

    def wrong(self, what: str) -> ValueError:
        return ValueError(f"it has {what}")


_CHECKS = {
    "k-nearest-neighbours": _check_neighbours,
    "rbf-svm": _check_machine,
    "gradient-boosting": _check_boosted,
}
