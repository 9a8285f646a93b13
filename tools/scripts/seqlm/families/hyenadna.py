"""HyenaDNA decoders (Nguyen et al. 2023, https://doi.org/10.48550/arXiv.2306.15794), by our own class.

Tokens are bases, and nothing stands before them; a text ends with ``[SEP]``, which an embedding does without::

    T1 … Tn [SEP] [PAD] …

A token sees only those before it, so its vector says nothing of what follows: the last one has seen everything. Its
tokenizer is code of its authors without a file, so its tokens stand in :mod:`seqlm.families.vocabulary`. Theirs pads at
the left and their model has no mask, so that there padding changes vectors; here it changes none.
"""

from __future__ import annotations

from .family import Family

END = "[SEP]"


class HyenaDna(Family):
    name = "HyenaDNA"
    model_types = ("hyenadna",)
    language_head = "lm_head.weight"
    citations = ("hyenadna",)
    causal = True
    own_architecture = True
    attends = False
    lora_modules = {  # noqa: RUF012
        # one matrix gives what is multiplied before and after the long filter, and the values, so an adapter on it
        # changes all three
        "query-value": ["in_proj"],
        "attention": ["in_proj", "out_proj"],
        "all-linear": ["in_proj", "out_proj", "fc1", "fc2"],
    }
    scaled, scaled_inputs = ("in_proj",), ("fc2",)
    layer_norms = ["norm1", "norm2", "ln_f"]  # noqa: RUF012
    layers = "layers"
    kept, working = (42, 0, 4), (9, 0)
    score_dropout = ("hyena_dropout", 0.0)

    @property
    def window(self) -> int:
        return self.size("max_seq_len")

    @property
    def vocabulary_size(self) -> int:
        multiple = self.size("pad_vocab_size_multiple") or 1
        return -(-self.size("vocab_size") // multiple) * multiple

    @property
    def hidden_size(self) -> int:
        return self.size("d_model")

    @property
    def key_width(self) -> int:  # noted of a token where sequences are written: three maps, and what is convolved
        return 2 * self.hidden_size

    @property
    def start_token(self) -> int | None:
        return None

    @property
    def end_tokens(self) -> tuple[int, ...]:
        return (self.vocabulary[END],) if END in self.vocabulary else ()

    def load(self, folder, **options):
        from seqlm.models.hyenadna import HyenaDnaModel

        return HyenaDnaModel.from_pretrained(folder, **options)

    def load_language_model(self, folder, **options):
        from seqlm.models.hyenadna import HyenaDnaForCausalLM

        return HyenaDnaForCausalLM.from_pretrained(folder, **options)
