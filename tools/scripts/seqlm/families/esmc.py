"""ESM Cambrian (EvolutionaryScale 2024, https://www.evolutionaryscale.ai/blog/esm-cambrian), as transformers has it.

Tokens of a sequence AA1 … AAn::

    <cls> AA1 … AAn <eos> <pad> …

Positions are rotary; 2,046 residues at once is what the model was trained on.
"""

from __future__ import annotations

from seqlm.cli.errors import InputError

from .family import Family

# what transformers' class reads of config.json, and what any model may say that changes no number
ENTRIES = frozenset((
    "_name_or_path", "architectures", "attention_bias", "attention_dropout", "auto_map", "bos_token_id",
    "chunk_size_feed_forward", "classifier_dropout", "dtype", "eos_token_id", "head_dim", "hidden_act",
    "hidden_size", "id2label", "initializer_range", "intermediate_size", "is_encoder_decoder", "label2id",
    "mask_token_id", "max_position_embeddings", "mlp_bias", "model_type", "num_attention_heads",
    "num_hidden_layers", "num_key_value_heads", "output_attentions", "output_hidden_states", "pad_token_id",
    "problem_type", "return_dict", "rope_parameters", "rope_theta", "tie_word_embeddings", "torch_dtype",
    "transformers_version", "use_cache", "vocab_size",
))  # fmt: skip


class EsmC(Family):
    name = "ESM-C"
    model_types = ("esmc",)
    prefix = ("<cls>",)
    suffix = ("<eos>",)
    kept = (8, 24, 12)
    score_dropout = ("attention_dropout", 0.0)
    citations = ("esmc",)
    of_its_authors = ENTRIES
    lora_modules = {  # noqa: RUF012
        "query-value": ["q_proj", "v_proj"],
        "attention": ["q_proj", "k_proj", "v_proj", "o_proj"],
        "all-linear": ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"],
    }
    scaled, scaled_inputs = ("k_proj", "v_proj"), ("down_proj",)
    layer_norms = ["input_layernorm", "post_attention_layernorm", "q_norm", "k_norm", "norm"]  # noqa: RUF012
    layers = "layers"

    def load(self, folder, **options):
        return _known("EsmcModel").from_pretrained(folder, **options)

    def load_language_model(self, folder, **options):
        return _known("EsmcForMaskedLM").from_pretrained(folder, **options)


def _known(name: str):
    """A class of transformers."""
    import transformers

    if not hasattr(transformers, name):
        raise InputError(f"ESM-C needs transformers 5.16 or newer, and this server has {transformers.__version__}")
    return getattr(transformers, name)
