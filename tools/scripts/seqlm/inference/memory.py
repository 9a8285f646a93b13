"""How much memory a job needs, told from config.json, the headers of the weights and the data, before any is taken.

What is expected, in bytes::

    on a CPU   LIBRARIES + weights + what is trained (gradient, two moments, the best state so far) + what is held
               + HEAP * (what a pass keeps for its backward pass + what it computes with)
    on a GPU   the same without libraries and the data that is held; SLACK in place of HEAP

A pass of B padded tokens in rows of n, through layers of width h and feed-forward width i, keeps of each token in each
layer that gradients pass what :meth:`Need.kept` says, a few dozen bytes for each of h and i. With checkpointing it is
the input of each layer, and all of one. Where no fused attention can be used, scores of (heads, n) numbers a token come
on top. Constants were chosen on two shapes of ESM-2 and looked at on others (benchmarks/memory.py). Needs no torch.

The heap of the C library keeps what is freed and is soon torn, so training takes nearly twice what is in use; where
that is too much, memory is given back at once (``exact``), which is slower and changes no number.
"""

from __future__ import annotations

import math
import os
from argparse import Namespace
from collections.abc import Iterable
from dataclasses import dataclass, replace

from seqlm.checkpoints.bundle import Bundle
from seqlm.checkpoints.folder import ModelFolder
from seqlm.checkpoints.safetensors_header import BITS, elements
from seqlm.cli.errors import InputError
from seqlm.families.family import Family

from .machine import Machine

# Padded tokens computed at once where memory suffices, by device, without and with training. On a CPU small passes are
# the fastest.
USUAL_TOKENS = {"cpu": (1024, 2048), "cuda": (16384, 4096)}
USUAL_SLOTS = {"cpu": 128, "cuda": 512}  # sequences written together
BYTES = {"fp32": 4, "bf16": 2, "fp16": 2}
BF16_SINCE = (8, 0)  # compute capability of the first GPUs with bf16
LIBRARIES = 0.49e9  # Python, torch, transformers, as they stand in memory
LEARNING = 0.10e9  # peft, scikit-learn and SciPy, and what baselines take at least
ON_A_GPU = 1e9  # of the memory of the machine, what CUDA and its libraries take at least; not measured
HEAP, EXACT, SLACK = 1.7, 1.15, 1.15  # what is taken, for what is in use: of the heap, given back at once, of a GPU
MAPPED = 1 << 25  # bytes of a tensor from which glibc gives it back at once by itself
IN_FOUR_BITS = 4.127 / 8  # bytes of a weight, section 3 of https://doi.org/10.48550/arXiv.2305.14314
STREAMED = 1 << 20  # letters of which tokens are held together, where sequences are streamed
OF_A_LETTER = 24  # bytes of its token, with all that is noted beside it
NOT_OF_ENCODER = (
    "decoder.", "lm_head", "cls.", "predictions.", "pooler", "esm.contact_head", "head.", "classifier.",
    "annotation_head.", "model.embeddings.annotation_embeddings.weight",
)  # fmt: skip


def usual_tokens(kind: str, training: bool = False) -> int:
    """Padded tokens that are computed at once on a device, ``cpu`` or ``cuda``, where memory does not matter."""
    return USUAL_TOKENS[kind][training]


def precision_for(requested: str, machine: Machine, family: Family, training: bool = False) -> str:
    """The number format to compute in, ``fp32``, ``bf16`` or ``fp16``; memory has no say in it, as results change.

    ``auto`` is fp32 on a CPU, where bf16 is slower without special instructions; bf16 on a GPU that has it; otherwise
    fp16 for predictions where the family's activations stay within its range, else fp32. Whether a GPU has bf16 is told
    from its compute capability: torch says yes of every GPU, as it can compute in fp32 what is bf16.

    Raises:
        InputError: fp16 of a family that overflows in it, bf16 on a GPU that has none.
    """
    half = half_for(machine, family)
    if requested == "fp16" and not family.half_precision_safe:
        raise InputError(f"{family.name} models overflow in fp16; use bf16 or fp32")
    if requested == "bf16" and machine.kind == "cuda" and machine.capability < BF16_SINCE:
        has = ".".join(map(str, machine.capability))
        raise InputError(
            f"this GPU (compute capability {has}) has no bf16; let the tool decide, or use {half or 'fp32'}"
        )
    if requested != "auto":
        return requested
    if machine.kind == "cpu" or (training and half == "fp16"):
        return "fp32"
    return half or "fp32"


