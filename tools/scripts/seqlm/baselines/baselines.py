"""Three baselines that stand beside every fine-tuned model of sequences, so that a score can be judged.

- ``majority``: the class shares of the training set for everyone; for numbers ``mean``, their mean.
- ``k-mer``: logistic regression (ridge regression for numbers) on how often each short word occurs in a sequence. What
  it reaches needs no language model.
- ``frozen embeddings``: the same on the untrained base model's embeddings. What it reaches needs no fine-tuning.

All are fitted on the training set alone, which also says how strong their penalty is, by cross-validation (see
:mod:`seqlm.baselines.linear_models`). No other set has any influence. With several labels at once, each is learnt on
its own, against its absence.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .linear_models import Goal, Linear, fit_and_predict, in_memory

MAJORITY, MEAN, KMER, FROZEN = "majority", "mean", "k-mer", "frozen embeddings"

LONGEST_WORD = {"protein": 3, "dna": 5, "rna": 5}  # about 8,000 amino-acid triples, 1,000 base pentamers
LONGEST_WORD_OF_TEXT = 4
WORDS = 2**15  # buckets that words are hashed into: memory does not depend on the letters that occur


@dataclass(frozen=True)
class Part:
    """One split.

    Attributes:
        sequences: (n,).
        truth: (n,) class indices or values, or with several labels (n, labels) 0 or 1, or -1 where that is not known
            and counts nowhere.
        embeddings: (n, hidden) or None.
        blocks: (n,) what each sequence shares with others, such as its protein, from 0 on; None where they share
            nothing.
    """

    sequences: list[str]
    truth: np.ndarray
    embeddings: np.ndarray | None = None
    blocks: np.ndarray | None = None


def fit_baselines(
    train: Part,
    others: dict[str, Part],
    *,
    task: str,
    classes: int,
    class_weights: np.ndarray | None = None,
    alphabet: str = "protein",
    seed: int = 0,
) -> tuple[dict[str, dict[str, np.ndarray]], Linear | None]:
    """Fit every baseline on ``train`` and predict ``train`` and the other splits.

    Args:
        others: split name -> its part, which is only predicted.
        task: a name that ends in ``regression`` means values, ``multi-label`` several labels, all else classes.
        classes: how many classes or labels; not used for values.
        class_weights: (classes,) of the loss, of several labels (labels, 2) for absent and present; None: all equal.
        alphabet: ``protein``, ``DNA`` or else text; it decides how long words are.
        seed: of what is drawn; results are the same for the same seed.

    Returns:
        baseline -> split -> predictions: (n, classes) or (n, labels) probabilities, or (n,) values; and the linear
        model of the embeddings. ``frozen embeddings`` is there only when every part has embeddings, else its model is
        None.
    """
    parts = {"train": train, **others}
    goal = Goal(task.endswith("regression"), classes, task == "multi-label", class_weights, seed)
    baselines = {MEAN if goal.regression else MAJORITY: constant({s: part.truth for s, part in parts.items()}, goal)}
    counts, probe = _count_words(parts, alphabet), None
    words = {split: in_memory(counts[split], part.truth, part.blocks) for split, part in parts.items()}
    _, baselines[KMER] = fit_and_predict(words, goal)
    if all(part.embeddings is not None for part in parts.values()):
        vectors = {split: in_memory(part.embeddings, part.truth, part.blocks) for split, part in parts.items()}
        probe, baselines[FROZEN] = fit_and_predict(vectors, goal)
    return baselines, probe


def constant(truth: dict[str, np.ndarray], goal: Goal) -> dict[str, np.ndarray]:
    """The same for every unit: the mean of training, its class shares, or how frequent each of several labels is."""
    known = truth["train"]
    if goal.several:
        guess = (known == 1).sum(axis=0) / (known >= 0).sum(axis=0)
    elif goal.regression:
        guess = known.mean(axis=0)
    else:
        guess = np.bincount(known, minlength=goal.classes) / len(known)
    return {split: np.repeat([guess], len(values), axis=0) for split, values in truth.items()}


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
