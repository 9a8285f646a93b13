"""From files to a model that runs: the encoder by transformers' own class, the adapter by peft, our head on top."""

from __future__ import annotations

import copy
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch import nn

from seqlm.checkpoints.bundle import Bundle
from seqlm.checkpoints.folder import ModelFolder, read_config
from seqlm.checkpoints.manifest import reading_of
from seqlm.checkpoints.members import ADAPTER_WEIGHTS, HEAD, member_file
from seqlm.cli.errors import InputError
from seqlm.cli.starting import libraries_are_loaded
from seqlm.cli.text import shown
from seqlm.families.family import Family
from seqlm.families.recognition import code_named, recognise
from seqlm.models import esm_masked
from seqlm.tokenization.encoder import Encoder
from seqlm.tokenization.structures import Structures

from .adapters import adapter_tensors, load_adapter, other_adapter
from .batching import Batch
from .entering import begun, blocks_of, states_given
from .finite import check_results, check_weights
from .four_bits import say_full_precision
from .machine import NO_GPU, Machine, say_slow_bf16, slow_in_bf16, why_no_gpu
from .memory import precision_for
from .tasks import Head, Task, pair_width, paired

MOST_BUFFERS = 1 << 25  # numbers that a model may hold beside its weights, such as those of its positions
HEADS = ("lm_head", "classifier", "score", "cls")  # what stands on an encoder, and changes nothing in it


class _Reached(Exception):
    """The last layer that is wanted has been reached; what the others would give is never computed."""


