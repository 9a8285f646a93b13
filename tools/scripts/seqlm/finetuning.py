"""Fine-tuning from labelled sequences to a bundle with scores, baselines and a report.

``check`` reads and refuses everything it can without torch; ``finetune`` trains; ``write`` fills the outputs. The test
predictions come from the bundle as it was written and read back, so they are what ``predict`` will give.
"""

from __future__ import annotations

import gc
import shutil
import sys
from argparse import Namespace
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from . import metrics
from .bundle import open_bundle, write_bundle
from .datasets import SPLITS, Dataset, make_splits, read_examples
from .errors import InputError
from .families import Family, recognise
from .manifest import check_labels, write_manifest
from .model_files import ModelFolder, read_model_folder
from .outputs import Outputs, write_table
from .sequences import Rules
from .tokens import TOKENIZER_FILES

FINE_TUNED = "fine-tuned"
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


@dataclass
class Result:
    """What a fine-tuning gave: everything that the outputs are made of.

    ``predictions``: model or baseline -> split -> (n, classes) probabilities or (n,) values.
    ``scores``: model or baseline -> split -> metric -> Score.
    """

    plan: Plan
    bundle: Path
    manifest: dict
    history: object
    predictions: dict[str, dict[str, np.ndarray]]
    scores: dict[str, dict[str, dict[str, metrics.Score]]]
    truth: dict[str, np.ndarray]
    trained: int
    total: int
    rules: Rules


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
    if arguments.pooling == "cls" and not family.prefix:
        raise InputError(f"a {family.name} model has no token at the start of a sequence; use mean pooling")
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
    return Plan(arguments, scratch, base, family, dataset, labels, metric)


def _ordered(labels: list[str], positive: str | None) -> tuple[str, ...]:
    """Class names in their order; the positive class of two is the second."""
    if positive is None:
        return tuple(labels)
    if len(labels) != 2:
        raise InputError(f"a positive label is for two classes, and there are {len(labels)}; leave it empty")
    if positive not in labels:
        raise InputError(f"no example has the positive label '{positive}'; the labels are {' and '.join(labels)}")
    return tuple(sorted(labels, key=lambda label: label == positive))


