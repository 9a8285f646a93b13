"""What is known of the training of a language model once it is done, for its report."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from seqlm.metrics.language_scores import BITS, PERPLEXITY
from seqlm.metrics.resampling import Score
from seqlm.report.words import SPLIT_NAMES
from seqlm.tools.finetune.summary import TrainedSummary

AFTER, BEFORE = "fine-tuned", "not fine-tuned"


@dataclass
class LanguageSummary(TrainedSummary):
    """Everything the report says.

    Attributes:
        scores: model or baseline -> split -> metric -> score, as :mod:`seqlm.metrics.language_scores` gives them.
        differences: model or baseline -> split -> metric -> score of the fine-tuned model less its; below zero is
            better.
        before, after: (sequences,) perplexity per token of each sequence of the deciding split.
        lengths: split -> (sequences,) letters.
        tokens: split -> tokens that count, all together.
        smoothing: the constant of the 3-mer model; ``chosen``: by the validation set.
        pieces: tokens may stand for several letters.
        starts: the model has a token that begins a sequence.
        ends: the model has a token that ends one.
        adapted: an adapter was trained, not all weights.
    """

    scores: dict[str, dict[str, dict[str, Score]]]
    differences: dict[str, dict[str, dict[str, Score]]]
    before: np.ndarray
    after: np.ndarray
    lengths: dict[str, np.ndarray]
    tokens: dict[str, int]
    smoothing: float = 1.0
    pieces: bool = False
    starts: bool = True
    ends: bool = True
    adapted: bool = True

    @property
    def splits(self) -> list[str]:
        return [name for name in SPLIT_NAMES if name in self.lengths]

    @property
    def deciding(self) -> str:
        """The split that the verdict rests on: the test set if there is one, else validation, else training."""
        return self.splits[-1]

    @property
    def models(self) -> list[str]:
        """The fine-tuned model, the one before, the baselines."""
        return list(self.scores)

    def score(self, model: str = AFTER, metric: str = BITS, split: str = "") -> Score:
        return self.scores[model][split or self.deciding][metric]

    def difference(self, model: str, metric: str = BITS) -> Score:
        return self.differences[model][self.deciding][metric]

    def outcome(self, model: str) -> str:
        """Whether the fine-tuned model is ``better`` or ``worse`` than another, or it is ``open``."""
        difference = self.difference(model, PERPLEXITY if model == BEFORE else BITS)
        return "better" if difference.high < 0 else "worse" if difference.low > 0 else "open"
