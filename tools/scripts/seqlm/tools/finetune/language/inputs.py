"""What the fine-tuning of a causal language model starts from: options, base model, sequences without labels.

All of it is checked without torch.
"""

from __future__ import annotations

from argparse import Namespace
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from seqlm.checkpoints.folder import ModelFolder
from seqlm.checkpoints.manifest import FILE as MANIFEST
from seqlm.checkpoints.manifest import read_manifest, reading_in
from seqlm.checkpoints.opening import open_base_model
from seqlm.cli.errors import InputError
from seqlm.data.datasets import SPLITS, Dataset, Example, make_splits
from seqlm.data.labels import LEFT_OUT, MAX_LETTERS, GivenSplit
from seqlm.data.records import Rules, quoted
from seqlm.data.sequences import Strangers, clean, read_records, sequence_format
from seqlm.data.tasks import WITHOUT_HEAD
from seqlm.families.family import Family
from seqlm.families.recognition import families, recognise
from seqlm.inference.fitting import Memory
from seqlm.inference.language_models import Opened
from seqlm.inference.language_rows import SHORTEST, Text, read_texts
from seqlm.report.words import listed
from seqlm.tokenization.encoder import read_canonical
from seqlm.tokenization.language_text import LanguageText
from seqlm.tools.finetune.inputs import check_bundled
from seqlm.tools.finetune.memory import language_memory_of
from seqlm.tools.finetune.methods import check_method, check_trained
from seqlm.tools.finetune.options import OPTIONS_OF_LEVELS
from seqlm.tools.finetune.plan import comparing
from seqlm.tools.finetune.reading import given_split_of, read_three
from seqlm.training.launching import check_processes

TASK = "causal-lm"
# arguments that decide what is learnt; the bundle and the report list them
SETTINGS = (
    "method", "lora_rank", "lora_alpha", "lora_dropout", "lora_modules", "lora_last_layers", "lora_scaling",
    "lora_start", "vera_rank",
    "train_layer_norms", "max_length", "long_sequences", "epochs", "learning_rate", "batch_size",
    "weight_decay", "warmup", "schedule", "patience", "validation_fraction", "test_fraction", "duplicates",
    "precision", "batch_tokens", "seed",
)  # fmt: skip
# what is for labels, and the values where nobody asks for it
OF_LABELS = {
    "label_pattern": r"LABEL=(\S+)", "label_column": None, "label_columns": None, "label_separator": ";",
    "positive_label": None, "class_weights": "none", "threshold_by": "mcc", "calibration": "none", "head": "mlp",
    "head_dropout": 0.2, "pooling": "mean", "class_fasta": [], "validation_class_fasta": [], "test_class_fasta": [],
    "structures": None, "light_column": None, "folds": 0, "fold_repeats": 1, "fold_groups": "auto",
    "group_column": None, "coverage": None,
    "sweep_learning_rates": [], "sweep_ranks": [], "sweep_layers": [],
}  # fmt: skip


@dataclass
class Plan:
    """Checked inputs of one fine-tuning of a causal model.

    Attributes:
        name: what the base model is called.
        limit: tokens read at once, start and end of a sequence among them.
        texts: split -> what of each sequence counts.
        rules: what was changed on the way.
    """

    arguments: Namespace
    scratch: Path
    base: ModelFolder
    family: Family
    text: LanguageText
    name: str
    limit: int
    dataset: Dataset
    texts: dict[str, list[Text]]
    rules: Rules

    @cached_property
    def splits(self) -> list[str]:
        return [name for name in SPLITS if self.dataset[name]]

    @property
    def deciding(self) -> str:
        """The split that the verdict is about."""
        return self.splits[-1]

    @property
    def adapted(self) -> bool:
        return self.arguments.method != "full"

    @property
    def opened(self) -> Opened:
        """The base model, as it is loaded."""
        return Opened(None, self.base, self.family, self.name)

    @cached_property
    def memory(self) -> Memory:
        """What the job takes, and how it is computed so that it fits."""
        return language_memory_of(self)


