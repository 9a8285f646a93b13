"""Embeddings: sequences streamed from a file through a model into files, one vector a sequence or a position."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from seqlm import __version__
from seqlm.cli.errors import InputError
from seqlm.cli.outputs import Outputs
from seqlm.data.records import Rules
from seqlm.data.tasks import WITHOUT_HEAD
from seqlm.inference.language_models import Opened, load_language_model

from .appended import COLUMNS, appended_scores
from .inputs import Plan
from .judged_words import MEAN_OF_SEVERAL, in_words, write_judged
from .outputs import Piece, Shape, write_embeddings
from .summary import Summary

LARGEST_HALF = 65504.0  # of fp16
TOKENS_AT_ONCE = 4096  # whose vectors are given to each of their letters


def embed(plan: Plan, outputs: Outputs) -> Summary:
    """Write the embeddings, and say on stderr what was changed on the way."""
    print("loading the libraries", file=sys.stderr)
    from seqlm.cli.progress import Progress
    from seqlm.inference import loading

    arguments, family = plan.arguments, plan.family
    device = loading.prepare(arguments.threads, arguments.seed, arguments.device)
    scores = appended_scores(plan.scored, plan.sequences()) if plan.scored else None
    memory = plan.memory.on(device)
    if plan.scored:  # one model after the other
        memory.expected = max(memory.expected, plan.scored.memory.expected)
    model = _model(plan, device)
    shape = Shape(
        sequences=plan.survey.sequences,
        vectors=plan.vectors,
        width=family.hidden_size,
        positions=plan.pooling == "none",
        longest_id=plan.survey.longest_id,
        half=arguments.precision_of_output == "fp16",
        scores=COLUMNS[plan.scored.method] if plan.scored else (),
    )
    summary = Summary(shape.vectors, arguments.seed, Rules().merged(plan.survey.rules), scores)
    progress = Progress("embedding", plan.survey.letters, "letters")
    make = _positions if shape.positions else _pooled
    pieces = make(plan, model, memory.tokens(), progress, summary)
    if plan.labelled:
        beside = [each for each in (scores, plan.scores) if each is not None]
        pieces = _judged(pieces, plan, summary, np.concatenate(beside, axis=1) if beside else None)
        write_judged(arguments, summary.judged, plan, outputs)
    pieces = _finished(pieces, plan, summary, scores)
    write_embeddings(arguments, pieces, shape, about(plan), outputs)
    read_as = [f"read as: {plan.encoder.read_as}"] if plan.encoder.read_as else []
    for note in [*plan.notes, *read_as, *summary.rules.lines()]:
        print(f"note: {note}", file=sys.stderr)
    print(f"embedded {shape.sequences:,} sequences as {shape.vectors:,} × {shape.width} numbers", file=sys.stderr)
    return summary


def _model(plan: Plan, device):
    """What gives the vectors: of the layer that was asked for, the mean of several, or each of them."""
    from seqlm.inference.every_layer import EveryLayer
    from seqlm.inference.loading import SequenceModel

    family, backbone = plan.family, _backbone(plan, device)
    if plan.arguments.sweep_layers:
        return EveryLayer(backbone, family.hidden_size, plan.layers, family).eval()
    layers = () if plan.layers == (family.depth,) else plan.layers
    return SequenceModel(backbone, family.hidden_size, layers=layers, family=family).eval()


def _judged(pieces: Iterator[Piece], plan: Plan, summary: Summary, scores: np.ndarray | None) -> Iterator[Piece]:
    """Put the vectors of all layers into a file, judge them, and go on with those of the layer that is chosen."""
    from seqlm.inference.layer_file import LayerFile

    from .judging import judge

    arguments, sweep = plan.arguments, plan.arguments.sweep_layers
    file, ids = LayerFile(len(plan.layers) if sweep else 1, plan.family.hidden_size), []
    for piece in pieces:
        file.add(piece.vectors)
        ids += piece.ids
    layers = plan.layers if sweep or len(plan.layers) == 1 else (MEAN_OF_SEVERAL,)
    print(f"judging {len(layers)} layers by {len(plan.labelled):,} labelled sequences", file=sys.stderr)
    found = judge(
        plan.labelled, file, layers, scores, ids, folds=arguments.folds, seed=arguments.seed, threads=arguments.threads
    )
    summary.judged, place = found, layers.index(found.best)
    if sweep:
        plan.layers = (found.best,)
    print(f"note: {in_words(found)}", file=sys.stderr)
    return (Piece(ids[rows], vectors) for rows, vectors in file.parts(place))


def about(plan: Plan) -> dict[str, str]:
    """Which model gave the vectors, and how they were taken."""
    described = {
        "model": plan.name,
        "sha256": plan.base.sha256,
        "family": plan.family.name,
        "pooling": plan.pooling,
        "layers": ",".join(map(str, plan.layers)),
        "length_1": "yes" if plan.arguments.normalize else "no",
        "window": str(plan.encoder.max_length),
        "long_sequences": plan.encoder.long_sequences,
        "seqlm": __version__,
    }
    if plan.scored:
        described["scores"] = plan.scored.method
    if plan.encoder.read_as:
        described["read_as"] = plan.encoder.read_as
    if plan.bundle and plan.bundle.needs_base_model:
        described["base_model"] = plan.base_name
    return described


def _backbone(plan: Plan, device):
    """The encoder, with the adapter that the model brings."""
    from seqlm.inference import loading
    from seqlm.inference.adapters import load_adapter

    arguments, bundle = plan.arguments, plan.bundle
    if bundle and bundle.kind == "peft":
        from seqlm.checkpoints.published_adapters import inspect_encoder
        from seqlm.inference.published_adapters import load_published_encoder

        found = inspect_encoder(bundle, plan.base)
        return load_published_encoder(bundle, plan.base, device, arguments.precision, found)
    if bundle and bundle.adapter_config and bundle.manifest["task"] in WITHOUT_HEAD:
        # the adapter's tensors are named over the whole model, so its encoder is taken out of that
        opened = Opened(bundle, plan.base, plan.family, plan.name)
        whole = load_language_model(opened, device, arguments.precision).get_base_model()
        whole.config.use_cache = False
        return whole.base_model
    dtype = loading.precision_of(arguments.precision, device, plan.family)
    backbone = loading.load_backbone(plan.base.path, plan.family, dtype, device)
    if bundle and bundle.adapter_config:
        adapted = load_adapter(backbone, bundle.folder, bundle.adapter_config)
        backbone = loading.placed(adapted, device, dtype)
    return backbone


def _pooled(plan: Plan, model, budget: int, progress, summary: Summary) -> Iterator[Piece]:
    from seqlm.inference import inference

    done, largest = 0, plan.pooling == "max"
    most = inference.CHUNK_SEQUENCES // (len(plan.layers) if plan.arguments.sweep_layers else 1)
    for chunk, encoded in inference.chunks(plan.sequences(), plan.encoder, max(64, most)):
        names, letters = [name for name, _ in chunk], sum(len(sequence) for _, sequence in chunk)
        summary.count(encoded, plan.encoder.max_length)
        vectors = inference.pooled_vectors(
            model,
            encoded,
            plan.encoder.padding,
            budget,
            names,
            largest,
            lambda share, before=done, more=letters: progress(before + round(share * more)),
        )
        yield Piece(names, vectors.numpy())
        done += letters


def _positions(plan: Plan, model, budget: int, progress, summary: Summary) -> Iterator[Piece]:
    """Every letter gets the vector of the token that it is a part of."""
    from seqlm.inference import inference

    done = 0
    for chunk, encoded in inference.chunks(plan.sequences(), plan.encoder):
        summary.count(encoded, plan.encoder.max_length)
        names = [name for name, _ in chunk]
        for number, start, vectors in inference.token_vectors(model, encoded, plan.encoder.padding, budget, names):
            name, sequence = chunk[number][0], plan.encoder.letters(chunk[number][1])
            lengths = encoded[number].lengths
            for first in range(0, len(vectors), TOKENS_AT_ONCE):
                part = vectors[first : first + TOKENS_AT_ONCE]
                if lengths is None:
                    place = start + first
                else:
                    own = lengths[start + first : start + first + len(part)]
                    place, part = int(lengths[: start + first].sum()), np.repeat(part, own, axis=0)
                yield Piece([name], part, sequence[place : place + len(part)], place, len(sequence))
                done += len(part)
            progress(done)


def _finished(
    pieces: Iterator[Piece], plan: Plan, summary: Summary, scores: np.ndarray | None = None
) -> Iterator[Piece]:
    """The vectors as they are written, looked at on the way, with the scores (sequences, columns) beside them."""
    half, normalize = plan.arguments.precision_of_output == "fp16", plan.arguments.normalize
    written = 0
    for piece in pieces:
        vectors = piece.vectors
        norms = np.linalg.norm(vectors, axis=1)
        if normalize:
            # a vector of zeros has no direction and stays what it is
            vectors = vectors / np.maximum(norms, np.finfo(np.float32).tiny)[:, None]
            piece = replace(piece, vectors=vectors)
        if scores is not None:
            piece = replace(piece, scores=scores[written : written + len(vectors)])
        if half and (largest := float(np.abs(vectors).max())) > LARGEST_HALF:
            row = int(np.abs(vectors).max(1).argmax())
            raise InputError(
                f"the vector of '{_owner(piece, row)}' has a number of {largest:.6g}, and fp16 ends at "
                f"{LARGEST_HALF:g}; choose fp32 for the output"
            )
        summary.see(vectors, norms)
        written += len(vectors)
        yield piece
    if written != plan.vectors:
        raise RuntimeError(f"{written} vectors were computed where {plan.vectors} were expected")


def _owner(piece: Piece, row: int) -> str:
    return piece.ids[0] if piece.letters is not None else piece.ids[row]
