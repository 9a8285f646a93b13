"""ESM-2 (Lin et al. 2023, https://doi.org/10.1126/science.ade2574) and what shares its architecture.

Tokens of a sequence AA1 … AAn::

    <cls> AA1 … AAn <eos> <pad> …

1,022 residues at once: 1,026 positions, of which two are taken by the padding offset and two by <cls> and <eos>.
"""

from __future__ import annotations

from . import Family


class Esm(Family):
    name = "ESM-2"
    model_types = ("esm",)
    prefix = ("<cls>",)
    suffix = ("<eos>",)
    citations = ("esm2",)
    layer_norms = ["LayerNorm", "emb_layer_norm_after"]  # noqa: RUF012

    @property
    def window(self) -> int:
        return int(self.config["max_position_embeddings"]) - 4

    def load(self, folder, **options):
        from transformers import EsmModel

        return EsmModel.from_pretrained(folder, add_pooling_layer=False, **options)
