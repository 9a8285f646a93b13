"""A language model that sequences are scored by, how it reads them, and the memory that this takes. Needs no torch."""

from __future__ import annotations

from argparse import Namespace
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from seqlm.cli.errors import InputError
from seqlm.data.records import Record, quoted
from seqlm.families.family import Family
from seqlm.tokenization.encoder import Encoder
from seqlm.tokenization.language_text import LanguageText
from seqlm.tokenization.readers import UNKNOWN_TOKENS
from seqlm.tokenization.survey import Survey

from .fitting import Memory
from .language_models import Opened
from .memory import OF_A_LETTER, STREAMED, Need, beside, weights_in
from .score_methods import ONE_PASS, WILD_TYPE


@dataclass(kw_only=True)
class ScoredModel:
    """What :class:`seqlm.inference.scoring.Engine` works with.

    Attributes:
        method: one of :mod:`seqlm.inference.score_methods`.
        survey: what the file of sequences holds.
        text: how a causal model reads sequences; None for a masked model.
        encoder: how a masked model reads them; None for a causal one.
    """

    arguments: Namespace
    opened: Opened
    method: str
    survey: Survey
    text: LanguageText | None = None
    encoder: Encoder | None = None

    @property
    def family(self) -> Family:
        return self.opened.family

    @property
    def whole(self) -> bool:
        """Whether whole sequences are asked about, and not substitutions of them."""
        return True

    @property
    def limit(self) -> int:
        """Tokens that the model reads at once; of a causal model with the one that begins a sequence."""
        if self.encoder:
            return self.encoder.max_length
        return self.family.window + len(self.family.prefix) + len(self.family.suffix)

    @property
    def unknown(self) -> list[int]:
        """Ids of the tokens for letters that have none, which are read and not scored."""
        vocabulary = self.family.vocabulary
        unknown = [vocabulary[token] for token in UNKNOWN_TOKENS if token in vocabulary][:1]
        return unknown + sorted({*self.family.masked_tokens.values()})

    @cached_property
    def memory(self) -> Memory:
        """What the job takes, and how it is computed so that it fits."""
        family = self.family
        weights, stored = weights_in(self.opened.base, encoder=False)
        special = len(family.prefix) + len(family.suffix)
        longest = min(self.survey.longest, self.limit) + special
        every = family.causal or self.method in (ONE_PASS, WILD_TYPE)  # place is asked for its token
        rows = self.survey.sequences if every else self.survey.letters  # or one for each place that is masked
        need = Need(
            family,
            weights,
            stored,
            longest,
            most=min(2 * rows * longest, STREAMED) if self.whole else STREAMED,
            held=OF_A_LETTER * STREAMED + beside(self.opened.bundle),
            logits=family.vocabulary_size if every else 0,
        )
        return Memory(need, self.arguments)


def check_masks(opened: Opened) -> None:
    """Refuse a masked model that cannot mask."""
    if opened.family.mask_token is None:
        raise InputError(f"{opened.name} has no token that masks (<mask> or [MASK]), so it cannot guess a position")


def check_tokens(text: LanguageText, record: Record, sequence: str, arguments: Namespace) -> None:
    """Refuse a sequence that a causal model has no tokens for."""
    try:
        text.encode([sequence])
    except InputError as problem:
        raise InputError(f"{Path(arguments.sequences).name}: record '{quoted(record.id)}': {problem}") from None
