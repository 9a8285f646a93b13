"""Baselines for pairs of sequences, from the simplest on.

- ``majority``: the class shares of the training set for everyone; for numbers ``mean``, their mean.
- ``protein frequency``: a linear model of how often each member occurs in training, in pairs of each class (of numbers
  the mean of its pairs). What it reaches, a model gets by remembering proteins, and it is lost on new ones (Park &
  Marcotte 2012, 10.1038/nmeth.2259; Bernett et al. 2024, 10.1093/bib/bbae076).
- ``k-mer``: a linear model of how often each short word occurs in both members. What it reaches needs no language
  model.
- ``frozen embeddings``: a linear model of the untrained base model's vectors of both. What it reaches needs no
  fine-tuning.

Two members become one vector as in the model's own head: sum, absolute difference and product where order means
nothing, else side by side. All are fitted on the training set alone, on at most 100,000 pairs; how strong the penalty
is, training pairs say by cross-validation, in which no member is on both sides (but where members are to be
remembered).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .baselines import FROZEN, KMER, MAJORITY, MEAN, constant
from .linear_models import FOLDS, Goal, Linear, Units, fit_and_predict

FREQUENCY = "protein frequency"

LONGEST_WORD = {"protein": 2, "dna": 4, "rna": 4}  # 400 and 256 words: a pair has three times as many features
LONGEST_WORD_OF_TEXT = 2
WORDS = 2**12  # buckets that words are hashed into
MOST_WORDS = 1_000  # of them, the most frequent ones in training


@dataclass(frozen=True)
class PairPart:
    """One split of pairs.

    Attributes:
        sequences: of all members, each once; the same for every split.
        pairs: (n, 2) places of the members in ``sequences``.
        truth: (n,) class indices or values.
        pooled: (sequences, hidden) or None.
        second_pooled: where another model reads second members: (others, its hidden), of the sequences that follow
            those of ``pooled``.
    """

    sequences: list[str]
    pairs: np.ndarray
    truth: np.ndarray
    pooled: np.ndarray | None = None
    second_pooled: np.ndarray | None = None


def fit_pair_baselines(
    train: PairPart,
    others: dict[str, PairPart],
    *,
    regression: bool,
    classes: int,
    symmetric: bool,
    class_weights: np.ndarray | None = None,
    alphabet: str = "protein",
    second_alphabet: str | None = None,
    seed: int = 0,
) -> tuple[dict[str, dict[str, np.ndarray]], Linear | None]:
    """Fit every baseline on ``train`` and predict ``train`` and the other splits.

    Args:
        others: split name -> its part, which is only predicted.
        regression: values, else classes.
        symmetric: a pair means the same in either order.
        second_alphabet: of second members, where it is another one.
        classes, class_weights, alphabet, seed: as for :func:`seqlm.baselines.baselines.fit_baselines`.

    Returns:
        baseline -> split -> predictions, (n, classes) probabilities or (n,) values. ``protein frequency`` predicts a
        training pair from other training pairs alone. And the linear model of the embeddings; ``frozen embeddings`` is
        there only with vectors, else its model is None.
    """
    parts = {"train": train, **others}
    goal = Goal(regression, classes, class_weights=class_weights, seed=seed)

    def fitted(
        vectors, apart=True
    ):  # split -> vectors of first and of second members, and where those of each pair are
        units = {}
        for split, (first, second, pairs) in vectors.items():
            width = first.shape[1] + second.shape[1] if not symmetric else 3 * first.shape[1]
            rows = _paired(first, second, pairs, symmetric)
            units[split] = Units(rows, parts[split].truth, width, parts[split].pairs if apart else None)
        return fit_and_predict(units, goal)

    baselines = {
        MEAN if regression else MAJORITY: constant({split: part.truth for split, part in parts.items()}, goal),
        FREQUENCY: fitted(_frequencies(parts, symmetric, goal), apart=False)[1],
    }
    first, second = _compositions(train, alphabet, second_alphabet or alphabet)
    _, baselines[KMER] = fitted({split: (first, second, part.pairs) for split, part in parts.items()})
    probe = None
    if train.pooled is not None:
        own, shift = (train.pooled, 0) if train.second_pooled is None else (train.second_pooled, len(train.pooled))
        places = {split: part.pairs - np.array([0, shift]) for split, part in parts.items()}
        probe, baselines[FROZEN] = fitted({split: (train.pooled, own, pairs) for split, pairs in places.items()})
    return baselines, probe


def _paired(first: np.ndarray, second: np.ndarray, pairs: np.ndarray, symmetric: bool):
    """Rows (pairs, width) of vectors (members, width) and the place of each pair's members among them."""

    def rows(places):
        one = np.asarray(first[pairs[places, 0]], dtype=np.float32)
        other = np.asarray(second[pairs[places, 1]], dtype=np.float32)
        return np.concatenate([one + other, np.abs(one - other), one * other] if symmetric else [one, other], axis=1)

    return rows


