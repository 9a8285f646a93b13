"""HyenaDNA (Nguyen et al. 2023, https://doi.org/10.48550/arXiv.2306.15794), which transformers has no class for.

A decoder without attention (Poli et al. 2023, https://doi.org/10.48550/arXiv.2302.10866). In each layer a map of the
normalised states gives three numbers x, w and v for each channel and place, each filtered over itself and the two
places before, and one long filter a channel mixes all places behind::

    h + out_proj(x · (k * (w · v)))        (k * u)[t] = b·u[t] + Σ k[t - s]·u[s], over s ≤ t
    h + fc2(gelu(fc1(h)))

A filter has a number for each distance, which a small network with sines computes from a code of the distance, times a
window that falls with it. Convolutions are products of Fourier transforms, so that work grows with n log n and memory
with n. They are computed a few channels at a time, which changes no number, and in single precision at the least, as
are the filters, whose weights are never rounded to half. Names of tensors are those of the published checkpoints.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from scipy.fft import next_fast_len
from torch import nn
from torch.nn.functional import conv1d, gelu, linear
from transformers import PreTrainedConfig, PreTrainedModel
from transformers.cache_utils import Cache, DynamicCache
from transformers.modeling_layers import GradientCheckpointingLayer
from transformers.modeling_outputs import BaseModelOutputWithPast

from .heads import CausalModel

ORDER, TAPS = 2, 3  # of the published models: maps that are multiplied beside the values, places of the short filter
FAST, SLOW, TARGET, SHIFT = 0.3, 1.5, 1e-2, 0.05  # the window falls to TARGET in so many whole lengths, and never below
NUMBERS = 1 << 19  # of a Fourier transform that are computed at once, but for so many channels at the least
CHANNELS = 32
PIECE = 1 << 10  # tokens of what is each token's own that are computed at once, where no gradients are


class HyenaDnaConfig(PreTrainedConfig):
    """Sizes by their published names.

    Where the published config.json says which Python code to fetch, that is forgotten, so it is never saved again.
    """

    model_type = "hyenadna"
    attribute_map = {  # noqa: RUF012
        "hidden_size": "d_model",
        "max_position_embeddings": "max_seq_len",
        "num_hidden_layers": "n_layer",
    }

    vocab_size: int = 12
    pad_vocab_size_multiple: int = 8
    d_model: int = 256
    d_inner: int = 1024
    n_layer: int = 8
    max_seq_len: int = 160_002
    emb_dim: int = 5
    filter_order: int = 64
    num_inner_mlps: int = 2
    hyena_order: int = ORDER
    short_filter_order: int = TAPS
    activation_freq: float | int = 10
    train_freq: bool = True
    use_bias: bool = True
    embed_dropout: float | int = 0.1
    hyena_dropout: float | int = 0.0
    hyena_filter_dropout: float | int = 0.0
    layer_norm_epsilon: float = 1e-5
    initializer_range: float = 0.02
    use_cache: bool = True
    pad_token_id: int | None = 4
    tie_word_embeddings: bool = False

    def __post_init__(self, **kwargs):
        kwargs.pop("auto_map", None)
        super().__post_init__(**kwargs)

    @property
    def rows(self) -> int:
        """Tokens that there are vectors for: the vocabulary, filled up to a multiple."""
        return math.ceil(self.vocab_size / self.pad_vocab_size_multiple) * self.pad_vocab_size_multiple


def at_least_single(tensor: torch.Tensor) -> torch.Tensor:
    return tensor if tensor.dtype == torch.float64 else tensor.float()


class LongConvolution(torch.autograd.Function):
    """Causal convolution of (rows, channels, tokens) with a filter (channels, tokens) of each channel.

    Kept for the gradients are what is convolved and the filter, not their transforms, which take four times as much.
    """

    @staticmethod
    def forward(context, values: torch.Tensor, filters: torch.Tensor) -> torch.Tensor:
        context.save_for_backward(values, filters)
        size = next_fast_len(2 * values.shape[-1], real=True)
        product = torch.fft.rfft(values, n=size).mul_(torch.fft.rfft(filters, n=size))
        mixed = torch.fft.irfft(product, n=size)[..., : values.shape[-1]]
        return mixed.contiguous() if any(context.needs_input_grad) else mixed  # half of it, where it is kept

    @staticmethod
    def backward(context, gradient: torch.Tensor):
        values, filters = context.saved_tensors
        tokens, size = values.shape[-1], next_fast_len(2 * values.shape[-1], real=True)
        transformed, found = torch.fft.rfft(gradient, n=size), [None, None]
        for place, other in ((0, filters), (1, values)):
            if context.needs_input_grad[place]:
                product = torch.fft.rfft(other, n=size).conj() * transformed
                product = product.sum(0) if place else product
                found[place] = torch.fft.irfft(product, n=size)[..., :tokens]
        return tuple(found)


class Sine(nn.Module):
    """Of a number times a frequency that is learnt; one for all layers of a filter."""

    def __init__(self, config: HyenaDnaConfig):
        super().__init__()
        self.freq = nn.Parameter(torch.full((1, config.filter_order), float(config.activation_freq)))


class Distances(nn.Module):
    """A code of each distance, (1, distances, ``emb_dim``): the share of the whole length, and waves.

    Held in single precision, and read from the checkpoint, as it could be trained.
    """

    def __init__(self, config: HyenaDnaConfig):
        super().__init__()
        length, bands = config.max_seq_len, (config.emb_dim - 1) // 2
        share = torch.linspace(0, 1, length)[None, :, None]
        turns = 2 * math.pi * torch.linspace(0, length - 1, length)[None, :, None] / length
        waves = torch.linspace(1e-4, bands - 1, bands)[None, None] * turns
        self.register_buffer("z", torch.cat([share, torch.cos(waves), -torch.sin(waves)], dim=-1))


class Filter(nn.Module):
    """The long filters of a layer, computed from codes of distances."""

    def __init__(self, config: HyenaDnaConfig):
        super().__init__()
        width, inner = config.filter_order, config.num_inner_mlps
        self.length = config.max_seq_len
        self.bias = nn.Parameter(torch.randn(config.d_model))
        self.pos_emb = Distances(config)
        # a sine stands after each map but the last; all are one, and a file has it once
        maps = {0: nn.Linear(config.emb_dim, width), 1: Sine(config)}
        maps |= {2 * number: nn.Linear(width, width) for number in range(1, inner + 1)}
        maps[2 * (inner + 1)] = nn.Linear(width, config.d_model, bias=False)
        self.implicit_filter = nn.ModuleDict({str(number): module for number, module in maps.items()})

    def features(self, tokens: int) -> torch.Tensor:
        """What the last map reads, (``filter_order``, distances)."""
        first, sine, *inner, _ = self.implicit_filter.values()
        frequency = at_least_single(sine.freq)
        states = self.pos_emb.z[0, :tokens].to(frequency.dtype)
        for one in (first, *inner):
            states = torch.sin(frequency * linear(states, one.weight.to(states.dtype), one.bias.to(states.dtype)))
        return states.T

    def of(self, channels: slice, features: torch.Tensor) -> torch.Tensor:
        """The filters of some channels, (channels, distances), with what a place counts for itself at distance 0."""
        *_, last = self.implicit_filter.values()
        given = {"dtype": features.dtype, "device": features.device}
        rates = -torch.linspace(math.log(TARGET) / SLOW, math.log(TARGET) / FAST, len(self.bias), **given)[channels]
        share = torch.linspace(0, 1, self.length, **given)[: features.shape[1]]
        window = torch.exp(-rates[:, None] * share).add_(SHIFT)
        filters = (last.weight[channels].to(features.dtype) @ features) * window
        filters[:, 0] += self.bias[channels]
        return filters


class Mixer(nn.Module):
    def __init__(self, config: HyenaDnaConfig, layer: int):
        super().__init__()
        self.width, self.layer = config.d_model, layer
        across = (ORDER + 1) * config.d_model
        self.in_proj, self.out_proj = nn.Linear(config.d_model, across), nn.Linear(config.d_model, config.d_model)
        self.short_filter = nn.Conv1d(across, across, TAPS, padding=TAPS - 1, groups=across)
        self.filter_fn = Filter(config)
        self.dropout = nn.Dropout(config.hyena_dropout)

    def forward(self, hidden: torch.Tensor, real: torch.Tensor | None, cache: Cache | None) -> torch.Tensor:
        """What ``out_proj`` reads, (rows, tokens, width).

        Args:
            hidden: (rows, tokens, width).
            real: (rows, tokens, 1) 0 for padding, 1 for tokens; None without padding.
        """
        rows, tokens, _ = hidden.shape
        many = max(CHANNELS, NUMBERS // (rows * tokens))
        weights, biases = (one.view(ORDER + 1, self.width, -1) for one in self.short_filter.parameters())
        parts, gated, mixed, features = [], [], [], None
        for channels, part in self._maps(hidden, many):
            part = part if real is None else part * real.mT.to(part.dtype)
            weight, bias = weights[:, channels].flatten(0, 1), biases[:, channels].flatten()
            filtered = conv1d(part, weight[:, None], bias, padding=TAPS - 1, groups=len(bias))[..., :tokens]
            outside, inside, values = filtered.chunk(ORDER + 1, 1)
            values = self.dropout(values * inside)
            values = values if real is None else values * real.mT.to(values.dtype)
            with torch.autocast(hidden.device.type, enabled=False):
                features = self.filter_fn.features(tokens) if features is None else features
                long = LongConvolution.apply(at_least_single(values), self.filter_fn.of(channels, features))
            mixed.append(outside * long.to(outside.dtype))
            if cache is not None:
                parts.append(part.view(rows, ORDER + 1, -1, tokens))
                gated.append(values)
        if cache is not None:
            cache.update(torch.cat(parts, 2).flatten(1, 2).mT[:, None], torch.cat(gated, 1).mT[:, None], self.layer)
        return torch.cat(mixed, 1).mT

    def _maps(self, hidden: torch.Tensor, many: int) -> Iterator[tuple[slice, torch.Tensor]]:
        """What ``in_proj`` makes of (rows, tokens, width), so many channels at a time: which, and their three maps,
        (rows, maps of channels, tokens), written this way round at once where no adapter is in between."""
        plain = type(self.in_proj) is nn.Linear
        if plain:
            weights, biases = (one.view(ORDER + 1, self.width, -1) for one in self.in_proj.parameters())
        else:
            maps = self.in_proj(hidden).mT.unflatten(1, (ORDER + 1, self.width))
        for first in range(0, self.width, many):
            channels = slice(first, min(first + many, self.width))
            if plain:
                weight, bias = weights[:, channels].flatten(0, 1), biases[:, channels].flatten(0, 1)
                yield channels, torch.baddbmm(bias[None], weight.expand(len(hidden), -1, -1), hidden.mT)
            else:
                yield channels, maps[:, :, channels].flatten(1, 2)

    def step(self, hidden: torch.Tensor, places: torch.Tensor, cache: Cache) -> torch.Tensor:
        """The same of one more token of each row, at its place, (rows,), from what was noted of those before."""
        maps, rows = self.in_proj(hidden), torch.arange(len(hidden), device=hidden.device)
        noted, gated = cache.update(maps[:, None], maps.new_zeros(len(rows), 1, 1, self.width), self.layer)
        near = places[:, None] - torch.arange(TAPS - 1, -1, -1, device=places.device)
        recent = noted[rows[:, None], 0, near.clamp(min=0)] * (near >= 0)[..., None]  # (rows, places, maps)
        filtered = (recent * self.short_filter.weight[:, 0].T).sum(1) + self.short_filter.bias
        outside, inside, values = filtered.chunk(ORDER + 1, 1)
        gated[rows, 0, places] = values * inside  # in the cache itself
        filters, long = self._filters(int(places.max()) + 1, cache), torch.empty_like(values)
        for place in places.unique().tolist():
            mine = places == place
            long[mine] = torch.einsum(
                "rtc,ct->rc", at_least_single(gated[mine, 0, : place + 1]), filters[:, : place + 1].flip(1)
            ).to(long.dtype)
        return (outside * long)[:, None]

    def _filters(self, tokens: int, cache: Cache) -> torch.Tensor:
        """The filters of all channels for so many distances at the least, (channels, distances), kept with a cache."""
        kept = vars(cache).setdefault("filters", {})
        if self.layer not in kept or kept[self.layer].shape[1] < tokens:
            with torch.autocast(self.in_proj.weight.device.type, enabled=False):
                kept[self.layer] = self.filter_fn.of(slice(None), self.filter_fn.features(2 * tokens))
        return kept[self.layer]


class FeedForward(nn.Module):
    def __init__(self, config: HyenaDnaConfig):
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(config.d_model, config.d_inner), nn.Linear(config.d_inner, config.d_model)

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        return self.fc2(gelu(self.fc1(hidden), approximate="tanh"))


class Block(GradientCheckpointingLayer):
    def __init__(self, config: HyenaDnaConfig, layer: int):
        super().__init__()
        self.mixer, self.norm1 = Mixer(config, layer), nn.LayerNorm(config.d_model)
        self.mlp, self.norm2 = FeedForward(config), nn.LayerNorm(config.d_model)

    def forward(self, hidden: torch.Tensor, real=None, cache: Cache | None = None, places=None) -> torch.Tensor:
        normed = self.norm1(hidden.to(self.norm1.weight.dtype))
        mixed = self.mixer(normed, real, cache) if places is None else self.mixer.step(normed, places, cache)
        if torch.is_grad_enabled():
            return self._fed(hidden, mixed)
        del normed
        size, found = max(PIECE // len(hidden), 1), torch.empty_like(hidden)
        for parts in zip(*(one.split(size, 1) for one in (found, hidden, mixed)), strict=True):
            parts[0][:] = self._fed(*parts[1:])
        return found

    def _fed(self, hidden: torch.Tensor, mixed: torch.Tensor) -> torch.Tensor:
        """The rest of the layer, which is each token's own."""
        hidden = hidden + self.mixer.out_proj(mixed)
        return hidden + self.mlp(self.norm2(hidden.to(self.norm2.weight.dtype)))


