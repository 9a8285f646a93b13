"""What a fine-tuning was asked for, checked: the model that reads, the sets, the score that decides."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from seqlm.checkpoints.folder import ModelFolder
from seqlm.data.datasets import SPLITS, Dataset
from seqlm.data.molecules import one_way
from seqlm.data.records import TEXT
from seqlm.data.tasks import level_of
from seqlm.families.family import Family
from seqlm.inference.fitting import Memory
from seqlm.report.words import OUT_OF_FOLD
from seqlm.tokenization.encoder import Encoder

from .folds import Folds
from .memory import memory_of

# arguments that decide what is learnt; the bundle and the report list them
SETTINGS = (
    "method", "lora_rank", "lora_alpha", "lora_dropout", "lora_modules", "lora_last_layers", "lora_scaling",
    "lora_start", "vera_rank",
    "train_layer_norms", "head", "head_dropout", "pooling", "max_length", "long_sequences", "epochs",
    "learning_rate", "batch_size", "weight_decay", "warmup", "schedule", "metric", "patience", "class_weights",
    "positive_label", "validation_fraction", "test_fraction", "duplicates", "precision", "batch_tokens", "seed",
    "threshold_by", "calibration", "label_separator", "unlisted", "unknown_labels", "merge_labels", "pair_order",
    "pair_split", "misfits", "label_columns", "prefix", "folds",
    "fold_repeats", "fold_groups", "group_column", "coverage",
)  # fmt: skip
OF_FOLDS = ("folds", "fold_repeats", "fold_groups", "group_column", "coverage")  # of these


@dataclass
class Reader:
    """A model that reads sequences: its files, its family and how it encodes."""

    base: ModelFolder
    family: Family
    encoder: Encoder
    name: str
    revision: str = ""


@dataclass
class Plan:
    """Checked inputs of one fine-tuning.

    Attributes:
        members: of pairs, the sequences of first and of second members by name; one dictionary twice where one file has
            both.
        second: of pairs, the model that reads second members, if it is another one. It is not trained.
        window: length of the training sequences, if they are windows around sites, else 0.
        sites: residues in the middle of these windows; of residues those that labels are on, where these are few.
        folds: of a cross-validation; the dataset then has the test set and, together, what is divided.
    """

    arguments: Namespace
    scratch: Path
    reader: Reader
    dataset: Dataset
    labels: tuple[str, ...] | None
    metric: str
    members: tuple[dict[str, str], dict[str, str]] = field(default_factory=lambda: ({}, {}))
    second: Reader | None = None
    window: int = 0
    sites: str = ""
    folds: Folds | None = None

    @property
    def base(self) -> ModelFolder:
        return self.reader.base

    @property
    def family(self) -> Family:
        return self.reader.family

    @property
    def encoder(self) -> Encoder:
        return self.reader.encoder

    @property
    def level(self) -> str:
        return level_of(self.arguments.task)

    @cached_property
    def splits(self) -> list[str]:
        return [name for name in (*SPLITS, OUT_OF_FOLD) if self.dataset[name]]

    @property
    def deciding(self) -> str:
        """The split that the verdict is about."""
        return self.splits[-1]

    @property
    def score(self) -> str:
        """The score that the verdict compares: the one that picked the epoch, unless that was the loss."""
        return self.metric if self.metric != "loss" else default_metric(self.arguments.task, self.labels)

    @property
    def same(self) -> Callable[[str], str]:
        """What sequences are compared by."""
        return comparing(self.family.alphabet)

    @property
    def symmetric(self) -> bool:
        return is_symmetric(self.arguments)

    @cached_property
    def memory(self) -> Memory:
        """What the job takes, and how it is computed so that it fits."""
        return memory_of(self)


def default_metric(task: str, labels: tuple[str, ...] | None) -> str:
    """The score that decides unless told: of rare sites AUPRC, which needs no threshold."""
    if labels is None:
        return "spearman"
    if task == "multi-label":
        return "fmax"
    return "auprc" if task == "residue-classification" and len(labels) == 2 else "mcc"


def comparing(alphabet: str) -> Callable[[str], str]:
    """What sequences are compared by; molecules are the same however they are written."""
    return one_way if alphabet == TEXT else str


def is_symmetric(arguments: Namespace) -> bool:
    """Whether both orders of a pair are the same pair: of one kind of members, unless told."""
    if arguments.pair_order == "auto":
        return not arguments.second_sequences
    return arguments.pair_order == "symmetric"


def all_sequences(plan: Plan):
    """(reader, name, sequence) of everything that a model will read."""
    if plan.level == "pair":
        yield from ((plan.reader, name, sequence) for name, sequence in plan.members[0].items())
        if plan.members[1] is not plan.members[0]:
            yield from ((plan.second or plan.reader, name, sequence) for name, sequence in plan.members[1].items())
    else:
        for split in plan.splits:
            yield from ((plan.reader, example.id, example.sequence) for example in plan.dataset[split])
