"""The second Nucleotide Transformers (Dalla-Torre et al. 2025, https://doi.org/10.1038/s41592-024-02523-z): an ESM
whose feed-forward part is gated.

Of x, the normalised output of the attention::

    first, second = halves of W x                W: (2 · intermediate_size, hidden_size)
    V (SiLU(first) · second)                     V: (hidden_size, intermediate_size)

with biases where config.json has ``add_bias_fnn``. All else is transformers' ESM; names of tensors are those of the
published checkpoints.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.functional import silu
from transformers import EsmConfig, EsmForMaskedLM, EsmModel


class GatedEsmConfig(EsmConfig):
    """ESM's configuration, and whether the feed-forward part has biases.

    Where the published config.json says which Python code to fetch, that is forgotten, so it is never saved again.
    """

    model_type = "esm"  # as far as it is published

    add_bias_fnn: bool = False

    def __post_init__(self, **kwargs):
        kwargs.pop("auto_map", None)
        super().__post_init__(**kwargs)


class Gated(nn.Module):
    """(…, hidden) to (…, intermediate)."""

    def __init__(self, config: GatedEsmConfig):
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, 2 * config.intermediate_size, bias=config.add_bias_fnn)

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        first, second = self.dense(hidden).chunk(2, dim=-1)
        return silu(first) * second


# Of published files: positions that take no part, and the speeds of rotation of each layer, which are computed.
_UNREAD = [r"position_embeddings\.weight", r"rotary_embeddings\.inv_freq"]


def _gate(model: EsmModel) -> None:
    config = model.config
    if model.position_embedding_type not in ("rotary", "absolute"):
        raise ValueError(f"position_embedding_type is {model.position_embedding_type}, and must be rotary or absolute")
    for layer in model.encoder.layer:
        layer.intermediate = Gated(config)
        layer.output.dense = nn.Linear(config.intermediate_size, config.hidden_size, bias=config.add_bias_fnn)
    if model.position_embedding_type == "rotary":
        model.rotary_embeddings.register_buffer("inv_freq", model.rotary_embeddings.inv_freq, persistent=False)


class GatedEsmModel(EsmModel):
    """The encoder alone."""

    config_class = GatedEsmConfig
    _keys_to_ignore_on_load_unexpected = _UNREAD

    def __init__(self, config: GatedEsmConfig, add_pooling_layer: bool = False):
        super().__init__(config, add_pooling_layer)
        _gate(self)


class GatedEsmForMaskedLM(EsmForMaskedLM):
    """The encoder and ESM's head for masked tokens, whose last matrix is its own."""

    config_class = GatedEsmConfig
    _keys_to_ignore_on_load_unexpected = _UNREAD

    def __init__(self, config: GatedEsmConfig):
        super().__init__(config)
        _gate(self.esm)
