"""What every process of a fine-tuning does: examples, the model that is to be trained, the training.

Embeddings of the model as it came, and baselines, are the work of the first process alone.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from seqlm.baselines.linear_models import Linear
from seqlm.checkpoints.manifest import ADAPTERS
from seqlm.cli.progress import Progress
from seqlm.data.datasets import Example
from seqlm.inference import loading
from seqlm.inference.adapters import LoraSettings, add_adapter, pissa_start
from seqlm.inference.entering import Entering, blocks_of, first_trained, room_for
from seqlm.inference.four_bits import in_four_bits, weights_of
from seqlm.inference.inference import pooled_vectors, residue_values
from seqlm.inference.tasks import Head, Task, pair_width
from seqlm.tokenization.encoder import Encoded
from seqlm.training.processes import ALONE, Group
from seqlm.training.state import History, Settings

from .baselines import baselines
from .examples import Examples, balanced_weights
from .label_training import train
from .methods import VERA_RANK
from .plan import Plan, Reader

IN_MEMORY = 1 << 30  # bytes of residue embeddings of a split; more lie in a file of the job's folder


@dataclass
class Learnt:
    """What a training gave.

    Attributes:
        start: of the adapter, if that is PiSSA's.
        predictions: of the baselines: name -> split -> (units, classes) probabilities or (units,) values.
        trained, total: numbers of weights.
    """

    model: loading.SequenceModel
    start: dict | None
    sets: dict[str, Examples]
    history: History
    predictions: dict[str, dict[str, np.ndarray]]
    trained: int
    total: int


def learn(plan: Plan, group: Group) -> Learnt:
    """Train, as one of the group. The model of a process other than the first may hold a share of the weights only."""
    arguments, device, first = plan.arguments, group.device, group.rank == 0
    budget = plan.memory.on(device).tokens()
    task = Task(arguments.task, plan.labels)
    sets = _examples(plan, task, _second_vectors(plan, group, budget))
    backbone = _base_model(plan, device)
    entering = _room_for_entering(plan, backbone, sets, group)
    predictions, probe = {}, None
    if first:
        _embed(plan, backbone, sets, budget)
        print("fitting the baselines", file=sys.stderr)
        predictions, probe = baselines(plan, task, sets)
    if arguments.method == "head":
        _give_vectors(plan, sets, group)
    else:  # the encoder changes, and its vectors with it
        sets = {split: replace(examples, pooled=None) for split, examples in sets.items()}
    if entering and not first:
        base = loading.SequenceModel(backbone, plan.family.hidden_size)
        pooled_vectors(base, sets["train"].encoded, plan.encoder.padding, budget, entering=entering)
    model, start = _with_head(plan, backbone, task, sets["train"], device, probe, group)
    if entering:
        entering.filled = model.first == entering.first
    total = sum(map(weights_of, model.parameters()))
    named = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    trained = sum(parameter.numel() for parameter in named.values())
    validation, padding = sets.get("validation"), plan.encoder.padding
    history = train(model, sets["train"], validation, padding, settings_of(plan, device, plan.metric), group)
    for examples in sets.values():  # what is judged is computed from the tokens on
        examples.entering = None
    if group.shares_weights:  # put together in a model of its own
        weights = group.whole({name: one for name, one in model.named_parameters() if name in named})
        if first:
            backbone = loading.load_backbone(plan.base.path, plan.family, torch.float32, torch.device("cpu"))
            model, start = _with_head(plan, backbone, task, sets["train"], torch.device("cpu"), probe, ALONE)
            model.load_state_dict(weights, strict=False)
            model.eval()
    return Learnt(model, start, sets, history, predictions, trained, total)


def _base_model(plan: Plan, device: torch.device):
    """The encoder as it came; of QLoRA in 4 bits, so that the whole of it is never on the device."""
    four_bits = plan.arguments.method == "qlora"
    place = torch.device("cpu") if four_bits else device
    backbone = loading.load_backbone(plan.base.path, plan.family, torch.float32, place)
    if not four_bits:
        return backbone
    dtype = loading.precision_of(plan.arguments.precision, device, plan.family, training=True)
    return in_four_bits(backbone, plan.family, dtype, device)


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
                truth_of(task, plan.dataset[split]),
            )
            for split in plan.splits
        }
    if plan.arguments.class_weights == "balanced" and task.labels:
        weights = balanced_weights(task, sets["train"].truth)
        sets["train"] = replace(sets["train"], class_weights=weights)
    return sets


def truth_of(task: Task, examples: list[Example]) -> np.ndarray:
    unknown = [example.unknown for example in examples] if task.several else None
    return task.truth([example.label for example in examples], unknown)


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


def _second_vectors(plan: Plan, group: Group, budget: int) -> torch.Tensor | None:
    if not plan.second:
        return None
    vectors = None
    if group.rank == 0:
        print(f"embedding {len(plan.members[1]):,} second members with their own model", file=sys.stderr)
        vectors = embed_members(plan.second, plan.members[1], group.device, budget).numpy()
    return torch.from_numpy(group.given(vectors))


def _room_for_entering(plan: Plan, backbone, sets: dict[str, Examples], group: Group) -> Entering | None:
    """Room for what enters the lowest adapted layer, given to the sets that training reads; None where all is computed
    each time, as layers below are trained too, or processes share them."""
    arguments = plan.arguments
    adapted = arguments.lora_last_layers if arguments.method not in ("full", "head") else 0
    first = len(blocks_of(backbone, plan.family.layers)) - adapted
    if not adapted or first <= 0 or arguments.train_layer_norms or group.shares_weights:
        return None
    # the first process scores the validation set for all
    read = [sets[split] for split in ("train", "validation")[: 1 if group.rank else 2] if split in sets]
    encoded = list({id(one): one for examples in read for one in examples.encoded}.values())
    entering = room_for(plan.family, first, encoded, plan.scratch / f"entering_{group.rank}")
    for examples in read:
        examples.entering = entering
    return entering


def _embed(plan: Plan, backbone, sets: dict[str, Examples], budget: int) -> None:
    """Give every split the vectors of the model as it came: for the baselines, and for a head on a frozen encoder."""
    model = loading.SequenceModel(backbone, plan.family.hidden_size)
    if plan.level == "pair":
        encoded = sets["train"].encoded
        print(f"embedding {len(encoded):,} sequences with the base model, each once", file=sys.stderr)
        pooled = pooled_vectors(model, encoded, plan.encoder.padding, budget, entering=sets["train"].entering)
        for split in sets:
            sets[split].pooled = pooled
        return
    progress = Progress("embedding with the base model", sum(map(len, sets.values())), "sequences", lines=4)
    done = 0
    for split, examples in sets.items():
        names = [example.id for example in plan.dataset[split]]
        if plan.level == "sequence":
            examples.pooled = pooled_vectors(
                model, examples.encoded, plan.encoder.padding, budget, names, entering=examples.entering
            )
        else:
            examples.pooled = _residue_vectors(plan, model, examples, budget, plan.scratch / f"residues_{split}.npy")
        done += len(examples)
        progress(done)


def _residue_vectors(plan: Plan, model, examples: Examples, budget: int, file: Path) -> np.ndarray:
    """(residues, hidden), in memory or, where they are many, in a file."""
    vectors = _room((len(examples.truth), plan.family.hidden_size), file)
    step = 256  # proteins
    for at in range(0, len(examples.encoded), step):
        part = examples.encoded[at : at + step]
        start = int(examples.starts[at])
        values = residue_values(model, part, plan.encoder.padding, budget, entering=examples.entering)
        vectors[start : start + len(values)] = values.numpy()
    return vectors


def _room(shape: tuple[int, ...], file: Path) -> np.ndarray:
    large = int(np.prod(shape)) * 4 > IN_MEMORY
    return np.lib.format.open_memmap(file, "w+", np.float32, shape) if large else np.empty(shape, np.float32)


def _give_vectors(plan: Plan, sets: dict[str, Examples], group: Group) -> None:
    """The vectors that the first process has computed, for a head on a frozen encoder, to the others."""
    if group.size == 1:
        return
    given = None
    for split in ("train", "validation"):
        if split not in sets:
            continue
        if given is None or plan.level != "pair":  # pairs have one list of sequences
            vectors = None if sets[split].pooled is None else np.asarray(sets[split].pooled)
            file = plan.scratch / f"given_{split}_{group.rank}.npy"
            given = group.given(vectors, lambda shape, file=file: _room(shape, file))
        sets[split].pooled = given if plan.level == "residue" else torch.from_numpy(given)


def _with_head(
    plan: Plan, backbone, task: Task, examples: Examples, device: torch.device, probe: Linear | None, group: Group
):
    """The model to be trained, which gives what ``probe`` does, and the start of its adapter if that is PiSSA's.

    Args:
        probe: the linear model of the frozen vectors, which the first process of the group has.
    """
    arguments, start = plan.arguments, None
    torch.manual_seed(arguments.seed)
    if arguments.method in ADAPTERS:
        backbone = add_adapter(backbone, plan.family, lora_settings(plan), plan.reader.name)
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
    if group.rank == 0:
        head.start_from(probe)
    head.to(device)
    for tensor in head.state_dict().values():
        tensor.copy_(torch.from_numpy(group.given(tensor.cpu().numpy())))
    head.decay = group.told(head.decay)
    first = first_trained(backbone, plan.family.layers)
    model = loading.SequenceModel(backbone, plan.family.hidden_size, head, task, family=plan.family, first=first)
    return model, start


def lora_settings(plan) -> LoraSettings:
    """What was asked of an adapter, by the plan of any fine-tuning."""
    arguments = plan.arguments
    return LoraSettings(
        method=arguments.method,
        rank=arguments.lora_rank,
        alpha=arguments.lora_alpha,
        dropout=arguments.lora_dropout,
        modules=arguments.lora_modules,
        last_layers=arguments.lora_last_layers,
        rslora=arguments.lora_scaling == "rslora",
        pissa=arguments.lora_start == "pissa",
        layer_norms=arguments.train_layer_norms,
        vera_rank=arguments.vera_rank or VERA_RANK,
    )


def settings_of(plan, device: torch.device, metric: str) -> Settings:
    """How to train, by the plan of any fine-tuning."""
    arguments, memory = plan.arguments, plan.memory.on(device)
    return Settings(
        epochs=arguments.epochs,
        learning_rate=arguments.learning_rate,
        batch_size=arguments.batch_size,
        weight_decay=arguments.weight_decay,
        warmup=arguments.warmup,
        schedule=arguments.schedule,
        patience=arguments.patience,
        metric=metric,
        gradient_checkpointing=memory.checkpointing,
        precision=loading.precision_of(arguments.precision, device, plan.family, training=True),
        budget=memory.tokens(training=True),
        seed=arguments.seed,
        zero_stage=arguments.zero_stage,
        from_start=True,
    )