def check(arguments: Namespace, scratch: Path) -> Plan:
    """Read all inputs; raises InputError for whatever is wrong with them. Does not import torch."""
    _check_options(arguments)
    base = open_base_model(arguments.model, scratch / "base")
    family = recognise(base.path, base.config, **reading_in(base.path, arguments.alphabet, arguments.prefix))
    _check_model(base, family)
    check_trained(arguments, family)
    check_bundled(base, arguments.method)
    if arguments.smiles == "canonical":
        read_canonical(family)
    limit = _limit(arguments.max_length, family)
    text = LanguageText(family, base.path, tokenizer=arguments.tokenizer)
    dataset, rules = _read(arguments, family)
    texts = {
        split: read_texts(
            text,
            [(example.id, example.sequence) for example in dataset[split]],
            limit=limit,
            long_sequences=arguments.long_sequences,
            rules=rules,
        )
        for split in SPLITS
        if dataset[split]
    }
    name = arguments.model_id or base.config.get("_name_or_path") or base.path.name
    plan = Plan(arguments, scratch, base, family, text, name, limit, dataset, texts, rules)
    plan.memory.foresee()
    return plan


def _check_options(arguments: Namespace) -> None:
    if arguments.method == "head":
        raise InputError(
            "a causal language model has no head of its own to train; choose the method lora, dora or full"
        )
    check_method(arguments)
    check_processes(arguments, "sequences")
    unasked = OF_LABELS | {option: unasked for option, (unasked, *_) in OPTIONS_OF_LEVELS.items()}
    for option, value in unasked.items():
        if getattr(arguments, option) not in (value, None, ""):
            flag = "--" + option.replace("_", "-")
            raise InputError(f"{flag} is for tasks with labels; the task {TASK} learns from sequences alone")
    if arguments.metric not in ("auto", "loss"):
        raise InputError(f"the task {TASK} keeps the epoch of the lowest validation loss; leave the metric at auto")


def _check_model(base: ModelFolder, family: Family) -> None:
    if not family.causal:
        can = listed(sorted(one.name for one in families() if one.causal))
        raise InputError(
            f"models of the family {family.name} cannot write sequences from left to right; choose a causal one, of "
            f"the families {can} (ProtGPT2, for one)"
        )
    if (base.path / MANIFEST).is_file():
        task = read_manifest(base.path / MANIFEST)["task"]
        if task not in WITHOUT_HEAD:
            raise InputError(f"the base model was fine-tuned for {task}, so it predicts labels and writes no sequences")


def _limit(asked: int, family: Family) -> int:
    """Tokens of a row: what the user asked for, or all that the model has positions for."""
    special = len(family.prefix) + len(family.suffix)
    if asked and asked < SHORTEST:
        raise InputError(f"a language model must read at least {SHORTEST} tokens at once; raise the maximal length")
    if asked > family.window and family.hard_limit:
        raise InputError(f"this model reads at most {family.window} tokens at once; set the maximal length to that")
    return (asked or family.window) + special


def _read(arguments: Namespace, family: Family) -> tuple[Dataset, Rules]:
    rules = Rules()

    def read(path: str, given_split: GivenSplit) -> list[Example]:
        return read_sequences(arguments, path, family, rules, given_split)

    dataset = make_splits(
        *read_three(arguments, read),
        numeric=False,
        labelled=False,
        by_column=bool(given_split_of(arguments)),
        validation_fraction=arguments.validation_fraction,
        test_fraction=arguments.test_fraction,
        duplicates=arguments.duplicates,
        same=comparing(family.alphabet),
        seed=arguments.seed,
    )
    return dataset, dataset.rules.merged(rules)


def read_sequences(
    arguments: Namespace, path: str, family: Family, rules: Rules, given_split: GivenSplit
) -> list[Example]:
    """The sequences of a file, without labels, and the split of each where the file says it.

    Raises:
        InputError: an id that comes twice, letters that the model does not know, sequences of another kind.
    """
    path = Path(path)
    format = sequence_format(path) if arguments.format == "auto" else arguments.format
    split_of = given_split.reader(path, format, left_out=True)
    examples, seen, letters, strangers = [], {}, 0, Strangers(family.alphabet)
    columns = {"id_column": arguments.id_column, "sequence_column": arguments.sequence_column}
    for record in read_records(path, format=format, rename=True, **columns):
        where = f"{path.name}: record '{quoted(record.id)}' (line {record.line})"
        if record.id in seen:
            raise InputError(f"{where} has the same id as the record on line {seen[record.id]}; ids must be unique")
        seen[record.id] = record.line
        if (split := split_of(record, where)) == LEFT_OUT:
            rules.count("left out, as its split says")
            continue
        letters += len(record.sequence)
        if letters > MAX_LETTERS:
            raise InputError(f"{path.name} has over {MAX_LETTERS:,} letters; train on a part of it")
        strangers.see(record.sequence)
        sequence = clean(record, family.alphabet, family.replacements, rules, path)
        examples.append(Example(record.id, sequence, "", split))
    strangers.refuse(path)
    return examples
