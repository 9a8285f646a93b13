"""Sequences written until a fine-tuned model accepts them, a bounded number of times each (rejection sampling).

Each try has a seed of its own, so what is accepted depends neither on batches nor on how many others are asked for. The
bundle is used as it was trained: its threshold and whatever else it has were chosen before, on data of its own.
"""

from __future__ import annotations

import math
from argparse import Namespace
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from seqlm.checkpoints.bundle import Bundle, open_bundle, read_bundle_folder
from seqlm.checkpoints.folder import ModelFolder
from seqlm.checkpoints.manifest import reading_of
from seqlm.checkpoints.opening import open_base
from seqlm.cli.errors import InputError
from seqlm.cli.text import shown
from seqlm.data.records import CANONICAL, TEXT, Record, Rules
from seqlm.data.sequences import clean
from seqlm.families.family import Family
from seqlm.families.recognition import recognise
from seqlm.metrics.resampling import Sample, Score, resample_weights

from .properties import YES, columns

RESAMPLES = 1000
TASKS = ("sequence-classification", "multi-label", "sequence-regression")


@dataclass(frozen=True)
class Wish:
    """What is accepted: a prediction above ``low`` and below ``high``.

    Attributes:
        label: of classes, the one whose probability is meant, and ``place`` its number; empty for numbers.
    """

    bundle: Bundle
    base: ModelFolder
    family: Family
    name: str
    label: str
    place: int
    low: float
    high: float

    @property
    def words(self) -> str:
        """What is asked for, for a reader."""
        what = f"a probability of '{shown(self.label)}'" if self.label else "a value"
        above, below = self.low > -math.inf, self.high < math.inf
        return f"{what}{f' above {self.low:g}' * above}{' and' * (above and below)}{f' below {self.high:g}' * below}"


def read_wish(arguments: Namespace, scratch: Path, family: Family) -> Wish | None:
    """The bundle that accepts, looked at without torch; None where there is none.

    Raises:
        InputError: a bundle that predicts something else, or for other sequences.
    """
    given = arguments.accept_class, arguments.accept_above, arguments.accept_below
    if not arguments.accept_by:
        if any(one not in (None, "") for one in given):
            raise InputError("what is accepted was given without the fine-tuned model that predicts it (--accept-by)")
        return None
    if arguments.strategy != "sample":
        raise InputError("only sequences that are drawn can be drawn again (--accept-by); choose the strategy sample")
    path, scratch = Path(arguments.accept_by), scratch / "accept"
    (scratch / "bundle").mkdir(parents=True)
    bundle = read_bundle_folder(path) if path.is_dir() else open_bundle(path, scratch / "bundle")
    manifest = bundle.manifest or {}
    if manifest.get("task") not in TASKS or not manifest.get("head"):
        raise InputError(f"{path.name} does not predict a class or a number for whole sequences; take one that does")
    if manifest.get("light_chains"):
        raise InputError(
            f"{path.name} was trained with light chains beside heavy ones, and single chains are written; take a model "
            "of single chains (--accept-by)"
        )
    asked = Namespace(
        model=arguments.accept_by, base_model=arguments.accept_base_model, installed_models=arguments.installed_models
    )
    try:
        base = bundle.model or open_base(bundle, asked, scratch)
    except InputError as problem:
        raise InputError(str(problem).replace("(--base-model)", "(--accept-base-model)")) from None
    own = recognise(base.path, base.config, **reading_of(manifest))
    kinds = [TEXT if one.alphabet == CANONICAL else one.alphabet for one in (family, own)]
    if kinds[0] != kinds[1] or own.structured:
        raise InputError(f"{path.name} reads {own.alphabet} sequences alone, and {family.alphabet} ones are written")
    labels, label, place, low = manifest["labels"], arguments.accept_class, 0, arguments.accept_above
    if labels:
        if label not in labels:
            named = ", ".join(shown(one) for one in labels[:10])
            raise InputError(f"{path.name} has no class '{shown(label)}'; name one of {named} (--accept-class)")
        place, low = labels.index(label), 0.5 if low is None and arguments.accept_below is None else low
    elif label:
        raise InputError(f"{path.name} predicts a number and no class; say above or below what it is accepted")
    elif low is None and arguments.accept_below is None:
        raise InputError("say above or below what a prediction is accepted (--accept-above, --accept-below)")
    low = -math.inf if low is None else low
    high = math.inf if arguments.accept_below is None else arguments.accept_below
    if low >= high:
        raise InputError(f"nothing lies above {low:g} and below {high:g}; give a range (--accept-above)")
    return Wish(bundle, base, own, arguments.accept_id or path.name, label or "", place, low, high)


@dataclass
class Tally:
    """Tries and what became of them, (tries,) each: of the first try of every sequence, of the second, …"""

    tried: list[int] = field(default_factory=list)
    accepted: list[int] = field(default_factory=list)


class Predictor:
    """The bundle, loaded."""

    def __init__(self, wish: Wish, device, precision: str, budget: int):
        from seqlm.inference.loading import load_finetuned

        self.wish, self.budget = wish, budget
        self.restored = load_finetuned(wish.bundle, wish.base, device, precision)

    def of(self, sequences: Sequence[str]) -> np.ndarray:
        """(sequences,) probabilities of the class or values, of an ensemble the mean; NaN of what it cannot read."""
        from seqlm.inference.inference import predict

        values, readable = np.full(len(sequences), np.nan), []
        for number, letters in enumerate(sequences):
            try:
                text = clean(
                    Record(str(number), letters), self.wish.family.alphabet, self.wish.family.replacements, Rules(), ""
                )
                self.restored.encoder.encode(text)
            except InputError:
                continue
            readable.append((str(number), text))
        for name, _, found in predict(self.restored.model, self.restored.encoder, readable, self.budget):
            mean = found.mean(0)
            values[int(name)] = mean[self.wish.place] if self.wish.label else mean
        return values


def until_accepted(
    write: Callable[[list[int], int], dict], predictor: Predictor, count: int, tries: int
) -> tuple[dict, dict, Tally]:
    """The last try of each number, the first try of each, and how many there were.

    Args:
        write: numbers of sequences and which try it is -> number -> what was written, of those that wrote anything.
    """
    waiting, last, first, tally = list(range(count)), {}, {}, Tally()
    for attempt in range(tries):
        written = write(waiting, attempt)
        values = predictor.of([one.letters for one in written.values()])
        accepted = set()
        for (number, one), value in zip(written.items(), values.tolist(), strict=True):
            one.prediction, one.tries = value, attempt + 1
            one.accepted = predictor.wish.low < value < predictor.wish.high
            last[number] = one
            if one.accepted:
                accepted.add(number)
        first = first or dict(last)
        tally.tried.append(len(waiting))
        tally.accepted.append(len(accepted))
        waiting = [number for number in waiting if number not in accepted]
        if not waiting:
            break
    return dict(sorted(last.items())), first, tally


def means(sequences: Sequence, alphabet: str, seed: int) -> dict[str, Score]:
    """Property -> its mean over sequences that have it, with its interval; of molecules ``valid`` is the share of those
    that RDKit reads."""
    found = {}
    for place, name in enumerate(columns(alphabet)):
        if name == "canonical":
            continue
        given = [one.properties[place] for one in sequences]
        values = np.asarray([float(one == YES) for one in given] if name == "valid" else given, float)
        values = values[np.isfinite(values)]
        if len(values):
            drawn = [(weights @ values) / len(values) for weights in resample_weights(len(values), RESAMPLES, seed)]
            found[name] = Sample(float(values.mean()), np.concatenate(drawn)).score()
    return found
