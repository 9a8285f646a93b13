"""A published adapter on its base model; how the two fit is told by :mod:`seqlm.checkpoints.published_adapters`."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from seqlm.checkpoints.bundle import ADAPTER_WEIGHTS, Bundle
from seqlm.checkpoints.folder import ModelFolder
from seqlm.checkpoints.published_adapters import PublishedEncoder, inspect_published
from seqlm.families.recognition import recognise
from seqlm.tokenization.encoder import Encoder

if TYPE_CHECKING:
    import torch

    from .loading import Finetuned


def load_published(
    bundle: Bundle,
    base: ModelFolder,
    device: torch.device,
    precision: str,
    labels: tuple[str, ...] | None = None,
) -> Finetuned:
    """Put base model, published adapter and its head together.

    Args:
        labels: see :func:`inspect_published`.

    Raises:
        InputError: as :func:`inspect_published`, or for weights that are no numbers.
    """
    from safetensors.torch import load_file

    from seqlm.inference.finite import check_weights
    from seqlm.inference.loading import Finetuned, SequenceModel
    from seqlm.inference.tasks import Head, Task, in_a_row

    found = inspect_published(bundle, base, labels)
    family = recognise(base.path, base.config)
    backbone = load_published_encoder(bundle, base, device, precision, found.encoder)
    tensors = load_file(bundle.folder / ADAPTER_WEIGHTS)
    check_weights(((source, tensors[source]) for source in found.head_tensors.values()), "the adapter")
    described = found.head
    head = Head(described["inputs"], described["outputs"], kind=described["kind"], hidden=described["hidden"])
    own = {"shift": head.shift, "scale": head.scale}
    given = {name: tensors[source].float() for name, source in found.head_tensors.items()}
    head.load_state_dict(in_a_row(given | own, head))
    task = Task(found.task, found.labels)
    # its author trained it on whatever transformers makes of the tokenizer
    encoder = Encoder(family, base.path, pooling=found.pooling, tokenizer="as-published")
    return Finetuned(SequenceModel(backbone, family.hidden_size, head, task).to(device).eval(), encoder, task)


def load_published_encoder(
    bundle: Bundle, base: ModelFolder, device: torch.device, precision: str, found: PublishedEncoder
) -> torch.nn.Module:
    """The base model with the adapter on it, without the adapter's head.

    Raises:
        InputError: weights that are no numbers, or do not fit.
    """
    from safetensors.torch import load_file, save_file

    from seqlm.inference.adapters import load_adapter
    from seqlm.inference.finite import check_weights
    from seqlm.inference.loading import load_backbone, placed, precision_of

    tensors = load_file(bundle.folder / ADAPTER_WEIGHTS)
    renamed = {name: tensors[source] for name, source in found.tensors.items()}
    check_weights(((source, tensors[source]) for source in found.tensors.values()), "the adapter")
    family = recognise(base.path, base.config)
    dtype = precision_of(precision, device, family)
    backbone = load_backbone(base.path, family, dtype, device)
    with tempfile.TemporaryDirectory(prefix="adapter_") as scratch:
        save_file(renamed, Path(scratch) / ADAPTER_WEIGHTS)
        return placed(load_adapter(backbone, Path(scratch), found.config), device, dtype)
