"""What a model is trained for: the names of the tasks, and what one prediction of a task is about."""

from __future__ import annotations

TASKS = (
    "sequence-classification", "multi-label", "sequence-regression", "residue-classification", "residue-regression",
    "pair-classification", "pair-regression", "causal-lm", "masked-lm",
)  # fmt: skip
_LEVELS = ("residue", "pair")
WITHOUT_HEAD = ("causal-lm", "masked-lm")  # they use the head that transformers gives the model
WITH_HEAD = tuple(task for task in TASKS if task not in WITHOUT_HEAD)
FINE_TUNED = (*WITH_HEAD, "causal-lm")  # masked-lm is only pre-trained for


def level_of(task: str) -> str:
    """What one prediction of a task is about: ``sequence``, ``residue`` or ``pair``."""
    start = task.split("-")[0]
    return start if start in _LEVELS else "sequence"
