"""What a fine-tuning leaves: bundle, tables, and the report as tool markdown, figures and one HTML page."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import numpy as np

from seqlm.checkpoints.bundle import finish_bundle
from seqlm.cli.outputs import Outputs, write_table
from seqlm.data.class_names import why_positive
from seqlm.data.label_columns import in_a_cell
from seqlm.data.prediction_tables import cells, columns
from seqlm.metrics import metrics
from seqlm.report.outputs import parameters, wants_report, write_report
from seqlm.report.words import OUT_OF_FOLD, sentence
from seqlm.tokenization.unknown import unknown_letters

from .costs import costs
from .learning import lora_settings
from .methods import NAMES, UNUSED, cited
from .plan import SETTINGS, Plan, all_sequences
from .report import finetune_report
from .run import FINE_TUNED, Result
from .verdict import FinetuneSummary

TINY = 2_000_000  # weights; no published model of biological sequences is smaller


def write(result: Result, outputs: Outputs) -> None:
    """Fill every output that was asked for."""
    plan, arguments = result.plan, result.plan.arguments
    finish_bundle(result.bundle, result.manifest, result.scores[FINE_TUNED], outputs.file(arguments.output_model))
    if arguments.output_metrics:
        write_table(
            outputs.file(arguments.output_metrics),
            ["split", "model", "metric", "value", "low", "high", f"{plan.level}s"],
            (
                [split, name, metric, score.value, score.low, score.high, len(result.truth[split])]
                for split in reversed(plan.splits)  # a reader sees the set that decides first
                for name in [FINE_TUNED, *(other for other in result.scores if other != FINE_TUNED)]
                for metric, score in result.scores[name][split].items()
            ),
        )
    if arguments.output_predictions:
        write_table(
            outputs.file(arguments.output_predictions),
            [*columns(arguments.task, plan.labels), "truth", "split", *(["fold"] if plan.folds else [])],
            _fold_predictions(result) if plan.folds else _predictions(result, plan.deciding, result.everything),
        )
    if arguments.output_log:
        write_table(outputs.file(arguments.output_log), *_log(result))
    if wants_report(arguments):
        report = finetune_report(summarise(result), metrics_output="metrics" if arguments.output_metrics else None)
        write_report(arguments, report, outputs)
    best = result.scores[FINE_TUNED][plan.deciding][plan.score]
    print(
        f"{plan.deciding}: {metrics.label(plan.score)} {best.value:.3f} ({best.low:.3f} to {best.high:.3f}), "
        f"{len(result.truth[plan.deciding])} {plan.level}s",
        file=sys.stderr,
    )


def _predictions(result: Result, split: str, everything: np.ndarray) -> Iterator[list]:
    """Rows of a split, with what is true of each unit; empty where that is not known."""
    plan = result.plan
    made = iter(cells(everything, plan.labels, result.thresholds[FINE_TUNED]))
    for example in plan.dataset[split]:
        yield from _rows_of(plan, example, made, split)


def _rows_of(plan: Plan, example, made: Iterator[list], split: str) -> Iterator[list]:
    """The rows of an example; takes what was made of its units."""
    if plan.level == "residue":
        for position, (letter, true) in enumerate(zip(example.sequence, example.label.tolist(), strict=True), 1):
            known = true == true if plan.labels is None else true >= 0
            shown = (true if plan.labels is None else plan.labels[true]) if known else ""
            yield [example.id, position, letter, *next(made), shown, split]
        return
    names = [example.first, example.second] if plan.level == "pair" else [example.id]
    true = example.label
    if isinstance(true, tuple):
        true = in_a_cell(true, [name for name in example.unknown if name in plan.labels])
    yield [*names, *next(made), true, split]


def _fold_predictions(result: Result) -> Iterator[list]:
    """Rows of all that was divided, out of fold, with the numbers of its folds; then those of the test set."""
    plan = result.plan
    examples = plan.dataset[OUT_OF_FOLD]
    numbers = [[] for _ in examples]
    for fold in plan.folds.folds:
        for place in fold.held.tolist():
            numbers[place].append(str(fold.number))
    made = iter(cells(result.everything, plan.labels, result.thresholds[FINE_TUNED]))
    for example, own in zip(examples, numbers, strict=True):
        for row in _rows_of(plan, example, made, OUT_OF_FOLD):
            yield [*row, ";".join(own)]
    if plan.dataset["test"]:
        for row in _predictions(result, "test", result.everything_test):
            yield [*row, ""]


def _log(result: Result) -> tuple[list[str], list[list]]:
    """Columns and rows of the log; of a cross-validation those of every training, one after the other."""
    if not result.folds:
        return result.history.table()
    tables = [history.table() for history in result.histories]
    rows = [
        [fold.repeat, fold.number, *row] for fold, (_, own) in zip(result.folds, tables, strict=True) for row in own
    ]
    return ["repeat", "fold", *tables[0][0]], rows


def summarise(result: Result) -> FinetuneSummary:
    """What the report needs to know."""
    plan, arguments = result.plan, result.plan.arguments
    split, two = plan.deciding, len(plan.labels or ()) == 2
    return FinetuneSummary(
        task=arguments.task,
        metric=plan.score,
        classes=list(plan.labels or ()),
        truth=result.truth,
        predictions=result.predictions,
        scores=result.scores,
        differences={
            name: metrics.paired_difference(
                plan.score,
                result.truth[split],
                result.predictions[FINE_TUNED][split],
                by_split[split],
                groups=result.groups.get(split),
                first_threshold=result.thresholds[FINE_TUNED],
                second_threshold=result.thresholds[name],
                first_predicted=result.calls.get(FINE_TUNED),
                second_predicted=result.calls.get(name),
                seed=arguments.seed,
            )
            for name, by_split in result.predictions.items()
            if name != FINE_TUNED
        },
        lengths=_lengths(plan),
        positive=1 if two else None,
        positive_why=why_positive(plan.labels, arguments.positive_label) if two else "",
        origin=plan.dataset.origin,
        duplicates=plan.dataset.duplicates,
        rules=[*_read_as(plan), *result.rules.lines()],
        unknown=unknown_letters(result.rules, sum(len(sequence) for *_, sequence in all_sequences(plan))),
        history=result.history.epochs,
        best_epoch=result.history.kept,
        stopped_early=result.history.stopped_early,
        chosen_by=plan.metric if result.history.best_epoch else "",
        parameters=_parameters(plan),
        trained_weights=result.trained,
        total_weights=result.total,
        versions=result.manifest["versions"],
        base_model=plan.reader.name,
        revision=arguments.model_revision,
        sha256=plan.base.sha256,
        family=plan.family.name,
        demonstration=result.total < TINY,
        seed=arguments.seed,
        alphabet=plan.family.alphabet,
        symmetric=plan.symmetric,
        groups={} if result.folds else result.groups,  # of folds they are not proteins alone
        thresholds=result.thresholds,
        threshold_by=arguments.threshold_by if "validation" in result.truth or result.folds else "",
        calls=result.calls,
        folds=result.folds,
        fold_groups=_fold_groups(result) if plan.folds else "",
        coverage=arguments.coverage,
        checks=result.checks,
        tries=result.tries,
        temperature=result.manifest["temperature"],
        uncalibrated=result.uncalibrated,
        masked=_masked(result),
        window=plan.window,
        sites=plan.sites,
        data_sha256=", ".join(f"{name} {digest[:16]}…" for name, digest in plan.dataset.sha256.items()),
        citations=[
            *plan.encoder.citations,
            "transformers",
            "scikit-learn",
            *cited(arguments.method),
        ],
        method=arguments.method,
        costs=costs(plan.family.load, plan.base.path, plan.family, lora_settings(plan), NAMES),
    )


def _read_as(plan: Plan) -> list[str]:
    """What stands before each sequence, where the model's vocabulary offers something."""
    readers = [plan.reader, *([plan.second] if plan.second else [])]
    said = [f"Read as: {one.encoder.read_as}" for one in readers if one.encoder.read_as]
    unplaced = [one.encoder.unplaced for one in readers if one.encoder.unplaced]
    return said + [sentence(text).removesuffix(".") for text in unplaced]


