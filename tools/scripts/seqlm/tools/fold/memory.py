"""The memory and the time that folding takes, foreseen from the model's sizes and the lengths of the proteins.

In bytes, the language model and the rest of the weights in their number formats, and beside them what the longest
protein takes (:meth:`seqlm.tools.fold.architectures.Architecture.taken`), which grows with the square of its length.
Where that is too much, rows of pairs are computed some at a time; a protein that does not even then fit is left out.

On a CPU a job is refused that would take longer than a day, at a rate that was measured (benchmarks/RESULTS.md) and
says the order of magnitude.
"""

from __future__ import annotations

import math
import os
import sys
from argparse import Namespace

from seqlm.checkpoints.safetensors_header import Tensors
from seqlm.cli.errors import InputError
from seqlm.inference.fitting import GB, MARGIN, gb, millions
from seqlm.inference.machine import Machine, machine_of, machine_without_torch, used_at_most
from seqlm.inference.memory import BF16_SINCE, LIBRARIES, ON_A_GPU, SLACK

from .architectures import Architecture

RATE = 2e10  # floating-point operations a second that a core of a CPU does here
DAY = 24 * 3600.0


def weights_in(tensors: Tensors, architecture: Architecture) -> tuple[int, int]:
    """Numbers in the weights of the language model, and in all others."""
    language_model = others = 0
    for name, (_, shape) in tensors.items():
        if architecture.of_language_model(name):
            language_model += math.prod(shape)
        else:
            others += math.prod(shape)
    return language_model, others


def cores(arguments: Namespace) -> int:
    return arguments.threads or len(os.sched_getaffinity(0))


class Memory:
    """The memory of one job, a :class:`seqlm.tools.fold.inputs.Plan`, and how it is computed so that it fits.

    Attributes:
        machine: where it runs, once that is known.
        precision: of the language model, once that is known.
        expected: bytes, of the GPU where there is one.
        seconds: that folding is expected to take on a CPU.
    """

    def __init__(self, architecture: Architecture, language_model: int, others: int, arguments: Namespace):
        self.architecture, self.arguments = architecture, arguments
        self.language_model, self.others = language_model, others
        self.machine: Machine | None = None
        self.precision, self.expected, self.seconds = "", 0.0, 0.0
        self.samples = arguments.samples or architecture.samples

    def foresee(self, plan) -> None:
        """Refuse what cannot be done before torch is imported, where it is known that no GPU is used."""
        if (machine := machine_without_torch(self.arguments.device)) is not None:
            self.fit(plan, machine)

    def on(self, plan, device) -> None:
        """The same, fitted to a device of torch."""
        if self.machine is None or self.machine.kind != device.type:
            self.fit(plan, machine_of(device))

    def fit(self, plan, machine: Machine) -> None:
        """Choose the precision, and for each protein how many rows of pairs are computed at once.

        Raises:
            InputError: no protein fits, or a CPU would take longer than a day.
        """
        self.machine, self.precision = machine, self._precision(machine)
        if machine.kind == "cuda" and LIBRARIES + ON_A_GPU + self._weights > machine.memory:
            raise InputError(
                f"a model of {millions(self.language_model + self.others)} weights takes about {gb(self._weights)} GB "
                f"of the machine's memory on its way to the GPU, and the job may use {gb(machine.memory)} GB; ask for "
                "more memory"
            )
        wanted = [one for one in plan.proteins if not one.left_out]
        for one in wanted:
            chunk = self._chunk(len(one.sequence))
            if chunk is None:
                needed = self._needed(len(one.sequence), (0, *self.architecture.chunks)[-1])
                one.left_out = f"needs about {gb(needed)} GB of memory, and {machine.words} {gb(self._allowed)} GB"
            else:
                one.chunk = chunk
        fitting = plan.to_fold
        if not fitting:
            shortest = min(plan.proteins, key=lambda one: len(one.sequence))
            raise InputError(
                f"no protein can be folded; '{shortest.id}', the shortest, of {len(shortest.sequence):,} residues: "
                f"{shortest.left_out}; ask for more memory, or fold shorter proteins"
                if wanted
                else f"no protein can be folded; '{shortest.id}': {shortest.left_out}"
            )
        self.expected = max(self._needed(len(one.sequence), one.chunk) for one in fitting)
        if machine.kind == "cpu":
            self._check_time(plan)

    @property
    def _weights(self) -> float:
        return (4 if self.precision == "fp32" else 2) * self.language_model + 4 * self.others

    @property
    def _allowed(self) -> float:
        return self.machine.gpu if self.machine.kind == "cuda" else self.machine.memory

    def _needed(self, length: int, chunk: int) -> float:
        fixed = 0.0 if self.machine.kind == "cuda" else LIBRARIES
        return fixed + self._weights + SLACK * self.architecture.taken(length, chunk, self.samples)

    def _chunk(self, length: int) -> int | None:
        """Rows at once: all of them where that leaves a margin, else the most that do."""
        for chunk in (0, *self.architecture.chunks):
            if self._needed(length, chunk) <= MARGIN * self._allowed:
                return chunk
        return None

    def _precision(self, machine: Machine) -> str:
        """Of the language model.

        Raises:
            InputError: one that it is not computed in, or that the GPU does not have.
        """
        asked, halves = self.arguments.precision, self.architecture.halves
        if machine.kind == "cuda" and machine.capability < BF16_SINCE:
            halves = tuple(one for one in halves if one != "bf16")
        if asked == "auto":
            return "fp32" if machine.kind == "cpu" or not halves else halves[0]
        if asked not in ("fp32", *halves):
            can = " or ".join(("fp32", *halves))
            raise InputError(
                f"the language model of {self.architecture.name} is computed in {can} here, not in {asked}"
            )
        return asked

    def _check_time(self, plan) -> None:
        fitting, many = plan.to_fold, cores(self.arguments)
        work = sum(
            self.architecture.operations(len(one.sequence), plan.recycles, self.samples, self.language_model)
            for one in fitting
        )
        self.seconds = work / (RATE * many)
        if self.seconds > DAY and not self.arguments.allow_slow:
            longest = len(fitting[0].sequence)
            raise InputError(
                f"folding {len(fitting):,} protein{'s' * (len(fitting) > 1)} of up to {longest:,} residues would take "
                f"about {self.seconds / 3600:,.0f} hours on {many} core{'s' * (many > 1)} of a CPU ({work:.1e} "
                f"floating-point operations, at {RATE:.0e} a second for each core); send the job to a GPU, fold fewer "
                "or shorter proteins, or allow it (--allow-slow)"
            )

    def say(self) -> None:
        """One line on what was expected and what was used; on stderr alone, as it differs from run to run."""
        of = "GPU memory" if self.machine.kind == "cuda" else "memory"
        print(
            f"{of}: {self.expected / GB:.2f} GB expected, {used_at_most(self.machine) / GB:.2f} GB used at most, "
            f"{self._allowed / GB:.1f} GB allowed",
            file=sys.stderr,
        )
