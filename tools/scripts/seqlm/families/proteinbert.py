"""ProteinBERT (Brandes et al. 2022, https://doi.org/10.1093/bioinformatics/btac020), by our own class.

Tokens of a sequence AA1 … AAn::

    <cls> AA1 … AAn <eos> <pad> …

Residues see their neighbours by convolutions and the whole protein by one vector that goes with them from layer to
layer, so any length is read; it was trained on up to 1,024 tokens at once.
"""

from __future__ import annotations

from seqlm.cli.errors import InputError

from .family import Family


class ProteinBert(Family):
    name = "ProteinBERT"
    model_types = ("proteinbert",)
    language_head = "lm_head.decoder.weight"
    prefix = ("<cls>",)
    suffix = ("<eos>",)
    citations = ("proteinbert",)
    own_architecture = True
    hard_limit = False
    window = 1022
    # its attention is made of bare parameters and its residues see each other by convolutions: what is left is what
    # each residue makes of itself and of the whole protein
    lora_modules = {"all-linear": ["sequence_dense", "global_to_sequence"]}  # noqa: RUF012
    scaled, scaled_inputs = (), ("sequence_dense",)
    layer_norms = ["sequence_layer_norm1", "sequence_layer_norm2", "global_layer_norm1", "global_layer_norm2"]  # noqa: RUF012
    kept, score_dropout = (12, 0, 16), ("attention_probs_dropout_prob", 0.0)

    @property
    def inner_width(self) -> int:
        return self.size("global_hidden_size")  # values of the attention, which it computes of every residue

    def check_adapter(self, rank: int = 0, last_layers: int = 0, depth: int = 0) -> None:
        if last_layers:
            raise InputError(
                "the layers of ProteinBERT hand on more than the vectors of residues, so an adapter is put on all of "
                "them (--lora-last-layers 0)"
            )
        super().check_adapter(rank, last_layers, depth)

    def load(self, folder, **options):
        self._check_named()
        from seqlm.models.proteinbert import ProteinBertModel

        return ProteinBertModel.from_pretrained(folder, **options)

    def load_language_model(self, folder, **options):
        self._check_named()
        from seqlm.models.proteinbert import ProteinBertForMaskedLM

        return ProteinBertForMaskedLM.from_pretrained(folder, **options)

    def _check_named(self) -> None:
        """Refuse a config.json for which the class would guess: another distance of the wide convolution fits as well.

        Raises:
            InputError: it does not say how far apart its neighbours are.
        """
        self.size("wide_conv_dilation_rate")
