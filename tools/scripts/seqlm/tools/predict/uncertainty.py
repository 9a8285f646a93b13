"""How sure a prediction is: how far the members of an ensemble disagree, and conformal sets or intervals."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from seqlm.checkpoints.conformity import read_conformity
from seqlm.cli.errors import InputError
from seqlm.data.prediction_tables import SEVERAL, cells
from seqlm.metrics.conformal import Conformity, class_sets, intervals, label_sets, least


class Predicted:
    """Makes cells of predictions: what is called, probabilities, and how sure they are.

    Attributes:
        columns: header of what follows the probabilities: ``disagreement`` of an ensemble, then of classes ``set``, of
            several labels ``set`` (those that are surely there) and ``unsure``, of numbers ``low`` and ``high``.
    """

    def __init__(
        self,
        labels: tuple[str, ...] | None,
        threshold: float | tuple[float, ...] | None,
        several: bool,
        members: int,
        conformity: Conformity | None,
        coverage: float,
    ):
        self.labels, self.threshold, self.several, self.members = labels, threshold, several, members
        self.conformity, self.coverage = conformity, coverage
        self.columns = ["disagreement"] if members > 1 else []
        if conformity:
            self.columns += ["low", "high"] if labels is None else ["set", "unsure"] if several else ["set"]

    def cells(self, predictions: np.ndarray) -> list[list]:
        """What stands in a row after the name of the unit.

        Args:
            predictions: (members, units, classes) probabilities or (members, units) values.
        """
        mean = predictions.mean(axis=0)
        rows = cells(mean, self.labels, self.threshold)
        if self.members > 1:
            for row, spread in zip(rows, self._disagreement(predictions, mean).tolist(), strict=True):
                row.append(spread)
        if self.conformity:
            for row, more in zip(rows, self._sets(predictions), strict=True):
                row += more
        return rows

    def _disagreement(self, predictions: np.ndarray, mean: np.ndarray) -> np.ndarray:
        """(units,) standard deviation over the members of the value or of the most probable class's probability; of
        several labels, that of the label with the largest."""
        spread = predictions.std(axis=0, ddof=1)
        if self.labels is None:
            return spread
        return spread.max(axis=1) if self.several else spread[np.arange(len(mean)), mean.argmax(axis=1)]

    def _sets(self, predictions: np.ndarray) -> list[list]:
        if self.labels is None:
            return intervals(self.conformity, predictions, self.coverage).tolist()
        if not self.several:
            return [[self._named(row)] for row in class_sets(self.conformity, predictions, self.coverage)]
        absent, present = np.moveaxis(label_sets(self.conformity, predictions, self.coverage), 2, 0)
        return [[self._named(p & ~a), self._named(p & a)] for a, p in zip(absent, present, strict=True)]

    def _named(self, chosen: np.ndarray) -> str:
        return SEVERAL.join(name for name, on in zip(self.labels, chosen.tolist(), strict=True) if on)


def scores_of(plan) -> Conformity | None:
    """What sets are made from, where they are asked for.

    Raises:
        InputError: a bundle that does not hold it, or too little for the coverage.
    """
    name, coverage, manifest = Path(plan.arguments.model).name, plan.arguments.coverage, plan.bundle.manifest or {}
    if not coverage:
        return None
    if "conformal" not in manifest:
        raise InputError(
            f"{name} cannot give sets of a coverage: it holds no scores of sequences that its training left out, as "
            "bundles have that were fine-tuned with a validation set or folds; leave the coverage empty"
        )
    conformity = read_conformity(plan.bundle.folder, manifest)
    if not conformity.enough(coverage):
        raise InputError(
            f"{name} holds {len(conformity.scores) // conformity.repeats:,} scores of what its training left out, and "
            f"a coverage of {coverage:g} needs at least {least(coverage):,}; ask for a lower one"
        )
    return conformity
