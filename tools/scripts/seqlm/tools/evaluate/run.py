"""Scores of several models on the same units, and tests of whether they differ."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from seqlm.cli.text import shown
from seqlm.metrics import comparisons, metrics, thresholds
from seqlm.metrics.class_metrics import from_counts
from seqlm.metrics.curves import Curve
from seqlm.metrics.metrics import Score
from seqlm.metrics.resampling import Sample, counters, samples

from .inputs import Cases

HEADLINES = {
    metrics.CLASSIFICATION: ("mcc", "balanced_accuracy", "auroc", "auprc"),
    metrics.MULTILABEL: ("fmax", "micro_f1", "macro_f1", "macro_auprc"),
    metrics.REGRESSION: ("spearman", "pearson", "rmse", "r2"),
}  # the first decides unless told
OF_A_CLASS = ("sensitivity", "specificity", "precision", "f1", "auroc", "auprc")
MOST_CLASSES = 50  # that get intervals; a bootstrap for each of a thousand labels would take minutes
MAJORITY, MEAN, SHARES = "baseline: majority", "baseline: mean", "baseline: label shares"
LONGEST_NAME = 30  # of a model in the report, in characters
CLEAR = 0.05  # p, adjusted by Holm, below which a difference counts as clear


@dataclass(frozen=True)
class Compared:
    """``first`` less ``second``; ``adjusted`` is p after Holm over all pairs of models. NaN where undefined."""

    first: str
    second: str
    test: str
    metric: str
    difference: Score
    p: float
    adjusted: float


@dataclass
class Evaluation:
    """What was found.

    Attributes:
        metric: the score that decides.
        baseline: name of what needs no model, which is in ``scores`` too.
        scores: model -> metric -> score, the baseline last.
        tests: of every pair of models; against the baseline, differences without p.
        classes: model -> class -> metric -> score, one class against the rest.
        class_counts: model -> class -> (units of it, called it, both).
        names: model -> what the report calls it, short and told apart from the others.
    """

    cases: Cases
    metric: str
    baseline: str
    scores: dict[str, dict[str, Score]]
    tests: list[Compared]
    classes: dict[str, dict[str, dict[str, Score]]]
    class_counts: dict[str, dict[str, tuple[int, int, int]]]

    def __post_init__(self):
        self.names = distinct([*self.cases.models, self.baseline])

    def label(self, metric: str) -> str:
        return metrics.label(metric, len(self.cases.classes))

    def ranked(self) -> list[str]:
        """Models from the best to the worst by the deciding score; undefined ones last, equal ones as given."""
        sign = -1 if metrics.HIGHER_IS_BETTER[self.metric] else 1
        value = {name: self.scores[name][self.metric].value for name in self.cases.models}
        return sorted(self.cases.models, key=lambda name: (np.isnan(value[name]), sign * np.nan_to_num(value[name])))

    def difference(self, first: str, second: str) -> Compared:
        """The bootstrap test of the deciding score, as first less second."""
        for test in self.tests:
            if test.test == "bootstrap" and test.metric == self.metric and {first, second} == {test.first, test.second}:
                if test.first == first:
                    return test
                return Compared(first, second, test.test, test.metric, -test.difference, test.p, test.adjusted)
        raise KeyError((first, second))

    def outcome(self, first: str, second: str) -> str:
        """``better``, ``worse``, ``open`` or ``undefined``, whichever way the metric runs."""
        test = self.difference(first, second)
        gain = test.difference
        if np.isnan(gain.low) or np.isnan(gain.value):
            return "undefined"
        clear = (gain.low > 0 or gain.high < 0) and not test.adjusted >= CLEAR  # NaN, of a baseline, is no doubt
        if not clear:
            return "open"
        return "better" if (gain.value > 0) == metrics.HIGHER_IS_BETTER[self.metric] else "worse"


def distinct(names: list[str]) -> dict[str, str]:
    """Names cut to ``LONGEST_NAME`` and still told apart: cut at the end, else in the middle, else numbered."""
    head, tail = LONGEST_NAME // 3, LONGEST_NAME - LONGEST_NAME // 3 - 1
    whole = [shown(name, 1000) for name in names]
    at_end = [shown(name, LONGEST_NAME) for name in names]
    in_middle = [name if len(name) <= LONGEST_NAME else f"{name[:head]}…{name[-tail:]}" for name in whole]
    numbered = [f"{number}: {shown(name, LONGEST_NAME - 4)}" for number, name in enumerate(names, start=1)]
    chosen = next((cut for cut in (at_end, in_middle) if len(set(cut)) == len(names)), numbered)
    return dict(zip(names, chosen, strict=True))


def evaluate(cases: Cases, metric: str = "auto", resamples: int = 1000, seed: int = 0) -> Evaluation:
    """Score every model and a baseline on the same resamples, and compare them pair by pair.

    Args:
        metric: that decides; ``auto`` is the first of ``HEADLINES`` for the task.

    Raises:
        ValueError: a metric that is not one of the task.
    """
    known = metrics.metrics_for(cases.task)
    metric = HEADLINES[known][0] if metric == "auto" else metric
    if metric not in known:
        raise ValueError(f"{metric} is no metric of {cases.task}")
    baseline, guess, guessed = _baseline(cases)
    predictions = cases.predictions | {baseline: guess}
    called = cases.called | ({baseline: guessed} if guessed is not None else {})
    scorers = [
        metrics.scorer_for(known, cases.truth, values, cases.positive, called.get(name))
        for name, values in predictions.items()
    ]
    drawn = dict(zip(predictions, samples(scorers, cases.groups, resamples, seed), strict=True))
    counts, by_class = _of_classes(cases, resamples, seed)
    return Evaluation(
        cases=cases,
        metric=metric,
        baseline=baseline,
        scores={name: {key: sample.score() for key, sample in found.items()} for name, found in drawn.items()},
        tests=[*_adjusted(list(_tests(cases, drawn, metric))), *_against_baseline(cases, drawn, baseline, metric)],
        classes=by_class,
        class_counts=counts,
    )


def _baseline(cases: Cases) -> tuple[str, np.ndarray, np.ndarray | None]:
    """What predicts the same for every unit, made from the very truth that is scored."""
    n = len(cases)
    if cases.regression:
        return MEAN, np.full(n, cases.truth.mean()), None
    if cases.several:
        shares = np.tile((cases.truth == 1).sum(axis=0) / np.maximum((cases.truth >= 0).sum(axis=0), 1), (n, 1))
        return SHARES, shares, thresholds.called(shares, several=True)
    shares = np.bincount(cases.truth, minlength=len(cases.classes)) / n
    return MAJORITY, np.tile(shares, (n, 1)), np.full(n, shares.argmax())


def _headlines(cases: Cases, metric: str) -> list[str]:
    return list(dict.fromkeys([metric, *HEADLINES[metrics.metrics_for(cases.task)]]))


def _tests(cases: Cases, drawn: dict[str, dict[str, Sample]], metric: str) -> Iterator[Compared]:
    nothing = Score(np.nan, np.nan, np.nan)
    for first, second in combinations(cases.models, 2):
        for name in _headlines(cases, metric):
            difference = drawn[first][name].less(drawn[second][name])
            yield Compared(first, second, "bootstrap", name, difference.score(), difference.p(), np.nan)
        one, other = cases.predictions[first], cases.predictions[second]
        if cases.regression:
            if cases.groups is None:
                p = comparisons.steiger(cases.truth, one, other)
                yield Compared(first, second, "Steiger", "pearson", nothing, p, np.nan)
            continue
        right = comparisons.mcnemar(cases.truth, cases.called[first], cases.called[second], cases.groups)
        share = Score((right.first_only - right.second_only) / len(cases), np.nan, np.nan)
        of = "subset_accuracy" if cases.several else "accuracy"
        yield Compared(first, second, "McNemar", of, share, right.p, np.nan)
        if cases.positive is not None:
            areas = comparisons.delong(
                cases.truth == cases.positive, one[:, cases.positive], other[:, cases.positive], cases.groups
            )
            yield Compared(first, second, "DeLong", "auroc", areas.difference, areas.p, np.nan)


def _adjusted(tests: list[Compared]) -> list[Compared]:
    """With p adjusted over the pairs, for each test and metric by itself."""
    result = list(tests)
    for kind in dict.fromkeys((test.test, test.metric) for test in tests):
        places = [place for place, test in enumerate(tests) if (test.test, test.metric) == kind]
        for place, p in zip(places, comparisons.holm(np.array([tests[place].p for place in places])), strict=True):
            result[place] = replace(tests[place], adjusted=float(p))
    return result


def _against_baseline(cases: Cases, drawn, baseline: str, metric: str) -> list[Compared]:
    return [
        Compared(name, baseline, "bootstrap", key, drawn[name][key].less(drawn[baseline][key]).score(), np.nan, np.nan)
        for name in cases.models
        for key in _headlines(cases, metric)
    ]


def _of_classes(cases: Cases, resamples: int, seed: int):
    """Counts and scores of each class against the rest, or each label by itself."""
    if not cases.classes:
        return {}, {}
    counts, scores = {}, {}
    resamples = resamples if len(cases.classes) <= MOST_CLASSES else 0
    for model in cases.models:
        counts[model], scores[model] = {}, {}
        for number, name in enumerate(cases.classes):
            if cases.several:
                truth, called = cases.truth[:, number], cases.called[model][:, number]
            else:
                truth, called = (cases.truth == number).astype(int), (cases.called[model] == number).astype(int)
            known = truth >= 0  # of one of several labels it may not be
            truth, called = truth[known], called[known]
            counts[model][name] = (int(truth.sum()), int(called.sum()), int((truth & called).sum()))
            chance = cases.predictions[model][known, number]
            if not known.any():
                scores[model][name] = dict.fromkeys(OF_A_CLASS, Score(np.nan, np.nan, np.nan))
                continue
            scorer = metrics.scorer_for(OF_A_CLASS, truth, np.column_stack([1 - chance, chance]), 1, called)
            found = samples([scorer], cases.groups, resamples, seed)[0]
            scores[model][name] = {key: sample.score() for key, sample in found.items()}
    return counts, scores


def of_proteins(cases: Cases, model: str) -> dict[str, np.ndarray]:
    """Scores of one model within each protein of a residue task, in the order of ``np.unique(cases.groups)``.

    Returns:
        ``residues``; for two classes also ``positives``, ``mcc`` and ``auroc``, for more ``accuracy`` and ``mcc``, for
        numbers ``spearman`` and ``rmse``: (proteins,) each. MCC and AUROC are NaN where a protein has one class only.
    """
    proteins, owner = np.unique(cases.groups, return_inverse=True)
    residues = np.bincount(owner)
    order = np.argsort(owner, kind="stable")
    parts = np.split(order, residues.cumsum()[:-1])
    truth, predictions = cases.truth, cases.predictions[model]
    if cases.regression:
        return {"residues": residues} | {
            name: np.array([metrics.plain(name, truth[part], predictions[part]) for part in parts])
            for name in ("spearman", "rmse")
        }
    classes, called = len(cases.classes), cases.called[model]
    right = truth == called
    rows = np.concatenate([truth, classes + called, 2 * classes + truth[right]])
    tallies = counters(rows, np.concatenate([owner, owner, owner[right]]), (3 * classes, len(proteins))).toarray()
    counts = tallies.T.reshape(len(proteins), 3, classes)
    scores = from_counts(counts, [1] if classes == 2 else list(range(classes)))
    mcc = np.where((counts[:, 0] > 0).sum(axis=1) > 1, scores["mcc"], np.nan)
    if classes > 2:
        return {"residues": residues, "accuracy": scores["accuracy"], "mcc": mcc}
    areas = [Curve(truth[part] == 1, predictions[part, 1]).areas()[0] for part in parts]
    return {"residues": residues, "positives": counts[:, 0, 1].astype(int), "mcc": mcc, "auroc": np.array(areas)}


def by_quarter(cases: Cases, resamples: int, seed: int) -> Iterator[tuple[str, str, int, Score]]:
    """Of numbers: model, range of the measured values in words, units in it, and RMSE, for each quarter."""
    edges = np.unique(np.quantile(cases.truth, [0, 0.25, 0.5, 0.75, 1]))
    place = np.clip(np.searchsorted(edges, cases.truth, side="right") - 1, 0, max(len(edges) - 2, 0))
    for model in cases.models:
        for number in range(max(len(edges) - 1, 1)):
            rows = place == number
            if not rows.any():
                continue
            scorer = metrics.scorer_for(("rmse",), cases.truth[rows], cases.predictions[model][rows])
            groups = cases.groups[rows] if cases.groups is not None else None
            score = samples([scorer], groups, resamples, seed)[0]["rmse"].score()
            name = f"measured {edges[number]:.4g} to {edges[min(number + 1, len(edges) - 1)]:.4g}"
            yield model, name, int(rows.sum()), score
