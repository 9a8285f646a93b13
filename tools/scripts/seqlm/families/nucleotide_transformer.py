"""The second Nucleotide Transformers (Dalla-Torre et al. 2025, https://doi.org/10.1038/s41592-024-02523-z), by our own
class.

Tokens are those of the first ones, see :mod:`seqlm.families.esm`: six bases each, what is left over base by base, no
token at the end, though the vocabulary has one::

    <cls> ACGTAC GTACGT … G T <pad> …

config.json calls the model an ``esm``, or nothing at all, and its class is code; what tells it from an ESM is that it
says whether its gated feed-forward part has biases.
"""

from __future__ import annotations

from .esm import Esm

BIASES = "add_bias_fnn"


class NucleotideTransformer(Esm):
    name = "Nucleotide Transformer v2"
    citations = ("nucleotide-transformer",)
    own_architecture = True
    suffix = ()
    kept = (8, 16, 16)

    @classmethod
    def fits(cls, config: dict) -> bool:
        return super(Esm, cls).fits(config) and BIASES in config

    def load(self, folder, **options):
        self.size("pad_token_id")
        from seqlm.models.gated_esm import GatedEsmModel

        return GatedEsmModel.from_pretrained(folder, **options)

    def load_language_model(self, folder, **options):
        self.size("pad_token_id")
        from seqlm.models.gated_esm import GatedEsmForMaskedLM

        return GatedEsmForMaskedLM.from_pretrained(folder, **options)
