"""ProGen2 (Nijkamp et al. 2023, https://doi.org/10.1016/j.cels.2023.10.002), which transformers has no class for.

A decoder like GPT-J: in each layer attention and feed-forward part read the same normalised states x, and both are
added::

    h + out_proj(attention(x)) + fc_out(gelu(fc_in(x)))

Of each head the first ``rotary_dim`` numbers of queries and keys are turned, neighbours in pairs. One matrix gives
queries, values and keys. It was trained on eight devices, so that its rows are eight blocks, each with an eighth of the
queries, then of the values, then of the keys. Names of tensors are those of the published checkpoints.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.functional import gelu, scaled_dot_product_attention
from transformers import PreTrainedConfig, PreTrainedModel
from transformers.cache_utils import Cache, DynamicCache
from transformers.masking_utils import create_causal_mask
from transformers.modeling_layers import GradientCheckpointingLayer
from transformers.modeling_outputs import BaseModelOutputWithPast

from .heads import CausalModel

BLOCKS = 8


class ProGen2Config(PreTrainedConfig):
    """Sizes by their published names.

    Where the published config.json says which Python code to fetch, that is forgotten, so it is never saved again.
    """

    model_type = "progen"
    attribute_map = {  # noqa: RUF012
        "max_position_embeddings": "n_positions",
        "hidden_size": "embed_dim",
        "num_attention_heads": "n_head",
        "num_hidden_layers": "n_layer",
        "vocab_size": "vocab_size_emb",
    }

    vocab_size_emb: int = 32
    vocab_size_lm_head: int = 32
    n_positions: int = 1024
    embed_dim: int = 1024
    n_layer: int = 12
    n_head: int = 16
    rotary_dim: int = 32
    n_inner: int | None = None
    activation_function: str = "gelu_new"
    resid_pdrop: float | int = 0.0
    embd_pdrop: float | int = 0.0
    attn_pdrop: float | int = 0.0
    layer_norm_epsilon: float = 1e-5
    initializer_range: float = 0.02
    use_cache: bool = True
    bos_token_id: int | None = 1
    eos_token_id: int | list[int] | None = 2
    pad_token_id: int | None = None
    tie_word_embeddings: bool = False

    def __post_init__(self, **kwargs):
        kwargs.pop("auto_map", None)
        super().__post_init__(**kwargs)


def turns(places: torch.Tensor, numbers: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Cosines and sines of (rows, tokens) places, each (rows, 1, tokens, numbers); two neighbours turn together."""
    speeds = 10000.0 ** (-torch.arange(0, numbers, 2, device=places.device).float() / numbers)
    angles = (places[..., None].float() * speeds).repeat_interleave(2, -1)[:, None]
    return angles.cos(), angles.sin()


def turned(vectors: torch.Tensor, cosines: torch.Tensor, sines: torch.Tensor) -> torch.Tensor:
    """(rows, heads, tokens, width) vectors, of which the first numbers are turned."""
    rotated, rest = vectors.split([cosines.shape[-1], vectors.shape[-1] - cosines.shape[-1]], -1)
    across = torch.stack([-rotated[..., 1::2], rotated[..., ::2]], -1).flatten(-2)
    both = rotated * cosines.to(rotated.dtype) + across * sines.to(rotated.dtype)
    return torch.cat([both, rest], -1)


