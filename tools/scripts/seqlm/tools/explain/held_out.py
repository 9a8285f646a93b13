"""How well a model does on what it did not learn from, as its bundle says: a map is worth no more than the model."""

from __future__ import annotations

import math
from dataclasses import dataclass

from seqlm.metrics.metrics import label
from seqlm.metrics.resampling import Score

SETS = ("test", "out-of-fold", "validation")
# metric -> what chance gives; those that need no threshold, which may have been chosen on the same set, come first
CHANCE = {"auroc": 0.5, "macro_auroc": 0.5, "spearman": 0.0, "mcc": 0.0}


@dataclass(frozen=True)
class HeldOut:
    """The score that says whether the model is better than chance.

    Attributes:
        split: the set that it is of.
        chance: what a model that knows nothing scores.
    """

    split: str
    metric: str
    score: Score
    chance: float

    @property
    def better(self) -> bool:
        """Than chance, interval and all."""
        return self.score.low > self.chance

    @property
    def words(self) -> str:
        """Score and set for a reader."""
        name, score = label(self.metric), self.score
        return f"{name} {score.value:.2f} ({score.low:.2f} to {score.high:.2f}) on its {self.split} set"


def held_out(manifest: dict) -> HeldOut | None:
    """The score of the first set that has one; None where the bundle has none with an interval."""
    scores = manifest.get("metrics") or {}
    for split in SETS:
        for metric, chance in CHANCE.items():
            value = [math.nan if one is None else one for one in (scores.get(split) or {}).get(metric) or [math.nan]]
            if not any(map(math.isnan, value)):
                return HeldOut(split, metric, Score(*value), chance)
    return None
