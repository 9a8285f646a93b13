"""GENERator (Wu et al. 2025, https://doi.org/10.48550/arXiv.2502.07272; second version Li et al. 2026,
https://doi.org/10.64898/2026.01.27.702015) and Carbon (2026, https://github.com/huggingface/carbon): LLaMA decoders of
DNA whose tokens are 6-mers side by side.

::

    <s>   ACGTAC GTTTGA … <pad> …      GENERator
    <dna> ACGTAC GTTTGA …              Carbon

A 6-mer with anything but A, C, G and T is ``<oov>``. So is to GENERator what is left over at the end, which Carbon
completes with A. Their tokenizers are code and written here, see :mod:`seqlm.tokenization.six_mers`; Carbon's other
tokens, for English, are never read. GENERator's config.json names code too, which is LLaMA with another way to draw
the next 6-mer: it draws each base from its share over all 6-mers, as if it were independent of the five others.
"""

from __future__ import annotations

from .llama import Llama
from .vocabulary import DNA_BEGINS, DNA_ENDS, reads_six_mers

# what LLaMA's config.json says; with any other entry the code that is named there might compute something else
ENTRIES = frozenset((
    "_name_or_path", "architectures", "attention_bias", "attention_dropout", "auto_map", "bos_token_id", "dtype",
    "eos_token_id", "head_dim", "hidden_act", "hidden_size", "initializer_range", "intermediate_size",
    "max_position_embeddings", "mlp_bias", "model_type", "num_attention_heads", "num_hidden_layers",
    "num_key_value_heads", "pad_token_id", "pretraining_tp", "rms_norm_eps", "rope_parameters", "rope_scaling",
    "rope_theta", "tie_word_embeddings", "torch_dtype", "transformers_version", "use_cache", "vocab_size",
))  # fmt: skip


class Generator(Llama):
    name = "GENERator"
    citations = ("generator", "generator-2")
    of_its_authors = ENTRIES
    blocks = True
    begins, ends = "<s>", "</s>"

    @classmethod
    def reads(cls, vocabulary: dict[str, int]) -> bool:
        return reads_six_mers(vocabulary) and DNA_BEGINS not in vocabulary

    @property
    def prefix(self) -> tuple[str, ...]:
        return (self.begins,)

    @property
    def start_token(self) -> int | None:
        return self.vocabulary.get(self.begins)

    @property
    def end_tokens(self) -> tuple[int, ...]:
        ends = (self.vocabulary.get(self.ends), *super().end_tokens)
        return tuple(dict.fromkeys(end for end in ends if end is not None))


class Carbon(Generator):
    name = "Carbon"
    citations = ("carbon",)
    begins, ends = DNA_BEGINS, DNA_ENDS

    @classmethod
    def reads(cls, vocabulary: dict[str, int]) -> bool:
        return reads_six_mers(vocabulary) and DNA_BEGINS in vocabulary