def half_for(machine: Machine, family: Family) -> str:
    """The half precision that a machine has and a family stays finite in; empty where there is none."""
    if machine.kind == "cpu" or machine.capability >= BF16_SINCE:
        return "bf16"
    return "fp16" if family.half_precision_safe else ""


def weights_in(folder: ModelFolder, encoder: bool = True) -> tuple[int, int]:
    """Numbers of the weights that are loaded, and their bytes in the files.

    Args:
        encoder: the encoder alone, without decoder and heads.
    """
    tensors = {
        name: one for name, one in folder.tensors.items() if not (encoder and name.startswith(NOT_OF_ENCODER))
    } or folder.tensors
    return elements(tensors), sum(BITS[kind] * elements({"": (kind, shape)}) for kind, shape in tensors.values()) // 8


def beside(bundle: Bundle | None) -> int:
    """Bytes of the adapters and heads in a bundle, of all members of an ensemble, as they are put onto a model."""
    if bundle is None:
        return 0
    return 2 * sum(
        file.stat().st_size for kind in ("adapter", "head") for file in bundle.folder.glob(f"{kind}*.safetensors")
    )


@dataclass(frozen=True)
class Adapter:
    """What an adapter adds: maps of a layer that read the width, the attention and the feed-forward, and its rank."""

    wide: int
    attention: int
    inner: int
    rank: int = 8
    dropout: bool = True
    doubled: bool = False  # DoRA keeps what each map gives as well

    @classmethod
    def of(cls, family: Family, modules: str, rank: int, dropout: float, method: str = "lora") -> Adapter:
        """That of peft on ``modules``, a key of ``family.lora_modules``."""
        names = family.lora_modules.get("attention")
        inner = modules == "all-linear" or names is None
        if modules == "query-value" and names:
            wide, attention = len(family.lora_modules["query-value"]), 0
        else:
            wide, attention = (len(names) - 1, 1) if names else (0, 0)
        return cls(wide + inner, attention, int(inner), rank, dropout > 0, method == "dora")


