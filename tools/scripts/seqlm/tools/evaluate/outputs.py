"""What an evaluation leaves: tables, and the report as tool markdown, figures and one HTML page."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Iterator

import numpy as np

from seqlm.cli.errors import InputError
from seqlm.cli.outputs import Outputs, write_table
from seqlm.metrics import metrics
from seqlm.report.outputs import wants_report, write_report

from .inputs import Cases
from .run import Evaluation, by_quarter, evaluate, of_proteins


def check(arguments: Namespace, cases: Cases) -> None:
    """Raises InputError for outputs or a metric that these tables cannot have."""
    known = metrics.metrics_for(cases.task)
    if arguments.metric not in ("auto", *known):
        raise InputError(f"{arguments.metric} is no score for {cases.task}; choose auto or one of {', '.join(known)}")
    if arguments.output_proteins and cases.groups is None:
        raise InputError(f"--output-proteins is for tables of residues, and these are of {cases.units}")


def write(arguments: Namespace, cases: Cases, outputs: Outputs) -> None:
    """Evaluate, and fill every output that was asked for."""
    print(f"scoring {len(cases):,} {cases.units} of {len(cases.models)} models", file=sys.stderr)
    found = evaluate(cases, arguments.metric, arguments.resamples, arguments.seed)
    for path, columns, rows in (
        (arguments.output_table, ["model", "metric", "value", "low", "high", "units"], _scores(found)),
        (
            arguments.output_comparisons,
            ["first", "second", "test", "metric", "difference", "low", "high", "p", "p_holm", "units"],
            _tests(found),
        ),
        (
            arguments.output_classes,
            ["model", "class", "units", "called", "both", "metric", "value", "low", "high"],
            _classes(found, arguments),
        ),
        (arguments.output_proteins, ["model", "id", *_protein_columns(cases)], _proteins(found)),
    ):
        if path:
            write_table(outputs.file(path), columns, rows)
    if wants_report(arguments):
        from .report import evaluate_report

        write_report(arguments, evaluate_report(found, arguments), outputs)
    for note in cases.notes:
        print(f"note: {note}", file=sys.stderr)
    best = found.ranked()[0]
    score = found.scores[best][found.metric]
    print(
        f"best: {best}, {found.label(found.metric)} {score.value:.3f} ({score.low:.3f} to {score.high:.3f})",
        file=sys.stderr,
    )


def _scores(found: Evaluation) -> Iterator[list]:
    for model in [*found.cases.models, found.baseline]:
        for metric, score in found.scores[model].items():
            yield [model, metric, score.value, score.low, score.high, len(found.cases)]


def _tests(found: Evaluation) -> Iterator[list]:
    for test in found.tests:
        difference = test.difference
        yield [
            test.first, test.second, test.test, test.metric, difference.value, difference.low, difference.high,
            test.p, test.adjusted, len(found.cases),
        ]  # fmt: skip


def _classes(found: Evaluation, arguments: Namespace) -> Iterator[list]:
    if found.cases.regression:
        for model, name, units, score in by_quarter(found.cases, arguments.resamples, arguments.seed):
            yield [model, name, units, None, None, "rmse", score.value, score.low, score.high]
        return
    for model, classes in found.classes.items():
        for name, scores in classes.items():
            for metric, score in scores.items():
                yield [model, name, *found.class_counts[model][name], metric, score.value, score.low, score.high]


def _protein_columns(cases: Cases) -> list[str]:
    if cases.regression:
        return ["residues", "spearman", "rmse"]
    return ["residues", "positives", "mcc", "auroc"] if len(cases.classes) == 2 else ["residues", "accuracy", "mcc"]


def _proteins(found: Evaluation) -> Iterator[list]:
    cases = found.cases
    if cases.groups is None:
        return
    names = [cases.proteins[number] for number in np.unique(cases.groups)]
    for model in cases.models:
        columns = [column.tolist() for column in of_proteins(cases, model).values()]
        for name, *values in zip(names, *columns, strict=True):
            yield [model, name, *values]
