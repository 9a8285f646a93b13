"""What a fine-tuning found and how far it can be trusted, in words a biologist understands."""

from __future__ import annotations

import numpy as np

from seqlm.baselines.baselines import FROZEN, KMER
from seqlm.baselines.pair_baselines import FREQUENCY
from seqlm.baselines.residue_baselines import WINDOW
from seqlm.cli.text import shown
from seqlm.metrics import metrics
from seqlm.metrics.metrics import Score
from seqlm.report.words import (
    FEW_OF_A_CLASS,
    FEW_UNITS,
    SPLIT_NAMES,
    UNBALANCED,
    WIDE_INTERVAL,
    few,
    first_of,
    in_sentence,
    listed,
    outcome,
    with_interval,
)

from .summary import FinetuneSummary

BASELINE_NAMES = {
    "majority": "always the class shares of the training set",
    "mean": "always the mean of the training values",
    "k-mer": "a simple model of short words in the sequence, without a language model",
    "residue": "the class shares of the same letter in training: what the letter alone tells",
    "window": "a simple model of the letters around, without a language model",
    "protein frequency": "a simple model of how often each member occurs in training pairs of each class: what a model "
    "gets by remembering them",
    "frozen embeddings": "a simple model on the base model's embeddings, without fine-tuning",
}
_OF_LABELS = {"majority": "always how frequent each label is in the training set"}
_OF_PAIRS = {"k-mer": "a simple model of short words in the two sequences, without a language model"}
_OF_VALUES = {
    "residue": "the mean of the same letter in training: what the letter alone tells",
    "protein frequency": "a simple model of the mean of each member's training pairs: what a model gets by remembering "
    "them",
}

SIMPLE = (KMER, WINDOW, FROZEN)  # baselines that one could use in place of a fine-tuned model
_NO_MODEL = "Nothing shows here that the task needs a language model."
_INSTEAD = {
    KMER: _NO_MODEL,
    WINDOW: _NO_MODEL,
    FROZEN: "It is the better choice here; Embed and Classify make such a model.",
}
FEW_PROTEINS = 30  # of residues: their proteins are what tells something of its own


def headline(summary: FinetuneSummary) -> str:
    """The verdict in one sentence."""
    where = f"on the {SPLIT_NAMES[summary.deciding]}"
    outcomes = {name: outcome(_gain(summary, name)) for name in summary.models[1:]}
    beaten = [name for name, found in outcomes.items() if found == "better"]
    worse = [name for name, found in outcomes.items() if found == "worse"]
    rest = [name for name in outcomes if name not in beaten + worse]
    if not outcomes:
        return f"The fine-tuned model has {_name_of_score(summary)} {with_interval(summary.score())} {where}."
    for names, words in ((beaten, "beat every"), (rest, "did not clearly beat any"), (worse, "was worse than every")):
        if len(names) == len(outcomes):
            return f"Fine-tuning {words} baseline {where}."
    lost = " and ".join(
        f"{words} {listed(names)}"
        for names, words in ((rest, "did not clearly beat"), (worse, "was worse than"))
        if names
    )
    return f"Fine-tuning beat {listed(beaten)}, but {lost}, {where}." if beaten else f"Fine-tuning {lost} {where}."


