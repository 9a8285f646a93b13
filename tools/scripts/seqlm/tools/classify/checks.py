"""Whether a fitted classifier that somebody else put together is one of ours, and can be used without harm.

scikit-learn's compiled code takes the numbers of a fitted classifier at their word: a branch of a tree, or a count of
support vectors, is a place in memory. So they are compared with each other before anything is predicted.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .methods import pipeline

# All that fitted pipelines of ours consist of, beside plain values and arrays.
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


def check_branches(left, right, leaf, feature, features: int, wrong: Callable[[str], Exception]) -> None:
    """Every branch (nodes,) leads to a later node, so that a walk ends, and asks for a feature that there is."""
    place = np.arange(len(left))
    inner = ~np.asarray(leaf, dtype=bool)
    for child in (np.asarray(left, np.int64), np.asarray(right, np.int64)):
        if ((child <= place) | (child >= len(left)))[inner].any():
            raise wrong("a tree whose branches lead nowhere")
    asked = np.asarray(feature, np.int64)[inner]
    if len(asked) and (asked.min() < 0 or asked.max() >= features):
        raise wrong("a tree that asks for features that there are not")


def check_pipeline(made, method: str, settings: dict, features: int, classes: int, balanced: bool) -> None:
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
            check_branches(nodes["left"], nodes["right"], nodes["is_leaf"], nodes["feature_idx"], features, _broken)


def _broken(what: str) -> ValueError:
    return ValueError(f"it has {what}")


_CHECKS = {
    "k-nearest-neighbours": _check_neighbours,
    "rbf-svm": _check_machine,
    "gradient-boosting": _check_boosted,
}
