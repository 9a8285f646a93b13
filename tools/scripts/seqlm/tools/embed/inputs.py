"""What an embedding starts from: the model, how its vectors are taken, and the sequences. Checked without torch."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

from seqlm.checkpoints.bundle import Bundle
from seqlm.checkpoints.folder import ModelFolder
from seqlm.checkpoints.manifest import reading_of
from seqlm.checkpoints.opening import open_model
from seqlm.cli.errors import InputError
from seqlm.data.numbers import whole
from seqlm.data.records import CANONICAL, TEXT, Rules
from seqlm.data.sequences import clean
from seqlm.families.family import Family
from seqlm.families.recognition import recognise
from seqlm.inference.fitting import Memory
from seqlm.inference.scored_model import ScoredModel, check_tokens
from seqlm.tokenization.chains import reads_chains
from seqlm.tokenization.encoder import Encoder, read_canonical
from seqlm.tokenization.structures import open_structures
from seqlm.tokenization.survey import Survey, records, survey
from seqlm.tokenization.unknown import refuse_unknown

from .appended import open_scored
from .labelled import Labelled, check_asked, read_labelled, read_scores
from .memory import memory_of

AUTO, NONE = "auto", "none"
LONGEST_ID = 1000  # characters: in an npz every id takes as much room as the longest
FLAGS = {"output_table": "--output-table", "output_npz": "--output-npz", "output_h5": "--output-h5",
         "output_parquet": "--output-parquet"}  # fmt: skip


@dataclass
class Plan:
    """Checked inputs of one embedding.

    Attributes:
        bundle: what --model is, where it is no plain Hugging Face folder.
        base: the model folder that holds the weights of the encoder.
        pooling: ``mean``, ``cls``, ``max``, ``last`` or ``none``.
        layers: numbers of the layers whose mean is taken, 0 the embedding of the tokens, ``family.depth`` the last.
        survey: what the file of sequences holds.
        labelled: what probes are to predict; None without.
        scores: (sequences, columns) of a table, that stand beside the vectors in probes; None without.
        scored: what gives the scores that stand beside the vectors; None without.
        notes: sentences for the user.
    """

    arguments: Namespace
    bundle: Bundle | None
    base: ModelFolder
    family: Family
    encoder: Encoder
    pooling: str
    layers: tuple[int, ...]
    survey: Survey
    scored: ScoredModel | None = None
    labelled: Labelled | None = None
    scores: np.ndarray | None = None
    notes: list[str] = field(default_factory=list)

    def sequences(self) -> Iterator[tuple[str, str]]:
        """(id, cleaned sequence) of every record; what is changed was counted by the survey."""
        family, path = self.family, self.arguments.sequences
        for record in records(self.arguments):
            yield record.id, clean(record, family.alphabet, family.replacements, Rules(), path)

    @property
    def vectors(self) -> int:
        """How many there will be."""
        return self.survey.letters if self.pooling == "none" else self.survey.sequences

    @property
    def name(self) -> str:
        """What the model is called."""
        return self.arguments.model_id or Path(self.arguments.model).name

    @property
    def base_name(self) -> str:
        """What the base model of an adapter is called."""
        manifest = (self.bundle and self.bundle.manifest) or {}
        named = (manifest.get("base_model") or {}).get("id")
        return named or (self.bundle.adapter_config or {}).get("base_model_name_or_path") or self.base.path.name

    @cached_property
    def memory(self) -> Memory:
        """What the job takes, and how it is computed so that it fits."""
        return memory_of(self)


def check(arguments: Namespace, scratch: Path) -> Plan:
    """Open the model and go over all sequences once. Does not import torch."""
    if not any(getattr(arguments, output) for output in FLAGS):
        raise InputError(f"no output was asked for; give at least one of {', '.join(FLAGS.values())}")
    check_asked(arguments)
    bundle, base = open_model(arguments, scratch)
    manifest = bundle.manifest if bundle and bundle.manifest else {}
    reading = reading_of(manifest) if manifest else {}
    prefix = _chosen(arguments.prefix, reading.get("prefix"), AUTO)
    family = recognise(base.path, base.config, reading.get("alphabet", AUTO), prefix)
    if arguments.smiles == "canonical":
        read_canonical(family)
    elif arguments.smiles == "as-given" and family.alphabet == CANONICAL:
        family.alphabet = TEXT
    pooling = _pooling(arguments.pooling, manifest, family)
    layers = tuple(range(family.depth + 1)) if arguments.sweep_layers else layers_of(arguments.layer, family.depth)
    options = {
        "max_length": arguments.max_length or manifest.get("max_length", 0),
        "long_sequences": _chosen(arguments.long_sequences, manifest.get("long_sequences"), "window"),
        "pooling": pooling,
        # a fine-tuned model that does not say so was trained with the tokenizer as it was published
        "tokenizer": _chosen(
            arguments.tokenizer, manifest.get("tokenizer"), "as-published" if manifest else "repaired"
        ),
    }
    if pooling == "none" and options["long_sequences"] == "truncate":
        raise InputError(
            "a vector for each position needs every position read; take --long-sequences window, or refuse"
        )
    options["structures"] = structures = open_structures(arguments, family, scratch)
    options["chains"] = reads_chains(arguments, family)
    scoring = open_scored(arguments, bundle, base, options["tokenizer"])
    # a tokenizer of pieces takes seconds to load, so sequences are looked at first
    encoder = Encoder(family, base.path, **options) if family.one_letter_tokens else None

    ids = []

    def visit(record, sequence: str) -> None:
        if arguments.probe != NONE:
            ids.append(record.id)
        if structures:
            structures.of(record.id, sequence)
        if scoring and scoring[2]:
            check_tokens(scoring[2], record, sequence, arguments)
        if encoder and (record.light or encoder.long_sequences == "refuse") and len(sequence) > encoder.max_length:
            encoder.encode(sequence, record.id)

    found = survey(arguments, family, visit, unread=arguments.probe == NONE or bool(arguments.labels))
    if structures:
        structures.refuse_other_names(next(records(arguments)).id)
    if arguments.output_npz and found.longest_id > LONGEST_ID:
        raise InputError(
            f"{Path(arguments.sequences).name} has an id of {found.longest_id:,} characters; npz takes ids of up to "
            f"{LONGEST_ID:,}, choose another format or shorter ids"
        )
    encoder = encoder or Encoder(family, base.path, **options)
    refuse_unknown(encoder, found.sample, Path(arguments.sequences).name)
    scored = None
    if scoring:
        opened, method, text = scoring
        reading = {"tokenizer": options["tokenizer"], "structures": structures, "chains": options["chains"]}
        own = None if text else Encoder(opened.family, base.path, **reading)
        scored = ScoredModel(arguments=arguments, opened=opened, method=method, survey=found, text=text, encoder=own)
        scored.memory.foresee()
    plan = Plan(arguments, bundle, base, family, encoder, pooling, layers, found, scored)
    if arguments.probe != NONE:
        plan.scores = read_scores(arguments, ids)
        plan.labelled = read_labelled(arguments, ids, (sequence for _, sequence in plan.sequences()))
    plan.notes = _notes(bundle, base, encoder)
    plan.memory.foresee()
    return plan


def _notes(bundle: Bundle | None, base: ModelFolder, encoder: Encoder) -> list[str]:
    """What the user should know about the vectors of this model."""
    notes, manifest = [], (bundle.manifest if bundle else None) or {}
    if bundle and bundle.kind == "peft":
        from seqlm.checkpoints.published_adapters import inspect_encoder

        notes += inspect_encoder(bundle, base).notes
    if encoder.unplaced:
        notes.append(encoder.unplaced + ", and was fine-tuned with structures" * bool(manifest.get("structures")))
    elif encoder.structures and manifest and not manifest.get("structures"):
        notes.append("the model was fine-tuned without structures, and reads them here")
    if manifest and manifest.get("light_chains", False) != (encoder.chains is not None):
        trained, here = ("", "out") if encoder.chains is None else ("out", "")
        notes.append(
            f"the model was fine-tuned with{trained} light chains beside heavy ones, and reads them with{here} here"
        )
    if bundle and bundle.kind == "head":
        notes.append(
            "only a head was trained and the encoder left as it was, so the vectors are those of the base model"
        )
    if bundle and bundle.adapter_config and "members" in (bundle.manifest or {}):
        members = bundle.manifest["members"]
        notes.append(f"the model is an ensemble of {members} members; the vectors are those of the first")
    if bundle and "second_model" in (bundle.manifest or {}):
        notes.append("the model reads pairs with two encoders; the vectors are those of the encoder of first members")
    return notes


def _chosen(asked: str, own: str | None, otherwise: str) -> str:
    """What the user asked for, or what the model was trained with, or what is usual."""
    return asked if asked != AUTO else own or otherwise


def _pooling(asked: str, manifest: dict, family: Family) -> str:
    own = manifest.get("pooling")
    return _chosen(asked, own if own != "none" else None, "last" if family.causal else "mean")


def layers_of(text: str, depth: int) -> tuple[int, ...]:
    """Numbers of layers from ``last``, ``6``, ``-2`` or ``1,6,12``; of several the mean is taken.

    Args:
        depth: layers that the model has; 0 is the embedding of the tokens, ``depth`` and -1 the last layer.

    Raises:
        InputError: what is no such list, or a layer that the model does not have.

    >>> layers_of("-1,0,3", 6)
    (0, 3, 6)
    """
    if text == "last":
        return (depth,)
    numbers = set()
    for part in text.split(","):
        try:
            number = whole(part.strip().removeprefix("-")) * (-1 if part.strip().startswith("-") else 1)
        except ValueError:
            raise InputError(f"'{part.strip()}' is not the number of a layer; write 6, or -1, or 1,6,12") from None
        place = number if number >= 0 else depth + 1 + number
        if not 0 <= place <= depth:
            raise InputError(
                f"the model has no layer {number}: it has {depth} layers, so 0 (the embedding of the tokens) to "
                f"{depth} are possible, or -1 (the last) to -{depth + 1}"
            )
        if place in numbers:
            raise InputError(f"layer {place} is named twice in '{text}'; name each layer once")
        numbers.add(place)
    return tuple(sorted(numbers))
