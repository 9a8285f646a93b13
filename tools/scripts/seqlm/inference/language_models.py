"""Models with the head that they were trained with: the probability of every token of the vocabulary.

A causal model gives the next token from those before it, a masked model the token at a place from those around it.
"""

from __future__ import annotations

from argparse import Namespace
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from seqlm.checkpoints.bundle import Bundle
from seqlm.checkpoints.folder import ModelFolder
from seqlm.checkpoints.opening import open_model
from seqlm.cli.errors import InputError
from seqlm.data.tasks import WITHOUT_HEAD
from seqlm.families.family import Family
from seqlm.families.recognition import recognise

if TYPE_CHECKING:
    import torch
    from torch import nn


@dataclass(frozen=True)
class Opened:
    """A language model that was looked at and not loaded yet.

    Attributes:
        bundle: what --model is, where it is no plain Hugging Face folder.
        base: the folder that holds the weights.
        name: what the model is called.
    """

    bundle: Bundle | None
    base: ModelFolder
    family: Family
    name: str

    @property
    def tokenizer(self) -> str:
        """``repaired`` or ``as-published``, as the model was trained; a model of unknown training is read repaired."""
        manifest = self.bundle.manifest if self.bundle else None
        return manifest.get("tokenizer", "as-published") if manifest else "repaired"


def open_language_model(arguments: Namespace, scratch: Path) -> Opened:
    """The model of ``--model`` and ``--base-model``, checked without torch.

    Raises:
        InputError: a bundle whose model has another head than that for tokens, besides what makes any model unfit.
    """
    return as_language_model(*open_model(arguments, scratch), arguments)


def as_language_model(bundle: Bundle | None, base: ModelFolder, arguments: Namespace) -> Opened:
    """A model that is open, as :func:`open_language_model` gives it."""
    manifest = bundle.manifest if bundle and bundle.manifest else {}
    name = arguments.model_id or Path(arguments.model).name
    task = manifest.get("task")
    if task and task not in WITHOUT_HEAD:
        raise InputError(
            f"{Path(arguments.model).name} was fine-tuned for {task}, so it predicts labels and not tokens; take its "
            "base model, or one fine-tuned as a causal language model"
        )
    if bundle and bundle.kind == "peft" and bundle.adapter_config.get("task_type") != "CAUSAL_LM":
        raise InputError(f"{Path(arguments.model).name} is an adapter for another task than writing sequences")
    family = recognise(base.path, base.config, manifest.get("alphabet", "auto"))
    return Opened(bundle, base, family, name)


def load_language_model(opened: Opened, device: torch.device, precision: str) -> nn.Module:
    """transformers' own class, with the adapter if there is one, frozen, ready to run.

    Raises:
        InputError: weights of the head that are missing, or an adapter that does not fit.
    """
    from .adapters import load_adapter
    from .four_bits import say_full_precision
    from .loading import load_weights, placed, precision_of

    dtype = precision_of(precision, device, opened.family)
    model = load_weights(opened.family.load_language_model, opened.base.path, dtype, device)
    if opened.bundle and opened.bundle.adapter_config:
        say_full_precision(opened.bundle.manifest)
        model = placed(load_adapter(model, opened.bundle.folder, opened.bundle.adapter_config), device, dtype)
    return model
