"""Fine-tuning of a causal language model, from checked inputs to a bundle with scores beside baselines.

The scores after fine-tuning come from the bundle as it was written and read back, so they are what others will get.
"""

from __future__ import annotations

import gc
import math
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from seqlm.baselines.language_baselines import Letters
from seqlm.checkpoints.bundle import reopened
from seqlm.checkpoints.manifest import write_manifest
from seqlm.checkpoints.tokenizer import copy_tokenizer
from seqlm.cli.errors import InputError
from seqlm.cli.progress import Progress
from seqlm.cli.versions import versions
from seqlm.inference import loading
from seqlm.inference.adapters import add_adapter, pissa_start, save_adapter
from seqlm.inference.four_bits import in_four_bits, weights_of
from seqlm.inference.language_models import Opened, load_language_model
from seqlm.inference.likelihood import TokenModel
from seqlm.metrics import language_scores
from seqlm.metrics.resampling import Score
from seqlm.tools.finetune.learning import lora_settings, settings_of
from seqlm.training.language_training import losses, train_language_model
from seqlm.training.processes import Group, taking_part
from seqlm.training.state import History

from .inputs import SETTINGS, TASK, Plan
from .summary import AFTER, BEFORE


@dataclass
class Result:
    """What a fine-tuning gave: everything that the outputs are made of.

    Attributes:
        lost: model or baseline -> split -> (sequences,) nats of each sequence.
        scores: model or baseline -> split -> metric -> Score.
        differences: model or baseline -> split -> metric -> what the fine-tuned model has less it, of the same
            resamples; below zero fine-tuning is better.
        smoothing: what the validation set chose for the baseline of 3-mers.
        trained, total: numbers of weights.
    """

    plan: Plan
    bundle: Path
    manifest: dict
    history: History
    lost: dict[str, dict[str, np.ndarray]]
    scores: dict[str, dict[str, dict[str, Score]]]
    differences: dict[str, dict[str, dict[str, Score]]]
    smoothing: float
    trained: int
    total: int


def finetune(plan: Plan) -> Result | None:
    """Train, write the bundle, read it back, and judge every split with it, beside the baselines. Of several processes,
    only the first has a result."""
    arguments = plan.arguments
    device = loading.prepare(arguments.threads, arguments.seed, arguments.device)
    budget = plan.memory.on(device).tokens()
    lost = {AFTER: {}}
    with taking_part(plan, device, learn) as group:
        if group.rank == 0:
            model = TokenModel(load_language_model(plan.opened, device, arguments.precision), plan.text.six_mers)
            lost[BEFORE] = _losses(plan, model, budget, "reading with the base model")
            del model
        learnt = learn(plan, group)
    if group.rank:
        return None
    letters = Letters(
        {split: [example.sequence for example in plan.dataset[split]] for split in plan.splits},
        plan.texts,
        plan.family.alphabet,
    )
    baselines = letters.losses()
    print("writing the bundle and reading it back", file=sys.stderr)
    folder = plan.scratch / "bundle"
    manifest = save(plan, learnt.model.model, learnt.start, folder)
    del learnt.model
    gc.collect()  # references go round in circles, and the base model is loaded once more
    lost[AFTER] = _losses(
        plan, TokenModel(_read_back(plan, folder, device), plan.text.six_mers), budget, "reading with the new model"
    )
    lost |= baselines
    scores, differences = _scores(plan, lost)
    return Result(
        plan, folder, manifest, learnt.history, lost, scores, differences, letters.k, learnt.trained, learnt.total
    )


@dataclass
class Learnt:
    """What a training gave; ``start`` of the adapter, if that is PiSSA's."""

    model: TokenModel
    start: dict | None
    history: History
    trained: int
    total: int


def learn(plan: Plan, group: Group) -> Learnt:
    """Train, as one of the group. The model of a process other than the first may hold a share of the weights only."""
    model, start = _to_be_trained(plan, group.device)
    total = sum(map(weights_of, model.parameters()))
    named = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    trained = sum(parameter.numel() for parameter in named.values())
    history = train_language_model(
        model,
        [text.rows for text in plan.texts["train"]],
        settings_of(plan, group.device, "loss"),
        scores=_validation(plan) if "validation" in plan.splits else None,
        group=group,
    )
    if group.shares_weights:  # put together in a model of its own
        weights = group.whole({name: one for name, one in model.named_parameters() if name in named})
        if group.rank == 0:
            model, start = _to_be_trained(plan, torch.device("cpu"))
            model.load_state_dict(weights, strict=False)
            model.eval()
    return Learnt(model, start, history, trained, total)


