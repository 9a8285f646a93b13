"""What a sweep tries: the table of settings, and how good each was."""

from __future__ import annotations

import itertools
from argparse import Namespace
from dataclasses import dataclass

import numpy as np

from seqlm.cli.errors import InputError
from seqlm.training.launching import launched

from .methods import UNUSED

MOST_TRIES = 30
SWEPT = {"sweep_learning_rates": "learning_rate", "sweep_ranks": "lora_rank", "sweep_layers": "lora_last_layers"}


@dataclass(frozen=True)
class Try:
    """One row of the table.

    Attributes:
        settings: name of an argument -> what was tried.
        losses: (folds,) lowest validation loss of an epoch.
    """

    settings: dict[str, float | int]
    losses: tuple[float, ...]

    @property
    def loss(self) -> float:
        return float(np.mean(self.losses))


def check_sweep(arguments: Namespace) -> None:
    """Refuse a sweep that cannot be run.

    Raises:
        InputError: too many tries, or what the method has not.
    """
    asked = tries_of(arguments)
    if not asked:
        return
    if len(asked) > MOST_TRIES:
        raise InputError(f"the sweep has {len(asked)} settings; try at most {MOST_TRIES}")
    if arguments.folds:
        raise InputError(
            "a sweep has folds of its own within the training set; choose it or cross-validation (--folds)"
        )
    if max(arguments.processes, launched()) > 1:
        raise InputError("a sweep runs in one process; set --processes to 1")
    for option, name in SWEPT.items():
        if getattr(arguments, option) and name != "learning_rate" and name.startswith(UNUSED[arguments.method]):
            flag = "--" + option.replace("_", "-")
            raise InputError(f"{flag} does not matter to the method {arguments.method}; leave it out")


def tries_of(arguments: Namespace) -> list[dict]:
    """Every combination of what is to be tried; empty without a sweep."""
    given = {name: getattr(arguments, option) for option, name in SWEPT.items() if getattr(arguments, option)}
    return [dict(zip(given, values, strict=True)) for values in itertools.product(*given.values())] if given else []


def in_words(settings: dict) -> str:
    names = {"learning_rate": "learning rate", "lora_rank": "rank", "lora_last_layers": "last layers"}
    return ", ".join(f"{names[name]} {value:g}" for name, value in settings.items())
