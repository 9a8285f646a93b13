"""Fine-tuning from checked inputs to a bundle with scores beside baselines.

The predictions come from the bundle as it was written and read back, so they are what ``predict`` will give.
"""

from __future__ import annotations

import gc
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from . import loading, metrics
from .adapters import LoraSettings, add_adapter, pissa_start, save_adapter
from .baselines import Part, fit_baselines
from .bundle import open_bundle, write_bundle
from .finetune_inputs import SETTINGS, Plan
from .inference import batch_tokens, pooled_vectors, predict
from .manifest import write_manifest
from .progress import Progress
from .sequences import Rules
from .tasks import Head, Task
from .tokens import TOKENIZER_FILES, Encoder
from .training import Examples, History, Settings, train
from .versions import versions

FINE_TUNED = "fine-tuned"


@dataclass
class Result:
    """What a fine-tuning gave: everything that the outputs are made of.

    ``predictions``: model or baseline -> split -> (n, classes) probabilities or (n,) values.
    ``scores``: model or baseline -> split -> metric -> Score.
    """

    plan: Plan
    bundle: Path
    manifest: dict
    history: History
    predictions: dict[str, dict[str, np.ndarray]]
    scores: dict[str, dict[str, dict[str, metrics.Score]]]
    truth: dict[str, np.ndarray]
    trained: int
    total: int
    rules: Rules


