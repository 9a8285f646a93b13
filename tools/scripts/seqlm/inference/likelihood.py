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

from .batching import Batch
from .inference import passes
from .language_rows import windows
from .loading import copied_on_cpu


class TokenModel(nn.Module):
    """A model with its head, as :func:`seqlm.inference.inference.passes` runs it."""

    def __init__(self, model: nn.Module):
        super().__init__()
        self.model = model

    @property
    def device(self) -> torch.device:
        return next(self.model.parameters()).device

    @property
    def parts(self) -> list[nn.Module]:
        """What is called by itself."""
        return [self.model]

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
    ids: Sequence[np.ndarray],
    budget: int,
    names: Sequence[str] = (),
    progress: Callable[[float], None] = lambda share: None,
    limit: int = 0,
    given: int = 1,
) -> list[Likelihood]:
    """What the model says of each sequence, in the order given.

    Args:
        ids: (tokens,) each, as :meth:`seqlm.tokenization.language_text.LanguageText.encode` gives them, of two
            tokens or more.
        budget: padded tokens computed at once.
        progress: told the share of the work that is done.
        limit: tokens that the model reads at once; what is longer is read in windows, each token in the one that shows
            most of what is before it. 0: no limit.
        given: tokens at the start of each that do not count: the one that begins it, or a control tag.
    """
    rows = [row for owner, one in enumerate(ids) for row in windows(one, limit or len(one), owner, given)]
    sums = np.zeros(len(ids))
    done = 0
    for part, (found,) in passes(_next, model, rows, 0, budget, names):
        for row, values in zip(part, found.double().numpy(), strict=True):
            counted = row.weights[1:]
            sums[row.owner] += values[: len(counted)] @ counted
        done += len(part)
        progress(done / len(rows))
    return [Likelihood(float(total), len(one) - given) for total, one in zip(sums, ids, strict=True)]


def _next(model: TokenModel, batch: Batch) -> tuple[torch.Tensor, ...]:
    return (model.next_log_probabilities(batch),)
