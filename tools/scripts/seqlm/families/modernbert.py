"""ModernBERT encoders (Warner et al. 2024, https://doi.org/10.48550/arXiv.2412.13663), as used for DNA.

Tokens of a sequence, pieces of one to many bases where the tokenizer is one of byte pairs::

    [CLS] T1 … Tn [SEP] [PAD] …

Positions are rotary, and most layers see only the tokens near each one.
"""

from __future__ import annotations

from .family import Family


class ModernBert(Family):
    name = "ModernBERT"
    model_types = ("modernbert",)
    language_head = "head.dense.weight"
    citations = ("modernbert",)
    lora_modules = {  # noqa: RUF012
        # one matrix gives queries, keys and values, so an adapter on it changes all three
        "query-value": ["Wqkv"],
        "attention": ["Wqkv", "attn.Wo"],
        "all-linear": ["Wqkv", "Wo", "Wi"],
    }
    scaled, scaled_inputs = ("Wqkv",), (r"mlp\.Wo",)
    layer_norms = ["attn_norm", "mlp_norm", "final_norm", "embeddings.norm"]  # noqa: RUF012
    layers = "layers"
    kept, score_dropout = (16, 16, 12), ("attention_dropout", 0.0)

    @property
    def prefix(self) -> tuple[str, ...]:
        return (self.token_of(self.config.get("cls_token_id")) or "[CLS]",)

    @property
    def suffix(self) -> tuple[str, ...]:
        return (self.token_of(self.config.get("sep_token_id")) or "[SEP]",)

    def load(self, folder, **options):
        from transformers import ModernBertModel

        return ModernBertModel.from_pretrained(folder, **options)
