"""The training loop of all models here: updates under a token budget, on one process or several, that can be stopped
and gone on with.

transformers' Trainer keeps its state as pickled files, which nobody may upload here, so the loop is its own. What it
does in an update is what the Trainer does: AdamW (Loshchilov & Hutter 2019, https://doi.org/10.48550/arXiv.1711.05101)
without decay of biases and norms, warm-up and cosine (Loshchilov & Hutter 2017,
https://doi.org/10.48550/arXiv.1608.03983), gradients clipped to a norm.

An update is run in as many passes as the token budget asks for, with the gradients added up, so that the budget changes
memory and speed, and of the result no more than rounding and what dropout draws. The order of the data depends on the
seed and the epoch, and what dropout draws on the seed, the update and its passes. So training that was stopped after an
update goes on as if it had not been.
"""

from __future__ import annotations

import itertools
import math
import signal
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from typing import Protocol

import numpy as np
import torch
from torch import nn

from seqlm.cli.errors import InputError
from seqlm.cli.progress import Progress
from seqlm.inference.adapters import RankAllocation, allocation_of
from seqlm.inference.batching import Batch, updates
from seqlm.inference.inference import out_of_memory

from .deepspeed_engine import configuration, start_engine
from .processes import ALONE, Group, full
from .state import History, Settings, Spent, State, rate_at, standing, warmup_updates

FINISHED, PAUSED = "finished", "paused"

Validate = Callable[[nn.Module, int], dict[str, float]]


class Lesson(Protocol):
    """What is learnt from.

    Attributes:
        lengths: (items,) tokens of the longest row of each item.
        item, advice: what an item is called, and what helps where one does not fit into memory.
    """

    lengths: Sequence[int]
    item: str
    advice: str

    def passes(self, items: list[int], budget: int, epoch: int) -> tuple[float, list[Batch]]:
        """How much the items count in the loss together, and their batches of at most ``budget`` padded tokens."""

    def silent(self, batch: Batch) -> Batch:
        """The same batch, of which nothing counts."""

    def loss(self, model: nn.Module, batch: Batch) -> torch.Tensor:
        """What the model loses on a batch, summed over what counts."""


class Losing(nn.Module):
    """A model that gives what it loses."""

    def __init__(self, model: nn.Module, loss: Callable[[nn.Module, Batch], torch.Tensor]):
        super().__init__()
        self.model, self.loss = model, loss

    def forward(self, batch: Batch) -> torch.Tensor:
        return self.loss(self.model, batch)


