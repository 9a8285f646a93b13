"""What a fine-tuning starts from: options, base model, labelled sequences. All of it is checked without torch.

``options`` refuses what contradicts itself, ``reading`` reads the files, and ``plan`` is what comes of it.
"""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from seqlm.checkpoints.bundle import check_tokenizer_files
from seqlm.checkpoints.folder import ModelFolder, check_config
from seqlm.checkpoints.manifest import check_labels, reading_in
from seqlm.checkpoints.opening import open_base_model
from seqlm.cli.errors import InputError
from seqlm.cli.text import shown
from seqlm.data.tasks import level_of
from seqlm.families.recognition import recognise
from seqlm.metrics import metrics
from seqlm.tokenization.chains import reads_chains
from seqlm.tokenization.encoder import Encoder, read_canonical, require_letter_tokens
from seqlm.tokenization.structures import open_structures
from seqlm.tokenization.unknown import Sample, refuse_unknown

from .folds import divide
from .methods import check_trained
from .options import check_options
from .plan import Plan, Reader, all_sequences
from .reading import read_pairs, read_residues, read_sequences


def check(arguments: Namespace, scratch: Path) -> Plan:
    """Read all inputs; raises InputError for whatever is wrong with them. Does not import torch."""
    level = level_of(arguments.task)
    check_options(arguments, level)
    if arguments.coverage is None:
        arguments.coverage = 0.9 if arguments.folds else 0.0
    pooling = "none" if level == "residue" else arguments.pooling
    reader = _open_reader(arguments, arguments.model, scratch / "base", pooling, arguments.model_id)
    check_trained(arguments, reader.family)
    check_bundled(reader.base, arguments.method)
    reader.revision = arguments.model_revision
    second = None
    if arguments.second_model:
        second = _open_reader(arguments, arguments.second_model, scratch / "second", "mean", arguments.second_model_id)
    if arguments.smiles == "canonical":
        read_canonical(*(one.family for one in (reader, second) if one))
    read = {"sequence": read_sequences, "residue": read_residues, "pair": read_pairs}[level]
    plan = read(arguments, scratch, reader, second)
    if plan.labels:
        check_labels(plan.labels)
    allowed = metrics.metrics_for(arguments.task)
    plan.metric = "loss" if arguments.metric == "auto" else arguments.metric
    if plan.metric != "loss" and plan.metric not in allowed:
        raise InputError(f"the metric '{plan.metric}' is not one of this task's: loss, {', '.join(allowed)}")
    if arguments.folds:
        plan.folds = divide(plan, scratch, plan.same)
        plan.__dict__.pop("splits", None)  # there are others now
    samples = {}
    for one, name, sequence in all_sequences(plan):
        if one.family.one_letter_tokens:  # without transformers, so a sequence that is too long is refused at once
            one.encoder.encode(sequence, name)
        else:
            samples.setdefault(id(one), (one, Sample()))[1].see(sequence)
    if reader.encoder.structures:
        reader.encoder.structures.refuse_other_names(next(name for _, name, _ in all_sequences(plan)))
    for one, sample in samples.values():
        refuse_unknown(one.encoder, sample, f"the sequences for {shown(one.name)}")
    plan.memory.foresee()
    return plan


def _open_reader(arguments: Namespace, path: str, scratch: Path, pooling: str, name: str) -> Reader:
    base = open_base_model(path, scratch)
    first = scratch.name == "base"  # a second model reads what it was made for
    asked = {"alphabet": arguments.alphabet, "prefix": arguments.prefix} if first else {}
    family = recognise(base.path, base.config, **reading_in(base.path, **asked))
    if pooling == "none":
        require_letter_tokens(family)
    encoder = Encoder(
        family,
        base.path,
        max_length=arguments.max_length if first else 0,
        long_sequences=arguments.long_sequences,
        pooling=pooling,
        tokenizer=arguments.tokenizer,
        structures=open_structures(arguments, family, scratch.parent) if first else None,
        chains=reads_chains(arguments, family),
    )
    return Reader(base, family, encoder, name or base.config.get("_name_or_path") or base.path.name)


def check_bundled(base: ModelFolder, method: str) -> None:
    """Refuse at once, not after hours of training, a model of which no bundle could be made."""
    held = {file.name for file in base.path.iterdir()}
    check_tokenizer_files(base.path, held, "the base model", lambda *_: None, installed=True)
    if method == "full":
        config = {key: value for key, value in base.config.items() if key != "auto_map"}  # which is not saved
        check_config(config, base.parameters, "config.json of the base model")
