"""What applying a classifier found."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from seqlm.embeddings.columns import Embeddings
from seqlm.embeddings.labels import Labels

from .archive import Classifier


@dataclass
class Applied:
    """What came out of applying a classifier.

    Attributes:
        predictions: (n, classes) probabilities of all embeddings.
        truth: (m,) class indices of the rows ``labels.rows``; None without labels.
        scores: of the classifier and of the class shares of its training set: name -> metric -> score.
    """

    classifier: Classifier
    embeddings: Embeddings
    predictions: np.ndarray
    labels: Labels | None = None
    truth: np.ndarray | None = None
    scores: dict[str, dict] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def classes(self) -> list[str]:
        return self.classifier.classes

    @property
    def judged(self) -> np.ndarray:
        """(m, classes) probabilities of the rows whose label is known."""
        return self.predictions[self.labels.rows]
