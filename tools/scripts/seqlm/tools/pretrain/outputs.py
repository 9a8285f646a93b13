"""What the training of a language model leaves: bundle, tables, and the report."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from seqlm.checkpoints.bundle import finish_bundle
from seqlm.cli.outputs import Outputs, write_table
from seqlm.metrics.language_scores import PERPLEXITY
from seqlm.report.outputs import wants_report, write_report

from .report import pretraining_report
from .run import AFTER, Result
from .verdict import headline

LOG = ("epoch", "step", "learning_rate", "train_loss", "validation_loss", "validation_perplexity")


def write(result: Result, outputs: Outputs) -> None:
    """Fill every output that was asked for."""
    arguments = result.plan.arguments
    scores = {split: dict(found) for split, found in result.scores[AFTER].items()}
    if result.answers:
        scores.setdefault("test", {}).update(result.answers.scores)
    finish_bundle(result.bundle, result.manifest, scores, outputs.file(arguments.output_model))
    if arguments.output_metrics:
        columns = ["split", "model", "metric", "value", "low", "high", "rows"]
        write_table(outputs.file(arguments.output_metrics), columns, _scores(result))
    if arguments.output_log:
        names = [name for name in LOG if any(name in entry for entry in result.history.epochs)]
        rows = (
            [*(entry.get(name) for name in names), "yes" if number == result.history.best_epoch else ""]
            for number, entry in enumerate(result.history.epochs, start=1)
        )
        write_table(outputs.file(arguments.output_log), [*names, "kept"], rows)
    if arguments.output_predictions:
        columns = ["number", "instruction", "input", "truth", "answer", "equal", "ended"]
        write_table(outputs.file(arguments.output_predictions), columns, result.answers.rows if result.answers else [])
    if wants_report(arguments):
        report = pretraining_report(result, metrics_output="metrics" if arguments.output_metrics else None)
        write_report(arguments, report, outputs)
    for split, scores in result.scores[AFTER].items():
        print(f"{split}: perplexity {scores[PERPLEXITY].value:.4g}", file=sys.stderr)
    print(headline(result), file=sys.stderr)


def _scores(result: Result) -> Iterator[list]:
    """Rows of every score of every model, and of what the trained model has less each other."""
    for split in (one for one in reversed(result.plan.splits) if one != "train"):  # that which decides first
        n = result.rows[split]
        for name, by_split in result.scores.items():
            for metric, score in by_split.get(split, {}).items():
                yield [split, name, metric, score.value, score.low, score.high, n]
        for name, by_split in result.differences.items():
            for metric, score in by_split.get(split, {}).items():
                yield [split, f"{AFTER} less {name}", metric, score.value, score.low, score.high, n]
    if result.answers:
        for who, scores in ((AFTER, result.answers.scores), (result.answers.baseline, result.answers.beside)):
            for metric, score in scores.items():
                yield ["test", who, metric, score.value, score.low, score.high, len(result.answers.rows)]
