"""Letters to token ids: what a vocabulary holds, how a sequence is encoded, how a long one is cut into windows.

Nothing here needs torch; how a sequence is split into tokens is :mod:`seqlm.tokenization.readers`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from seqlm.cli.errors import InputError
from seqlm.data.records import BREAK, CANONICAL, TEXT

from .chains import refuse_longer
from .readers import AtomReader, LetterReader, StructureReader, open_reader
from .reading import UNKNOWN, UNREAD, Reading
from .structures import Structures

if TYPE_CHECKING:
    from seqlm.families.family import Family

# what can happen to a molecule on the way to tokens, as reports say it
REPAIRED = "read with the repaired tokenizer, otherwise than as published"
UNPLACED = "residues without a 3Di state read with #, which is for a structure that is not known"
WITHOUT_STRUCTURE = "sequence without a structure, every residue read with #"


@dataclass(frozen=True, slots=True)
class Piece:
    """One token of a sequence, and the letters it stands for: ``sequence[start:end]``."""

    id: int
    token: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Encoded:
    """One sequence as token rows, one a window, special tokens included.

    ``weights`` says how much each token counts in the pooled vector: special tokens 0, also the one between two chains,
    and a position that several windows cover the more little in each, so that every position counts the same.
    ``starts`` is the number of the first real token of each row.

    ``lengths`` (tokens,) are the letters that each real token of the whole sequence stands for, together all of its
    letters; None where every token is one letter. ``unknown`` letters were read as the unknown token; ``unread``
    letters have no token at all and count as letters of the token before them. ``repaired`` is a molecule that the
    tokenizer as it was published reads otherwise. ``unplaced`` letters have no 3Di state where structures are given.
    """

    rows: tuple[np.ndarray, ...]
    weights: tuple[np.ndarray, ...]
    tokens: int  # real tokens of the whole sequence, specials and the one between two chains not counted
    cut: int = 0  # tokens left out at the end
    starts: tuple[int, ...] = (0,)
    lengths: np.ndarray | None = None
    unknown: int = 0
    unread: int = 0
    repaired: bool = False
    unplaced: int = 0

    @property
    def longest(self) -> int:
        return max(len(row) for row in self.rows)

    def changes(self) -> dict[str, int]:
        """What was changed when the letters became tokens: rule -> letters, in the words of reports."""
        found = {UNKNOWN: self.unknown, UNREAD: self.unread, REPAIRED: int(self.repaired)}
        found[WITHOUT_STRUCTURE if self.unplaced == self.tokens else UNPLACED] = self.unplaced
        return {rule: letters for rule, letters in found.items() if letters}


def reader_of(family: Family, folder: Path, tokenizer: str = "repaired", chains: bool = False):
    """What splits sequences into the tokens of a model: a table where each letter is a token, else its tokenizer."""
    vocabulary = family.vocabulary
    letters = {letter: family.token(letter) for letter in family.letters}
    if chains:
        letters[BREAK] = family.between_chains
    if letters and all(token in vocabulary for token in letters.values()) and family.one_letter_tokens:
        return LetterReader({letter: vocabulary[token] for letter, token in letters.items()})
    return open_reader(folder, vocabulary, tokenizer)


def require_letter_tokens(family: Family) -> None:
    """Refuse a model that cannot give each residue a prediction of its own."""
    if not family.one_letter_tokens:
        raise InputError(
            f"this {family.name} model does not read one letter a token, so it cannot predict single residues"
        )


class Encoder:
    """How one model reads a sequence.

    Args:
        family: the model's family, which knows its special tokens and how a letter is written as a token.
        folder: where the tokenizer files lie.
        max_length: tokens a window may hold, specials not counted; 0 for the family's own limit.
        long_sequences: ``window`` (overlapping windows, every position once in the mean), ``truncate`` (the first
            window only) or ``refuse``.
        pooling: whose vectors are wanted. ``mean`` and ``max``: of all real tokens; ``cls``: of the first special
            token; ``last``: of the last real token; ``none``: of every real token by itself.
        tokenizer: ``repaired``, a published tokenizer that loses atoms is mended, or ``as-published``.
        structures: 3Di states by the names of the sequences, of a model that reads both.
        chains: sequences may have two chains.

    Attributes:
        vocabulary: token -> id.
        reader: what splits sequences into tokens.
        chains: id of the token between two chains; None where sequences have one.
    """

    def __init__(
        self,
        family: Family,
        folder: Path,
        *,
        max_length: int = 0,
        long_sequences: str = "window",
        pooling: str = "mean",
        tokenizer: str = "repaired",
        structures: Structures | None = None,
        chains: bool = False,
    ):
        vocabulary, self._family = family.vocabulary, family
        limit = family.window
        if limit < 1:
            raise InputError(
                "the config.json of the model leaves no place for a token of a sequence beside the special ones; fetch "
                "the model again"
            )
        self.max_length = min(max_length, limit) if max_length and family.hard_limit else max_length or limit
        if max_length and family.hard_limit and max_length > limit:
            raise InputError(f"this model reads at most {limit} tokens at once; set the maximal length to that or less")
        self.long_sequences, self.pooling, self.alphabet = long_sequences, pooling, family.alphabet
        self.prefix = [self._special(vocabulary, token) for token in family.prefix]
        self.suffix = [self._special(vocabulary, token) for token in family.suffix]
        if pooling == "cls" and family.prefix in ((), (family.told,)):
            raise InputError(f"{family.name} has no token at the start of a sequence; use mean pooling")
        if pooling == "none" and long_sequences == "truncate":
            raise InputError("every residue needs a prediction; read long sequences in windows, not truncated")
        self.padding = int(family.config.get("pad_token_id") or 0)
        self.vocabulary, self._names = vocabulary, None
        self.chains = self._special(vocabulary, family.between_chains) if chains else None
        self.reader = reader_of(family, folder, tokenizer, chains)
        self.structures = structures
        self._structured = StructureReader(family.tokens_of_states()) if structures else None
        self._vocabulary_size = family.vocabulary_size
        self._check_ids(max(self.reader.largest, self.padding, *self.prefix, *self.suffix))

    @property
    def repairs(self) -> bool:
        """Whether the published tokenizer of this model loses atoms and is mended here."""
        return isinstance(self.reader, AtomReader)

    @property
    def read_as(self) -> str:
        """What sequences are read as, in words, where the model could read them otherwise; else empty."""
        if self.structures:
            return "residues together with the 3Di states of their structures"
        if self.chains is not None:
            return f"heavy and light chain in one text with {self._family.between_chains} between"
        return self._family.read_as

    @property
    def citations(self) -> tuple[str, ...]:
        """Keys of what to cite for the model, as it is read."""
        return (*self._family.citations, *(("igbert",) if self.chains is not None else ()))

    @property
    def unplaced(self) -> str:
        """What to say of a model that reads structures where none were given."""
        if self._family.structured and not self.structures:
            return "no structures were given, so the model read every residue with # (structure not known)"
        return ""

    @staticmethod
    def _special(vocabulary: dict[str, int], token: str) -> int:
        if token not in vocabulary:
            raise InputError(f"the model's vocabulary has no token {token}; its tokenizer is not of its family")
        return vocabulary[token]

    def _check_ids(self, largest: int) -> None:
        """Refuse a tokenizer that gives ids for which the model has no embedding."""
        if largest >= self._vocabulary_size:
            raise InputError(
                f"tokenizer and model do not fit each other: the tokenizer gives the token id {largest}, and the "
                f"model's vocabulary has {self._vocabulary_size} tokens; give the files of one and the same model"
            )

    def encode(self, sequence: str, name: str = "") -> Encoded:
        """Token rows and weights of one sequence; see :meth:`encode_many`."""
        return self.encode_many([(name, sequence)])[0]

    def encode_many(self, items: Sequence[tuple[str, str]]) -> list[Encoded]:
        """Token rows and weights of each (name, sequence), at the speed of the tokenizer's batches.

        Raises:
            InputError: a sequence over the limit where ``refuse`` was chosen, or one without a single token.
        """
        readings = self.read(items)
        return [self._encoded(name, reading) for (name, _), reading in zip(items, readings, strict=True)]

    def letters(self, sequence: str) -> str:
        """A sequence without the break between two chains, which is no letter."""
        return sequence if self.chains is None else sequence.replace(BREAK, "")

    def pieces(self, sequence: str, name: str = "") -> list[Piece]:
        """The tokens of one sequence, in whole: neither cut into windows nor truncated."""
        (reading,) = self.read([(name, sequence)])
        return self.pieces_of(reading)

    def pieces_of(self, reading: Reading) -> list[Piece]:
        if self._names is None:
            self._names = {number: token for token, number in self.vocabulary.items()}
        lengths = np.ones(len(reading.ids), np.int32) if reading.lengths is None else reading.lengths
        ends = np.cumsum(lengths)
        return [
            Piece(number, self._names.get(number, ""), end - length, end)
            for number, length, end in zip(reading.ids.tolist(), lengths.tolist(), ends.tolist(), strict=True)
        ]

    def read(self, items: Sequence[tuple[str, str]]) -> list[Reading]:
        """The tokens of each (name, sequence), in whole, special tokens not among them."""
        if self._structured:
            readings = [self._structured.read(text, self.structures.of(name, text)) for name, text in items]
        else:
            readings = self.reader.read([sequence for _, sequence in items])
        for (name, _), reading in zip(items, readings, strict=True):
            if not len(reading.ids):
                raise InputError(f"the sequence '{name}' has no token that the model knows")
            if self.reader.largest == 0:  # a table was checked once and for all
                self._check_ids(int(reading.ids.max()))
        return readings

    def _encoded(self, name: str, reading: Reading) -> Encoded:
        ids = reading.ids
        real = np.ones(len(ids), dtype=bool) if self.chains is None else ids != self.chains
        if not real.all():
            refuse_longer(name, len(ids) - 1, self.max_length)
        starts, kept = [0], len(ids)
        if len(ids) > self.max_length:
            if self.long_sequences == "refuse":
                raise InputError(
                    f"the sequence '{name}' has {len(ids):,} tokens, over the limit of {self.max_length:,}; "
                    "choose windows or truncation, or leave it out"
                )
            if self.long_sequences == "truncate":
                kept = self.max_length
            else:
                # the last window is moved back to be a full one, so none is a stump without context
                stride = self.max_length - self.max_length // 4
                starts = [*range(0, len(ids) - self.max_length, stride), len(ids) - self.max_length]
        coverage = np.zeros(kept, dtype=np.float32)
        for start in starts:
            coverage[start : start + self.max_length] += 1
        first = len(self.prefix)
        rows, weights = [], []
        for start in starts:
            window = ids[start : min(start + self.max_length, kept)]
            rows.append(np.concatenate([self.prefix, window, self.suffix]).astype(np.int32))
            weight = np.zeros(len(rows[-1]), dtype=np.float32)
            if self.pooling == "cls":
                weight[0] = 1.0
            elif self.pooling == "last":
                weight[first + len(window) - 1] = start == starts[-1]
            else:
                covered = slice(start, start + len(window))
                weight[first : first + len(window)] = real[covered] / coverage[covered]
            weights.append(weight)
        return Encoded(
            tuple(rows),
            tuple(weights),
            tokens=int(real.sum()),
            cut=len(ids) - kept,
            starts=tuple(starts),
            lengths=reading.lengths,
            unknown=len(reading.unknown),
            unread=len(reading.unread),
            repaired=reading.repaired,
            unplaced=reading.unplaced,
        )


def read_canonical(*families: Family) -> None:
    """Let models of molecules read canonical SMILES, whatever is given.

    Raises:
        InputError: none of the models reads molecules.
    """
    of_molecules = [family for family in families if family.alphabet in (TEXT, CANONICAL)]
    if not of_molecules:
        raise InputError(
            f"canonical SMILES are for models of molecules; this one reads {families[0].alphabet} sequences"
        )
    for family in of_molecules:
        family.alphabet = CANONICAL
