"""The baselines of a fine-tuning, from its examples and the base model's embeddings."""

from __future__ import annotations

import numpy as np

from seqlm.baselines.baselines import Part, fit_baselines
from seqlm.baselines.linear_models import Linear
from seqlm.baselines.pair_baselines import PairPart, fit_pair_baselines
from seqlm.baselines.residue_baselines import ResiduePart, fit_residue_baselines
from seqlm.inference.tasks import Task

from .examples import Examples, balanced_weights
from .plan import Plan


def baselines(
    plan: Plan, task: Task, sets: dict[str, Examples]
) -> tuple[dict[str, dict[str, np.ndarray]], Linear | None]:
    """Baseline -> split -> predictions of its units, of residues those whose truth is known; and the linear model of
    the base model's embeddings."""
    weights = None
    if plan.arguments.class_weights == "balanced" and task.labels:
        weights = balanced_weights(task, sets["train"].truth)
    settings = {
        "class_weights": weights,
        "alphabet": plan.family.alphabet.lower(),
        "seed": plan.arguments.seed,
    }
    if plan.level == "residue":
        return _residues(plan, task, sets, settings)
    if plan.level == "pair":
        return _pairs(plan, task, sets, settings)
    parts = {
        split: Part([one.sequence for one in plan.dataset[split]], examples.truth, examples.pooled.numpy())
        for split, examples in sets.items()
    }
    return fit_baselines(parts.pop("train"), parts, task=task.name, classes=task.outputs, **settings)


def _residues(plan: Plan, task: Task, sets: dict[str, Examples], settings: dict) -> tuple:
    parts = {}
    for split, examples in sets.items():
        kept = np.split(examples.known, examples.starts[1:-1])
        sequences = [one.sequence for one in plan.dataset[split]]
        parts[split] = ResiduePart(sequences, kept, examples.truth[examples.known], examples.pooled)
    return fit_residue_baselines(
        parts.pop("train"), parts, regression=task.labels is None, classes=task.outputs, **settings
    )


def _pairs(plan: Plan, task: Task, sets: dict[str, Examples], settings: dict) -> tuple:
    first, second = plan.members
    sequences = list(first.values()) + ([] if second is first else list(second.values()))
    parts = {}
    for split, examples in sets.items():
        pairs = examples.pairs
        if plan.second:  # places of second members are among the vectors of their own model
            pairs = pairs + np.array([0, len(first)])
        others = None if examples.second is None else examples.second.numpy()
        parts[split] = PairPart(sequences, pairs, examples.truth, examples.pooled.numpy(), others)
    return fit_pair_baselines(
        parts.pop("train"),
        parts,
        regression=task.labels is None,
        classes=task.outputs,
        symmetric=plan.symmetric,
        second_alphabet=plan.second.family.alphabet.lower() if plan.second else None,
        **settings,
    )
