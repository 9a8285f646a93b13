"""LLaMA decoders (Touvron et al. 2023, https://doi.org/10.48550/arXiv.2302.13971), any of them.

Tokens of a sequence; the token that begins every text of the training is put in front where the model has one::

    <s> T1 … Tn <pad> …

A token sees only those before it, so its vector says nothing of what follows: the last one has seen everything.
"""

from __future__ import annotations

from .family import Family
from .vocabulary import reads_six_mers


class Llama(Family):
    name = "LLaMA"
    model_types = ("llama",)
    language_head = ""
    citations = ("llama",)
    causal = True
    lora_modules = {  # noqa: RUF012
        "query-value": ["q_proj", "v_proj"],
        "attention": ["q_proj", "k_proj", "v_proj", "o_proj"],
        "all-linear": ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"],
    }
    scaled, scaled_inputs = ("k_proj", "v_proj"), ("down_proj",)
    layer_norms = ["input_layernorm", "post_attention_layernorm", "norm"]  # noqa: RUF012
    layers = "layers"
    kept, score_dropout = (8, 16, 12), ("attention_dropout", 0.0)

    @classmethod
    def reads(cls, vocabulary: dict[str, int]) -> bool:
        return not reads_six_mers(vocabulary)

    @property
    def prefix(self) -> tuple[str, ...]:
        first = self.token_of(self.config.get("bos_token_id"))
        return (first,) if first else ()

    def load(self, folder, **options):
        from transformers import LlamaModel

        # keys and values are kept for generating, which is not what a model without its head is for
        return LlamaModel.from_pretrained(folder, use_cache=False, **options)
