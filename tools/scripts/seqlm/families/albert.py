"""ALBERT encoders: ProtALBERT (Elnaggar et al. 2021, https://doi.org/10.1109/TPAMI.2021.3095381).

Tokens of a sequence AA1 … AAn, one a residue, SentencePiece with the residues set apart by spaces::

    [CLS] ▁AA1 … ▁AAn [SEP] <pad> …

U, Z, O and B are X. All layers share their weights, so an adapter that is put on one is on all of them.
"""

from __future__ import annotations

from .family import Family
from .prottrans import ProtTrans


class Albert(ProtTrans, Family):
    name = "ALBERT"
    model_types = ("albert",)
    language_head = "predictions.dense.weight"
    prefix = ("[CLS]",)
    suffix = ("[SEP]",)
    checkpointing = False
    kept, score_dropout = (8, 16, 16), ("attention_probs_dropout_prob", 0.0)
    lora_modules = {  # noqa: RUF012
        "query-value": ["query", "value"],
        "attention": ["query", "key", "value", "dense"],
        "all-linear": ["query", "key", "value", "dense", "ffn", "ffn_output"],
    }
    scaled_inputs = ("ffn_output",)
    layer_norms = ["LayerNorm", "full_layer_layer_norm"]  # noqa: RUF012
    layers = "albert_layer_groups"

    def load(self, folder, **options):
        from transformers import AlbertModel

        return AlbertModel.from_pretrained(folder, add_pooling_layer=False, **options)
