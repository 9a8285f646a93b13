"""Activations computed again in the backward pass instead of being kept (Chen et al. 2016, arXiv 1604.06174)."""

from __future__ import annotations

from torch import nn


def compute_again(model: nn.Module) -> None:
    """Keep what enters each layer and nothing inside it; slower by one forward pass, the gradients are the same.

    Args:
        model: transformers' model, or peft's around one. The name of its method changed with transformers 5.23.

    Raises:
        ValueError: an architecture that cannot.
    """
    name = "activation_checkpointing_enable"
    enable = getattr(model, name if hasattr(model, name) else "gradient_checkpointing_enable")
    enable({"use_reentrant": False})
