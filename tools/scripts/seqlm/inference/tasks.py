"""What is learnt: the head on top of the encoder, its loss, and what its outputs mean.

A unit is what one prediction is about: a sequence, a residue, or a pair of sequences. Each unit has a class (softmax
over two or more), several labels at once (a sigmoid each), or a number (learnt in units of the training values'
standard deviation).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from seqlm.data.tasks import level_of

from .finite import check_weights


class Head(nn.Module):
    """Vector of a unit (units, inputs) -> outputs (units, outputs).

    z = (vector - center) / spread; ``linear``: outputs = out(z). ``mlp``: outputs = out(z) + beside(tanh(dense(z))),
    with dropout before ``dense`` and ``beside``, for what is not linear.

    ``center`` and ``spread`` are the mean and the deviation of the frozen model's vectors in training, and ``out``
    starts as the linear model of these (:meth:`start_from`), ``beside`` as zero, so that training begins where a simple
    model ends, and moves the encoder no further than that model's errors ask for (LP-FT, Kumar et al. 2022,
    https://doi.org/10.48550/arXiv.2202.10054).

    Of pairs, ``pairs`` says how two vectors become one: see :func:`paired`.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        kind: str = "mlp",
        hidden: int = 0,
        dropout: float = 0.1,
        pairs: str | None = None,
    ):
        super().__init__()
        self.kind, self.inputs, self.outputs, self.pairs = kind, inputs, outputs, pairs
        self.hidden = (hidden or inputs) if kind == "mlp" else 0
        self.dropout = nn.Dropout(dropout)
        self.out = nn.Linear(inputs, outputs)
        if kind == "mlp":
            self.dense = nn.Linear(inputs, self.hidden)
            self.beside = nn.Linear(self.hidden, outputs, bias=False)
            nn.init.zeros_(self.beside.weight)
        self.decay = 0.0  # of the squares of the weights of ``out``, added to the mean loss in training
        self.register_buffer("center", torch.zeros(inputs))
        self.register_buffer("spread", torch.ones(inputs))
        # of a regression: outputs are in standard deviations from the mean of the training values
        self.register_buffer("shift", torch.zeros(1))
        self.register_buffer("scale", torch.ones(1))

    def forward(self, vectors: torch.Tensor) -> torch.Tensor:
        vectors = (vectors - self.center) / self.spread
        outputs = self.out(vectors)
        if self.kind == "mlp":
            outputs = outputs + self.beside(self.dropout(torch.tanh(self.dense(self.dropout(vectors)))))
        return outputs

    @torch.no_grad()
    def start_from(self, probe) -> None:
        """Give what a linear model of the vectors gives, whose values of a regression are not scaled, and keep its
        penalty, so that by itself ``out`` stays where it is.

        Args:
            probe: with the attributes of :class:`seqlm.baselines.linear_models.Linear`.
        """
        scale, shift = float(self.scale), float(self.shift)
        self.center.copy_(torch.from_numpy(probe.center))
        self.spread.copy_(torch.from_numpy(probe.spread))
        self.out.weight.copy_(torch.from_numpy(probe.weights / scale))
        bias = torch.from_numpy((probe.bias - shift) / scale)
        self.out.bias.copy_(bias.clamp(-30, 30))  # of a class without examples it is far lower
        self.decay = probe.decay

    def description(self) -> dict:
        described = {"kind": self.kind, "inputs": self.inputs, "outputs": self.outputs, "hidden": self.hidden}
        return described | ({"pairs": self.pairs} if self.pairs else {})

    def save(self, path: Path) -> None:
        from safetensors.torch import save_file

        save_file({name: tensor.detach().cpu().contiguous() for name, tensor in self.state_dict().items()}, path)

    @classmethod
    def load(cls, path: Path, description: dict) -> Head:
        """Raises ValueError where the file does not hold exactly the tensors described, InputError for what is no
        number."""
        from safetensors.torch import load_file

        head = cls(
            description["inputs"],
            description["outputs"],
            kind=description["kind"],
            hidden=description["hidden"],
            pairs=description.get("pairs"),
        )
        tensors = load_file(path)
        check_weights(tensors.items(), path.name)
        try:
            head.load_state_dict(in_a_row(tensors, head) if "center" not in tensors else tensors)
        except (KeyError, RuntimeError) as problem:
            raise ValueError(str(problem)) from None
        return head


