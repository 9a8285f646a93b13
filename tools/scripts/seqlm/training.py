"""Training: a thin layer on transformers' Trainer.

Three things differ from the Trainer as it comes. One update of the weights is one item of the data: a set of sequences
of like length, run in as many passes as the token budget asks for, with the gradients added up, so that the budget
changes memory and speed but not the result. The validation set is scored by the code that makes predictions. And the
best epoch is kept in memory as the few weights that are trained, not as a checkpoint of the whole model.
"""

from __future__ import annotations

import math
import tempfile
from dataclasses import dataclass, field

import numpy as np
import torch
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
            eval_strategy="epoch" if validation else "no",
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
        trainer = _Trainer(model, arguments, data, validation, padding, settings, history)
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


class _Trainer(Trainer):
    def __init__(self, model, arguments, data, validation, padding, settings, history):
        super().__init__(model, arguments, train_dataset=list(range(len(data))), eval_dataset=validation and [0])
        self.data, self.validation, self.padding, self.settings = data, validation, padding, settings
        self.history, self.budget = history, settings.budget
        self.epoch_loss, self.epoch_weight = 0.0, 0.0

    def get_train_dataloader(self) -> DataLoader:
        sampler = _Updates(self.data.lengths(), self.settings.batch_size, self.settings.seed)
        return DataLoader(self.train_dataset, batch_sampler=sampler, collate_fn=list)

    def get_eval_dataloader(self, *_):
        return None

    def training_step(self, model, inputs, num_items_in_batch=None):
        """One update: add up the gradients of as many passes as the token budget asks for."""
        model.train()
        weight = self.data.weight(inputs)
        if not weight:  # proteins without a single known residue
            return torch.tensor(0.0)
        while True:
            try:
                passes = self.data.passes(inputs, self.budget, self.padding)
                total = sum(self._backward(model, batch, weight) for batch in passes)
                break
            except (torch.OutOfMemoryError, RuntimeError) as problem:
                if not out_of_memory(problem):
                    raise
                longest = max(map(self.data.lengths().__getitem__, inputs))
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

    def _backward(self, model: SequenceModel, batch: Batch, weight: float) -> float:
        batch = batch.to(model.device)
        with self.compute_loss_context_manager():
            losses = model.task.loss(model(batch), batch.targets, model.head) * batch.importance
            loss = losses.sum() / weight
        self.accelerator.backward(loss)
        return loss.item()

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

    def evaluate(self, *_, **__):
        """Score the validation set with the code that makes predictions."""
        model, validation = self.model, self.validation
        model.eval()
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
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, scores)
        return scores


class _Epochs(TrainerCallback):
    """Writes the history, keeps the best epoch's trained weights, stops early, and reports progress."""

    def __init__(self, trainer: _Trainer, history: History, settings: Settings):
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
