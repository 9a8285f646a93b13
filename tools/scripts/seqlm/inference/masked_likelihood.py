"""What a masked model says of single positions: the logarithm of the probability of every token there.

A position is masked, so that the model has to guess it from all others (Salazar et al. 2020,
https://doi.org/10.18653/v1/2020.acl-main.240; Meier et al. 2021, https://doi.org/10.1101/2021.07.09.450648). One pass
is one row of tokens with one set of masked positions; rows of like length are computed together, and the head of the
model sees the masked positions alone.

A sequence that is longer than the model reads at once is read in a window around what is masked, which stands as near
its middle as the ends of the sequence allow.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from seqlm.cli.errors import InputError
from seqlm.models import esm_masked
from seqlm.tokenization.encoder import Encoder

from .batching import Batch, Row
from .inference import passes
from .loading import copied_on_cpu

CHUNK_TOKENS = 1 << 20  # of rows that are made at once


class MaskedModel(nn.Module):
    """A masked model with its head, as :func:`seqlm.inference.inference.passes` runs it."""

    def __init__(self, model: nn.Module):
        super().__init__()
        self.model = model

    @property
    def device(self) -> torch.device:
        return next(self.model.parameters()).device

    def copy_on_cpu(self) -> MaskedModel:
        """The same model in fp32 in the memory of the CPU."""
        return copied_on_cpu(self)

    def log_probabilities(self, batch: Batch) -> torch.Tensor:
        """Of every token of the vocabulary at the places of positive weight, row by row, (places, vocabulary), fp32."""
        return self._logits(batch).float().log_softmax(-1)

    def _logits(self, batch: Batch) -> torch.Tensor:
        wanted = batch.weights > 0
        if (places := esm_masked.few_places(self.model, batch)) is not None:
            return self.model.lm_head(esm_masked.states(self.model, batch.ids, places)).flatten(0, 1)

        def keep(_module, _arguments, output):
            output["last_hidden_state"] = output.last_hidden_state[wanted][None]
            return output

        # every class calls its encoder and then its head, which takes each position by itself
        hook = self._inner.base_model.register_forward_hook(keep)
        try:
            return self.model(input_ids=batch.ids, attention_mask=batch.mask).logits[0]
        finally:
            hook.remove()

    @property
    def _inner(self) -> nn.Module:
        """transformers' own class, where peft has put an adapter around it."""
        return self.model.get_base_model() if hasattr(self.model, "get_base_model") else self.model


def _all(model: MaskedModel, batch: Batch) -> tuple[torch.Tensor, ...]:
    return (model.log_probabilities(batch),)


def _own(model: MaskedModel, batch: Batch) -> tuple[torch.Tensor, ...]:
    """Of the token that stands at each place, (places, 1)."""
    return (model.log_probabilities(batch).gather(1, batch.ids[batch.weights > 0][:, None]),)


@dataclass(frozen=True)
class Asked:
    """One row to be computed: tokens with special ones, and the places of the sequence that are asked for.

    Attributes:
        owner: number of what it is asked for, such as a set of masked positions.
        places: (k,) in the sequence, upwards.
    """

    row: Row
    owner: int
    places: np.ndarray


class MaskedReader:
    """Makes rows of masked or plain tokens.

    Args:
        encoder: reads sequences as tokens, and knows the special ones.
        mask: id of the token that masks.
        instead: token -> what masks it in place of that.
    """

    def __init__(self, encoder: Encoder, mask: int | None, instead: dict[int, int] | None = None):
        if mask is None:
            raise InputError(
                "the model's vocabulary has no token that masks (<mask> or [MASK]), so it cannot guess one"
            )
        self.encoder, self.mask, self.window = encoder, mask, encoder.max_length
        self.instead = instead or {}

    def masked(self, ids: np.ndarray, places: Sequence[int], owner: int) -> Iterator[Asked]:
        """Rows in which these places of the tokens (n,) are masked together.

        One row where a window holds them all; else one for each, with those masked that fall into its window.
        """
        places = np.asarray(sorted(places))
        if len(ids) <= self.window or places[-1] - places[0] < self.window:
            yield self._masked(ids, places, places, owner)
            return
        for place in places:
            yield self._masked(ids, places, np.asarray([place]), owner)

    def _masked(self, ids: np.ndarray, masked: np.ndarray, asked: np.ndarray, owner: int) -> Asked:
        middle = (int(asked[0]) + int(asked[-1])) // 2
        start = min(max(0, middle - self.window // 2), max(0, len(ids) - self.window))
        start = min(start, int(asked[0]))
        start = max(start, int(asked[-1]) - self.window + 1)
        window = ids[start : start + self.window].copy()
        hidden = masked[(masked >= start) & (masked < start + len(window))] - start
        window[hidden] = [self.instead.get(token, self.mask) for token in window[hidden].tolist()]
        return self._asked(window, asked, start, owner)

    def plain(self, ids: np.ndarray, places: Sequence[int], owner: int) -> Iterator[Asked]:
        """Rows in which nothing is masked; of overlapping windows each place is asked of the one it is most inside."""
        places = np.asarray(sorted(places))
        step = max(1, self.window // 2)
        last = max(0, len(ids) - self.window)
        starts = np.asarray([*range(0, last, step), last])
        middles = starts + (min(self.window, len(ids)) - 1) / 2
        nearest = np.abs(places[:, None] - middles[None]).argmin(1)
        for number in np.unique(nearest):
            start = int(starts[number])
            yield self._asked(ids[start : start + self.window], places[nearest == number], start, owner)

    def _asked(self, window: np.ndarray, asked: np.ndarray, start: int, owner: int) -> Asked:
        tokens = np.concatenate([self.encoder.prefix, window, self.encoder.suffix]).astype(np.int32)
        weights = np.zeros(len(tokens), np.float32)
        weights[len(self.encoder.prefix) + asked - start] = 1
        return Asked(Row(tokens, weights, owner, start), owner, asked)


def log_probabilities(
    model: MaskedModel,
    asked: Iterator[Asked],
    padding: int,
    budget: int,
    name: Callable[[int], str],
    own: bool = False,
    progress: Callable[[int], None] = lambda rows: None,
) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """(owner, places (k,), log-probabilities (k, vocabulary)) of each row, in any order within some thousand rows.

    Args:
        name: what the owner of a row is called where it does not fit into memory.
        own: of the token that stands there only, (k, 1).
        progress: told how many rows are done.

    Raises:
        InputError: a model that gives no finite numbers.
    """
    done = 0
    for chunk in _chunks(asked):
        by_row = {id(one.row): one for one in chunk}
        rows = [one.row for one in chunk]
        names = _Names(name)
        for part, (found,) in passes(_own if own else _all, model, rows, padding, budget, names):
            found, at = found.double().numpy(), 0
            for row in part:
                one = by_row[id(row)]
                yield one.owner, one.places, found[at : at + len(one.places)]
                at += len(one.places)
            done += len(part)
            progress(done)


class _Names:
    """Names of owners as :func:`seqlm.inference.inference.passes` asks for them."""

    def __init__(self, name: Callable[[int], str]):
        self._name = name

    def __getitem__(self, owner: int) -> str:
        return self._name(owner)


def _chunks(asked: Iterator[Asked]) -> Iterator[list[Asked]]:
    chunk, tokens = [], 0
    for one in asked:
        chunk.append(one)
        tokens += len(one.row.ids)
        if tokens >= CHUNK_TOKENS:
            yield chunk
            chunk, tokens = [], 0
    if chunk:
        yield chunk
