"""Apply a trained classifier to embeddings; where labels are given, score it on them too."""

from __future__ import annotations

import sys
from argparse import Namespace
from pathlib import Path

import numpy as np

from seqlm.cli.errors import InputError
from seqlm.cli.outputs import Outputs, write_table
from seqlm.data.class_files import class_files
from seqlm.data.records import quoted
from seqlm.embeddings.columns import OWN_COLUMN, Embeddings
from seqlm.embeddings.labels import Labels, named_columns, read_labels
from seqlm.embeddings.tables import read_embeddings
from seqlm.report.outputs import wants_report, write_report

from .apply_summary import Applied
from .archive import open_archive, read_manifest, table_sha256

TASK = "sequence-classification"
# A mean of new embeddings this many training deviations away is another model's, or another way of pooling.
FAR = 3.0
FAR_SHARE = 0.2  # of the dimensions
OF_TRAINING = (  # options that only training knows, and their defaults
    ("cross_validation", 0), ("split_column", None), ("split_pattern", None), ("positive_label", None),
    ("output_model", None), ("feature_column", []),
)  # fmt: skip


def apply(arguments: Namespace, scratch: Path, outputs: Outputs) -> None:
    """Read classifier, embeddings and labels, predict, and fill every output that was asked for."""
    for option, unasked in OF_TRAINING:
        if getattr(arguments, option) != unasked:
            raise InputError(f"--{option.replace('_', '-')} is for training; leave it out where --model is applied")
    has_labels = bool(arguments.labels or arguments.label_column or arguments.class_fasta)
    if (arguments.output_metrics or arguments.output_classification_report) and not has_labels:
        raise InputError(
            "scores need the true classes; give them with --labels, --class-fasta or --label-column, or ask for "
            "no scores"
        )
    path = Path(arguments.model)
    if not path.is_file():
        raise InputError(f"{path} is not a file; give the classifier that this tool wrote in training")
    folder = scratch / "model"
    folder.mkdir()
    manifest = read_manifest(path, folder)
    embeddings = read_embeddings(
        arguments.embeddings, named_columns(arguments.labels or arguments.class_fasta, arguments.label_column)
    )
    embeddings = _with_scores(embeddings, manifest["columns"], path.name)
    _check_columns(embeddings, manifest, path.name)
    labels, truth, notes = None, None, []
    if has_labels:
        labels = read_labels(
            embeddings,
            arguments.labels,
            label_column=arguments.label_column,
            label_pattern=arguments.label_pattern,
            id_column=arguments.id_column,
            sequence_column=arguments.sequence_column,
            classes=class_files(arguments.class_fasta, fewest=1) if arguments.class_fasta else (),
        )
        truth = _truth(labels, manifest["classes"], embeddings, path.name)
        notes += labels.notes
    notes += _strangeness(embeddings, manifest)
    classifier = open_archive(path, manifest, folder)
    from .methods import probabilities

    print(f"predicting {len(embeddings):,} sequences", file=sys.stderr)
    made = probabilities(classifier.made, embeddings.vectors, len(classifier.classes))
    if not np.isfinite(made).all():
        raise InputError(f"{path.name} gives probabilities that are none; train the classifier again")
    applied = Applied(classifier, embeddings, made, labels, truth, notes=notes)
    if labels:
        _score(applied, arguments.seed)
    _write(applied, arguments, outputs)


def _with_scores(embeddings: Embeddings, wanted: list[str], model: str) -> Embeddings:
    """With the columns beside the dimensions that the classifier was trained on too, such as perplexities."""
    if not any(map(OWN_COLUMN.fullmatch, wanted)):
        return embeddings  # a table of another origin, all whose numbers are features
    more = [name for name in wanted if not OWN_COLUMN.fullmatch(name)]
    if lacking := next((name for name in more if name not in embeddings.header), None):
        raise InputError(
            f"{embeddings.name} has no column '{quoted(lacking)}', which {model} was trained on too; embed with the "
            "same scores beside the vectors as for training"
        )
    return embeddings.with_features(more)