def _fold_groups(result: Result) -> str:
    """What stays together in a fold, in words, and that it does so in intervals too."""
    drawn = result.plan.level == "sequence" and OUT_OF_FOLD in result.groups
    return result.plan.folds.how + (", and are drawn together for intervals" if drawn else "")


def _parameters(plan: Plan) -> dict[str, str]:
    """What the user chose, without what does not matter for the task or the method."""
    arguments, level = plan.arguments, plan.level
    without = {
        "unlisted": level != "residue",
        "unknown_labels": level != "residue",
        "merge_labels": level != "residue",
        "pair": level != "pair",
        "pooling": level == "residue",
        "label_separator": arguments.task != "multi-label" or arguments.label_columns,
        "threshold_by": not plan.labels,
        "calibration": not plan.labels,
        "class_weights": not plan.labels,
        "fold": not plan.folds,
        "group_column": not arguments.group_column,
        "coverage": not plan.folds,
    }
    unused = [start for start, applies in without.items() if applies]
    return parameters(arguments, SETTINGS, [*unused, *UNUSED[arguments.method]])


def _masked(result: Result) -> dict[str, int]:
    """Residues of each split that count nowhere."""
    plan = result.plan
    if plan.level != "residue":
        return {}
    return {
        split: sum(len(example.sequence) for example in plan.dataset[split]) - len(result.truth[split])
        for split in plan.splits
    }


def _lengths(plan: Plan) -> dict[str, np.ndarray]:
    """Letters of each sequence of each split; of pairs each sequence once a split."""
    if plan.level != "pair":
        letters = plan.encoder.letters
        return {
            name: np.asarray([len(letters(example.sequence)) for example in plan.dataset[name]]) for name in plan.splits
        }
    first, second = plan.members
    lengths = {}
    for name in plan.splits:
        firsts = dict.fromkeys(pair.first for pair in plan.dataset[name])
        seconds = dict.fromkeys(pair.second for pair in plan.dataset[name])
        if first is second:
            firsts, seconds = firsts | seconds, {}
        lengths[name] = np.asarray([len(first[one]) for one in firsts] + [len(second[one]) for one in seconds])
    return lengths