def finetune(plan: Plan) -> Result:
    """Train, write the bundle, read it back, predict every split with it, and score it beside the baselines."""
    print("loading the libraries", file=sys.stderr)
    import torch

    from . import loading, tasks
    from .adapters import LoraSettings, add_adapter, pissa_start, save_adapter
    from .baselines import Part, fit_baselines
    from .inference import batch_tokens, pooled_vectors, predict
    from .progress import Progress
    from .tokens import Encoder
    from .training import Examples, Settings, train

    arguments = plan.arguments
    device = loading.prepare(arguments.threads, arguments.seed, arguments.device)
    task = tasks.Task(arguments.task, plan.labels)
    encoder = Encoder(
        plan.family,
        plan.base.path,
        max_length=arguments.max_length,
        long_sequences=arguments.long_sequences,
        pooling=arguments.pooling,
    )
    encoded = {
        split: [encoder.encode(example.sequence, example.id) for example in plan.dataset[split]]
        for split in plan.splits
    }
    truth = {split: task.truth([example.label for example in plan.dataset[split]]) for split in plan.splits}

    backbone = loading.load_backbone(plan.base.path, plan.family, torch.float32, device)
    total = sum(parameter.numel() for parameter in backbone.parameters())
    budget = batch_tokens(arguments.batch_tokens, device)
    frozen = loading.SequenceModel(backbone, plan.family.hidden_size)
    progress = Progress("embedding with the base model", sum(map(len, truth.values())), "sequences", lines=4)
    pooled, done = {}, 0
    for split in plan.splits:
        names = [example.id for example in plan.dataset[split]]
        pooled[split] = pooled_vectors(frozen, encoded[split], encoder.padding, budget, names)
        progress(done := done + len(names))

    print("fitting the baselines", file=sys.stderr)
    class_weights = None
    if arguments.class_weights == "balanced" and plan.labels:
        counts = np.bincount(truth["train"], minlength=len(plan.labels))
        class_weights = len(truth["train"]) / (len(counts) * counts)
    parts = {
        split: Part([example.sequence for example in plan.dataset[split]], truth[split], pooled[split].numpy())
        for split in plan.splits
    }
    predictions = fit_baselines(
        parts["train"],
        {split: parts[split] for split in plan.splits if split != "train"},
        task=task.name,
        classes=task.outputs,
        metric=plan.score,
        class_weights=class_weights,
        alphabet=plan.family.alphabet.lower(),
        seed=arguments.seed,
    )

    torch.manual_seed(arguments.seed)
    start = None
    if arguments.method in ("lora", "dora"):
        settings = LoraSettings(
            arguments.lora_rank,
            arguments.lora_alpha,
            arguments.lora_dropout,
            arguments.lora_modules,
            arguments.lora_last_layers,
            arguments.method == "dora",
            arguments.lora_scaling == "rslora",
            arguments.lora_start == "pissa",
            arguments.train_layer_norms,
        )
        backbone = add_adapter(backbone, plan.family, settings, plan.base_name)
        start = pissa_start(backbone)
    elif arguments.method == "full":
        backbone.requires_grad_(True)
    head = tasks.Head(plan.family.hidden_size, task.outputs, kind=arguments.head, dropout=arguments.head_dropout)
    if plan.labels is None:
        head.shift.fill_(float(truth["train"].mean()))
        head.scale.fill_(float(truth["train"].std()))
    model = loading.SequenceModel(backbone, plan.family.hidden_size, head.to(device), task)
    trained = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)

    fixed = arguments.method == "head"
    history = train(
        model,
        Examples(encoded["train"], truth["train"], pooled["train"] if fixed else None),
        Examples(encoded["validation"], truth["validation"], pooled["validation"] if fixed else None)
        if "validation" in plan.splits
        else None,
        encoder.padding,
        Settings(
            epochs=arguments.epochs,
            learning_rate=arguments.learning_rate,
            batch_size=arguments.batch_size,
            weight_decay=arguments.weight_decay,
            warmup=arguments.warmup,
            schedule=arguments.schedule,
            patience=arguments.patience,
            metric=plan.metric,
            class_weights=arguments.class_weights,
            gradient_checkpointing=arguments.gradient_checkpointing and not fixed,
            precision=loading.precision_of(arguments.precision, device, plan.family, training=True),
            budget=batch_tokens(arguments.batch_tokens, device, training=True),
            seed=arguments.seed,
        ),
    )

    print("writing the bundle and reading it back", file=sys.stderr)
    folder = plan.scratch / "bundle"
    folder.mkdir()
    if arguments.method in ("lora", "dora"):
        save_adapter(backbone, folder, start)
    elif arguments.method == "full":
        backbone.save_pretrained(folder)
    model.head.save(folder / "head.safetensors")
    for name in TOKENIZER_FILES:
        if (plan.base.path / name).is_file():
            shutil.copyfile(plan.base.path / name, folder / name)
    manifest = _manifest(plan, encoder, head)
    write_manifest(manifest, folder)
    del model, frozen, backbone
    gc.collect()  # the Trainer's references go round in circles, and the base model is loaded once more

    archive, unpacked = plan.scratch / "bundle.zip", plan.scratch / "read_back"
    unpacked.mkdir()
    write_bundle(folder, archive)
    bundle = open_bundle(archive, unpacked)
    archive.unlink()
    restored = loading.load_finetuned(bundle, bundle.model or plan.base, device, arguments.precision)
    predictions[FINE_TUNED] = {
        split: np.stack(
            [
                decoded
                for _, _, decoded in predict(
                    restored.model,
                    restored.encoder,
                    ((example.id, example.sequence) for example in plan.dataset[split]),
                    budget,
                )
            ]
        )
        for split in plan.splits
    }
    scores = {
        name: {
            split: metrics.scores_for(task.name, truth[split], by_split[split], seed=arguments.seed)
            for split in plan.splits
        }
        for name, by_split in predictions.items()
    }
    rules = plan.dataset.rules.merged(_length_rules(encoded, encoder))
    return Result(plan, folder, manifest, history, predictions, scores, truth, trained, total, rules)


