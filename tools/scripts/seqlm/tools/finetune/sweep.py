"""A small sweep: each setting of a table is tried on folds within the training set, and the best one is trained once.

Neither the validation nor the test set has any part in the choice. A try is as good as the mean over the folds of the
lowest validation loss of an epoch, where the fold is the validation set; all tries see the same folds.
"""

from __future__ import annotations

import gc
import shutil
import sys
from argparse import Namespace
from dataclasses import replace

from seqlm.data.datasets import Dataset
from seqlm.training.processes import ALONE

from .folds import divide
from .learning import learn
from .plan import Plan
from .tries import Try, in_words, tries_of

FOLDS = 3


def sweep(plan: Plan) -> list[Try]:
    """Try every setting, and leave the best one in the plan's arguments; the first of equal ones."""
    arguments = plan.arguments
    inside = {**vars(arguments), "folds": FOLDS, "fold_repeats": 1, "validation_fraction": 0.0, "test_fraction": 0.0}
    training = Dataset({"train": plan.dataset["train"]})
    scratch = plan.scratch / "sweep"
    scratch.mkdir()
    part = replace(plan, arguments=Namespace(**inside), dataset=training, scratch=scratch)
    folds = divide(part, scratch, plan.same).folds
    found = []
    for number, settings in enumerate(asked := tries_of(arguments), 1):
        print(f"try {number} of {len(asked)}: {in_words(settings)}", file=sys.stderr)
        losses = []
        for fold in folds:
            own = scratch / "fold"
            own.mkdir()
            splits = {"train": fold.dataset["train"], "validation": fold.dataset["test"]}
            chosen = Namespace(**{**vars(arguments), **settings, "coverage": 0.0})
            tried = replace(plan, arguments=chosen, dataset=Dataset(splits), scratch=own, metric="loss")
            history = learn(tried, ALONE).history
            losses.append(min(epoch["validation_loss"] for epoch in history.epochs))
            shutil.rmtree(own)
            gc.collect()  # references go round in circles, and the base model is loaded once more
        found.append(Try(settings, tuple(losses)))
    shutil.rmtree(scratch)
    for name, value in min(found, key=lambda one: one.loss).settings.items():
        setattr(arguments, name, value)
    return found
