"""Fine-tuning from checked inputs to a bundle with scores beside baselines.

The predictions come from the bundle as it was written and read back, so they are what ``predict`` will give.
"""

from __future__ import annotations

import gc
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from . import loading, metrics, thresholds
from .adapters import LoraSettings, add_adapter, pissa_start
from .examples import Examples, balanced_weights
from .finetune_baselines import baselines
from .finetune_bundle import read_back, save
from .finetune_inputs import Plan, Reader
from .inference import batch_tokens, pair_outputs, pooled_vectors, predict, residue_values
from .progress import Progress
from .sequences import Rules
from .tasks import Head, Task, pair_width
from .tokens import Encoded
from .training import History, Settings, train

FINE_TUNED = "fine-tuned"
IN_MEMORY = 1 << 30  # bytes of residue embeddings of a split; more lie in a file of the job's folder

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


def finetune(plan: Plan) -> Result:
    """Train, write the bundle, read it back, predict every split with it, and score it beside the baselines."""
    arguments = plan.arguments
    device = loading.prepare(arguments.threads, arguments.seed, arguments.device)
    budget = batch_tokens(arguments.batch_tokens, device)
    task = Task(arguments.task, plan.labels)
    second = _second_vectors(plan, device, budget)
    sets = _examples(plan, task, second)
    backbone = loading.load_backbone(plan.base.path, plan.family, torch.float32, device)
    _embed(plan, backbone, sets, budget)
    print("fitting the baselines", file=sys.stderr)
    predictions = baselines(plan, task, sets)

    model, start = _with_head(plan, backbone, task, sets["train"], device)
    total = sum(parameter.numel() for parameter in model.parameters())
    trained = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    if arguments.method != "head":  # the encoder changes, and its vectors with it
        sets = {split: replace(examples, pooled=None) for split, examples in sets.items()}
    history = train(model, sets["train"], sets.get("validation"), plan.encoder.padding, _settings(plan, device))

    print("writing the bundle and reading it back", file=sys.stderr)
    folder = plan.scratch / "bundle"
    manifest = save(plan, model, start, folder)
    del model, backbone
    gc.collect()  # the Trainer's references go round in circles, and the base model is loaded once more
    restored = read_back(plan, folder, device)
    everything = _predict(plan, restored, sets, budget)
    known = {split: sets[split].known if task.level == "residue" else slice(None) for split in plan.splits}
    truth = {split: sets[split].truth[known[split]] for split in plan.splits}
    predictions[FINE_TUNED] = {split: everything[split][known[split]] for split in plan.splits}

    uncalibrated = predictions[FINE_TUNED][plan.deciding]
    temperature = _temperature(plan, task, truth, predictions[FINE_TUNED])
    if temperature != 1:
        several = task.several
        predictions[FINE_TUNED] = {
            split: thresholds.tempered(one, temperature, several) for split, one in predictions[FINE_TUNED].items()
        }
        everything = {split: thresholds.tempered(one, temperature, several) for split, one in everything.items()}
    chosen = {name: _threshold(plan, task, truth, by_split) for name, by_split in predictions.items()}
    manifest["temperature"] = temperature
    threshold = chosen[FINE_TUNED]
    manifest["threshold"] = threshold.tolist() if isinstance(threshold, np.ndarray) else threshold
    groups = {}
    if task.level == "residue":
        for split in plan.splits:
            lengths = [one.tokens for one in sets[split].encoded]
            groups[split] = np.repeat(np.arange(len(lengths)), lengths)[known[split]]
    print("scoring", file=sys.stderr)
    scores = {
        name: {
            split: metrics.scores_for(
                task.name,
                truth[split],
                by_split[split],
                groups=groups.get(split),
                threshold=chosen[name],
                seed=arguments.seed,
            )
            for split in plan.splits
        }
        for name, by_split in predictions.items()
    }
    return Result(
        plan=plan,
        bundle=folder,
        manifest=manifest,
        history=history,
        predictions=predictions,
        scores=scores,
        truth=truth,
        groups=groups,
        thresholds=chosen,
        everything=everything[plan.deciding],
        uncalibrated=uncalibrated if temperature != 1 else None,
        trained=trained,
        total=total,
        rules=plan.dataset.rules.merged(_length_rules(plan, sets)),
    )


def _examples(plan: Plan, task: Task, second: torch.Tensor | None) -> dict[str, Examples]:
    """Encoded sequences and truth of each split. Of pairs, all splits share one list of sequences."""
    if plan.level == "pair":
        encoded, places = _encode_members(plan)
        sets = {}
        for split in plan.splits:
            pairs = np.asarray([(places[0][pair.first], places[1][pair.second]) for pair in plan.dataset[split]])
            truth = task.truth([pair.label for pair in plan.dataset[split]])
            sets[split] = Examples(task, encoded, truth, pairs=pairs, second=second)
    else:
        sets = {
            split: Examples(
                task,
                [plan.encoder.encode(example.sequence, example.id) for example in plan.dataset[split]],
                task.truth([example.label for example in plan.dataset[split]]),
            )
            for split in plan.splits
        }
    if plan.arguments.class_weights == "balanced" and task.labels:
        weights = balanced_weights(task, sets["train"].truth)
        sets["train"] = replace(sets["train"], class_weights=weights)
    return sets


def _encode_members(plan: Plan) -> tuple[list[Encoded], tuple[dict[str, int], dict[str, int]]]:
    """Encoded members, and where each name's first and second member stands among them (or among the vectors of the
    second model)."""
    first, second = plan.members
    encoded = [plan.encoder.encode(sequence, name) for name, sequence in first.items()]
    places = {name: place for place, name in enumerate(first)}
    if second is first:
        return encoded, (places, places)
    offset = 0 if plan.second else len(encoded)
    if not plan.second:
        encoded += [plan.encoder.encode(sequence, name) for name, sequence in second.items()]
    return encoded, (places, {name: place + offset for place, name in enumerate(second)})


