"""Predictions with a fine-tuned model, streamed from a file of sequences into tables.

A table has a row a unit: a sequence, a residue, a site that was scanned, or a pair.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import islice

import numpy as np

from seqlm.cli.outputs import Outputs, write_table
from seqlm.data.prediction_tables import UNIT_COLUMNS, columns
from seqlm.data.records import PROTEIN, Rules
from seqlm.data.sequences import clean
from seqlm.data.sites import site_positions, window_around
from seqlm.tokenization.survey import records
from seqlm.tokenization.unknown import unknown_letters

from .inputs import Plan
from .site_outputs import SiteOutputs
from .uncertainty import Predicted

ROWS_AT_ONCE = 4096  # predictions that are turned into rows together


@dataclass
class _Changes:
    """What was changed in each sequence on the way in, as it stands in the table, and all together."""

    plan: Plan
    rules: Rules = field(default_factory=Rules)
    notes: dict[str, str] = field(default_factory=dict)
    read_as: list[str] = field(default_factory=list)

    def read_by(self, encoder) -> None:
        """Note what a model takes the sequences for, where it could read them otherwise."""
        self.read_as += [f"read as: {encoder.read_as}"] * bool(encoder.read_as)
        self.read_as += [encoder.unplaced] * bool(encoder.unplaced)

    def sequences(self) -> Iterator[tuple[str, str]]:
        """(id, cleaned sequence) of every record."""
        family, arguments = self.plan.family, self.plan.arguments
        for record in records(arguments):
            own = Rules()
            sequence = clean(record, family.alphabet, family.replacements, own, arguments.sequences)
            if own.sequences:
                self.notes[record.id] = "; ".join(f"{rule} ({own.letters[rule]})" for rule in sorted(own.letters))
                for rule, letters in own.letters.items():
                    self.rules.count(rule, letters)
            yield record.id, sequence

    def of(self, name: str, encoded, limit: int) -> str:
        """The note of one sequence that was read as ``encoded``."""
        notes = [self.notes.pop(name, "")]
        for rule, letters in encoded.changes().items():
            self.rules.count(rule, letters)
            notes.append(f"{rule} ({letters})")
        if encoded.cut:
            self.rules.count(f"truncated to {limit:,} tokens", encoded.cut)
            notes.append(f"{encoded.cut} tokens cut off at the end")
        elif len(encoded.rows) > 1:
            self.rules.count(f"read in overlapping windows of {limit:,} tokens", encoded.tokens)
        return "; ".join(filter(None, notes))

    def without_site(self, name: str) -> None:
        """Pass over a sequence of a scan that has none of the residues."""
        self.notes.pop(name, None)
        self.rules.count(f"sequence without any of the residues {self.plan.sites}, so without a row")


def predict(plan: Plan, outputs: Outputs) -> None:
    """Write the table of predictions, and what was changed on the way on stderr.

    After the columns of :func:`columns` come those of :class:`seqlm.tools.predict.uncertainty.Predicted`, then
    ``tokens``, ``windows``, ``changed`` of sequences, ``window`` of a scan.
    """
    print("loading the libraries", file=sys.stderr)
    from seqlm.cli.progress import Progress
    from seqlm.inference import inference, loading

    arguments = plan.arguments
    device = loading.prepare(arguments.threads, arguments.seed, arguments.device)
    memory = plan.memory.on(device)
    if plan.published:
        from seqlm.inference.published_adapters import load_published

        restored = load_published(plan.bundle, plan.base, device, arguments.precision, plan.labels)
    else:
        second_width = plan.second[1].hidden_size if plan.second else 0
        restored = loading.load_finetuned(
            plan.bundle, plan.base, device, arguments.precision, second_width, plan.structures
        )
    budget = memory.tokens()
    changes = _Changes(plan, plan.rules)
    changes.read_by(restored.encoder)
    what = "pairs" if plan.level == "pair" else "sites" if plan.sites else "sequences"
    progress = Progress("predicting", plan.items, "sequences" if plan.level == "residue" else what)

    wanted = None
    if plan.level == "residue" and plan.sites:
        wanted = partial(site_positions, residues=plan.sites)

    def run(items: Iterator[tuple[str, str]]) -> Iterator[tuple]:
        return inference.predict(restored.model, restored.encoder, items, budget, progress, wanted=wanted)

    target = outputs.file(arguments.output_table)
    several, members = plan.task == "multi-label", len(restored.model.members)
    made = Predicted(plan.labels, plan.threshold, several, members, plan.conformity, arguments.coverage)
    header = columns(plan.task, plan.labels) + made.columns
    if plan.level == "pair":
        rows = _pairs(plan, changes, restored, made, budget, device, progress)
    elif plan.level == "sequence" and not plan.sites:
        header += ["tokens", "windows", "changed"]
        rows = _sequences(changes, run, made, restored.encoder.max_length)
    else:
        sites = SiteOutputs(plan, outputs)
        if plan.sites:
            header.append("window")
        if plan.level == "sequence":
            header[1:1] = UNIT_COLUMNS["residue"][1:]
        rows_of = _scan if plan.level == "sequence" else _residues
        rows = sites.tee(rows_of(plan, changes, run, made, sites.seen, restored.encoder.max_length))
    write_table(target, header, rows)
    if plan.level == "residue" or plan.sites:
        sites.finish()
    for line in [*changes.read_as, *changes.rules.lines(), *unknown_letters(changes.rules, plan.letters)]:
        print(f"note: {line}", file=sys.stderr)
    print(f"predicted {plan.units:,} {what}", file=sys.stderr)


def _sequences(changes: _Changes, run, made: Predicted, limit: int) -> Iterator[list]:
    given = run(changes.sequences())
    while block := list(islice(given, ROWS_AT_ONCE)):
        rows = made.cells(np.stack([prediction for *_, prediction in block], axis=1))
        for (name, encoded, _), row in zip(block, rows, strict=True):
            yield [name, *row, encoded.tokens, len(encoded.rows), changes.of(name, encoded, limit)]


def _residues(plan: Plan, changes: _Changes, run, made, seen, limit: int) -> Iterator[list]:
    """A row a residue, or a site of a scan, each once; the model reads whole proteins, each in one go."""
    waiting: deque[tuple[str, Sequence[int]]] = deque()
    padding = _padding(plan)

    def items() -> Iterator[tuple[str, str]]:
        for name, sequence in changes.sequences():
            seen(name, len(sequence))
            positions = site_positions(sequence, plan.sites) if plan.sites else range(len(sequence))
            if not positions:
                changes.without_site(name)
                continue
            waiting.append((sequence, positions))
            yield name, sequence

    for name, encoded, predictions in run(items()):
        changes.of(name, encoded, limit)
        sequence, positions = waiting.popleft()
        for position, row in zip(positions, made.cells(predictions), strict=True):
            window = [window_around(sequence, position, plan.window, padding)] if plan.sites else []
            yield [name, position + 1, sequence[position], *row, *window]


def _padding(plan: Plan) -> str:
    return "X" if plan.family.alphabet == PROTEIN else "N"


def _scan(plan: Plan, changes: _Changes, run, made: Predicted, seen, limit: int) -> Iterator[list]:
    """A row a site of every protein: the windows of all proteins go through the model as one stream."""
    waiting: deque[tuple[int, str, str]] = deque()
    padding = _padding(plan)

    def items() -> Iterator[tuple[str, str]]:
        for name, sequence in changes.sequences():
            positions = site_positions(sequence, plan.sites)
            seen(name, len(sequence))
            if not positions:
                changes.without_site(name)
            for position in positions:
                window = window_around(sequence, position, plan.window, padding)
                waiting.append((position + 1, sequence[position], window))
                yield name, window

    given = run(items())
    while block := list(islice(given, ROWS_AT_ONCE)):
        rows = made.cells(np.stack([prediction for *_, prediction in block], axis=1))
        for (name, encoded, _), row in zip(block, rows, strict=True):
            changes.of(name, encoded, limit)
            position, residue, window = waiting.popleft()
            yield [name, position, residue, *row, window]


def _pairs(plan: Plan, changes: _Changes, restored, made: Predicted, budget: int, device, progress) -> Iterator[list]:
    """A row a pair. Each sequence is embedded once, however many pairs it is in, by each member of an ensemble."""
    from seqlm.inference import loading
    from seqlm.inference.inference import pair_outputs, pooled_vectors
    from seqlm.tokenization.encoder import Encoder

    def encoded(encoder, members: dict[str, str]) -> list:
        rows = [encoder.encode(sequence, name) for name, sequence in members.items()]
        for name, one in zip(members, rows, strict=True):
            changes.of(name, one, encoder.max_length)
        return rows

    def embedded(model, encoder, members: dict[str, str], rows: list):
        print(f"embedding {len(members):,} sequences, each once", file=sys.stderr)
        return pooled_vectors(model, rows, encoder.padding, budget, list(members))

    first, second = plan.members
    rows = encoded(restored.encoder, first)
    fixed = other_rows = None
    if plan.second:
        base, family = plan.second
        encoder = Encoder(
            family,
            base.path,
            long_sequences=plan.bundle.manifest["long_sequences"],
            tokenizer=plan.bundle.manifest.get("tokenizer", "as-published"),
        )
        changes.read_by(encoder)
        backbone = loading.load_backbone(base.path, family, loading.torch.float32, device)
        model = loading.SequenceModel(backbone, family.hidden_size)
        fixed = embedded(model, encoder, second, encoded(encoder, second))
    elif second is not first:
        other_rows = encoded(restored.encoder, second)
    places = tuple({name: place for place, name in enumerate(members)} for members in plan.members)
    numbers = np.asarray([(places[0][pair.first], places[1][pair.second]) for pair in plan.pairs])
    predictions = []
    for anew in restored.model.turns():
        if anew:
            vectors = embedded(restored.model, restored.encoder, first, rows)
            others = vectors if fixed is None else fixed
            if other_rows:
                others = embedded(restored.model, restored.encoder, second, other_rows)
        predictions.append(restored.model.decode(pair_outputs(restored.model, vectors, others, numbers)))
    predictions = np.stack(predictions)
    for start in range(0, len(plan.pairs), ROWS_AT_ONCE):
        part = slice(start, start + ROWS_AT_ONCE)
        for pair, row in zip(plan.pairs[part], made.cells(predictions[:, part]), strict=True):
            yield [pair.first, pair.second, *row]
        progress(min(part.stop, len(plan.pairs)))
