"""Fine-tuning from checked inputs to a bundle with scores beside baselines.

The predictions come from the bundle as it was written and read back, so they are what ``predict`` will give.
"""

from __future__ import annotations

import gc
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch

from seqlm.checkpoints.conformity import write_conformity
from seqlm.data.records import Rules
from seqlm.inference import loading
from seqlm.inference.inference import pair_outputs, pooled_vectors, predict
from seqlm.inference.tasks import Task
from seqlm.metrics import metrics, thresholds
from seqlm.report.words import OUT_OF_FOLD
from seqlm.training.processes import taking_part
from seqlm.training.state import History

from .bundle import read_back, save
from .coverage import checked, conformity_of
from .examples import Examples
from .learning import Learnt, learn
from .plan import Plan
from .summary import Check, FoldResult
from .sweep import sweep
from .tries import Try, tries_of

FINE_TUNED = "fine-tuned"

Threshold = float | np.ndarray | None


@dataclass
class Result:
    """What a fine-tuning gave: everything that the outputs are made of.

    A residue whose truth is not known is in ``everything`` alone.

    Attributes:
        predictions: model or baseline -> split -> (units, classes) probabilities or (units,) values.
        scores: model or baseline -> split -> metric -> Score.
        truth: split -> (units,) or (units, labels).
        groups: split -> (residues,) number of the protein, of residue tasks.
        thresholds: model or baseline -> what is called, chosen on the validation set.
        everything: what the fine-tuned model gives for all units of the deciding split.
        uncalibrated: predictions of the deciding split before the temperature was applied, if there is one.
        checks: how often conformal sets held the truth.
        calls: of folds: model -> what is called out of fold, where a threshold calls it.
        folds, histories: of folds: what each training gave.
        everything_test: of folds: what the ensemble gives for all units of the test set.
    """

    plan: Plan
    bundle: Path
    manifest: dict
    history: History
    predictions: dict[str, dict[str, np.ndarray]]
    scores: dict[str, dict[str, dict[str, metrics.Score]]]
    truth: dict[str, np.ndarray]
    groups: dict[str, np.ndarray]
    thresholds: dict[str, Threshold]
    everything: np.ndarray
    uncalibrated: np.ndarray | None
    trained: int
    total: int
    rules: Rules
    checks: list[Check] = field(default_factory=list)
    calls: dict[str, np.ndarray] = field(default_factory=dict)
    folds: list[FoldResult] = field(default_factory=list)
    histories: list[History] = field(default_factory=list)
    everything_test: np.ndarray | None = None
    tries: list[Try] = field(default_factory=list)


def finetune(plan: Plan) -> Result | None:
    """Train, write the bundle, read it back, predict every split with it, and score it beside the baselines. Of several
    processes, only the first has a result."""
    arguments = plan.arguments
    device = loading.prepare(arguments.threads, arguments.seed, arguments.device)
    plan.memory.on(device)
    tries = sweep(plan) if tries_of(arguments) else []
    with taking_part(plan, device, learn) as group:
        learnt = learn(plan, group)
    return replace(_judge(plan, learnt, device), tries=tries) if group.rank == 0 else None


def _judge(plan: Plan, learnt: Learnt, device: torch.device) -> Result:
    """The bundle, and what the model in it is worth."""
    arguments, sets, predictions = plan.arguments, learnt.sets, learnt.predictions
    budget, task = plan.memory.on(device).tokens(), Task(arguments.task, plan.labels)
    print("writing the bundle and reading it back", file=sys.stderr)
    folder = plan.scratch / "bundle"
    manifest = save(plan, learnt.model, learnt.start, folder)
    del learnt.model
    gc.collect()  # references go round in circles, and the base model is loaded once more
    restored = read_back(plan, folder, device)
    everything = predict_splits(plan, restored, sets, budget, plan.splits)
    known = {split: sets[split].known if task.level == "residue" else slice(None) for split in plan.splits}
    truth = {split: sets[split].truth[known[split]] for split in plan.splits}
    predictions[FINE_TUNED] = {split: everything[split][known[split]] for split in plan.splits}

    uncalibrated = predictions[FINE_TUNED][plan.deciding]
    temperature = temperature_of(plan, task, truth, predictions[FINE_TUNED])
    if temperature != 1:
        several = task.several
        predictions[FINE_TUNED] = {
            split: thresholds.tempered(one, temperature, several) for split, one in predictions[FINE_TUNED].items()
        }
        everything = {split: thresholds.tempered(one, temperature, several) for split, one in everything.items()}
    chosen = {name: threshold_of(plan, task, truth, by_split) for name, by_split in predictions.items()}
    manifest["temperature"] = temperature
    threshold = chosen[FINE_TUNED]
    manifest["threshold"] = threshold.tolist() if isinstance(threshold, np.ndarray) else threshold
    groups = {}
    if task.level == "residue":
        for split in plan.splits:
            lengths = [one.tokens for one in sets[split].encoded]
            groups[split] = np.repeat(np.arange(len(lengths)), lengths)[known[split]]
    checks = []
    if "validation" in truth:
        conformity = conformity_of(task, truth["validation"], predictions[FINE_TUNED]["validation"][None],
                                   groups=groups.get("validation"), seed=arguments.seed)  # fmt: skip
        write_conformity(conformity, folder, manifest)
        if arguments.coverage and "test" in truth:
            found = checked(task, conformity, arguments.coverage, "test", truth["test"],
                            predictions[FINE_TUNED]["test"][None], groups.get("test"))  # fmt: skip
            checks += [found] if found else []
    scores = scores_of(plan, truth, predictions, groups, chosen)
    return Result(
        plan=plan,
        bundle=folder,
        manifest=manifest,
        history=learnt.history,
        predictions=predictions,
        scores=scores,
        truth=truth,
        groups=groups,
        thresholds=chosen,
        everything=everything[plan.deciding],
        uncalibrated=uncalibrated if temperature != 1 else None,
        trained=learnt.trained,
        total=learnt.total,
        rules=plan.dataset.rules.merged(length_rules(plan, sets)),
        checks=checks,
    )


