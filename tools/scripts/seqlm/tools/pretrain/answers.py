"""Answers of a model that was taught instructions, and how many of them are right.

An answer is written token by token, always the most probable one, until the token that ends a text. Where few different
outputs were learnt they are labels, and the usual scores of classes are given beside exact matches.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from seqlm.cli.errors import InputError
from seqlm.cli.progress import Progress
from seqlm.inference.drawing import Drawing
from seqlm.inference.sampling import Job, Limits, sample
from seqlm.metrics.resampling import Score, resample_weights
from seqlm.tokenization.language_text import LanguageText

from .plan import Plan

MOST_LABELS = 20  # different outputs of the training set that are taken for labels
SLOTS = 32
RESAMPLES = 1000
EXACT, BALANCED, MACRO, MCC = "exact_match", "balanced_accuracy", "macro_f1", "mcc"


@dataclass
class Answers:
    """What was answered to the questions of the test set.

    Attributes:
        rows: number, instruction, input, truth, answer, whether they are equal, whether the model ended it.
        scores, beside: metric -> Score of the model, and of the baseline.
        baseline: what that is, in words.
    """

    rows: list[list]
    scores: dict[str, Score]
    beside: dict[str, Score]
    baseline: str
    headline: str
    explanation: str


def answer_all(plan: Plan, model: nn.Module, device: torch.device) -> Answers | None:
    """Answer every question of the test set, or else of the validation set."""
    split = "test" if plan.examples.get("test") else "validation"
    asked = plan.examples.get(split)
    if not asked:
        return None
    text = LanguageText(plan.family, plan.folder, line_length=0)
    # sequences have no blanks, answers do
    words = {number: token.replace("▁", " ") for token, number in plan.family.vocabulary.items() if "▁" in token}
    longest = max(one.given for one in asked) + plan.arguments.max_answer
    prompts = [one.row.ids[: one.given] for one in asked]
    if not plan.suffix:
        raise InputError("the model has no token that ends a text, so its answers would never end")
    progress = Progress("answering", len(asked), "questions", lines=4)
    written: list = [None] * len(asked)
    drawing = Drawing(sample=False)
    limits = Limits(tuple(plan.suffix), min(longest, plan.context))
    jobs = [Job(number, plan.arguments.seed) for number in range(len(asked))]
    for done, (number, one) in enumerate(sample(model, prompts, jobs, drawing, limits, SLOTS), start=1):
        written[number] = one
        progress(done)
    rows, given = [], []
    for number, (one, answer) in enumerate(zip(asked, written, strict=True), start=1):
        letters = "".join(words.get(token, text.texts[token]) for token in answer.ids[one.given :]).strip()
        given.append(letters)
        example = one.example
        equal = "yes" if _same(letters, example.output) else "no"
        rows.append([number, example.instruction, example.input, example.output, letters, equal,
                     "yes" if answer.complete else "no"])  # fmt: skip
    return _judged(plan, rows, [one.example.output for one in asked], given, split)


def _judged(plan: Plan, rows: list[list], truth: list[str], given: list[str], split: str) -> Answers:
    learnt = Counter(one.example.output for one in plan.examples["train"])
    most = min(learnt, key=lambda one: (-learnt[one], one))
    labels = sorted(learnt) if len(learnt) <= MOST_LABELS else None
    seed = plan.arguments.seed
    scores = _scores(truth, given, labels, seed)
    beside = _scores(truth, [most] * len(truth), labels, seed)
    gain = _exact(truth, given) - _exact(truth, [most] * len(truth))
    low, high = _interval(gain, seed)
    exact = scores[EXACT]
    name = {"test": "test set", "validation": "validation set"}[split]
    against = "more than" if low > 0 else "fewer than" if high < 0 else "not clearly more than"
    headline = (
        f"The model answers {exact.value:.1%} of {len(truth):,} questions of the {name} exactly "
        f"({exact.low:.1%} to {exact.high:.1%}), {against} always answering '{most[:30]}' would."
    )
    words = (
        "An answer is right where it equals the truth letter for letter, blanks aside. The baseline always gives "
        f"'{most[:30]}', the most frequent output of the training set. Intervals are 95 %, over questions."
    )
    if labels:
        words += (
            f" The training set has {len(labels)} different outputs, so they are taken for labels; any other answer "
            "counts as wrong."
        )
    return Answers(rows, scores, beside, f"always '{most[:30]}'", headline, words)


def _exact(truth: list[str], given: list[str]) -> np.ndarray:
    return np.array([_same(one, other) for one, other in zip(truth, given, strict=True)], float)


def _same(one: str, other: str) -> bool:
    """Blanks do not count, as some tokenizers do not keep them."""
    return "".join(one.split()) == "".join(other.split())


def _interval(values: np.ndarray, seed: int) -> tuple[float, float]:
    drawn = np.concatenate(
        [weights @ values / weights.sum(1) for weights in resample_weights(len(values), RESAMPLES, seed)]
    )
    return tuple(float(one) for one in np.percentile(drawn, [2.5, 97.5]))


def _scores(truth: list[str], given: list[str], labels: list[str] | None, seed: int) -> dict[str, Score]:
    equal = _exact(truth, given)
    found = {EXACT: Score(float(equal.mean()), *_interval(equal, seed))}
    if not labels or len(labels) < 2:
        return found
    known = sorted({*labels, *truth})
    places = {"".join(label.split()): number for number, label in enumerate(known)}
    size = len(known) + 1  # and anything else
    cells = np.array(
        [places[one] * size + places.get(other, size - 1) for one, other in zip(*_bare(truth, given), strict=True)]
    )
    whole = _of_counts(np.bincount(cells, minlength=size * size)[None].reshape(1, size, size))
    drawn = []
    for weights in resample_weights(len(cells), RESAMPLES, seed):
        counts = np.stack([np.bincount(cells, one, minlength=size * size) for one in weights])
        drawn.append(_of_counts(counts.reshape(-1, size, size)))
    for metric, (value,) in whole.items():
        values = np.concatenate([one[metric] for one in drawn])
        values = values[np.isfinite(values)]
        low, high = np.percentile(values, [2.5, 97.5]) if len(values) else (np.nan, np.nan)
        found[metric] = Score(float(value), float(low), float(high))
    return found


def _bare(*texts: list[str]) -> list[list[str]]:
    return [["".join(one.split()) for one in some] for some in texts]


def _of_counts(counts: np.ndarray) -> dict[str, np.ndarray]:
    """Scores of tables (resamples, truth, answer); classes that are in the truth alone are averaged over."""
    right = np.diagonal(counts, axis1=1, axis2=2).astype(float)
    true, called, total = counts.sum(2).astype(float), counts.sum(1).astype(float), counts.sum((1, 2)).astype(float)
    there = true > 0
    with np.errstate(divide="ignore", invalid="ignore"):
        recall = np.where(there, right / true, np.nan)
        f1 = np.where(there, 2 * right / (true + called), np.nan)
        product = (true * called).sum(1)
        spread = np.sqrt(total**2 - (called**2).sum(1)) * np.sqrt(total**2 - (true**2).sum(1))
        mcc = np.where(spread > 0, (right.sum(1) * total - product) / spread, 0.0)
    return {
        BALANCED: np.nanmean(recall, 1), MACRO: np.nanmean(f1, 1), MCC: mcc,
    }  # fmt: skip