def in_a_row(tensors: dict[str, torch.Tensor], head: Head) -> dict[str, torch.Tensor]:
    """Tensors of a head that takes vectors as they come and has its two layers one after the other, as published heads
    and those of bundles of format 1 do."""
    found = {"center": head.center, "spread": head.spread, **tensors}
    if head.kind == "mlp":
        found["beside.weight"] = found.pop("out.weight")
        found["out.weight"] = torch.zeros_like(head.out.weight)
    return found


def paired(first: torch.Tensor, second: torch.Tensor, pairs: str) -> torch.Tensor:
    """Two vectors a pair as one.

    Args:
        first, second: (pairs, hidden) each; of ``ordered`` pairs the widths may differ.
        pairs: ``symmetric``, (pairs, 3 hidden): sum, absolute difference and product, so that both orders give the same
            (after Conneau et al. 2017, https://doi.org/10.18653/v1/D17-1070); ``ordered``: both side by side.
    """
    if pairs == "ordered":
        return torch.cat([first, second], dim=1)
    return torch.cat([first + second, (first - second).abs(), first * second], dim=1)


def pair_width(first: int, second: int, pairs: str) -> int:
    """Width of what :func:`paired` gives."""
    return first + second if pairs == "ordered" else 3 * first


@dataclass(frozen=True)
class Task:
    """One of :data:`seqlm.data.tasks.TASKS`, with its class names, or None for numbers.

    ``temperature`` divides the logits of classes (Guo et al. 2017, arXiv:1706.04599).
    """

    name: str
    labels: tuple[str, ...] | None = None
    temperature: float = 1.0

    @property
    def level(self) -> str:
        """What a unit is: ``sequence``, ``residue`` or ``pair``."""
        return level_of(self.name)

    @property
    def several(self) -> bool:
        """Whether a unit can have several labels at once."""
        return self.name == "multi-label"

    @property
    def outputs(self) -> int:
        return len(self.labels) if self.labels else 1

    def truth(self, labels: list, unknown: list[tuple[str, ...]] | None = None) -> np.ndarray:
        """What :meth:`loss` compares with: (units,) class indices or values, (units, labels) 0 or 1.

        Of residues, ``labels`` holds one array a protein, with class indices (-1: unknown) or values (NaN: unknown).

        Args:
            unknown: of several labels, those of each unit of which it is not known whether it has them: -1.
        """
        if self.level == "residue":
            return np.concatenate(labels).astype(np.int64 if self.labels else np.float64)
        if self.labels is None:
            return np.asarray(labels, dtype=np.float64)
        index = {label: number for number, label in enumerate(self.labels)}
        if self.several:
            truth = np.zeros((len(labels), len(self.labels)), dtype=np.int64)
            for row, names in enumerate(labels):
                truth[row, [index[name] for name in names]] = 1
            for row, names in enumerate(unknown or ()):
                truth[row, [index[name] for name in names if name in index]] = -1
            return truth
        return np.asarray([index[label] for label in labels], dtype=np.int64)

    def loss(self, outputs: torch.Tensor, targets: torch.Tensor, head: Head) -> torch.Tensor:
        """Loss of each unit, (units,), with several labels (units, labels): cross-entropy, or squared error in standard
        deviations."""
        outputs = outputs.float()
        if self.labels is None:
            return (outputs[:, 0] - (targets.float() - head.shift) / head.scale) ** 2
        if self.several:
            return functional.binary_cross_entropy_with_logits(outputs, targets.float(), reduction="none")
        return functional.cross_entropy(outputs, targets, reduction="none")

    def decode(self, outputs: torch.Tensor, shift: float, scale: float) -> np.ndarray:
        """(units, classes) probabilities, or (units,) values."""
        if self.labels is None:
            return (outputs.double()[:, 0] * scale + shift).numpy()
        logits = outputs.double() / self.temperature
        return (torch.sigmoid(logits) if self.several else torch.softmax(logits, dim=-1)).numpy()
