"""How a job is computed so that it fits into the memory it has: tokens at once, checkpointing, or a refusal that says
what would fit. Where memory suffices nothing is chosen otherwise than usual. Needs torch only to ask a GPU.

What is tried, one after the other, until what is expected fits::

    the usual tokens ─► half of them, and half of these … ─► the same with checkpointing
                     ─► on a CPU, freed memory is given back at once ─► refused
"""

from __future__ import annotations

import ctypes
import os
import sys
from argparse import Namespace
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache

from seqlm.cli.errors import InputError

from .machine import GB, Machine, machine_of, machine_without_torch, slow_in_bf16, used_at_most
from .memory import USUAL_SLOTS, Adapter, Need, half_for, precision_for, usual_tokens

MARGIN = 0.9  # of the memory, that is planned with
GIVEN_BACK = 1 << 20  # bytes; where memory is short, what is larger goes back to the machine when it is freed
SHARES = (0.75, 0.5, 0.25, 0.1, 0.05, 0.02, 0.01)  # of the weights, that smaller models are tried with


@dataclass(frozen=True)
class Setting:
    """How passes are computed; ``exact``: freed memory is given back at once."""

    tokens: int
    checkpointing: bool = False
    exact: bool = False


class Memory:
    """The memory of one job: what it needs, what there is, and how it is computed so that it fits.

    Args:
        asked: the options of the job: ``device``, ``precision`` and ``batch_tokens``.

    Attributes:
        need: what the job asks of the model.
        machine: where it runs, once that is known.
        reading, training: how passes without and with gradients are computed.
        slots: sequences that are written together.
        expected: bytes, of the GPU where there is one.
    """

    def __init__(self, need: Need, asked: Namespace):
        self.need, self.asked, self.slots = need, asked, need.slots
        self.machine: Machine | None = None
        self.reading = self.training = Setting(0)
        self.expected = 0.0

    def foresee(self) -> None:
        """Refuse what does not fit before torch is imported, where it is known that no GPU is used.

        Raises:
            InputError: with what would fit.
        """
        if (machine := machine_without_torch(self.asked.device)) is not None:
            self.fit(machine)

    def on(self, device) -> Memory:
        """The same, fitted to a device of torch."""
        if self.machine is None or self.machine.kind != device.type:
            self.fit(machine_of(device))
        if self.reading.exact or self.training.exact:
            _give_back()
        return self

    def tokens(self, training: bool = False) -> int:
        """Padded tokens that a pass may have; of a training without gradients through the model those of reading."""
        return (self.training if training and self.need.trains else self.reading).tokens

    @property
    def checkpointing(self) -> bool:
        """Whether activations are computed twice in training, as was asked for or as memory is short."""
        return self.training.checkpointing

    @property
    def allowed(self) -> float:
        """Bytes that this process may use, of the memory that decides."""
        return self.machine.gpu if self.machine.kind == "cuda" else self._own

    @property
    def _own(self) -> float:
        """Bytes of the machine's memory that each of the processes may use."""
        return self.machine.memory / max(1, self.need.processes)

    @property
    def _there_is(self) -> str:
        """What may be used, as part of a sentence."""
        shared = self.machine.kind == "cpu" and self.need.processes > 1
        return f"{self.machine.words} {gb(self.allowed)} GB" + f" for each of {self.need.processes} processes" * shared

    def fit(self, machine: Machine) -> None:
        """Choose tokens, checkpointing and slots.

        Raises:
            InputError: what does not fit, with what would.
        """
        self.machine = machine
        if machine.kind == "cuda":
            self._check_own()
        if self.need.slots:
            self.slots = self._slots()
        kinds = [(False, "reading")]
        if self.need.trains:
            kinds.insert(0, (True, "training"))
        for training, name in kinds:
            setattr(self, name, self._chosen(training))
        self.expected = max(self._expected(getattr(self, name), one, self._now, mapped=True) for one, name in kinds)

    @property
    def _now(self) -> Need:
        return replace(self.need, slots=self.slots)

    def _expected(
        self, setting: Setting, training: bool, need: Need, precision: str = "", mapped: bool = False
    ) -> float:
        """Bytes of the memory that decides; ``mapped`` as of :meth:`seqlm.inference.memory.Need.on_machine`."""
        precision = precision or precision_for(self.asked.precision, self.machine, need.family, training)
        tokens = need.computed(setting.tokens, training)
        if self.machine.kind == "cuda":
            return need.on_gpu(tokens, precision, training, setting.checkpointing)
        return need.on_machine(tokens, precision, training, setting.checkpointing, setting.exact, mapped)

    def _settings(self, training: bool, need: Need) -> Iterator[Setting]:
        """Ways to compute a pass, the usual first, then what takes less and less."""
        sizes, ways = self._sizes(training, need), [need.checkpointing]
        if training and need.may_checkpoint and not need.checkpointing:
            ways.append(True)
        yield from (Setting(tokens, way) for way in ways for tokens in sizes)
        if self.machine.kind == "cpu":
            yield Setting(sizes[-1], ways[-1], exact=True)

    def _sizes(self, training: bool, need: Need) -> list[int]:
        """Numbers of tokens that may be computed at once, each half of the one before or less."""
        auto, least = self.asked.batch_tokens == "auto", need.computed(1, training)
        sizes = [usual_tokens(self.machine.kind, training) if auto else int(self.asked.batch_tokens)]
        size = sizes[0] if auto or self.machine.kind == "cuda" else 0  # which halves what does not fit anyway
        while size > 1 and need.computed(sizes[-1], training) > least:
            size //= 2
            if need.computed(size, training) < need.computed(sizes[-1], training):
                sizes.append(size)
        return sizes

    def _fitting(self, training: bool, need: Need, precision: str = "") -> Setting | None:
        """The first setting that leaves a margin, or else the one that takes least, if that fits."""
        settings = list(self._settings(training, need))
        taken = [self._expected(one, training, need, precision) for one in settings]
        for setting, expected in zip(settings, taken, strict=True):
            if expected <= MARGIN * self.allowed:
                return setting
        least = taken.index(min(taken))
        return settings[least] if taken[least] <= self.allowed else None

    def _chosen(self, training: bool) -> Setting:
        need = self._now
        if (found := self._fitting(training, need)) is None:
            self._refuse(training, need)
        self._tell(found, next(self._settings(training, need)), training)
        return found

    def _check_own(self) -> None:
        """Refuse a model that the machine's own memory cannot hold on its way to the GPU."""
        if (
            needed := self.need.beside_gpu(precision_for(self.asked.precision, self.machine, self.need.family))
        ) > self._own:
            words = "this job has" if self.machine.words == "the GPU has" else self.machine.words
            raise InputError(
                f"a model of {millions(self.need.weights)} weights takes about {gb(needed)} GB of the machine's memory "
                f"on its way to the GPU, and {words} {gb(self._own)} GB; choose a smaller model, or ask for more memory"
            )

    def _slots(self) -> int:
        """Sequences that can be written together."""
        need, asked = replace(self.need, slots=0), self.asked.batch_tokens
        usual = USUAL_SLOTS[self.machine.kind] if asked == "auto" else max(1, int(asked) // self.need.longest)
        usual = min(usual, self.need.slots)
        rest = MARGIN * self.allowed - self._expected(Setting(1, exact=True), False, need)
        fits = max(1, min(usual, int(rest / self.need.slot)))
        if fits < usual:
            _note(f"{usual:,} sequences at once do not fit into memory; {fits:,} are written together")
        return fits

    def _tell(self, found: Setting, usual: Setting, training: bool) -> None:
        """A line on what is done otherwise than usual."""
        done = []
        if found.tokens != usual.tokens:
            done.append(f"{found.tokens:,} tokens are computed at once in place of {usual.tokens:,}")
        if found.checkpointing and not usual.checkpointing:
            done.append("activations are computed twice and not kept (gradient checkpointing)")
        if found.exact and not usual.exact:
            done.append("freed memory is given back at once")
        if done:
            what = "training" if training else "reading"
            _note(f"{self._there_is}, so in {what} {', '.join(done)}; that takes more time")

    def _refuse(self, training: bool, need: Need) -> None:
        expected = min(self._expected(one, training, need) for one in self._settings(training, need))
        raise InputError(
            f"{'training' if training else 'reading sequences'} with a model of {millions(need.weights)} weights, in "
            f"rows of up to {need.longest:,} tokens, needs about {gb(expected)} GB of memory, and {self._there_is}; "
            f"{', or '.join([*self._would_fit(training, need), 'ask for more memory'])}"
        )

    def _would_fit(self, training: bool, need: Need) -> Iterator[str]:
        """What can be done, each tried by the same formula."""
        usual = Memory(need, Namespace(**{**vars(self.asked), "batch_tokens": "auto"}))
        usual.machine = self.machine
        if self.asked.batch_tokens != "auto" and usual._fitting(training, need):
            yield "leave the tokens at once at auto (--batch-tokens)"
        alone = Memory(replace(need, processes=1), self.asked)
        alone.machine = self.machine
        if need.processes > 1 and alone._fitting(training, alone.need):
            yield "train with one process (--processes 1)"
        if training:
            lora = replace(need, whole=False, trained=0, adapter=need.adapter or Adapter(3, 1, 0))
            last = replace(lora, first=max(need.first, need.family.depth - 2))
            if need.whole and self._fitting(True, lora):
                yield "train an adapter (--method lora)"
            elif last.first > need.first and self._fitting(True, last):
                yield "train an adapter on the last two layers (--method lora --lora-last-layers 2)"
        elif (half := half_for(self.machine, need.family)) and self._fitting(False, need, half):
            slow = self.machine.kind == "cpu" and slow_in_bf16()
            yield f"compute in half precision (--precision {half}{', slowly on this CPU' * slow})"
        for length in (1024, 512, 256, 128):
            if length < need.longest and self._fitting(training, need.shortened(length)):
                yield f"read at most {length - 4:,} tokens at once (the maximal length, or the context)"
                break
        for share in SHARES:
            if self._fitting(training, need.smaller(share)):
                yield f"take a model of up to {millions(share * need.weights)} weights"
                break

    def say(self) -> None:
        """One line on what was expected and what was used; on stderr alone, as it differs from run to run."""
        of = "GPU memory" if self.machine.kind == "cuda" else "memory"
        print(
            f"{of}: {self.expected / GB:.2f} GB expected, {used_at_most(self.machine) / GB:.2f} GB used at most, "
            f"{self.allowed / GB:.1f} GB allowed",
            file=sys.stderr,
        )


@cache  # folds and tries of a sweep each have a memory of their own
def _note(text: str) -> None:
    print(f"note: {text}", file=sys.stderr)


@cache
def _give_back() -> None:
    """Have what is freed given back to the machine, by this process and those that it starts: the heap of glibc keeps
    it, and is soon torn, so that training takes nearly twice what is in use. No number changes."""
    os.environ["MALLOC_MMAP_THRESHOLD_"] = str(GIVEN_BACK)
    with suppress(AttributeError, OSError):  # another C library, which has no such heap
        ctypes.CDLL(None).mallopt(-3, GIVEN_BACK)  # M_MMAP_THRESHOLD


def gb(size: float) -> str:
    return f"{size / GB:,.1f}"


def millions(weights: float) -> str:
    """A number of weights in words, such as ``8 million``."""
    if weights < 1e6:
        return f"{weights:,.0f}"
    return f"{weights / 1e6:,.1f} million" if weights < 9.95e6 else f"{weights / 1e6:,.0f} million"