@dataclass(frozen=True)
class Need:
    """What a job asks of a model: all numbers that its memory follows from.

    Attributes:
        weights, stored: numbers that are loaded, and their bytes in the files.
        longest: tokens of the longest row; item: those of the most that training cannot divide.
        most, update: padded tokens that can be computed at once at the most, without and with training; 0: any number.
        held: bytes of data and vectors that stay in the memory of the machine.
        logits: numbers of the vocabulary for each token, 0 where no head gives them.
        slot: bytes of each sequence that is being written, in fp32; slots: how many at once, or at most.
        single: the model is held in single precision, whatever is computed in.
        trains: gradients are computed, from layer ``first`` up, for ``trained`` numbers.
        whole: all weights are trained.
        four_bits: share of the weights held so.
        shared: processes share the weights out.
        checkpointing: was asked for; may_checkpoint: can be.
    """

    family: Family
    weights: int
    stored: int
    longest: int
    item: int = 0
    most: int = 0
    update: int = 0
    held: float = 0
    logits: int = 0
    slot: int = 0
    slots: int = 0
    single: bool = False
    trains: bool = False
    first: int = 0
    trained: int = 0
    whole: bool = False
    adapter: Adapter | None = None
    four_bits: float = 0.0
    processes: int = 1
    shared: bool = False
    checkpointing: bool = False
    may_checkpoint: bool = False

    def kept(self, tokens: int, precision: str, kind: str) -> float:
        """Bytes that one layer keeps of so many tokens for its backward pass, on ``cpu`` or ``cuda``."""
        return sum(size for size, _ in self._kept(tokens, precision, kind))

    def _kept(self, tokens: int, precision: str, kind: str) -> list[tuple[float, float]]:
        """The same in parts, with the bytes of each tensor of a part: of the widths, the feed-forward, the scores."""
        family, row = self.family, min(self.longest, tokens)
        wide, attended, inner = family.kept
        heads, width, across = family.heads, family.hidden_size, family.attention_width
        if self.whole:  # inputs of the linear maps
            wide, inner = wide + 12, inner + 4
        numbers = wide * width + attended * across + 16 * heads
        if self.adapter:
            noise = (8 if kind == "cpu" else 5) if self.adapter.dropout else 4
            maps = self.adapter.wide * width + self.adapter.attention * across
            ranks = 4 * self.adapter.rank * (self.adapter.wide + self.adapter.attention + self.adapter.inner)
            numbers += noise * maps + ranks + (8 * maps if self.adapter.doubled else 0)
            inner += noise * self.adapter.inner
        scores = 12 * heads * row if family.keeps_scores(kind) else 4 * row  # or the mask of padding alone
        scores *= family.attends
        half = precision != "fp32"  # what is added up and normalised stays as it is
        return [
            (tokens * numbers * (0.75 if half else 1), 4 * tokens * across),
            (tokens * inner * family.inner_width * (0.5 if half else 1), 4 * tokens * family.inner_width),
            (tokens * scores * (0.75 if half else 1), tokens * scores / 3),
        ]

    def _working(self, tokens: int, precision: str) -> list[tuple[float, float]]:
        """Bytes that a pass of so many tokens computes with, one layer after the other, in parts as above."""
        family, row = self.family, min(self.longest, tokens)
        across = max(family.hidden_size, family.attention_width)
        size, (wide, inner) = tokens * BYTES["fp32" if self.single else precision], family.working
        return [
            (size * numbers * many, size * numbers)
            for many, numbers in (
                (wide, across),
                (inner, family.inner_width),
                (family.numbers_of_pair, family.heads * row),
            )
        ]

    def passing(
        self, tokens: int, precision: str, kind: str, training: bool, checkpointing: bool, exact: bool = False
    ) -> float:
        """Bytes that a pass of so many tokens takes of the machine's memory, or of a GPU's."""
        parts = self._working(tokens, precision)
        if self.logits:
            parts.append((tokens * self.logits * (16 if training else 12), 4 * tokens * self.logits))
        if training:
            layers = self.family.depth - self.first
            if checkpointing:
                parts.append((layers * tokens * 4 * self.family.hidden_size, 4 * tokens * self.family.hidden_size))
            # a layer that is computed again is so by another thread, which has a heap of its own
            many = (2 if kind == "cpu" and not exact else 1) if checkpointing else layers
            parts += [(many * size, tensor) for size, tensor in self._kept(tokens, precision, kind)]
            if precision != "fp32":  # weights in half precision, which products with gradients need again
                again = 1 if checkpointing else layers
                parts.append((2 * self.weights * again / self.family.depth, 0))
        if kind == "cuda":
            return SLACK * sum(size for size, _ in parts)
        return sum(size * (EXACT if exact or tensor >= MAPPED else HEAP) for size, tensor in parts)

    def weighing(self, precision: str, training: bool) -> float:
        """Bytes of the weights, and in training of what is trained beside or among them."""
        if not self.trains:
            return self._loaded(precision)
        small = self.weights * self.four_bits
        frozen = 4 * (self.weights - small) + IN_FOUR_BITS * small
        return frozen + self.trained * ((0 if self.whole else 4) + (12 if training else 0))

    def on_machine(
        self, tokens: int, precision: str, training: bool, checkpointing: bool, exact: bool, mapped: bool = False
    ) -> float:
        """Bytes of the machine's memory at the most, where the model is computed there.

        Args:
            mapped: with the files that lie in memory while they are made into another number format. They count as
                used, and give way where memory is short.
        """
        passing = self.passing(tokens, precision, "cpu", training, checkpointing, exact)
        taken = self.weighing(precision, training) + passing + self._writing(precision)
        loading = self._loaded(precision)
        if mapped and loading != self.stored:
            loading += self.stored
        return self._fixed(training) + max(loading, taken)

    def beside_gpu(self, precision: str) -> float:
        """Bytes of the machine's memory at the most, where the model is computed on a GPU."""
        return self._fixed(self.trains) + ON_A_GPU + self._loaded(precision)

    def on_gpu(self, tokens: int, precision: str, training: bool, checkpointing: bool) -> float:
        """Bytes of the GPU's memory at the most, without what CUDA takes for itself."""
        weighing = self.weighing(precision, training) / (self.processes if self.shared and training else 1)
        return weighing + self.passing(tokens, precision, "cuda", training, checkpointing) + self._writing(precision)

    def _fixed(self, training: bool) -> float:
        """Libraries, data, and of what is trained the best state so far."""
        return LIBRARIES + self.held + (4 * self.trained if training else 0)

    def _writing(self, precision: str) -> float:
        """What is kept of the sequences that are being written."""
        return self.slots * self.slot * BYTES[precision] / 4

    def _loaded(self, precision: str) -> float:
        """Bytes of the model as it is loaded."""
        return self.weights * (4 if self.single else BYTES[precision])

    def computed(self, tokens: int, training: bool) -> int:
        """Padded tokens of the largest pass, where so many are allowed."""
        if training:
            return max(min(tokens, self.update or tokens), self.item, self.longest)
        return max(min(tokens, self.most or tokens), self.longest)

    def shortened(self, longest: int) -> Need:
        """The same job with rows of at most so many tokens."""
        return replace(self, longest=min(self.longest, longest), item=min(self.item, longest))

    def smaller(self, share: float) -> Need:
        """The same job with a model of fewer layers and so many fewer weights."""
        depth = self.family.depth
        return replace(
            self,
            weights=int(share * self.weights),
            stored=int(share * self.stored),
            trained=int(share * self.trained),
            first=depth - round(share * (depth - self.first)),
        )


