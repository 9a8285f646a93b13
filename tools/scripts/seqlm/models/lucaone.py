"""LucaOne (He et al. 2025, https://doi.org/10.1038/s42256-025-01044-4), one model of genes and proteins, which
transformers has no class for.

An encoder whose layer norms come first, with rotary positions. A vector is added to each token that says whether the
sequence is of a gene (0) or a protein (1):

    ids ─► token + type ─┬─► norm ─► attention, turned ─(+)─┬─► norm ─► fc1 ─► GELU ─► fc2 ─(+)─► … ─► norm ─►
                         └──────────────────────────────┘   └───────────────────────────────┘

Modules are named as in the published weights, and layer norms add 1e-5 to the variance, whatever ``layer_norm_eps`` of
config.json says, as the authors' do.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.functional import gelu, scaled_dot_product_attention
from transformers import PreTrainedConfig, PreTrainedModel
from transformers.modeling_layers import GradientCheckpointingLayer
from transformers.modeling_outputs import BaseModelOutput
from transformers.models.esm.modeling_esm import rotate_half

from .heads import MaskedModel

GENE, PROTEIN = 0, 1
BASES = (5, 10)  # ids of the tokens of bases: from the first up to before the second


class LucaOneConfig(PreTrainedConfig):
    """Sizes by their published names, and ``sequence_type``: what all sequences are, ``gene`` or ``prot``; without it
    a row with the token of a base is of a gene, and any other of a protein.

    Where the published config.json says which Python code to fetch, that is forgotten, so it is never saved again.
    """

    model_type = "lucaone"

    vocab_size: int = 39
    hidden_size: int = 2560
    num_hidden_layers: int = 20
    num_attention_heads: int = 40
    max_position_embeddings: int = 4096
    type_vocab_size: int = 2
    no_position_embeddings: bool = True
    no_token_type_embeddings: bool = False
    use_embed_layer_norm: bool = False
    use_last_layer_norm: bool = True
    embed_scale: float | int = 1.0
    attention_probs_dropout_prob: float | int = 0.0
    initializer_range: float = 0.02
    alphabet: str = "gene_prot"
    sequence_type: str | None = None
    pad_token_id: int | None = 0
    bos_token_id: int | None = 2
    eos_token_id: int | list[int] | None = 3
    mask_token_id: int | None = 4
    tie_word_embeddings: bool = False

    def __post_init__(self, **kwargs):
        kwargs.pop("auto_map", None)
        super().__post_init__(**kwargs)


class Embeddings(nn.Module):
    def __init__(self, config: LucaOneConfig):
        super().__init__()
        self.scale, self.padding = config.embed_scale, config.pad_token_id
        self.of_all = {None: None, "gene": GENE, "prot": PROTEIN}[config.sequence_type]
        self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size)
        self.embed_type = None
        if not config.no_token_type_embeddings:
            self.embed_type = nn.Embedding(config.type_vocab_size, config.hidden_size)

    def forward(self, ids: torch.Tensor, types: torch.Tensor | None) -> torch.Tensor:
        hidden = self.embed_tokens(ids)
        if self.embed_type is not None:
            hidden = hidden + self.embed_type(self.types_of(ids) if types is None else types)
        return self.scale * hidden * (ids != self.padding).unsqueeze(-1)

    def types_of(self, ids: torch.Tensor) -> torch.Tensor:
        """(rows, tokens) or (rows, 1): what each row is a sequence of."""
        if self.of_all is not None:
            return torch.full_like(ids, self.of_all)
        return torch.where(((ids >= BASES[0]) & (ids < BASES[1])).any(1, keepdim=True), GENE, PROTEIN)


def turning(tokens: int, numbers: int, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Cosines and sines of the places 0 … tokens - 1, each (1, 1, tokens, numbers); the two halves turn together."""
    speeds = 10000 ** (-torch.arange(0, numbers, 2, device=device, dtype=torch.float32) / numbers)
    angles = torch.arange(tokens, device=device, dtype=torch.float32)[:, None] * speeds.repeat(2)
    return angles.cos()[None, None], angles.sin()[None, None]


def turned(heads: torch.Tensor, cosines: torch.Tensor, sines: torch.Tensor) -> torch.Tensor:
    """(rows, heads, tokens, numbers); in single precision, as half of it would put far tokens at wrong places."""
    wide = heads.to(cosines.dtype)
    return (wide * cosines + rotate_half(wide) * sines).to(heads.dtype)


