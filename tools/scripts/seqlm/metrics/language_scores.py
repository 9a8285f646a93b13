"""Scores of language models: perplexities and bits, with bootstrap intervals over sequences.

A model loses -log p of each token of a sequence. Perplexity is exp(mean loss of a token): the number of tokens between
which the model is, on average, undecided. Tokens differ from model to model, letters do not, so models are compared by
what a sequence loses per letter: as perplexity, or in bits, log2 of it.
"""

from __future__ import annotations

import numpy as np

from .resampling import Sample, Score, resample_weights

PERPLEXITY, LETTER_PERPLEXITY, BITS = "perplexity", "letter_perplexity", "bits_per_letter"
LABELS = {
    PERPLEXITY: "Perplexity per token",
    LETTER_PERPLEXITY: "Perplexity per letter",
    BITS: "Bits per letter",
}
RESAMPLES = 1000


def samples(
    lost: np.ndarray, letters: np.ndarray, tokens: np.ndarray | None, seed: int, resamples: int = RESAMPLES
) -> dict[str, Sample]:
    """Every score and what it was in each resample.

    Args:
        lost: (sequences,) nats.
        letters, tokens: (sequences,) how many; ``tokens`` None for a model of letters.
        seed: equal seeds and equal numbers of sequences give equal resamples, so that two models can be compared.
    """
    counts = {LETTER_PERPLEXITY: letters, BITS: letters} | ({} if tokens is None else {PERPLEXITY: tokens})
    drawn: dict[str, list[np.ndarray]] = {metric: [] for metric in counts}
    for weights in resample_weights(len(lost), resamples, seed):
        sums = weights @ lost
        for metric, count in counts.items():
            drawn[metric].append(_score(metric, sums, weights @ count))
    return {
        metric: Sample(float(_score(metric, lost.sum(), counts[metric].sum())), np.concatenate(drawn[metric]))
        for metric in LABELS
        if metric in counts
    }


def scores(found: dict[str, Sample]) -> dict[str, Score]:
    return {metric: sample.score() for metric, sample in found.items()}


def differences(first: dict[str, Sample], second: dict[str, Sample]) -> dict[str, Score]:
    """Each score of the first model less that of the second, of the same resamples; below zero the first is better."""
    return {metric: first[metric].less(second[metric]).score() for metric in first if metric in second}


def _score(metric: str, lost, count):
    mean = lost / count
    return mean / np.log(2) if metric == BITS else np.exp(mean)
