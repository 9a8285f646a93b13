"""The training of a new language model, or of one that is gone on with: from checked inputs to a bundle with scores
beside baselines.

The scores come from the bundle as it was written and read back, so they are what others will get.
"""

from __future__ import annotations

import gc
import math
import sys
import time
from argparse import Namespace
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import nn

from seqlm.checkpoints.bundle import reopened
from seqlm.checkpoints.manifest import write_manifest
from seqlm.checkpoints.tokenizer import copy_tokenizer
from seqlm.cli.errors import InputError
from seqlm.cli.progress import Progress
from seqlm.cli.versions import versions
from seqlm.inference import loading
from seqlm.inference.adapters import save_adapter
from seqlm.inference.language_models import Opened, load_language_model
from seqlm.metrics import language_scores
from seqlm.metrics.resampling import Sample, Score
from seqlm.training.language_training import TokenLesson
from seqlm.training.loop import Loop
from seqlm.training.processes import Group, taking_part
from seqlm.training.state import History, Settings, Spent, State

from .adapter import add_whole_adapter, merged
from .architectures import INSTRUCTION
from .baselines import LetterModels
from .checkpoint import check_tensors, state_of, write_checkpoint
from .corpus_tokens import Contexts, Store, TokenFile, kind_of, tokenise
from .plan import Data, HeldOut, Plan, used_settings
from .scores import held_out, losses, masking_of, objective_of
from .split import SPLITS, TRAIN

AFTER, BEFORE = "trained", "before training"


@dataclass
class Result:
    """What a training gave: everything that the outputs are made of.

    Attributes:
        scores: model or baseline -> split -> metric -> Score.
        differences: the same, of what the trained model has less each other.
        tokens, rows, letters: split -> how many.
        smoothing: what the validation set chose for the baseline of 3-mers.
        answers: of instruction tuning, what was answered to the questions of the test set.
        seconds: of training.
    """

    plan: Plan
    bundle: Path
    manifest: dict
    history: History
    ended: str
    step: int
    steps: int
    scores: dict[str, dict[str, dict[str, Score]]]
    differences: dict[str, dict[str, dict[str, Score]]]
    tokens: dict[str, int]
    rows: dict[str, int]
    letters: dict[str, int]
    smoothing: float
    trained: int
    total: int
    seconds: float
    spent: Spent
    answers: object = None
    lost: dict[str, dict[str, np.ndarray]] = field(default_factory=dict)


def pretrain(plan: Plan) -> Result | None:
    """Train, write the bundle, read it back, judge. Of several processes that torchrun started, only the first has a
    result."""
    arguments = plan.arguments
    device = loading.prepare(arguments.threads, arguments.seed, arguments.device)
    data = read_data(plan)
    plan.memory.on(device)
    corpus = plan.corpus and replace(plan.corpus)  # a file that is open here is none there
    with taking_part(replace(plan, corpus=corpus), device, read_and_train) as group:
        before = before_training(plan, data, device) if group.rank == 0 else None
        began = time.monotonic()
        model, loop, state, weights = train(plan, data, group)
        seconds = time.monotonic() - began
    if group.rank:
        return None
    if weights:  # shared out: put together in a model of its own
        model = build(plan, torch.device("cpu"))
        model.load_state_dict(weights, strict=False)
    return judge(plan, data, model, loop, state, before, seconds, device)


def read_and_train(plan: Plan, group: Group) -> None:
    """The work of every process but the first."""
    train(plan, read_data(plan), group)


def read_data(plan: Plan) -> Data:
    """The corpus as tokens on disk; what is held out in memory."""
    if plan.arguments.objective == INSTRUCTION:
        from .instructions import rows_of_examples

        return rows_of_examples(plan)
    arguments = plan.arguments
    target = plan.scratch / "tokens"
    both = arguments.both_strands
    if (plan.scratch / "tokens.npz").is_file():  # another process has done it
        store = _opened(plan, target)
    else:
        store = tokenise(
            plan.corpus, plan.documents, plan.encoder, plan.family.replacements, both, plan.family.vocabulary_size,
            target, plan.rules,
        )  # fmt: skip
        held = np.array([[number, len(one)] for number, one in store.lengths.items()], np.int64).reshape(-1, 2)
        lengths = np.concatenate([*store.lengths.values(), np.zeros(0, np.int32)])
        np.savez(
            plan.scratch / "tokens.npz", starts=store.starts, document=store.document, backwards=store.backwards,
            held=held, lengths=lengths,
        )  # fmt: skip
    train = Contexts(
        store, plan.documents, TRAIN, plan.context, arguments.overlap, plan.prefix, plan.suffix, plan.causal
    )
    if not len(train):
        raise InputError("no sequence to learn from has two tokens; give longer ones")
    masking = masking_of(plan)
    held = {}
    for number, split in enumerate(SPLITS):
        if number != TRAIN and split in plan.splits:
            held[split] = held_out(plan, store, number, masking)
            if not held[split].rows:
                raise InputError(f"no sequence of the {split} set has two tokens; hold out more")
    return Data(train, held, masking, int(train.lengths.sum()))


