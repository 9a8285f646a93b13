"""LucaOne (He et al. 2025, https://doi.org/10.1038/s42256-025-01044-4), one encoder of genes and proteins, by our own
class.

Tokens are letters; those of bases are numbers, so that they differ from those of residues (A 1, T and U 2, C 3, G 4,
all else 5)::

    [CLS] AA1 … AAn [SEP] [PAD] …        of a protein
    [CLS] 1 3 4 2 … [SEP] [PAD] …        of ACGT

Beside that, the model is told what it reads by a vector that is added to every token, so all sequences of a job are of
one kind. Its authors call the two kinds ``gene`` and ``prot``; the tools take these words where others take a prefix.
Its tokenizer is code, which does no more than this, and is written here. It was trained on sequences of up to 1,280
tokens; rotary positions read longer ones.
"""

from __future__ import annotations

from seqlm.cli.errors import InputError
from seqlm.data.records import DNA, LETTERS, PROTEIN

from .family import Family
from .vocabulary import BASE_TOKENS, reads_genes_and_proteins

GENE, PROT = "gene", "prot"
TRAINED_ON = 1280  # tokens at once


class LucaOne(Family):
    name = "LucaOne"
    model_types = ("lucaone",)
    prefix = ("[CLS]",)
    suffix = ("[SEP]",)
    prefixes = {PROT: PROTEIN, GENE: DNA}  # noqa: RUF012
    citations = ("lucaone",)
    own_architecture = True
    hard_limit = False
    lora_modules = {  # noqa: RUF012
        "query-value": ["q_proj", "v_proj"],
        "attention": ["q_proj", "k_proj", "v_proj", "out_proj"],
        "all-linear": ["q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2"],
    }
    scaled, scaled_inputs = ("k_proj", "v_proj"), ("fc2",)
    layer_norms = ["pre_layer_norm", "post_layer_norm", "last_layer_norm"]  # noqa: RUF012
    layers = "layers"
    kept, score_dropout = (4, 16, 4), ("attention_probs_dropout_prob", 0.0)

    def __init__(self, config: dict, vocabulary: dict[str, int], alphabet: str = "auto"):
        if not reads_genes_and_proteins(vocabulary) or config.get("alphabet", "gene_prot") != "gene_prot":
            raise InputError("this LucaOne has not the 39 tokens of genes and proteins that are known; fetch it again")
        super().__init__(config, vocabulary, alphabet)

    @property
    def offered(self) -> list[str]:
        return list(self.prefixes)

    def tell(self, prefix: str) -> None:
        super().tell(prefix)
        if prefix in ("auto", "none"):
            self.told = GENE if self.alphabet == DNA else PROT
        self.alphabet = self.prefixes[self.told]

    @property
    def read_as(self) -> str:
        kind = "DNA or RNA" if self.told == GENE else "proteins"
        return f"{kind}, as the model was told ({self.told})"

    @property
    def replacements(self) -> dict[str, str]:
        return {letter: "N" for letter in LETTERS[DNA] if letter not in BASE_TOKENS} if self.told == GENE else {}

    def token(self, letter: str) -> str:
        return BASE_TOKENS.get(letter, BASE_TOKENS["N"]) if self.alphabet == DNA else letter

    @property
    def window(self) -> int:
        return TRAINED_ON - 2

    @property
    def inner_width(self) -> int:
        return 4 * self.hidden_size  # whatever ffn_dim says

    def _check_named(self) -> None:
        """Refuse a config.json for which the class would guess: other heads fit the same weights.

        Raises:
            InputError: it does not say how many heads there are.
        """
        self.size("num_attention_heads")

    def load(self, folder, **options):
        self._check_named()
        from seqlm.models.lucaone import LucaOneModel

        return LucaOneModel.from_pretrained(folder, sequence_type=self.told, **options)

    def load_language_model(self, folder, **options):
        self._check_named()
        from seqlm.models.lucaone import LucaOneForMaskedLM

        return LucaOneForMaskedLM.from_pretrained(folder, sequence_type=self.told, **options)
