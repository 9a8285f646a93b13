"""Cross-validation: a training for each fold, one bundle with all of them, and scores of what each had left out.

What is predicted out of fold comes from the bundle as it was written and read back. Thresholds that the scores rest on
are chosen for each fold on what the others were predicted out of fold, and those of the bundle on all of it.
"""

from __future__ import annotations

import gc
import shutil
import sys
from dataclasses import dataclass, replace

import numpy as np
import torch

from seqlm.checkpoints.conformity import write_conformity
from seqlm.data.records import Rules
from seqlm.inference import loading
from seqlm.inference.tasks import Task
from seqlm.metrics import metrics, thresholds
from seqlm.report.words import OUT_OF_FOLD
from seqlm.training.processes import Group, taking_part
from seqlm.training.state import History

from .bundle import read_back, save, save_member
from .coverage import checked, checked_by_fold, conformity_of
from .examples import Examples
from .folds import Fold
from .learning import learn, truth_of
from .plan import Plan
from .run import FINE_TUNED, Result, Threshold, length_rules, predict_splits, scores_of, temperature_of, threshold_of
from .summary import Check, FoldResult


@dataclass
class Member:
    """What the training of one fold gave, but for its weights.

    Attributes:
        plan: of that training alone.
        sets: of pairs, for predictions.
        baselines: name -> predictions for what was held out and, after it, the test set.
    """

    plan: Plan
    sets: dict[str, Examples]
    history: History
    baselines: dict[str, np.ndarray]
    rules: Rules
    trained: int
    total: int


def cross_validate(plan: Plan) -> Result | None:
    """Train on all folds, write the bundle, read it back, predict what each member had left out, and score it beside
    the baselines, which were fitted on the same parts. Of several processes, only the first has a result."""
    arguments = plan.arguments
    device = loading.prepare(arguments.threads, arguments.seed, arguments.device)
    plan.memory.on(device)
    with taking_part(plan, device, learn_folds) as group:
        members, manifest = learn_folds(plan, group)
    return _judge(plan, members, manifest, device) if group.rank == 0 else None


def learn_folds(plan: Plan, group: Group) -> tuple[list[Member], dict]:
    """Train on each fold in turn, as one of the group; the first process writes what was learnt, and the manifest."""
    members, manifest, folder = [], {}, plan.scratch / "bundle"
    for number, fold in enumerate(plan.folds.folds, 1):
        scratch = plan.scratch / f"fold_{number}"
        scratch.mkdir(exist_ok=True)
        if group.rank == 0:
            again = f", repeat {fold.repeat} of {plan.folds.repeats}" if plan.folds.repeats > 1 else ""
            print(f"fold {fold.number} of {plan.folds.count}{again}", file=sys.stderr)
        part = replace(plan, dataset=fold.dataset, folds=None, scratch=scratch)
        learnt = learn(part, group)
        if group.rank == 0:
            if number == 1:
                manifest = save(plan, learnt.model, learnt.start, folder)
            else:
                save_member(plan, learnt.model, learnt.start, folder, number)
            sets = {split: replace(examples, pooled=None) for split, examples in learnt.sets.items()}
            members.append(
                Member(
                    part,
                    sets if plan.level == "pair" else {},
                    learnt.history,
                    {name: by_split["test"] for name, by_split in learnt.predictions.items()},
                    length_rules(part, learnt.sets),
                    learnt.trained,
                    learnt.total,
                )
            )
            shutil.rmtree(scratch)
        del learnt
        gc.collect()  # references go round in circles, and the base model is loaded once more
    return members, manifest


