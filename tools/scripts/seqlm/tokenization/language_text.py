"""Between a sequence and the tokens of a model that writes sequences: what begins one, what ends one, line breaks.

Tokens of a sequence, as the model saw it in training::

    <start> T1 … Tn <end>

ZymCTRL (Munsamy et al. 2024, https://doi.org/10.1101/2024.05.03.592223) is told what to write by a control tag in the
place of the start, the number of an enzyme class, ``3.5.5.1<sep><start> T1 … Tn <end>``; it is no part of the sequence
either.

ProtGPT2 was trained on FASTA without headers (Ferruz et al. 2022, https://doi.org/10.1038/s41467-022-32007-7), so a
line break stands before the sequence, after every 60 residues and at the end; they are no part of the sequence.

Of models of 6-mers the one to five bases that are left over at the end are the last token, a *beginning*, see
:mod:`seqlm.tokenization.six_mers`. Their sequences are pieces of genomes, so that one ends where it does says nothing.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from seqlm.cli.errors import InputError
from seqlm.families.family import Family

from .encoder import reader_of
from .readers import UNKNOWN_TOKENS, AtomReader
from .six_mers import LETTERS, K, SixMers

NEWLINE = "Ċ"  # how a byte-level vocabulary writes a line break
BREAKS = 60  # residues a line of FASTA
_NO_BASES = str.maketrans("", "", LETTERS)


class LanguageText:
    """How a causal model reads and writes sequences.

    Args:
        family, folder: the model's, and where its tokenizer files lie.
        line_length: letters between line breaks, 0 for none; None for what the model is known to have been trained on.
        tokenizer: ``repaired`` or ``as-published``, see :func:`seqlm.tokenization.readers.open_reader`.
        control: text in the place of the start, in which special tokens are what they are; empty for none.

    Attributes:
        start: id of the token that begins a sequence.
        opening: ids of what stands before each sequence: the control tag, or the start if there is one.
        ends: ids of the tokens that end one, the first of them is the one to put there; empty if the model has none.
        six_mers: of a model whose tokens are 6-mers; None of any other.
    """

    def __init__(
        self,
        family: Family,
        folder: Path,
        *,
        line_length: int | None = None,
        tokenizer: str = "repaired",
        control: str = "",
    ):
        self.family = family
        self.line_length = line_length_of(family) if line_length is None else line_length
        if self.line_length and (NEWLINE not in family.vocabulary or family.one_letter_tokens):
            raise InputError("the model's vocabulary has no line break, so lines cannot have a length; choose 0")
        self.start, self.ends = family.start_token, family.end_tokens
        self.control = control
        self.opening = control_tokens(folder, family, control) if control else []
        if not control and self.start is not None:
            self.opening = [self.start]
        self._reader = reader_of(family, folder, tokenizer)
        self.six_mers = SixMers(family.vocabulary, family.vocabulary_size) if family.blocks else None
        special = {self.start, *self.ends, family.config.get("pad_token_id")}
        self.texts = [""] * family.vocabulary_size  # what each token writes
        for token, number in family.vocabulary.items():
            if number not in special and number < len(self.texts) and not family.is_special(token):
                text = token.lstrip("▁").removeprefix("##")
                self.texts[number] = text.replace(NEWLINE, "\n").replace("Ġ", " ")

    @property
    def given(self) -> int:
        """Tokens of each sequence whose probability is not asked for: what stands before it, or else its first."""
        return max(len(self.opening), 1)

    @property
    def closes(self) -> bool:
        """Whether the end of a sequence is part of how probable it is; where models are trained, it always is."""
        return self.six_mers is None

    def units(self, sequences: Sequence[str]) -> list[int] | None:
        """How many probabilities the likelihood of each sequence is made of; None where it is one a token.

        Of 6-mers each base has one, that of all 6-mers that agree with it and with the bases before it.
        """
        return None if self.six_mers is None else [len(sequence) for sequence in sequences]

    @property
    def repairs(self) -> bool:
        """Whether the published tokenizer of this model loses atoms and is mended here."""
        return isinstance(self._reader, AtomReader)

    def encode(self, sequences: Sequence[str], complete: bool = True) -> list[np.ndarray]:
        """Token ids of each sequence, (tokens,) int64, with the start, and with the end where it is complete.

        Raises:
            InputError: a letter for which the model has no token.
        """
        texts = [self.lined(sequence, complete) for sequence in sequences]
        left = [""] * len(texts)
        if self.six_mers:
            left = [text[len(text) - len(text) % K :] for text in texts]
            texts = [text[: len(text) - len(text) % K] for text in texts]
        found = []
        for sequence, reading, rest in zip(sequences, self._reader.read(texts), left, strict=True):
            if wrong := self._strange(reading.unknown + rest) or reading.unknown.strip() or reading.unread.strip():
                raise InputError(
                    f"the model has no token for '{wrong[0]}', position {sequence.find(wrong[0]) + 1} of "
                    f"'{sequence[:30]}{'…' if len(sequence) > 30 else ''}'; it cannot read such a sequence"
                )
            last = [self.ends[0]] if complete and self.ends else []
            beginning = [self.six_mers.beginning(rest)] if rest else []
            found.append(np.concatenate([self.opening, reading.ids, beginning, last]).astype(np.int64))
        return found

    def _strange(self, letters: str) -> str:
        """Those of the letters of 6-mers that are no bases; a 6-mer with one of them is unknown as a whole."""
        return letters.translate(_NO_BASES) if self.six_mers else ""

    def prompt(self, ids: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """Tokens to go on from, and which may come next; None where any may.

        What a prompt of 6-mers has over is the beginning of the next one.
        """
        if self.six_mers and ids[-1] >= self.six_mers.size:
            return ids[:-1], self.six_mers.ids[self.six_mers.members(int(ids[-1]))]
        return ids, None

    def lined(self, sequence: str, complete: bool = True) -> str:
        """The sequence with the line breaks of the training; where it is not complete, none at its end."""
        if not self.line_length:
            return sequence
        lines = [sequence[at : at + self.line_length] for at in range(0, len(sequence), self.line_length)]
        return "\n" + "\n".join(lines) + ("\n" if complete else "")

    def written(self, ids: Sequence[int]) -> str:
        """The letters of a sequence from all its tokens, with what stands before it."""
        return self.write(ids[len(self.opening) :])

    def write(self, ids: Sequence[int]) -> str:
        """The letters that tokens stand for, without line breaks and special tokens."""
        return "".join("".join(map(self._text, ids)).split())

    def _text(self, number: int) -> str:
        return self.texts[number] if number < len(self.texts) else self.six_mers.letters(int(number))


def control_tokens(folder: Path, family: Family, control: str) -> list[int]:
    """Ids of a control tag.

    Raises:
        InputError: a model without a tokenizer that knows its special tokens, or a tag with a part that has no token.
    """
    if not family.causal:
        raise InputError(f"a control tag is for models that write sequences; this one is of the family {family.name}")
    if family.blocks:
        raise InputError(f"models of the family {family.name} are given no control tag; leave it out (--control)")
    if not (folder / "tokenizer.json").is_file():
        raise InputError("the model has no tokenizer.json, which a control tag needs; leave it out")
    from tokenizers import Tokenizer

    encoding = Tokenizer.from_file(str(folder / "tokenizer.json")).encode(control, add_special_tokens=False)
    unknown = {family.vocabulary.get(token) for token in UNKNOWN_TOKENS} - {None}
    read = "".join(control[start:end] for start, end in encoding.offsets)
    special = set(re.findall(r"<[^<>]+>", control))  # a byte-level vocabulary has pieces for any text
    known = special <= set(family.vocabulary) and not unknown & set(encoding.ids)
    if not encoding.ids or not known or read.split() != control.split():
        raise InputError(
            f"the model's vocabulary does not have all of the control tag '{control[:60]}'; of ZymCTRL it is such as "
            "3.5.5.1<sep><start>"
        )
    return list(encoding.ids)


def line_length_of(family: Family) -> int:
    """60 for ProtGPT2's kind: a decoder of proteins with byte pairs, some of several residues."""
    lines = NEWLINE in family.vocabulary and family.alphabet == "protein" and not family.one_letter_tokens
    return BREAKS if lines else 0
