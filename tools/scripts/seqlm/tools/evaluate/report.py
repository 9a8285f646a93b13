"""The report of an evaluation: which model is best and how sure that is, then the evidence.

Imports matplotlib: set ``MPLCONFIGDIR`` first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure as Drawing

from seqlm.cli.text import shown
from seqlm.cli.versions import in_one_line
from seqlm.metrics import metrics
from seqlm.metrics.calibration import Calibration, calibration
from seqlm.metrics.metrics import Score
from seqlm.report import figures
from seqlm.report.report import (
    Block,
    Bullets,
    DatasetTable,
    Figure,
    JobParameters,
    Paragraph,
    References,
    Report,
    Table,
)
from seqlm.report.words import score_text

from . import figures as evaluate_figures
from .run import MOST_CLASSES, Evaluation, of_proteins
from .verdict import explanation, headline, in_sentence, p_text, paired, warnings

DOI = "https://doi.org/"
CITATIONS = {
    "bootstrap": ("Bootstrap intervals: Efron & Tibshirani 1993.", DOI + "10.1201/9780429246593"),
    "delong": ("Comparison of AUROCs: DeLong et al. 1988, Biometrics.", DOI + "10.2307/2531595"),
    "obuchowski": ("AUROCs of residues in proteins: Obuchowski 1997, Biometrics.", DOI + "10.2307/2533958"),
    "mcnemar": ("Comparison of calls: McNemar 1947, Psychometrika.", DOI + "10.1007/BF02295996"),
    "steiger": ("Comparison of correlations: Steiger 1980, Psychol. Bull.", DOI + "10.1037/0033-2909.87.2.245"),
    "fmax": ("Fmax: Radivojac et al. 2013, Nature Methods.", DOI + "10.1038/nmeth.2340"),
}  # fmt: skip
MOST_MATRICES = 3  # confusion matrices that the report shows; all are among the figures
MOST_COLUMNS = 5  # models in the report's table of scores
MOST_ROWS = 24  # classes in the report's table; all are in the table of classes


@dataclass(frozen=True)
class _Drawn:
    caption: str
    draw: Callable[[], Drawing]


@dataclass
class Outline:
    """What the report needs beside the results: ``parameters`` and ``versions`` by name, outputs that Galaxy shows."""

    parameters: dict[str, str]
    versions: dict[str, str]
    scores_output: str | None = None
    tests_output: str | None = None


def evaluate_report(found: Evaluation, outline: Outline) -> Report:
    """The whole report, in the order in which a reader asks."""
    report = Report("Evaluation report")
    drawn = _figures(found)

    def pictures(*names: str) -> list[Figure]:
        return [Figure(name, drawn[name].caption) for name in names if name in drawn]

    report.verdict(
        headline(found), explanation(found), paired(found) if len(found.cases.models) > 1 else [], notes=warnings(found)
    )
    report.section("Scores", *_scores(found, outline), *pictures("scores"))
    report.section("Tests of the differences", *_tests(found, outline))
    report.section("ROC and precision–recall", *pictures("roc", "precision-recall"))
    report.section("Predicted and measured values", *pictures("predicted-measured"))
    matrices = [name for name in drawn if name.startswith("confusion-matrix")]
    report.section("Confusion matrices", *pictures(*matrices[:MOST_MATRICES]), *_more(len(matrices)))
    report.section("Classes", *_classes(found), *pictures("classes"))
    report.section("Proteins", *pictures("proteins"))
    report.section("Calibration", *pictures("calibration"))
    report.section("Data", Bullets(_data(found)))
    report.section("Parameters", JobParameters(outline.parameters))
    report.section("Versions", Bullets([in_one_line(outline.versions)]))
    report.section("How to cite", References([CITATIONS[key] for key in _cited(found)]))
    return report


def save_figures(found: Evaluation, folder: Path, formats: Sequence[str] = ("png",)) -> list[str]:
    """Draw every figure of the report into ``folder``; returns their names."""
    drawn = _figures(found)
    for name, figure in drawn.items():
        figures.save(figure.draw(), folder, name, formats)
    return list(drawn)


def _figures(found: Evaluation) -> dict[str, _Drawn]:
    """Name -> caption and how to draw it, for what these results have data for."""
    cases, label, short = found.cases, found.label(found.metric), found.names
    models = found.ranked()[: evaluate_figures.MOST_MODELS]
    more = len(cases.models) - len(models)
    rest = f" The {more} models with the lowest {label} are left out." if more else ""
    drawn = {
        "scores": _Drawn(
            f"{label} with 95 % intervals. Intervals may overlap and the difference still be clear, as all models were "
            "judged on the same cases: the tests compare them pair by pair.",
            lambda: figures.baselines(
                {short[name]: found.scores[name][found.metric] for name in [*found.ranked(), found.baseline]},
                label,
                short[found.ranked()[0]],
            ),
        )
    }
    if cases.regression:
        drawn["predicted-measured"] = _Drawn(
            f"Predicted against measured values; on the dotted line they are equal.{rest}",
            lambda: evaluate_figures.scatters(
                cases.truth,
                {short[name]: cases.predictions[name] for name in models},
                [f"Spearman {found.scores[name]['spearman'].value:.3f}" for name in models],
            ),
        )
    else:
        drawn |= _curves(found, models, rest) | _matrices(found) | _class_figure(found, models, rest)
        drawn["calibration"] = _calibration(found, models, rest)
    if cases.groups is not None:
        drawn["proteins"] = _protein_figure(found, models, rest)
    return drawn


def _curves(found: Evaluation, models: list[str], rest: str) -> dict[str, _Drawn]:
    cases, drawn = found.cases, {}
    is_true, columns = _indicators(found)
    if not any(0 < column.sum() < len(cases) for column in is_true.T):
        return drawn
    several = cases.positive is None
    averaged = "Each curve is the mean of one for each class against the rest. " if several else ""

    def areas(metric: str) -> dict[str, str]:
        return {found.names[name]: _area(found.label(metric), found.scores[name][metric]) for name in models}

    drawn["roc"] = _Drawn(
        f"ROC. {averaged}Up and to the left is better; the dotted diagonal is guessing.{rest}",
        lambda: evaluate_figures.roc_overlaid(
            {
                found.names[name]: evaluate_figures.roc_points(is_true, cases.predictions[name][:, columns])
                for name in models
            },
            areas("macro_auroc" if cases.several else "auroc"),
        ),
    )
    pooled = "All labels are pooled. " if cases.several else averaged
    flat = (-1, 1) if cases.several else is_true.shape
    drawn["precision-recall"] = _Drawn(
        f"Precision–recall. {pooled}Up and to the right is better; with few positives this tells more than ROC.{rest}",
        lambda: evaluate_figures.precision_recall_overlaid(
            {
                found.names[name]: evaluate_figures.precision_recall_points(
                    is_true.reshape(flat), cases.predictions[name][:, columns].reshape(flat)
                )
                for name in models
            },
            areas("micro_auprc" if cases.several else "auprc"),
            float(is_true.mean()) if cases.several or not several else None,
        ),
    )
    return drawn


def _indicators(found: Evaluation) -> tuple[np.ndarray, list[int]]:
    """(n, columns) which classes are true, and which they are: the positive one of two, else all."""
    cases = found.cases
    if cases.several:
        return cases.truth.astype(bool), list(range(len(cases.classes)))
    columns = [cases.positive] if cases.positive is not None else list(range(len(cases.classes)))
    return cases.truth[:, None] == np.array(columns), columns


def _area(label: str, score: Score) -> str:
    return f"{label} {score.value:.3f}" + ("" if np.isnan(score.low) else f" ({score.low:.3f} to {score.high:.3f})")


def _matrices(found: Evaluation) -> dict[str, _Drawn]:
    cases = found.cases
    if cases.several:
        return {}
    return {
        f"confusion-matrix-{number}": _Drawn(
            f"{found.names[name]}: rows are true classes, columns what the model called them.",
            lambda name=name: figures.confusion_matrix(cases.truth, cases.called[name], cases.classes),
        )
        for number, name in enumerate(found.ranked(), start=1)
    }


def _more(matrices: int) -> list[Paragraph]:
    if matrices <= MOST_MATRICES:
        return []
    return [Paragraph(f"The matrices of {matrices - MOST_MATRICES} more models are among the figures.")]


def _class_figure(found: Evaluation, models: list[str], rest: str) -> dict[str, _Drawn]:
    cases = found.cases
    if len(cases.classes) == 2 and not cases.several:
        return {}
    counts = {name: found.class_counts[models[0]][name][0] for name in cases.classes}
    largest = sorted((name for name in counts if counts[name]), key=lambda name: -counts[name])
    chosen = {name: counts[name] for name in largest[: evaluate_figures.MOST_CLASSES]}
    if not chosen:
        return {}
    cut = f" The {len(chosen)} most frequent of {len(counts)} classes." if len(chosen) < len(counts) else ""
    return {
        "classes": _Drawn(
            f"F1 of each class against the rest; in brackets how many {cases.units} have it.{cut}{rest}",
            lambda: evaluate_figures.class_scores(
                {found.names[name]: {c: found.classes[name][c]["f1"] for c in chosen} for name in models}, "F1", chosen
            ),
        )
    }


def _calibration(found: Evaluation, models: list[str], rest: str) -> _Drawn:
    cases = found.cases

    def bins(name: str) -> Calibration:
        if not cases.several:
            return calibration(cases.truth, cases.predictions[name], positive=cases.positive)
        chance = cases.predictions[name].ravel()
        return calibration(cases.truth.ravel(), np.column_stack([1 - chance, chance]))

    alone = " They take residues to be independent, so they are too short." if cases.groups is not None else ""
    what = "a label" if cases.several else "the class called"
    what = shown(cases.classes[1], 24) if cases.positive is not None else what
    return _Drawn(
        "Whether probabilities can be taken at their word: of cases given 0.8, 8 in 10 should be right. Below the "
        f"diagonal a model is too sure. ECE is the mean distance from it; bars, drawn for up to three models, are 95 % "
        f"intervals.{alone}{rest}",
        lambda: evaluate_figures.reliability_overlaid(
            {found.names[name]: bins(name) for name in models},
            what,
            "Share that is right" if cases.positive is None else "Observed share",
        ),
    )


def _protein_figure(found: Evaluation, models: list[str], rest: str) -> _Drawn:
    cases = found.cases
    name = "spearman" if cases.regression else "mcc"
    values = {found.names[model]: of_proteins(cases, model)[name] for model in models}
    defined = int(np.isfinite(values[found.names[models[0]]]).sum())
    total = len(np.unique(cases.groups))
    return _Drawn(
        f"{metrics.label(name)} within each of {defined:,} proteins ({total - defined:,} more have one class only or a "
        "single value). Boxes hold the middle half of the proteins, whiskers reach from 5 to 95 %, and the number is "
        f"the median.{rest}",
        lambda: evaluate_figures.protein_scores(values, metrics.label(name)),
    )


def _scores(found: Evaluation, outline: Outline) -> list[Block]:
    cases = found.cases
    columns = [*found.ranked()[:MOST_COLUMNS], found.baseline]
    rows = [
        [found.label(name), *(score_text(found.scores[model][name], name) for model in columns)]
        for name in metrics.metrics_for(cases.task)
    ]
    if cases.regression:
        reading = "RMSE is in the unit of the values, 0 is perfect; for the others 1 is perfect and 0 is guessing."
    elif cases.several:
        reading = "1 is perfect. Fmax takes the threshold that is best on these very sequences, as CAFA does."
    else:
        reading = "1 is perfect; guessing has MCC 0, AUROC 0.5 and balanced accuracy "
        reading += f"{1 / len(cases.classes):.2g}."
    if cases.positive is not None:
        reading += f" The positive class is {shown(cases.classes[1])}."
    blocks: list[Block] = [
        Paragraph(
            f"With 95 % bootstrap intervals in brackets. {reading} The baseline predicts the same for everything; what "
            "it predicts was computed from the truth itself."
        ),
        Table(["Score", *(found.names[name] for name in columns)], rows),
    ]
    if (more := len(cases.models) - MOST_COLUMNS) > 0:
        blocks.append(Paragraph(f"{more} more models are in the table of scores."))
    if outline.scores_output and more > 0:
        blocks.append(DatasetTable(outline.scores_output, "All scores"))
    return blocks


def _tests(found: Evaluation, outline: Outline) -> list[Block]:
    named = [test for test in found.tests if test.second != found.baseline]
    tests = [test for test in named if test.test != "bootstrap" or test.metric == found.metric]
    if not tests:
        return []
    rows = [
        [
            f"{found.names[test.first]} − {found.names[test.second]}",
            test.test,
            found.label(test.metric),
            score_text(test.difference, test.metric) if np.isfinite(test.difference.value) else "",
            p_text(test.p),
            p_text(test.adjusted),
        ]
        for test in sorted(tests, key=lambda test: test.test != "bootstrap")
    ]
    pairs = len({(test.first, test.second) for test in tests})
    what = {
        "bootstrap": "the bootstrap resamples the same cases for both models",
        "McNemar": "McNemar's test looks at the cases that only one of the two calls rightly",
        "DeLong": "DeLong's test compares AUROCs",
        "Steiger": "Steiger's test compares Pearson correlations",
    }
    others = dict.fromkeys(found.label(test.metric) for test in named if test not in tests)
    used = list(dict.fromkeys(test.test for test in tests))
    blocks: list[Block] = [
        Paragraph(
            f"Differences of the first less the second: {'; '.join(what[name] for name in used)}."
            + (" All of them take into account that residues of one protein go together." if _grouped(found) else "")
            + (f" The last column is p after Holm, for {pairs} pairs." if pairs > 1 else "")
            + (f" The table of tests also has {', '.join(map(in_sentence, others))}." if outline.tests_output else "")
        ),
        Table(["Models", "Test", "Score", "Difference", "p", "p (Holm)"], rows),
    ]
    if outline.tests_output and len(rows) > 30:
        blocks.append(DatasetTable(outline.tests_output, "All tests"))
    return blocks


def _grouped(found: Evaluation) -> bool:
    return found.cases.groups is not None


def _classes(found: Evaluation) -> list[Block]:
    cases = found.cases
    if not cases.classes:
        return []
    best = found.ranked()[0]
    scores, counts = found.classes[best], found.class_counts[best]
    chosen = cases.classes
    if len(cases.classes) > 2:
        chosen = sorted(cases.classes, key=lambda name: -counts[name][0])[:MOST_ROWS]
    text = f"Each class against the rest, as {found.names[best]} calls it."
    if len(chosen) < len(cases.classes):
        text += f" The {len(chosen)} most frequent of {len(cases.classes):,}; the table of classes has all."
    if len(cases.classes) > MOST_CLASSES:
        text += " With so many classes their scores have no intervals."
    shown_metrics = ("precision", "sensitivity", "f1", "auprc")
    rows = [
        [
            name,
            *(f"{count:,}" for count in counts[name]),
            *(score_text(scores[name][metric], metric) for metric in shown_metrics),
        ]
        for name in chosen
    ]
    columns = ["Class", "True", "Called", "Both", *(metrics.label(metric) for metric in shown_metrics)]
    return [Paragraph(text), Table(columns, rows)]


def _data(found: Evaluation) -> list[str]:
    cases = found.cases
    lines = [
        f"Scored: {len(cases):,} {cases.units}" + (f" of the split '{shown(cases.split)}'." if cases.split else ".")
    ]
    if cases.groups is not None:
        lines[0] = lines[0][:-1] + f", in {len(np.unique(cases.groups)):,} proteins."
    lines.append(f"The truth is from {cases.source}.")
    if cases.regression:
        values = cases.truth
        lines.append(f"Measured values: {values.min():.4g} to {values.max():.4g}, median {np.median(values):.4g}.")
    return [*lines, *cases.notes]


def _cited(found: Evaluation) -> list[str]:
    tests = {test.test for test in found.tests}
    keys = ["bootstrap"]
    if "DeLong" in tests:
        keys += ["delong"] + (["obuchowski"] if _grouped(found) else [])
    if "McNemar" in tests:
        keys.append("mcnemar")
    if "Steiger" in tests:
        keys.append("steiger")
    return keys + (["fmax"] if found.cases.several else [])
