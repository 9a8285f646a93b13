"""What the training of a classifier found and how far it can be trusted, in words a biologist understands."""

from __future__ import annotations

import numpy as np

from seqlm.baselines.baselines import KMER, MAJORITY
from seqlm.cli.text import shown
from seqlm.metrics import metrics
from seqlm.report.words import (
    FEW_OF_A_CLASS,
    FEW_UNITS,
    UNBALANCED,
    WIDE_INTERVAL,
    first_of,
    in_sentence,
    listed,
    outcome,
    with_interval,
)

from .inputs import CROSS_VALIDATION
from .methods import METHODS, settings_in_words
from .run import CENTROID, CHOSEN, Result

SPLIT_WORDS = {
    "test": "test set",
    "validation": "validation set",
    CROSS_VALIDATION: "held-out folds",
    "train": "training set",
}
BASELINE_WORDS = {
    MAJORITY: "always the class shares of the training set",
    KMER: "a simple model of short words in the sequences, without embeddings",
    CENTROID: "the class whose mean embedding is nearest",
}
OVERFIT = 0.2  # how much better training may be before the report says so
NEAR_ONE = 0.98
_ALWAYS_RIGHT = (
    "random-forest",
    "gradient-boosting",
    "mlp",
    "rbf-svm",
)  # on what they learnt, even when they generalise


def headline(result: Result) -> str:
    """The verdict in one sentence."""
    where, name = f"on the {SPLIT_WORDS[result.plan.deciding]}", subject(result)
    outcomes = {baseline: outcome(result.differences[baseline]) for baseline in result.baselines}
    beaten, lost = ([one for one, what in outcomes.items() if what == wanted] for wanted in ("better", "worse"))
    rest = [one for one in outcomes if one not in beaten + lost]
    name = name[0].upper() + name[1:]
    if len(beaten) == len(outcomes):
        return f"{name} beats every baseline {where}: the embeddings tell the classes apart."
    if len(rest) == len(outcomes):
        return f"{name} does not clearly beat any baseline {where}."
    parts = [f"beats {listed(beaten)}"] if beaten else []
    parts += [f"does not clearly beat {listed(rest)}"] if rest else []
    parts += [f"is worse than {listed(lost)}"] if lost else []
    return f"{name} {listed(parts).replace(' and does', ', but does').replace(' and is', ', and is')} {where}."


def subject(result: Result) -> str:
    """The judged classifier in words."""
    if result.judged == CHOSEN:
        return "the classifier chosen by the training set"
    return f"the {METHODS[result.judged].words}"


def explanation(result: Result) -> str:
    plan, split = result.plan, result.plan.deciding
    metric = plan.arguments.metric
    score = result.scores[result.judged][split][metric]
    text = (
        f"Judged by {_in_sentence(metric, plan)} on {len(result.truth[split]):,} sequences that it had not "
        "learnt from, it "
        f"reaches {with_interval(score, metric)}. The range is a 95 % interval: how far the score could move "
        "with other "
        "sequences of the same kind. A baseline counts as beaten when the whole interval of the difference is "
        "above zero."
    )
    if split == CROSS_VALIDATION:
        text += (
            " Each fold was predicted by a classifier that was trained on the others. The classifier that is kept was "
            "trained on all sequences."
        )
    return text


def comparisons(result: Result) -> list[str]:
    """One sentence a baseline."""
    words = {
        "better": "the classifier is better, by {}",
        "worse": "the classifier is worse, by {}",
        "open": "no clear difference, {}",
        "undefined": "cannot be compared",
    }
    plan, sentences = result.plan, []
    metric = plan.arguments.metric
    for name in result.baselines:
        difference = result.differences[name]
        what = outcome(difference)
        if what == "worse":
            difference = -difference
        sentences.append(
            f"{name} ({BASELINE_WORDS[name]}): {with_interval(result.scores[name][plan.deciding][metric], metric)}; "
            + words[what].format(with_interval(difference, metric))
            + "."
        )
    return sentences


