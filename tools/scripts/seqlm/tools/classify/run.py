"""Train classifiers on embeddings, choose one within the training set, and judge it on what it has not seen.

Whatever is chosen - the classifier, its settings - is chosen by a given validation set, or by cross-validation within
the training set. With cross-validation as the judge that happens anew in each fold (nested cross-validation; Cawley &
Talbot 2010, https://www.jmlr.org/papers/v11/cawley10a.html), and what is judged is the whole way to a classifier.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from seqlm.baselines.baselines import KMER, MAJORITY, Part, constant, fit_baselines
from seqlm.baselines.linear_models import Goal
from seqlm.cli.progress import Progress
from seqlm.data.sequences import told_alphabet
from seqlm.metrics import metrics
from seqlm.metrics.metrics import Score

from .inputs import CROSS_VALIDATION, Plan, choosing_folds
from .methods import METHODS, fit, probabilities, settings_in_words

TASK = "sequence-classification"
CENTROID = "nearest centroid"
CHOSEN = "chosen in each fold"


@dataclass
class Choice:
    """What a training set chose: the best settings of each method, its score where anything was chosen, the winner."""

    settings: dict[str, dict]
    scores: dict[str, float]
    method: str


@dataclass
class Result:
    """All that came out.

    Attributes:
        made: the fitted pipeline that is kept; ``choice`` is how it was chosen.
        judged: the model that the verdict is about: the kept method, or with cross-validation and several candidates
            the choice made anew in each fold.
        predictions: model or baseline -> split -> (n, classes) probabilities.
        scores: model or baseline -> split -> metric -> score.
        differences: baseline -> how much better the judged model is on the deciding split.
        fold_choices: with cross-validation, what each fold chose, in words.
    """

    plan: Plan
    made: object
    choice: Choice
    judged: str
    truth: dict[str, np.ndarray]
    places: dict[str, np.ndarray]
    predictions: dict[str, dict[str, np.ndarray]]
    baselines: list[str]
    scores: dict[str, dict[str, dict[str, Score]]] = field(default_factory=dict)
    differences: dict[str, Score] = field(default_factory=dict)
    fold_choices: list[str] = field(default_factory=list)
    alphabet: str = ""

    @property
    def models(self) -> list[str]:
        """The judged model, then the others from the best on, as the training set has it."""
        others = [name for name in self.predictions if name not in self.baselines and name != self.judged]
        return [
            self.judged,
            *sorted(others, key=lambda name: -np.nan_to_num(self.choice.scores.get(name, np.nan), nan=-9)),
        ]


class _Trainer:
    """Fits with the settings of a plan; says how far it is, and notes what did not come to an end."""

    def __init__(self, plan: Plan):
        self.plan, self.arguments = plan, plan.arguments
        self.methods = list(dict.fromkeys(plan.arguments.classifier))
        self.unfinished: set[str] = set()
        rounds = 1 if plan.folds is None else int(plan.folds.max()) + 2
        inner = 0
        if plan.chooses:
            first = next(plan.training_parts())
            inner = len(plan.candidates) * (1 if plan.chosen_by_validation else choosing_folds(plan.truth[first]))
        self.progress = Progress("training", rounds * (inner + len(self.methods)), "classifiers")
        self.done = 0

    def fit(self, method: str, settings: dict, places: np.ndarray):
        arguments, plan = self.arguments, self.plan
        made, finished = fit(
            method,
            settings,
            plan.features[places].astype(np.float64),
            plan.truth[places],
            balanced=arguments.class_weights == "balanced" and METHODS[method].weighted,
            seed=arguments.seed,
        )
        if not finished:
            self.unfinished.add(METHODS[method].words)
        self.done += 1
        self.progress(self.done)
        return made

    def predict(self, made, places: np.ndarray) -> np.ndarray:
        return probabilities(made, self.plan.features[places], len(self.plan.classes))

    def choose(self, places: np.ndarray) -> Choice:
        """The best settings of each method, and the best method, by what is within ``places``."""
        plan, metric = self.plan, self.arguments.metric
        if not plan.chooses:
            (method, settings) = plan.candidates[0]
            return Choice({method: settings}, {method: np.nan}, method)
        if plan.chosen_by_validation:
            held = plan.splits["validation"]
            parts, truth = [(places, held, np.arange(len(held)))], plan.truth[held]
        else:
            parts, truth = self._inner_parts(places), plan.truth[places]
        best: dict[str, tuple[float, dict]] = {}
        for method, settings in plan.candidates:
            found = np.zeros((len(truth), len(plan.classes)))
            for learnt, held, rows in parts:
                found[rows] = self.predict(self.fit(method, settings, learnt), held)
            score = metrics.plain(metric, truth, found, positive=_positive(plan))
            score = -np.inf if np.isnan(score) else score
            if method not in best or score > best[method][0] + 1e-12:
                best[method] = (score, settings)
        winner = max(best, key=lambda method: best[method][0])  # of equal ones the first
        return Choice(
            {method: settings for method, (_, settings) in best.items()},
            {method: score if np.isfinite(score) else np.nan for method, (score, _) in best.items()},
            winner,
        )

    def _inner_parts(self, places: np.ndarray) -> list[tuple]:
        """(learnt from, held out, rows of the held out) of each fold of a training set, equal embeddings together."""
        from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

        truth, seed = self.plan.truth[places], self.arguments.seed
        folds = choosing_folds(truth)
        divider = StratifiedKFold(folds, shuffle=True, random_state=seed)
        groups = self.plan.groups[places]
        if self.arguments.identical == "together" and len(np.unique(groups)) < len(groups):
            together = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)
                parts = list(together.split(places, truth, groups))
            if all(len(np.unique(truth[learnt])) > 1 for learnt, _ in parts):
                return [(places[learnt], places[held], held) for learnt, held in parts]
        return [(places[learnt], places[held], held) for learnt, held in divider.split(places, truth)]


def train(plan: Plan) -> Result:
    """The whole way from a plan to judged classifiers."""
    print(
        f"{len(plan.truth):,} embeddings of {plan.features.shape[1]:,} dimensions, {len(plan.classes)} classes",
        file=sys.stderr,
    )
    trainer = _Trainer(plan)
    result = _hold_out(plan, trainer) if plan.folds is None else _cross_validate(plan, trainer)
    for words in sorted(trainer.unfinished):
        plan.notes.append(
            f"The solver of {words} did not come to an end within its steps; its scores may be a little low."
        )
    unweighted = [METHODS[method].words for method in trainer.methods if not METHODS[method].weighted]
    if plan.arguments.class_weights == "balanced" and unweighted:
        plan.notes.append(f"Trained without class weights, which they do not have: {', '.join(unweighted)}.")
    _score(result)
    return result


def _hold_out(plan: Plan, trainer: _Trainer) -> Result:
    places, made = plan.splits, {}
    choice = trainer.choose(places["train"])
    predictions = {}
    for method in trainer.methods:
        fitted = trainer.fit(method, choice.settings[method], places["train"])
        predictions[method] = {split: trainer.predict(fitted, rows) for split, rows in places.items()}
        if method == choice.method:
            made = fitted
    truth = {split: plan.truth[rows] for split, rows in places.items()}
    result = Result(plan, made, choice, choice.method, truth, dict(places), predictions, [])
    _add_baselines(result, lambda baseline: baseline(places))
    return result


def _cross_validate(plan: Plan, trainer: _Trainer) -> Result:
    n, classes = len(plan.truth), len(plan.classes)
    everyone = np.arange(n)
    judged = CHOSEN if plan.chooses and len(trainer.methods) > 1 else trainer.methods[0]
    outside = {name: np.zeros((n, classes)) for name in dict.fromkeys([*trainer.methods, judged])}
    fold_choices = []
    for fold, learnt in enumerate(plan.training_parts()):
        held = np.flatnonzero(plan.folds == fold)
        choice = trainer.choose(learnt)
        for method in trainer.methods:
            outside[method][held] = trainer.predict(trainer.fit(method, choice.settings[method], learnt), held)
        if judged == CHOSEN:
            outside[CHOSEN][held] = outside[choice.method][held]
        fold_choices.append(described(choice))
    choice = trainer.choose(everyone)
    predictions, made = {}, None
    for method in trainer.methods:
        fitted = trainer.fit(method, choice.settings[method], everyone)
        predictions[method] = {"train": trainer.predict(fitted, everyone), CROSS_VALIDATION: outside[method]}
        if method == choice.method:
            made = fitted
    if judged == CHOSEN:
        predictions[CHOSEN] = {"train": predictions[choice.method]["train"], CROSS_VALIDATION: outside[CHOSEN]}
    places = {"train": everyone, CROSS_VALIDATION: everyone}
    truth = dict.fromkeys(places, plan.truth)
    result = Result(plan, made, choice, judged, truth, places, predictions, [], fold_choices=fold_choices)

    def out_of_fold(baseline: Callable) -> dict:
        gathered: dict[str, dict[str, np.ndarray]] = {}
        for fold, learnt in enumerate(plan.training_parts()):
            held = np.flatnonzero(plan.folds == fold)
            for name, by_split in baseline({"train": learnt, CROSS_VALIDATION: held}).items():
                kept = gathered.setdefault(name, {CROSS_VALIDATION: np.zeros((n, classes))})
                kept[CROSS_VALIDATION][held] = by_split[CROSS_VALIDATION]
        for name, by_split in baseline({"train": everyone}).items():
            gathered[name] = {"train": by_split["train"], **gathered[name]}
        return gathered

    _add_baselines(result, out_of_fold)
    return result


def described(choice: Choice) -> str:
    return f"{choice.method} ({settings_in_words(choice.settings[choice.method])})"


def _positive(plan: Plan) -> int | None:
    return 1 if len(plan.classes) == 2 else None


def _add_baselines(result: Result, run: Callable) -> None:
    """Majority, nearest centroid, and short words where the sequences are known, learnt from the same training set."""
    plan = result.plan
    result.alphabet = told_alphabet(plan.sequences) if plan.sequences else ""

    def baseline(places: dict[str, np.ndarray]) -> dict[str, dict[str, np.ndarray]]:
        truth = {split: plan.truth[rows] for split, rows in places.items()}
        goal = Goal(False, len(plan.classes), seed=plan.arguments.seed)
        if plan.sequences is None:
            found = {MAJORITY: constant(truth, goal)}
        else:
            parts = {split: Part([plan.sequences[row] for row in rows], truth[split]) for split, rows in places.items()}
            alphabet = result.alphabet.lower()
            found, _ = fit_baselines(
                parts.pop("train"), parts, task=TASK, classes=goal.classes, alphabet=alphabet, seed=goal.seed
            )
            found = {MAJORITY: found[MAJORITY], KMER: found[KMER]}
        return {**found, CENTROID: _nearest_centroid(plan, places)}

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # classes that a fold lacks, features that do not vary
        found = run(baseline)
    result.baselines = list(found)
    result.predictions |= found


def _nearest_centroid(plan: Plan, places: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Each sequence is of the class whose mean is nearest in scaled features: softmax of half the squared distance,
    as if every class were a ball of the same width."""
    from scipy.special import softmax
    from sklearn.preprocessing import StandardScaler

    learnt = plan.features[places["train"]].astype(np.float64)
    scaler = StandardScaler().fit(learnt)
    learnt, truth = scaler.transform(learnt), plan.truth[places["train"]]
    present = np.unique(truth)
    middles = np.stack([learnt[truth == one].mean(axis=0) for one in present])  # (present, D)
    spread = max(float(np.mean([learnt[truth == one].var(axis=0).sum() for one in present])), 1e-12) / learnt.shape[1]
    found = {}
    for split, rows in places.items():
        found[split] = np.zeros((len(rows), len(plan.classes)))
        for at in range(0, len(rows), 8192):
            asked = scaler.transform(plan.features[rows[at : at + 8192]].astype(np.float64))
            squares = (middles**2).sum(
                axis=1
            ) - 2 * asked @ middles.T  # the square of what is asked is the same for all
            found[split][at : at + 8192, present] = softmax(-squares / (2 * spread), axis=1)
    return found


def _score(result: Result) -> None:
    plan = result.plan
    print("scoring", file=sys.stderr)
    options = {"positive": _positive(plan), "seed": plan.arguments.seed}
    for name, by_split in result.predictions.items():
        result.scores[name] = {
            split: metrics.scores_for(TASK, result.truth[split], found, **options) for split, found in by_split.items()
        }
    split = plan.deciding
    for name in result.baselines:
        result.differences[name] = metrics.paired_difference(
            plan.arguments.metric,
            result.truth[split],
            result.predictions[result.judged][split],
            result.predictions[name][split],
            **options,
        )