class Attention(nn.Module):
    def __init__(self, config: ProGen2Config, layer: int):
        super().__init__()
        self.heads, self.layer, self.dropout = config.n_head, layer, config.attn_pdrop
        self.qkv_proj = nn.Linear(config.embed_dim, 3 * config.embed_dim, bias=False)
        self.out_proj = nn.Linear(config.embed_dim, config.embed_dim, bias=False)
        self.resid_dropout = nn.Dropout(config.resid_pdrop)

    def forward(self, hidden: torch.Tensor, mask: torch.Tensor | None, turning, cache: Cache | None) -> torch.Tensor:
        rows, tokens, width = hidden.shape
        parts = self.qkv_proj(hidden).view(rows, tokens, BLOCKS, 3, width // BLOCKS).unbind(3)
        query, value, key = (
            part.reshape(rows, tokens, self.heads, width // self.heads).transpose(1, 2) for part in parts
        )
        query, key = turned(query, *turning), turned(key, *turning)
        if cache is not None:
            key, value = cache.update(key, value, self.layer)
        mixed = scaled_dot_product_attention(
            query,
            key,
            value,
            attn_mask=mask,
            dropout_p=self.dropout if self.training else 0.0,
            is_causal=mask is None and tokens > 1,
        )
        return self.resid_dropout(self.out_proj(mixed.transpose(1, 2).reshape(rows, tokens, width)))


class FeedForward(nn.Module):
    def __init__(self, config: ProGen2Config):
        super().__init__()
        inner = config.n_inner or 4 * config.embed_dim
        self.fc_in, self.fc_out = nn.Linear(config.embed_dim, inner), nn.Linear(inner, config.embed_dim)
        self.dropout = nn.Dropout(config.resid_pdrop)

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        return self.dropout(self.fc_out(gelu(self.fc_in(hidden), approximate="tanh")))


class Block(GradientCheckpointingLayer):
    def __init__(self, config: ProGen2Config, layer: int):
        super().__init__()
        self.ln_1 = nn.LayerNorm(config.embed_dim, eps=config.layer_norm_epsilon)
        self.attn, self.mlp = Attention(config, layer), FeedForward(config)

    def forward(self, hidden: torch.Tensor, mask: torch.Tensor | None, turning, cache: Cache | None) -> torch.Tensor:
        normed = self.ln_1(hidden)
        return hidden + self.attn(normed, mask, turning, cache) + self.mlp(normed)


class ProGen2Model(PreTrainedModel):
    """The decoder. ``from_pretrained`` takes the published safetensors, with or without ``transformer.``."""

    config_class = ProGen2Config
    base_model_prefix = "transformer"
    main_input_name = "input_ids"
    supports_gradient_checkpointing = True
    _supports_sdpa = True
    _no_split_modules = ["Block"]  # noqa: RUF012
    # of older files: masks that are computed
    _keys_to_ignore_on_load_unexpected = [r"^lm_head\.", r"attn\.(masked_)?bias$", r"^h\.\d+\.attn\.scale_attn$"]  # noqa: RUF012

    def __init__(self, config: ProGen2Config):
        super().__init__(config)
        if config.activation_function != "gelu_new":
            raise ValueError(f"the feed-forward part of ProGen2 is gelu_new, not {config.activation_function}")
        if config.embed_dim % BLOCKS:
            raise ValueError(f"the width of ProGen2, {config.embed_dim}, is no multiple of {BLOCKS}")
        if not config.n_head or config.embed_dim % config.n_head:
            raise ValueError(f"the width, {config.embed_dim}, cannot be shared by {config.n_head} heads")
        across, rotary = config.embed_dim // config.n_head, config.rotary_dim
        if type(rotary) is not int or rotary % 2 or not 0 < rotary <= across:
            raise ValueError(
                f"rotary_dim is {rotary}, and must be even, above 0 and at most {across}, as a head is wide"
            )
        self.wte = nn.Embedding(config.vocab_size_emb, config.embed_dim)
        self.drop = nn.Dropout(config.embd_pdrop)
        self.h = nn.ModuleList(Block(config, layer) for layer in range(config.n_layer))
        self.ln_f = nn.LayerNorm(config.embed_dim, eps=config.layer_norm_epsilon)
        self.post_init()

    def get_input_embeddings(self) -> nn.Module:
        return self.wte

    def set_input_embeddings(self, value: nn.Module) -> None:
        self.wte = value

    def forward(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        position_ids: torch.Tensor | None = None,
        past_key_values: Cache | None = None,
        use_cache: bool = False,
        output_hidden_states: bool = False,
        **_,  # what peft passes to every model
    ) -> BaseModelOutputWithPast:
        """Vectors of all tokens, (rows, tokens, width); those of padding mean nothing.

        Args:
            input_ids: (rows, tokens).
            attention_mask: (rows, tokens), 1 for tokens and 0 for padding; or (rows, 1, tokens, places) of truths.
            position_ids: (rows, tokens) places in their sequence; one after the other if not given.
            past_key_values: keys and values of the tokens before.
            use_cache: whether keys and values are kept; they are given back.
            output_hidden_states: also give those before the first layer and after each, ``n_layer + 1``; the last
                are normalised.
        """
        hidden = self.wte(input_ids)
        if use_cache and past_key_values is None:
            past_key_values = DynamicCache(config=self.config)
        if position_ids is None:
            before = past_key_values.get_seq_length() if past_key_values is not None else 0
            position_ids = torch.arange(before, before + input_ids.shape[1], device=hidden.device)[None]
        mask = create_causal_mask(
            config=self.config,
            inputs_embeds=hidden,
            attention_mask=attention_mask,
            past_key_values=past_key_values,
            position_ids=position_ids,
        )
        turning = turns(position_ids, self.config.rotary_dim)
        hidden = self.drop(hidden)
        states = []
        for block in self.h:
            if output_hidden_states:
                states.append(hidden)
            hidden = block(hidden, mask, turning, past_key_values)
        hidden = self.ln_f(hidden)
        return BaseModelOutputWithPast(
            hidden, past_key_values, hidden_states=(*states, hidden) if output_hidden_states else None
        )


class ProGen2ForCausalLM(CausalModel):
    """The decoder and the layer that gives a number for each token."""

    config_class = ProGen2Config
    base_model_prefix = "transformer"
    _no_split_modules = ["Block"]  # noqa: RUF012
    _keys_to_ignore_on_load_unexpected = [r"attn\.(masked_)?bias$"]  # noqa: RUF012

    def __init__(self, config: ProGen2Config):
        super().__init__(config)
        if config.vocab_size_lm_head != config.vocab_size_emb:
            raise ValueError(
                f"it reads {config.vocab_size_emb} tokens (vocab_size_emb) and gives a number for "
                f"{config.vocab_size_lm_head} (vocab_size_lm_head), which must be as many"
            )
        self.transformer = ProGen2Model(config)
        self.lm_head = nn.Linear(config.embed_dim, config.vocab_size_lm_head)
        self.post_init()
