"""Linear models for baselines: logistic and ridge regression whose penalty the validation set chooses.

A *unit* is a sequence, a residue or a pair. Where there may be millions of them, models are fitted on some of them and
asked in chunks, and features are made when they are needed: see :class:`Units`.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from seqlm.metrics import metrics, thresholds

STRENGTHS = (0.01, 0.1, 1.0, 10.0, 100.0)  # C of logistic regression; 1 / alpha of ridge regression
DEFAULT_STRENGTH = 1.0
# A loss is summed over units, so with many of them a penalty must be larger to weigh as much.
STRENGTHS_OF_MANY = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
MOST_UNITS = 100_000  # that a model of many units is fitted on
MOST_CELLS = 1 << 27  # units times features of it: 512 MB
LABELS_THAT_CHOOSE = 20  # of several labels, the most frequent ones choose the penalty of all
_CHUNK = 1 << 24  # units times features that are predicted at once: 64 MB


@dataclass(frozen=True)
class Goal:
    """What is learnt, and how the best of several models is told.

    Attributes:
        regression: values, else classes.
        classes: how many; of several labels how many labels.
        metric: the score on the validation set that chooses the penalty (see :mod:`seqlm.metrics.metrics`).
        several: a unit may have several labels at once: one model a label, each against its absence.
        class_weights: (classes,) of the loss, of several labels (labels, 2) for absent and present; None: all equal.
        positive: index of the positive class of two, for metrics that have one.
        threshold_by: ``mcc`` or ``f1`` where calls are made from the threshold with the best such score on; else each
            unit is called its most probable class.
        seed: of solvers that draw random numbers.
    """

    regression: bool
    classes: int
    metric: str
    several: bool = False
    class_weights: np.ndarray | None = None
    positive: int | None = None
    threshold_by: str = ""
    seed: int = 0

    def score(self, truth: np.ndarray, predictions: np.ndarray) -> float:
        """How good predictions of the validation set are: higher is better, NaN where the metric is undefined."""
        threshold = None
        if self.threshold_by in ("mcc", "f1") and not self.regression:
            if self.several:
                threshold = thresholds.best_thresholds(truth, predictions, self.threshold_by)
            elif self.classes == 2:
                threshold = thresholds.best_threshold(truth, predictions[:, 1], self.threshold_by)
        score = metrics.plain(self.metric, truth, predictions, positive=self.positive, threshold=threshold)
        return score if metrics.HIGHER_IS_BETTER[self.metric] else -score


@dataclass
class Units:
    """One split with many units.

    Attributes:
        rows: places (m,) -> features (m, width), dense float32 that may be written to, or sparse.
        truth: (units,).
        width: of the features.
        blocks: (units,) the protein that each belongs to, from 0 on; None where units are drawn one by one.
    """

    rows: Callable[[np.ndarray], np.ndarray]
    truth: np.ndarray
    width: int
    blocks: np.ndarray | None = None

    def drawn(self, seed: int) -> np.ndarray:
        """Places of the units that a model is fitted on or chosen by: all, or as many whole blocks as may be."""
        n, most = len(self.truth), max(1, min(MOST_UNITS, MOST_CELLS // self.width))
        if n <= most:
            return np.arange(n)
        generator = np.random.default_rng(seed)
        if self.blocks is None:
            return np.sort(generator.permutation(n)[:most])
        sizes = np.bincount(self.blocks)
        order = generator.permutation(len(sizes))
        fit = np.cumsum(sizes[order]) <= most
        fit[0] = True  # a single protein of more residues
        return np.flatnonzero(np.isin(self.blocks, order[fit]))

    def predict(self, model: Model, places: np.ndarray | None = None) -> np.ndarray:
        places = np.arange(len(self.truth)) if places is None else places
        step = max(1, _CHUNK // self.width)
        chunks = [model(self.rows(places[at : at + step])) for at in range(0, len(places), step)]
        return np.concatenate(chunks)


Model = Callable[[np.ndarray], np.ndarray]  # features (n, width) -> predictions (n, classes), (n, labels) or (n,)


def fit_many(parts: dict[str, Units], goal: Goal) -> dict[str, np.ndarray]:
    """Fit on ``train``, choose by ``validation`` and predict every split: split -> predictions.

    Dense features are given mean 0 and variance 1 in training.
    """
    train, validation = parts["train"], parts.get("validation")
    places = train.drawn(goal.seed)
    features = train.rows(places)
    scale = _scale_in_place(features) if isinstance(features, np.ndarray) else None
    models = _fit_path(features, train.truth[places], goal, STRENGTHS_OF_MANY if validation else (DEFAULT_STRENGTH,))
    if scale:
        models = [_scaled(model, *scale) for model in models]
    del features
    best = 0
    if validation:
        places = validation.drawn(goal.seed)
        best = _best([goal.score(validation.truth[places], validation.predict(model, places)) for model in models])
    return {split: part.predict(models[best]) for split, part in parts.items()}


def fit_chosen(features: dict, truth: dict[str, np.ndarray], goal: Goal) -> Model:
    """The model fitted on ``train`` that is best on ``validation``; by split, features are (n, width)."""
    if "validation" not in features:
        return _fit(features["train"], truth["train"], goal, DEFAULT_STRENGTH)
    shown, chooser = truth, goal
    if goal.several and goal.classes > LABELS_THAT_CHOOSE:  # one label after the other takes long
        frequent = np.sort(np.argsort(-(truth["train"] == 1).sum(axis=0), kind="stable")[:LABELS_THAT_CHOOSE])
        shown = {split: labels[:, frequent] for split, labels in truth.items()}
        weights = None if goal.class_weights is None else goal.class_weights[frequent]
        chooser = replace(goal, classes=len(frequent), class_weights=weights)
    models = [_fit(features["train"], shown["train"], chooser, strength) for strength in STRENGTHS]
    best = _best([chooser.score(shown["validation"], model(features["validation"])) for model in models])
    return models[best] if chooser is goal else _fit(features["train"], truth["train"], goal, STRENGTHS[best])


def _best(scores: Sequence[float]) -> int:
    """The first of the best: models come from the simplest on, which an equal score does not replace."""
    if np.isnan(scores).all():  # the metric is undefined for all
        return len(scores) // 2
    return int(np.nanargmax(scores))


def _fit(features, truth: np.ndarray, goal: Goal, strength: float) -> Model:
    from sklearn.linear_model import LogisticRegression, Ridge

    if goal.regression:
        return Ridge(alpha=1 / strength, tol=1e-6, random_state=goal.seed).fit(features, truth).predict
    if goal.several:
        return _each_label(features, truth, goal, strength)
    # Rows are scaled, so L-BFGS converges in far fewer steps than allowed.
    solver = LogisticRegression(C=strength, max_iter=10_000, random_state=goal.seed)
    return _classifier(solver, features, truth, goal)


def _classifier(solver, features, truth: np.ndarray, goal: Goal) -> Model:
    """Fit (units,) class indices; a class without examples keeps the probability 0."""
    present = np.unique(truth)
    if len(present) == 1:
        certain = np.eye(goal.classes)[present[0]]
        return lambda features: np.tile(certain, (features.shape[0], 1))
    weights = None if goal.class_weights is None else {c: float(goal.class_weights[c]) for c in present}
    solver.set_params(class_weight=weights).fit(features, truth)

    def predict(features):
        probabilities = np.zeros((features.shape[0], goal.classes))
        probabilities[:, present] = solver.predict_proba(features)
        return probabilities

    return predict


def _each_label(features, truth: np.ndarray, goal: Goal, strength: float) -> Model:
    """Fit (units, labels) 0 or 1, each label against its absence; one that is constant in training stays so. Units of
    which a label is not known (-1) are no examples of it."""
    from sklearn.linear_model import LogisticRegression

    models = []
    for label in range(goal.classes):
        weights = None if goal.class_weights is None else goal.class_weights[label]
        solver = LogisticRegression(C=strength, tol=1e-3, max_iter=10_000, random_state=goal.seed)
        column, rows = truth[:, label], features
        if not (known := column >= 0).all():
            column, rows = column[known], features[known]
        models.append(_classifier(solver, rows, column, replace(goal, classes=2, class_weights=weights)))
    return lambda features: np.column_stack([model(features)[:, 1] for model in models])


def _fit_path(features, truth: np.ndarray, goal: Goal, strengths: Sequence[float]) -> list[Model]:
    """A model for each strength, from the simplest on: each solution is where the search for the next one starts."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    if goal.regression:
        return _ridge_path(features, truth, strengths)
    solver, models = LogisticRegression(tol=1e-4, max_iter=500, warm_start=True, random_state=goal.seed), []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # a baseline is not worth an hour
        for strength in strengths:
            models.append(_classifier(solver.set_params(C=strength), features, truth, goal))
            solver = copy.deepcopy(solver)
    return models


