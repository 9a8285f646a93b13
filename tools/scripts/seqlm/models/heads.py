"""What language models of this folder share: a head on the model that ``base_model_prefix`` names."""

from __future__ import annotations

import torch
from torch import nn
from transformers import GenerationMixin, PreTrainedModel
from transformers.modeling_outputs import CausalLMOutputWithPast, MaskedLMOutput


class CausalModel(PreTrainedModel, GenerationMixin):
    """A decoder and ``lm_head``, which gives a number for each token."""

    supports_gradient_checkpointing = True
    _supports_sdpa = True

    def get_output_embeddings(self) -> nn.Module:
        return self.lm_head

    def set_output_embeddings(self, value: nn.Module) -> None:
        self.lm_head = value

    def forward(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        logits_to_keep: int = 0,
        **options,
    ) -> CausalLMOutputWithPast:
        """Logits of the tokens that follow, (rows, tokens, vocabulary); options as of the decoder.

        Args:
            logits_to_keep: of so many of the last places; 0 for all.
        """
        found = self.base_model(input_ids, attention_mask, **options)
        logits = self.lm_head(found.last_hidden_state[:, -logits_to_keep:])
        return CausalLMOutputWithPast(logits=logits, past_key_values=found.past_key_values)


class MaskedModel(PreTrainedModel):
    """An encoder and a head that says what stands where a token is hidden, with ``decoder`` as its last map."""

    _supports_sdpa = True

    @property
    def predictions(self) -> nn.Module:
        """The head."""
        return self.lm_head

    def get_output_embeddings(self) -> nn.Module:
        return self.predictions.decoder

    def set_output_embeddings(self, value: nn.Module) -> None:
        self.predictions.decoder = value

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor | None = None, **options) -> MaskedLMOutput:
        """Logits of all tokens, (rows, tokens, vocabulary); options as of the encoder."""
        found = self.base_model(input_ids, attention_mask, **options)
        return MaskedLMOutput(logits=self.predictions(found.last_hidden_state), hidden_states=found.hidden_states)