def embed_members(reader: Reader, members: dict[str, str], device: torch.device, budget: int) -> torch.Tensor:
    """Pooled vector of each sequence, (sequences, hidden), by a model that stays as it is."""
    backbone = loading.load_backbone(reader.base.path, reader.family, torch.float32, device)
    model = loading.SequenceModel(backbone, reader.family.hidden_size)
    encoded = [reader.encoder.encode(sequence, name) for name, sequence in members.items()]
    return pooled_vectors(model, encoded, reader.encoder.padding, budget, list(members))


def _second_vectors(plan: Plan, device: torch.device, budget: int) -> torch.Tensor | None:
    if not plan.second:
        return None
    print(f"embedding {len(plan.members[1]):,} second members with their own model", file=sys.stderr)
    return embed_members(plan.second, plan.members[1], device, budget)


def _embed(plan: Plan, backbone, sets: dict[str, Examples], budget: int) -> None:
    """Give every split the vectors of the model as it came: for the baselines, and for a head on a frozen encoder."""
    model = loading.SequenceModel(backbone, plan.family.hidden_size)
    if plan.level == "pair":
        encoded = sets["train"].encoded
        print(f"embedding {len(encoded):,} sequences with the base model, each once", file=sys.stderr)
        pooled = pooled_vectors(model, encoded, plan.encoder.padding, budget)
        for split in sets:
            sets[split].pooled = pooled
        return
    progress = Progress("embedding with the base model", sum(map(len, sets.values())), "sequences", lines=4)
    done = 0
    for split, examples in sets.items():
        names = [example.id for example in plan.dataset[split]]
        if plan.level == "sequence":
            examples.pooled = pooled_vectors(model, examples.encoded, plan.encoder.padding, budget, names)
        else:
            examples.pooled = _residue_vectors(plan, model, examples, budget, plan.scratch / f"residues_{split}.npy")
        done += len(examples)
        progress(done)


def _residue_vectors(plan: Plan, model, examples: Examples, budget: int, file: Path) -> np.ndarray:
    """(residues, hidden), in memory or, where they are many, in a file."""
    shape = (len(examples.truth), plan.family.hidden_size)
    large = shape[0] * shape[1] * 4 > IN_MEMORY
    vectors = np.lib.format.open_memmap(file, "w+", np.float32, shape) if large else np.empty(shape, np.float32)
    step = 256  # proteins
    for at in range(0, len(examples.encoded), step):
        part = examples.encoded[at : at + step]
        start = int(examples.starts[at])
        values = residue_values(model, part, plan.encoder.padding, budget)
        vectors[start : start + len(values)] = values.numpy()
    return vectors


def _with_head(plan: Plan, backbone, task: Task, examples: Examples, device: torch.device):
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
        backbone = add_adapter(backbone, plan.family, settings, plan.reader.name)
        start = pissa_start(backbone)
    elif arguments.method == "full":
        backbone.requires_grad_(True)
    width, pairs = plan.family.hidden_size, None
    if plan.level == "pair":
        pairs = "symmetric" if plan.symmetric else "ordered"
        width = pair_width(width, width if examples.second is None else examples.second.shape[1], pairs)
    head = Head(
        width,
        task.outputs,
        kind=arguments.head,
        hidden=plan.family.hidden_size if arguments.head == "mlp" else 0,
        dropout=arguments.head_dropout,
        pairs=pairs,
    )
    if task.labels is None:
        truth = examples.truth[examples.known]
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
        gradient_checkpointing=arguments.gradient_checkpointing and arguments.method != "head",
        precision=loading.precision_of(arguments.precision, device, plan.family, training=True),
        budget=batch_tokens(arguments.batch_tokens, device, training=True),
        seed=arguments.seed,
    )


def _predict(plan: Plan, restored: loading.Finetuned, sets: dict[str, Examples], budget: int) -> dict[str, np.ndarray]:
    """Predictions for all units of every split."""
    model = restored.model
    if plan.level == "pair":
        examples = sets["train"]
        pooled = pooled_vectors(model, examples.encoded, plan.encoder.padding, budget)
        second = pooled if examples.second is None else examples.second
        return {split: model.decode(pair_outputs(model, pooled, second, one.pairs)) for split, one in sets.items()}
    together = np.concatenate if plan.level == "residue" else np.stack
    return {
        split: together(
            [
                prediction
                for _, _, prediction in predict(
                    model,
                    restored.encoder,
                    ((example.id, example.sequence) for example in plan.dataset[split]),
                    budget,
                )
            ]
        )
        for split in plan.splits
    }


def _temperature(plan: Plan, task: Task, truth: dict, predictions: dict[str, np.ndarray]) -> float:
    """By what the logits are divided so that probabilities fit the validation set best; 1 where nothing was asked."""
    if plan.arguments.calibration == "none" or task.labels is None or "validation" not in truth:
        return 1.0
    logits = thresholds.logits_of(predictions["validation"], task.several)
    kind = "sigmoid" if task.several else "softmax"
    return round(float(thresholds.best_temperature(truth["validation"], logits, kind)), 6)


def _threshold(plan: Plan, task: Task, truth: dict, predictions: dict[str, np.ndarray]) -> Threshold:
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


def _length_rules(plan: Plan, sets: dict[str, Examples]) -> Rules:
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
