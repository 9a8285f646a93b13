"""T5 encoders: ProtT5 (Elnaggar et al. 2021, https://doi.org/10.1109/TPAMI.2021.3095381), IgT5, ProstT5 and Ankh.

Tokens of a sequence AA1 … AAn, one a residue, SentencePiece with the residues set apart by spaces::

    ▁AA1 … ▁AAn </s> <pad> …

There is no token in front. ``</s>`` and padding stay out of the mean. ProtT5 was trained with U, Z, O and B as X.
IgT5 is a ProtT5 that may read two chains, see :mod:`seqlm.tokenization.chains`; nothing in its files tells it from
ProtT5.

ProstT5 (Heinzinger et al. 2024, https://doi.org/10.1093/nargab/lqae150) is a ProtT5 that translates between residues
and 3Di states, which are added tokens in lower case; what a sequence is stands before it, and its authors leave it out
of the mean as they do ``</s>``::

    <AA2fold> ▁AA1 … ▁AAn </s>        <fold2AA> state1 … staten </s>

Ankh (Elnaggar et al. 2023, https://doi.org/10.48550/arXiv.2301.06568) has letters without blanks before them, also of
U, Z, O and B. Ankh 3 (Alsamkary et al. 2025, https://doi.org/10.48550/arXiv.2505.20052) was trained on two tasks, each
with a prefix of its own::

    AA1 … AAn </s>                    [NLU] AA1 … AAn </s>        [S2S] AA1 … AAn </s>
"""

from __future__ import annotations

from seqlm.data.records import PROTEIN, STATES

from .family import Family


class T5Encoder(Family):
    model_types = ("t5",)
    language_head = None
    prefixes = {"<AA2fold>": PROTEIN, "<fold2AA>": STATES, "[NLU]": PROTEIN, "[S2S]": PROTEIN}  # noqa: RUF012
    suffix = ("</s>",)
    half_precision_safe = False  # the feed-forward layers of T5 overflow fp16
    hard_limit = False  # relative positions: any length works, memory is what grows
    lora_modules = {  # noqa: RUF012
        "query-value": ["q", "v"],
        "attention": ["q", "k", "v", "o"],
        "all-linear": ["q", "k", "v", "o", "wi", "wi_0", "wi_1", "wo"],
    }
    scaled, scaled_inputs = ("k", "v"), ("wo",)
    layer_norms = ["layer_norm"]  # noqa: RUF012
    layers = "block"
    kept, score_dropout = (12, 16, 8), ("dropout_rate", 0.1)
    numbers_of_pair = 2  # the bias of the positions, alone and with the mask

    @property
    def name(self) -> str:
        kinds = {"prostt5": "ProstT5", "ankh": "Ankh", "ankh3": "Ankh 3"}
        return f"T5 encoder ({kinds.get(self.citations[0], 'ProtT5')})"

    @property
    def prefix(self) -> tuple[str, ...]:
        return (self.told,) if self.told else ()

    @property
    def window(self) -> int:
        return 1024 - len(self.prefix)

    @property
    def spaced(self) -> bool:
        """Whether residues are set apart by blanks, as ProtT5's are and Ankh's are not."""
        return "▁A" in self.vocabulary

    @property
    def citations(self) -> tuple[str, ...]:
        if self.alphabet == PROTEIN and not self.spaced:
            return ("ankh3",) if "[NLU]" in self.vocabulary else ("ankh",)
        return ("prostt5", "prottrans") if "<AA2fold>" in self.vocabulary else ("prottrans",)

    @property
    def between_chains(self) -> str:
        return "</s>" if self.alphabet == PROTEIN and self.spaced and not self.offered else ""

    @property
    def replacements(self) -> dict[str, str]:
        if self.alphabet == PROTEIN and not self.spaced:
            return super().replacements
        return dict.fromkeys("UZOBJ", "X") if self.alphabet == PROTEIN else {}

    def token(self, letter: str) -> str:
        return "▁" + letter if self.spaced and self.alphabet != STATES else letter

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
