"""DNABERT-2, one file from tokens to vectors (Zhou et al. 2023, https://doi.org/10.48550/arXiv.2306.15006).

A BERT encoder that differs in two places. Nothing is added to the tokens to say where they stand: each head lowers the
score of a pair of tokens with their distance instead (ALiBi, Press et al. 2022,
https://doi.org/10.48550/arXiv.2108.12409), so there is no longest sequence. And the feed-forward part is gated (GEGLU,
Shazeer 2020, https://doi.org/10.48550/arXiv.2002.05202).

    ids ─► word + type ─► norm ─┬─► Wqkv ─► attention + ALiBi ─► dense ─(+)─► norm ─┬─► GELU(a) · b ─► wo ─(+)─► norm ─►
                                └───────────────────────────────────┘               └────────────────────┘

Modules are named as in the published weights, of which the pooler is left out, and the masked-token head (``cls``)
where only vectors are wanted. MosaicBERT, DNABERT-S and others of the same code have the same names.
"""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn.functional import gelu, scaled_dot_product_attention
from transformers import BertConfig, PreTrainedModel
from transformers.modeling_layers import GradientCheckpointingLayer
from transformers.modeling_outputs import BaseModelOutput

from .heads import MaskedModel


class DnaBert2Config(BertConfig):
    """BERT's configuration, as published, with the length that the first attention bias was made for.

    Where the published config.json says which Python code to fetch, that is forgotten, so it is never saved again.
    """

    model_type = "bert"  # as published

    alibi_starting_size: int = 512
    attention_probs_dropout_prob: float | int = 0.0

    def __post_init__(self, **kwargs):
        kwargs.pop("auto_map", None)
        super().__post_init__(**kwargs)


def alibi_slopes(heads: int) -> torch.Tensor:
    """What each head takes off the score of two tokens for each token between them, (heads,).

    For a power of two 2^(-8/n), 2^(-16/n), …, 2^-8; for any other number those of the next lower power, then every
    second one of the next higher power, as the authors of ALiBi do.

    >>> alibi_slopes(4).tolist()
    [0.25, 0.0625, 0.015625, 0.00390625]
    """
    lower = 2 ** math.floor(math.log2(heads))
    slopes = [2 ** (-8 * head / lower) for head in range(1, lower + 1)]
    between = [2 ** (-4 * head / lower) for head in range(1, 2 * lower + 1, 2)]
    return torch.tensor(slopes + between[: heads - lower])


def attention_bias(mask: torch.Tensor | None, slopes: torch.Tensor, tokens: int, dtype: torch.dtype) -> torch.Tensor:
    """What is added to the scores of all pairs of tokens: ALiBi, and minus infinity where the second is padding.

    Args:
        mask: (batch, tokens), 1 for tokens and 0 for padding; None where there is none.

    Returns:
        (1, heads, tokens, tokens), or (batch, heads, tokens, tokens) where there is padding.
    """
    place = torch.arange(tokens, device=slopes.device)
    distance = (place[:, None] - place[None, :]).abs()
    # rounded to half precision only here; where that is coarse the weight of the pair is next to nothing
    bias = (-slopes[:, None, None] * distance).to(dtype)[None]
    if mask is None or bool(mask.all()):
        return bias
    return bias.masked_fill(mask[:, None, None, :] == 0, -torch.inf)


class Embeddings(nn.Module):
    def __init__(self, config: DnaBert2Config):
        super().__init__()
        self.word_embeddings = nn.Embedding(config.vocab_size, config.hidden_size)
        self.token_type_embeddings = nn.Embedding(config.type_vocab_size, config.hidden_size)
        self.LayerNorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def forward(self, ids: torch.Tensor, types: torch.Tensor) -> torch.Tensor:
        return self.dropout(self.LayerNorm(self.word_embeddings(ids) + self.token_type_embeddings(types)))


