"""K-mers that overlap: ACGTA is ACG CGT GTA for k = 3, as DNABERT reads DNA (Ji et al. 2021,
https://doi.org/10.1093/bioinformatics/btab083).

How the tokenizers library is made to do so, and a table that gives the same ids a hundred times as fast.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

import numpy as np

from .reading import Reading

MARK = "|"  # stands in no sequence of DNA or proteins
LETTERS = ("ACGT", "ACDEFGHIKLMNPQRSTVWY")  # what words are made of
MOST_WORDS = 1 << 24  # of a length, for which there is a table


def overlaps(letters: str, k: int):
    """Rewrites ``ACGTA`` as ``ACG|CGT|GTA|`` for k = 3, in steps that the library knows.

    What splits a text in the library cuts it into parts that do not overlap, and what replaces something in it cannot
    repeat what it found. So after every letter a mark is put, and before it, one after the other, copies of the k - 1
    letters that follow, each found by looking ahead. Copies are small letters until all is done, so that they are not
    taken for letters. Last, words that the end of a run cuts short are removed, unless the whole run is.
    """
    from tokenizers import Regex, normalizers

    large, small, mark = f"[{letters}]", f"[{letters.lower()}]", re.escape(MARK)
    steps = [normalizers.Replace(letter.lower(), letter) for letter in letters]
    steps += [normalizers.Replace(letter, letter + MARK) for letter in letters]
    for ahead in range(1, k):
        between = f"(?:{large}{small}*{mark}){{{ahead - 1}}}" if ahead > 1 else ""
        steps += [
            normalizers.Replace(Regex(f"{mark}(?={between}{letter})"), letter.lower() + MARK) for letter in letters
        ]
    whole = f"{large}{small}{{{k - 1}}}{mark}"
    steps.append(normalizers.Replace(Regex(f"(?<={whole})(?:{large}{small}{{0,{k - 2}}}{mark})+"), ""))
    if k > 2:  # of a run shorter than k, single letters are left
        steps.append(normalizers.Replace(Regex(f"(?<={large}){small}{{1,{k - 2}}}(?={mark})"), ""))
    return normalizers.Sequence([*steps, *(normalizers.Replace(letter.lower(), letter) for letter in letters)])


def is_overlaps(normalizer) -> bool:
    """Whether a normalizer of a tokenizer.json is :func:`overlaps`, of any letters and length, letter for letter."""
    steps = normalizer.get("normalizers") if isinstance(normalizer, dict) else None
    if not isinstance(steps, list):
        return False
    for letters in LETTERS:
        # twice and once more for each letter, once for each letter that is looked ahead to, and one or two at the end
        k = (len(steps) - 1) // len(letters) - 2
        if k > 1 and len(letters) ** k <= MOST_WORDS and _text_of(letters, k) == normalizer:
            return True
    return False


def _text_of(letters: str, k: int) -> dict:
    return json.loads(overlaps(letters, k).__getstate__())


def reader_of_overlaps(content: dict, vocabulary: dict[str, int]) -> KmerReader | None:
    """The reader of a tokenizer.json that :func:`overlaps` is in, letter for letter; None for any other."""
    normalizer, model = content.get("normalizer"), content.get("model") or {}
    if not isinstance(normalizer, dict) or model.get("type") != "WordLevel":
        return None
    for letters in LETTERS:
        k = max((len(token) for token in vocabulary if set(token) <= set(letters)), default=0)
        if k > 1 and len(letters) ** k <= MOST_WORDS and _text_of(letters, k) == normalizer:
            return KmerReader(vocabulary, letters, k, vocabulary.get(model.get("unk_token"), 0))
    return None


class KmerReader:
    """Words of ``k`` letters, one at every letter, looked up in a table.

    A token stands for the letter that it begins with, and the last of a run for all that are left.
    """

    largest = 0

    def __init__(self, vocabulary: dict[str, int], letters: str, k: int, unknown: int):
        self.k, self._vocabulary, self._unknown = k, vocabulary, unknown
        self._runs = re.compile(f"[{letters}]+|.", re.DOTALL)
        self._codes = np.zeros(128, dtype=np.int64)
        self._codes[[ord(letter) for letter in letters]] = np.arange(len(letters))
        self._base = len(letters)
        self._ids = np.full(len(letters) ** k, -1, dtype=np.int32)
        for token, number in vocabulary.items():
            if len(token) == k and set(token) <= set(letters):
                self._ids[self._number(self._codes_of(token))] = number
        self._lacks = bool((self._ids < 0).any())  # words that have no token

    def _codes_of(self, text: str) -> np.ndarray:
        return self._codes[np.frombuffer(text.encode("ascii"), dtype=np.uint8)]

    def _number(self, codes: np.ndarray) -> np.ndarray:
        """(letters - k + 1,) number of the word that begins at each letter."""
        ends = len(codes) - self.k + 1
        return sum(codes[at : at + ends] * self._base ** (self.k - 1 - at) for at in range(self.k))

    def read(self, sequences: Sequence[str]) -> list[Reading]:
        return [self._read(text) for text in sequences]

    def _read(self, text: str) -> Reading:
        ids, lengths, unknown = [np.zeros(0, np.int32)], [np.zeros(0, np.int32)], []
        for run in self._runs.findall(text):
            if len(run) >= self.k:
                ids.append(self._ids[self._number(self._codes_of(run))])
                lengths.append(np.ones(len(ids[-1]), dtype=np.int32))
                lengths[-1][-1] = self.k
                if self._lacks and (lost := np.flatnonzero(ids[-1] < 0)).size:
                    ids[-1][lost] = self._unknown
                    unknown += [run[at : at + lengths[-1][at]] for at in lost.tolist()]
            else:
                ids.append(np.asarray([self._vocabulary.get(letter, self._unknown) for letter in run], dtype=np.int32))
                lengths.append(np.ones(len(run), dtype=np.int32))
                unknown += [letter for letter in run if letter not in self._vocabulary]
        return Reading(np.concatenate(ids), np.concatenate(lengths), "".join(unknown))