class SequenceModel(nn.Module):
    """Encoder, the vector of each unit, head. A unit is a sequence, a residue or a pair, as the task says.

    Attributes:
        backbone: the encoder, as transformers or peft made it.
        head: maps vectors of units to outputs; None where only the vectors are wanted.
        layers: numbers of the layers whose mean is the vector of a token, 0 for the embedding of the tokens; empty for
            the last.
        family: knows where the layers are and what they hand on; needed for ``layers`` and ``first``.
        first: number of the lowest layer that is trained. Below it nothing is dropped at random in training, as what
            enters it may be known already; 0 where all is trained or nothing.
        members: of an ensemble, what takes turns: adapters (None where there are none) and heads.
    """

    def __init__(
        self,
        backbone: nn.Module,
        hidden_size: int,
        head: Head | None = None,
        task: Task | None = None,
        layers: tuple[int, ...] = (),
        family: Family | None = None,
        first: int = 0,
    ):
        super().__init__()
        self.backbone, self.head, self.hidden_size, self.task = backbone, head, hidden_size, task
        self.layers, self.family, self.first = layers, family, first
        self.members: list[tuple[dict[str, torch.Tensor] | None, Head]] = []

    @property
    def device(self) -> torch.device:
        return next(self.backbone.parameters()).device

    @property
    def parts(self) -> list[nn.Module]:
        """What is called by itself."""
        return [self.backbone, self.head]

    def train(self, mode: bool = True) -> SequenceModel:
        super().train(mode)
        if mode and self.first:
            self.backbone.eval()
            blocks_of(self.backbone, self.family.layers)[self.first :].train()
        return self

    def hidden(self, batch: Batch) -> torch.Tensor:
        """Vector of every token, (rows, tokens, hidden), fp32."""
        if self.layers:
            return self._mean_of_layers(batch)
        known = batch.entering is not None
        with begun(self.backbone, self.family, self.first, batch.entering) if known else nullcontext():
            return self.backbone(input_ids=batch.ids, attention_mask=batch.mask).last_hidden_state.float()

    def _mean_of_layers(self, batch: Batch) -> torch.Tensor:
        """The mean over the wanted layers, of which only the sum is ever held."""
        total = None

        def add(states: torch.Tensor) -> None:
            nonlocal total  # a copy, since a layer may write into what it was given
            total = states.to(torch.float32, copy=True) if total is None else total.add_(states)

        self.on_the_way(batch, add)
        return total.div_(len(self.layers))

    def on_the_way(self, batch: Batch, take: Callable[[torch.Tensor], None]) -> None:
        """Give the output (rows, tokens, hidden) of each wanted layer to ``take``, one after the other, upwards.

        What layer n - 1 hands to layer n is the output of n layers; after the last it is normalised as well.
        """
        passed = 0

        def before(_, arguments: tuple, keywords: dict) -> None:
            nonlocal passed
            if passed in self.layers:
                states = states_given(arguments, keywords)
                take(states.transpose(0, 1) if self.family.tokens_first else states)
                if passed == max(self.layers):
                    raise _Reached
            passed += 1

        blocks = blocks_of(self.backbone, self.family.layers)
        hooks = [block.register_forward_pre_hook(before, with_kwargs=True) for block in blocks]
        try:
            take(self.backbone(input_ids=batch.ids, attention_mask=batch.mask).last_hidden_state)
        except _Reached:
            pass
        finally:
            for hook in hooks:
                hook.remove()

    def weighted_sums(self, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        """Sum of weight times vector over the tokens of each row, (rows, hidden), and of the weights, (rows,)."""
        # a product of matrices; padding has weight 0, and whatever stands there is finite
        return torch.einsum("rth,rt->rh", self.hidden(batch), batch.weights), batch.weights.sum(1)

    def maxima(self, batch: Batch) -> torch.Tensor:
        """The largest value of each dimension over the tokens of each row that count, (rows, hidden)."""
        return self.hidden(batch).masked_fill(batch.weights[..., None] == 0, -torch.inf).amax(1)

    @torch.no_grad()
    def turns(self, only: int | None = None) -> Iterator[bool]:
        """Become one member of the ensemble after the other; a model that is none is its only member.

        Args:
            only: the place of the one member that is wanted.

        Yields:
            whether the encoder is another one than before, and its vectors with it.
        """
        wanted = range(len(self.members)) if only is None else [only]
        if not self.members:
            yield True
            return
        for number, place in enumerate(wanted):
            adapter, self.head = self.members[place]
            if adapter:
                for name, tensor in adapter_tensors(self.backbone).items():
                    tensor.copy_(adapter[name])
            object.__setattr__(self, "spare", None)  # the copy on the CPU, of an earlier member
            yield number == 0 or adapter is not None

    def copy_on_cpu(self) -> SequenceModel:
        """The same model in fp32 in the memory of the CPU."""
        return copied_on_cpu(self)

    def pool(self, batch: Batch) -> torch.Tensor:
        """(sequences, hidden): the weighted mean over all windows of each sequence."""
        if batch.pooled is not None:
            return batch.pooled
        sums, totals = self.weighted_sums(batch)
        pooled = sums.new_zeros(batch.sequences, sums.shape[1]).index_add(0, batch.owners, sums)
        weight = totals.new_zeros(batch.sequences).index_add(0, batch.owners, totals)
        return pooled / weight[:, None]

    def residues(self, batch: Batch) -> torch.Tensor:
        """(residues, hidden): every residue of positive weight of every row, row by row."""
        if batch.pooled is not None:
            return batch.pooled
        if torch.is_inference_mode_enabled() and not self.layers and batch.entering is None:
            model = self.encoder_alone
            if (places := esm_masked.few_places(model, batch)) is not None:
                return esm_masked.states(model, batch.ids, places).flatten(0, 1)
        return self.hidden(batch)[batch.weights > 0]

    @property
    def encoder_alone(self) -> torch.nn.Module:
        """The backbone without what peft puts around it; its layers have the adapter in them."""
        return self.backbone.get_base_model() if hasattr(self.backbone, "get_base_model") else self.backbone

    def units(self, batch: Batch) -> torch.Tensor:
        """(units, inputs of the head)."""
        if self.task.level == "residue":
            return self.residues(batch)
        pooled = self.pool(batch)
        if self.task.level == "sequence":
            return pooled
        second = pooled[batch.pairs[:, 1]] if batch.second is None else batch.second
        return paired(pooled[batch.pairs[:, 0]], second, self.head.pairs)

    def forward(self, batch: Batch) -> torch.Tensor:
        return self.head(self.units(batch))

    @torch.inference_mode()
    def outputs(self, vectors: torch.Tensor) -> torch.Tensor:
        """Outputs (units, outputs) on the CPU from the vectors of units (units, inputs).

        Raises:
            InputError: outputs that are no finite numbers.
        """
        outputs = self.head(vectors.to(self.head.shift.device)).float().cpu()
        check_results([outputs])
        return outputs

    def decode(self, outputs: torch.Tensor) -> np.ndarray:
        """Probabilities (units, classes) or values (units,) from outputs (units, outputs)."""
        return self.task.decode(outputs, float(self.head.shift), float(self.head.scale))


def copied_on_cpu(model: nn.Module) -> nn.Module:
    """The same model in fp32 in the memory of the CPU, made without any of the GPU's."""
    tensors = [*model.parameters(), *model.buffers()]
    there = {
        id(tensor): nn.Parameter(moved, requires_grad=False) if isinstance(tensor, nn.Parameter) else moved
        for tensor in tensors
        for moved in [tensor.detach().to("cpu", torch.float32 if tensor.is_floating_point() else tensor.dtype)]
    }
    return copy.deepcopy(model, there)


def prepare(threads: int, seed: int, device: str) -> torch.device:
    """Set the threads and the seed, and choose the device.

    Raises:
        InputError: a GPU that was asked for and is not there, or that torch cannot use.
    """
    if threads:
        torch.set_num_threads(threads)
    torch.manual_seed(seed)
    # torch.use_deterministic_algorithms does this and imports the compiler to tell it as well; nothing is compiled here
    torch.set_deterministic_debug_mode("warn")
    for module in ("torch", "transformers", "peft", "accelerate"):  # notes to developers, nothing a user can act on
        warnings.filterwarnings("ignore", module=module)
    if device == "cpu" or not (reason := why_no_gpu()):
        return torch.device("cpu" if device == "cpu" else "cuda")
    if device == "cuda":
        raise InputError(f"{reason}; choose the CPU or let the tool decide")
    if reason != NO_GPU:
        print(f"note: {reason}, so that everything is computed on the CPU", file=sys.stderr)
    return torch.device("cpu")


def precision_of(requested: str, device: torch.device, family: Family, training: bool = False) -> torch.dtype:
    """The number format to compute in, as :func:`seqlm.inference.memory.precision_for` has it."""
    capability = torch.cuda.get_device_capability(device) if device.type == "cuda" else (0, 0)
    chosen = precision_for(requested, Machine(device.type, 0, capability=capability), family, training)
    if chosen == "bf16" and device.type == "cpu" and slow_in_bf16():
        say_slow_bf16()
    return {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[chosen]


def load_backbone(folder: Path, family: Family, dtype: torch.dtype, device: torch.device) -> nn.Module:
    """The encoder of a Hugging Face folder, from safetensors only.

    Raises:
        InputError: weights that are missing or do not fit the configuration.
    """
    return load_weights(family.load, folder, dtype, device)


def load_weights(
    load: Callable, folder: Path, dtype: torch.dtype, device: torch.device, *, mixed: bool = False
) -> nn.Module:
    """What ``load``, a method of a family, makes of a Hugging Face folder: frozen, on the device, ready to run.

    Args:
        mixed: the number formats of its parts are left as they are.

    Raises:
        InputError: weights that are missing, do not fit the configuration, or are no numbers.
    """
    from transformers.utils import logging

    libraries_are_loaded()
    logging.disable_progress_bar()
    logging.set_verbosity_error()  # its table of what is missing and unused: both are said below, in a line each
    options = {
        "dtype": dtype,
        "attn_implementation": "sdpa",
        "use_safetensors": True,
        "local_files_only": True,
        "trust_remote_code": False,
        "ignore_mismatched_sizes": True,  # they are named by _check_complete
        "output_loading_info": True,
    }
    try:
        # before any room is taken, as a config.json may describe what no memory can hold: sizes come from headers alone
        _check_complete(*load(folder, device_map="meta", **options), folder)
        backbone, info = load(folder, **options)
        _check_complete(backbone, info, folder)
    except InputError:
        raise
    except torch.OutOfMemoryError:
        raise InputError("the model does not fit into the memory of the GPU; choose a smaller model") from None
    except Exception as problem:  # a config that makes no sense fails in transformers in a dozen ways
        reason = next(iter(str(problem).splitlines()), type(problem).__name__)
        raise InputError(f"the model in {folder.name} cannot be loaded: {reason}") from None
    prefix = f"{backbone.base_model_prefix}."
    _say_unused(folder.name, tuple(sorted({name.removeprefix(prefix) for name in info["unexpected_keys"]})))
    vars(backbone.config).pop("auto_map", None)  # or the names of code would be saved with what is trained
    backbone.requires_grad_(False)
    backbone = (backbone.to(device) if mixed else placed(backbone, device, dtype)).eval()
    in_format = "" if dtype == torch.float32 else f", in {str(dtype).removeprefix('torch.')},"
    check_weights(backbone.named_parameters(), f"the model in {folder.name}{in_format}")
    return backbone


def on_meta(load: Callable, folder: Path) -> nn.Module:
    """What ``load`` makes of a folder that was loaded before, without any of its numbers."""
    return load(folder, device_map="meta", local_files_only=True, use_safetensors=True)


def _check_complete(model: nn.Module, info: dict, folder: Path) -> None:
    """Compare what config.json describes with the weights that are there.

    Where config.json names code for the model, the class that takes its place must have one for every tensor: what is
    left over, heads aside, says that the code computes something else.

    Raises:
        InputError: weights that are missing, of another shape, or left over.
    """
    missing = sorted(name for name in info["missing_keys"] if "position_ids" not in name)
    mismatched = [str(entry[0]) for entry in info["mismatched_keys"]]
    code = code_named(read_config(folder, folder.name))
    over = sorted(name for name in info["unexpected_keys"] if name.split(".")[0] not in HEADS)
    if code and not type(model).__module__.startswith("seqlm.") and (missing or mismatched or over):
        raise InputError(
            f"the model in {folder.name} is code of its authors ({code}), which is never run, and is not what "
            f"transformers has of its type: {len(missing)} weights are missing there, {len(mismatched)} have another "
            f"shape and {len(over)} no place ({', '.join((missing + mismatched + over)[:3])})"
        )
    if missing or mismatched:
        named = ", ".join((missing + mismatched)[:3])
        raise InputError(
            f"the model in {folder.name} is incomplete: {len(missing)} weights are missing and {len(mismatched)} have "
            f"another shape than its config.json says ({named}); fetch it again"
        )
    if (size := sum(buffer.numel() for buffer in model.buffers())) > MOST_BUFFERS:
        raise InputError(f"config.json in {folder.name} asks for {size:,} numbers beside the weights; it is damaged")


@cache  # training loads a model several times
def _say_unused(model: str, names: tuple[str, ...]) -> None:
    """A line on tensors of a file that are no part of what is loaded: most often the head for tokens."""
    if names:
        parts = ", ".join(sorted({name.split(".")[0] for name in names})[:3])
        print(f"note: weights in {model} that are not used here: {len(names)} ({shown(parts, 80)})", file=sys.stderr)


def placed(backbone: nn.Module, device: torch.device, dtype: torch.dtype) -> nn.Module:
    """All weights in one number format, on the device, but for modules that the architecture keeps in single precision.

    Not the buffers, as ``.to(dtype)`` would have it: the frequencies of rotary positions need single precision, or
    tokens some hundred positions into a sequence stand at the wrong place. But for VeRA's random matrices, which peft
    holds as buffers and multiplies by what is in the number format of the weights.
    """
    shared = [buffer for name, buffer in backbone.named_buffers() if "vera_" in name]
    single = [name for one in backbone.modules() for name in getattr(one, "_keep_in_fp32_modules_strict", None) or ()]
    weights = [one for name, one in backbone.named_parameters() if not any(kept in name for kept in single)]
    for tensor in [*weights, *shared]:
        tensor.data = tensor.data.to(dtype)
    return backbone.to(device)


@dataclass
class Finetuned:
    """A fine-tuned model ready to predict.

    Attributes:
        threshold: of two classes, the probability from which the second is called; of several labels one each; None
            where the most probable class is called.
    """

    model: SequenceModel
    encoder: Encoder
    task: Task
    threshold: float | tuple[float, ...] | None = None


def load_finetuned(
    bundle: Bundle,
    base: ModelFolder,
    device: torch.device,
    precision: str,
    second_width: int = 0,
    structures: Structures | None = None,
) -> Finetuned:
    """Put a fine-tuned model together again: base model, adapter, head.

    Args:
        base: the base model; of a bundle that holds all weights, the model in it.
        second_width: of pairs, the width of the model that reads the second members, if it is another one.
        structures: 3Di states of the sequences, of a model that was trained with them.

    Raises:
        InputError: parts that do not fit each other.
    """
    manifest = bundle.manifest
    say_full_precision(manifest)
    family = recognise(base.path, base.config, **reading_of(manifest))
    dtype = precision_of(precision, device, family)
    backbone = load_backbone(base.path, family, dtype, device)
    if bundle.adapter_config:
        backbone = placed(load_adapter(backbone, bundle.folder, bundle.adapter_config), device, dtype)
    width, pairs = family.hidden_size, manifest["head"].get("pairs")
    if pairs:
        width = pair_width(width, second_width or width, pairs)
    if manifest["head"]["inputs"] != width:
        raise InputError(f"the head reads {manifest['head']['inputs']} numbers, the model gives {width}")
    heads = [
        _load_head(bundle.folder / member_file(HEAD, member), manifest["head"])
        for member in range(1, manifest.get("members", 1) + 1)
    ]
    labels = tuple(manifest["labels"]) if manifest["labels"] else None
    task = Task(manifest["task"], labels, manifest.get("temperature", 1.0))
    encoder = Encoder(
        family,
        base.path,
        max_length=manifest["max_length"],
        long_sequences=manifest["long_sequences"],
        pooling=manifest["pooling"],
        tokenizer=manifest.get("tokenizer", "as-published"),
        structures=structures,
        chains=manifest.get("light_chains", False),
    )
    model = SequenceModel(backbone, family.hidden_size, heads[0], task).to(device).eval()
    if len(heads) > 1:
        files = [bundle.folder / member_file(ADAPTER_WEIGHTS, member) for member in range(1, len(heads) + 1)]
        adapters = [other_adapter(backbone, file) if bundle.adapter_config else None for file in files]
        model.members = [(adapter, head.to(device).eval()) for adapter, head in zip(adapters, heads, strict=True)]
    threshold = manifest.get("threshold")
    return Finetuned(model, encoder, task, tuple(threshold) if isinstance(threshold, list) else threshold)


def _load_head(file: Path, description: dict) -> Head:
    try:
        return Head.load(file, description)
    except ValueError as problem:
        raise InputError(f"{file.name} does not fit its description: {str(problem).splitlines()[0]}") from None