class SelfAttention(nn.Module):
    def __init__(self, config: DnaBert2Config):
        super().__init__()
        self.heads, self.dropout = config.num_attention_heads, config.attention_probs_dropout_prob
        self.Wqkv = nn.Linear(config.hidden_size, 3 * config.hidden_size)

    def forward(self, hidden: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        batch, tokens, width = hidden.shape
        qkv = self.Wqkv(hidden).view(batch, tokens, 3, self.heads, width // self.heads)
        query, key, value = qkv.permute(2, 0, 3, 1, 4)  # each (batch, heads, tokens, width / heads)
        dropout = self.dropout if self.training else 0.0
        mixed = scaled_dot_product_attention(query, key, value, attn_mask=bias.to(query.dtype), dropout_p=dropout)
        return mixed.transpose(1, 2).reshape(batch, tokens, width)


class AttentionOutput(nn.Module):
    def __init__(self, config: DnaBert2Config):
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.hidden_size)
        self.LayerNorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def forward(self, mixed: torch.Tensor, hidden: torch.Tensor) -> torch.Tensor:
        return self.LayerNorm(self.dropout(self.dense(mixed)) + hidden)


class Attention(nn.Module):
    def __init__(self, config: DnaBert2Config):
        super().__init__()
        self.self = SelfAttention(config)
        self.output = AttentionOutput(config)

    def forward(self, hidden: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        return self.output(self.self(hidden, bias), hidden)


class GatedFeedForward(nn.Module):
    def __init__(self, config: DnaBert2Config):
        super().__init__()
        self.gated_layers = nn.Linear(config.hidden_size, 2 * config.intermediate_size, bias=False)
        self.wo = nn.Linear(config.intermediate_size, config.hidden_size)
        self.layernorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        gate, content = self.gated_layers(hidden).chunk(2, dim=-1)  # each (batch, tokens, intermediate)
        return self.layernorm(self.wo(self.dropout(gelu(gate) * content)) + hidden)


class Layer(GradientCheckpointingLayer):
    def __init__(self, config: DnaBert2Config):
        super().__init__()
        self.attention = Attention(config)
        self.mlp = GatedFeedForward(config)

    def forward(self, hidden: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        return self.mlp(self.attention(hidden, bias))


class Encoder(nn.Module):
    def __init__(self, config: DnaBert2Config):
        super().__init__()
        self.layer = nn.ModuleList(Layer(config) for _ in range(config.num_hidden_layers))


class DnaBert2Model(PreTrainedModel):
    """The encoder. ``from_pretrained`` takes the published safetensors, with or without ``bert.`` before each name."""

    config_class = DnaBert2Config
    base_model_prefix = "bert"
    main_input_name = "input_ids"
    supports_gradient_checkpointing = True
    _supports_sdpa = True
    _no_split_modules = ["Layer"]  # noqa: RUF012
    _keys_to_ignore_on_load_unexpected = [r"^cls\.", r"^classifier\.", r"pooler\."]  # noqa: RUF012

    def __init__(self, config: DnaBert2Config):
        super().__init__(config)
        if config.hidden_act != "gelu":
            raise ValueError(f"the gate of a DNABERT-2 model is GELU, not {config.hidden_act}")
        self.embeddings = Embeddings(config)
        self.encoder = Encoder(config)
        self.post_init()

    def get_input_embeddings(self) -> nn.Module:
        return self.embeddings.word_embeddings

    def set_input_embeddings(self, value: nn.Module) -> None:
        self.embeddings.word_embeddings = value

    def forward(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        token_type_ids: torch.Tensor | None = None,
        output_hidden_states: bool = False,
        **_,  # what peft passes to every encoder
    ) -> BaseModelOutput:
        """Vectors of all tokens, (batch, tokens, hidden); those of padding mean nothing.

        Args:
            input_ids: (batch, tokens).
            attention_mask: (batch, tokens), 1 for tokens and 0 for padding.
            token_type_ids: (batch, tokens); 0 throughout if not given.
            output_hidden_states: also give those before the first layer and after each, ``num_hidden_layers + 1``.
        """
        types = torch.zeros_like(input_ids) if token_type_ids is None else token_type_ids
        hidden = self.embeddings(input_ids, types)
        # computed, not stored: weights are made on the meta device, where a buffer that is in no file stays empty
        slopes = alibi_slopes(self.config.num_attention_heads).to(hidden.device)
        bias = attention_bias(attention_mask, slopes, input_ids.shape[1], hidden.dtype)
        states = [hidden] if output_hidden_states else []
        for layer in self.encoder.layer:
            hidden = layer(hidden, bias)
            if output_hidden_states:
                states.append(hidden)
        return BaseModelOutput(hidden, hidden_states=tuple(states) if output_hidden_states else None)


class Transform(nn.Module):
    def __init__(self, config: DnaBert2Config):
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.hidden_size)
        self.LayerNorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        return self.LayerNorm(gelu(self.dense(hidden)))


class Predictions(nn.Module):
    def __init__(self, config: DnaBert2Config):
        super().__init__()
        self.transform = Transform(config)
        self.decoder = nn.Linear(config.hidden_size, config.vocab_size)

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        return self.decoder(self.transform(hidden))


class Heads(nn.Module):
    def __init__(self, config: DnaBert2Config):
        super().__init__()
        self.predictions = Predictions(config)


class DnaBert2ForMaskedLM(MaskedModel):
    """The encoder with the head that it was pre-trained with; its last layer shares the embedding of the tokens."""

    config_class = DnaBert2Config
    base_model_prefix = "bert"
    _tied_weights_keys = {"cls.predictions.decoder.weight": "bert.embeddings.word_embeddings.weight"}  # noqa: RUF012
    _keys_to_ignore_on_load_unexpected = [r"^classifier\.", r"pooler\."]  # noqa: RUF012

    def __init__(self, config: DnaBert2Config):
        super().__init__(config)
        self.bert = DnaBert2Model(config)
        self.cls = Heads(config)
        self.post_init()

    @property
    def predictions(self) -> nn.Module:
        return self.cls.predictions
