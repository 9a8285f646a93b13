"""The classifiers: what each is, whether it wants scaled features, and the few settings that a search tries.

Only functions import numpy and scikit-learn.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np


CALIBRATION_FOLDS = 5  # of a support vector machine, which has no probabilities of its own
MOST_NEIGHBOURS = 5


@dataclass(frozen=True)
class Method:
    """A classifier by its name in words.

    Attributes:
        scaled: features get mean 0 and variance 1 first.
        weighted: it can give each class the same weight.
        grid: settings that a small search tries, scikit-learn's own first; of equal scores the first wins.
    """

    words: str
    scaled: bool
    weighted: bool
    grid: tuple[dict, ...] = field(default=({},))


def _grid(name: str, *values: float) -> tuple[dict, ...]:
    return ({}, *({name: value} for value in values))


METHODS = {
    "naive-bayes": Method("Gaussian naive Bayes", False, True, _grid("var_smoothing", 1e-6, 1e-3, 0.1)),
    "logistic-regression": Method("logistic regression", True, True, _grid("C", 0.01, 0.1, 10.0)),
    "linear-svm": Method("linear support vector machine", True, True, _grid("C", 0.001, 0.01, 0.1)),
    "rbf-svm": Method("support vector machine with RBF kernel", True, True, _grid("C", 0.1, 10.0, 100.0)),
    "random-forest": Method("random forest", False, True, _grid("min_samples_leaf", 3, 10)),
    "gradient-boosting": Method("gradient boosting", False, True, _grid("learning_rate", 0.03, 0.3)),
    "k-nearest-neighbours": Method("k nearest neighbours", True, False, _grid("n_neighbors", 1, 3, 15)),
    "mlp": Method("neural network with one hidden layer", True, False, _grid("alpha", 0.01, 1.0)),
}


def settings_in_words(settings: dict) -> str:
    return ", ".join(f"{name} {value}" for name, value in settings.items()) or "scikit-learn's defaults"


def pipeline(method: str, settings: dict, counts: np.ndarray, *, balanced: bool, seed: int):
    """An unfitted scikit-learn Pipeline: ``scale`` where the method wants it, and ``classify``.

    Args:
        settings: of :class:`Method` ``.grid``.
        counts: (classes,) training examples of each class that has any.
        balanced: each class has the same weight in all, where the method knows weights.
    """
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import StandardScaler

    steps = [("scale", StandardScaler())] if METHODS[method].scaled else []
    return Pipeline([*steps, ("classify", _MAKERS[method](settings, counts, "balanced" if balanced else None, seed))])


def _naive_bayes(settings, counts, weight, seed):
    import numpy as np
    from sklearn.naive_bayes import GaussianNB

    return GaussianNB(priors=np.full(len(counts), 1 / len(counts)) if weight else None, **settings)


def _logistic_regression(settings, counts, weight, seed):
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(max_iter=2000, class_weight=weight, random_state=seed, **settings)


def _linear_svm(settings, counts, weight, seed):
    from sklearn.svm import LinearSVC

    return _calibrated(LinearSVC(max_iter=10_000, class_weight=weight, random_state=seed, **settings), counts)


def _rbf_svm(settings, counts, weight, seed):
    from sklearn.svm import SVC

    return _calibrated(SVC(class_weight=weight, **settings), counts)


def _calibrated(machine, counts):
    """Probabilities by Platt's method, from margins of examples that the machine was not trained on."""
    from sklearn.calibration import CalibratedClassifierCV

    return CalibratedClassifierCV(machine, cv=int(min(CALIBRATION_FOLDS, counts.min())), ensemble=False)


def _random_forest(settings, counts, weight, seed):
    from sklearn.ensemble import RandomForestClassifier

    return RandomForestClassifier(n_estimators=200, class_weight=weight, random_state=seed, **settings)


def _gradient_boosting(settings, counts, weight, seed):
    from sklearn.ensemble import HistGradientBoostingClassifier

    # without early stopping no example is set aside, and what is learnt depends on no draw
    return HistGradientBoostingClassifier(early_stopping=False, class_weight=weight, random_state=seed, **settings)


def _nearest_neighbours(settings, counts, weight, seed):
    from sklearn.neighbors import KNeighborsClassifier

    neighbours = min(settings.get("n_neighbors", MOST_NEIGHBOURS), int(counts.sum()))
    # brute force: a search tree gains nothing in hundreds of dimensions
    return KNeighborsClassifier(**{**settings, "n_neighbors": neighbours, "algorithm": "brute"})


def _mlp(settings, counts, weight, seed):
    from sklearn.neural_network import MLPClassifier

    return MLPClassifier(**{"max_iter": 300, "random_state": seed, **settings})


_MAKERS: dict[str, Callable] = {
    "naive-bayes": _naive_bayes,
    "logistic-regression": _logistic_regression,
    "linear-svm": _linear_svm,
    "rbf-svm": _rbf_svm,
    "random-forest": _random_forest,
    "gradient-boosting": _gradient_boosting,
    "k-nearest-neighbours": _nearest_neighbours,
    "mlp": _mlp,
}


def fit(method: str, settings: dict, features: np.ndarray, truth: np.ndarray, *, balanced: bool, seed: int):
    """A fitted pipeline, and whether its solver came to an end within its steps.

    Args:
        features: (n, D). truth: (n,) class indices, of two classes at least.
    """
    import numpy as np
    from sklearn.exceptions import ConvergenceWarning

    counts = np.bincount(truth)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ConvergenceWarning)
        warnings.filterwarnings("ignore", category=RuntimeWarning)
        made = pipeline(method, settings, counts[counts > 0], balanced=balanced, seed=seed).fit(features, truth)
    return made, not any(issubclass(one.category, ConvergenceWarning) for one in caught)


def probabilities(made, features: np.ndarray, classes: int) -> np.ndarray:
    """(n, classes) probabilities; a class that the training part lacked has 0. Asked in parts, to save memory."""
    import numpy as np

    found = np.zeros((len(features), classes))
    for at in range(0, len(features), 8192):
        found[at : at + 8192, made.classes_] = made.predict_proba(features[at : at + 8192])
    return found
