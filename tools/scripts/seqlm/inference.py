"""Running a model over any number of sequences: sorted batches, order restored, nothing dropped.

A batch that does not fit into memory is halved until it does; memory grows with the longest sequence only, since
sequences are taken in chunks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
import torch

from .batching import Batch, Row, collate, group_by_length, rows_of
from .errors import InputError
from .loading import SequenceModel
from .tasks import paired
from .tokens import Encoded, Encoder

Compute = Callable[[Batch], tuple[torch.Tensor, ...]]
CHUNK_SEQUENCES = 4096
CHUNK_TOKENS = 1_000_000


def batch_tokens(requested: str | int, device: torch.device, training: bool = False) -> int:
    """Padded tokens a batch may hold. ``auto``: on a CPU, where small batches are the fastest, 1,024 and for training
    2,048; on a GPU 16,384 and for training 4,096. What does not fit is halved."""
    if requested != "auto":
        return int(requested)
    if device.type == "cpu":
        return 2048 if training else 1024
    return 4096 if training else 16384


def pooled_vectors(
    model: SequenceModel, encoded: Sequence[Encoded], padding: int, budget: int, names: Sequence[str] = ()
) -> torch.Tensor:
    """Pooled vector of each sequence, (sequences, hidden), fp32, on the CPU, in the order given.

    The windows of a long sequence are spread over batches as any other rows and put together here.
    """
    sums = torch.zeros(len(encoded), model.hidden_size)
    totals = torch.zeros(len(encoded))
    for part, (summed, total) in _passes(model.weighted_sums, encoded, model.device, padding, budget, names):
        owners = torch.tensor([row.owner for row in part])
        sums.index_add_(0, owners, summed)
        totals.index_add_(0, owners, total)
    return sums / totals[:, None]


def residue_values(
    model: SequenceModel, encoded: Sequence[Encoded], padding: int, budget: int, names: Sequence[str] = ()
) -> torch.Tensor:
    """What the model gives for every residue of every sequence, (residues, outputs), one sequence after the other.

    These are the head's outputs, or the vectors where there is no head. A residue that several windows cover gets
    the mean of what they give, so each comes back exactly once.
    """

    def compute(batch: Batch) -> tuple[torch.Tensor]:
        vectors = model.residues(batch)
        return (vectors if model.head is None else model.head(vectors).float(),)

    width = model.hidden_size if model.head is None else model.head.outputs
    starts = residue_starts(encoded)
    values = torch.zeros(int(starts[-1]), width)
    for part, (given,) in _passes(compute, encoded, model.device, padding, budget, names):
        done = 0
        for row in part:
            weights = torch.from_numpy(row.weights[row.weights > 0])
            at = int(starts[row.owner]) + row.start
            values[at : at + len(weights)] += given[done : done + len(weights)] * weights[:, None]
            done += len(weights)
    return values


def residue_starts(encoded: Sequence[Encoded]) -> np.ndarray:
    """Where each sequence's residues begin when all stand one after the other, (sequences + 1,)."""
    return np.cumsum([0, *(one.tokens for one in encoded)])


def _passes(compute: Compute, encoded, device, padding: int, budget: int, names: Sequence[str]) -> Iterator[tuple]:
    """Rows of like length and what ``compute`` gives for them, until all rows are done."""
    rows = rows_of(encoded)
    for group in group_by_length([len(row.ids) for row in rows], budget):
        yield from _run([rows[index] for index in group], compute, device, padding, names)


def _run(rows: list[Row], compute: Compute, device: torch.device, padding: int, names: Sequence[str]):
    """(rows, what is computed for them, on the CPU), halving what does not fit."""
    try:
        with torch.inference_mode():
            result = tuple(value.cpu() for value in compute(collate(rows, padding).to(device)))
    except (torch.OutOfMemoryError, RuntimeError) as problem:
        if not out_of_memory(problem):
            raise
        result = None
    if result is not None:
        yield rows, result
        return
    if device.type == "cuda":
        torch.cuda.empty_cache()
    if len(rows) == 1:
        name = f"'{names[rows[0].owner]}' " if names else ""
        raise InputError(
            f"the sequence {name}({len(rows[0].ids):,} tokens) does not fit into memory by itself; "
            "choose a smaller maximal length or a machine with more memory"
        )
    half = len(rows) // 2
    yield from _run(rows[:half], compute, device, padding, names)
    yield from _run(rows[half:], compute, device, padding, names)


def out_of_memory(problem: BaseException) -> bool:
    """Whether an exception of torch says that memory ran out, on a GPU or a CPU."""
    text = str(problem)
    return isinstance(problem, torch.OutOfMemoryError) or "not enough memory" in text or "can't allocate memory" in text


def predict(
    model: SequenceModel,
    encoder: Encoder,
    items: Iterable[tuple[str, str]],
    budget: int,
    progress: Callable[[int], None] = lambda done: None,
) -> Iterator[tuple[str, Encoded, np.ndarray]]:
    """Predictions for a stream of (name, sequence), in its order.

    Yields:
        name, the encoded sequence, and probabilities (classes,) or one value; of a task of residues (residues, classes)
        or (residues,).
    """
    model.eval()
    done = 0
    for chunk in _chunks(items, encoder):
        encoded = [one for _, one in chunk]
        names = [name for name, _ in chunk]
        if model.task.level == "residue":
            outputs = residue_values(model, encoded, encoder.padding, budget, names)
            decoded = np.split(model.decode(outputs), residue_starts(encoded)[1:-1])
        else:
            pooled = pooled_vectors(model, encoded, encoder.padding, budget, names)
            decoded = model.decode(model.outputs(pooled))
        for (name, one), prediction in zip(chunk, decoded, strict=True):
            yield name, one, prediction
        done += len(chunk)
        progress(done)


def pair_outputs(
    model: SequenceModel, first: torch.Tensor, second: torch.Tensor, pairs: np.ndarray, chunk: int = 8192
) -> torch.Tensor:
    """Outputs (pairs, outputs), on the CPU, from vectors that were computed once a sequence.

    Args:
        first, second: (sequences, hidden) pooled vectors of all first and of all second members.
        pairs: (pairs, 2) places in ``first`` and in ``second``.
    """
    outputs = []
    for start in range(0, len(pairs), chunk):
        part = torch.from_numpy(pairs[start : start + chunk])
        outputs.append(model.outputs(paired(first[part[:, 0]], second[part[:, 1]], model.head.pairs)))
    return torch.cat(outputs)


def _chunks(items: Iterable[tuple[str, str]], encoder: Encoder) -> Iterator[list[tuple[str, Encoded]]]:
    chunk, tokens = [], 0
    for name, sequence in items:
        chunk.append((name, encoder.encode(sequence, name)))
        tokens += sum(map(len, chunk[-1][1].rows))
        if len(chunk) >= CHUNK_SEQUENCES or tokens >= CHUNK_TOKENS:
            yield chunk
            chunk, tokens = [], 0
    if chunk:
        yield chunk