def _opened(plan: Plan, target: Path) -> Store:
    with np.load(plan.scratch / "tokens.npz") as saved:
        ends = np.cumsum(saved["held"][:, 1])
        lengths = {
            int(number): saved["lengths"][end - size : end]
            for (number, size), end in zip(saved["held"], ends, strict=True)
        }
        ids = TokenFile(target, kind_of(plan.family.vocabulary_size))
        return Store(ids, saved["starts"], saved["document"], saved["backwards"], lengths)


def build(plan: Plan, device: torch.device) -> nn.Module:
    """The model that is to be trained, in single precision: new weights by the seed, or those of the base model."""
    from transformers.utils import logging

    logging.disable_progress_bar()
    torch.manual_seed(plan.arguments.seed)
    if plan.new:
        from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForMaskedLM

        config = AutoConfig.from_pretrained(plan.folder, local_files_only=True, trust_remote_code=False)
        kind = AutoModelForCausalLM if plan.causal else AutoModelForMaskedLM
        model = kind.from_config(config, attn_implementation="sdpa").to(device).requires_grad_(True)
    else:
        model = loading.load_weights(plan.family.load_language_model, plan.folder, torch.float32, device)
        model.requires_grad_(not plan.adapted)
        if plan.adapted:
            model = add_whole_adapter(plan, model)
    for name, parameter in model.named_parameters():
        if "contact_head" in name:  # ESM's, which reads attention and is no part of what is learnt here
            parameter.requires_grad_(False)
    return model


def train(plan: Plan, data: Data, group: Group) -> tuple[nn.Module, Loop, State, dict | None]:
    """Train in this process, as one of the group; last the weights, where processes have shared them out."""
    arguments = plan.arguments
    model = build(plan, group.device)
    state = State()
    if plan.checkpoint:
        shapes = {name: tuple(one.shape) for name, one in model.named_parameters() if one.requires_grad}
        check_tensors(plan.checkpoint, shapes)
        state, weights = state_of(plan.checkpoint)
        with torch.no_grad():
            for name, one in model.named_parameters():
                if one.requires_grad:
                    one.copy_(weights[name])
    settings = Settings(
        epochs=arguments.epochs,
        max_steps=arguments.max_steps,
        batch_size=arguments.batch_size,
        learning_rate=arguments.learning_rate,
        weight_decay=arguments.weight_decay,
        warmup=arguments.warmup,
        schedule=arguments.schedule,
        clip=arguments.clip,
        patience=arguments.patience,
        metric="loss",
        evaluate_every=arguments.evaluate_every,
        precision=loading.precision_of(arguments.precision, group.device, plan.family, training=True),
        budget=plan.memory.on(group.device).tokens(training=True),
        seed=arguments.seed,
        zero_stage=arguments.zero_stage,
        checkpoint_seconds=60 * arguments.checkpoint_minutes,
        max_seconds=60 * arguments.max_minutes,
        pause_after=arguments.pause_after,
    )
    save = None
    if arguments.output_checkpoint:
        parameters = plan.parameters()

        def save(state, weights, moments):
            write_checkpoint(Path(arguments.output_checkpoint), parameters, state, weights, moments)

    objective = objective_of(plan, data.masking)
    validate = partial(_validate, data.held["validation"], objective) if "validation" in data.held else None
    loop = Loop(model, TokenLesson(data.train, objective, data.train.lengths), settings, validate, group, save)
    if not state.ended:
        loop.run(state)
    else:
        loop.leave_at_best(state)
    weights = group.whole(loop.named) if group.shares_weights else None  # every process takes part
    return model, loop, state, weights


def _validate(held: HeldOut, objective, model: nn.Module, budget: int) -> dict[str, float]:
    loss = float(losses(model, held.rows, objective, budget).sum() / held.tokens.sum())
    return {"loss": loss, "perplexity": math.exp(min(loss, 700.0))}


def before_training(plan: Plan, data: Data, device: torch.device) -> dict[str, np.ndarray] | None:
    """split -> (rows,) nats of the model that is gone on with, as it came."""
    if plan.new:
        return None
    opened = Opened(None, plan.base, plan.family, plan.name)
    model = load_language_model(opened, device, plan.arguments.precision)
    return _lost(plan, data, model, device, "reading with the base model")