@dataclass(frozen=True)
class Rows:
    """Rows of tokens as an encoder makes them of sequences of known lengths.

    Attributes:
        longest: tokens of the longest row; item: of all rows of one sequence, padded, of the sequence that has most.
        total: of all.
        largest: of each sequence, the most first.
    """

    longest: int
    item: int
    total: int
    largest: tuple[int, ...]

    @classmethod
    def of(cls, lengths: Iterable[int], family: Family, max_length: int, windows: bool = True) -> Rows:
        """Of sequences of so many letters, of which each is a token at the most."""
        special, stride = len(family.prefix) + len(family.suffix), max(1, max_length - max_length // 4)
        found = []
        for letters in lengths:
            rows = 1 + (math.ceil((letters - max_length) / stride) if windows and letters > max_length else 0)
            found.append((rows, min(letters, max_length) + special))
        sizes = sorted((rows * width for rows, width in found), reverse=True)
        return cls(max(width for _, width in found), sizes[0], sum(sizes), tuple(sizes))


def adapted_numbers(family: Family, adapter: Adapter, layers: int) -> int:
    """Numbers of a LoRA adapter on so many layers: of each map its rank times what goes in and what comes out."""
    width, across, inner = family.hidden_size, family.attention_width, family.inner_width
    each = adapter.wide * (width + across) + adapter.attention * (across + width) + adapter.inner * (inner + width)
    return layers * adapter.rank * each


def processes_here(arguments: Namespace) -> int:
    """Processes on this machine that take part in a training."""
    return max(arguments.processes, int(os.environ.get("LOCAL_WORLD_SIZE") or 1))
