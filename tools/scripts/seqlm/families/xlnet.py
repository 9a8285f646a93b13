"""XLNet encoders: ProtXLNet (Elnaggar et al. 2021, https://doi.org/10.1109/TPAMI.2021.3095381).

Tokens of a sequence AA1 … AAn, one a residue, SentencePiece with the residues set apart by spaces; what is special
stands at the end::

    ▁AA1 … ▁AAn <sep> <cls> <pad> …

U, Z, O and B are X. Positions are relative, so any length can be read; XLNet was trained on 512 tokens at once.
"""

from __future__ import annotations

from .family import Family
from .prottrans import ProtTrans


class XLNet(ProtTrans, Family):
    name = "XLNet"
    model_types = ("xlnet",)
    language_head = None
    suffix = ("<sep>", "<cls>")
    hard_limit = False
    window = 512
    tokens_first = True
    checkpointing = False
    # its attention is made of bare parameters, which an adapter cannot be put on; what is left is the feed-forward part
    lora_modules = {"all-linear": ["layer_1", "layer_2"]}  # noqa: RUF012
    scaled, scaled_inputs = (), ("layer_2",)
    layer_norms = ["layer_norm"]  # noqa: RUF012
    kept, numbers_of_pair = (10, 32, 8), 3

    @property
    def hidden_size(self) -> int:
        return int(self.config["d_model"])

    def keeps_scores(self, kind: str) -> bool:
        return True

    def handed_on(self, layer, states, *arguments, **keywords):
        return states, None  # the second stream is one of its pre-training

    def load(self, folder, **options):
        import transformers

        class XLNetModel(transformers.XLNetModel):
            """With positions in the number format of the weights, or it runs in single precision only."""

            def relative_positional_encoding(self, *arguments, **keywords):
                return super().relative_positional_encoding(*arguments, **keywords).to(self.dtype)

        # the states that XLNet keeps for the segment that follows: here every window stands by itself
        options |= {"attn_implementation": "eager"}  # the only one there is
        return XLNetModel.from_pretrained(folder, mem_len=None, use_mems_eval=False, **options)

    def load_language_model(self, folder, **options):
        # its head is for the order of the permutation that it was trained with, which no sequence has
        self.check_language_model((), folder.name)
