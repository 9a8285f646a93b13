"""What an evaluation found and how far it can be trusted, in words a biologist understands."""

from __future__ import annotations

import numpy as np

from seqlm.cli.text import shown
from seqlm.metrics import metrics
from seqlm.report.words import (
    FEW_OF_A_CLASS,
    UNBALANCED,
    WIDE_INTERVAL,
    few,
    first_of,
    in_sentence,
    with_interval,
)

from .run import Evaluation

FEW_PROTEINS = 30
NAMED = 4  # models or classes in a sentence
MUCH_LEFT_OUT = 0.05


def headline(found: Evaluation) -> str:
    """The verdict in one sentence."""
    best, *others = found.ranked()
    score, name = found.scores[best][found.metric], metric_name(found)
    if np.isnan(score.value):
        return f"The {name} is undefined on these data, so the models cannot be ranked by it."
    against = found.outcome(best, found.baseline)
    usable = "" if against == "better" else " No model is clearly better than the baseline."
    if not others:
        return f"{found.names[best]} reaches {name} {with_interval(score, found.metric)}" + (
            ", clearly better than the baseline." if against == "better" else ", not clearly better than the baseline."
        )
    beaten = [other for other in others if found.outcome(best, other) == "better"]
    rest = [other for other in others if other not in beaten]
    start = f"{found.names[best]} has the best {name}"
    if not rest:
        return f"{start}, clearly better than {_models(found, beaten)}.{usable}"
    if not beaten:
        return f"{start}, but it is not clearly better than {_models(found, rest)}.{usable}"
    clear, open_ = _models(found, beaten), _models(found, rest)
    return f"{start}: clearly better than {clear}, but not clearly better than {open_}.{usable}"


def explanation(found: Evaluation) -> str:
    cases = found.cases
    best = found.ranked()[0]
    where = f" of the split '{shown(cases.split)}'" if cases.split else ""
    text = (
        f"Judged by {metric_name(found)} on {len(cases):,} {cases.units}{where}. {found.names[best]} reaches "
        f"{with_interval(found.scores[best][found.metric], found.metric)}, the baseline "
        f"{with_interval(found.scores[found.baseline][found.metric], found.metric)}. Ranges are 95 % intervals: how "
        "far a score could move with other cases of the same kind."
    )
    if cases.groups is not None:
        text += " Whole proteins were resampled for them, since the residues of one protein go together."
    if len(cases.models) > 1:
        text += " A difference is called clear when its whole interval is on one side of zero and its p"
        text += ", adjusted for the number of pairs," if len(cases.models) > 2 else ""
        text += " is below 0.05."
    return text


def paired(found: Evaluation) -> list[str]:
    """One sentence for each model but the best: how far the best is ahead of it."""
    best, *others = found.ranked()
    words = {
        "better": "is clearly better, by {}",
        "worse": "is clearly worse, by {}",
        "open": "shows no clear difference, {}",
        "undefined": "cannot be compared",
    }
    lines = []
    for other in others:
        test, outcome = found.difference(best, other), found.outcome(best, other)
        gain = test.difference
        if not metrics.HIGHER_IS_BETTER[found.metric]:
            gain = -gain
        reached = with_interval(found.scores[other][found.metric], found.metric)
        p = "" if np.isnan(test.adjusted) else f", p {p_text(test.adjusted)}"
        said = words[outcome].format(with_interval(gain, found.metric))
        lines.append(f"{found.names[other]}: {reached}; {found.names[best]} {said}{p}.")
    return lines


def warnings(found: Evaluation) -> list[str]:
    """What makes the verdict weaker than it looks, the most serious first."""
    cases, lines = found.cases, []
    if cases.split == "train":
        lines.append(
            "These are training examples. Their scores say how well the models remember, nothing about new sequences."
        )
    if cases.split == "validation":
        lines.append("The validation set usually helped to choose the models, so its scores are too good.")
    lines += few(len(cases), cases.units)
    if cases.groups is not None and (proteins := len(np.unique(cases.groups))) < FEW_PROTEINS:
        lines.append(
            f"The residues come from {proteins:,} proteins only. Intervals and tests from so few are rough themselves."
        )
    if not cases.regression:
        lines += _class_warnings(found)
    undefined = [
        found.label(name)
        for name in metrics.metrics_for(cases.task)
        if np.isnan(found.scores[cases.models[0]][name].value)
    ]
    if undefined:
        lines.append(f"Undefined on these data: {', '.join(undefined)}. They need more than one class or value.")
    score = found.scores[found.ranked()[0]][found.metric]
    if score.high - score.low > WIDE_INTERVAL and found.metric != "rmse":
        width = score.high - score.low
        lines.append(f"The interval of the best {metric_name(found)} is {width:.2f} wide; more cases would narrow it.")
    if cases.level == "pair":
        lines.append(
            "Pairs that share a sequence are not independent, which intervals and tests do not take into account: they "
            "are somewhat too sure."
        )
    if len(cases.models) > 2:
        lines.append(
            f"The best of {len(cases.models)} models was picked on the very data that score it, so its score is "
            "somewhat too good. Confirm it on data that no choice was made on."
        )
    return lines


def _class_warnings(found: Evaluation) -> list[str]:
    cases, lines = found.cases, []
    counts = (cases.truth == 1).sum(axis=0) if cases.several else np.bincount(cases.truth, minlength=len(cases.classes))
    absent = [cases.classes[c] for c in np.flatnonzero(counts == 0)]
    if absent:
        lines.append(
            f"No {cases.units[:-1]} is truly {first_of(absent, NAMED)}; how well that is found cannot be said."
        )
    rare = [cases.classes[c] for c in np.flatnonzero((counts < FEW_OF_A_CLASS) & (counts > 0))]
    if rare:
        lines.append(
            f"Fewer than {FEW_OF_A_CLASS} {cases.units} are {first_of(rare, NAMED)}; how well a model does on so few "
            "is mostly luck."
        )
    most, least = int(counts.argmax()), int(counts.argmin())
    if not cases.several and counts[least] and counts[most] >= UNBALANCED * counts[least]:
        lines.append(
            f"The classes are unbalanced: {counts[most]:,} of {shown(cases.classes[most])}, {counts[least]:,} of "
            f"{shown(cases.classes[least])}. Calling everything {shown(cases.classes[most])} has an accuracy of "
            f"{counts[most] / counts.sum():.2f}, so look at MCC, balanced accuracy and AUPRC."
        )
    if not cases.several:
        for name in cases.models:
            called = np.unique(cases.called[name])
            if len(called) == 1:
                lines.append(f"{found.names[name]} calls everything {shown(cases.classes[called[0]])}.")
    return lines


def metric_name(found: Evaluation) -> str:
    return in_sentence(found.label(found.metric))


def p_text(value: float) -> str:
    return "" if np.isnan(value) else "< 0.0001" if value < 1e-4 else f"{value:.2g}"


def _models(found: Evaluation, models: list[str]) -> str:
    return first_of([found.names[name] for name in models], NAMED)
