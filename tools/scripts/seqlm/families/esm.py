"""ESM-2 (Lin et al. 2023, https://doi.org/10.1126/science.ade2574) and what shares its architecture.

Tokens of a sequence AA1 … AAn::

    <cls> AA1 … AAn <eos> <pad> …

1,022 residues at once: 1,026 positions, of which two are taken by the padding offset and two by <cls> and <eos>.

The first Nucleotide Transformers (Dalla-Torre et al. 2025, https://doi.org/10.1038/s41592-024-02523-z) are such models
too. A token is six bases, counted from the start; the one to five that are left at the end are tokens of one base each,
and so is every base of a run of six that holds an N. There is no <eos>::

    <cls> ACGTAC GTACGT … G T <pad> …
"""

from __future__ import annotations

from seqlm.data.records import DNA, PROTEIN

from .family import Family
from .vocabulary import reads_structures


class Esm(Family):
    model_types = ("esm",)
    prefix = ("<cls>",)
    layer_norms = ["LayerNorm", "emb_layer_norm_after"]  # noqa: RUF012

    @classmethod
    def reads(cls, vocabulary: dict[str, int]) -> bool:
        return not reads_structures(vocabulary)

    @property
    def name(self) -> str:
        return "ESM-2" if self.alphabet == PROTEIN else "ESM"

    @property
    def suffix(self) -> tuple[str, ...]:
        return ("<eos>",) if "<eos>" in self.vocabulary else ()

    @property
    def citations(self) -> tuple[str, ...]:
        return ("nucleotide-transformer",) if self.alphabet == DNA else ("esm2",)

    @property
    def window(self) -> int:
        return super().window - 2

    def load(self, folder, **options):
        from transformers import EsmModel

        return EsmModel.from_pretrained(folder, add_pooling_layer=False, **options)
