"""Predictions with a fine-tuned model, streamed from a file of sequences into a table."""

from __future__ import annotations

import sys
from argparse import Namespace
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .bundle import Bundle, open_bundle
from .errors import InputError
from .families import Family, recognise
from .finetune_inputs import TASKS, open_base_model
from .model_files import ModelFolder
from .outputs import Outputs, write_table
from .sequences import PROTEIN, Record, Rules, clean, looks_like_dna, read_records


@dataclass
class Plan:
    """Checked inputs of one prediction."""

    arguments: Namespace
    scratch: Path
    bundle: Bundle
    base: ModelFolder
    family: Family
    sequences: int


def columns(labels: tuple[str, ...] | None) -> list[str]:
    """Header of a prediction table: one probability a class, or the value alone."""
    return ["id", "predicted", *(f"probability_{label}" for label in labels or ())]


def row(name: str, prediction: np.ndarray, labels: tuple[str, ...] | None) -> list:
    """One row below :func:`columns`. The class called is the one with the largest probability."""
    if labels is None:
        return [name, float(prediction)]
    return [name, labels[int(np.argmax(prediction))], *map(float, prediction)]


def check(arguments: Namespace, scratch: Path) -> Plan:
    """Open the bundle and its base model and go over all sequences once. Does not import torch."""
    path = Path(arguments.model)
    for name in ("bundle", "base"):
        (scratch / name).mkdir()
    bundle = open_bundle(path, scratch / "bundle")
    manifest = bundle.manifest
    if manifest is None or not manifest.get("head"):
        raise InputError(
            f"{path.name} is not a fine-tuned model of this tool suite; give the bundle that the fine-tuning tool made"
        )
    if manifest["task"] not in TASKS:
        raise InputError(f"{path.name} was made for the task '{manifest['task']}', which this version cannot predict")
    if bundle.kind == "full":
        base = bundle.model
    else:
        if not arguments.base_model:
            raise InputError(
                f"{path.name} holds an adapter or a head only; give its base model too, {manifest['base_model']['id']}"
            )
        base = open_base_model(arguments.base_model, scratch / "base")
        if base.sha256 != manifest["base_model"]["sha256"]:
            raise InputError(
                f"{path.name} was trained on another base model, {manifest['base_model']['id']}: the SHA-256 of its "
                f"weights starts with {manifest['base_model']['sha256'][:12]}, that of the model given with "
                f"{base.sha256[:12]}"
            )
    family = recognise(base.path, base.config, manifest["alphabet"])
    return Plan(arguments, scratch, bundle, base, family, _survey(arguments, family))


def _records(arguments: Namespace) -> Iterator[Record]:
    return read_records(
        arguments.sequences,
        format=arguments.format,
        id_column=arguments.id_column,
        sequence_column=arguments.sequence_column,
    )


def _survey(arguments: Namespace, family: Family) -> int:
    """Number of sequences, after a pass that refuses bad letters and ids that come twice.

    Eight bytes a sequence are kept; names only where two may be equal.
    """
    seen, rules, foreign = array("q"), Rules(), 0
    for record in _records(arguments):
        clean(record, family.alphabet, family.replacements, rules, arguments.sequences)
        seen.append(hash(record.id))
        foreign += family.alphabet == PROTEIN and looks_like_dna(record.sequence)
    if foreign > len(seen) / 2:
        raise InputError(
            f"{Path(arguments.sequences).name} holds DNA ({foreign} of {len(seen)} sequences); the model reads proteins"
        )
    values, counts = np.unique(np.frombuffer(seen, dtype=np.int64), return_counts=True)
    if repeated := set(values[counts > 1].tolist()):
        lines: dict[str, int] = {}
        for record in _records(arguments):
            if hash(record.id) in repeated and record.id in lines:
                raise InputError(
                    f"{Path(arguments.sequences).name}: record '{record.id}' (line {record.line}) has the same id as "
                    f"the record on line {lines[record.id]}; ids must be unique"
                )
            lines[record.id] = record.line
    return len(seen)


def predict(plan: Plan, outputs: Outputs) -> None:
    """Write the table of predictions, and what was changed on the way on stderr.

    Columns: id, predicted, a probability a class (or the value alone), tokens, windows, and the rules applied.
    """
    print("loading the libraries", file=sys.stderr)
    from . import inference, loading
    from .progress import Progress

    arguments = plan.arguments
    device = loading.prepare(arguments.threads, arguments.seed, arguments.device)
    restored = loading.load_finetuned(plan.bundle, plan.base, device, arguments.precision)
    labels = restored.task.labels
    rules = Rules()
    notes: dict[str, str] = {}

    def cleaned() -> Iterator[tuple[str, str]]:
        for record in _records(arguments):
            own = Rules()
            sequence = clean(record, plan.family.alphabet, plan.family.replacements, own, arguments.sequences)
            if own.sequences:
                notes[record.id] = "; ".join(f"{rule} ({own.letters[rule]})" for rule in sorted(own.letters))
                for rule, letters in own.letters.items():
                    rules.count(rule, letters)
            yield record.id, sequence

    def rows() -> Iterator[list]:
        predictions = inference.predict(
            restored.model,
            restored.encoder,
            cleaned(),
            inference.batch_tokens(arguments.batch_tokens, device),
            Progress("predicting", plan.sequences, "sequences"),
        )
        for name, encoded, prediction in predictions:
            if encoded.cut:
                rules.count(f"truncated to {restored.encoder.max_length:,} tokens", encoded.cut)
                cut = f"{encoded.cut} tokens cut off at the end"
                notes[name] = f"{notes[name]}; {cut}" if name in notes else cut
            elif len(encoded.rows) > 1:
                rules.count(f"read in overlapping windows of {restored.encoder.max_length:,} tokens", encoded.tokens)
            yield [*row(name, prediction, labels), encoded.tokens, len(encoded.rows), notes.pop(name, "")]

    write_table(outputs.file(arguments.output_table), [*columns(labels), "tokens", "windows", "changed"], rows())
    for line in rules.lines():
        print(f"note: {line}", file=sys.stderr)
    print(f"predicted {plan.sequences:,} sequences", file=sys.stderr)