def _ridge_path(features, truth: np.ndarray, strengths: Sequence[float]) -> list[Model]:
    """Ridge regression by its normal equations, of which the large matrix is the same for every strength."""
    n, width = features.shape
    gram, moment, total = np.zeros((width, width)), np.zeros(width), np.zeros(width)
    middle = truth.mean()
    for at in range(0, n, 4096):
        chunk = features[at : at + 4096]
        chunk = (chunk.toarray() if hasattr(chunk, "toarray") else chunk).astype(float)
        gram += chunk.T @ chunk
        moment += chunk.T @ (truth[at : at + 4096] - middle)
        total += chunk.sum(axis=0)
    gram -= np.outer(total, total) / n  # as if every feature had mean 0
    models = []
    for strength in strengths:
        coefficients = np.linalg.solve(gram + np.eye(width) / strength, moment)
        models.append(_line(coefficients, middle - total @ coefficients / n))
    return models


def _line(coefficients: np.ndarray, intercept: float) -> Model:
    return lambda features: features @ coefficients + intercept


def _scale_in_place(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Give (units, width) mean 0 and variance 1; returns both as they were. What does not vary becomes 0."""
    mean = features.mean(axis=0, dtype=float).astype(np.float32)
    features -= mean
    deviation = np.sqrt(np.einsum("ij,ij->j", features, features, dtype=float) / len(features)).astype(np.float32)
    deviation[deviation <= 1e-6 * np.abs(mean)] = 0
    deviation[deviation == 0] = 1
    features /= deviation
    return mean, deviation


def _scaled(model: Model, mean: np.ndarray, deviation: np.ndarray) -> Model:
    def predict(features):
        features -= mean
        features /= deviation
        return model(features)

    return predict
