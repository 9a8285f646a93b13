"""How a training is to go, where it is, and what happened in it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch

LOWER_IS_BETTER = ("loss", "rmse")


@dataclass(frozen=True)
class Settings:
    """How to train; see the tools' help for what each number does. Times in seconds, 0 for no limit."""

    epochs: int = 20
    max_steps: int = 0  # updates at most; 0: those of the epochs
    learning_rate: float = 3e-4
    batch_size: int = 8  # items an update of the weights
    weight_decay: float = 0.01
    warmup: float = 0.1  # share of the updates
    schedule: str = "linear"
    clip: float = 1.0  # norm of the gradients; 0: not clipped
    patience: int = 5  # looks after the warm-up without a better validation score before training stops; 0: never
    metric: str = "mcc"  # score of the validation set that chooses which weights are kept
    evaluate_every: int = 0  # updates; 0: an epoch
    from_start: bool = False  # the state before the first update is epoch 0, and may be the one that is kept
    gradient_checkpointing: bool = False
    precision: torch.dtype = torch.float32
    budget: int = 2048  # padded tokens a pass
    seed: int = 42
    zero_stage: int = 2
    checkpoint_seconds: float = 0.0
    max_seconds: float = 0.0
    pause_after: int = 0


@dataclass
class History:
    """What happened, an entry for each look at the validation set, and which of them was kept (1-based; 0 if there was
    no validation set). The first may be epoch 0, which has no loss of training."""

    epochs: list[dict[str, float]] = field(default_factory=list)
    best_epoch: int = 0
    stopped_early: bool = False

    @property
    def kept(self) -> int | float | None:
        """The epoch that was kept; None if there was no validation set."""
        return self.epochs[self.best_epoch - 1]["epoch"] if self.best_epoch else None

    def table(self) -> tuple[list[str], list[list]]:
        """Columns and rows of the log: an epoch a row, with the one that was kept marked. Epoch 0 lacks some."""
        names = list(dict.fromkeys(name for one in self.epochs[::-1] for name in one if name != "step"))
        rows = [
            [*(epoch.get(name) for name in names), "yes" if epoch["epoch"] == self.kept else ""]
            for epoch in self.epochs
        ]
        return [*names, "kept"], rows


@dataclass
class State:
    """Where training is: all that a checkpoint holds.

    Attributes:
        lost, counted: since the last entry of the history.
        scaling: of fp16: the factor of the loss, and the updates since it was changed.
    """

    step: int = 0
    history: History = field(default_factory=History)
    lost: float = 0.0
    counted: float = 0.0
    ended: str = ""
    scaling: tuple[float, int] | None = None
    moments: dict[str, torch.Tensor] = field(default_factory=dict)
    kept: dict[str, torch.Tensor] = field(default_factory=dict)


@dataclass
class Spent:
    """Seconds of what an update is made of."""

    data: float = 0.0
    computing: float = 0.0
    tokens: int = 0


def rate_at(settings: Settings, step: int, steps: int) -> float:
    """Learning rate of an update, counted from 0, as transformers' schedules have it."""
    warmup = warmup_updates(settings, steps)
    if step < warmup:
        return settings.learning_rate * step / max(1, warmup)
    share = (step - warmup) / max(1, steps - warmup)
    if settings.schedule == "cosine":
        return settings.learning_rate * max(0.0, 0.5 * (1 + math.cos(math.pi * share)))
    return settings.learning_rate * (max(0.0, 1 - share) if settings.schedule == "linear" else 1.0)


def standing(entry: dict[str, float], metric: str) -> tuple[float, float]:
    """How good an entry of the history is: of equal scores, which a small validation set gives often, the one with the
    lower loss."""
    score, loss = (entry.get(f"validation_{name}", math.nan) for name in (metric, "loss"))
    better = -score if metric in LOWER_IS_BETTER else score
    return (-math.inf if math.isnan(better) else better, -math.inf if math.isnan(loss) else -loss)


def warmup_updates(settings: Settings, steps: int) -> int:
    return math.ceil(settings.warmup * steps)
