"""How probable a causal model finds sequences: the logarithm of the probability of each token, and perplexities.

The perplexity of a sequence is exp(-1/n Σ log p(token | those before it)) over its n tokens and the one that ends it;
it is what transformers' own loss gives, as its exponential.

Of tokens that are 6-mers each base has a probability of its own, p(base | those before it) = Σ p(6-mers that agree with
it and the bases before it) / Σ p(6-mers that agree with these); the first of a 6-mer is divided by nothing, so that the
product over all bases is that over all tokens. One to five bases at the end are as probable as all 6-mers that begin
so.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from seqlm.tokenization.six_mers import K, SixMers

from .batching import Batch
from .inference import passes
from .language_rows import windows
from .loading import copied_on_cpu

IGNORED = -100  # a target that counts nowhere, as torch has it


class TokenModel(nn.Module):
    """A model with its head, as :func:`seqlm.inference.inference.passes` runs it.

    Args:
        six_mers: of a model whose tokens are 6-mers; rows may then hold beginnings of them.
    """

    def __init__(self, model: nn.Module, six_mers: SixMers | None = None):
        super().__init__()
        self.model, self.six_mers = model, six_mers

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
        """(rows, tokens, vocabulary) as the model computes them, which reads a beginning as completed with A."""
        ids = self._completed(batch.ids)
        return self.model(input_ids=ids, attention_mask=batch.mask, use_cache=False).logits

    def _completed(self, ids: torch.Tensor) -> torch.Tensor:
        if self.six_mers is None or not bool((begun := ids >= self.six_mers.size).any()):
            return ids
        tokens = [int(self.six_mers.ids[self.six_mers.members(number).start]) for number in ids[begun].tolist()]
        return ids.masked_scatter(begun, torch.tensor(tokens, device=ids.device))

    def lost(self, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Minus the logarithm of the probability of each target, (tokens,) fp32; 0 where it is negative.

        Args:
            logits: (tokens, vocabulary); targets: (tokens,) tokens or beginnings.
        """
        logits = logits.float()
        if self.six_mers is None or not bool((begun := targets >= self.six_mers.size).any()):
            return functional.cross_entropy(logits, targets, ignore_index=IGNORED, reduction="none")
        found = functional.cross_entropy(
            logits, torch.where(begun, IGNORED, targets), ignore_index=IGNORED, reduction="none"
        )
        places = begun.nonzero()[:, 0]
        words = torch.from_numpy(self.six_mers.ids).to(logits.device)
        both = [
            logits[place].logsumexp(0) - logits[place, words[self.six_mers.members(number)]].logsumexp(0)
            for place, number in zip(places.tolist(), targets[places].tolist(), strict=True)
        ]
        return found.index_put((places,), torch.stack(both))

    def next_log_probabilities(self, batch: Batch) -> torch.Tensor:
        """Logarithm of the probability of each token but the first, (rows, tokens - 1), fp32; of padding without
        meaning."""
        logits = self.logits(batch)[:, :-1]
        # row by row, since a copy of all logits in single precision can be gigabytes
        return -torch.stack([self.lost(row, ids) for row, ids in zip(logits, batch.ids[:, 1:], strict=True)])

    def next_letters(self, batch: Batch, codes: np.ndarray | None = None) -> torch.Tensor:
        """Logarithm of the probability of letters at each place but the first, from what is before it.

        Args:
            codes: (letters,) tokens of the letters that are asked for; None for the bases of 6-mers.

        Returns:
            (rows, tokens - 1, 1, letters), of 6-mers (rows, tokens - 1, 6, 4), fp32; of padding without meaning.
        """
        logits, found = self.logits(batch)[:, :-1], []
        tokens = torch.from_numpy(self.six_mers.ids if codes is None else codes).to(logits.device)
        for row, ids in zip(logits, batch.ids[:, 1:], strict=True):
            each = row.float().log_softmax(1)[:, tokens]  # (tokens - 1, letters or 6-mers)
            found.append(each[:, None] if codes is not None else self._bases(each, ids))
        return torch.stack(found)

    def _bases(self, words: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
        """log p(base | those before it) of the six bases of each token, (tokens, 6, 4).

        Args:
            words: (tokens, 4096) log-probabilities of 6-mers in the order of the alphabet; ids: (tokens,) the tokens.
        """
        places = torch.from_numpy(self.six_mers.places(ids.cpu().numpy())).to(words.device)
        of_bases = []
        for left in range(K):  # bases of the 6-mer behind the one that is asked for
            words = words.view(len(words), -1, 4)  # (tokens, 6-mers that agree before it, bases)
            agree = words[torch.arange(len(words), device=words.device), places >> 2 * (left + 1)]
            of_bases.append(agree.log_softmax(1) if left < K - 1 else agree)
            words = words.logsumexp(2)
        return torch.stack(of_bases[::-1], 1)


@dataclass(frozen=True)
class Likelihood:
    """What a causal model says of one sequence.

    Attributes:
        log_probability: natural logarithm, of all tokens after the start together.
        tokens: how many those are; the token that ends the sequence is one of them. Of 6-mers how many bases.
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
    units: Sequence[int] | None = None,
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
        units: how many probabilities each is made of; one a token if not given.
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
    counts = units or [len(one) - given for one in ids]
    return [Likelihood(float(total), count) for total, count in zip(sums, counts, strict=True)]


def _next(model: TokenModel, batch: Batch) -> tuple[torch.Tensor, ...]:
    return (model.next_log_probabilities(batch),)
