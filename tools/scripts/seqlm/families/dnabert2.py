"""DNABERT-2 and DNABERT-S (Zhou et al. 2023, https://doi.org/10.48550/arXiv.2306.15006), by our own class.

Tokens of a sequence, pieces of one to many bases by byte-pair encoding::

    [CLS] T1 … Tn [SEP] [PAD] …

The published config.json calls the model a ``bert``; what tells it from one is the length of its ALiBi. There is no
token for N: it is read as [UNK].
"""

from __future__ import annotations

from .family import Family


class DnaBert2(Family):
    name = "DNABERT-2"
    model_types = ("bert",)
    language_head = "cls.predictions.transform.dense.weight"
    prefix = ("[CLS]",)
    suffix = ("[SEP]",)
    citations = ("dnabert2",)
    own_architecture = True
    # ALiBi reads any length; what grows is memory, with the square of it, and the distance to what was trained on
    hard_limit = False
    lora_modules = {  # noqa: RUF012
        # one matrix gives queries, keys and values, so an adapter on it changes all three
        "query-value": ["Wqkv"],
        "attention": ["Wqkv", "attention.output.dense"],
        "all-linear": ["Wqkv", "attention.output.dense", "gated_layers", "wo"],
    }
    scaled, scaled_inputs = ("Wqkv",), ("wo",)
    layer_norms = ["LayerNorm", "layernorm"]  # noqa: RUF012
    kept, numbers_of_pair = (8, 16, 16), 2  # ALiBi, and with the mask

    @classmethod
    def fits(cls, config: dict) -> bool:
        return super().fits(config) and has_alibi(config)

    @property
    def window(self) -> int:
        return int(self.config.get("alibi_starting_size") or 512) - 2

    def load(self, folder, **options):
        from seqlm.models.dnabert2 import DnaBert2Model

        return DnaBert2Model.from_pretrained(folder, **options)

    def load_language_model(self, folder, **options):
        from seqlm.models.dnabert2 import DnaBert2ForMaskedLM

        # BERT's own checkpoints have the bias of the last layer one level higher
        names = {r"^cls\.predictions\.bias$": "cls.predictions.decoder.bias"}
        return DnaBert2ForMaskedLM.from_pretrained(folder, key_mapping=names, **options)


def has_alibi(config: dict) -> bool:
    """Whether a config.json that says ``bert`` is of this architecture."""
    named = config.get("auto_map")
    named = (
        [str(code).rpartition("--")[2] for code in named.values()] if isinstance(named, dict) else []
    )  # repository--
    return bool(config.get("alibi_starting_size")) or any(code.startswith("bert_layers.") for code in named)