def _to_be_trained(plan: Plan, device: torch.device) -> tuple[TokenModel, dict | None]:
    """The base model in single precision with what is to be trained, and the start of its adapter if that is
    PiSSA's."""
    four_bits = plan.arguments.method == "qlora"
    place = torch.device("cpu") if four_bits else device
    model = loading.load_weights(plan.family.load_language_model, plan.base.path, torch.float32, place)
    if four_bits:
        dtype = loading.precision_of(plan.arguments.precision, device, plan.family, training=True)
        model = in_four_bits(model, plan.family, dtype, device)
    torch.manual_seed(plan.arguments.seed)
    if not plan.adapted:
        return TokenModel(model.requires_grad_(True), plan.text.six_mers), None
    model = add_adapter(model, plan.family, lora_settings(plan), plan.name, writes=True)
    return TokenModel(model, plan.text.six_mers), pissa_start(model)


def _validation(plan: Plan):
    """The mean loss of a token of the validation set."""
    texts = plan.texts["validation"]
    rows, tokens = [text.rows for text in texts], sum(text.tokens for text in texts)

    def scores(model: TokenModel, budget: int) -> dict[str, float]:
        loss = float(losses(model, rows, budget).sum()) / tokens
        return {"loss": loss, "perplexity": math.exp(loss) if loss < 700 else math.inf}

    return scores


def _losses(plan: Plan, model: TokenModel, budget: int, what: str) -> dict[str, np.ndarray]:
    """Split -> (sequences,) nats."""
    rows = {split: sum(len(text.rows) for text in texts) for split, texts in plan.texts.items()}
    progress, before, found = Progress(what, sum(rows.values()), "sequences", lines=4), 0, {}
    for split, texts in plan.texts.items():
        found[split] = losses(
            model,
            [text.rows for text in texts],
            budget,
            [example.id for example in plan.dataset[split]],
            lambda done, before=before: progress(before + done),
        )
        before += rows[split]
    return found


def save(plan: Plan, model, start: dict | None, folder: Path) -> dict:
    """Write all of the bundle but its scores into ``folder``; returns the manifest."""
    folder.mkdir()
    if plan.adapted:
        save_adapter(model, folder, start)
    else:
        model.save_pretrained(folder)
    copy_tokenizer(plan.base.path, folder)
    arguments = plan.arguments
    settings = {name: getattr(arguments, name) for name in sorted(SETTINGS) if getattr(arguments, name) is not None}
    manifest = {
        "format": 1,
        "task": TASK,
        "method": arguments.method,
        "labels": None,
        "alphabet": plan.family.alphabet,
        "family": plan.family.__module__.rsplit(".", 1)[-1],
        "head": None,
        "pooling": None,
        "max_length": plan.limit - len(plan.family.prefix) - len(plan.family.suffix),
        "long_sequences": arguments.long_sequences,
        "base_model": {"id": plan.name, "revision": arguments.model_revision or None, "sha256": plan.base.sha256},
        "settings": settings | {"line_length": plan.text.line_length},
        "versions": versions(),
        "seed": arguments.seed,
        "data_sha256": plan.dataset.sha256,
        "metrics": {},
    }
    if plan.text.repairs:
        manifest["tokenizer"] = "repaired"
    write_manifest(manifest, folder)
    return manifest


def _read_back(plan: Plan, folder: Path, device: torch.device):
    """The fine-tuned model as whoever gets the bundle will have it."""
    bundle = reopened(folder, plan.scratch)
    opened = Opened(bundle, bundle.model or plan.base, plan.family, plan.name)
    return load_language_model(opened, device, plan.arguments.precision)


def _scores(plan: Plan, lost: dict[str, dict[str, np.ndarray]]) -> tuple[dict, dict]:
    """Scores of every model, and what the fine-tuned one has less each other, by split."""
    found = {}
    for name, by_split in lost.items():
        found[name] = {}
        for split, values in by_split.items():
            letters = np.array([text.letters for text in plan.texts[split]], float)
            tokens = np.array([text.tokens for text in plan.texts[split]], float) if name in (AFTER, BEFORE) else None
            found[name][split] = language_scores.samples(values, letters, tokens, plan.arguments.seed)
    with np.errstate(over="ignore"):
        scores = {
            name: {split: language_scores.scores(one) for split, one in splits.items()}
            for name, splits in found.items()
        }
    for split in plan.splits:
        if not all(np.isfinite(score.value) and score.value < 1e300 for score in scores[AFTER][split].values()):
            raise InputError(
                f"after training, the model finds the sequences of the {split} set impossible; choose a lower learning "
                "rate"
            )
    differences = {
        name: {split: language_scores.differences(found[AFTER][split], one) for split, one in splits.items()}
        for name, splits in found.items()
        if name != AFTER
    }
    return scores, differences
