"""What a new language model is to be compared with: models of letters, counted from the training part of a corpus.

They are those of :mod:`seqlm.baselines.language_baselines`, counted as a stream, so that the corpus may be larger than
the memory. Where tokens are hidden, a chain of order 2 knows the letters on both sides, as the masked model does:

    p(x | ab _ cd) = p(x|ab) p(c|bx) p(d|xc) / Σ_y p(y|ab) p(c|by) p(d|yc)

and a hidden token of m letters sums over all words of m letters, by the forward algorithm (Rabiner 1989,
https://doi.org/10.1109/5.18626). It is told how many letters are hidden, and those of neighbours that are hidden too,
so it is rather too good than too bad.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from seqlm.baselines.language_baselines import ADDED, FREQUENCIES, TRIPLES, UNCHOSEN, UNIFORM, USUAL
from seqlm.data.records import DNA
from seqlm.tokenization.corpus import Corpus, reverse_complement

from .split import TRAIN, Documents

PART = 1 << 17  # letters counted at once
TOGETHER = 500  # hidden tokens computed at once


@dataclass(frozen=True)
class Judged:
    """Letters of a row that is held out.

    Attributes:
        text: the letters.
        first: those before do not count, in a causal model.
        ended: the end of the sequence counts.
        hidden: (start, end) of the letters of each hidden token; None for a causal model.
    """

    text: str
    first: int = 0
    ended: bool = False
    hidden: tuple[tuple[int, int], ...] | None = None

    @property
    def letters(self) -> int:
        if self.hidden is None:
            return len(self.text) - self.first
        return sum(end - start for start, end in self.hidden)


class LetterModels:
    """Counts of letters, and of three in a row, in the training part of a corpus.

    Args:
        ended: the end of a sequence is one more symbol that is told.

    Attributes:
        k: what is added to every count, chosen on the validation set.
    """

    def __init__(self, corpus: Corpus, documents: Documents, replacements: dict[str, str], both: bool, ended: bool):
        letters = set(corpus.characters()) - set(replacements) | set(replacements.values())
        self.letters = sorted(letters | set(USUAL.get(corpus.alphabet, "")))
        self.count = len(self.letters)
        self.end, self.start = self.count, self.count + 1
        self.size, self.symbols, self.ended = self.count + 2, self.count + ended, ended
        self.k = UNCHOSEN
        self._table = np.zeros(256, np.int64)
        for number, letter in enumerate(self.letters):
            self._table[ord(letter)] = number
        for letter, read in replacements.items():
            self._table[ord(letter)] = self.letters.index(read)
        self._triples = np.zeros(self.size**3)
        for number in documents.of(TRAIN):
            text = corpus.text(documents.start[number], documents.end[number])
            self._add(text, ended and bool(documents.ends[number]))
            if both and corpus.alphabet_at(int(documents.record[number])) == DNA:
                self._add(reverse_complement(text), ended and bool(documents.begins[number]))
        self._triples = self._triples.reshape((self.size,) * 3)

    def coded(self, text: str) -> np.ndarray:
        return self._table[np.frombuffer(text.encode("ascii"), np.uint8)]

    def _add(self, text: str, ended: bool) -> None:
        before = np.full(2, self.start, np.int64)
        for at in range(0, len(text), PART):
            last = [self.end] * (ended and at + PART >= len(text))
            part = np.concatenate([before, self.coded(text[at : at + PART]), np.array(last, np.int64)])
            before = part[-2:]
            keys = (part[:-2] * self.size + part[1:-1]) * self.size + part[2:]
            self._triples += np.bincount(keys, minlength=self.size**3)

    def losses(self, judged: dict[str, Sequence[Judged]]) -> dict[str, dict[str, np.ndarray]]:
        """Model -> split -> (rows,) nats of what counts. ``validation``, where it is there, chooses ``k``."""
        if judged.get("validation"):
            some = judged["validation"][:200]
            self.k = min(ADDED, key=lambda k: self._of_chain(some, k).sum())
        single = self._triples.sum((0, 1))[: self.symbols] + 1.0
        shares = -np.log(single / single.sum())
        even = np.full(self.symbols, np.log(self.symbols))
        return {
            UNIFORM: {split: self._of_single(rows, even) for split, rows in judged.items()},
            FREQUENCIES: {split: self._of_single(rows, shares) for split, rows in judged.items()},
            TRIPLES: {split: self._of_chain(rows, self.k) for split, rows in judged.items()},
        }

    def _of_single(self, rows: Sequence[Judged], lost: np.ndarray) -> np.ndarray:
        found = np.zeros(len(rows))
        for number, row in enumerate(rows):
            codes = self.coded(row.text)
            if row.hidden is None:
                found[number] = lost[codes[row.first :]].sum() + (lost[self.end] if row.ended else 0.0)
            else:
                found[number] = sum(lost[codes[start:end]].sum() for start, end in row.hidden)
        return found

    def _shares(self, k: float) -> np.ndarray:
        """p(c | ab), (symbols before, symbols before, symbols)."""
        counts = self._triples[:, :, : self.symbols] + k
        return counts / counts.sum(2, keepdims=True)

    def _of_chain(self, rows: Sequence[Judged], k: float) -> np.ndarray:
        shares = self._shares(k)
        if rows and rows[0].hidden is not None:
            return self._of_hidden(rows, shares[:, :, : self.count])
        found, lost = np.zeros(len(rows)), -np.log(shares)
        for number, row in enumerate(rows):
            codes = np.concatenate([[self.start] * 2, self.coded(row.text), [self.end] * row.ended]).astype(np.int64)
            found[number] = lost[codes[:-2], codes[1:-1], codes[2:]][row.first :].sum()
        return found

    def _of_hidden(self, rows: Sequence[Judged], shares: np.ndarray) -> np.ndarray:
        shares = shares / shares.sum(2, keepdims=True)
        by_length: dict[int, list] = {}
        for number, row in enumerate(rows):
            codes = self.coded(row.text)
            left = np.concatenate([[self.start] * 2, codes])
            right = np.concatenate([codes, [-1, -1]])
            for start, end in row.hidden:
                parts = [left[start : start + 2], codes[start:end], right[end : end + 2], [number]]
                by_length.setdefault(end - start, []).append(np.concatenate(parts))
        found = np.zeros(len(rows))
        for length, hidden in by_length.items():
            hidden = np.array(hidden, np.int64)
            for at in range(0, len(hidden), TOGETHER):
                part = hidden[at : at + TOGETHER]
                np.add.at(found, part[:, -1], self._hidden(part[:, :-1], length, shares))
        return found

    def _hidden(self, codes: np.ndarray, length: int, shares: np.ndarray) -> np.ndarray:
        """(tokens,) nats of hidden words between two letters on each side, -1 where there is none."""
        n, count = len(codes), self.count
        before, word = codes[:, :2], codes[:, 2 : 2 + length]
        first, second = codes[:, -2], codes[:, -1]

        def after(y, z):  # probability of the letters behind, after the letters y and z of each token
            p = np.where(first >= 0, shares[y, z, np.maximum(first, 0)], 1.0)
            return p * np.where(second >= 0, shares[z, np.maximum(first, 0), np.maximum(second, 0)], 1.0)

        chain, one = np.concatenate([before, word], 1), np.ones(n)
        for place in range(length):
            one *= shares[chain[:, place], chain[:, place + 1], chain[:, place + 2]]
        one *= after(chain[:, -2], chain[:, -1])
        words = np.zeros((n, self.size, count))  # of all words so far, by their last two letters
        words[np.arange(n), before[:, 1]] = shares[before[:, 0], before[:, 1]]
        letters = shares[:count]
        for step in range(1, length):
            if step == 1:  # the letter before may be no letter
                last = np.einsum("nc,ncd->ncd", words[np.arange(n), before[:, 1]], shares[before[:, 1]][:, :count])
                words = last
            else:
                words = np.einsum("nbc,bcd->ncd", words, letters[:, :count])
        y, z = np.arange(words.shape[1])[None, :, None], np.arange(count)[None, None, :]
        behind = np.where((first >= 0)[:, None, None], shares[y, z, np.maximum(first, 0)[:, None, None]], 1.0)
        further = shares[z, np.maximum(first, 0)[:, None, None], np.maximum(second, 0)[:, None, None]]
        behind = behind * np.where((second >= 0)[:, None, None], further, 1.0)
        return -np.log(one / (words * behind).sum((1, 2)))