def finetune(plan: Plan) -> Result:
    """Train, write the bundle, read it back, predict every split with it, and score it beside the baselines."""
    arguments, encoder = plan.arguments, plan.encoder
    device = loading.prepare(arguments.threads, arguments.seed, arguments.device)
    task = Task(arguments.task, plan.labels)
    truth = {split: task.truth([example.label for example in plan.dataset[split]]) for split in plan.splits}
    encoded = {
        split: [encoder.encode(example.sequence, example.id) for example in plan.dataset[split]]
        for split in plan.splits
    }
    backbone = loading.load_backbone(plan.base.path, plan.family, torch.float32, device)
    total = sum(parameter.numel() for parameter in backbone.parameters())
    budget = batch_tokens(arguments.batch_tokens, device)
    pooled = _frozen_embeddings(plan, backbone, encoded, budget)
    print("fitting the baselines", file=sys.stderr)
    predictions = _baselines(plan, task, truth, pooled)

    model, start = _with_head(plan, backbone, task, truth["train"], device)
    trained = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    fixed = arguments.method == "head"  # the encoder does not change, so its vectors are those already at hand
    sets = {
        split: Examples(encoded[split], truth[split], pooled[split] if fixed else None)
        for split in plan.splits
        if split != "test"
    }
    history = train(model, sets["train"], sets.get("validation"), encoder.padding, _settings(plan, device))

    print("writing the bundle and reading it back", file=sys.stderr)
    folder = plan.scratch / "bundle"
    manifest = _save(plan, model, start, folder)
    del model, backbone
    gc.collect()  # the Trainer's references go round in circles, and the base model is loaded once more
    restored = _read_back(plan, folder, device)
    predictions[FINE_TUNED] = {
        split: np.stack(
            [
                prediction
                for _, _, prediction in predict(
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


def _frozen_embeddings(plan: Plan, backbone, encoded: dict, budget: int) -> dict[str, torch.Tensor]:
    """Pooled vectors (sequences, hidden) of each split, by the model as it came."""
    model = loading.SequenceModel(backbone, plan.family.hidden_size)
    progress = Progress("embedding with the base model", sum(map(len, encoded.values())), "sequences", lines=4)
    pooled, done = {}, 0
    for split, sequences in encoded.items():
        names = [example.id for example in plan.dataset[split]]
        pooled[split] = pooled_vectors(model, sequences, plan.encoder.padding, budget, names)
        done += len(sequences)
        progress(done)
    return pooled


def _baselines(plan: Plan, task: Task, truth: dict, pooled: dict) -> dict[str, dict[str, np.ndarray]]:
    class_weights = None
    if plan.arguments.class_weights == "balanced" and plan.labels:
        counts = np.bincount(truth["train"], minlength=len(plan.labels))
        class_weights = len(truth["train"]) / (len(counts) * counts)
    parts = {
        split: Part([example.sequence for example in plan.dataset[split]], truth[split], pooled[split].numpy())
        for split in plan.splits
    }
    return fit_baselines(
        parts.pop("train"),
        parts,
        task=task.name,
        classes=task.outputs,
        metric=plan.score,
        class_weights=class_weights,
        alphabet=plan.family.alphabet.lower(),
        seed=plan.arguments.seed,
    )


def _with_head(plan: Plan, backbone, task: Task, truth: np.ndarray, device: torch.device):
    """The model to be trained, and the start of its adapter if that is PiSSA's."""
    arguments, start = plan.arguments, None
    torch.manual_seed(arguments.seed)
    if arguments.method in ("lora", "dora"):
        settings = LoraSettings(
            rank=arguments.lora_rank,
            alpha=arguments.lora_alpha,
            dropout=arguments.lora_dropout,
            modules=arguments.lora_modules,
            last_layers=arguments.lora_last_layers,
            dora=arguments.method == "dora",
            rslora=arguments.lora_scaling == "rslora",
            pissa=arguments.lora_start == "pissa",
            layer_norms=arguments.train_layer_norms,
        )
        backbone = add_adapter(backbone, plan.family, settings, plan.base_name)
        start = pissa_start(backbone)
    elif arguments.method == "full":
        backbone.requires_grad_(True)
    head = Head(plan.family.hidden_size, task.outputs, kind=arguments.head, dropout=arguments.head_dropout)
    if task.labels is None:
        head.shift.fill_(float(truth.mean()))
        head.scale.fill_(float(truth.std()))
    return loading.SequenceModel(backbone, plan.family.hidden_size, head.to(device), task), start


def _settings(plan: Plan, device: torch.device) -> Settings:
    arguments = plan.arguments
    return Settings(
        epochs=arguments.epochs,
        learning_rate=arguments.learning_rate,
        batch_size=arguments.batch_size,
        weight_decay=arguments.weight_decay,
        warmup=arguments.warmup,
        schedule=arguments.schedule,
        patience=arguments.patience,
        metric=plan.metric,
        class_weights=arguments.class_weights,
        gradient_checkpointing=arguments.gradient_checkpointing and arguments.method != "head",
        precision=loading.precision_of(arguments.precision, device, plan.family, training=True),
        budget=batch_tokens(arguments.batch_tokens, device, training=True),
        seed=arguments.seed,
    )


def _save(plan: Plan, model: loading.SequenceModel, start: dict | None, folder: Path) -> dict:
    """Write all of the bundle but its scores into ``folder``; returns the manifest."""
    folder.mkdir()
    if plan.arguments.method in ("lora", "dora"):
        save_adapter(model.backbone, folder, start)
    elif plan.arguments.method == "full":
        model.backbone.save_pretrained(folder)
    model.head.save(folder / "head.safetensors")
    for name in TOKENIZER_FILES:
        if (plan.base.path / name).is_file():
            shutil.copyfile(plan.base.path / name, folder / name)
    manifest = _manifest(plan, model.head)
    write_manifest(manifest, folder)
    return manifest


def _read_back(plan: Plan, folder: Path, device: torch.device) -> loading.Finetuned:
    """The fine-tuned model as whoever gets the bundle will have it."""
    archive, unpacked = plan.scratch / "bundle.zip", plan.scratch / "read_back"
    unpacked.mkdir()
    write_bundle(folder, archive)
    bundle = open_bundle(archive, unpacked)
    archive.unlink()
    return loading.load_finetuned(bundle, bundle.model or plan.base, device, plan.arguments.precision)


def _length_rules(encoded: dict, encoder: Encoder) -> Rules:
    rules = Rules()
    for sequences in encoded.values():
        for one in sequences:
            if one.cut:
                rules.count(f"truncated to {encoder.max_length:,} tokens", one.cut)
            elif len(one.rows) > 1:
                rules.count(f"read in overlapping windows of {encoder.max_length:,} tokens", one.tokens)
    return rules


def _manifest(plan: Plan, head: Head) -> dict:
    """What ``seqlm.json`` of the bundle says; the scores are added once the bundle has been read back."""
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
        "pooling": plan.encoder.pooling,
        "max_length": plan.encoder.max_length,
        "long_sequences": plan.encoder.long_sequences,
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
