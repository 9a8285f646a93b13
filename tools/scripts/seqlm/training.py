"""Training: a thin layer on transformers' Trainer.

Three things differ from the Trainer as it comes. One update of the weights is one item of the data: a set of sequences
of like length, run in as many passes as the token budget asks for, with the gradients added up, so that the budget
changes memory and speed but not the result. The validation set is scored by the code that makes predictions. And the
best epoch is kept in memory as the few weights that are trained, not as a checkpoint of the whole model.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader
from transformers import PrinterCallback, Trainer, TrainerCallback, TrainingArguments

from . import metrics
from .batching import Batch, updates
from .errors import InputError
from .examples import Examples
from .inference import out_of_memory, pair_outputs, pooled_vectors, residue_values
from .loading import SequenceModel
from .progress import Progress

RESIDUES_AT_ONCE = 100_000  # through a head, when their vectors are known


@dataclass(frozen=True)
class Settings:
    """How to train; see the tool's help for what each number does."""

    epochs: int = 20
    learning_rate: float = 3e-4
    batch_size: int = 8  # sequences an update of the weights
    weight_decay: float = 0.01
    warmup: float = 0.1  # share of the updates
    schedule: str = "linear"
    patience: int = 5  # epochs without a better validation score before training stops; 0 to train them all
    metric: str = "mcc"  # that picks the best epoch
    gradient_checkpointing: bool = False
    precision: torch.dtype = torch.float32
    budget: int = 2048  # padded tokens a pass
    seed: int = 42


@dataclass
class History:
    """What happened, an entry an epoch, and which epoch was kept (1-based; 0 if there was no validation set)."""

    epochs: list[dict[str, float]] = field(default_factory=list)
    best_epoch: int = 0
    stopped_early: bool = False


def train(
    model: SequenceModel, data: Examples, validation: Examples | None, padding: int, settings: Settings
) -> History:
    """Train what of ``model`` requires gradients, in place, and leave it at its best epoch.

    Raises:
        InputError: a loss that is no longer a number, or a single sequence too long for the memory.
    """
    if settings.gradient_checkpointing:
        model.backbone.activation_checkpointing_enable({"use_reentrant": False})
    return run(model, settings, bool(validation), partial(_Trainer, data=data, validation=validation, padding=padding))


def run(model: nn.Module, settings: Settings, validated: bool, make: Callable[..., UpdateTrainer]) -> History:
    """Train in place, and leave the model at its best epoch.

    Args:
        model: with ``device``.
        validated: the trainer scores a validation set after each epoch.
        make: makes the trainer of ``model``, ``arguments``, ``settings`` and ``history``.
    """
    history = History()
    with tempfile.TemporaryDirectory(prefix="trainer_") as scratch:
        arguments = TrainingArguments(
            output_dir=scratch,
            num_train_epochs=settings.epochs,
            learning_rate=settings.learning_rate,
            weight_decay=settings.weight_decay,
            warmup_steps=settings.warmup,
            lr_scheduler_type=settings.schedule,
            max_grad_norm=1.0,
            per_device_train_batch_size=1,
            eval_strategy="epoch" if validated else "no",
            save_strategy="no",
            logging_strategy="no",
            report_to="none",
            disable_tqdm=True,
            seed=settings.seed,
            use_cpu=model.device.type == "cpu",
            bf16=settings.precision == torch.bfloat16,
            fp16=settings.precision == torch.float16,
            dataloader_pin_memory=False,
            remove_unused_columns=False,
        )
        trainer = make(model=model, arguments=arguments, settings=settings, history=history)
        trainer.remove_callback(PrinterCallback)
        trainer.add_callback(_Epochs(trainer, history, settings))
        trainer.train()
    model.eval()
    return history


class _Updates:
    """The batch sampler of the DataLoader: a fresh random order each epoch, from the seed."""

    def __init__(self, lengths: list[int], batch_size: int, seed: int):
        self.lengths, self.batch_size = lengths, batch_size
        self.generator = np.random.default_rng(seed)

    def __len__(self) -> int:
        return math.ceil(len(self.lengths) / self.batch_size)

    def __iter__(self):
        return updates(self.lengths, self.batch_size, self.generator)


class UpdateTrainer(Trainer):
    """Trains update by update, each in as many passes as the token budget asks for.

    Subclasses say what an update is made of (:meth:`update`), what a pass loses (:meth:`loss`) and how the validation
    set is scored (:meth:`scores`).
    """

    def __init__(self, model, arguments, settings: Settings, history: History, lengths: list[int], validated: bool):
        super().__init__(model, arguments, train_dataset=range(len(lengths)), eval_dataset=[0] if validated else None)
        self.lengths, self.settings, self.history, self.budget = lengths, settings, history, settings.budget
        self.epoch_loss, self.epoch_weight = 0.0, 0.0

    def update(self, items: list[int]) -> tuple[float, Iterable[Batch]]:
        """How much the items of an update count in the loss together, and its passes under ``self.budget``."""
        raise NotImplementedError

    def loss(self, model: nn.Module, batch: Batch) -> torch.Tensor:
        """What a pass loses, summed over what counts."""
        raise NotImplementedError

    def scores(self, model: nn.Module) -> dict[str, float]:
        """Scores of the validation set, ``loss`` one of them."""
        raise NotImplementedError

    def get_train_dataloader(self) -> DataLoader:
        sampler = _Updates(self.lengths, self.settings.batch_size, self.settings.seed)
        return DataLoader(self.train_dataset, batch_sampler=sampler, collate_fn=list)

    def get_eval_dataloader(self, *_):
        return None

    def training_step(self, model, inputs, num_items_in_batch=None):
        """One update: add up the gradients of as many passes as the token budget asks for."""
        model.train()
        while True:
            weight, passes = self.update(inputs)
            if not weight:  # proteins without a single known residue
                return torch.tensor(0.0)
            try:
                total = sum(self._backward(model, batch, weight) for batch in passes)
                break
            except (torch.OutOfMemoryError, RuntimeError) as problem:
                if not out_of_memory(problem):
                    raise
                longest = max(map(self.lengths.__getitem__, inputs))
                if self.budget <= longest:
                    raise InputError(
                        f"a sequence of {longest:,} tokens does not fit into memory in training; choose a smaller "
                        "maximal length, gradient checkpointing, or a smaller model"
                    ) from None
            model.zero_grad()
            self.budget //= 2
            if model.device.type == "cuda":
                torch.cuda.empty_cache()
        if not math.isfinite(total):
            raise InputError(
                f"the training loss is no longer a number at update {self.state.global_step + 1}; "
                "choose a lower learning rate, or fp32"
            )
        self.epoch_loss += total * weight
        self.epoch_weight += weight
        return torch.tensor(total)

    def _backward(self, model: nn.Module, batch: Batch, weight: float) -> float:
        batch = batch.to(model.device)
        with self.compute_loss_context_manager():
            loss = self.loss(model, batch) / weight
        self.accelerator.backward(loss)
        return loss.item()

    def evaluate(self, *_, **__):
        """Score the validation set with the code that makes predictions."""
        self.model.eval()
        scores = self.scores(self.model)
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, scores)
        return scores


