"""Running a model over any number of sequences: sorted batches, order restored, nothing dropped.

A batch that does not fit into memory is halved until it does; memory grows with the longest sequence only, since
sequences are taken in chunks.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

import numpy as np
import torch

from seqlm.cli.errors import InputError
from seqlm.models import esm_masked
from seqlm.tokenization.encoder import Encoded, Encoder

from .batching import Batch, Row, collate, group_by_length, rows_of
from .entering import Entering
from .finite import check_results
from .loading import SequenceModel
from .tasks import paired

Compute = Callable[[torch.nn.Module, Batch], tuple[torch.Tensor, ...]]
CHUNK_SEQUENCES = 4096
CHUNK_LETTERS = 1_000_000  # there are never more tokens than letters
HELD = 1 << 25  # numbers of vectors of tokens: 128 MB


def pooled_vectors(
    model: SequenceModel,
    encoded: Sequence[Encoded],
    padding: int,
    budget: int,
    names: Sequence[str] = (),
    largest: bool = False,
    progress: Callable[[float], None] = lambda share: None,
    entering: Entering | None = None,
) -> torch.Tensor:
    """Pooled vector of each sequence, (sequences, hidden), fp32, on the CPU, in the order given.

    The windows of a long sequence are spread over batches as any other rows and put together here.

    Args:
        largest: the largest value of each dimension in place of the weighted mean.
        progress: told the share of the work that is done.
        entering: where the computation may begin, or what is to be filled on the way.
    """
    rows = [row for row in rows_of(encoded, entering=entering) if row.weights.any()]  # one window has the last token
    compute = _maxima if largest else _weighted_sums
    parts = _told(passes(compute, model, rows, padding, budget, names, entering), rows, progress)
    if largest:
        pooled = torch.full((len(encoded), model.hidden_size), -torch.inf)
        for part, (found,) in parts:
            owners = torch.tensor([row.owner for row in part])
            pooled.scatter_reduce_(0, owners[:, None].expand_as(found), found, "amax")
        return pooled
    sums = torch.zeros(len(encoded), model.hidden_size)
    totals = torch.zeros(len(encoded))
    for part, (summed, total) in parts:
        owners = torch.tensor([row.owner for row in part])
        sums.index_add_(0, owners, summed)
        totals.index_add_(0, owners, total)
    return sums / totals[:, None]


def residue_values(
    model: SequenceModel,
    encoded: Sequence[Encoded],
    padding: int,
    budget: int,
    names: Sequence[str] = (),
    entering: Entering | None = None,
    wanted: Sequence[np.ndarray] | None = None,
) -> torch.Tensor:
    """What the model gives for every residue of every sequence, (residues, outputs), one sequence after the other.

    These are the head's outputs, or the vectors where there is no head. A residue that several windows cover gets
    the mean of what they give, so each comes back exactly once. ``entering`` as of :func:`pooled_vectors`.

    Args:
        wanted: of each sequence the positions asked for, ascending; all if not given.
    """
    width = model.hidden_size if model.head is None else model.head.outputs
    rows, starts = rows_of(encoded, entering=entering), residue_starts(encoded)
    if wanted is not None:
        rows, starts = _narrowed(rows, wanted), np.cumsum([0, *map(len, wanted)])
        if esm_masked.applies(model.encoder_alone):
            budget = 1  # rows one by one, which have no padding
    values = torch.zeros(int(starts[-1]), width)
    for part, (given,) in passes(_residues, model, rows, padding, budget, names, entering):
        done = 0
        for row in part:
            weights = torch.from_numpy(row.weights[row.weights > 0])
            at = int(starts[row.owner]) + row.start
            values[at : at + len(weights)] += given[done : done + len(weights)] * weights[:, None]
            done += len(weights)
    return values


def _narrowed(rows: Sequence[Row], wanted: Sequence[np.ndarray]) -> list[Row]:
    """The rows with a weight for the wanted residues only, those without any left out; ``start`` is the number of the
    first of them among the wanted ones of its sequence."""
    narrowed = []
    for row in rows:
        places, mine = np.flatnonzero(row.weights), wanted[row.owner]
        first, last = np.searchsorted(mine, (row.start, row.start + len(places)))
        if first < last:
            weights, kept = np.zeros_like(row.weights), places[mine[first:last] - row.start]
            weights[kept] = row.weights[kept]
            narrowed.append(replace(row, weights=weights, start=int(first)))
    return narrowed


def residue_starts(encoded: Sequence[Encoded]) -> np.ndarray:
    """Where each sequence's residues begin when all stand one after the other, (sequences + 1,)."""
    return np.cumsum([0, *(one.tokens for one in encoded)])