def predict_splits(
    plan: Plan,
    restored: loading.Finetuned,
    sets: dict[str, Examples],
    budget: int,
    splits: list[str],
    only: int | None = None,
) -> dict[str, np.ndarray]:
    """Predictions for all units of some splits, by one member where the model is an ensemble."""
    model = restored.model
    if plan.level == "pair":
        examples = sets[splits[0]]
        for _ in model.turns(only):
            pooled = pooled_vectors(model, examples.encoded, plan.encoder.padding, budget)
        second = pooled if examples.second is None else examples.second
        return {split: model.decode(pair_outputs(model, pooled, second, sets[split].pairs)) for split in splits}
    together = np.concatenate if plan.level == "residue" else np.stack
    return {
        split: together(
            [
                prediction[0]
                for _, _, prediction in predict(
                    model,
                    restored.encoder,
                    ((example.id, example.sequence) for example in plan.dataset[split]),
                    budget,
                    only=only,
                )
            ]
        )
        for split in splits
    }


def temperature_of(plan: Plan, task: Task, truth: dict, predictions: dict[str, np.ndarray]) -> float:
    """By what the logits are divided so that probabilities fit the validation set best; 1 where nothing was asked."""
    if plan.arguments.calibration == "none" or task.labels is None or "validation" not in truth:
        return 1.0
    logits = thresholds.logits_of(predictions["validation"], task.several)
    kind = "sigmoid" if task.several else "softmax"
    return round(float(thresholds.best_temperature(truth["validation"], logits, kind)), 6)


def threshold_of(plan: Plan, task: Task, truth: dict, predictions: dict[str, np.ndarray]) -> Threshold:
    """The probability from which a class is called: the best one on the validation set, or one half."""
    by = plan.arguments.threshold_by
    if not task.labels or (len(task.labels) != 2 and not task.several):
        return None
    choose = by != "none" and "validation" in truth
    if task.several:
        if not choose:
            return np.full(len(task.labels), 0.5)
        return thresholds.best_thresholds(truth["validation"], predictions["validation"], by)
    return float(thresholds.best_threshold(truth["validation"], predictions["validation"][:, 1], by)) if choose else 0.5


def scores_of(
    plan: Plan,
    truth: dict[str, np.ndarray],
    predictions: dict[str, dict[str, np.ndarray]],
    groups: dict[str, np.ndarray],
    chosen: dict[str, Threshold],
    calls: dict[str, np.ndarray] | None = None,
) -> dict[str, dict[str, dict[str, metrics.Score]]]:
    """Model or baseline -> split -> metric -> score, from what :class:`Result` has.

    Args:
        calls: of what was predicted out of fold, what each model calls, where that is not by one threshold.
    """
    print("scoring", file=sys.stderr)
    return {
        name: {
            split: metrics.scores_for(
                plan.arguments.task,
                truth[split],
                by_split[split],
                groups=groups.get(split),
                threshold=chosen[name],
                predicted=(calls or {}).get(name) if split == OUT_OF_FOLD else None,
                seed=plan.arguments.seed,
            )
            for split in plan.splits
        }
        for name, by_split in predictions.items()
    }


def length_rules(plan: Plan, sets: dict[str, Examples]) -> Rules:
    rules, limit = Rules(), plan.encoder.max_length
    lists = [sets["train"].encoded] if plan.level == "pair" else [examples.encoded for examples in sets.values()]
    for one in (one for encoded in lists for one in encoded):
        for rule, letters in one.changes().items():
            rules.count(rule, letters)
        if one.cut:
            rules.count(f"truncated to {limit:,} tokens", one.cut)
        elif len(one.rows) > 1:
            rules.count(f"read in overlapping windows of {limit:,} tokens", one.tokens)
    return rules