def choice_in_words(result: Result) -> list[str]:
    """How classifier and settings were chosen; nothing where there was nothing to choose."""
    plan, choice = result.plan, result.choice
    if not plan.chooses:
        return []
    by = "the validation set" if plan.chosen_by_validation else "cross-validation within the training set"
    metric = _in_sentence(plan.arguments.metric, plan)
    kept = f"{METHODS[choice.method].words} with {settings_in_words(choice.settings[choice.method])}"
    lines = [
        f"Chosen by {by}, by {metric}: {kept}, {choice.scores[choice.method]:.3f} there. The scores that choose "
        "are too "
        "good to judge by; the test set had no say."
        if plan.deciding != CROSS_VALIDATION
        else f"Chosen by {metric} within the training part, anew in each fold. From all sequences, and kept: {kept}."
    ]
    if result.fold_choices:
        counted = {text: result.fold_choices.count(text) for text in dict.fromkeys(result.fold_choices)}
        of = len(result.fold_choices)
        lines.append(
            "Chosen in folds: " + ", ".join(f"{text} {count} of {of}" for text, count in counted.items()) + "."
        )
    return lines


def warnings(result: Result) -> list[str]:
    """What makes the verdict weaker than it looks, the most serious first."""
    plan, split = result.plan, result.plan.deciding
    metric = plan.arguments.metric
    score, learnt = (result.scores[result.judged][one][metric] for one in (split, "train"))
    found = []
    called = result.predictions[result.judged][split].argmax(axis=1)
    if len(np.unique(called)) == 1:
        only = shown(plan.classes[called[0]])
        found.append(f"Every sequence is called {only}: the classifier has learnt no difference.")
    gap = learnt.value - score.value
    if gap > OVERFIT:
        usual = result.choice.method in _ALWAYS_RIGHT and learnt.value > NEAR_ONE
        found.append(
            f"On what it learnt from, {_in_sentence(metric, plan)} is {learnt.value:.3f}, on new sequences "
            f"{score.value:.3f}: "
            "it has learnt much by heart (overfitting). "
            + (
                "Such a classifier does so even when it works; a simpler one that scores as well is the better choice."
                if usual
                else "More sequences, or a simpler classifier, would help."
            )
        )
    if split == "validation":
        found.append("There is no test set, so the validation set judges; it chose nothing.")
    n = len(result.truth[split])
    if n < FEW_UNITS:
        found.append(
            f"Only {n:,} sequences decide: each moves the accuracy by {1 / n:.1%}. Small differences mean nothing."
        )
    here = np.bincount(result.truth[split], minlength=len(plan.classes))
    rare = [plan.classes[c] for c in np.flatnonzero(here < FEW_OF_A_CLASS)]
    if rare and n >= FEW_UNITS:
        found.append(
            f"Fewer than {FEW_OF_A_CLASS} sequences of {first_of(rare)} are in the {SPLIT_WORDS[split]}; how well "
            "the classifier "
            "does on so few is mostly luck."
        )
    counts = np.bincount(result.truth["train"], minlength=len(plan.classes))
    most, least = int(counts.argmax()), int(counts.argmin())
    if counts[most] >= UNBALANCED * counts[least]:
        found.append(
            f"The classes are unbalanced: {counts[most]:,} training sequences of {shown(plan.classes[most])}, "
            f"{counts[least]:,} of {shown(plan.classes[least])}. Look at MCC and balanced accuracy, not at accuracy."
            + (" Class weights may help." if plan.arguments.class_weights == "none" else "")
        )
    if score.high - score.low > WIDE_INTERVAL:
        found.append(f"The interval is {score.high - score.low:.2f} wide. The true value can be anywhere in it.")
    if not plan.labels.splits:
        found.append(
            "The sets were drawn without regard to how similar sequences are. Where relatives of a test "
            "sequence are in the "
            "training set, scores are better than for new families; a split by homology shows by how much."
        )
    return found


def _in_sentence(metric: str, plan) -> str:
    return in_sentence(metrics.label(metric, len(plan.classes)))
