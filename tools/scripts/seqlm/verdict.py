"""What a fine-tuning found and how far it can be trusted, in words a biologist understands."""

from __future__ import annotations

import math

import numpy as np

from . import metrics
from .finetune_summary import SPLIT_NAMES, FinetuneSummary
from .metrics import Score
from .report import shown

BASELINE_NAMES = {
    "majority": "always the class shares of the training set",
    "mean": "always the mean of the training values",
    "k-mer": "a simple model of short words in the sequence, without a language model",
    "frozen embeddings": "a simple model on the base model's embeddings, without fine-tuning",
}

# Beyond these the report warns. Few: an accuracy has a 95 % interval of about 0.2 with 100 sequences.
FEW_SEQUENCES = 100
FEW_OF_A_CLASS = 20
WIDE_INTERVAL = 0.2
UNBALANCED = 4  # times as many training examples of the largest class as of the smallest


def number(value: float, metric: str = "") -> str:
    if math.isnan(value):
        return "undefined"
    if metric == "rmse":  # it has the unit of the values, which may be large or small
        return f"{value:.4g}"
    return f"{round(value, 3) + 0:.3f}"  # + 0 turns -0.0 into 0.0


def with_interval(score: Score, metric: str = "") -> str:
    if math.isnan(score.low):
        return number(score.value, metric)
    return f"{number(score.value, metric)} ({number(score.low, metric)} to {number(score.high, metric)})"


def headline(summary: FinetuneSummary) -> str:
    """The verdict in one sentence."""
    where = f"on the {SPLIT_NAMES[summary.deciding]}"
    baselines = summary.models[1:]
    beaten = [name for name in baselines if _outcome(summary, name) == "better"]
    rest = [name for name in baselines if name not in beaten]
    if not baselines:
        return f"The fine-tuned model has {_name_of_score(summary)} {with_interval(summary.score())} {where}."
    if not rest:
        return f"Fine-tuning beat every baseline {where}."
    if not beaten:
        return f"Fine-tuning did not clearly beat any baseline {where}."
    return f"Fine-tuning beat {_list(beaten)}, but did not clearly beat {_list(rest)}, {where}."


def explanation(summary: FinetuneSummary) -> str:
    n = len(summary.truth[summary.deciding])
    return (
        f"Judged by {_name_of_score(summary)} on the {SPLIT_NAMES[summary.deciding]} of {n:,} sequences, the "
        f"fine-tuned model reaches {with_interval(summary.score(), summary.metric)}. The range is a 95 % interval: how "
        "far the score could move with other sequences of the same kind. A baseline counts as beaten when the whole "
        "interval of the difference is on the better side of zero."
    )


def comparisons(summary: FinetuneSummary) -> list[str]:
    """One sentence a baseline."""
    words = {
        "better": "fine-tuning is better, by {}",
        "worse": "fine-tuning is worse, by {}",
        "open": "no clear difference, {}",
        "undefined": "cannot be compared",
    }
    sentences = []
    for name in summary.models[1:]:
        what = f" ({BASELINE_NAMES[name]})" if name in BASELINE_NAMES else ""
        sentences.append(
            f"{name}{what}: {with_interval(summary.score(name), summary.metric)}; "
            + words[_outcome(summary, name)].format(with_interval(_gain(summary, name), summary.metric))
            + "."
        )
    return sentences


def warnings(summary: FinetuneSummary) -> list[str]:
    """What makes the verdict weaker than it looks, the most serious first."""
    deciding, score = summary.deciding, summary.score()
    n = len(summary.truth[deciding])
    found = []
    if summary.demonstration:
        found.append(
            f"The base model {shown(summary.base_model)} is a tiny demonstration model that has learnt nothing from "
            "nature. These scores show that the tool works; they say nothing about biology."
        )
    if deciding == "validation":
        found.append(
            "There is no test set. The validation set also chose the best epoch and the baselines' settings, so its "
            "scores are too good. Keep some sequences apart as a test set before you rely on them."
        )
    if deciding == "train":
        found.append(
            "There is neither a test nor a validation set. The scores are of the very sequences that the model was "
            "trained on and say nothing about new ones."
        )
    shared = summary.duplicates.get(f"in both train and {deciding}", 0)
    if shared:
        found.append(
            f"{shared:,} of the sequences in the {SPLIT_NAMES[deciding]} are also in the training set, so its scores "
            "are too good. Remove duplicates before splitting."
        )
    if n < FEW_SEQUENCES:
        found.append(
            f"Only {n:,} sequences decide: each moves the accuracy by {1 / n:.1%}. Small differences mean nothing."
            if not summary.regression
            else f"Only {n:,} sequences decide. Small differences mean nothing."
        )
    if not summary.regression:
        found += _class_warnings(summary)
    width = score.high - score.low
    if width > WIDE_INTERVAL and summary.metric != "rmse":
        found.append(
            f"The interval of {_name_of_score(summary)} is {width:.2f} wide. The true value can be anywhere in it; "
            "more test sequences would narrow it."
        )
    return found


def _class_warnings(summary: FinetuneSummary) -> list[str]:
    found = []
    here = np.bincount(summary.truth[summary.deciding], minlength=len(summary.classes))
    rare = [summary.classes[c] for c in np.flatnonzero(here < FEW_OF_A_CLASS)]
    if rare and len(summary.truth[summary.deciding]) >= FEW_SEQUENCES:
        names = _list([shown(name) for name in rare[:3]] + ([f"{len(rare) - 3:,} more"] if len(rare) > 3 else []))
        found.append(
            f"Fewer than {FEW_OF_A_CLASS} sequences of {names} are in the {SPLIT_NAMES[summary.deciding]}; how well "
            "the model does on so few is mostly luck."
        )
    counts = np.bincount(summary.truth["train"], minlength=len(summary.classes))
    most, least = int(counts.argmax()), int(counts.argmin())
    if counts[most] >= UNBALANCED * counts[least]:
        largest, share = shown(summary.classes[most]), here[most] / here.sum()
        found.append(
            f"The classes are unbalanced: {counts[most]:,} training sequences of {largest}, {counts[least]:,} of "
            f"{shown(summary.classes[least])}. "
            + (
                f"Calling everything {largest} has an accuracy of {share:.2f} here, so look at "
                if share > 0.5
                else "Look at "
            )
            + "MCC, balanced accuracy and AUPRC rather than accuracy. Class weights may help."
        )
    called = np.unique(summary.called)
    if len(called) == 1 and len(here) > 1:
        found.append(
            f"The model calls every sequence {shown(summary.classes[called[0]])}: it has learnt no difference."
        )
    return found


def _outcome(summary: FinetuneSummary, baseline: str) -> str:
    gain = _gain(summary, baseline)
    if math.isnan(gain.low):
        return "undefined"
    return "better" if gain.low > 0 else "worse" if gain.high < 0 else "open"


def _gain(summary: FinetuneSummary, baseline: str) -> Score:
    """How much better than the baseline, whichever way the metric runs."""
    difference = summary.differences[baseline]
    if metrics.HIGHER_IS_BETTER[summary.metric]:
        return difference
    return Score(-difference.value, -difference.high, -difference.low)


def _name_of_score(summary: FinetuneSummary) -> str:
    name = summary.label(summary.metric)
    is_name = name.isupper() or name.startswith(("Spearman", "Pearson"))
    return name if is_name else name[0].lower() + name[1:]


def _list(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