def explanation(summary: FinetuneSummary) -> str:
    split = summary.deciding
    text = (
        f"Judged by {_name_of_score(summary)} on the {SPLIT_NAMES[split]} of {summary.size(split)}, the fine-tuned "
        f"model reaches {with_interval(summary.score(), summary.metric)}. The range is a 95 % interval: how far the "
        f"score could move with other {summary.wholes} of the same kind. "
    )
    if summary.unit == "residue":
        text += (
            f"{summary.many.capitalize()} of one {summary.wholes[:-1]} are not independent, so whole {summary.wholes} "
            "were drawn for it. "
        )
    if summary.unit == "pair":
        text += f"Pairs that share a {summary.wholes[:-1]} are not independent, so the interval is rather too narrow. "
    return text + (
        "A baseline counts as beaten when the whole interval of the difference is on the better side of zero."
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
        what = f" ({meaning})" if (meaning := _baseline_in_words(summary, name)) else ""
        sentences.append(
            f"{name}{what}: {with_interval(summary.score(name), summary.metric)}; "
            + words[outcome(_gain(summary, name))].format(with_interval(_gain(summary, name), summary.metric))
            + "."
        )
    return sentences


def warnings(summary: FinetuneSummary) -> list[str]:
    """What makes the verdict weaker than it looks, the most serious first."""
    found = []
    if summary.demonstration:
        found.append(
            f"The base model {shown(summary.base_model)} has fewer weights than any published model, as those for "
            "tests and demonstrations have. These scores show that the tool works; they say little about biology."
        )
    found += summary.unknown
    found += _training_notes(summary)
    found += _split_warnings(summary)
    if summary.unit == "pair":
        found += _pair_warnings(summary)
    found += _size_warnings(summary)
    if summary.several:
        found += _label_warnings(summary)
    elif not summary.regression:
        found += _class_warnings(summary)
    score = summary.score()
    width = score.high - score.low
    if width > WIDE_INTERVAL and summary.metric != "rmse":
        found.append(
            f"The interval of {_name_of_score(summary)} is {width:.2f} wide. The true value can be anywhere in it; "
            f"more test {summary.wholes if summary.unit == 'residue' else summary.many} would narrow it."
        )
    return found


def _training_notes(summary: FinetuneSummary) -> list[str]:
    """What the course of the training says, and whether a simple model is the better choice."""
    found = []
    if summary.best_epoch == 0:
        found.append(
            "No epoch of the training was better on the validation set than the start, which is the simple model on "
            "the base model's embeddings. That is what was kept: fine-tuning has added nothing here."
        )
    elif summary.best_epoch and not summary.stopped_early and summary.best_epoch == summary.history[-1]["epoch"]:
        score = "loss was still falling" if summary.chosen_by == "loss" else "score was still improving"
        found.append(f"The validation {score} when the training ended: more epochs may give a better model.")
    gains = {name: _gain(summary, name) for name in SIMPLE if name in summary.differences}
    as_good = [name for name, gain in gains.items() if outcome(gain) in ("open", "worse") and gain.value <= 0]
    if as_good and not (as_good == [FROZEN] and summary.best_epoch == 0):
        best = min(as_good, key=lambda name: gains[name].value)
        found.append(
            f"{_baseline_in_words(summary, best).capitalize()}, scores {with_interval(summary.score(best))}, no worse "
            f"than the fine-tuned model. {_INSTEAD[best]}"
        )
    return found


def _split_warnings(summary: FinetuneSummary) -> list[str]:
    found, deciding = [], summary.deciding
    if deciding == "validation":
        chosen = ["the best epoch"]
        chosen += ["the threshold"] * (summary.chosen_threshold is not None)
        chosen += ["the temperature"] * (summary.temperature != 1)
        found.append(
            f"There is no test set. The validation set also chose {listed(chosen)}, so its scores are too good. Keep "
            f"some {summary.wholes} apart as a test set before you rely on them."
        )
    if deciding == "train":
        found.append(
            f"There is neither a test nor a validation set. The scores are of the very {summary.many} that the model "
            "was trained on and say nothing about new ones."
        )
    shared = summary.duplicates.get(f"in both train and {deciding}", 0)
    if shared:
        found.append(
            f"{shared:,} of the {summary.wholes} in the "
            f"{SPLIT_NAMES[deciding]} are also in the training set, so its scores are too good. "
            "Remove duplicates before splitting."
        )
    return found


def _pair_warnings(summary: FinetuneSummary) -> list[str]:
    """A model of pairs can score well by remembering which proteins have many partners, and knows nothing of new ones
    (Park & Marcotte 2012; Bernett et al. 2024)."""
    found, deciding = [], summary.deciding
    shared = summary.shared_members(deciding) if deciding != "train" else 0
    if shared:
        found.append(
            f"{shared:,} of the {len(summary.lengths[deciding]):,} {summary.wholes} in the pairs of the "
            f"{SPLIT_NAMES[deciding]} are in training pairs too. A model can score well on those by remembering which "
            f"{summary.wholes} have many partners, and will do worse on new ones. Split by {summary.wholes[:-1]} to "
            "see how much worse."
        )
    if FREQUENCY in summary.differences and outcome(_gain(summary, FREQUENCY)) != "better":
        found.append(
            f"Fine-tuning did not clearly beat {FREQUENCY}, which knows no sequence, only how often each one occurs in "
            "training pairs. Nothing shows that the model has learnt more than that."
        )
    return found


def _size_warnings(summary: FinetuneSummary) -> list[str]:
    n = summary.independent(summary.deciding)
    if summary.unit == "residue":
        if n >= FEW_PROTEINS:
            return []
        return [f"Only {n:,} {summary.wholes} decide, however many {summary.many} they have. Take differences lightly."]
    if n >= FEW_UNITS:
        return []
    if summary.regression or summary.several:
        return few(n, summary.many)
    return [
        f"Only {n:,} {summary.many} decide: each moves the accuracy by {1 / n:.1%}. Small differences mean nothing."
    ]


def _class_warnings(summary: FinetuneSummary) -> list[str]:
    found, many = [], summary.many
    here = np.bincount(summary.truth[summary.deciding], minlength=len(summary.classes))
    rare = [summary.classes[c] for c in np.flatnonzero(here < FEW_OF_A_CLASS)]
    if rare and len(summary.truth[summary.deciding]) >= FEW_UNITS:
        found.append(
            f"Fewer than {FEW_OF_A_CLASS} {many} of {first_of(rare)} are in the {SPLIT_NAMES[summary.deciding]}; how "
            "well the model does on so few is mostly luck."
        )
    counts = np.bincount(summary.truth[summary.learnt], minlength=len(summary.classes))
    most, least = int(counts.argmax()), int(counts.argmin())
    if counts[most] >= UNBALANCED * counts[least]:
        largest, share = shown(summary.classes[most]), here[most] / here.sum()
        found.append(
            f"The classes are unbalanced: {counts[most]:,} training {many} of {largest}, {counts[least]:,} of "
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
            f"The model calls every {summary.one} {shown(summary.classes[called[0]])}: it has learnt no difference."
        )
    return found


def _label_warnings(summary: FinetuneSummary) -> list[str]:
    found, where = [], SPLIT_NAMES[summary.deciding]
    here = (summary.truth[summary.deciding] == 1).sum(axis=0)
    missing = [summary.classes[c] for c in np.flatnonzero(here == 0)]
    if missing:
        found.append(f"No sequence of the {where} has {first_of(missing)}: how well it is predicted is not known.")
    rare = [summary.classes[c] for c in np.flatnonzero((here > 0) & (here < FEW_OF_A_CLASS))]
    if rare:
        found.append(
            f"Fewer than {FEW_OF_A_CLASS} sequences of the {where} have {first_of(rare)}; how well the model does on "
            "so few is mostly luck. Macro scores count rare labels as much as frequent ones."
        )
    nothing = int((summary.called.sum(axis=1) == 0).sum())
    without = int((summary.truth[summary.deciding] != 1).all(axis=1).sum())
    if nothing == len(summary.called):
        found.append(
            "The model calls no label for any sequence: every probability is below the threshold. More epochs, or "
            "thresholds chosen on a validation set, may help."
        )
    elif nothing - without > 0.1 * len(summary.called):
        found.append(
            f"The model calls no label at all for {nothing:,} of {len(summary.called):,} sequences; {without:,} truly "
            "have none."
        )
    return found


def _baseline_in_words(summary: FinetuneSummary, name: str) -> str:
    special = _OF_VALUES if summary.regression else _OF_LABELS if summary.several else {}
    special = special | (_OF_PAIRS if summary.unit == "pair" else {})
    return special.get(name, BASELINE_NAMES.get(name, ""))


def _gain(summary: FinetuneSummary, baseline: str) -> Score:
    """How much better than the baseline, whichever way the metric runs."""
    difference = summary.differences[baseline]
    if metrics.HIGHER_IS_BETTER[summary.metric]:
        return difference
    return -difference


def _name_of_score(summary: FinetuneSummary) -> str:
    return in_sentence(summary.label(summary.metric))
