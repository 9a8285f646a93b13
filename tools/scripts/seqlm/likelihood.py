"""How probable a causal model finds sequences: the logarithm of the probability of each token, and perplexities.

The perplexity of a sequence is exp(-1/n Σ log p(token | those before it)) over its n tokens and the one that ends it;
it is what transformers' own loss gives, as its exponential.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from .batching import Batch, Row
from .inference import passes
from .loading import copied_on_cpu


class TokenModel(nn.Module):
    """A model with its head, as :func:`seqlm.inference.passes` runs it."""

    def __init__(self, model: nn.Module):
        super().__init__()
        self.model = model

    @property
    def device(self) -> torch.device:
        return next(self.model.parameters()).device

    def copy_on_cpu(self) -> TokenModel:
        """The same model in fp32 in the memory of the CPU."""
        return copied_on_cpu(self)

    def logits(self, batch: Batch) -> torch.Tensor:
        """(rows, tokens, vocabulary) as the model computes them."""
        return self.model(input_ids=batch.ids, attention_mask=batch.mask, use_cache=False).logits

    def next_log_probabilities(self, batch: Batch) -> torch.Tensor:
        """Logarithm of the probability of each token but the first, (rows, tokens - 1), fp32; of padding without
        meaning."""
        logits = self.logits(batch)[:, :-1]
        # row by row, since a copy of all logits in single precision can be gigabytes
        return -torch.stack(
            [
                functional.cross_entropy(row.float(), ids, reduction="none")
                for row, ids in zip(logits, batch.ids[:, 1:], strict=True)
            ]
        )


@dataclass(frozen=True)
class Likelihood:
    """What a causal model says of one sequence.

    Attributes:
        log_probability: natural logarithm, of all tokens after the start together.
        tokens: how many those are; the token that ends the sequence is one of them.
    """

    log_probability: float
    tokens: int

    @property
    def perplexity(self) -> float:
        return float(np.exp(-self.log_probability / self.tokens))


def likelihoods(
    model: TokenModel,
    rows: Sequence[np.ndarray],
    budget: int,
    names: Sequence[str] = (),
    progress: Callable[[int], None] = lambda done: None,
) -> list[Likelihood]:
    """What the model says of each row of token ids, in the order given.

    Args:
        rows: (tokens,) each, as :meth:`seqlm.language_text.LanguageText.encode` gives them, of two tokens or more.
        budget: padded tokens computed at once.
        progress: told how many rows are done.
    """
    prepared = [Row(ids, np.ones(len(ids), np.float32), owner) for owner, ids in enumerate(rows)]
    found: list[Likelihood | None] = [None] * len(rows)
    done = 0
    for part, (given,) in passes(_next, model, prepared, 0, budget, names):
        for row, values in zip(part, given.double(), strict=True):
            tokens = len(row.ids) - 1
            found[row.owner] = Likelihood(float(values[:tokens].sum()), tokens)
        done += len(part)
        progress(done)
    return found


def _next(model: TokenModel, batch: Batch) -> tuple[torch.Tensor, ...]:
    return (model.next_log_probabilities(batch),)
