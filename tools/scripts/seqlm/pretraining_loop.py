"""The training loop of new language models: updates under a token budget, on one process or several, that can be
stopped and gone on with.

transformers' Trainer keeps its state as pickled files, which nobody may upload here, so the loop is its own. What it
does in an update is what the Trainer does: AdamW (Loshchilov & Hutter 2019, https://doi.org/10.48550/arXiv.1711.05101)
without decay of biases and norms, warm-up and cosine (Loshchilov & Hutter 2017,
https://doi.org/10.48550/arXiv.1608.03983), gradients clipped to a norm.

The order of the data depends on the seed and the epoch, and what dropout draws on the seed and the update alone. So
training that was stopped after an update goes on as if it had not been.
"""

from __future__ import annotations

import itertools
import math
import signal
import sys
import time
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from .batching import Batch, group_by_length, updates
from .errors import InputError
from .inference import out_of_memory
from .language_training import IGNORED
from .pretraining_deepspeed import configuration, start_engine
from .pretraining_processes import Group, full
from .progress import Progress
from .training import History

FINISHED, PAUSED, STOPPED = "finished", "paused", "stopped"


class Losing(nn.Module):
    """A language model that gives what it loses on its targets, summed."""

    def __init__(self, model: nn.Module):
        super().__init__()
        self.model = model

    def forward(self, ids: torch.Tensor, mask: torch.Tensor | None, targets: torch.Tensor) -> torch.Tensor:
        logits = self.model(input_ids=ids, attention_mask=mask, **self._options()).logits
        return functional.cross_entropy(
            logits.flatten(0, 1).float(), targets.flatten(), ignore_index=IGNORED, reduction="sum"
        )

    def _options(self) -> dict:
        config = self.model.config if hasattr(self.model, "config") else None
        return {"use_cache": False} if getattr(config, "model_type", "") in ("gpt2", "llama") else {}


@dataclass(frozen=True)
class LoopSettings:
    """How to train; times in seconds, 0 for no limit."""

    epochs: int
    max_steps: int = 0
    batch_size: int = 32
    learning_rate: float = 5e-4
    weight_decay: float = 0.01
    warmup: float = 0.05
    schedule: str = "cosine"
    clip: float = 1.0
    patience: int = 5
    evaluate_every: int = 0
    precision: torch.dtype = torch.float32
    budget: int = 2048
    seed: int = 42
    zero_stage: int = 2
    checkpoint_seconds: float = 0.0
    max_seconds: float = 0.0
    pause_after: int = 0


@dataclass
class State:
    """Where training is: all that a checkpoint holds but tensors."""

    step: int = 0
    history: History = field(default_factory=History)
    best: float = math.inf
    lost: float = 0.0  # since the last entry of the history
    counted: float = 0.0
    ended: str = ""
    moments: dict[str, torch.Tensor] = field(default_factory=dict)
    kept: dict[str, torch.Tensor] = field(default_factory=dict)


@dataclass
class Spent:
    """Seconds of what an update is made of."""

    data: float = 0.0
    computing: float = 0.0
    tokens: int = 0


def rate_at(settings: LoopSettings, step: int, steps: int) -> float:
    """Learning rate of an update, counted from 0, as transformers' schedules have it."""
    warmup = math.ceil(settings.warmup * steps)
    if step < warmup:
        return settings.learning_rate * step / max(1, warmup)
    share = (step - warmup) / max(1, steps - warmup)
    if settings.schedule == "cosine":
        return settings.learning_rate * max(0.0, 0.5 * (1 + math.cos(math.pi * share)))
    return settings.learning_rate * (max(0.0, 1 - share) if settings.schedule == "linear" else 1.0)


