"""RoBERTa encoders, as used for DNA, molecules and proteins.

Tokens of a sequence::

    <s> T1 … Tn </s> <pad> …

Position ids start after that of the padding token, which costs two positions.
"""

from __future__ import annotations

from . import Family


class Roberta(Family):
    name = "RoBERTa"
    model_types = ("roberta",)
    prefix = ("<s>",)
    suffix = ("</s>",)

    @property
    def window(self) -> int:
        return int(self.config["max_position_embeddings"]) - int(self.config.get("pad_token_id", 1)) - 3

    def load(self, folder, **options):
        from transformers import RobertaModel

        return RobertaModel.from_pretrained(folder, add_pooling_layer=False, **options)
