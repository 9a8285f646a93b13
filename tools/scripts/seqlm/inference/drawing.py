"""From the numbers that a model gives for every token to the token that is taken.

What is changed before a token is drawn, and in which order, is transformers' own: the penalty on repeats, forbidden
tokens, temperature, top-k, top-p, min-p, typical sampling.

A token is drawn by the Gumbel-max trick: the largest of logit + noise is a sample of the softmax (Maddison et al. 2014,
https://doi.org/10.48550/arXiv.1411.0030). The noise of a token is a hash of the sequence's seed, of the place in the
sequence and of the token, so a sequence depends neither on the batch it is computed in nor on how many others are asked
for; and numbers that differ in their last digits, as those of another batch do, hardly ever give another token.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

_GOLDEN = -7046029254386353131  # 0x9E3779B97F4A7C15, as a signed number
_FIRST = -4658895280553007687  # 0xBF58476D1CE4E5B9
_SECOND = -7723592293110705685  # 0x94D049BB133111EB


@dataclass(frozen=True)
class Drawing:
    """How tokens are drawn; the names are transformers'.

    Attributes:
        sample: draw; otherwise the most probable token is taken.
        top_k: only so many of the most probable tokens; 0 for all.
        top_p: only the most probable tokens that together have this probability; 1 for all.
        min_p: only tokens that are at least this share as probable as the most probable one; 0 for all.
        typical_p: only the tokens of the most usual surprise that together have this probability; 1 for all
            (Meister et al. 2023, https://doi.org/10.1162/tacl_a_00536).
        repetition_penalty: the logits of tokens that are there already are divided by it if positive, else multiplied
            (Keskar et al. 2019, https://doi.org/10.48550/arXiv.1909.05858).
        forbidden: (tokens,) ids that are never taken.
    """

    sample: bool = True
    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0
    typical_p: float = 1.0
    repetition_penalty: float = 1.0
    forbidden: torch.Tensor | None = None

    def choose(
        self, logits: torch.Tensor, history: torch.Tensor, seeds: torch.Tensor, places: torch.Tensor
    ) -> torch.Tensor:
        """The next token of each row, (rows,).

        Args:
            logits: (rows, vocabulary), changed in place.
            history: (rows, tokens) ids that are there already; a row that has fewer repeats one of its own.
            seeds, places: (rows,) int64, the seed of each sequence and the place that the token will have in it.
        """
        if self.repetition_penalty != 1:
            there = logits.gather(1, history)
            there = torch.where(there < 0, there * self.repetition_penalty, there / self.repetition_penalty)
            logits.scatter_(1, history, there)
        if self.forbidden is not None:
            logits.index_fill_(1, self.forbidden, -torch.inf)
        if not self.sample:
            return logits.argmax(1)
        tokens = None
        if self.temperature != 1:
            logits /= self.temperature
        if 0 < self.top_k < logits.shape[1]:
            logits, tokens = logits.topk(self.top_k, dim=1, sorted=False)
        logits = self._warped(logits)
        if tokens is None:
            tokens = torch.arange(logits.shape[1], device=logits.device).expand(logits.shape)
        chosen = (logits + gumbel(seeds[:, None], places[:, None], tokens)).argmax(1, keepdim=True)
        return tokens.gather(1, chosen)[:, 0]

    def _warped(self, logits: torch.Tensor) -> torch.Tensor:
        from transformers.generation.logits_process import (
            MinPLogitsWarper,
            TopPLogitsWarper,
            TypicalLogitsWarper,
        )

        if self.top_p < 1:
            logits = TopPLogitsWarper(self.top_p)(None, logits)
        if self.min_p > 0:
            logits = MinPLogitsWarper(self.min_p)(None, logits)
        if self.typical_p < 1:
            logits = TypicalLogitsWarper(self.typical_p)(None, logits)
        return logits


def gumbel(seeds: torch.Tensor, places: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
    """Noise of the standard Gumbel distribution for each (seed, place, token), fp64, the same each time."""
    mixed = mix(mix(mix(seeds) + places) + tokens)
    # 52 bits and a half, so never 0 or 1
    uniform = (_shifted(mixed, 12).double() + 0.5) * 2.0**-52
    return -torch.log(-torch.log(uniform))


def mix(number: torch.Tensor) -> torch.Tensor:
    """A step of SplitMix64, whose output passes tests of randomness for inputs that follow on each other (Steele et al.
    2014, https://doi.org/10.1145/2660193.2660195); int64, which wraps around as the unsigned number does."""
    number = number + _GOLDEN
    number = (number ^ _shifted(number, 30)) * _FIRST
    number = (number ^ _shifted(number, 27)) * _SECOND
    return number ^ _shifted(number, 31)


def _shifted(number: torch.Tensor, bits: int) -> torch.Tensor:
    """Shifted to the right, zeros coming in from the left whatever the sign."""
    return (number >> bits) & ((1 << (64 - bits)) - 1)