def _compositions(train: PairPart, alphabet: str, second_alphabet: str) -> tuple[np.ndarray, np.ndarray]:
    """Share of each short word in each sequence, (sequences, words) float32, read as a first and as a second member."""
    if second_alphabet == alphabet:
        both = _composition(train.sequences, np.unique(train.pairs), alphabet)
        return both, both
    return (
        _composition(train.sequences, np.unique(train.pairs[:, 0]), alphabet),
        _composition(train.sequences, np.unique(train.pairs[:, 1]), second_alphabet),
    )


def _composition(sequences: list[str], training: np.ndarray, alphabet: str) -> np.ndarray:
    from sklearn.feature_extraction.text import HashingVectorizer

    alphabet = alphabet.lower()
    counter = HashingVectorizer(
        analyzer="char",
        ngram_range=(1, LONGEST_WORD.get(alphabet, LONGEST_WORD_OF_TEXT)),
        n_features=WORDS,
        alternate_sign=False,
        norm="l1",
        dtype=np.float32,
        lowercase=alphabet in LONGEST_WORD,  # in SMILES c and C differ
    )
    counts = counter.transform(sequences)
    occurs = counts[training].getnnz(axis=0)
    frequent = np.argsort(-occurs, kind="stable")[:MOST_WORDS]
    return counts[:, np.sort(frequent[occurs[frequent] > 0])].toarray()


def _frequencies(parts: dict[str, PairPart], symmetric: bool, goal: Goal) -> dict:
    """What training pairs say about each member: split -> vectors of first and second members, and places of pairs.

    A training pair must not know itself, so it looks members up in what the pairs outside its own fold say.
    """
    train = parts["train"]
    members = len(train.sequences)
    fold = np.random.default_rng(goal.seed).permutation(len(train.pairs)) % FOLDS
    sides = ([0, 1], [0, 1]) if symmetric else ([0], [1])
    found = []
    for side in sides:
        tables = [_table(train, side, members, fold != out, goal) for out in range(FOLDS)]
        found.append((np.concatenate(tables), _table(train, side, members, fold >= 0, goal)))
    (inside, outside), (second_inside, second_outside) = found
    own = {"train": (inside, second_inside, train.pairs + fold[:, None] * members)}
    return own | {split: (outside, second_outside, part.pairs) for split, part in parts.items() if split != "train"}


def _table(train: PairPart, side: list[int], members: int, chosen: np.ndarray, goal: Goal) -> np.ndarray:
    """(members, classes + 1) float32: log share of each class among the pairs of a member (or the mean of their values)
    as if it were in one more pair, like the average; and log(1 + pairs)."""
    at = train.pairs[chosen][:, side].T.ravel()
    truth = np.tile(train.truth[chosen], len(side))
    pairs = np.bincount(at, minlength=members)[:, None]
    if goal.regression:
        known = (np.bincount(at, truth, members)[:, None] + train.truth.mean()) / (pairs + 1)
    else:
        cells = np.bincount(at * goal.classes + truth, minlength=members * goal.classes).reshape(members, goal.classes)
        average = (np.bincount(train.truth, minlength=goal.classes) + 1) / (len(train.truth) + goal.classes)
        known = np.log((cells + average) / (pairs + 1))
    return np.concatenate([known, np.log1p(pairs)], axis=1).astype(np.float32)
