"""The log-likelihood of a sequence as the number that is explained: Σ log p(token) over its tokens.

A masked model is asked for each token in one pass in which it sees all of them, a causal one from those before it.
What is hidden is hidden from what the model reads; the tokens that are asked for stay those of the sequence. So a
position speaks for a sequence where the model needs it to tell the others, or itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import nn

from seqlm.data.tasks import WITHOUT_HEAD
from seqlm.inference.batching import Batch
from seqlm.inference.language_models import load_language_model
from seqlm.inference.likelihood import TokenModel
from seqlm.inference.loading import Finetuned, copied_on_cpu
from seqlm.inference.masked_likelihood import MaskedModel
from seqlm.inference.tasks import Task
from seqlm.tokenization.encoder import Encoded
from seqlm.tokenization.language_text import LanguageText

from .function import Function, Item


class LanguageFunction(Function):
    """The log-likelihood, as a function of the tokens that the model reads.

    Args:
        plan: of a language model, see :class:`seqlm.tools.explain.inputs.Plan`.
    """

    def __init__(self, plan, device: torch.device, budget: int):
        model = _Alone(load_language_model(plan.language, device, plan.arguments.precision))
        self.causal = plan.family.causal
        self.asked = TokenModel(model.model) if self.causal else MaskedModel(model.model)
        reader = CausalReader(plan.text) if self.causal else plan.encoder
        restored = Finetuned(model, reader, Task(WITHOUT_HEAD[not self.causal]))
        super().__init__(restored, budget, plan.hidden[0], plan.family.masked_tokens)

    def items(self, sequences: Sequence[tuple[str, str]], goal: None = None, site: None = None) -> list[Item]:
        """The sequences; there is nothing to choose."""
        found = super().items(sequences, None)
        return [replace(item, rows=tuple(replace(row, targets=row.ids) for row in item.rows)) for item in found]

    def parts(self, model: _Alone, batch: Batch) -> tuple[torch.Tensor, ...]:
        """Sum of weight times log p(target) over the tokens of each row, (rows, 1)."""
        if self.causal:
            logits = model.model(input_ids=batch.ids, attention_mask=batch.mask, use_cache=False).logits[:, :-1]
            found = logits.float().log_softmax(-1).gather(2, batch.targets[:, 1:, None])[..., 0]
            return ((found * batch.weights[:, 1:]).sum(1, keepdim=True),)
        wanted = batch.weights > 0
        found = self.asked.log_probabilities(batch).gather(1, batch.targets[wanted][:, None])[:, 0]
        rows = wanted.nonzero()[:, 0]
        return (found.new_zeros(len(batch.ids)).index_add(0, rows, found * batch.weights[wanted])[:, None],)

    def telling(self, items: Sequence[Item], only: int | None = None) -> float:
        """How probable the model finds a token of the items: mean of the log-likelihoods by the tokens."""
        nothing = [self.hide(number, item, np.arange(0)) for number, item in enumerate(items)]
        return float(np.mean(self.values(items, nothing) / [item.tokens for item in items]))

    def finish(self, sums: torch.Tensor, items: Sequence[Item]) -> torch.Tensor:
        """The log-likelihoods (n,)."""
        return sums[:, 0].double()


class _Alone(nn.Module):
    """A language model as an ensemble of one."""

    def __init__(self, model: nn.Module):
        super().__init__()
        self.model, self.members = model, []

    @property
    def device(self) -> torch.device:
        return next(self.model.parameters()).device

    @property
    def encoder_alone(self) -> nn.Module:
        return self.model.get_base_model() if hasattr(self.model, "get_base_model") else self.model

    def turns(self, only: int | None = None) -> Iterator[bool]:
        yield True

    def copy_on_cpu(self) -> _Alone:
        return copied_on_cpu(self)


class CausalReader:
    """How a causal model reads a sequence, in one row, as :class:`seqlm.tokenization.encoder.Encoder` gives it."""

    def __init__(self, text: LanguageText):
        self.text, self.prefix, self.suffix = text, text.opening, list(text.ends[:1])
        self.padding = int(text.family.config.get("pad_token_id") or 0)
        self.max_length = text.family.window

    def encode_many(self, items: Sequence[tuple[str, str]]) -> list[Encoded]:
        """Rows in which every token but the first counts, and the letters that each token writes."""
        found = []
        for ids in self.text.encode([sequence for _, sequence in items]):
            weights = np.ones(len(ids), np.float32)
            weights[: self.text.given] = 0
            real = ids[len(self.prefix) : len(ids) - len(self.suffix)]
            lengths = np.asarray([len(self.text.write([token])) for token in real.tolist()])
            found.append(Encoded((ids,), (weights,), tokens=len(real), lengths=lengths))
        return found
