"""Many sequences from a causal model at once, each as if it were alone.

A fixed number of slots is computed together, one token a step. A slot whose sequence has ended gets the next one at
once, so that no step is wasted on what is finished, and memory depends on the slots, not on how many sequences there
are to be. What a prompt needs is computed once and copied into the slots of all sequences that go on from it::

    slot 0   A0 A1 A2 END │ D0 D1 D2 D3 …
    slot 1   B0 B1 B2 B3 B4 B5 END │ E0 …
    slot 2   C0 END │ F0 F1 F2 F3 F4 …
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from transformers.cache_utils import Cache, CacheLayerMixin

from seqlm.cli.errors import InputError

from .drawing import Drawing
from .finite import check_results
from .inference import out_of_memory

SHRINK = 0.5  # slots are given up once fewer than this share of them are at work


@dataclass(frozen=True)
class Job:
    """One sequence to be written: a prompt, by its number, and the seed of what is drawn."""

    prompt: int
    seed: int


@dataclass(frozen=True)
class Written:
    """One sequence.

    Attributes:
        ids: (tokens,) with the prompt; the token that ends it left out.
        complete: the model ended it, or a text to stop at was reached; otherwise it ran into a limit.
    """

    ids: np.ndarray
    complete: bool


@dataclass(frozen=True)
class Limits:
    """When a sequence ends.

    Attributes:
        ends: ids of the tokens that end it.
        max_tokens: with the prompt.
        stop: told the ids so far, the new one last, and the number of the prompt; answers None to go on, or whether the
            sequence is complete.
        first: of each prompt the ids that the first new token is one of, or None where it may be any; empty for all.
    """

    ends: tuple[int, ...]
    max_tokens: int
    stop: Callable[[list[int], int], bool | None] | None = None
    first: Sequence[np.ndarray | None] = ()


def sample(
    model: nn.Module,
    prompts: Sequence[np.ndarray],
    jobs: Sequence[Job],
    drawing: Drawing,
    limits: Limits,
    slots: int,
    progress: Callable[[int], None] = lambda tokens: None,
) -> Iterator[tuple[int, Written]]:
    """Write a sequence for each job; those that end first come first.

    Args:
        model: transformers' own class for causal language models, in evaluation mode, or two as one,
            :class:`seqlm.inference.guidance.Guided`.
        prompts: (tokens,) ids each, at least one token.
        jobs: in the order of their prompts, or a prompt is computed more than once.
        slots: how many sequences are computed together; halved where the memory does not suffice.
        progress: told how many tokens have been drawn.

    Yields:
        number of the job, what was written.

    Raises:
        InputError: a single sequence that does not fit into memory.
    """
    waiting, told = list(range(len(jobs))), 0
    while waiting:
        run = _Run(model, prompts, jobs, drawing, limits, min(slots, len(waiting)))
        done = set()
        try:
            for number, written in run.all(waiting, lambda tokens, before=told: progress(before + tokens)):
                done.add(number)
                yield number, written
        except (torch.OutOfMemoryError, RuntimeError) as problem:
            if not out_of_memory(problem):
                raise
            if slots == 1:
                raise InputError(
                    f"a sequence of {limits.max_tokens:,} tokens does not fit into memory; ask for shorter ones, or "
                    "take a smaller model"
                ) from None
            slots = max(1, min(slots, len(waiting)) // 2)
            print(f"note: the memory did not suffice; going on with {slots:,} sequences at once", file=sys.stderr)
        del run
        if model.device.type == "cuda":
            torch.cuda.empty_cache()
        told += sum(1 for _ in done)
        waiting = [number for number in waiting if number not in done]  # a seed of its own each, so nothing is lost


def layers_of(model: nn.Module) -> int:
    """How many layers keep keys and values."""
    return getattr(model, "kept_layers", None) or model.config.num_hidden_layers


class _Layer(CacheLayerMixin):
    """Keys and values of one layer, (slots, heads, tokens, width), each slot at a place of its own."""

    is_compileable = is_sliding = False

    def __init__(self, run: _Run):
        super().__init__()
        self.run = run

    def lazy_initialization(self, key_states, value_states) -> None:
        shape = (self.run.slots, key_states.shape[1], self.run.longest)
        self.keys = key_states.new_zeros(*shape, key_states.shape[3])
        self.values = value_states.new_zeros(*shape, value_states.shape[3])
        self.is_initialized = True

    def update(self, key_states, value_states, *_, **__):
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        run = self.run
        self.keys[run.rows, :, run.places] = key_states[:, :, 0]
        self.values[run.rows, :, run.places] = value_states[:, :, 0]
        return self.keys[:, :, : run.reach], self.values[:, :, : run.reach]

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        return self.run.reach, 0

    def get_seq_length(self) -> int:
        return self.run.reach - 1

    def get_max_length(self) -> int:
        return self.run.longest

    def select(self, kept: torch.Tensor) -> None:
        self.keys, self.values = self.keys[kept], self.values[kept]


class _Run:
    """Slots at work.

    Attributes:
        places: (slots,) where in its sequence the token stands that each slot reads next.
        reach: places that any slot has filled once this step is done.
        longest: places that a slot has.
    """

    def __init__(self, model, prompts, jobs, drawing: Drawing, limits: Limits, slots: int):
        self.model, self.prompts, self.jobs, self.drawing, self.limits = model, prompts, jobs, drawing, limits
        self.slots, self.longest = slots, limits.max_tokens
        self.device = model.device
        self.prompt, self.prefix = -1, []

    def all(self, waiting: list[int], progress: Callable[[int], None]) -> Iterator[tuple[int, Written]]:
        """Write the sequences of these jobs."""
        self.rows = torch.arange(self.slots, device=self.device)
        self.seeds = torch.zeros(self.slots, dtype=torch.long, device=self.device)
        self.history = torch.zeros(self.slots, self.longest + 1, dtype=torch.long, device=self.device)
        self.cache = Cache(layers=[_Layer(self) for _ in range(layers_of(self.model))])
        self.reach = self.longest
        self.first: dict[int, np.ndarray] = {}
        queue, drawn = iter(waiting), 0
        owners: list[int | None] = [None] * self.slots  # the job of each slot
        ids: list[list[int]] = [[] for _ in owners]
        self._fill(range(self.slots), owners, ids, queue)
        self.places = torch.tensor([len(one) - 1 for one in ids], device=self.device)
        while any(owner is not None for owner in owners):
            tokens = self._step(max(map(len, ids)))
            free = []
            for slot, token in enumerate(tokens):
                owner = owners[slot]
                if owner is None:
                    continue
                drawn += 1
                if (written := self._ended(ids[slot], token, self.jobs[owner].prompt)) is not None:
                    yield owner, written
                    owners[slot] = None
                    free.append(slot)
            if free:
                self._fill(free, owners, ids, queue)
                owners, ids = self._shrunk(owners, ids)
            self.places = torch.tensor([len(one) - 1 for one in ids], device=self.device)
            progress(drawn)

    def _ended(self, ids: list[int], token: int, prompt: int) -> Written | None:
        """What was written if this token, which is added to ``ids``, is the last one."""
        if token in self.limits.ends:
            return Written(np.asarray(ids, dtype=np.int64), complete=True)
        ids.append(token)
        complete = self.limits.stop(ids, prompt) if self.limits.stop else None
        if complete is None and len(ids) >= self.limits.max_tokens:
            complete = False
        return None if complete is None else Written(np.asarray(ids, dtype=np.int64), complete)

    @torch.inference_mode()
    def _step(self, reach: int) -> list[int]:
        """Read the last token of each slot, and draw the next."""
        self.reach = reach
        last = self.history.gather(1, self.places[:, None])
        mask = None
        if bool((self.places != reach - 1).any()):
            mask = (torch.arange(reach, device=self.device) <= self.places[:, None])[:, None, None]
        output = self.model(
            input_ids=last,
            attention_mask=mask,
            position_ids=self.places[:, None],
            past_key_values=self.cache,
            use_cache=True,
        )
        # what a slot has not read yet repeats its first token
        history = torch.where(
            torch.arange(reach, device=self.device) <= self.places[:, None],
            self.history[:, :reach],
            self.history[:, :1],
        )
        logits = output.logits[:, -1].float()
        check_results([logits])
        for slot, few in self.first.items():
            other = torch.ones_like(logits[slot], dtype=torch.bool)
            other[torch.from_numpy(few).to(self.device)] = False
            logits[slot].masked_fill_(other, -torch.inf)
        self.first = {}
        tokens = self.drawing.choose(logits, history, self.seeds, self.places + 1)
        self.history[self.rows, self.places + 1] = tokens
        return tokens.tolist()

    @torch.inference_mode()
    def _fill(self, free, owners: list, ids: list[list[int]], queue: Iterator[int]) -> None:
        """Give waiting jobs to free slots; a slot that gets none stays at its first place."""
        for slot in free:
            number = next(queue, None)
            if number is None:
                ids[slot] = [0]
                continue
            job = self.jobs[number]
            prompt = self.prompts[job.prompt]
            owners[slot], ids[slot] = number, prompt.tolist()
            if self.limits.first and (few := self.limits.first[job.prompt]) is not None:
                self.first[slot] = few
            self.seeds[slot] = job.seed
            self.history[slot, : len(prompt)] = torch.from_numpy(prompt).to(self.device)
            for layer, (keys, values) in zip(self.cache.layers, self._prefix(job.prompt), strict=False):
                if not layer.is_initialized:
                    layer.lazy_initialization(keys, values)
                layer.keys[slot, :, : keys.shape[2]] = keys[0]
                layer.values[slot, :, : values.shape[2]] = values[0]

    @torch.inference_mode()
    def _prefix(self, number: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """Keys and values of all tokens of a prompt but its last, for each layer; nothing if that is the only one."""
        if self.prompt != number:
            ids = torch.from_numpy(self.prompts[number][:-1]).to(self.device)[None]
            self.prefix = []
            if ids.shape[1]:
                found = self.model(input_ids=ids, use_cache=True, logits_to_keep=1).past_key_values
                self.prefix = [(layer.keys, layer.values) for layer in found.layers]
            self.prompt = number
        return self.prefix

    def _shrunk(self, owners: list, ids: list[list[int]]) -> tuple[list, list[list[int]]]:
        """Without the slots that have nothing to do, once these are many."""
        busy = [slot for slot, owner in enumerate(owners) if owner is not None]
        if not busy or len(busy) > SHRINK * self.slots:
            return owners, ids
        kept = torch.tensor(busy, device=self.device)
        self.first = {place: self.first[slot] for place, slot in enumerate(busy) if slot in self.first}
        self.slots = len(busy)
        self.rows = torch.arange(self.slots, device=self.device)
        self.seeds, self.history = self.seeds[kept], self.history[kept]
        for layer in self.cache.layers:
            if layer.is_initialized:
                layer.select(kept)
        return [owners[slot] for slot in busy], [ids[slot] for slot in busy]
