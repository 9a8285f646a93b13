"""RoBERTa encoders, as used for DNA, molecules (ChemBERTa-2) and proteins.

Tokens of a sequence::

    <s> T1 … Tn </s> <pad> …

Position ids start after that of the padding token, which costs two positions.
"""

from __future__ import annotations

import math

from .family import Family


class Roberta(Family):
    name = "RoBERTa"
    model_types = ("roberta",)

    @property
    def prefix(self) -> tuple[str, ...]:
        return (self._first("<s>", "[CLS]"),)

    @property
    def suffix(self) -> tuple[str, ...]:
        return (self._first("</s>", "[SEP]"),)

    def _first(self, *tokens: str) -> str:
        """Of names for one thing, the one with the smallest id.

        ChemBERTa-2 was trained with BERT's [CLS] and [SEP]; <s> and </s> were put behind its vocabulary later.
        """
        return min(tokens, key=lambda token: self.vocabulary.get(token, math.inf))

    @property
    def window(self) -> int:
        return int(self.config["max_position_embeddings"]) - int(self.config.get("pad_token_id", 1)) - 3

    def load(self, folder, **options):
        from transformers import RobertaModel

        return RobertaModel.from_pretrained(folder, add_pooling_layer=False, **options)