def _lost(plan: Plan, data: Data, model: nn.Module, device: torch.device, what: str) -> dict[str, np.ndarray]:
    objective, budget = objective_of(plan, data.masking), plan.memory.on(device).tokens()
    progress = Progress(what, sum(len(one.rows) for one in data.held.values()), "rows", lines=4)
    found, before = {}, 0
    for split, held in data.held.items():
        found[split] = losses(model, held.rows, objective, budget, lambda done, before=before: progress(before + done))
        before += len(held.rows)
    return found


def judge(plan: Plan, data: Data, model: nn.Module, loop: Loop, state: State, before, seconds: float, device) -> Result:
    """The bundle, and what the model in it is worth."""
    arguments = plan.arguments
    total = sum(one.numel() for one in model.parameters())
    trained = sum(one.numel() for one in loop.named.values())
    print("writing the bundle and reading it back", file=sys.stderr)
    folder = plan.scratch / "bundle"
    manifest = save_bundle(plan, model, folder)
    del model
    gc.collect()
    model = read_back(plan, folder, device)
    lost = {AFTER: _lost(plan, data, model, device, "reading with the new model")}
    if before is not None:
        lost[BEFORE] = before
    smoothing, answers = 0.0, None
    if arguments.objective == INSTRUCTION:
        from .answers import answer_all

        answers = answer_all(plan, model, device)
    elif data.held:
        ended = plan.causal and bool(plan.suffix)
        letters = LetterModels(
            plan.corpus, plan.documents, plan.family.replacements, arguments.both_strands, ended
        )  # fmt: skip
        lost |= letters.losses({split: held.judged for split, held in data.held.items()})
        smoothing = letters.k
    scores, differences = _scores(plan, data, lost)
    return Result(
        plan, folder, manifest, state.history, state.ended, state.step, loop.steps, scores, differences,
        {"train": data.tokens} | {split: int(held.tokens.sum()) for split, held in data.held.items()},
        {"train": len(data.train)} | {split: len(held.rows) for split, held in data.held.items()},
        {split: int(held.letters.sum()) for split, held in data.held.items()},
        smoothing, trained, total, seconds, loop.spent, answers, lost,
    )  # fmt: skip


def _scores(plan: Plan, data: Data, lost: dict) -> tuple[dict, dict]:
    found: dict[str, dict[str, dict[str, Sample]]] = {}
    for name, by_split in lost.items():
        found[name] = {}
        for split, values in by_split.items():
            held = data.held[split]
            tokens = held.tokens if name in (AFTER, BEFORE) else None
            found[name][split] = language_scores.samples(values, held.letters, tokens, plan.arguments.seed)
    with np.errstate(over="ignore"):
        scores = {name: {split: language_scores.scores(one) for split, one in by.items()} for name, by in found.items()}
    differences = {
        name: {split: language_scores.differences(found[AFTER][split], one) for split, one in by.items()}
        for name, by in found.items()
        if name != AFTER
    }
    return scores, differences


def save_bundle(plan: Plan, model: nn.Module, folder: Path) -> dict:
    """Write all of the bundle but its scores into ``folder``; returns the manifest."""
    folder.mkdir()
    if plan.gives_adapter:
        save_adapter(model, folder)
    else:
        (merged(plan, model) if plan.adapted else model).save_pretrained(folder)
    copy_tokenizer(plan.folder, folder)
    arguments: Namespace = plan.arguments
    settings = {name: getattr(arguments, name) for name in sorted(used_settings(plan))}
    base = None
    if plan.base:
        base = {"id": plan.name, "revision": arguments.model_revision or None, "sha256": plan.base.sha256}
    manifest = {
        "format": 1,
        "task": "causal-lm" if plan.causal else "masked-lm",
        "method": "pretrain" if plan.new else "lora" if plan.gives_adapter else "full",
        "labels": None,
        "alphabet": plan.family.alphabet,
        "family": plan.family.__module__.rsplit(".", 1)[-1],
        "head": None,
        "pooling": None,
        "max_length": plan.context - len(plan.family.prefix) - len(plan.family.suffix),
        "long_sequences": "window",
        "base_model": base,
        "settings": {name: value for name, value in settings.items() if value is not None} | {"line_length": 0},
        "versions": versions(),
        "seed": arguments.seed,
        "data_sha256": plan.sha256,
        "metrics": {},
    }
    write_manifest(manifest, folder)
    return manifest


def read_back(plan: Plan, folder: Path, device: torch.device) -> nn.Module:
    """The model as whoever gets the bundle will have it."""
    bundle = reopened(folder, plan.scratch)
    opened = Opened(bundle, bundle.model or plan.base, plan.family, plan.name)
    return load_language_model(opened, device, plan.arguments.precision)
