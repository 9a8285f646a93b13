"""ESM-2 (Lin et al. 2023, https://doi.org/10.1126/science.ade2574) and what shares its architecture.

Tokens of a sequence AA1 … AAn::

    <cls> AA1 … AAn <eos> <pad> …

1,022 residues at once: 1,026 positions, of which two are taken by the padding offset and two by <cls> and <eos>.

ESM-1b (Rives et al. 2021, https://doi.org/10.1073/pnas.2016239118) and the five ESM-1v (Meier et al. 2021,
https://doi.org/10.1101/2021.07.09.450648) have the same tokens and as many positions, which they have learnt, where
those of ESM-2 are rotary; ESM-1b has a layer norm behind the embedding.

The first Nucleotide Transformers (Dalla-Torre et al. 2025, https://doi.org/10.1038/s41592-024-02523-z) are such models
too. A token is six bases, counted from the start; the one to five that are left at the end are tokens of one base each,
and so is every base of a run of six that holds an N. There is no <eos>::

    <cls> ACGTAC GTACGT … G T <pad> …

So is AgroNT (Mendoza-Revilla et al. 2024, https://doi.org/10.1038/s42003-024-06465-2), their model of plants.
"""

from __future__ import annotations

from seqlm.data.records import DNA, PROTEIN

from .family import Family
from .vocabulary import reads_structures


class Esm(Family):
    model_types = ("esm",)
    prefix = ("<cls>",)
    kept = (8, 16, 12)

    @property
    def layer_norms(self) -> list[str]:
        before = ["embeddings.layer_norm"] if self.config.get("emb_layer_norm_before") else []
        return [*before, "LayerNorm", "emb_layer_norm_after"]

    @property
    def learnt_positions(self) -> bool:
        """Whether positions are learnt, as those of ESM-1b and ESM-1v are."""
        return self.config.get("position_embedding_type") == "absolute"

    @classmethod
    def fits(cls, config: dict) -> bool:
        return super().fits(config) and "add_bias_fnn" not in config  # of the second Nucleotide Transformers

    @classmethod
    def reads(cls, vocabulary: dict[str, int]) -> bool:
        return not reads_structures(vocabulary)

    @property
    def name(self) -> str:
        if self.alphabet != PROTEIN:
            return "ESM"
        return "ESM-1b or ESM-1v" if self.learnt_positions else "ESM-2"

    @property
    def suffix(self) -> tuple[str, ...]:
        # AgroNT's vocabulary has one for which the model has no embedding
        return ("<eos>",) if self.vocabulary.get("<eos>", self.vocabulary_size) < self.vocabulary_size else ()

    @property
    def citations(self) -> tuple[str, ...]:
        if self.alphabet == DNA:
            return ("nucleotide-transformer",)
        return ("esm1b", "zero-shot") if self.learnt_positions else ("esm2",)

    @property
    def window(self) -> int:
        return super().window - 2

    def load(self, folder, **options):
        self.size("pad_token_id")  # which the class looks for among the tokens
        from transformers import EsmModel

        return EsmModel.from_pretrained(folder, add_pooling_layer=False, **options)

    def load_language_model(self, folder, **options):
        self.size("pad_token_id")
        return super().load_language_model(folder, **options)
