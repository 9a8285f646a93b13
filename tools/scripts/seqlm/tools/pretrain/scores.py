"""What a language model loses on what is held out, and the same letters as models of letters see them.

Of a causal model every token is told from those before it in its row; of a masked model those that are hidden, by a
seed, from all others: the pseudo-perplexity of hidden tokens. Rows do not overlap here, so each letter counts once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from seqlm.cli.errors import InputError
from seqlm.inference.batching import Batch, Row, group_by_length
from seqlm.inference.finite import check_results
from seqlm.inference.inference import out_of_memory
from seqlm.training.language_training import IGNORED, next_tokens

from .baselines import Judged
from .corpus_tokens import Contexts, Store
from .masking import JUDGED, Masking
from .plan import HeldOut, Plan


def held_out(plan: Plan, store: Store, split: int, masking: Masking | None) -> HeldOut:
    """All rows of a split that is held out."""
    contexts = Contexts(store, plan.documents, split, plan.context, 0.0, plan.prefix, plan.suffix, plan.causal)
    rows, judged, tokens = [], [], []
    for number in range(len(contexts)):
        row = contexts[number]
        start, end = contexts.span(number, plan.documents)
        lengths = store.lengths[store.document[contexts.strand[number]]]
        lengths = lengths[contexts.first[number] : contexts.last[number]]
        before = len(plan.prefix) * bool(contexts.begins[number])
        text = plan.corpus.text(start, end)
        if masking is None:
            ended = bool(contexts.ends[number]) and bool(plan.suffix)
            one = Judged(text, 0 if before else int(lengths[0]), ended)
            count = len(row.ids) - 1
        else:
            places = masking.chosen(row, JUDGED)[0] - before
            ends = np.cumsum(lengths)
            hidden = [(int(ends[place] - lengths[place]), int(ends[place])) for place in places]
            one = Judged(text, hidden=tuple(hidden))
            count = len(places)
        if not one.letters:
            continue
        rows.append(row)
        tokens.append(count)
        judged.append(one)
    letters = np.array([one.letters for one in judged], float)
    return HeldOut(rows, np.array(tokens, float), letters, judged)


def losses(
    model: nn.Module,
    rows: Sequence[Row],
    objective: Callable,
    budget: int,
    progress: Callable[[int], None] = lambda done: None,
) -> np.ndarray:
    """(rows,) nats that the model loses on the targets of each row, in single precision on the model's device."""
    found, done = np.zeros(len(rows)), 0
    for group in group_by_length([len(row.ids) for row in rows], budget):
        part = [rows[place] for place in group]
        found[group] = _tried(model, part, objective)
        done += len(part)
        progress(done)
    return found


def _tried(model: nn.Module, rows: Sequence[Row], objective: Callable) -> np.ndarray:
    try:
        return _lost(model, objective(rows))
    except (torch.OutOfMemoryError, RuntimeError) as problem:
        if not out_of_memory(problem):
            raise
    if len(rows) == 1:
        raise InputError(f"a row of {len(rows[0].ids):,} tokens does not fit into memory; choose a shorter context")
    half = len(rows) // 2
    return np.concatenate([_tried(model, rows[:half], objective), _tried(model, rows[half:], objective)])


@torch.no_grad()
def _lost(model: nn.Module, batch: Batch) -> np.ndarray:
    device = next(model.parameters()).device
    mask = None if batch.mask is None else batch.mask.to(device)
    logits = model(input_ids=batch.ids.to(device), attention_mask=mask).logits
    targets = batch.targets.to(device)
    lost = [
        functional.cross_entropy(row.float(), wanted, ignore_index=IGNORED, reduction="none").double().sum()
        for row, wanted in zip(logits, targets, strict=True)
    ]
    found = torch.stack(lost).cpu()
    check_results([found])
    return found.numpy()


def objective_of(plan: Plan, masking: Masking | None) -> Callable:
    return next_tokens if masking is None else masking


def masking_of(plan: Plan) -> Masking | None:
    """How tokens are hidden; None in a causal model."""
    if plan.causal:
        return None
    arguments, family = plan.arguments, plan.family
    ordinary = [
        number
        for token, number in family.vocabulary.items()
        if not family.is_special(token) and number < family.vocabulary_size
    ]
    return Masking(
        arguments.masked_share,
        arguments.masking,
        arguments.span,
        family.mask_token,
        np.array(sorted(ordinary), np.int64),
        arguments.seed,
    )