class Loop:
    """Trains what of ``model`` requires gradients.

    Args:
        model: transformers' own class.
        data: rows by number, with ``lengths`` (rows,).
        objective: of rows and the epoch; see :mod:`seqlm.language_training`.
        validate: scores of the validation set, ``loss`` one of them; None without one.
        group: the processes that share the work.
        save: called with the loop and its state to write a checkpoint; None where none is wanted.
    """

    def __init__(self, model, data, objective, settings: LoopSettings, validate, group: Group, save=None):
        self.bare, self.data, self.objective, self.settings = model, data, objective, settings
        self.validate, self.group, self.save = validate, group, save
        self.lengths = np.asarray(data.lengths)
        self.each = math.ceil(len(self.lengths) / settings.batch_size)
        self.steps = settings.epochs * self.each
        if settings.max_steps:
            self.steps = min(self.steps, settings.max_steps)
        self.budget, self.spent, self._signalled = settings.budget, Spent(), False
        self.losing = group.wrapped(Losing(model))
        self.engine = None
        self.named = {name: one for name, one in self.bare.named_parameters() if one.requires_grad}
        plain = [one for one in self.named.values() if one.dim() < 2]
        decayed = [one for one in self.named.values() if one.dim() >= 2]
        groups = [{"params": decayed, "weight_decay": settings.weight_decay}, {"params": plain, "weight_decay": 0.0}]
        self.optimizer = torch.optim.AdamW([one for one in groups if one["params"]], lr=settings.learning_rate)
        if group.strategy == "deepspeed" and group.size > 1:
            half = {torch.bfloat16: "bf16", torch.float16: "fp16"}.get(settings.precision, "fp32")
            config = configuration(settings, group.size, settings.zero_stage, half)
            self.engine, self.optimizer = start_engine(self.losing, self.optimizer, config, group.rank, group.size)
            self.losing = self.engine

    @property
    def every(self) -> int:
        """Updates between two looks at the validation set."""
        return self.settings.evaluate_every or self.each

    def run(self, state: State) -> State:
        """Go on from ``state`` to the end, and leave the model as it was at its best."""
        self._restore(state)
        progress = Progress("training", self.steps, "updates")
        began = saved = time.monotonic()
        first, settings = state.step, self.settings
        with self._signals():
            while not state.ended:
                epoch, within = divmod(state.step, self.each)
                order = updates(self.lengths, settings.batch_size, np.random.default_rng([settings.seed, epoch]))
                for items in itertools.islice(order, within, None):
                    if not self._update(items, epoch + 1, state):
                        self._leave(state)
                    progress(state.step, f"loss {state.lost / max(state.counted, 1):.4f}")
                    done = state.step >= self.steps
                    if state.step % self.every == 0 or done:
                        self._look(state)
                    if done and not state.ended:
                        state.ended = FINISHED
                    now = time.monotonic()
                    if not state.ended and self._pauses(state.step - first, now - began):
                        state.ended = PAUSED
                    due = settings.checkpoint_seconds and now - saved >= settings.checkpoint_seconds
                    if self.save and self.group.agree(bool(due)) and not state.ended:
                        self._save(state)
                        saved = time.monotonic()
                    if state.ended or state.step % self.each == 0:
                        break
        if self.save:
            ended, state.ended = state.ended, "" if state.ended == PAUSED else state.ended
            self._save(state)
            state.ended = ended
        if state.ended == PAUSED and state.counted:
            self._look(state)
            state.ended = PAUSED
        self._best(state)
        return state

    def _pauses(self, updates_done: int, seconds: float) -> bool:
        late = bool(self.settings.max_seconds and seconds >= self.settings.max_seconds)
        return self.group.agree(late) or bool(self.settings.pause_after and updates_done >= self.settings.pause_after)

    def _update(self, items: list[int], epoch: int, state: State) -> bool:
        """One update; False where the job is to be ended, with nothing changed."""
        settings, group = self.settings, self.group
        while True:
            start = time.perf_counter()
            self.bare.train()
            mine = sorted(items, key=lambda item: (-self.lengths[item], item))[group.rank :: group.size]
            rows = [self.data[item] for item in mine]
            groups = group_by_length([len(row.ids) for row in rows], self.budget)
            passes = [self.objective([rows[place] for place in one], epoch) for one in groups]
            counted = sum(int((batch.targets != IGNORED).sum()) for batch in passes)
            weight, most, ended = group.totals(counted, len(passes), self._signalled)
            if ended:
                return False
            while len(passes) < most:  # every process takes part in as many passes
                idle = passes[-1]
                passes.append(Batch(0, idle.ids, idle.mask, targets=torch.full_like(idle.targets, IGNORED)))
            self.spent.data += time.perf_counter() - start
            self.spent.tokens += sum(len(row.ids) for row in rows)
            start = time.perf_counter()
            torch.manual_seed((settings.seed * 1_000_003 + state.step) * 1009 + group.rank)
            try:
                lost = self._backward(passes, weight)
            except (torch.OutOfMemoryError, RuntimeError) as problem:
                if not out_of_memory(problem):
                    raise
                longest = int(max(self.lengths[item] for item in items))
                if self.budget <= longest or group.size > 1:
                    raise InputError(
                        f"a row of {longest:,} tokens does not fit into memory in training; choose a shorter context, "
                        "fewer tokens at once (--batch-tokens), or a smaller model"
                    ) from None
                self.optimizer.zero_grad()
                self.budget //= 2
                continue
            break
        if lost is None:
            self.optimizer.zero_grad()
            return False
        lost = group.summed(lost)
        if not math.isfinite(lost):
            raise InputError(
                f"the training loss is no longer a number at update {state.step + 1}; choose a lower learning rate, or "
                "fp32"
            )
        self._step(state.step)
        state.step += 1
        state.lost += lost
        state.counted += weight
        self.spent.computing += time.perf_counter() - start
        return True

    def _backward(self, passes: list[Batch], weight: float) -> float | None:
        """What the passes lose together; None where a signal came in between."""
        device = next(self.bare.parameters()).device
        half = self.settings.precision if self.settings.precision != torch.float32 else None
        total = 0.0
        for number, batch in enumerate(passes):
            if self._signalled and self.group.size == 1:
                return None
            mask = None if batch.mask is None else batch.mask.to(device)
            with self.group.together(self.losing, last=number == len(passes) - 1):
                with torch.autocast(device.type, dtype=half, enabled=half is not None):
                    loss = self.losing(batch.ids.to(device), mask, batch.targets.to(device))
                # gradients of the processes are averaged, and are to be summed
                loss_of_update = loss * (self.group.size / weight)
                if self.engine:
                    self.engine.set_gradient_accumulation_boundary(number == len(passes) - 1)
                    self.engine.backward(loss_of_update)
                else:
                    loss_of_update.backward()
            total += loss.item()
        return total

    def _step(self, step: int) -> None:
        rate = rate_at(self.settings, step, self.steps)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        if self.engine:  # which clips as well
            self.engine.step()
            return
        if self.settings.clip:
            torch.nn.utils.clip_grad_norm_(list(self.named.values()), self.settings.clip)
        self.optimizer.step()
        self.optimizer.zero_grad()

    def _look(self, state: State) -> None:
        """An entry of the history, and what follows from it."""
        if not state.counted:
            return
        number = state.step / self.each
        entry = {
            "epoch": int(number) if number == int(number) else round(number, 4),
            "step": state.step,
            "learning_rate": rate_at(self.settings, max(state.step - 1, 0), self.steps),
            "train_loss": state.lost / state.counted,
        }
        state.lost = state.counted = 0.0
        history = state.history
        if self.validate:
            self.bare.eval()
            entry |= {f"validation_{name}": value for name, value in self.validate(self.bare, self.budget).items()}
        history.epochs.append(entry)
        if not self.validate:
            return
        if entry["validation_loss"] < state.best:
            state.best, history.best_epoch = entry["validation_loss"], len(history.epochs)
            with self.group.gathered(self.named):
                state.kept = {name: full(one).detach().cpu().clone() for name, one in self.named.items()}
        elif self.settings.patience and len(history.epochs) - history.best_epoch >= self.settings.patience:
            history.stopped_early = state.step < self.steps
            state.ended = FINISHED

    def _best(self, state: State) -> None:
        if state.kept:
            self.group.fill(self.named, state.kept)
        self.bare.eval()

    def _restore(self, state: State) -> None:
        if not state.moments:
            return
        first = {name: state.moments[f"exp_avg/{name}"] for name in self.named}
        second = {name: state.moments[f"exp_avg_sq/{name}"] for name in self.named}
        for name, one in self.named.items():
            self.optimizer.state[one] = {
                "step": torch.tensor(float(state.step)),
                "exp_avg": self.group.like(first[name], one),
                "exp_avg_sq": self.group.like(second[name], one),
            }
        state.moments = {}

    def tensors(self) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
        """Trained weights and moments of the optimizer, whole, on the CPU."""
        weights, moments = {}, {}
        if self.engine:
            with self.group.gathered(self.named):
                return {name: one.detach().float().cpu().clone() for name, one in self.named.items()}, {}
        for name, one in self.named.items():
            weights[name] = full(one).detach().cpu().contiguous()
            held = self.optimizer.state.get(one, {})
            for kind in ("exp_avg", "exp_avg_sq"):
                value = full(held[kind]) if kind in held else torch.zeros_like(weights[name])
                moments[f"{kind}/{name}"] = value.detach().cpu().contiguous()
        return weights, moments

    def _save(self, state: State) -> None:
        weights, moments = self.tensors()  # every process takes part
        if self.group.rank == 0:
            self.save(state, weights, moments)

    def _leave(self, state: State) -> None:
        """A signal came: leave a checkpoint, if one was asked for, and go."""
        if self.save:
            self._save(state)
            if self.group.rank == 0:
                print(f"stopped after update {state.step:,}; the checkpoint goes on from there", file=sys.stderr)
        sys.exit(143)

    @contextmanager
    def _signals(self):
        """While training, a signal to end is looked at between passes only, so that no update is half done."""

        def note(*_):
            self._signalled = True

        try:
            before = signal.signal(signal.SIGTERM, note)
        except ValueError:  # not in the main thread
            yield
            return
        try:
            yield
        finally:
            signal.signal(signal.SIGTERM, before)


Validate = Callable[[nn.Module, int], dict[str, float]]
