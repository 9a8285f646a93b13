"""Letters that a model's vocabulary does not know: where they are most, no tool goes on; else its report says so.

A model whose tokens are of another kind (a residue with a letter of its structure, words of English, k-mers) reads a
plain sequence as the unknown token, so that all sequences are one and the same to it. A run of such letters may become
one token, or none at all, so letters are counted, never tokens. What a family knowingly replaces (U, Z, O and B by X)
was replaced before, and is known.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from seqlm.cli.errors import InputError
from seqlm.cli.text import shown
from seqlm.data.records import Rules
from seqlm.data.sequences import CUT_AT_BLANK
from seqlm.families.vocabulary import SPECIAL
from seqlm.report.words import listed, percent

from .readers import LetterReader
from .reading import UNKNOWN, UNREAD

if TYPE_CHECKING:
    from .encoder import Encoder

MOST = 0.5  # share of a sequence from which it is unknown, and share of such sequences from which the file is
LOOKED_AT = 100  # sequences
STRETCHES, STRETCH = 4, 250  # of a long sequence; a chromosome may begin with ten thousand N


class Sample:
    """A few sequences of a stream, every one as likely as any other."""

    def __init__(self):
        self._random, self._seen, self._kept = random.Random(0), 0, []

    @classmethod
    def of(cls, sequences: Iterable[str]) -> Sample:
        sample = cls()
        for sequence in sequences:
            sample.see(sequence)
        return sample

    def see(self, sequence: str) -> None:
        self._seen += 1
        if len(self._kept) < LOOKED_AT:
            self._kept.append(stretches(sequence))
        elif (place := int(self._random.random() * self._seen)) < LOOKED_AT:
            self._kept[place] = stretches(sequence)

    def __iter__(self) -> Iterator[list[str]]:
        return iter(self._kept)


def stretches(sequence: str) -> list[str]:
    """A sequence, or stretches spread over one that is long."""
    if len(sequence) <= STRETCHES * STRETCH:
        return [sequence]
    step = (len(sequence) - STRETCH) // (STRETCHES - 1)
    return [sequence[at * step : at * step + STRETCH] for at in range(STRETCHES)]


def refuse_unknown(encoder: Encoder, sequences: Iterable[list[str]], where: str) -> None:
    """Stop where most of most sequences are unknown to the vocabulary of a model.

    Args:
        sequences: stretches of each, see :class:`Sample`.
        where: what holds them, for the message.

    Raises:
        InputError: saying how much is unknown, of which letters, and what the tokens are like.
    """
    if isinstance(encoder.reader, LetterReader):  # a token for every letter that there may be
        return
    parts = list(sequences)
    readings = iter(encoder.reader.read([part for one in parts for part in one]))
    letters, lost, bad = 0, Counter(), 0
    for one in parts:
        own = "".join(reading.unknown + reading.unread for _, reading in zip(one, readings, strict=False))
        length = sum(map(len, one))
        letters, bad = letters + length, bad + (len(own) > MOST * length)
        lost.update(own)
    if bad <= MOST * len(parts):
        return
    which = listed([shown(letter) for letter, _ in lost.most_common(3)])
    raise InputError(
        f"{where}: the model's vocabulary does not know {percent(lost.total(), letters)} of the letters, such as "
        f"{which} ({bad:,} of {len(parts):,} sequences looked at are unknown for the most part), so they would all be "
        f"the same to it; its tokens are such as {listed(_examples(encoder))}: choose a model that reads such "
        "sequences, or write them in its tokens"
    )


def _examples(encoder: Encoder) -> list[str]:
    """The first tokens, if there are any of several letters."""
    tokens = [token for token in encoder.vocabulary if not SPECIAL.fullmatch(token)]
    return [shown(token, 20) for token in ([token for token in tokens if len(token) > 1] or tokens)[:3]]


def unknown_letters(rules: Rules, letters: int | None) -> list[str]:
    """What a verdict says of letters that a model was not told of; nothing where it was told of all.

    Args:
        rules: with what was counted under ``UNKNOWN`` and ``UNREAD``, and when sequences were cleaned.
        letters: of all sequences together; None where some were read several times, so that there is no share.
    """
    found = []
    if lost := rules.letters[UNKNOWN] + rules.letters[UNREAD]:
        said = f"{percent(lost, letters)} of all letters ({lost:,} of {letters:,})" if letters else "Some letters"
        found.append(
            f"{said} are unknown to the model's vocabulary: it cannot tell them from each other, or was not told of "
            "them at all."
        )
    if cut := rules.sequences[CUT_AT_BLANK]:
        found.append(
            f"Of {cut:,} text{'s' * (cut != 1)} with blanks only what stands before the first blank was read. Behind a "
            "molecule that is a name; write a sequence without blanks."
        )
    return found
