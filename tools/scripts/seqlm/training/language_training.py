"""Training a language model on rows of token ids.

What a model learns of a row is an *objective*: a function of rows that gives a batch with a target for each place, or
``IGNORED``. The loss of an update is the sum over its targets, divided by their number, in as many passes as the token
budget asks for; so the budget changes memory and speed, and (but for dropout, which is drawn pass by pass) not the
result.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from seqlm.inference.batching import Batch, Row, collate, group_by_length
from seqlm.inference.inference import passes
from seqlm.inference.likelihood import IGNORED, TokenModel

from .loop import Loop, Validate
from .processes import ALONE, Group
from .recomputing import compute_again
from .state import History, Settings

PADDING = 0  # never looked at: masked, and behind every token that counts

Objective = Callable[[Sequence[Row], int], Batch]
Items = Sequence[Sequence[Row]]


def next_tokens(rows: Sequence[Row], epoch: int = 0) -> Batch:
    """The objective of a causal model: each token from those before it.

    Args:
        rows: ``weights`` is 1 where the token counts; that of the first token of a row cannot.

    Returns:
        the batch, its ``targets`` (rows, tokens) the token that follows each place, where that counts.
    """
    batch = collate(rows, PADDING)
    batch.targets = torch.full_like(batch.ids, IGNORED)
    counts = batch.weights[:, 1:] > 0
    batch.targets[:, :-1][counts] = batch.ids[:, 1:][counts]
    if len({len(row.ids) for row in rows}) == 1:
        batch.mask = None
    return batch


def train_language_model(
    model: TokenModel,
    data: Items,
    settings: Settings,
    objective: Objective = next_tokens,
    scores: Validate | None = None,
    group: Group = ALONE,
) -> History:
    """Train what of ``model`` requires gradients, in place, and leave it at its best epoch.

    Args:
        data: what an update counts ``settings.batch_size`` of: a sequence each, as one row or as several windows.
        scores: of the validation set, given the model and the padded tokens that it may compute at once; one of them is
            ``loss``. Without, the last epoch is kept.

    Raises:
        InputError: a loss that is no longer a number, or a single row too long for the memory.
    """
    if settings.gradient_checkpointing:
        compute_again(model.model)
    return Loop(model, TokenLesson(data, objective), settings, scores, group).run().history


class TokenLesson:
    """Rows of tokens, as :class:`seqlm.training.loop.Lesson` says.

    Args:
        data: items by number, each a row or several.
        objective: of rows and the number of the epoch from 1. What it draws at random must depend on these alone, or
            the token budget would change the result.
        lengths: (items,) tokens of the longest row of each; counted if not given.
    """

    item = "a row"
    advice = "a shorter context or maximal length, or a smaller model"

    def __init__(self, data: Items, objective: Objective = next_tokens, lengths: Sequence[int] | None = None):
        self.data, self.objective = data, objective
        if lengths is None:
            lengths = [max(len(row.ids) for row in _rows(item)) for item in data]
        self.lengths = lengths

    def passes(self, items: list[int], budget: int, epoch: int) -> tuple[float, list[Batch]]:
        rows = [row for item in items for row in _rows(self.data[item])]
        groups = group_by_length([len(row.ids) for row in rows], budget)
        batches = [self.objective([rows[place] for place in group], epoch) for group in groups]
        return float(sum(int((batch.targets != IGNORED).sum()) for batch in batches)), batches

    def silent(self, batch: Batch) -> Batch:
        return replace(batch, targets=torch.full_like(batch.targets, IGNORED))

    def loss(self, model: nn.Module, batch: Batch) -> torch.Tensor:
        logits = logits_of(model, batch).flatten(0, 1).float()
        if isinstance(model, TokenModel) and model.six_mers:
            return model.lost(logits, batch.targets.flatten()).sum()
        return functional.cross_entropy(logits, batch.targets.flatten(), ignore_index=IGNORED, reduction="sum")


def _rows(item: Row | Sequence[Row]) -> Sequence[Row]:
    return (item,) if isinstance(item, Row) else item


def logits_of(model: nn.Module, batch: Batch) -> torch.Tensor:
    """(rows, tokens, vocabulary), by a :class:`seqlm.inference.likelihood.TokenModel` or a class of transformers."""
    if isinstance(model, TokenModel):
        return model.logits(batch)
    cached = getattr(getattr(model, "config", None), "model_type", "") in ("gpt2", "llama", "progen", "hyenadna")
    return model(input_ids=batch.ids, attention_mask=batch.mask, **({"use_cache": False} if cached else {})).logits


def losses(
    model: TokenModel,
    items: Items,
    budget: int,
    names: Sequence[str] = (),
    progress: Callable[[int], None] = lambda done: None,
) -> np.ndarray:
    """What a causal model loses on each item: minus the logarithm of the probability of its tokens that count, summed.

    Args:
        items: rows of each; their ``owner`` is its number.
        budget: padded tokens computed at once.
        progress: told how many rows are done.

    Returns:
        (items,) in nats.
    """
    lost, done = np.zeros(len(items)), 0
    for part, (values,) in passes(_lost, model, [row for rows in items for row in rows], PADDING, budget, names):
        np.add.at(lost, [row.owner for row in part], values.numpy())
        done += len(part)
        progress(done)
    return lost


def _lost(model: TokenModel, batch: Batch) -> tuple[torch.Tensor, ...]:
    found = model.next_log_probabilities(batch).double()
    return (-torch.where(batch.weights[:, 1:] > 0, found, 0.0).sum(1),)
