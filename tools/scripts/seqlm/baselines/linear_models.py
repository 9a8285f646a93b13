"""Linear models for baselines and for the heads that training starts from: logistic and ridge regression.

A *unit* is a sequence, a residue or a pair. Features have mean 0 and variance 1 in training where they are dense. How
strong the penalty is is chosen within the training set: the units are divided into folds (whole proteins, or whole
members of pairs, where that is what units share), each fold is predicted by a model of the others, and the penalty with
the lowest log-loss or squared error is kept; with it a model is fitted to all of them. No other set has any influence.

Where there may be millions of units, models are fitted on some of them and asked in chunks, and features are made when
they are needed: see :class:`Units`.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0, 100.0)  # C of logistic regression; 1 / alpha of ridge regression
DEFAULT_STRENGTH = 0.1  # where there is too little to choose by
WORSE = 2  # so many strengths after the best one, no weaker penalty is tried
FOLDS = 5
ONE_FOLD_FROM = 20_000  # units, of which a fifth tells enough
MOST_UNITS = 100_000  # that a model is fitted on
MOST_CELLS = 1 << 27  # units times features of it: 512 MB
LABELS_THAT_CHOOSE = 20  # of several labels, the most frequent ones choose the penalty of all
NEVER = -1e3  # logit of a class that training has no example of: its probability is 0
_CHUNK = 1 << 24  # units times features that are predicted at once: 64 MB


@dataclass(frozen=True)
class Goal:
    """What is learnt.

    Attributes:
        regression: values, else classes.
        classes: how many; of several labels how many labels.
        several: a unit may have several labels at once: one model a label, each against its absence.
        class_weights: (classes,) of the loss, of several labels (labels, 2) for absent and present; None: all equal.
        seed: of what is drawn.
    """

    regression: bool
    classes: int
    several: bool = False
    class_weights: np.ndarray | None = None
    seed: int = 0

    def loss(self, truth: np.ndarray, outputs: np.ndarray) -> tuple[float, float]:
        """Sum of the losses of all units, and of what they count.

        Args:
            outputs: (units, outputs), before any softmax or sigmoid.
        """
        if self.regression:
            return float(((outputs[:, 0] - truth) ** 2).sum()), float(len(truth))
        if self.several:
            known = truth >= 0
            losses = np.logaddexp(0, np.where(truth == 1, -outputs, outputs))
            weights = np.ones(truth.shape)
            if self.class_weights is not None:
                weights = self.class_weights[np.arange(truth.shape[1]), np.where(known, truth, 0)]
            weights = np.where(known, weights, 0)
        else:
            highest = outputs.max(axis=1, keepdims=True)
            logs = outputs - highest - np.log(np.exp(outputs - highest).sum(axis=1, keepdims=True))
            losses = -logs[np.arange(len(truth)), truth]
            weights = np.ones(len(truth)) if self.class_weights is None else np.asarray(self.class_weights)[truth]
        return float((losses * weights).sum()), float(weights.sum())


@dataclass(frozen=True)
class Linear:
    """A fitted model: outputs = weights (features - center) / spread + bias.

    Attributes:
        weights: (outputs, width); of two classes too there is a row each. bias: (outputs,).
        center, spread: (width,) mean and deviation of dense features in training; None where they are sparse.
        strength: of the penalty, the one of :data:`STRENGTHS` that was chosen.
        counted: how much the units that it was fitted on count together, of several labels those of a label.
        loss: log-loss or squared error of a unit that was predicted by a model of the others, with that strength; it
            chose the strength, and tells features apart as well. NaN where there was too little to choose by.
    """

    goal: Goal
    weights: np.ndarray
    bias: np.ndarray
    strength: float
    counted: float
    center: np.ndarray | None = None
    spread: np.ndarray | None = None
    loss: float = math.nan

    @property
    def decay(self) -> float:
        """What the sum of the squares of ``weights`` counts beside the mean loss of a unit (of several labels, of a
        label of a unit), for these weights to be the best ones. Of two classes each has half the weights of
        scikit-learn, whose squares are half as much."""
        part = 1.0 if self.goal.regression or (self.goal.classes == 2 and not self.goal.several) else 0.5
        return part / (self.strength * self.counted * (self.goal.classes if self.goal.several else 1))

    def outputs(self, features) -> np.ndarray:
        """(units, outputs) of (units, width) features as they come: values, or logits."""
        if self.center is not None:
            features = (features - self.center) / self.spread
        return features @ self.weights.T + self.bias

    def __call__(self, features) -> np.ndarray:
        """(units, classes) or (units, labels) probabilities, or (units,) values."""
        from scipy.special import expit

        outputs = self.outputs(features).astype(float)
        if self.goal.regression:
            return outputs[:, 0]
        if self.goal.several:
            return expit(outputs)
        powers = np.exp(outputs - outputs.max(axis=1, keepdims=True))
        return powers / powers.sum(axis=1, keepdims=True)


@dataclass
class Units:
    """One split.

    Attributes:
        rows: places (m,) -> features (m, width), dense float32 that may be written to, or sparse.
        truth: (units,), of several labels (units, labels).
        width: of the features.
        blocks: (units,) the protein that each belongs to, from 0 on, or (units, 2) both members of each pair; None
            where nothing is shared. What shares a block is on one side of a division.
    """

    rows: Callable[[np.ndarray], np.ndarray]
    truth: np.ndarray
    width: int
    blocks: np.ndarray | None = None

    def drawn(self, seed: int) -> np.ndarray:
        """Places of the units that a model is fitted on: all, or as many whole proteins as may be."""
        n, most = len(self.truth), max(1, min(MOST_UNITS, MOST_CELLS // self.width))
        if n <= most:
            return np.arange(n)
        generator = np.random.default_rng(seed)
        if self.blocks is None or self.blocks.ndim == 2:
            return np.sort(generator.permutation(n)[:most])
        sizes = np.bincount(self.blocks)
        order = generator.permutation(len(sizes))
        fit = np.cumsum(sizes[order]) <= most
        fit[0] = True  # a single protein of more residues
        return np.flatnonzero(np.isin(self.blocks, order[fit]))

    def predict(self, model: Linear) -> np.ndarray:
        step = max(1, _CHUNK // self.width)
        places = np.arange(len(self.truth))
        return np.concatenate([model(self.rows(places[at : at + step])) for at in range(0, len(places), step)])


def fit(train: Units, goal: Goal) -> Linear:
    """The model of the training units with the penalty that predicts those best that it has not seen."""
    places = train.drawn(goal.seed)
    features, truth = train.rows(places), train.truth[places]
    scale = _scale_in_place(features) if isinstance(features, np.ndarray) else (None, None)
    blocks = None if train.blocks is None else train.blocks[places]
    chooser, shown = goal, truth
    if goal.several and goal.classes > LABELS_THAT_CHOOSE:  # one label after the other takes long
        frequent = np.sort(np.argsort(-(truth == 1).sum(axis=0), kind="stable")[:LABELS_THAT_CHOOSE])
        weights = None if goal.class_weights is None else goal.class_weights[frequent]
        chooser, shown = replace(goal, classes=len(frequent), class_weights=weights), truth[:, frequent]
    strength, loss = _chosen_strength(features, shown, blocks, chooser)
    weights, bias = _Path(features, truth, goal).at(strength)
    _, counted = goal.loss(truth, np.zeros((len(truth), len(bias))))
    return Linear(goal, weights, bias, strength, counted / (goal.classes if goal.several else 1), *scale, loss)


def fit_and_predict(parts: dict[str, Units], goal: Goal) -> tuple[Linear, dict[str, np.ndarray]]:
    """The model of ``train``, and what it predicts for every split."""
    model = fit(parts["train"], goal)
    return model, {split: part.predict(model) for split, part in parts.items()}


def in_memory(features, truth: np.ndarray, blocks: np.ndarray | None = None) -> Units:
    """Units whose features (units, width) are all there."""
    return Units(lambda places: features[places], truth, features.shape[1], blocks)


def _chosen_strength(features, truth: np.ndarray, blocks: np.ndarray | None, goal: Goal) -> tuple[float, float]:
    """The strength that is best on folds, and its mean loss there."""
    divisions = list(_divisions(truth, blocks, goal))
    if not divisions:
        return DEFAULT_STRENGTH, math.nan
    paths = [_Path(features[inside], truth[inside], goal) for inside, _ in divisions]
    losses: list[float] = []
    for strength in STRENGTHS:
        lost = counted = 0.0
        for path, (_, outside) in zip(paths, divisions, strict=True):
            weights, bias = path.at(strength)
            more, count = goal.loss(truth[outside], features[outside] @ weights.T + bias)
            lost, counted = lost + more, counted + count
        losses.append(lost / counted if counted and math.isfinite(lost) else math.inf)
        if len(losses) - 1 - int(np.argmin(losses)) >= WORSE:
            break
    return STRENGTHS[int(np.argmin(losses))], min(losses)


def _divisions(truth: np.ndarray, blocks: np.ndarray | None, goal: Goal):
    """(places that are learnt from, places that are predicted) of each fold; of pairs those that share no member."""
    from sklearn.model_selection import GroupKFold, KFold, StratifiedKFold

    n = len(truth)
    classes = not goal.regression and not goal.several
    if blocks is not None and blocks.ndim == 2:
        members = np.random.default_rng(goal.seed).permutation(int(blocks.max()) + 1) % FOLDS
        sides = members[blocks]
        folds = [
            (np.flatnonzero((sides != f).all(axis=1)), np.flatnonzero((sides == f).any(axis=1))) for f in range(FOLDS)
        ]
    elif blocks is not None:
        groups = len(np.unique(blocks))
        if groups < 2:
            return
        splitter = GroupKFold(min(FOLDS, groups), shuffle=True, random_state=goal.seed)
        folds = splitter.split(truth, groups=blocks)
    elif n < 2 * FOLDS:
        return
    else:
        enough = classes and np.bincount(truth)[np.unique(truth)].min() >= FOLDS
        splitter = (StratifiedKFold if enough else KFold)(FOLDS, shuffle=True, random_state=goal.seed)
        folds = splitter.split(truth, truth if enough else None)
    for inside, outside in folds:
        if len(inside) and len(outside) and (not classes or len(np.unique(truth[inside])) > 1):
            yield inside, outside
            if n >= ONE_FOLD_FROM:
                return


class _Path:
    """Solutions for one strength after the other, from the strongest penalty on: each is where the search for the next
    one starts. Features are (units, width) with mean 0, or sparse."""

    def __init__(self, features, truth: np.ndarray, goal: Goal):
        self.features, self.truth, self.goal = features, truth, goal
        self.solvers: dict[int, object] = {}
        self.ridge = None

    def at(self, strength: float) -> tuple[np.ndarray, np.ndarray]:
        """Weights (outputs, width) and bias (outputs,)."""
        goal = self.goal
        if goal.regression:
            return self._values(strength)
        if not goal.several:
            return self._classes(self.features, self.truth, goal.classes, goal.class_weights, strength, 0)
        rows = []
        for label in range(goal.classes):  # a unit of which the label is not known (-1) is no example of it
            column, features = self.truth[:, label], self.features
            if not (known := column >= 0).all():
                column, features = column[known], features[known]
            weights = None if goal.class_weights is None else goal.class_weights[label]
            row, bias = self._classes(features, column, 2, weights, strength, label)
            rows.append((row[1] - row[0], bias[1] - bias[0]))
        return np.stack([row for row, _ in rows]), np.array([bias for _, bias in rows])

    def _classes(self, features, truth: np.ndarray, classes: int, class_weights, strength: float, key: int):
        """A row for each class; one without examples is never called."""
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.linear_model import LogisticRegression

        weights, bias = np.zeros((classes, features.shape[1])), np.full(classes, NEVER)
        present = np.unique(truth)
        if len(present) < 2:
            bias[present] = 0.0
            return weights, bias
        if key not in self.solvers:
            balance = None if class_weights is None else {c: float(class_weights[c]) for c in present}
            self.solvers[key] = LogisticRegression(
                tol=1e-4, max_iter=500, warm_start=True, class_weight=balance, random_state=self.goal.seed
            )
        solver = self.solvers[key].set_params(C=strength)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # a penalty so weak is hardly the best
            solver.fit(features, truth)
        found, intercepts = solver.coef_, solver.intercept_
        if len(present) == 2:
            found, intercepts = np.concatenate([-found, found]) / 2, np.concatenate([-intercepts, intercepts]) / 2
        weights[present], bias[present] = found, intercepts
        return weights, bias

    def _values(self, strength: float) -> tuple[np.ndarray, np.ndarray]:
        if hasattr(self.features, "tocsr"):
            from sklearn.linear_model import Ridge

            solver = Ridge(alpha=1 / strength, tol=1e-6, random_state=self.goal.seed).fit(self.features, self.truth)
            return solver.coef_[None], np.array([solver.intercept_])
        if self.ridge is None:
            self.ridge = _ridge(self.features, self.truth)
        coefficients, intercept = self.ridge(strength)
        return coefficients[None], np.array([intercept])


def _ridge(features: np.ndarray, truth: np.ndarray) -> Callable[[float], tuple[np.ndarray, float]]:
    """Ridge regression of any strength by its normal equations, whose large matrix is the same for every strength: that
    of the features, or where they are more than the units, that of the units."""
    n, width = features.shape
    middle = truth.mean()
    mean = features.mean(axis=0, dtype=float)
    if width > n:
        centred = features.astype(float) - mean
        gram = centred @ centred.T

        def dual(strength: float):
            coefficients = centred.T @ np.linalg.solve(gram + np.eye(n) / strength, truth - middle)
            return coefficients, middle - mean @ coefficients

        return dual
    gram, moment = np.zeros((width, width)), np.zeros(width)
    for at in range(0, n, 4096):
        chunk = features[at : at + 4096].astype(float) - mean
        gram += chunk.T @ chunk
        moment += chunk.T @ (truth[at : at + 4096] - middle)

    def primal(strength: float):
        coefficients = np.linalg.solve(gram + np.eye(width) / strength, moment)
        return coefficients, middle - mean @ coefficients

    return primal


def _scale_in_place(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Give (units, width) mean 0 and variance 1; returns both as they were. What does not vary becomes 0."""
    mean = features.mean(axis=0, dtype=float).astype(np.float32)
    features -= mean
    deviation = np.sqrt(np.einsum("ij,ij->j", features, features, dtype=float) / len(features)).astype(np.float32)
    deviation[deviation <= 1e-6 * np.abs(mean)] = 0
    deviation[deviation == 0] = 1
    features /= deviation
    return mean, deviation
