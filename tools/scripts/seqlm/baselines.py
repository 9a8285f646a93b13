"""Three baselines that stand beside every fine-tuned model, so that a score can be judged.

- ``majority``: the class shares of the training set for everyone; for numbers ``mean``, their mean.
- ``k-mer``: logistic regression (ridge regression for numbers) on how often each short word occurs in a sequence. What
  it reaches needs no language model.
- ``frozen embeddings``: the same on the untrained base model's embeddings. What it reaches needs no fine-tuning.

All are fitted on the training set alone. The strength of the penalty is the one with the best score on the validation
set, as the fine-tuned model's best epoch is; without a validation set it is scikit-learn's default. No other set has
any influence.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from . import metrics

MAJORITY, MEAN, KMER, FROZEN = "majority", "mean", "k-mer", "frozen embeddings"

LONGEST_WORD = {"protein": 3, "dna": 5, "rna": 5}  # about 8,000 amino-acid triples, 1,000 base pentamers
LONGEST_WORD_OF_TEXT = 4
WORDS = 2**15  # buckets that words are hashed into: memory does not depend on the letters that occur
STRENGTHS = (0.01, 0.1, 1.0, 10.0, 100.0)  # C of logistic regression; 1 / alpha of ridge regression
DEFAULT_STRENGTH = 1.0


@dataclass(frozen=True)
class Part:
    """One split: ``sequences`` (n), ``truth`` (n,) class indices or values, ``embeddings`` (n, hidden) or None."""

    sequences: list[str]
    truth: np.ndarray
    embeddings: np.ndarray | None = None


def fit_baselines(
    train: Part,
    others: dict[str, Part],
    *,
    task: str,
    classes: int,
    metric: str,
    class_weights: np.ndarray | None = None,
    alphabet: str = "protein",
    positive: int | None = None,
    seed: int = 0,
) -> dict[str, dict[str, np.ndarray]]:
    """Fit every baseline on ``train`` and predict ``train`` and the other splits.

    Args:
        others: split name -> its part; ``validation`` chooses the penalty, the rest is only predicted.
        task: a name that ends in ``regression`` means values, all else classes.
        classes: how many; not used for values.
        metric: the score on the validation set that chooses the penalty (see :mod:`seqlm.metrics`).
        class_weights: (classes,) of the loss, or None for equal ones.
        alphabet: ``protein``, ``DNA`` or else text; it decides how long words are.
        positive: index of the positive class of two, for metrics that have one.
        seed: of the solvers that draw random numbers; results are the same for the same seed.

    Returns:
        baseline -> split -> predictions, (n, classes) probabilities or (n,) values. ``frozen embeddings`` is there only
        when every part has embeddings.
    """
    parts = {"train": train, **others}
    regression = metrics.metrics_for(task) is metrics.REGRESSION
    settings = (regression, classes, class_weights, metric, positive, seed)
    features = {KMER: _count_words(parts, alphabet)}
    if all(part.embeddings is not None for part in parts.values()):
        features[FROZEN] = _standardise(parts)
    baselines = {MEAN if regression else MAJORITY: _constant(parts, regression, classes)}
    for name, by_split in features.items():
        model = _best_model(by_split, parts, *settings)
        baselines[name] = {split: _predict(model, part, regression, classes) for split, part in by_split.items()}
    return baselines


def _constant(parts: dict[str, Part], regression: bool, classes: int) -> dict[str, np.ndarray]:
    truth = parts["train"].truth
    guess = np.mean(truth) if regression else np.bincount(truth, minlength=classes) / len(truth)
    return {split: np.repeat([guess], len(part.truth), axis=0) for split, part in parts.items()}


def _count_words(parts: dict[str, Part], alphabet: str) -> dict:
    """Counts of all words up to a length, each sequence scaled to length 1: sparse (n, words in training)."""
    from sklearn.feature_extraction.text import HashingVectorizer

    alphabet = alphabet.lower()
    longest = LONGEST_WORD.get(alphabet, LONGEST_WORD_OF_TEXT)
    counter = HashingVectorizer(
        analyzer="char",
        ngram_range=(1, longest),
        n_features=WORDS,
        alternate_sign=False,
        norm="l2",
        lowercase=alphabet in LONGEST_WORD,  # in SMILES c and C differ
    )
    counts = {split: counter.transform(part.sequences) for split, part in parts.items()}
    known = counts["train"].getnnz(axis=0) > 0  # any other word's coefficient would be 0: leave it out, to save time
    return {split: matrix[:, known] for split, matrix in counts.items()}


def _standardise(parts: dict[str, Part]) -> dict:
    """Embeddings with mean 0 and variance 1 in the training set: (n, hidden)."""
    from sklearn.preprocessing import StandardScaler

    scaler = StandardScaler().fit(parts["train"].embeddings.astype(float))
    return {split: scaler.transform(part.embeddings.astype(float)) for split, part in parts.items()}


def _best_model(features, parts, regression, classes, class_weights, metric, positive, seed):
    def fit(strength):
        return _model(regression, strength, class_weights, seed).fit(features["train"], parts["train"].truth)

    if "validation" not in parts:
        return fit(DEFAULT_STRENGTH)
    best, best_score = None, -np.inf
    for strength in STRENGTHS:  # from the simplest model on, which an equal score does not replace
        model = fit(strength)
        predicted = _predict(model, features["validation"], regression, classes)
        score = metrics.plain(metric, parts["validation"].truth, predicted, positive=positive)
        score = score if metrics.HIGHER_IS_BETTER[metric] else -score
        if score > best_score:
            best, best_score = model, score
    return best if best is not None else fit(DEFAULT_STRENGTH)  # the metric was undefined for all


def _model(regression: bool, strength: float, class_weights: np.ndarray | None, seed: int):
    from sklearn.linear_model import LogisticRegression, Ridge

    if regression:
        return Ridge(alpha=1 / strength, tol=1e-6, random_state=seed)
    weights = None if class_weights is None else dict(enumerate(np.asarray(class_weights, dtype=float)))
    # Rows are scaled, so L-BFGS converges in far fewer steps than allowed.
    return LogisticRegression(C=strength, class_weight=weights, max_iter=10_000, random_state=seed)


def _predict(model, features, regression: bool, classes: int) -> np.ndarray:
    if regression:
        return model.predict(features)
    probabilities = np.zeros((features.shape[0], classes))
    probabilities[:, model.classes_] = model.predict_proba(features)  # a class without examples keeps 0
    return probabilities