def _length_rules(encoded: dict, encoder) -> Rules:
    rules = Rules()
    for sequences in encoded.values():
        for one in sequences:
            if one.cut:
                rules.count(f"truncated to {encoder.max_length:,} tokens", one.cut)
            elif len(one.rows) > 1:
                rules.count(f"read in overlapping windows of {encoder.max_length:,} tokens", one.tokens)
    return rules


def _manifest(plan: Plan, encoder, head) -> dict:
    """What ``seqlm.json`` of the bundle says; the scores are added once the bundle has been read back."""
    from .versions import versions

    arguments = plan.arguments
    return {
        "format": 1,
        "task": arguments.task,
        "method": arguments.method,
        "labels": list(plan.labels) if plan.labels else None,
        "threshold": 0.5 if plan.labels and len(plan.labels) == 2 else None,
        "window": None,
        "alphabet": plan.family.alphabet,
        "family": plan.family.__module__.rsplit(".", 1)[-1],
        "head": head.description(),
        "pooling": encoder.pooling,
        "max_length": encoder.max_length,
        "long_sequences": encoder.long_sequences,
        "base_model": {
            "id": plan.base_name,
            "revision": arguments.model_revision or None,
            "sha256": plan.base.sha256,
        },
        "settings": {
            name: value for name, value in sorted(vars(arguments).items()) if name in SETTINGS and value is not None
        },
        "versions": versions(),
        "seed": arguments.seed,
        "data_sha256": plan.dataset.sha256,
        "metrics": {},
    }


def write(result: Result, outputs: Outputs) -> None:
    """Fill every output that was asked for."""
    from .model_card import model_card

    plan, arguments = result.plan, result.plan.arguments
    result.manifest["metrics"] = {
        split: {name: [_plain(score.value), _plain(score.low), _plain(score.high)] for name, score in scores.items()}
        for split, scores in result.scores[FINE_TUNED].items()
    }
    write_manifest(result.manifest, result.bundle)
    (result.bundle / "README.md").write_text(model_card(result.manifest), encoding="utf-8")
    write_bundle(result.bundle, outputs.file(arguments.output_model))
    if arguments.output_metrics:
        write_table(
            outputs.file(arguments.output_metrics),
            ["split", "model", "metric", "value", "low", "high", "sequences"],
            (
                [split, name, metric, score.value, score.low, score.high, len(result.truth[split])]
                for split in plan.splits
                for name in [FINE_TUNED, *(other for other in result.scores if other != FINE_TUNED)]
                for metric, score in result.scores[name][split].items()
            ),
        )
    if arguments.output_predictions:
        from .prediction import columns, row

        write_table(
            outputs.file(arguments.output_predictions),
            [*columns(plan.labels), "truth", "split"],
            (
                [*row(example.id, prediction, plan.labels), example.label, plan.deciding]
                for example, prediction in zip(
                    plan.dataset[plan.deciding], result.predictions[FINE_TUNED][plan.deciding], strict=True
                )
            ),
        )
    if arguments.output_log:
        names = list(dict.fromkeys(name for epoch in result.history.epochs for name in epoch))
        write_table(
            outputs.file(arguments.output_log),
            [*names, "kept"],
            (
                [*(epoch.get(name) for name in names), "yes" if epoch["epoch"] == result.history.best_epoch else ""]
                for epoch in result.history.epochs
            ),
        )
    if arguments.output_report or arguments.output_html or arguments.output_figures:
        from .finetune_summary import write_report

        write_report(result, outputs)
    best = result.scores[FINE_TUNED][plan.deciding][plan.score]
    print(
        f"{plan.deciding}: {metrics.label(plan.score)} {best.value:.3f} ({best.low:.3f} to {best.high:.3f}), "
        f"{len(result.truth[plan.deciding])} sequences",
        file=sys.stderr,
    )


def _plain(value: float) -> float | None:
    return None if value != value else round(value, 6)


def class_counts(plan: Plan) -> dict[str, Counter]:
    """Split -> class -> number of examples."""
    return {split: Counter(example.label for example in plan.dataset[split]) for split in plan.splits}
