"""What a training has been told, checked, and the rows that it learns from and is judged on."""

from __future__ import annotations

import hashlib
from argparse import Namespace
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

from seqlm.checkpoints.folder import ModelFolder
from seqlm.data.records import Rules
from seqlm.families.family import Family
from seqlm.inference.batching import Row
from seqlm.inference.fitting import Memory
from seqlm.tokenization.corpus import Corpus
from seqlm.tokenization.encoder import Encoder

from .architectures import INSTRUCTION, MASKED
from .baselines import Judged
from .checkpoint import Checkpoint
from .memory import memory_of
from .split import SPLITS, Documents

# arguments that decide what is learnt: bundle, report and checkpoint hold them
SETTINGS = (
    "architecture", "objective", "method", "context", "overlap", "both_strands", "split", "gap",
    "validation_fraction", "test_fraction", "validation_pattern", "test_pattern", "held_out_letters", "masked_share",
    "masking", "span", "dropout", "lora_rank", "lora_alpha", "lora_dropout", "lora_modules", "lora_embeddings",
    "lora_output", "epochs", "max_steps", "batch_size", "learning_rate", "weight_decay", "warmup", "schedule", "clip",
    "patience", "evaluate_every", "template", "precision", "seed",
)  # fmt: skip
OF_MASKING = ("masked_share", "masking", "span")
OF_LORA = ("lora_rank", "lora_alpha", "lora_dropout", "lora_modules", "lora_embeddings", "lora_output")
OF_CORPUS = (
    "overlap", "both_strands", "split", "gap", "held_out_letters", "validation_pattern", "test_pattern",
)  # fmt: skip


@dataclass
class Plan:
    """Checked inputs.

    Attributes:
        folder: with config.json and tokenizer files; and weights, where a model is gone on with.
        base: the model that is gone on with; None for a new one.
        context: tokens of a row, special ones among them.
        examples: of instruction tuning: split -> examples; None otherwise.
        sha256: of the data.
    """

    arguments: Namespace
    scratch: Path
    folder: Path
    family: Family
    encoder: Encoder
    name: str
    context: int
    corpus: Corpus | None
    documents: Documents | None
    base: ModelFolder | None = None
    examples: dict[str, list] | None = None
    checkpoint: Checkpoint | None = None
    sha256: str = ""
    rules: Rules = field(default_factory=Rules)

    @property
    def new(self) -> bool:
        return self.base is None

    @property
    def causal(self) -> bool:
        return self.family.causal

    @property
    def adapted(self) -> bool:
        return self.arguments.method == "lora"

    @property
    def gives_adapter(self) -> bool:
        """Whether the bundle holds an adapter, and not a whole model."""
        return self.adapted and self.arguments.lora_output == "adapter"

    @cached_property
    def splits(self) -> list[str]:
        if self.examples is not None:
            return [name for name in SPLITS if self.examples.get(name)]
        return [name for number, name in enumerate(SPLITS) if self.documents.letters(number)]

    @property
    def prefix(self) -> list[int]:
        """Ids that begin a sequence."""
        if not self.causal:
            return self.encoder.prefix
        return [self.family.start_token] if self.family.start_token is not None else []

    @property
    def suffix(self) -> list[int]:
        """Ids that end one."""
        return list(self.family.end_tokens[:1]) if self.causal else self.encoder.suffix

    @cached_property
    def memory(self) -> Memory:
        """What the job takes, and how it is computed so that it fits."""
        return memory_of(self)

    def parameters(self) -> dict:
        """All that a checkpoint must agree with."""
        asked = {name: getattr(self.arguments, name) for name in used_settings(self)}
        config = (self.folder / "config.json").read_bytes()
        tokenizer = hashlib.sha256()
        for file in sorted(self.folder.glob("*token*.json")) + sorted(self.folder.glob("vocab*")):
            tokenizer.update(file.read_bytes())
        asked |= {
            "corpus": self.sha256,
            "model": self.base.sha256 if self.base else hashlib.sha256(config).hexdigest(),
            "tokenizer": tokenizer.hexdigest(),
            "smiles": self.arguments.smiles,
        }
        return asked


def used_settings(plan: Plan) -> list[str]:
    """Names of the arguments that mean something in this training."""
    objective = plan.arguments.objective
    left_out = set() if objective == MASKED else set(OF_MASKING)
    left_out |= set() if plan.adapted else set(OF_LORA)
    left_out |= {"architecture", "dropout"} if not plan.new else set()
    left_out |= set(OF_CORPUS) if objective == INSTRUCTION else {"template"}
    return [name for name in SETTINGS if name not in left_out]


@dataclass
class Data:
    """What is learnt from and what is judged on.

    Attributes:
        train: rows by number, with ``lengths``.
        held: split -> its rows.
    """

    train: object
    held: dict[str, HeldOut]
    masking: object
    tokens: int


@dataclass
class HeldOut:
    """Rows of one split, and how they are judged.

    Attributes:
        tokens, letters: (rows,) how many count.
        judged: the letters of each row; empty for the training set, whose letters are what the baselines count.
    """

    rows: list[Row]
    tokens: np.ndarray
    letters: np.ndarray
    judged: list[Judged]
