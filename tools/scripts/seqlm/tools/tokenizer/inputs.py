"""What an inspection of a tokenizer starts from: the tokenizer of a model, or alone, and sequences. Needs no torch."""

from __future__ import annotations

from argparse import Namespace
from dataclasses import dataclass
from pathlib import Path

from seqlm.checkpoints.manifest import reading_in
from seqlm.checkpoints.tokenizer_bundle import open_tokenizer, read_description
from seqlm.cli.errors import InputError
from seqlm.families.family import Family
from seqlm.families.recognition import recognise, with_type
from seqlm.families.vocabulary import read_vocabulary
from seqlm.tokenization.encoder import Encoder, read_canonical
from seqlm.tokenization.readers import UNKNOWN_TOKENS
from seqlm.tokenization.survey import Survey, survey


class TokenizerAlone(Family):
    """In place of a model's family where there is no config.json: nothing is known but the tokenizer."""

    name = "tokenizer"
    model_types = ()
    hard_limit = False
    window = 1 << 30

    def __init__(self, folder: Path, alphabet: str):
        super().__init__({}, read_vocabulary(folder), alphabet)
        self._spaced = "▁A" in self.vocabulary and "A" not in self.vocabulary
        self.prefix, self.suffix = _special_tokens(folder)

    @property
    def vocabulary_size(self) -> int:
        return max(self.vocabulary.values(), default=0) + 1

    def token(self, letter: str) -> str:
        return "▁" + letter if self._spaced else letter


@dataclass
class Plan:
    """Checked inputs of an inspection.

    Attributes:
        encoder: reads the sequences.
        published: the same tokenizer without repair, where the two differ.
        limit: tokens that the model reads at once; None where only the tokenizer is known.
        unknown: ids of tokens for what the tokenizer does not know.
    """

    arguments: Namespace
    name: str
    family: Family
    encoder: Encoder
    published: Encoder | None
    limit: int | None
    survey: Survey

    @property
    def unknown(self) -> set[int]:
        return {self.family.vocabulary[token] for token in UNKNOWN_TOKENS if token in self.family.vocabulary}


def check(arguments: Namespace, scratch: Path) -> Plan:
    """Open the tokenizer and go over all sequences once.

    Raises:
        InputError: for whatever is wrong with them.
    """
    for option in ("model", "sequences"):
        if not getattr(arguments, option):
            raise InputError(f"--{option} is needed to show the tokens of sequences; --help lists every option")
    folder, config = open_tokenizer(Path(arguments.model), scratch / "model")
    family = family_of(folder, config, arguments.alphabet, arguments.prefix)
    if arguments.smiles == "canonical":
        read_canonical(family)
    encoder = Encoder(family, folder, tokenizer=arguments.tokenizer)
    found = survey(arguments, family)
    published = Encoder(family, folder, tokenizer="as-published") if encoder.repairs else None
    limit = encoder.max_length if config else None
    return Plan(arguments, arguments.model_id or Path(arguments.model).name, family, encoder, published, limit, found)


def family_of(folder: Path, config: dict | None, alphabet: str, prefix: str = "auto") -> Family:
    """The family of a model, or what takes its place for a tokenizer alone.

    Args:
        config: the model's, if there is one.
        alphabet: ``auto`` for that of the model, or what a tokenizer that was made here says of itself.
        prefix: what tells a model what follows, see :meth:`seqlm.families.family.Family.tell`.
    """
    if config:
        return recognise(folder, with_type(config), **reading_in(folder, alphabet, prefix))
    if prefix not in ("auto", "none"):
        raise InputError("a tokenizer without a model puts its own tokens before a sequence; leave out --prefix")
    if alphabet == "auto":
        alphabet = (read_description(folder, folder.name) or {}).get("alphabet", alphabet)
    return TokenizerAlone(folder, alphabet)


def _special_tokens(folder: Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What the tokenizer itself puts before and after a sequence."""
    if not (folder / "tokenizer.json").is_file():
        return (), ()
    from tokenizers import Tokenizer

    encoding = Tokenizer.from_file(str(folder / "tokenizer.json")).encode("A")
    special = [bool(mask) for mask in encoding.special_tokens_mask]
    first = special.index(False) if False in special else len(special)
    last = len(special) - special[::-1].index(False) if False in special else len(special)
    return tuple(encoding.tokens[:first]), tuple(encoding.tokens[last:])
