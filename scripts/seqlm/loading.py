"""From files to a model that runs: the encoder by transformers' own class, the adapter by peft, our head on top."""

from __future__ import annotations

import logging
import os
import warnings
from pathlib import Path

import numpy as np
import torch
from torch import nn

from .batching import Batch
from .errors import InputError
from .families import Family
from .tasks import Head, Task


class SequenceModel(nn.Module):
    """Encoder, pooling over real positions, head.

    Attributes:
        backbone: the encoder, as transformers or peft made it.
        head: maps pooled vectors to outputs; None where only the vectors are wanted.
    """

    def __init__(self, backbone: nn.Module, hidden_size: int, head: Head | None = None, task: Task | None = None):
        super().__init__()
        self.backbone, self.head, self.hidden_size, self.task = backbone, head, hidden_size, task

    @property
    def device(self) -> torch.device:
        return next(self.backbone.parameters()).device

    def weighted_sums(self, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        """Sum of weight times vector over the tokens of each row, (rows, hidden), and of the weights, (rows,); fp32."""
        hidden = self.backbone(
            input_ids=batch.ids, attention_mask=batch.mask
        ).last_hidden_state  # (rows, tokens, hidden)
        # a product of matrices; padding has weight 0, and whatever stands there is finite
        return torch.einsum("rth,rt->rh", hidden.float(), batch.weights), batch.weights.sum(1)

    def pool(self, batch: Batch) -> torch.Tensor:
        """(sequences, hidden): the weighted mean over all windows of each sequence."""
        if batch.pooled is not None:
            return batch.pooled
        sums, totals = self.weighted_sums(batch)
        pooled = sums.new_zeros(batch.sequences, sums.shape[1]).index_add(0, batch.owners, sums)
        weight = totals.new_zeros(batch.sequences).index_add(0, batch.owners, totals)
        return pooled / weight[:, None]

    def forward(self, batch: Batch) -> torch.Tensor:
        return self.head(self.pool(batch))

    @torch.inference_mode()
    def decode(self, pooled: torch.Tensor) -> np.ndarray:
        """Probabilities (sequences, classes) or values (sequences,) from pooled vectors (sequences, hidden)."""
        outputs = self.head(pooled.to(self.head.shift.device))
        return self.task.decode(outputs.cpu(), float(self.head.shift), float(self.head.scale))


def prepare(threads: int, seed: int, device: str, scratch: Path) -> torch.device:
    """Set up the process before anything is loaded: threads, seeds, caches inside the job's folder, no network.

    Raises:
        InputError: a GPU that was asked for and is not there.
    """
    for name in ("HF_HOME", "TORCHINDUCTOR_CACHE_DIR", "MPLCONFIGDIR", "TRITON_CACHE_DIR"):
        os.environ[name] = str(scratch)
    os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_OFFLINE="1", TOKENIZERS_PARALLELISM="false")
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    if threads:
        torch.set_num_threads(threads)
    torch.manual_seed(seed)
    torch.use_deterministic_algorithms(True, warn_only=True)
    warnings.filterwarnings("ignore", message=".*deterministic.*")
    if device == "cuda" and not torch.cuda.is_available():
        raise InputError("no GPU was found; choose the CPU or let the tool decide")
    return torch.device("cuda" if device != "cpu" and torch.cuda.is_available() else "cpu")


def precision_of(requested: str, device: torch.device, family: Family, training: bool = False) -> torch.dtype:
    """The number format to compute in.

    ``auto`` is fp32 on a CPU, where bf16 is slower without special instructions; bf16 on a GPU that has it; otherwise
    fp16 for predictions where the family's activations stay within its range, else fp32.
    """
    if requested != "auto":
        if requested == "fp16" and not family.half_precision_safe:
            raise InputError(f"{family.name} models overflow in fp16; use bf16 or fp32")
        return {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[requested]
    if device.type == "cpu":
        return torch.float32
    if torch.cuda.get_device_capability(device) >= (8, 0):
        return torch.bfloat16
    return torch.float16 if family.half_precision_safe and not training else torch.float32


def load_backbone(folder: Path, family: Family, dtype: torch.dtype, device: torch.device) -> nn.Module:
    """The encoder of a Hugging Face folder, from safetensors only.

    Raises:
        InputError: weights that are missing or do not fit the configuration.
    """
    logging.getLogger("transformers").setLevel(logging.ERROR)
    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_progress_bar()
    try:
        backbone, info = family.load(
            folder,
            dtype=dtype,
            attn_implementation="sdpa",
            use_safetensors=True,
            local_files_only=True,
            trust_remote_code=False,
            output_loading_info=True,
        )
    except (OSError, ValueError, RuntimeError, TypeError, KeyError) as problem:
        raise InputError(f"the model in {folder.name} cannot be loaded: {str(problem).splitlines()[0]}") from None
    missing = sorted(name for name in info["missing_keys"] if "position_ids" not in name)
    mismatched = [str(entry[0]) for entry in info["mismatched_keys"]]
    if missing or mismatched:
        named = ", ".join((missing + mismatched)[:3])
        raise InputError(
            f"the model in {folder.name} is incomplete: {len(missing)} weights are missing and {len(mismatched)} have "
            f"another shape than its config.json says ({named}); fetch it again"
        )
    backbone.requires_grad_(False)
    return backbone.to(device).eval()