class Loop:
    """Trains what of ``model`` requires gradients.

    Args:
        validate: scores of the validation set, of a model and padded tokens at once, ``loss`` one of them; None without
            one.
        group: the processes that share the work.
        save: called with the state, weights and moments to write a checkpoint; None where none is wanted.
    """

    def __init__(
        self,
        model: nn.Module,
        lesson: Lesson,
        settings: Settings,
        validate: Validate | None = None,
        group: Group = ALONE,
        save: Callable | None = None,
    ):
        self.bare, self.lesson, self.settings = model, lesson, settings
        self.validate, self.group, self.save = validate, group, save
        self.lengths = np.asarray(lesson.lengths)
        self.each = math.ceil(len(self.lengths) / settings.batch_size)
        self.steps = settings.epochs * self.each
        if settings.max_steps:
            self.steps = min(self.steps, settings.max_steps)
        self.device = next(model.parameters()).device
        self.budget, self.spent, self._signalled = settings.budget, Spent(), False
        losing = Losing(model, lesson.loss)
        if group.size > 1 and group.strategy == "ddp":
            self._leave_out_what_is_not_used(losing)
        self.losing = group.wrapped(losing)
        self.named = {name: one for name, one in self.bare.named_parameters() if one.requires_grad}
        # IA3's vectors have two dimensions, and are 1 where they do nothing
        plain = [one for name, one in self.named.items() if one.dim() < 2 or ".ia3_l." in name]
        decayed = [one for name, one in self.named.items() if one.dim() >= 2 and ".ia3_l." not in name]
        groups = [{"params": decayed, "weight_decay": settings.weight_decay}, {"params": plain, "weight_decay": 0.0}]
        groups = [one for one in groups if one["params"]]
        self.optimizer = torch.optim.AdamW(groups, lr=settings.learning_rate, fused=group.size == 1)
        tuner = allocation_of(model)
        self.ranks = RankAllocation(tuner, self.steps) if tuner else None
        self.engine = None
        if group.strategy == "deepspeed" and group.size > 1:
            half = "" if settings.precision == torch.float32 else str(settings.precision).removeprefix("torch.")
            weights = sum(one.numel() for one in self.named.values())
            config = configuration(settings, group.size, settings.zero_stage, half, weights)
            self.engine, self.optimizer = start_engine(self.losing, self.optimizer, config, group.rank, group.size)
            self.losing = self.engine
        scaled = settings.precision == torch.float16 and not self.engine
        # divided, since gradients of several processes are averages of sums and so that much larger at first
        self.scaler = torch.amp.GradScaler(self.device.type, init_scale=2.0**16 / group.size, enabled=scaled)

    def _leave_out_what_is_not_used(self, losing: Losing) -> None:
        """Weights that no loss depends on, such as those of BERT's pooler, get no gradient, and ddp would wait for
        it."""
        _, passes = self.lesson.passes([int(self.lengths.argmin())], self.budget, 1)
        self.bare.train()
        losing(passes[0].to(self.device)).backward()
        for one in self.bare.parameters():
            if one.requires_grad and one.grad is None:
                one.requires_grad_(False)
            one.grad = None

    def _put_together(self) -> None:
        """Weights that several processes share are put together for the first time; torch could not learn from them if
        that were done where nothing is learnt."""
        if self.group.shares_weights:
            _, passes = self.lesson.passes([int(self.lengths.argmin())], self.budget, 1)
            with torch.no_grad():
                self.losing(passes[0].to(self.device))

    @property
    def every(self) -> int:
        """Updates between two looks at the validation set."""
        return self.settings.evaluate_every or self.each

    def run(self, state: State | None = None) -> State:
        """Go on from ``state`` to the end, and leave the model as it was at its best.

        Raises:
            InputError: a loss that is no longer a number, or a single item too long for the memory.
        """
        state = state or State()
        self._restore(state)
        with self._signals(), self.group.working():
            if self.settings.from_start and self.validate and not state.step:
                self._put_together()
                self._look(state)
            self._train(state)
            if self.save:
                ended, state.ended = state.ended, "" if state.ended == PAUSED else state.ended
                self._save(state)
                state.ended = ended
            if state.ended == PAUSED and state.counted:
                self._look(state)
                state.ended = PAUSED
            self.leave_at_best(state)
        return state

    def _train(self, state: State) -> None:
        progress = Progress("training", self.steps, "updates")
        began = saved = time.monotonic()
        first, settings = state.step, self.settings
        self.bare.train()
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

    def _pauses(self, updates_done: int, seconds: float) -> bool:
        late = bool(self.settings.max_seconds and seconds >= self.settings.max_seconds)
        return self.group.agree(late) or bool(self.settings.pause_after and updates_done >= self.settings.pause_after)

    def _update(self, items: list[int], epoch: int, state: State) -> bool:
        """One update; False where the job is to be ended, with nothing changed."""
        settings, group, lesson = self.settings, self.group, self.lesson
        mine = sorted(items, key=lambda item: (-self.lengths[item], item))[group.rank :: group.size]
        while True:
            start = time.perf_counter()
            counted, passes = lesson.passes(mine, self.budget, epoch) if mine else (0.0, [])
            weight, most, ended = group.totals(counted, len(passes), self._signalled)
            if ended:
                return False
            if not weight:  # proteins without a single known residue
                state.step += 1
                return True
            if len(passes) < most:  # every process takes part in as many passes
                last = passes[-1] if passes else lesson.passes(items[:1], self.budget, epoch)[1][0]
                passes += [lesson.silent(last)] * (most - len(passes))
            self.spent.data += time.perf_counter() - start
            self.spent.tokens += sum(int(self.lengths[item]) for item in mine)
            start = time.perf_counter()
            self._seed((settings.seed * 1_000_003 + state.step) * 1009 + group.rank)
            try:
                lost = self._backward(passes, weight)
            except (torch.OutOfMemoryError, RuntimeError) as problem:
                if not out_of_memory(problem):
                    raise
                longest = int(max(self.lengths[item] for item in items))
                if group.size > 1:
                    raise InputError(
                        f"{self.budget:,} tokens at once do not fit into the memory of one of the processes; choose "
                        f"fewer (--batch-tokens), or {lesson.advice}",
                        here=True,
                    ) from None
                if self.budget <= longest:
                    raise InputError(
                        f"{lesson.item} of {longest:,} tokens does not fit into memory in training; choose "
                        f"{lesson.advice}"
                    ) from None
                self.optimizer.zero_grad()
                self.budget //= 2
                if self.device.type == "cuda":
                    torch.cuda.empty_cache()
                continue
            break
        if lost is None:
            self.optimizer.zero_grad()
            return False
        lost = group.summed(lost)
        self._require_finite(lost, "training loss", state.step)
        self._step(state.step)
        state.step += 1
        state.lost += lost
        state.counted += weight
        self.spent.computing += time.perf_counter() - start
        return True

    def _backward(self, passes: list[Batch], weight: float) -> float | None:
        """What the passes lose together; None where a signal came in between."""
        half = self.settings.precision if self.settings.precision != torch.float32 else None
        total = 0.0
        for number, batch in enumerate(passes):
            if self._signalled and self.group.size == 1:
                return None
            with self.group.together(self.losing, last=number == len(passes) - 1):
                with torch.autocast(self.device.type, dtype=half, enabled=half is not None):
                    loss = self.losing(batch.to(self.device))
                # gradients of the processes are averaged, and are to be summed
                loss_of_update = loss * (self.group.size / weight)
                if self.engine:
                    self.engine.set_gradient_accumulation_boundary(number == len(passes) - 1)
                    self.engine.backward(loss_of_update)
                else:
                    self.scaler.scale(loss_of_update).backward()
            total += loss.item()
        return total

    def _seed(self, seed: int) -> None:
        """Seed what dropout draws from. torch's own function, on a machine without a GPU, notes each call for the day
        when there is one."""
        (torch.default_generator if self.device.type == "cpu" else torch).manual_seed(seed)

    @staticmethod
    def _require_finite(value: float, what: str, step: int) -> None:
        if not math.isfinite(value):
            raise InputError(
                f"the {what} is no longer a number at update {step + 1}; choose a lower learning rate, or fp32"
            )

    def _step(self, step: int) -> None:
        rate = rate_at(self.settings, step, self.steps)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        if self.engine:  # which clips as well
            self.engine.step()
            return
        self.scaler.unscale_(self.optimizer)
        if self.ranks:
            self.ranks.regularise()
        if self.settings.clip:
            norm = torch.nn.utils.clip_grad_norm_(list(self.named.values()), self.settings.clip)
            if not self.scaler.is_enabled():  # which leaves such an update out
                self._require_finite(float(full(norm)), "gradient", step)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        if self.ranks and all(one.grad.isfinite().all() for one in self.named.values() if one.grad is not None):
            self.ranks.allocate(step + 1)
        self.optimizer.zero_grad()

    def _look(self, state: State) -> None:
        """An entry of the history, and what follows from it."""
        if state.step and not state.counted:
            return
        number = state.step / self.each
        entry = {"epoch": int(number) if number == int(number) else round(number, 4), "step": state.step}
        if state.step:
            entry["learning_rate"] = rate_at(self.settings, state.step - 1, self.steps)
            entry["train_loss"] = state.lost / state.counted
        state.lost = state.counted = 0.0
        history, metric = state.history, self.settings.metric
        if self.validate:
            entry |= {f"validation_{name}": value for name, value in self._scores().items()}
        history.epochs.append(entry)
        if not self.validate:
            return
        best = history.epochs[history.best_epoch - 1] if history.best_epoch else None
        if best is None or standing(entry, metric) > standing(best, metric):
            history.best_epoch = len(history.epochs)
            with self.group.gathered(self.named):
                state.kept = {name: full(one).detach().cpu().clone() for name, one in self.named.items()}
        elif self.settings.patience and self._in_vain(history) >= self.settings.patience:
            history.stopped_early = state.step < self.steps
            state.ended = FINISHED

    def _in_vain(self, history: History) -> int:
        """Looks since the best one that bettered nothing; not those of the warm-up, in which little is learnt."""
        warm = warmup_updates(self.settings, self.steps)
        return sum(entry["step"] > warm for entry in history.epochs[history.best_epoch :])

    def _scores(self) -> dict[str, float]:
        """Scores of the validation set; those of the first process, so that all draw the same conclusions."""
        self.bare.eval()
        scores = {}
        if self.group.rank == 0 or self.group.shares_weights:
            scores = self.validate(self.bare, self.budget)
        self.bare.train()
        return self.group.told(scores)

    def leave_at_best(self, state: State) -> None:
        if state.kept:
            self.group.fill(self.named, state.kept)
        self.group.settle(self.bare)
        self.bare.eval()

    def _restore(self, state: State) -> None:
        if state.scaling:
            scale, tracker = state.scaling
            self.scaler.load_state_dict({**self.scaler.state_dict(), "scale": scale, "_growth_tracker": tracker})
        if not state.moments:
            return
        for name, one in self.named.items():
            self.optimizer.state[one] = {
                "step": torch.tensor(float(state.step)),
                "exp_avg": self.group.like(state.moments[f"exp_avg/{name}"], one),
                "exp_avg_sq": self.group.like(state.moments[f"exp_avg_sq/{name}"], one),
            }
        state.moments = {}

    def tensors(self) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
        """Trained weights and moments of the optimizer, whole, on the CPU."""
        weights, moments = {}, {}
        for name, one in self.named.items():
            weights[name] = full(one).detach().cpu().contiguous()
            held = self.optimizer.state.get(one, {})
            for kind in ("exp_avg", "exp_avg_sq"):
                value = full(held[kind]) if kind in held else torch.zeros_like(weights[name])
                moments[f"{kind}/{name}"] = value.detach().cpu().contiguous()
        return weights, moments

    def _save(self, state: State) -> None:
        if self.scaler.is_enabled():
            scaler = self.scaler.state_dict()
            state.scaling = (scaler["scale"], scaler["_growth_tracker"])
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
            before = signal.getsignal(signal.SIGTERM)
            if before is not signal.SIG_IGN:  # the first process tells those that it started
                signal.signal(signal.SIGTERM, note)
        except ValueError:  # not in the main thread
            yield
            return
        try:
            yield
        finally:
            signal.signal(signal.SIGTERM, before)