def _judge(plan: Plan, members: list[Member], manifest: dict, device: torch.device) -> Result:
    """What the ensemble in the bundle is worth."""
    arguments, folds = plan.arguments, plan.folds
    budget, task = plan.memory.on(device).tokens(), Task(arguments.task, plan.labels)
    print("reading the bundle back", file=sys.stderr)
    folder = plan.scratch / "bundle"
    restored = read_back(plan, folder, device)
    units = _Units(plan, task)
    given = [
        predict_splits(member.plan, restored, member.sets, budget, ["test"], only=place)["test"]
        for place, member in enumerate(members)
    ]
    every, every_test = _gathered(plan, given, [units.places(fold) for fold in folds.folds])
    known_of = [units.known_places(fold) for fold in folds.folds]
    predictions = {FINE_TUNED: (every[:, units.known], every_test[:, units.test_known])}
    for name in members[0].baselines:
        predictions[name] = _gathered(plan, [member.baselines[name] for member in members], known_of)

    truth = units.truth[units.known]
    temperature = _temperature(plan, task, truth, predictions[FINE_TUNED][0])
    uncalibrated = predictions[FINE_TUNED][0].mean(axis=0)
    if temperature != 1:
        every, every_test = (
            np.stack([thresholds.tempered(one, temperature, task.several) for one in each])
            for each in (every, every_test)
        )
        predictions[FINE_TUNED] = (every[:, units.known], every_test[:, units.test_known])
    rows, test_rows = predictions[FINE_TUNED]
    means = {
        name: {OUT_OF_FOLD: one.mean(axis=0)} | ({"test": test.mean(axis=0)} if units.test_truth.size else {})
        for name, (one, test) in predictions.items()
    }
    truths = {OUT_OF_FOLD: truth} | ({"test": units.test_truth[units.test_known]} if units.test_truth.size else {})
    groups = {OUT_OF_FOLD: units.groups, "test": units.test_groups}
    groups = {split: one for split, one in groups.items() if one is not None and split in truths}

    first = [(fold, places) for fold, places in zip(folds.folds, known_of, strict=True) if fold.repeat == 1]
    chosen, calls = {}, {}
    for name, by_split in means.items():
        chosen[name] = _threshold(plan, task, truth, by_split[OUT_OF_FOLD])
        if chosen[name] is not None:
            calls[name] = _called(plan, task, truth, by_split[OUT_OF_FOLD], [places for _, places in first])
    threshold = chosen[FINE_TUNED]
    manifest["temperature"] = temperature
    manifest["threshold"] = threshold.tolist() if isinstance(threshold, np.ndarray) else threshold

    of_member = np.empty(rows.shape[:2], np.int64)
    for place, (fold, places) in enumerate(zip(folds.folds, known_of, strict=True)):
        of_member[fold.repeat - 1, places] = place
    proteins = units.proteins
    conformity = conformity_of(task, truth, rows, members=of_member, groups=proteins, seed=arguments.seed)
    write_conformity(conformity, folder, manifest)
    checks = _checks(plan, task, units, truths, rows, test_rows, first, conformity)

    scores = scores_of(plan, truths, means, groups, chosen, calls)
    return Result(
        plan=plan,
        bundle=folder,
        manifest=manifest,
        history=History(),
        predictions=means,
        scores=scores,
        truth=truths,
        groups=groups,
        thresholds=chosen,
        everything=every.mean(axis=0),
        uncalibrated=uncalibrated if temperature != 1 else None,
        trained=members[0].trained,
        total=members[0].total,
        rules=plan.dataset.rules.merged(members[0].rules),
        checks=checks,
        calls=calls,
        folds=_fold_results(plan, task, truth, predictions, calls, known_of, members),
        histories=[member.history for member in members],
        everything_test=every_test.mean(axis=0),
    )


