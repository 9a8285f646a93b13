"""ProGen2 decoders (Nijkamp et al. 2023, https://doi.org/10.1016/j.cels.2023.10.002), by our own class.

Tokens are residues, and a sequence stands between its ends, 1 the N terminus and 2 the C terminus::

    1 AA1 … AAn 2 <|pad|> …

It was trained on sequences read either way; here they are read from 1 to 2. A token sees only those before it, so its
vector says nothing of what follows: the last one has seen everything.
"""

from __future__ import annotations

from .family import Family

N_TERMINUS, C_TERMINUS = "1", "2"


class ProGen2(Family):
    name = "ProGen2"
    model_types = ("progen",)
    language_head = "lm_head.weight"
    prefix = (N_TERMINUS,)
    citations = ("progen2",)
    causal = True
    own_architecture = True
    lora_modules = {  # noqa: RUF012
        # one matrix gives queries, keys and values, so an adapter on it changes all three
        "query-value": ["qkv_proj"],
        "attention": ["qkv_proj", "out_proj"],
        "all-linear": ["qkv_proj", "out_proj", "fc_in", "fc_out"],
    }
    scaled, scaled_inputs = ("qkv_proj",), ("fc_out",)
    layer_norms = ["ln_1", "ln_f"]  # noqa: RUF012
    layers = "h"
    kept, score_dropout = (4, 16, 4), ("attn_pdrop", 0.0)

    @property
    def window(self) -> int:
        return self.size("n_positions") - len(self.prefix)

    @property
    def vocabulary_size(self) -> int:
        return self.size("vocab_size_emb")

    @property
    def hidden_size(self) -> int:
        return self.size("embed_dim")

    @property
    def start_token(self) -> int | None:
        return self.vocabulary.get(N_TERMINUS)

    @property
    def end_tokens(self) -> tuple[int, ...]:
        ends = (self.vocabulary.get(C_TERMINUS), *super().end_tokens)
        return tuple(end for end in ends if end is not None)

    def _check_named(self) -> None:
        """Refuse a config.json for which the class would guess: other heads or turns fit the same weights.

        Raises:
            InputError: it does not say how many heads there are, or how much of each is turned.
        """
        for entry in ("n_head", "rotary_dim"):
            self.size(entry)

    def load(self, folder, **options):
        self._check_named()
        from seqlm.models.progen2 import ProGen2Model

        return ProGen2Model.from_pretrained(folder, **options)

    def load_language_model(self, folder, **options):
        self._check_named()
        from seqlm.models.progen2 import ProGen2ForCausalLM

        return ProGen2ForCausalLM.from_pretrained(folder, **options)
