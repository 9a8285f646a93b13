"""Summaries of made-up fine-tunings, as the report gets them."""

from dataclasses import replace

import numpy as np

from seqlm.metrics import metrics
from seqlm.metrics.metrics import Score
from seqlm.tools.finetune.summary import FinetuneSummary

SIZES = {"train": 400, "validation": 200, "test": 300}
BASELINES = {
    "sequence": {"majority": 0, "k-mer": 1},
    "residue": {"majority": 0, "residue": 0.5, "window": 1},
    "pair": {"majority": 0, "protein frequency": 0.5, "k-mer": 1},
}


def predictions_for(truth, classes, skill, generator, several=False):
    if not classes:
        return skill * truth + generator.normal(size=len(truth))
    if several:
        return 1 / (1 + np.exp(-skill / 3 * (2 * truth - 1) - generator.normal(size=truth.shape)))
    scores = generator.normal(size=(len(truth), len(classes))) + skill * np.eye(len(classes))[truth]
    return np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)


def make_summary(classes=("no", "yes"), sizes=SIZES, differences=None, unit="sequence", **changes) -> FinetuneSummary:
    """A run in which the fine-tuned model is good and the baselines are not, unless ``differences`` says otherwise.

    ``sizes`` counts sequences, pairs, or residues, of which ten make a protein. Without classes it is a regression; the
    unit ``labels`` means several labels a sequence.
    """
    generator = np.random.default_rng(0)
    several, unit = unit == "labels", "sequence" if unit == "labels" else unit
    task = "multi-label" if several else f"{unit}-classification" if classes else f"{unit}-regression"
    metric = "macro_f1" if several else "mcc" if classes else "spearman"
    if several:
        truth = {split: generator.integers(0, 2, size=(n, len(classes))) for split, n in sizes.items()}
    else:
        truth = {
            split: generator.permutation(np.arange(n) % len(classes)) if classes else generator.normal(size=n)
            for split, n in sizes.items()
        }
    skills = BASELINES[unit] | {"fine-tuned": 4}
    if not classes:
        skills = {"mean": 0} | {name: skill for name, skill in skills.items() if name != "majority"}
    predictions = {
        name: {split: predictions_for(values, classes, skill, generator, several) for split, values in truth.items()}
        for name, skill in skills.items()
    }
    groups = {split: np.arange(n) // 10 for split, n in sizes.items()} if unit == "residue" else {}
    scores = {
        name: {
            split: metrics.scores_for(task, truth[split], by_split[split], groups=groups.get(split), resamples=50)
            for split in truth
        }
        for name, by_split in predictions.items()
    }
    wholes = {"sequence": 1, "residue": 10, "pair": 4}[unit]
    won = {name: Score(0.8 - skill / 2, 0.7 - skill / 2, 0.9 - skill / 2) for name, skill in skills.items()}
    won.pop("fine-tuned")
    summary = FinetuneSummary(
        task=task,
        metric=metric,
        classes=list(classes),
        truth=truth,
        predictions=predictions,
        scores=scores,
        differences=differences or won,
        lengths={split: np.full(n // wholes, 33) for split, n in sizes.items()},
        positive=1 if len(classes) == 2 and not several else None,
        base_model="org/model",
        sha256="ab" * 32,
        citations=["prottrans", "esm2", "lora", "transformers", "scikit-learn"],
        groups=groups,
    )
    return replace(summary, **changes)
