"""From probabilities to calls: thresholds and temperatures, chosen on a validation set and never on a test set."""

from __future__ import annotations

import numpy as np

HALF = 0.5


def called(
    predictions: np.ndarray, threshold: float | np.ndarray | None = None, *, several: bool = False
) -> np.ndarray:
    """What a model calls at a threshold.

    Args:
        predictions: (n, classes) probabilities, or (n, labels) independent ones.
        threshold: None for the class with the largest probability; a number for two classes, where the second is called
            when its probability is at least that; (labels,) for several labels at once.
        several: labels are independent: None then means 0.5, and a number holds for every label.

    Returns:
        (n,) class indices, or (n, labels) 0 and 1 for several labels.

    Raises:
        ValueError: a threshold that does not fit the shape of the predictions.

    >>> called(np.array([[0.7, 0.3], [0.2, 0.8]]), 0.25)
    array([1, 1])
    """
    predictions = np.asarray(predictions)
    if several or np.ndim(threshold):
        threshold = np.asarray(HALF if threshold is None else threshold)
        if predictions.ndim != 2 or threshold.shape not in ((), predictions.shape[1:]):
            raise ValueError(f"{threshold.shape} thresholds do not fit predictions of {predictions.shape}")
        return (predictions >= threshold).astype(np.int64)
    if threshold is None:
        return predictions.argmax(axis=1)
    if predictions.shape[1] != 2:
        raise ValueError(f"a threshold needs two classes, there are {predictions.shape[1]}")
    return (predictions[:, 1] >= threshold).astype(np.int64)


def best_threshold(truth: np.ndarray, probability: np.ndarray, by: str = "mcc") -> float:
    """The threshold with the best score, exact over all distinct probabilities.

    It lies in the middle between two neighbouring probabilities, so that rounding them changes no call. Of equally good
    ones the nearest to 0.5 is taken.

    Args:
        truth: (n,) 0 or 1.
        probability: (n,) of class 1.
        by: ``mcc`` or ``f1``.

    Returns:
        0.5 when the truth has one class only.
    """
    truth, probability = np.asarray(truth).astype(bool), np.asarray(probability, dtype=float)
    positives, n = int(truth.sum()), len(truth)
    if positives in (0, n):
        return HALF
    values, place = np.unique(probability, return_inverse=True)  # upwards
    everyone = np.bincount(place).astype(float)
    found = np.bincount(place[truth], minlength=len(values)).astype(float)
    # of the threshold below values[k], and at last of the one above all: how many are called, and rightly so
    called_at = np.append(everyone[::-1].cumsum()[::-1], 0.0)
    right_at = np.append(found[::-1].cumsum()[::-1], 0.0)
    if by == "f1":
        scores = 2 * right_at / (called_at + positives)
    elif by == "mcc":
        spread = np.sqrt(called_at * (n - called_at) * positives * (n - positives))
        scores = np.divide(right_at * n - called_at * positives, spread, out=np.zeros(len(spread)), where=spread > 0)
    else:
        raise ValueError(f"thresholds are chosen by mcc or f1, not {by!r}")
    below, above = np.append(0.0, values), np.append(values, 1.0)
    middle = below + (above - below) / 2
    middle[:-1] = np.where(middle[:-1] > below[:-1], middle[:-1], values)  # neighbours with no number between them
    good = np.flatnonzero(scores >= scores.max() - 1e-12)
    return float(middle[good[np.argmin(np.abs(middle[good] - HALF))]])


def best_thresholds(truth: np.ndarray, probabilities: np.ndarray, by: str = "f1") -> np.ndarray:
    """:func:`best_threshold` of each label: (n, labels) twice -> (labels,); 0.5 for a label that is never or always
    true. What is not known, -1, is passed over."""
    columns = zip(np.asarray(truth).T, np.asarray(probabilities).T, strict=True)
    return np.array([best_threshold(true[true >= 0], given[true >= 0], by) for true, given in columns])


def best_temperature(truth: np.ndarray, logits: np.ndarray, kind: str = "softmax") -> float:
    """The temperature T between 0.05 and 20 with which logits / T have the least negative log-likelihood.

    It changes how sure a model is, and no order of classes (Guo et al. 2017, arXiv:1706.04599).

    Args:
        truth: (n,) class indices; for ``sigmoid`` (n, labels) 0 or 1, or -1 where that is not known.
        logits: (n, classes) or (n, labels).
        kind: ``softmax`` or ``sigmoid`` (several labels at once).

    Raises:
        ValueError: shapes that disagree, no example, a logit that is not finite.
    """
    from scipy.optimize import minimize_scalar

    truth, logits = np.asarray(truth), np.asarray(logits, dtype=float)
    wanted = logits.shape if kind == "sigmoid" else logits.shape[:1]
    if logits.ndim != 2 or truth.shape != wanted or not truth.size:
        raise ValueError(f"truth {wanted} and logits (n, columns) wanted, got {truth.shape} and {logits.shape}")
    if not np.isfinite(logits).all():
        raise ValueError("a logit is NaN or infinite")
    if kind == "sigmoid":
        against = np.where(truth > 0, -logits, logits)[truth >= 0]  # the loss is log(1 + exp(this / T))

        def loss(log_temperature):
            return np.logaddexp(0, against / np.exp(log_temperature)).mean()
    else:
        shifted = logits - logits.max(axis=1, keepdims=True)
        own = np.take_along_axis(shifted, truth[:, None].astype(np.int64), axis=1)[:, 0]

        def loss(log_temperature):
            scaled = shifted / np.exp(log_temperature)
            return (np.log(np.exp(scaled).sum(axis=1)) - own / np.exp(log_temperature)).mean()

    found = minimize_scalar(loss, bounds=np.log([0.05, 20.0]), method="bounded", options={"xatol": 1e-6})
    return float(np.clip(np.exp(found.x), 0.05, 20.0))


def logits_of(predictions: np.ndarray, several: bool) -> np.ndarray:
    """Logits that give these probabilities, up to what softmax does not see; of several labels one each."""
    smallest = np.finfo(float).tiny
    logs = np.log(np.clip(predictions, smallest, 1.0))
    return logs - np.log(np.clip(1 - np.asarray(predictions), smallest, 1.0)) if several else logs


def tempered(predictions: np.ndarray, temperature: float, several: bool) -> np.ndarray:
    """Probabilities as they are when the logits are divided by a temperature."""
    from scipy.special import expit, softmax

    logits = logits_of(predictions, several) / temperature
    return expit(logits) if several else softmax(logits, axis=1)