class Embeddings(nn.Module):
    def __init__(self, config: HyenaDnaConfig):
        super().__init__()
        self.word_embeddings = nn.Embedding(config.rows, config.d_model)


class Backbone(nn.Module):
    def __init__(self, config: HyenaDnaConfig):
        super().__init__()
        self.embeddings = Embeddings(config)
        self.layers = nn.ModuleList(Block(config, layer) for layer in range(config.n_layer))
        self.ln_f = nn.LayerNorm(config.d_model, eps=config.layer_norm_epsilon)


KEPT_SINGLE = ["filter_fn"]  # of ten times a number sines are taken: rounded to half, filters would be others
# of published files: what is computed, and further names of the one sine of a layer
UNREAD = [r"pos_emb\.t$", r"modulation\.deltas$", r"implicit_filter\.(?!1\.)\d+\.freq$"]


class HyenaDnaModel(PreTrainedModel):
    """The decoder. ``from_pretrained`` takes the published safetensors, with or without ``hyena.``."""

    config_class = HyenaDnaConfig
    base_model_prefix = "hyena"
    main_input_name = "input_ids"
    supports_gradient_checkpointing = True
    _supports_sdpa = True
    _no_split_modules = ["Block"]  # noqa: RUF012
    _keep_in_fp32_modules_strict = KEPT_SINGLE
    _keys_to_ignore_on_load_unexpected = [r"^lm_head\.", *UNREAD]  # noqa: RUF012

    def __init__(self, config: HyenaDnaConfig):
        super().__init__(config)
        fixed = {"hyena_order": ORDER, "short_filter_order": TAPS, "train_freq": True}
        for entry, value in fixed.items():
            if getattr(config, entry) != value:
                raise ValueError(f"'{entry}' of a HyenaDNA must be {value}, and is {getattr(config, entry)}")
        if config.emb_dim < 3 or config.emb_dim % 2 == 0:
            raise ValueError(f"'emb_dim' of a HyenaDNA must be odd and 3 at the least, and is {config.emb_dim}")
        self.backbone = Backbone(config)
        self.post_init()

    def get_input_embeddings(self) -> nn.Module:
        return self.backbone.embeddings.word_embeddings

    def set_input_embeddings(self, value: nn.Module) -> None:
        self.backbone.embeddings.word_embeddings = value

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
        """Vectors of all tokens, (rows, tokens, width); those of padding mean nothing, on whichever side it is.

        Args:
            input_ids: (rows, tokens); (rows, 1) where those before are known.
            attention_mask: (rows, tokens), 1 for tokens and 0 for padding.
            position_ids: (rows, 1) places of the one token; that after all that are known if not given.
            past_key_values: what is noted of the tokens before: the three maps as keys, what is convolved as values.
            use_cache: whether that is noted; it is given back.
            output_hidden_states: also give those before the first layer and after each, ``n_layer + 1``; the last
                are normalised.

        Raises:
            ValueError: more tokens than there are distances, or several after those that are known.
        """
        if use_cache and past_key_values is None:
            past_key_values = DynamicCache(config=self.config)
        before = past_key_values.get_seq_length() if past_key_values is not None else 0
        if before + input_ids.shape[1] > self.config.max_seq_len:
            raise ValueError(f"the model reads at most {self.config.max_seq_len} tokens")
        real = None if attention_mask is None or attention_mask.all() else attention_mask[..., None]
        places = None
        if before:
            if input_ids.shape[1] > 1 or (real is not None and real.ndim == 3):
                raise ValueError("one token at a time follows those that are known, without padding")
            places = position_ids[:, 0] if position_ids is not None else input_ids.new_full((1,), before)
            places = places.expand(len(input_ids))
        hidden = at_least_single(self.get_input_embeddings()(input_ids))
        states = []
        for block in self.backbone.layers:
            if output_hidden_states:
                states.append(hidden)
            hidden = block(hidden, real, past_key_values, places)
        last = self.backbone.ln_f
        hidden = last(hidden.to(last.weight.dtype))
        return BaseModelOutputWithPast(
            hidden, past_key_values, hidden_states=(*states, hidden) if output_hidden_states else None
        )


class HyenaDnaForCausalLM(CausalModel):
    """The decoder and the layer that gives a number for each token."""

    config_class = HyenaDnaConfig
    base_model_prefix = "hyena"
    _no_split_modules = ["Block"]  # noqa: RUF012
    _keep_in_fp32_modules_strict = KEPT_SINGLE
    _keys_to_ignore_on_load_unexpected = UNREAD

    def __init__(self, config: HyenaDnaConfig):
        super().__init__(config)
        self.hyena = HyenaDnaModel(config)
        self.lm_head = nn.Linear(config.d_model, config.rows, bias=False)
        self.post_init()