class Attention(nn.Module):
    def __init__(self, config: LucaOneConfig):
        super().__init__()
        width = config.hidden_size
        self.heads, self.dropout = config.num_attention_heads, config.attention_probs_dropout_prob
        self.q_proj, self.k_proj, self.v_proj, self.out_proj = (nn.Linear(width, width) for _ in range(4))

    def forward(self, hidden: torch.Tensor, mask: torch.Tensor | None, angles) -> torch.Tensor:
        rows, tokens, width = hidden.shape
        query, key, value = (
            each(hidden).view(rows, tokens, self.heads, width // self.heads).transpose(1, 2)
            for each in (self.q_proj, self.k_proj, self.v_proj)
        )
        dropout = self.dropout if self.training else 0.0
        mixed = scaled_dot_product_attention(
            turned(query, *angles), turned(key, *angles), value, attn_mask=mask, dropout_p=dropout
        )
        return self.out_proj(mixed.transpose(1, 2).reshape(rows, tokens, width))


class Layer(GradientCheckpointingLayer):
    def __init__(self, config: LucaOneConfig):
        super().__init__()
        width = config.hidden_size
        self.pre_layer_norm, self.post_layer_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.self_attn = Attention(config)
        self.fc1, self.fc2 = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, hidden: torch.Tensor, mask: torch.Tensor | None, angles) -> torch.Tensor:
        hidden = hidden + self.self_attn(self.pre_layer_norm(hidden), mask, angles)
        return hidden + self.fc2(gelu(self.fc1(self.post_layer_norm(hidden))))


class Encoder(nn.Module):
    def __init__(self, config: LucaOneConfig):
        super().__init__()
        self.layers = nn.ModuleList(Layer(config) for _ in range(config.num_hidden_layers))
        self.last_layer_norm = nn.LayerNorm(config.hidden_size) if config.use_last_layer_norm else nn.Identity()


class LucaOneBase(PreTrainedModel):
    config_class = LucaOneConfig
    base_model_prefix = "lucaone"
    main_input_name = "input_ids"
    supports_gradient_checkpointing = True
    _supports_sdpa = True
    _no_split_modules = ["Layer"]  # noqa: RUF012
    # speeds of rotation, which are computed
    _keys_to_ignore_on_load_unexpected = [r"rot_emb\.inv_freq$", r"^lm_head\."]  # noqa: RUF012


class LucaOneModel(LucaOneBase):
    """The encoder. ``from_pretrained`` takes the published safetensors, with or without ``lucaone.``."""

    def __init__(self, config: LucaOneConfig):
        super().__init__(config)
        if not config.no_position_embeddings or config.use_embed_layer_norm:
            raise ValueError(
                "LucaOne has rotary positions and no layer norm behind the embeddings; config.json says so"
            )
        if not config.num_attention_heads or config.hidden_size % (2 * config.num_attention_heads):
            raise ValueError(
                f"the width, {config.hidden_size}, cannot be shared by {config.num_attention_heads} heads of even width"
            )
        if config.sequence_type not in (None, "gene", "prot"):
            raise ValueError(f"sequence_type is {config.sequence_type}, and must be gene or prot")
        self.embeddings, self.encoder = Embeddings(config), Encoder(config)
        self.post_init()

    def get_input_embeddings(self) -> nn.Module:
        return self.embeddings.embed_tokens

    def set_input_embeddings(self, value: nn.Module) -> None:
        self.embeddings.embed_tokens = value

    def forward(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        token_type_ids: torch.Tensor | None = None,
        output_hidden_states: bool = False,
        **_,  # what peft passes to every model
    ) -> BaseModelOutput:
        """Vectors of all tokens, (rows, tokens, width); those of padding mean nothing.

        Args:
            input_ids: (rows, tokens).
            attention_mask: (rows, tokens), 1 for tokens and 0 for padding.
            token_type_ids: (rows, tokens), 0 of a gene and 1 of a protein; else as ``sequence_type`` says.
            output_hidden_states: also give those before the first layer and after each, ``num_hidden_layers + 1``;
                the last are normalised.
        """
        hidden = self.embeddings(input_ids, token_type_ids)
        mask = None if attention_mask is None else attention_mask.bool()[:, None, None, :]
        angles = turning(hidden.shape[1], hidden.shape[2] // self.config.num_attention_heads, hidden.device)
        states = []
        for layer in self.encoder.layers:
            if output_hidden_states:
                states.append(hidden)
            hidden = layer(hidden, mask, angles)
        hidden = self.encoder.last_layer_norm(hidden)
        return BaseModelOutput(hidden, hidden_states=(*states, hidden) if output_hidden_states else None)


class LanguageHead(nn.Module):
    def __init__(self, config: LucaOneConfig):
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.hidden_size)
        self.layer_norm = nn.LayerNorm(config.hidden_size)
        self.decoder = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.bias = nn.Parameter(torch.zeros(config.vocab_size))

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        return self.decoder(self.layer_norm(gelu(self.dense(hidden)))) + self.bias


class LucaOneForMaskedLM(LucaOneBase, MaskedModel):
    """The encoder and the head that says what stands where a token is hidden; its last matrix is its own."""

    _keys_to_ignore_on_load_unexpected = [r"rot_emb\.inv_freq$"]  # noqa: RUF012

    def __init__(self, config: LucaOneConfig):
        super().__init__(config)
        self.lucaone, self.lm_head = LucaOneModel(config), LanguageHead(config)
        self.post_init()
