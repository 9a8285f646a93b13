"""Letters to token ids: what a vocabulary holds, how a sequence is encoded, how a long one is cut into windows.

Nothing here needs torch or transformers as long as each letter is a token of its own, which is so for all protein
encoders; the sub-word tokenizers of DNA and molecule models are run by transformers.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .errors import InputError
from .sequences import DNA, LETTERS, PROTEIN, TEXT

if TYPE_CHECKING:
    from .families import Family

AMINO_ACIDS = set("ACDEFGHIKLMNPQRSTVWY")
TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "vocab.txt",
    "merges.txt",
    "spiece.model",
    "tokenizer.model",
)


def read_vocabulary(folder: Path) -> dict[str, int]:
    """Token -> id from whichever tokenizer file the folder has, without loading a tokenizer."""
    try:
        if (folder / "tokenizer.json").is_file():
            content = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
            vocabulary = content["model"]["vocab"]
            if isinstance(vocabulary, list):  # a unigram model: pieces with their scores, the place is the id
                vocabulary = {piece: number for number, (piece, _) in enumerate(vocabulary)}
            added = {token["content"]: token["id"] for token in content.get("added_tokens") or ()}
            return {**vocabulary, **added}
        if (folder / "vocab.json").is_file():
            return dict(json.loads((folder / "vocab.json").read_text(encoding="utf-8")))
        if (folder / "vocab.txt").is_file():
            lines = (folder / "vocab.txt").read_text(encoding="utf-8").split("\n")
            return {token: number for number, token in enumerate(lines) if token}
        for name in ("spiece.model", "tokenizer.model"):
            if (folder / name).is_file():
                import sentencepiece

                pieces = sentencepiece.SentencePieceProcessor(model_file=str(folder / name))
                return {pieces.id_to_piece(number): number for number in range(pieces.get_piece_size())}
    except (ValueError, KeyError, TypeError, RuntimeError, OSError) as problem:
        raise InputError(f"the tokenizer of the model in {folder.name} cannot be read ({problem})") from None
    raise InputError(
        f"the model folder {folder.name} has no tokenizer (tokenizer.json, vocab.txt, vocab.json or spiece.model)"
    )


def alphabet_of(vocabulary: dict[str, int]) -> str:
    """Whether a vocabulary is made for proteins, DNA or other text, judged from its tokens.

    Every base is also the letter of an amino acid, so the tokens of several letters decide where there are any.
    """
    plain = {token.lstrip("▁Ġ").removeprefix("##") for token in vocabulary if token[:1] not in "<["}
    single = {token for token in plain if len(token) == 1 and token.isalpha()}
    several = [token for token in plain if len(token) > 1 and token.isalpha()]
    if several and sum(set(token) <= set("ACGTUN") for token in several) >= 0.9 * len(several):
        return DNA
    if {"=", "("} & plain and "c" in single:
        return TEXT  # SMILES
    if single >= AMINO_ACIDS:
        return PROTEIN
    if set("ACGT") <= single <= set(LETTERS[DNA] + "U"):
        return DNA
    return TEXT


@dataclass(frozen=True, slots=True)
class Encoded:
    """One sequence as token rows, one a window, special tokens included.

    ``weights`` says how much each token counts in the pooled vector: special tokens 0, and a position that several
    windows cover the more little in each, so that every position counts the same. ``starts`` is the position in the
    sequence of the first real token of each row.
    """

    rows: tuple[np.ndarray, ...]
    weights: tuple[np.ndarray, ...]
    tokens: int  # real tokens of the whole sequence, specials not counted
    cut: int = 0  # tokens left out at the end
    starts: tuple[int, ...] = (0,)

    @property
    def longest(self) -> int:
        return max(len(row) for row in self.rows)


class Encoder:
    """How one model reads a sequence.

    Args:
        family: the model's family, which knows its special tokens and how a letter is written as a token.
        folder: where the tokenizer files lie.
        max_length: tokens a window may hold, specials not counted; 0 for the family's own limit.
        long_sequences: ``window`` (overlapping windows, every position once in the mean), ``truncate`` (the first
            window only) or ``refuse``.
        pooling: ``mean`` over real positions, ``cls``, the first special token, or ``none`` where every position is
            wanted by itself, which needs a model with a token for each letter.
    """

    def __init__(
        self,
        family: Family,
        folder: Path,
        *,
        max_length: int = 0,
        long_sequences: str = "window",
        pooling: str = "mean",
    ):
        vocabulary = family.vocabulary
        limit = family.window
        self.max_length = min(max_length, limit) if max_length and family.hard_limit else max_length or limit
        if max_length and family.hard_limit and max_length > limit:
            raise InputError(f"this model reads at most {limit} tokens at once; set the maximal length to that or less")
        self.long_sequences, self.pooling = long_sequences, pooling
        self.prefix = [self._special(vocabulary, token) for token in family.prefix]
        self.suffix = [self._special(vocabulary, token) for token in family.suffix]
        if pooling == "cls" and not self.prefix:
            raise InputError(f"a {family.name} model has no token at the start of a sequence; use mean pooling")
        if pooling == "none" and not family.one_letter_tokens:
            raise InputError(
                f"this {family.name} model does not read one letter a token, so it cannot predict single residues"
            )
        if pooling == "none" and long_sequences == "truncate":
            raise InputError("every residue needs a prediction; read long sequences in windows, not truncated")
        self.padding = int(family.config.get("pad_token_id") or 0)
        self._lookup, self._tokenizer = None, None
        letters = {letter: family.token(letter) for letter in family.letters}
        if letters and all(token in vocabulary for token in letters.values()) and family.one_letter_tokens:
            self._lookup = np.full(128, -1, dtype=np.int32)
            for letter, token in letters.items():
                self._lookup[ord(letter)] = vocabulary[token]
        else:
            from transformers import AutoTokenizer

            self._tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
            self._unknown = self._tokenizer.unk_token_id
        self._vocabulary_size = family.vocabulary_size
        letters_read = 0 if self._lookup is None else int(self._lookup.max())
        self._check_ids(max(letters_read, self.padding, *self.prefix, *self.suffix))

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

    def tokens(self, sequence: str) -> np.ndarray:
        """Token ids of a sequence without special tokens."""
        if self._lookup is not None:
            return self._lookup[np.frombuffer(sequence.encode("ascii"), dtype=np.uint8)]
        ids = self._tokenizer(sequence, add_special_tokens=False, verbose=False)["input_ids"]
        if self._unknown is not None and self._unknown in ids:
            raise InputError(f"the model's tokenizer does not know a part of the sequence '{sequence[:40]}'")
        self._check_ids(max(ids, default=0))
        return np.asarray(ids, dtype=np.int32)

    def encode(self, sequence: str, name: str = "") -> Encoded:
        """Token rows and weights of one sequence.

        Raises:
            InputError: a sequence over the limit where ``refuse`` was chosen, or one without a single token.
        """
        ids = self.tokens(sequence)
        if not len(ids):
            raise InputError(f"the sequence '{name}' has no token that the model knows")
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
        rows, weights = [], []
        for start in starts:
            window = ids[start : min(start + self.max_length, kept)]
            rows.append(np.concatenate([self.prefix, window, self.suffix]).astype(np.int32))
            weight = np.zeros(len(rows[-1]), dtype=np.float32)
            if self.pooling == "cls":
                weight[0] = 1.0
            else:
                weight[len(self.prefix) : len(self.prefix) + len(window)] = 1 / coverage[start : start + len(window)]
            weights.append(weight)
        return Encoded(tuple(rows), tuple(weights), len(ids), len(ids) - kept, tuple(starts))
