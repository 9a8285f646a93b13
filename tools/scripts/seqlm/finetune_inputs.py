"""What a fine-tuning starts from: options, base model, labelled sequences. All of it is checked without torch."""

from __future__ import annotations

import sys
from argparse import Namespace
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from . import metrics
from .bundle import open_bundle
from .datasets import SPLITS, Dataset, make_splits, read_examples
from .errors import InputError
from .families import Family, recognise
from .manifest import check_labels
from .model_files import ModelFolder, read_model_folder
from .sequences import Rules
from .tokens import Encoder

TASKS = ("sequence-classification", "sequence-regression")
# arguments that decide what is learnt; the bundle and the report list them
SETTINGS = (
    "method", "lora_rank", "lora_alpha", "lora_dropout", "lora_modules", "lora_last_layers", "lora_scaling",
    "lora_start", "train_layer_norms", "head", "head_dropout", "pooling", "max_length", "long_sequences", "epochs",
    "learning_rate", "batch_size", "weight_decay", "warmup", "schedule", "metric", "patience", "class_weights",
    "positive_label", "validation_fraction", "test_fraction", "duplicates", "precision", "batch_tokens", "seed",
)  # fmt: skip


@dataclass
class Plan:
    """Checked inputs of one fine-tuning."""

    arguments: Namespace
    scratch: Path
    base: ModelFolder
    family: Family
    dataset: Dataset
    labels: tuple[str, ...] | None
    metric: str

    @cached_property
    def splits(self) -> list[str]:
        return [name for name in SPLITS if self.dataset[name]]

    @property
    def deciding(self) -> str:
        """The split that the verdict is about."""
        return self.splits[-1]

    @property
    def score(self) -> str:
        """The score that the verdict compares: the one that picked the epoch, unless that was the loss."""
        if self.metric != "loss":
            return self.metric
        return "mcc" if self.labels else "spearman"

    @property
    def base_name(self) -> str:
        return self.arguments.model_id or self.base.config.get("_name_or_path") or self.base.path.name

    @cached_property
    def encoder(self) -> Encoder:
        """How the base model reads a sequence."""
        return Encoder(
            self.family,
            self.base.path,
            max_length=self.arguments.max_length,
            long_sequences=self.arguments.long_sequences,
            pooling=self.arguments.pooling,
        )


def open_base_model(path: str, scratch: Path) -> ModelFolder:
    """A base model from a Hugging Face folder or a bundle that holds whole weights.

    Raises:
        InputError: a bundle that holds an adapter only.
    """
    if Path(path).is_dir():
        return read_model_folder(path)
    bundle = open_bundle(path, scratch)
    if bundle.model is None:
        raise InputError(
            f"{Path(path).name} holds only an adapter or a head, not a whole model; start from its base model, "
            "or from a bundle made with the method 'full'"
        )
    return bundle.model


def check(arguments: Namespace, scratch: Path) -> Plan:
    """Read all inputs; raises InputError for whatever is wrong with them. Does not import torch."""
    numeric = arguments.task.endswith("regression")
    allowed = metrics.metrics_for(arguments.task)
    metric = arguments.metric if arguments.metric != "auto" else "spearman" if numeric else "mcc"
    if metric != "loss" and metric not in allowed:
        raise InputError(f"the metric '{metric}' is not one of this task's: loss, {', '.join(allowed)}")
    if arguments.lora_start == "pissa" and arguments.method == "dora":
        raise InputError("a PiSSA start and DoRA cannot be combined; choose one of them")
    if arguments.pooling == "cls" and arguments.long_sequences == "window":
        print("note: with cls pooling a long sequence is the mean of its windows' first tokens", file=sys.stderr)

    base_folder = scratch / "base"
    base_folder.mkdir()
    base = open_base_model(arguments.model, base_folder)
    family = recognise(base.path, base.config, arguments.alphabet)
    rules = Rules()

    def read(path: str, split_column: str | None = None):
        return read_examples(
            path,
            numeric=numeric,
            alphabet=family.alphabet,
            replacements=family.replacements,
            rules=rules,
            label_pattern=arguments.label_pattern,
            label_column=arguments.label_column,
            id_column=arguments.id_column,
            sequence_column=arguments.sequence_column,
            split_column=split_column,
            format=arguments.format,
        )

    dataset = make_splits(
        read(arguments.train, arguments.split_column),
        read(arguments.validation) if arguments.validation else None,
        read(arguments.test) if arguments.test else None,
        numeric=numeric,
        by_column=bool(arguments.split_column),
        validation_fraction=arguments.validation_fraction,
        test_fraction=arguments.test_fraction,
        duplicates=arguments.duplicates,
        seed=arguments.seed,
    )
    dataset.rules = dataset.rules.merged(rules)
    labels = None if numeric else _ordered(dataset.labels(), arguments.positive_label)
    if labels:
        check_labels(labels)
    plan = Plan(arguments, scratch, base, family, dataset, labels, metric)
    if family.one_letter_tokens:  # without transformers, so a sequence that is too long is refused at once
        for split in plan.splits:
            for example in dataset[split]:
                plan.encoder.encode(example.sequence, example.id)
    return plan


def _ordered(labels: list[str], positive: str | None) -> tuple[str, ...]:
    """Class names in their order; the positive class of two is the second."""
    if positive is None:
        return tuple(labels)
    if len(labels) != 2:
        raise InputError(f"a positive label is for two classes, and there are {len(labels)}; leave it empty")
    if positive not in labels:
        raise InputError(f"no example has the positive label '{positive}'; the labels are {' and '.join(labels)}")
    return tuple(sorted(labels, key=lambda label: label == positive))
