"""Running a model over any number of sequences: sorted batches, order restored, nothing dropped.

A batch that does not fit into memory is halved until it does; memory grows with the longest sequence only, since
sequences are taken in chunks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
import torch

from .batching import Row, collate, group_by_length, rows_of
from .errors import InputError
from .loading import SequenceModel
from .tokens import Encoded, Encoder

CHUNK_SEQUENCES = 4096
CHUNK_TOKENS = 1_000_000


def batch_tokens(requested: str | int, device: torch.device, training: bool = False) -> int:
    """Padded tokens a batch may hold. ``auto``: 2,048 on a CPU, where small batches are the fastest; 4,096 for training
    and 16,384 otherwise on a GPU. What does not fit is halved."""
    if requested != "auto":
        return int(requested)
    if device.type == "cpu":
        return 2048
    return 4096 if training else 16384


def pooled_vectors(
    model: SequenceModel, encoded: Sequence[Encoded], padding: int, budget: int, names: Sequence[str] = ()
) -> torch.Tensor:
    """Pooled vector of each sequence, (sequences, hidden), fp32, on the CPU, in the order given.

    The windows of a long sequence are spread over batches as any other rows and put together here.
    """
    rows = rows_of(encoded)
    sums = torch.zeros(len(encoded), model.hidden_size)
    totals = torch.zeros(len(encoded))
    for group in group_by_length([len(row.ids) for row in rows], budget):
        for part, summed, total in _run([rows[index] for index in group], model, padding, names):
            owners = torch.tensor([row.owner for row in part])
            sums.index_add_(0, owners, summed)
            totals.index_add_(0, owners, total)
    return sums / totals[:, None]


def _run(rows: list[Row], model: SequenceModel, padding: int, names: Sequence[str]) -> Iterator[tuple]:
    """(rows, weighted sums (rows, hidden), sums of weights (rows,)), halving what does not fit."""
    try:
        with torch.inference_mode():
            batch = collate(rows, padding).to(model.device)
            summed, total = model.weighted_sums(batch)
            result = summed.cpu(), total.cpu()
    except (torch.OutOfMemoryError, RuntimeError) as problem:
        if not out_of_memory(problem):
            raise
        result = None
    if result is not None:
        yield rows, *result
        return
    if model.device.type == "cuda":
        torch.cuda.empty_cache()
    if len(rows) == 1:
        name = f"'{names[rows[0].owner]}' " if names else ""
        raise InputError(
            f"the sequence {name}({len(rows[0].ids):,} tokens) does not fit into memory by itself; "
            "choose a smaller maximal length or a machine with more memory"
        )
    half = len(rows) // 2
    yield from _run(rows[:half], model, padding, names)
    yield from _run(rows[half:], model, padding, names)


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
        name, the encoded sequence, and probabilities (classes,) or one value.
    """
    model.eval()
    done = 0
    for chunk in _chunks(items, encoder):
        encoded = [one for _, one in chunk]
        pooled = pooled_vectors(model, encoded, encoder.padding, budget, [name for name, _ in chunk])
        decoded = model.decode(pooled)
        for (name, one), prediction in zip(chunk, decoded, strict=True):
            yield name, one, prediction
        done += len(chunk)
        progress(done)


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