def _check_columns(embeddings: Embeddings, manifest: dict, model: str) -> None:
    wanted, given = manifest["columns"], embeddings.columns
    if len(given) != len(wanted):
        raise InputError(
            f"{embeddings.name} has embeddings of {len(given):,} dimensions, and {model} was trained on "
            f"{len(wanted):,}; "
            "embed with the same model as for training"
        )
    if given != wanted:
        other = next(place for place, name in enumerate(given) if name != wanted[place])
        raise InputError(
            f"{embeddings.name} has '{quoted(given[other])}' where {model} was trained on "
            f"'{quoted(wanted[other])}'; give the "
            "same columns in the same order"
        )


def _truth(labels: Labels, classes: list[str], embeddings: Embeddings, model: str) -> np.ndarray:
    place = {name: number for number, name in enumerate(classes)}
    for row, text in zip(labels.rows.tolist(), labels.texts, strict=True):
        if text not in place:
            raise InputError(
                f"{labels.source}: '{quoted(embeddings.ids[row])}' has the label '{quoted(text)}', which "
                f"{model} does not know; "
                f"it tells {quoted(', '.join(classes), 100)} apart"
            )
    return np.array([place[text] for text in labels.texts], dtype=np.int64)


def _strangeness(embeddings: Embeddings, manifest: dict) -> list[str]:
    """What says that these are not the embeddings that the classifier can judge, or be judged by."""
    if table_sha256(embeddings) == manifest["data_sha256"]:
        return [
            "These are the very embeddings that the classifier was made from. What it says of those that it "
            "learnt is too good "
            "to judge it by."
        ]
    means, deviations = np.array(manifest["means"]), np.array(manifest["deviations"])
    here = embeddings.vectors.mean(axis=0, dtype=float)
    varies = deviations > 0
    far = np.abs(here - means)[varies] > FAR * deviations[varies]
    if far.mean() > FAR_SHARE if far.size else False:
        return [
            f"In {int(far.sum()):,} of {len(varies):,} dimensions these embeddings are far from those of the "
            "training: they look "
            "like those of another model, another pooling, or quite other sequences. The predictions then mean nothing."
        ]
    return []


def _score(applied: Applied, seed: int) -> None:
    from seqlm.baselines.baselines import MAJORITY
    from seqlm.metrics import metrics

    counts = np.array(applied.classifier.manifest["counts"], dtype=float)
    shares = np.repeat([counts / counts.sum()], len(applied.truth), axis=0)
    positive = 1 if len(applied.classes) == 2 else None
    for name, found in ((applied.classifier.manifest["classifier"], applied.judged), (MAJORITY, shares)):
        applied.scores[name] = metrics.scores_for(TASK, applied.truth, found, positive=positive, seed=seed)


def _write(applied: Applied, arguments: Namespace, outputs: Outputs) -> None:
    from seqlm.data.prediction_tables import cells, columns

    from .tables import METRIC_COLUMNS, REPORT_COLUMNS, report_rows

    classes, truth = tuple(applied.classes), {}
    if applied.labels:
        truth = dict(zip(applied.labels.rows.tolist(), applied.labels.texts, strict=True))
    if arguments.output_predictions:
        write_table(
            outputs.file(arguments.output_predictions),
            [*columns(TASK, classes), *(["truth"] if applied.labels else [])],
            (
                [name, *row, *([truth.get(place, "")] if applied.labels else [])]
                for place, (name, row) in enumerate(
                    zip(applied.embeddings.ids, cells(applied.predictions, classes, None), strict=True)
                )
            ),
        )
    if arguments.output_metrics:
        write_table(
            outputs.file(arguments.output_metrics),
            METRIC_COLUMNS,
            (
                [name if number == 0 else f"baseline: {name}", "given", metric, *_three(score), len(applied.truth)]
                for number, (name, scores) in enumerate(applied.scores.items())
                for metric, score in scores.items()
            ),
        )
    if arguments.output_classification_report:
        write_table(
            outputs.file(arguments.output_classification_report),
            REPORT_COLUMNS,
            report_rows("given", applied.truth, applied.judged.argmax(axis=1), applied.classes),
        )
    if wants_report(arguments):
        from .apply_report import applied_report

        write_report(arguments, applied_report(applied, arguments.seed), outputs)
    for note in applied.notes:
        print(f"note: {note}", file=sys.stderr)


def _three(score) -> list[float]:
    return [score.value, score.low, score.high]
