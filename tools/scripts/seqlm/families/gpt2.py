"""GPT-2 decoders: ProtGPT2 (Ferruz et al. 2022, https://doi.org/10.1038/s41467-022-32007-7), and models made here.

Tokens of a sequence, without any special one, as the tokenizer of the model gives them::

    T1 … Tn <pad> …

A token sees only those before it, so its vector says nothing of what follows: the last one has seen everything.
"""

from __future__ import annotations

from seqlm.data.records import PROTEIN

from .family import Family


class Gpt2(Family):
    name = "GPT-2"
    model_types = ("gpt2",)
    language_head = ""
    causal = True
    lora_modules = {  # noqa: RUF012
        # one matrix gives queries, keys and values, so an adapter on it changes all three
        "query-value": ["c_attn"],
        "attention": ["c_attn", "attn.c_proj"],
        "all-linear": ["c_attn", "c_proj", "c_fc"],
    }
    scaled, scaled_inputs = ("c_attn",), (r"mlp\.c_proj",)
    layer_norms = ["ln_1", "ln_2", "ln_f"]  # noqa: RUF012
    layers = "h"
    kept, score_dropout = (12, 16, 16), ("attn_pdrop", 0.1)

    @property
    def citations(self) -> tuple[str, ...]:
        return ("protgpt2",) if self.alphabet == PROTEIN and not self.one_letter_tokens else ()

    @property
    def window(self) -> int:
        return int(self.config["n_positions"])

    @property
    def hidden_size(self) -> int:
        return int(self.config["n_embd"])

    def load(self, folder, **options):
        from transformers import GPT2Model

        # keys and values are kept for generating, which is not what a model without its head is for
        return GPT2Model.from_pretrained(folder, use_cache=False, **options)
