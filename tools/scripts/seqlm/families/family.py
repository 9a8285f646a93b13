"""What differs from one model family to the next: the class that every family fills in."""

from __future__ import annotations

from collections.abc import Container
from functools import cached_property
from pathlib import Path
from typing import ClassVar

from seqlm.cli.errors import InputError
from seqlm.data.records import DNA, LETTERS, PROTEIN, STATES

from .vocabulary import AMINO_ACIDS, SPECIAL, alphabet_of

BASES = set("ACGT")


class Family:
    """One model family. Subclasses fill in the class variables and say how the encoder is loaded.

    Attributes:
        config: the model's config.json.
        vocabulary: token -> id.
        alphabet: ``protein``, ``DNA``, ``text`` or ``3Di``.
        told: the one of ``prefixes`` that stands before each sequence; empty for none.
    """

    name: ClassVar[str]
    model_types: ClassVar[tuple[str, ...]]  # of config.json
    prefix: ClassVar[tuple[str, ...]] = ()  # special tokens before the sequence
    suffix: ClassVar[tuple[str, ...]] = ()  # and after it
    # tokens that tell a model what follows -> the alphabet of that; that of the authors' own embeddings comes first
    prefixes: ClassVar[dict[str, str]] = {}
    citations: ClassVar[tuple[str, ...]] = ()
    half_precision_safe: ClassVar[bool] = True  # whether fp16 (5 bits of exponent) keeps the activations finite
    hard_limit: ClassVar[bool] = True  # whether ``window`` is a limit of the architecture or only of the training
    between_chains: ClassVar[str] = (
        ""  # token between the two chains of an antibody, of models that may read both at once
    )
    structured: ClassVar[bool] = False  # whether a token is a residue and a 3Di state
    blocks: ClassVar[bool] = False  # whether tokens are 6-mers of DNA side by side
    causal: ClassVar[bool] = False  # a decoder: each token sees only those before it
    # a tensor that every checkpoint with the head for tokens has; empty where the embedding serves as one, None where
    # the architecture has no such head
    language_head: ClassVar[str | None] = "lm_head.dense.weight"
    own_architecture: ClassVar[bool] = False  # written in seqlm.models, so code that config.json names is not missed
    # entries of config.json of an architecture that its authors themselves brought into transformers, so that code that
    # their folders name beside it is not missed as long as they say nothing else; empty for all others
    of_its_authors: ClassVar[frozenset[str]] = frozenset()

    # Names of the modules that LoRA may adapt, of the layer norms and of the list of layers, as they end in the
    # transformers class; these are BERT's, which most encoders share
    lora_modules: ClassVar[dict[str, list[str]]] = {
        "query-value": ["query", "value"],
        "attention": ["query", "key", "value", "attention.output.dense"],
        "all-linear": ["query", "key", "value", "dense"],
    }
    # of each layer, what IA3 multiplies the outputs and the inputs of: keys and values, and what the feed-forward part
    # computes last; ends of names, as regular expressions
    scaled: ClassVar[tuple[str, ...]] = ("key", "value")
    scaled_inputs: ClassVar[tuple[str, ...]] = (r"(?<!attention\.)output\.dense",)
    layer_norms: ClassVar[list[str]] = ["LayerNorm"]
    layers: ClassVar[str] = "layer"
    checkpointing: ClassVar[bool] = True  # whether activations can be computed again instead of being kept
    tokens_first: ClassVar[bool] = False  # whether layers hand on (tokens, rows, hidden)
    # bytes that a frozen layer keeps of each token for the backward pass in fp32, for each number of its width, of its
    # heads together and of its feed-forward part; of BERT. tests/families/test_kept.py compares with what torch keeps
    kept: ClassVar[tuple[int, int, int]] = (12, 16, 4)
    # entry of config.json with the share of scores of the attention that is dropped in training, and its default: with
    # one, a CPU has no fused attention
    score_dropout: ClassVar[tuple[str, float]] = ("attention_probs_dropout_prob", 0.1)
    numbers_of_pair: ClassVar[int] = 0  # for each two tokens of a row and each head, that a pass without training makes
    attends: ClassVar[bool] = True  # whether there is an attention, and with it a mask for every two tokens of a row
    working: ClassVar[tuple[int, int]] = (6, 4)  # numbers of the width and of the feed-forward part, of each token,
    # that a pass computes with at once

    @classmethod
    def fits(cls, config: dict) -> bool:
        """Whether a model of this config.json is of the family."""
        return config.get("model_type") in cls.model_types

    @classmethod
    def reads(cls, vocabulary: dict[str, int]) -> bool:
        """Whether a model with this vocabulary is of the family, of those whose config.json fits."""
        return True

    def __init__(self, config: dict, vocabulary: dict[str, int], alphabet: str = "auto"):
        self.config, self.vocabulary = config, vocabulary
        self.alphabet = alphabet_of(vocabulary) if alphabet == "auto" else alphabet
        self.told = ""

    @property
    def offered(self) -> list[str]:
        """Those of ``prefixes`` that the vocabulary has."""
        return [token for token in self.prefixes if token in self.vocabulary]

    def tell(self, prefix: str) -> None:
        """Choose what stands before each sequence and tells the model what follows.

        Args:
            prefix: ``auto`` for what the model's authors take for embeddings, ``none``, or one of :attr:`offered`.

        Raises:
            InputError: a prefix that the vocabulary lacks.
        """
        offered = self.offered
        if prefix not in ("auto", "none", *offered):
            has = f"it has {', '.join(offered)}" if offered else f"models of the family {self.name} take none"
            raise InputError(f"the model's vocabulary has no prefix '{prefix[:40]}'; {has} (--prefix)")
        self.told = prefix if prefix in offered else "" if prefix == "none" else next(iter(offered), "")
        if self.prefixes.get(self.told) == STATES:
            self.alphabet = STATES
        elif self.alphabet == STATES:
            self.alphabet = PROTEIN

    @property
    def read_as(self) -> str:
        """What the prefix makes of sequences, in words; empty where the vocabulary has none."""
        if not self.offered:
            return ""
        if self.told:
            return f"{self._letters_in_words} after the prefix {self.told}"
        return f"{self._letters_in_words} without a prefix; the model has {' and '.join(self.offered)}"

    @property
    def _letters_in_words(self) -> str:
        return {PROTEIN: "residues", STATES: "3Di states"}.get(self.alphabet, "letters")

    @property
    def letters(self) -> str:
        """Letters that reach the tokenizer once the replacements are done."""
        known = LETTERS.get(self.alphabet, "")
        return "".join(letter for letter in known if letter not in self.replacements)

    @property
    def replacements(self) -> dict[str, str]:
        """Letters of the alphabet that the model has no token for -> what it reads in their place."""
        if not self.one_letter_tokens:
            return {}
        unknown = "X" if self.alphabet == PROTEIN else "N"
        return {
            letter: unknown
            for letter in LETTERS[self.alphabet]
            if self.token(letter) not in self.vocabulary and self.token(unknown) in self.vocabulary
        }

    @cached_property
    def one_letter_tokens(self) -> bool:
        """Whether each letter of a sequence is one token: all are there, and no piece of several."""
        letters = {PROTEIN: AMINO_ACIDS, DNA: BASES, STATES: set(LETTERS[STATES])}.get(self.alphabet)
        if not letters or not all(self.token(letter) in self.vocabulary for letter in letters):
            return False
        pieces = (token.lstrip("▁Ġ").removeprefix("##") for token in self.vocabulary)
        return not any(len(piece) > 1 and letters.issuperset(piece) for piece in pieces)

    def token_of(self, number: int | None) -> str | None:
        """The token of this id; None where there is none."""
        return next((token for token, known in self.vocabulary.items() if known == number), None)

    @property
    def masked_tokens(self) -> dict[int, int]:
        """Token -> what stands in its place where its letter is hidden and something else of it is not; else
        :attr:`mask_token` does."""
        return {}

    @property
    def alike(self) -> list[list[int]]:
        """Tokens of one letter each, where a letter has several: its probability is that of all of them."""
        return []

    def token(self, letter: str) -> str:
        """How the vocabulary writes one letter."""
        return letter

    def size(self, entry: str) -> int:
        """A size that config.json gives.

        Raises:
            InputError: it does not, as in a format of the authors' own.
        """
        if not isinstance(self.config.get(entry), int):
            raise InputError(f"the config.json of the model does not say its {entry}; fetch the model again")
        return self.config[entry]

    @property
    def window(self) -> int:
        """Tokens, specials not counted, that the model reads at once."""
        return self.size("max_position_embeddings") - len(self.prefix) - len(self.suffix)

    @property
    def vocabulary_size(self) -> int:
        """Tokens that the model has an embedding for."""
        return self.size("vocab_size")

    @property
    def hidden_size(self) -> int:
        return self.size("hidden_size")

    @property
    def depth(self) -> int:
        """Layers of the encoder; the names are BERT's, T5's and GPT-2's."""
        for name in ("num_hidden_layers", "num_layers", "n_layer"):
            if name in self.config:
                return int(self.config[name])
        raise InputError("the config.json of the model does not say how many layers it has; fetch the model again")

    def _number(self, *names: str) -> int | None:
        """The first of these entries of config.json that holds a number."""
        return next((int(self.config[name]) for name in names if isinstance(self.config.get(name), int)), None)

    @property
    def heads(self) -> int:
        """Heads of the attention."""
        return self._number("num_attention_heads", "num_heads", "n_head") or 1

    @property
    def attention_width(self) -> int:
        """Numbers of all heads of a token together; of ProtT5 four times the width."""
        return self.heads * (self._number("head_dim", "d_kv") or self.hidden_size // self.heads)

    @property
    def key_width(self) -> int:
        """Numbers of the keys of a token; of some decoders several heads share them."""
        return self.attention_width * (self._number("num_key_value_heads") or self.heads) // self.heads

    @property
    def inner_width(self) -> int:
        """Width of the feed-forward part."""
        return self._number("intermediate_size", "d_ff", "n_inner", "d_inner") or 4 * self.hidden_size

    def keeps_scores(self, kind: str) -> bool:
        """Whether training on a device, ``cpu`` or ``cuda``, keeps scores of every two tokens of a row."""
        name, usual = self.score_dropout
        return kind == "cpu" and bool(self.config.get(name, usual))

    def handed_on(self, layer, states, *arguments, **keywords):
        """What a layer that is left out gives in place of its own result: ``states``, as it would hand on its own.

        Args:
            states, arguments, keywords: what the layer is called with.
        """
        return states

    def check_training(self, adapted: str | None = None, checkpointing: bool = False) -> None:
        """Refuse a way of training that the architecture does not allow.

        Args:
            adapted: a key of ``lora_modules``; None without an adapter.
        """
        if adapted is not None and adapted not in self.lora_modules:
            raise InputError(
                f"{self.name} models take no adapter on '{adapted}'; choose {' or '.join(self.lora_modules)}"
            )
        if checkpointing and not self.checkpointing:
            raise InputError(f"{self.name} models cannot be trained with gradient checkpointing; leave it out")

    def check_adapter(self, rank: int = 0, last_layers: int = 0, depth: int = 0) -> None:
        """Refuse an adapter of a higher rank than the model is wide, or on more layers than it has.

        Args:
            rank: 0 where it does not matter; last_layers: 0 for all.
            depth: layers that can be adapted each by itself, if they have been counted.
        """
        if rank > self.hidden_size:
            raise InputError(f"the LoRA rank {rank} is above the width of the model, {self.hidden_size}")
        if last_layers > (depth := depth or self.depth):
            raise InputError(f"the model has {depth} layers, so the last {last_layers} cannot be adapted")

    def load(self, folder: Path, **options):
        """The encoder as transformers' own class, without any head."""
        raise NotImplementedError

    def load_language_model(self, folder: Path, **options):
        """The whole model as transformers' own class, with the head that gives a number for every token.

        Raises:
            InputError: an architecture that has no such head.
        """
        from transformers import AutoModelForCausalLM, AutoModelForMaskedLM

        return (AutoModelForCausalLM if self.causal else AutoModelForMaskedLM).from_pretrained(folder, **options)

    def check_language_model(self, tensors: Container[str], name: str) -> None:
        """Refuse a model that gives no probability to tokens. Needs no torch.

        Args:
            tensors: names of those in its weights.
        """
        if self.language_head is None:
            raise InputError(
                f"{name} is of the family {self.name}, an encoder that gives no probability to tokens; take a model of "
                "type fill-mask (such as ESM-2) or text-generation (such as ProtGPT2)"
            )
        if self.language_head and self.language_head not in tensors:
            raise InputError(
                f"{name} holds an encoder of the family {self.name} without the head that gives probabilities to "
                "tokens; fetch the whole model (of type fill-mask)"
            )

    @property
    def mask_token(self) -> int | None:
        """Id of the token that stands for what is to be guessed; None where there is none."""
        named = self.config.get("mask_token_id")
        if self.token_of(named) is not None:
            return named
        return next((self.vocabulary[token] for token in ("<mask>", "[MASK]") if token in self.vocabulary), None)

    @property
    def start_token(self) -> int | None:
        """Id of the token that begins a text; of a model without one, of the token that ends a text."""
        begins = self.config.get("bos_token_id")
        return begins if self.token_of(begins) is not None else next(iter(self.end_tokens), None)

    @property
    def end_tokens(self) -> tuple[int, ...]:
        """Ids of the tokens that end a text."""
        ends = self.config.get("eos_token_id")
        return tuple(end for end in (ends if isinstance(ends, list) else [ends]) if self.token_of(end) is not None)

    @staticmethod
    def is_special(token: str) -> bool:
        """Whether a token stands for a place or a purpose, and for no part of a sequence."""
        return bool(SPECIAL.fullmatch(token))
