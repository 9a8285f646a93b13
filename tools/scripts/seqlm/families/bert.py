"""BERT encoders: ProtBERT and IgBert (residues set apart by spaces, U Z O B as X) and BERT-type DNA models such as
GROVER (Sanabria et al. 2024, https://doi.org/10.1038/s42256-024-00872-0), which reads pieces by byte-pair encoding.

Tokens of a sequence AA1 … AAn::

    [CLS] AA1 … AAn [SEP] [PAD] …

IgBert may read two chains, see :mod:`seqlm.tokenization.chains`. Nothing in its files tells it from ProtBERT.
"""

from __future__ import annotations

from seqlm.data.records import PROTEIN

from .dnabert2 import has_alibi
from .family import Family
from .prottrans import ProtTrans


class Bert(ProtTrans, Family):
    name = "BERT"
    model_types = ("bert",)
    language_head = "cls.predictions.transform.dense.weight"
    prefix = ("[CLS]",)
    suffix = ("[SEP]",)

    @classmethod
    def fits(cls, config: dict) -> bool:
        return super().fits(config) and not has_alibi(config)

    @property
    def between_chains(self) -> str:
        return "[SEP]" if self.alphabet == PROTEIN and self.one_letter_tokens else ""

    def load(self, folder, **options):
        from transformers import BertModel

        return BertModel.from_pretrained(folder, add_pooling_layer=False, **options)