class _Units:
    """Which units belong to which example, of all that is divided and of the test set.

    Attributes:
        truth, test_truth: of all units; known, test_known: of which units it is known.
        groups: (known units,) what resamples draw: what stays together in a fold, of residues at least the protein;
            None where that is each unit.
        proteins: (known units,) of residues, the number of the protein.
    """

    def __init__(self, plan: Plan, task: Task):
        examples, test = plan.dataset[OUT_OF_FOLD], plan.dataset["test"]
        residues = task.level == "residue"
        self._sizes = np.asarray([len(one.sequence) if residues else 1 for one in examples])
        self._starts = np.cumsum([0, *self._sizes])
        self.truth = truth_of(task, examples)
        self.test_truth = truth_of(task, test) if test else np.empty(0)
        self.known, self.test_known = (_known(task, truth) for truth in (self.truth, self.test_truth))
        owners = np.repeat(np.arange(len(examples)), self._sizes)[self.known]
        test_owners = np.repeat(np.arange(len(test)), [len(one.sequence) if residues else 1 for one in test])
        self.proteins = owners if residues else None
        self.test_groups = test_owners[self.test_known] if residues and test else None
        together = plan.folds.groups
        if residues or (together is not None and len(np.unique(together)) < len(together)):
            self.groups = (np.arange(len(examples)) if together is None else together)[owners]
        else:
            self.groups = None

    def places(self, fold: Fold) -> np.ndarray:
        """Places of the units that a fold holds out."""
        return np.concatenate([np.arange(self._starts[one], self._starts[one + 1]) for one in fold.held])

    def known_places(self, fold: Fold) -> np.ndarray:
        """Of those that are known, their places among all that are known."""
        places = self.places(fold)
        return (np.cumsum(self.known) - 1)[places[self.known[places]]]


def _known(task: Task, truth: np.ndarray) -> np.ndarray:
    if task.level != "residue" or not truth.size:
        return np.full(len(truth), True)
    return truth >= 0 if task.labels else np.isfinite(truth)


def _gathered(plan: Plan, given: list[np.ndarray], places: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """(repeats, units, …) of what members give for what they had left out, and (members, test units, …)."""
    total = sum(map(len, places)) // plan.folds.repeats
    rows = np.empty((plan.folds.repeats, total, *given[0].shape[1:]))
    for fold, one, held in zip(plan.folds.folds, given, places, strict=True):
        rows[fold.repeat - 1, held] = one[: len(held)]
    return rows, np.stack([one[len(held) :] for one, held in zip(given, places, strict=True)])


def _temperature(plan: Plan, task: Task, truth: np.ndarray, rows: np.ndarray) -> float:
    """The temperature that fits what members give out of fold best."""
    repeated = np.concatenate([truth] * len(rows))
    flat = np.concatenate(list(rows))
    return temperature_of(plan, task, {"validation": repeated}, {"validation": flat})


def _threshold(plan: Plan, task: Task, truth: np.ndarray, predictions: np.ndarray) -> Threshold:
    return threshold_of(plan, task, {"validation": truth}, {"validation": predictions})


def _called(plan: Plan, task: Task, truth, predictions, folds: list[np.ndarray]) -> np.ndarray:
    """What is called out of fold, each fold at the threshold that is best on the others."""
    calls = np.empty(truth.shape, np.int64)
    for places in folds:
        others = np.setdiff1d(np.arange(len(truth)), places)
        threshold = _threshold(plan, task, truth[others], predictions[others])
        calls[places] = thresholds.called(predictions[places], threshold, several=task.several)
    return calls


def _checks(plan, task, units, truths, rows, test_rows, first, conformity) -> list[Check]:
    """Coverage on the test set, and out of fold by the scores of the other folds."""
    coverage, checks = plan.arguments.coverage, []
    if not coverage:
        return []
    truth, seed = truths[OUT_OF_FOLD], plan.arguments.seed
    if "test" in truths:
        checks.append(checked(task, conformity, coverage, "test", truths["test"], test_rows, units.test_groups))
    parts = []
    for _, places in first:
        others = np.setdiff1d(np.arange(len(truth)), places)
        proteins = None if units.proteins is None else units.proteins[others]
        parts.append((conformity_of(task, truth[others], rows[:1, others], groups=proteins, seed=seed), places))
    checks.append(checked_by_fold(task, parts, coverage, OUT_OF_FOLD, truth, rows[0], units.groups))
    return [check for check in checks if check]


def _fold_results(plan, task, truth, predictions, calls, known_of, members) -> list[FoldResult]:
    found = []
    for fold, places, member in zip(plan.folds.folds, known_of, members, strict=True):
        scores = {}
        for name, (rows, _) in predictions.items():
            called = calls[name][places] if name in calls else None
            scores[name] = float(
                metrics.plain(plan.score, truth[places], rows[fold.repeat - 1, places], predicted=called)
            )
        found.append(FoldResult(fold.repeat, fold.number, len(fold.held), len(places), scores, member.history.kept))
    return found
