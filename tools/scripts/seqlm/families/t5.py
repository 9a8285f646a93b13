"""T5 encoders: ProtT5 (Elnaggar et al. 2021, https://doi.org/10.1109/TPAMI.2021.3095381).

Tokens of a sequence AA1 … AAn, one a residue, SentencePiece with the residues set apart by spaces::

    ▁AA1 … ▁AAn </s> <pad> …

There is no token in front. ``</s>`` and padding stay out of the mean. ProtT5 was trained with U, Z, O and B as X.
"""

from __future__ import annotations

from seqlm.data.records import PROTEIN

from .family import Family


class T5Encoder(Family):
    name = "T5 encoder (ProtT5)"
    model_types = ("t5",)
    language_head = None
    suffix = ("</s>",)
    citations = ("prottrans",)
    half_precision_safe = False  # the feed-forward layers of T5 overflow fp16
    hard_limit = False  # relative positions: any length works, memory is what grows
    window = 1024
    lora_modules = {  # noqa: RUF012
        "query-value": ["q", "v"],
        "attention": ["q", "k", "v", "o"],
        "all-linear": ["q", "k", "v", "o", "wi", "wi_0", "wi_1", "wo"],
    }
    scaled, scaled_inputs = ("k", "v"), ("wo",)
    layer_norms = ["layer_norm"]  # noqa: RUF012
    layers = "block"

    @property
    def replacements(self) -> dict[str, str]:
        return dict.fromkeys("UZOBJ", "X") if self.alphabet == PROTEIN else {}

    def token(self, letter: str) -> str:
        return "▁" + letter

    @property
    def hidden_size(self) -> int:
        return int(self.config["d_model"])

    def handed_on(self, layer, states, mask=None, bias=None, *arguments, **keywords):
        if bias is None:  # the first layer makes that of the positions for all others
            tokens = states.shape[1]
            bias = layer.layer[0].SelfAttention.compute_bias(tokens, tokens, states.device)
        return states, bias, None

    def load(self, folder, **options):
        # T5ForSequenceClassification would bring the decoder along
        from transformers import T5EncoderModel

        return T5EncoderModel.from_pretrained(folder, **options)

    def load_language_model(self, folder, **options):
        self.check_language_model((), folder.name)
