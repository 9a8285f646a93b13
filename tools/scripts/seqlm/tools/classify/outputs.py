"""What training a classifier leaves: tables, the classifier as an archive, and the report."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from seqlm.cli.outputs import Outputs, write_table
from seqlm.cli.versions import versions
from seqlm.data.prediction_tables import cells, columns
from seqlm.metrics import metrics
from seqlm.report.outputs import wants_report, write_report

from .archive import KIND, table_sha256, write_archive
from .methods import METHODS, settings_in_words
from .run import TASK, Result
from .tables import METRIC_COLUMNS, PACKAGES, REPORT_COLUMNS, report_rows


def write(result: Result, outputs: Outputs) -> None:
    """Fill every output that was asked for."""
    plan, arguments = result.plan, result.plan.arguments
    if arguments.output_predictions:
        write_table(
            outputs.file(arguments.output_predictions),
            [*columns(TASK, tuple(plan.classes)), "truth", "split"],
            _predictions(result),
        )
    if arguments.output_metrics:
        write_table(outputs.file(arguments.output_metrics), METRIC_COLUMNS, _metrics(result))
    if arguments.output_classification_report:
        found = result.predictions[result.judged]
        write_table(
            outputs.file(arguments.output_classification_report),
            REPORT_COLUMNS,
            (
                row
                for split in found
                for row in report_rows(split, result.truth[split], found[split].argmax(axis=1), plan.classes)
            ),
        )
    if arguments.output_model:
        with tempfile.TemporaryDirectory(prefix="model_") as scratch:
            card = _card(result)
            write_archive(result.made, _manifest(result), card, Path(scratch), outputs.file(arguments.output_model))
    if wants_report(arguments):
        from .report import training_report

        write_report(arguments, training_report(result), outputs)
    for note in plan.notes:
        print(f"note: {note}", file=sys.stderr)
    score = result.scores[result.judged][plan.deciding][arguments.metric]
    print(
        f"{result.judged}: {metrics.label(arguments.metric, len(plan.classes))} {score.value:.3f} "
        f"({score.low:.3f} to {score.high:.3f}) in {plan.deciding}, {len(result.truth[plan.deciding]):,} sequences",
        file=sys.stderr,
    )


def _predictions(result: Result) -> Iterator[list]:
    """Every sequence once, in the order of the embeddings: of those that were learnt from, what the classifier says of
    them; with cross-validation what the one says that did not see it."""
    plan = result.plan
    n = len(plan.truth)
    found, split_of = np.zeros((n, len(plan.classes))), np.full(n, "", dtype=object)
    for split, rows in result.places.items():  # out of fold last
        found[rows] = result.predictions[result.judged][split]
        split_of[rows] = split
    rows = zip(plan.ids, cells(found, tuple(plan.classes), None), plan.truth.tolist(), split_of.tolist(), strict=True)
    for name, made, true, split in rows:
        yield [name, *made, plan.classes[true], split]


def _metrics(result: Result) -> Iterator[list]:
    for name in [*result.models, *(f"baseline: {name}" for name in result.baselines)]:
        for split, scores in result.scores[name.removeprefix("baseline: ")].items():
            for metric, score in scores.items():
                yield [name, split, metric, score.value, score.low, score.high, len(result.truth[split])]


def _manifest(result: Result) -> dict:
    plan, arguments, method = result.plan, result.plan.arguments, result.choice.method
    learnt = plan.features[result.places["train"]]
    return {
        "format": 1,
        "kind": KIND,
        "classifier": method,
        "settings": result.choice.settings[method],
        "class_weights": arguments.class_weights,
        "classes": plan.classes,
        "counts": np.bincount(result.truth["train"], minlength=len(plan.classes)).tolist(),
        "columns": plan.embeddings.columns,
        "means": [float(f"{value:.6g}") for value in learnt.mean(axis=0, dtype=float)],
        "deviations": [float(f"{value:.6g}") for value in learnt.std(axis=0, dtype=float)],
        "judged": result.judged,
        "metrics": {
            split: {name: score.rounded() for name, score in scores.items()}
            for split, scores in result.scores[result.judged].items()
        },
        "versions": versions(PACKAGES),
        "seed": arguments.seed,
        "data_sha256": table_sha256(plan.embeddings),
    }


def _card(result: Result) -> str:
    plan, choice, split = result.plan, result.choice, result.plan.deciding
    score = result.scores[result.judged][split][plan.arguments.metric]
    what = f"{METHODS[choice.method].words} ({settings_in_words(choice.settings[choice.method])})"
    return (
        f"# Classifier of embeddings\n\nA {what} that reads embeddings of {plan.features.shape[1]:,} dimensions "
        "and tells "
        f"{len(plan.classes)} classes apart, trained on {len(result.truth['train']):,} sequences.\n\n"
        f"{metrics.label(plan.arguments.metric, len(plan.classes))} {score.value:.3f} (95 % interval "
        f"{score.low:.3f} to "
        f"{score.high:.3f}) on {len(result.truth[split]):,} sequences ({split}).\n\nClasses, features, scores "
        "and versions "
        "are in seqlm.json. model.skops is opened with skops.io.load, after a look at skops.io.get_untrusted_types.\n"
    )
