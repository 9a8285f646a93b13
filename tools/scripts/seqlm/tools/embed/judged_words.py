"""What probes found, in words and in tables."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from seqlm.cli.outputs import Outputs, write_table
from seqlm.cli.text import shown
from seqlm.metrics import metrics
from seqlm.report.report import Block, Paragraph, Table
from seqlm.report.words import FEW_UNITS, few, in_sentence, listed, outcome, score_text, with_interval

from .labelled import Labelled

if TYPE_CHECKING:
    from .inputs import Plan
    from .judging import Judged

MEAN_OF_SEVERAL = -1  # the number of what is the mean of several layers
MOST_ROWS = 12  # layers in the table of the report
MEANINGS = {
    "letter composition": "how often each letter occurs in a sequence",
    "one-hot sequence": "which letter stands at each position that differs",
    "scores alone": "the scores beside the vectors",
    "vectors alone": "the vectors",
    "vectors and scores": "the vectors and the scores beside them",
}
PROBE_COLUMNS = ["features", "layer", "metric", "value", "low", "high", "units", "loss", "chosen_in_folds", "written"]


def layer_name(layer: int) -> str:
    return "mean of the layers" if layer == MEAN_OF_SEVERAL else f"layer {layer}"


def in_words(judged: Judged) -> str:
    """The verdict in one sentence, without its full stop."""
    metric, many = judged.metric, len(judged.layers)
    score = with_interval(judged.named[judged.final].score(metric), metric)
    label = in_sentence(metrics.label(metric, len(judged.labelled.classes or ())))
    text = f"of {many} layers, layer {judged.best} was chosen, and with " if many > 1 else "with "
    text += f"{judged.final} a linear probe reaches {label} {score} on sequences that it had not seen"
    others = [name for name in judged.named if name != judged.final]
    sides = {name: outcome(judged.less(name)) for name in others}
    parts = []
    for side, words in (("better", "better than"), ("open", "not clearly better than"), ("worse", "worse than")):
        if named := [name for name in others if sides[name] == side]:
            parts.append(f"{words} {listed(named)}")
    return text + (f": {listed(parts)}" if parts else "")


def blocks(judged: Judged) -> list[Block]:
    """The tables and the words of the report."""
    metric, labelled = judged.metric, judged.labelled
    classes = len(labelled.classes or ())
    rows = []
    for name, entry in judged.named.items():
        less = "" if name == judged.final else score_text(judged.less(name), metric)
        rows.append([name, *(score_text(entry.score(one), one) for one in entry.samples), less])
    labels = [metrics.label(one, classes) for one in judged.named[judged.final].samples]
    found: list[Block] = [
        Table(["Features", *labels, f"{judged.final.capitalize()} less these"], rows),
        Paragraph(
            f"Of {len(labelled):,} sequences with a label, each predicted by a linear model of the other folds "
            f"({'logistic' if classes else 'ridge'} regression, its penalty chosen by folds within these), with 95 % "
            f"intervals of resampled {'groups' if labelled.grouped else 'sequences'}. "
            + " ".join(f"{name.capitalize()}: {MEANINGS[name]}." for name in judged.named if name in ALONE)
        ),
    ]
    if len(judged.layers) > 1:
        found += _of_layers(judged, metric, labels[0])
    return found


ALONE = ("letter composition", "one-hot sequence")


def _of_layers(judged: Judged, metric: str, label: str) -> list[Block]:
    top = max(judged.layers, key=lambda layer: np.nan_to_num(judged.layers[layer].samples[metric].value, nan=-np.inf))
    of_folds = sum(entry.folds for entry in judged.layers.values())
    picked = [f"layer {layer} in {entry.folds}" for layer, entry in judged.layers.items() if entry.folds]
    highest = with_interval(judged.layers[top].score(metric), metric)
    nested = with_interval(judged.named["vectors alone"].score(metric), metric)
    order = sorted(judged.layers, key=lambda layer: judged.layers[layer].loss)
    shown_layers = sorted({*order[:MOST_ROWS], min(judged.layers), max(judged.layers)})
    rows = [
        [
            f"{layer}" + " (written)" * (layer == judged.best),
            score_text(judged.layers[layer].score(metric), metric),
            f"{judged.layers[layer].loss:.4g}",
            f"{judged.layers[layer].folds}",
        ]
        for layer in shown_layers
    ]
    more = len(judged.layers) - len(shown_layers)
    return [
        Paragraph(
            f"Layer {judged.best} has the lowest loss on folds of all labelled sequences, and its vectors are the ones "
            f"that were written. The highest {in_sentence(label)} of the curve is {highest}, of layer {top}; it was "
            f"picked from {len(judged.layers)} on these very folds and is too good to be quoted. Chosen anew within "
            f"the training part of each fold, which is how the scores of the vectors above came about, the layers "
            f"reach {nested}. Of {of_folds} folds, {listed(picked)}."
        ),
        Table(["Layer", label, "Loss that chooses", "Chosen in folds"], rows),
        *([Paragraph(f"The {more} other layers are in the table of probes.")] if more > 0 else []),
    ]


def warnings(judged: Judged) -> list[str]:
    """What makes the verdict weaker than it looks."""
    labelled = judged.labelled
    found = few(len(labelled), "labelled sequences", FEW_UNITS)
    if not labelled.grouped:
        found.append(
            "Folds were drawn without regard to how similar sequences are. Where relatives stand on both sides, probes "
            "look better than they are for new families; a column with groups keeps them together."
        )
    if any(entry.samples[judged.metric].value < 0 for entry in judged.named.values()) and judged.metric == "spearman":
        found.append(
            "A negative correlation here is none: where features tell nothing, what is predicted is the mean of the "
            "other folds, which is the higher the lower the values of this one are."
        )
    return [*labelled.notes, *found]


def write_judged(arguments: Namespace, judged: Judged, plan: Plan, outputs: Outputs) -> None:
    """The table of probes and the predictions, where they were asked for."""
    if arguments.output_probes:
        write_table(outputs.file(arguments.output_probes), PROBE_COLUMNS, _rows(judged))
    if arguments.output_predictions:
        from seqlm.data.prediction_tables import columns

        labelled = judged.labelled
        header = [*columns(labelled.task, labelled.classes), "truth", "fold"]
        write_table(outputs.file(arguments.output_predictions), header, _predictions(judged, plan))


def _rows(judged: Judged) -> Iterator[list]:
    units = len(judged.labelled)
    for layer, entry in judged.layers.items():
        for metric in entry.samples:
            score, written = entry.score(metric), "yes" if layer == judged.best else "no"
            bounds = [score.value, score.low, score.high]
            yield ["vectors", layer_name(layer), metric, *bounds, units, entry.loss, entry.folds, written]
    for name, entry in judged.named.items():
        layer = "chosen in each fold" if name.startswith("vectors") and len(judged.layers) > 1 else ""
        for metric in entry.samples:
            score = entry.score(metric)
            yield [name, layer, metric, score.value, score.low, score.high, units, entry.loss, None, None]


def _predictions(judged: Judged, plan: Plan) -> Iterator[list]:
    from seqlm.data.prediction_tables import cells

    labelled = judged.labelled
    predicted, place = judged.predicted.copy(), {row: at for at, row in enumerate(labelled.rows.tolist())}
    predicted[labelled.rows] = judged.held_out
    rows = cells(predicted, labelled.classes, None)
    for number, ((name, _), row) in enumerate(zip(plan.sequences(), rows, strict=True)):
        if (at := place.get(number)) is None:
            yield [name, *row, None, None]
            continue
        truth = labelled.truth[at]
        yield [name, *row, labelled.classes[truth] if labelled.classes else float(truth), int(judged.fold[at]) + 1]


def described(labelled: Labelled) -> str:
    """What was asked of the probes, in words."""
    if not labelled.classes:
        return f"numbers from {labelled.source}"
    counts = np.bincount(labelled.truth, minlength=len(labelled.classes))
    named = [f"{shown(name, 30)} ({count:,})" for name, count in zip(labelled.classes, counts.tolist(), strict=True)]
    return f"classes from {labelled.source}: {', '.join(named[:10])}" + (" …" if len(named) > 10 else "")
