"""ProteinBERT (Brandes et al. 2022, https://doi.org/10.1093/bioinformatics/btac020), which transformers lacks.

Two tracks go through the layers: vectors of the residues, r, and one vector of the whole protein, g. In each layer
residues see their neighbours by two convolutions, near and wide, and all else by way of g; g sees them by attention::

    r ─► + GELU(dense g) + GELU(near r) + GELU(wide r) ─► norm ─► + GELU(dense r) ─► norm ─┬─►
    g ─► + GELU(dense g) + Σ softmax(tanh(g Q) · tanh(r K)) GELU(r V) ◄────────────────────┘ ─► norm ─► + … ─► norm ─►

with a Q, K and V of each head. Memory and time grow with the length alone. g begins as what the model makes of a
protein of which no annotation is known; annotations (Gene Ontology) as input are left out, and so is the head that
tells them.

Modules are named as MultiMolecule publishes the weights, which its authors publish for Keras. There padding takes part
in convolutions and attention; here, as in MultiMolecule, it does not.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.functional import gelu
from transformers import PreTrainedConfig, PreTrainedModel
from transformers.modeling_layers import GradientCheckpointingLayer
from transformers.modeling_outputs import BaseModelOutput

from .heads import MaskedModel


class ProteinBertConfig(PreTrainedConfig):
    """Sizes by their published names."""

    model_type = "proteinbert"

    vocab_size: int = 37
    hidden_size: int = 128
    global_hidden_size: int = 512
    num_hidden_layers: int = 6
    num_attention_heads: int = 4
    attention_key_size: int = 64
    conv_kernel_size: int = 9
    wide_conv_dilation_rate: int = 5
    layer_norm_eps: float = 1e-3
    initializer_range: float = 0.02
    pad_token_id: int | None = 0
    bos_token_id: int | None = 1
    eos_token_id: int | list[int] | None = 2
    mask_token_id: int | None = 4
    tie_word_embeddings: bool = False

    def __post_init__(self, **kwargs):
        kwargs.pop("auto_map", None)
        super().__post_init__(**kwargs)


class Unannotated(nn.Module):
    """What is learnt of a protein without any annotation: of the map of annotations the bias alone."""

    def __init__(self, width: int):
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(width))


class Embeddings(nn.Module):
    def __init__(self, config: ProteinBertConfig):
        super().__init__()
        self.word_embeddings = nn.Embedding(config.vocab_size, config.hidden_size)
        self.annotation_embeddings = Unannotated(config.global_hidden_size)


class Convolution(nn.Module):
    """(rows, tokens, hidden) to the same, over as many neighbours on the left as on the right."""

    def __init__(self, config: ProteinBertConfig, apart: int):
        super().__init__()
        width, kernel = config.hidden_size, config.conv_kernel_size
        self.conv = nn.Conv1d(width, width, kernel, dilation=apart, padding=apart * (kernel - 1) // 2)

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        return gelu(self.conv(hidden.transpose(1, 2)).transpose(1, 2))


class GlobalAttention(nn.Module):
    """What the whole protein, (rows, wide), takes from its residues, (rows, tokens, hidden): (rows, wide)."""

    def __init__(self, config: ProteinBertConfig):
        super().__init__()
        heads, size, width = config.num_attention_heads, config.attention_key_size, config.hidden_size
        self.query = nn.Parameter(torch.empty(heads, config.global_hidden_size, size))
        self.key = nn.Parameter(torch.empty(heads, width, size))
        self.value = nn.Parameter(torch.empty(heads, width, config.global_hidden_size // heads))

    def forward(self, whole: torch.Tensor, hidden: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
        query = torch.tanh(torch.einsum("rw,hwk->rhk", whole, self.query))
        key = torch.tanh(torch.einsum("rtd,hdk->rhtk", hidden, self.key))
        value = gelu(torch.einsum("rtd,hdv->rhtv", hidden, self.value))
        scores = torch.einsum("rhk,rhtk->rht", query, key) / self.query.shape[2] ** 0.5
        if mask is not None:
            scores = scores.masked_fill(~mask[:, None], -torch.inf)
        return torch.einsum("rht,rhtv->rhv", scores.softmax(-1), value).flatten(1)


class Layer(GradientCheckpointingLayer):
    def __init__(self, config: ProteinBertConfig):
        super().__init__()
        width, wide, eps = config.hidden_size, config.global_hidden_size, config.layer_norm_eps
        self.global_to_sequence = nn.Linear(wide, width)
        self.narrow_conv, self.wide_conv = Convolution(config, 1), Convolution(config, config.wide_conv_dilation_rate)
        self.sequence_layer_norm1, self.sequence_layer_norm2 = (nn.LayerNorm(width, eps=eps) for _ in range(2))
        self.sequence_dense = nn.Linear(width, width)
        self.global_dense1, self.global_dense2 = (nn.Linear(wide, wide) for _ in range(2))
        self.global_attention = GlobalAttention(config)
        self.global_layer_norm1, self.global_layer_norm2 = (nn.LayerNorm(wide, eps=eps) for _ in range(2))

    def forward(
        self, hidden: torch.Tensor, whole: torch.Tensor, mask: torch.Tensor | None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        told = gelu(self.global_to_sequence(whole))[:, None]
        hidden = self.sequence_layer_norm1(hidden + told + self.narrow_conv(hidden) + self.wide_conv(hidden))
        hidden = self.sequence_layer_norm2(hidden + gelu(self.sequence_dense(hidden)))
        seen = self.global_attention(whole, hidden, mask)
        whole = self.global_layer_norm1(whole + gelu(self.global_dense1(whole)) + seen)
        whole = self.global_layer_norm2(whole + gelu(self.global_dense2(whole)))
        return hidden if mask is None else hidden * mask[..., None], whole


class Encoder(nn.Module):
    def __init__(self, config: ProteinBertConfig):
        super().__init__()
        self.layer = nn.ModuleList(Layer(config) for _ in range(config.num_hidden_layers))


class ProteinBertBase(PreTrainedModel):
    config_class = ProteinBertConfig
    base_model_prefix = "model"
    main_input_name = "input_ids"
    supports_gradient_checkpointing = True
    _supports_sdpa = True
    _no_split_modules = ["Layer"]  # noqa: RUF012
    _keys_to_ignore_on_load_unexpected = [  # noqa: RUF012
        r"annotation_embeddings\.weight$",
        r"^(lm_head|annotation_head|sequence_head|token_head)\.",
    ]

    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if isinstance(module, GlobalAttention):
            for parameter in module.parameters():
                nn.init.normal_(parameter, std=self.config.initializer_range)


class ProteinBertModel(ProteinBertBase):
    """The encoder. ``from_pretrained`` takes the published safetensors, with or without ``model.``."""

    def __init__(self, config: ProteinBertConfig):
        super().__init__(config)
        if not config.num_attention_heads or config.global_hidden_size % config.num_attention_heads:
            raise ValueError(
                f"the width of the protein, {config.global_hidden_size}, cannot be shared by "
                f"{config.num_attention_heads} heads"
            )
        if not config.conv_kernel_size % 2:
            raise ValueError(f"conv_kernel_size is {config.conv_kernel_size}, and must be odd")
        self.embeddings, self.encoder = Embeddings(config), Encoder(config)
        self.post_init()

    def get_input_embeddings(self) -> nn.Module:
        return self.embeddings.word_embeddings

    def set_input_embeddings(self, value: nn.Module) -> None:
        self.embeddings.word_embeddings = value

    def forward(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        output_hidden_states: bool = False,
        **_,  # what peft passes to every model
    ) -> BaseModelOutput:
        """Vectors of all tokens, (rows, tokens, width); those of padding are 0.

        Args:
            input_ids: (rows, tokens).
            attention_mask: (rows, tokens), 1 for tokens and 0 for padding.
            output_hidden_states: also give those before the first layer and after each, ``num_hidden_layers + 1``.
        """
        hidden = self.embeddings.word_embeddings(input_ids)
        mask = None if attention_mask is None else attention_mask.bool()
        if mask is not None:
            hidden = hidden * mask[..., None]
        whole = gelu(self.embeddings.annotation_embeddings.bias).expand(len(hidden), -1)
        states = [hidden] if output_hidden_states else []
        for layer in self.encoder.layer:
            hidden, whole = layer(hidden, whole, mask)
            if output_hidden_states:
                states.append(hidden)
        return BaseModelOutput(hidden, hidden_states=tuple(states) if output_hidden_states else None)


class LanguageHead(nn.Module):
    def __init__(self, config: ProteinBertConfig):
        super().__init__()
        self.decoder = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.bias = nn.Parameter(torch.zeros(config.vocab_size))

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        return self.decoder(hidden) + self.bias


class ProteinBertForMaskedLM(ProteinBertBase, MaskedModel):
    """The encoder and the head that says what stands where a token is hidden."""

    _keys_to_ignore_on_load_unexpected = [  # noqa: RUF012
        r"annotation_embeddings\.weight$", r"^annotation_head\.", r"^lm_head\.decoder\.bias$",
    ]  # fmt: skip

    def __init__(self, config: ProteinBertConfig):
        super().__init__(config)
        self.model, self.lm_head = ProteinBertModel(config), LanguageHead(config)
        self.post_init()
