"""DNA in 6-mers side by side, ACGTAC GTTTGA for ACGTACGTTTGA, as GENERator and Carbon read it.

What their tokenizers do, which are code of their authors:

- bases are counted from the first one on, also across letters that are none;
- a 6-mer with anything but A, C, G and T is ``<oov>``;
- what is left over at the end, one to five bases, is ``<oov>`` to GENERator, and completed with A by Carbon.

So much for vectors. Where sequences are written or scored, nothing is lost at the end: a *beginning* of one to five
bases is as probable as all 6-mers that begin with it together, and stands in rows of tokens under a number of its own,
beyond those of the vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from seqlm.families.vocabulary import DNA_BEGINS, DNA_ENDS, OOV

from .reading import Reading

LETTERS, K = "ACGT", 6
_CODES = np.full(128, -1, dtype=np.int64)
_CODES[[ord(letter) for letter in LETTERS]] = np.arange(len(LETTERS))
_PLACES = 4 ** np.arange(K - 1, -1, -1)


def _codes(text: str) -> np.ndarray:
    """(letters,) of each letter its place in ``LETTERS``, -1 for any other."""
    return _CODES[np.frombuffer(text.encode("ascii"), dtype=np.uint8)]


class SixMers:
    """The 6-mers of a vocabulary, and numbers for beginnings of one to five bases.

    Args:
        size: tokens that the model has; numbers from there on are beginnings.

    Attributes:
        ids: (4096,) the token of each 6-mer in the order of the alphabet, so those with one beginning stand together.
    """

    def __init__(self, vocabulary: dict[str, int], size: int):
        self.size = size
        words = np.indices((len(LETTERS),) * K).reshape(K, -1).T
        self.ids = np.asarray([vocabulary["".join(LETTERS[place] for place in word)] for word in words.tolist()])

    def places(self, numbers: np.ndarray) -> np.ndarray:
        """Where in :attr:`ids` tokens stand, and beginnings as if completed with A; 0 for any other token."""
        table = np.zeros(max(self.size, int(self.ids.max()) + 1), dtype=np.int64)
        table[self.ids] = np.arange(len(self.ids))
        begun = numbers >= self.size
        found = table[np.where(begun, 0, numbers)]
        found[begun] = [self.members(number).start for number in numbers[begun].tolist()]
        return found

    def beginning(self, letters: str) -> int:
        """The number of one to five bases: A, C, G, T, AA, AC, … are the first ones."""
        place = 0
        for code in _codes(letters).tolist():
            place = 4 * place + code
        return self.size + (4 ** len(letters) - 4) // 3 + place

    def letters(self, number: int) -> str:
        """The bases of a beginning."""
        place, length = number - self.size, 1
        while place >= 4**length:
            place, length = place - 4**length, length + 1
        return "".join(LETTERS[place >> 2 * left & 3] for left in range(length - 1, -1, -1))

    def members(self, number: int) -> slice:
        """Which of :attr:`ids` begin so; the first of them is the one that is completed with A."""
        letters = self.letters(number)
        many = 4 ** (K - len(letters))
        first = int(sum(_codes(letters) * _PLACES[: len(letters)]))
        return slice(first, first + many)


class SixMerReader:
    """A tokenizer of 6-mers, by a table.

    Args:
        completes: whether what is left over at the end is completed with A, as Carbon does, or unknown, as it is to
            GENERator.

    Attributes:
        start, end: the tokens around a sequence.
    """

    def __init__(self, vocabulary: dict[str, int], completes: bool):
        self.completes, self._unknown = completes, vocabulary[OOV]
        marks = (DNA_BEGINS, DNA_ENDS) if completes else ("<s>", "</s>")
        self.start, self.end = (vocabulary.get(mark) for mark in marks)
        self._ids = SixMers(vocabulary, 0).ids.astype(np.int32)
        self.largest = int(max(self._ids.max(), self._unknown))

    @classmethod
    def of(cls, vocabulary: dict[str, int]) -> SixMerReader:
        """The reader of a vocabulary of 6-mers: Carbon's has a token that begins DNA."""
        return cls(vocabulary, completes=DNA_BEGINS in vocabulary)

    def read(self, sequences: Sequence[str]) -> list[Reading]:
        return [self._read(text) for text in sequences]

    def _read(self, text: str) -> Reading:
        codes, left = _codes(text), len(text) % K
        lengths = np.full(-(-len(text) // K), K, dtype=np.int32)
        if left:
            lengths[-1] = left
            codes = np.concatenate([codes, np.full(K - left, 0 if self.completes else -1)])
        words = codes.reshape(-1, K)
        known = (words >= 0).all(axis=1)
        ids = np.where(known, self._ids[words @ _PLACES * known], self._unknown).astype(np.int32)
        unknown = "".join(text[K * at : K * at + K] for at in np.flatnonzero(~known).tolist())
        return Reading(ids, lengths, unknown)