def token_vectors(
    model: SequenceModel, encoded: Sequence[Encoded], padding: int, budget: int, names: Sequence[str] = ()
) -> Iterator[tuple[int, int, np.ndarray]]:
    """The vector of every real token as in :func:`residue_values`, but never more than ``HELD`` numbers at a time.

    Yields:
        number of the sequence, number in it of the first token, vectors (tokens, hidden), all in order; a long sequence
        comes in several pieces, which follow on each other without a gap.
    """
    rows, last = rows_of(encoded), [len(one.rows) - 1 for one in encoded]
    at_once = max(1, HELD // model.hidden_size)  # tokens
    waiting = np.zeros((0, model.hidden_size), dtype=np.float32)  # of tokens that the next window covers as well
    start = window = 0
    for block in _blocks(rows, at_once):
        found: dict[int, np.ndarray] = {}
        numbers = {id(row): number for number, row in enumerate(block)}
        for part, (given,) in passes(_residues, model, block, padding, budget, names):
            pieces = given.split([int(np.count_nonzero(row.weights)) for row in part])
            found |= {numbers[id(row)]: piece.numpy() for row, piece in zip(part, pieces, strict=True)}
        for number, row in enumerate(block):
            piece = found.pop(number) * row.weights[row.weights > 0][:, None]
            if final := row.start - start:
                yield row.owner, start, waiting[:final]
                waiting, start = waiting[final:], row.start
            covered = len(waiting)
            waiting = np.concatenate([waiting + piece[:covered], piece[covered:]])
            if window == last[row.owner]:
                yield row.owner, start, waiting
                waiting, start, window = waiting[:0], 0, 0
            else:
                window += 1


def _blocks(rows: Sequence[Row], tokens: int) -> Iterator[list[Row]]:
    """Consecutive rows of about so many tokens."""
    block, held = [], 0
    for row in rows:
        block.append(row)
        held += len(row.ids)
        if held >= tokens:
            yield block
            block, held = [], 0
    if block:
        yield block


def _weighted_sums(model: SequenceModel, batch: Batch) -> tuple[torch.Tensor, ...]:
    return model.weighted_sums(batch)


def _maxima(model: SequenceModel, batch: Batch) -> tuple[torch.Tensor, ...]:
    return (model.maxima(batch),)


def _residues(model: SequenceModel, batch: Batch) -> tuple[torch.Tensor, ...]:
    vectors = model.residues(batch)
    return (vectors if model.head is None else model.head(vectors).float(),)


def _told(parts: Iterator[tuple], rows: Sequence[Row], progress: Callable[[float], None]) -> Iterator[tuple]:
    """The same passes; ``progress`` is told the share of the tokens that are done."""
    done, tokens = 0, sum(len(row.ids) for row in rows)
    for part, result in parts:
        yield part, result
        done += sum(len(row.ids) for row in part)
        progress(done / tokens)


def passes(
    compute: Compute,
    model: SequenceModel,
    rows: Sequence[Row],
    padding: int,
    budget: int,
    names: Sequence[str],
    entering: Entering | None = None,
) -> Iterator[tuple]:
    """Rows of like length and what ``compute`` gives for them, until all rows are done.

    Args:
        model: with ``device`` and ``copy_on_cpu``, for what does not fit into a GPU.
        entering: filled on the way, if it is not yet.
    """
    noted = entering is not None and not entering.filled
    if noted:
        compute = entering.noting(compute)
    for group in group_by_length([len(row.ids) for row in rows], budget):
        for part, result in _run([rows[index] for index in group], compute, model, padding, names):
            if noted:
                *result, states = result
                entering.keep([row.ids for row in part], states)
            yield part, result


def _run(rows: list[Row], compute: Compute, model: SequenceModel, padding: int, names: Sequence[str]):
    """(rows, what is computed for them, on the CPU), halving what does not fit.

    A single row that does not fit into the memory of a GPU is computed on the CPU.
    """
    if (result := _tried(rows, compute, model, padding, names)) is not None:
        yield rows, result
        return
    if len(rows) > 1:
        half = len(rows) // 2
        yield from _run(rows[:half], compute, model, padding, names)
        yield from _run(rows[half:], compute, model, padding, names)
        return
    what = f"the sequence {_named(rows[0], names)}({len(rows[0].ids):,} tokens) does not fit into"
    if model.device.type != "cpu":
        print(f"note: {what} the memory of the GPU by itself; it is computed on the CPU", file=sys.stderr)
        if (result := _tried(rows, compute, _spare(model), padding, names)) is not None:
            yield rows, result
            return
    raise InputError(f"{what} memory by itself; choose a smaller maximal length or a machine with more memory")


def _tried(
    rows: list[Row], compute: Compute, model: SequenceModel, padding: int, names: Sequence[str]
) -> tuple[torch.Tensor, ...] | None:
    """What is computed, or None where the memory did not suffice.

    Raises:
        InputError: results that are no finite numbers.
    """
    batch = collate(rows, padding)
    if len(rows[0].ids) == len(rows[-1].ids):  # sorted by length, so there is no padding to be masked
        batch.mask = None
    try:
        with torch.inference_mode():
            result = tuple(value.cpu() for value in compute(model, batch.to(model.device)))
        check_results(
            result, lambda: [names[owner] for owner in dict.fromkeys(row.owner for row in rows)] if names else []
        )
        return result
    except (torch.OutOfMemoryError, RuntimeError) as problem:
        if not out_of_memory(problem):
            raise
    if model.device.type == "cuda":
        torch.cuda.empty_cache()
    return None


def _named(row: Row, names: Sequence[str]) -> str:
    return f"'{names[row.owner]}' " if names else ""


def _spare(model: SequenceModel) -> SequenceModel:
    """A copy of the model on the CPU, made when it is first needed."""
    if getattr(model, "spare", None) is None:
        object.__setattr__(model, "spare", model.copy_on_cpu())  # not as a part of the model itself
    return model.spare


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
    only: int | None = None,
    wanted: Callable[[str], Sequence[int]] | None = None,
) -> Iterator[tuple[str, Encoded, np.ndarray]]:
    """Predictions for a stream of (name, sequence), in its order.

    Args:
        only: the place of the one member of an ensemble that is wanted.
        wanted: of a task of residues, the positions of a sequence that are asked for, ascending; all if not given.

    Yields:
        name, the encoded sequence, and probabilities (members, classes) or values (members,); of a task of residues
        (members, residues, classes) or (members, residues).
    """
    model.eval()
    done = 0
    for chunk, encoded in chunks(items, encoder):
        names = [name for name, _ in chunk]
        places = [np.asarray(wanted(sequence), int) for _, sequence in chunk] if wanted else None
        decoded = []  # of each member
        for anew in model.turns(only):
            if model.task.level == "residue":
                outputs = residue_values(model, encoded, encoder.padding, budget, names, wanted=places)
            else:
                if anew:
                    pooled = pooled_vectors(model, encoded, encoder.padding, budget, names)
                outputs = model.outputs(pooled)
            decoded.append(model.decode(outputs))
        decoded = np.stack(decoded, axis=1)  # (units, members, …)
        if model.task.level == "residue":
            starts = residue_starts(encoded) if places is None else np.cumsum([0, *map(len, places)])
            decoded = [part.swapaxes(0, 1) for part in np.split(decoded, starts[1:-1])]
        yield from zip(names, encoded, decoded, strict=True)
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


def chunks(
    items: Iterable[tuple[str, str]], encoder: Encoder, most: int = CHUNK_SEQUENCES
) -> Iterator[tuple[list[tuple[str, str]], list[Encoded]]]:
    """Items and the same items encoded, so many together as memory allows, in the order in which they come."""
    chunk, letters = [], 0
    for name, sequence in items:
        chunk.append((name, sequence))
        letters += len(sequence)
        if len(chunk) >= most or letters >= CHUNK_LETTERS:
            yield chunk, encoder.encode_many(chunk)
            chunk, letters = [], 0
    if chunk:
        yield chunk, encoder.encode_many(chunk)