class _Trainer(UpdateTrainer):
    def __init__(self, model, arguments, settings, history, data: Examples, validation: Examples | None, padding: int):
        super().__init__(model, arguments, settings, history, data.lengths(), bool(validation))
        self.data, self.validation, self.padding = data, validation, padding

    def update(self, items: list[int]) -> tuple[float, Iterable[Batch]]:
        return self.data.weight(items), self.data.passes(items, self.budget, self.padding)

    def loss(self, model: SequenceModel, batch: Batch) -> torch.Tensor:
        return (model.task.loss(model(batch), batch.targets, model.head) * batch.importance).sum()

    def _outputs(self, model: SequenceModel, data: Examples) -> torch.Tensor:
        """Outputs (units, outputs) of a whole split, on the CPU."""
        if model.task.level == "residue":
            if data.pooled is not None:
                parts = range(0, len(data.truth), RESIDUES_AT_ONCE)
                return torch.cat(
                    [model.outputs(torch.as_tensor(data.pooled[at : at + RESIDUES_AT_ONCE])) for at in parts]
                )
            return residue_values(model, data.encoded, self.padding, self.budget)
        pooled = data.pooled
        if pooled is None:
            pooled = pooled_vectors(model, data.encoded, self.padding, self.budget)
        if data.pairs is None:
            return model.outputs(pooled)
        return pair_outputs(model, pooled, pooled if data.second is None else data.second, data.pairs)

    def scores(self, model: SequenceModel) -> dict[str, float]:
        validation = self.validation
        known, device = torch.from_numpy(validation.known), model.head.shift.device
        with torch.inference_mode():
            outputs = self._outputs(model, validation)
            targets = torch.from_numpy(validation.targets).to(device)
            losses = model.task.loss(outputs.to(device), targets, model.head).cpu()
        scores = {"loss": losses[known].mean().item()}
        predictions, truth = model.decode(outputs), validation.truth
        if model.task.level == "residue":
            predictions, truth = predictions[validation.known], truth[validation.known]
        for metric in metrics.metrics_for(model.task.name):
            scores[metric] = metrics.plain(metric, truth, predictions)
        return scores


class _Epochs(TrainerCallback):
    """Writes the history, keeps the best epoch's trained weights, stops early, and reports progress."""

    def __init__(self, trainer: UpdateTrainer, history: History, settings: Settings):
        self.trainer, self.history, self.settings = trainer, history, settings
        self.best: tuple[float, float] | None = None
        self.kept: dict[str, torch.Tensor] = {}
        self.progress: Progress | None = None

    def on_train_begin(self, args, state, control, **_):
        self.progress = Progress("training", state.max_steps, "updates")

    def on_step_end(self, args, state, control, **_):
        self.progress(state.global_step)

    def on_epoch_end(self, args, state, control, optimizer=None, **_):
        trainer = self.trainer
        self.history.epochs.append(
            {
                "epoch": len(self.history.epochs) + 1,
                "learning_rate": optimizer.param_groups[0]["lr"],
                "train_loss": trainer.epoch_loss / trainer.epoch_weight,
            }
        )
        trainer.epoch_loss = trainer.epoch_weight = 0.0

    def on_evaluate(self, args, state, control, metrics=None, **_):
        scores, chosen = metrics, self.settings.metric
        self.history.epochs[-1].update({f"validation_{name}": value for name, value in scores.items()})
        better = scores[chosen] if chosen not in ("loss", "rmse") else -scores[chosen]
        # of equal scores, which a small validation set gives often, the one with the lower loss
        rank = (-math.inf if math.isnan(better) else better, -scores["loss"])
        if self.best is None or rank > self.best:
            self.best = rank
            self.history.best_epoch = len(self.history.epochs)
            self.kept = {
                name: parameter.detach().cpu().clone()
                for name, parameter in self.trainer.model.named_parameters()
                if parameter.requires_grad
            }
        elif self.settings.patience and len(self.history.epochs) - self.history.best_epoch >= self.settings.patience:
            control.should_training_stop = True
            self.history.stopped_early = len(self.history.epochs) < self.settings.epochs
        return control

    def on_train_end(self, args, state, control, **_):
        with torch.no_grad():
            for name, parameter in self.trainer.model.named_parameters():
                if name in self.kept:
                    parameter.copy_(self.kept[name])
