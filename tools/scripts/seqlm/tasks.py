"""What is learnt from a sequence: the head on top of the encoder, its loss, and what its outputs mean.

Tasks of whole sequences: classes (softmax over two or more) and numbers (one output, learnt in units of the training
values' standard deviation).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional


class Head(nn.Module):
    """Pooled vector (sequences, inputs) -> outputs (sequences, outputs).

    ``linear``: dropout, one layer. ``mlp``: dropout, layer, tanh, dropout, layer, as in the classification heads of
    transformers and in the ProtT5 fine-tuning notebooks of Schmirler et al. 2024
    (https://doi.org/10.1038/s41467-024-51844-2).
    """

    def __init__(self, inputs: int, outputs: int, *, kind: str = "mlp", hidden: int = 0, dropout: float = 0.1):
        super().__init__()
        self.kind, self.inputs, self.outputs = kind, inputs, outputs
        self.hidden = (hidden or inputs) if kind == "mlp" else 0
        self.dropout = nn.Dropout(dropout)
        if kind == "mlp":
            self.dense = nn.Linear(inputs, self.hidden)
        self.out = nn.Linear(self.hidden or inputs, outputs)
        # of a regression: outputs are in standard deviations from the mean of the training values
        self.register_buffer("shift", torch.zeros(1))
        self.register_buffer("scale", torch.ones(1))

    def forward(self, pooled: torch.Tensor) -> torch.Tensor:
        if self.kind == "mlp":
            pooled = torch.tanh(self.dense(self.dropout(pooled)))
        return self.out(self.dropout(pooled))

    def description(self) -> dict:
        return {"kind": self.kind, "inputs": self.inputs, "outputs": self.outputs, "hidden": self.hidden}

    def save(self, path: Path) -> None:
        from safetensors.torch import save_file

        save_file({name: tensor.detach().cpu().contiguous() for name, tensor in self.state_dict().items()}, path)

    @classmethod
    def load(cls, path: Path, description: dict) -> Head:
        """Raises ValueError where the file does not hold exactly the tensors described."""
        from safetensors.torch import load_file

        head = cls(
            description["inputs"], description["outputs"], kind=description["kind"], hidden=description["hidden"]
        )
        try:
            head.load_state_dict(load_file(path))
        except RuntimeError as problem:
            raise ValueError(str(problem)) from None
        return head


@dataclass(frozen=True)
class Task:
    """One of :data:`seqlm.manifest.TASKS`, with its class names, or None for numbers."""

    name: str
    labels: tuple[str, ...] | None = None

    @property
    def outputs(self) -> int:
        return len(self.labels) if self.labels else 1

    def truth(self, labels: list) -> np.ndarray:
        """(n,) class indices, or values."""
        if self.labels is None:
            return np.asarray(labels, dtype=np.float64)
        index = {label: number for number, label in enumerate(self.labels)}
        return np.asarray([index[label] for label in labels], dtype=np.int64)

    def loss(self, outputs: torch.Tensor, targets: torch.Tensor, head: Head) -> torch.Tensor:
        """Loss of each sequence, (sequences,): cross-entropy, or squared error in standard deviations."""
        if self.labels is None:
            return (outputs.float()[:, 0] - (targets.float() - head.shift) / head.scale) ** 2
        return functional.cross_entropy(outputs.float(), targets, reduction="none")

    def decode(self, outputs: torch.Tensor, shift: float, scale: float) -> np.ndarray:
        """(n, classes) probabilities, or (n,) values."""
        if self.labels is None:
            return (outputs.double()[:, 0] * scale + shift).numpy()
        return torch.softmax(outputs.double(), dim=-1).numpy()
