"""What a language model of sequences is to be compared with: models of letters that know nothing but the training set.

All of them are distributions over whole sequences, as a language model is: where that has a token for the end of a
sequence, the end is one more letter to be told. So sums over a sequence can be compared.

``uniform letters``: every letter is as probable as any other. ``letter frequencies``: each has its share of the
training set. ``3-mers``: p(x | ab) = (n(abx) + k) / (n(ab) + k V) over V letters, n counted in the training set, a
Markov chain of order 2 with add-k smoothing (Chen & Goodman 1999, https://doi.org/10.1006/csla.1999.0128); the
validation set chooses k.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from seqlm.data.records import DNA, PROTEIN
from seqlm.inference.language_rows import Text

UNIFORM, FREQUENCIES, TRIPLES = "uniform letters", "letter frequencies", "3-mers"
USUAL = {PROTEIN: "ACDEFGHIKLMNPQRSTVWY", DNA: "ACGT"}  # which count even where the data lack one of them
ADDED = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)  # what k may be
UNCHOSEN = 1.0  # what it is without a validation set: Laplace's rule


class Letters:
    """Sequences as numbers of their letters, and the models of letters fitted to the training set.

    Args:
        sequences: split -> the sequences; ``train`` is one of the splits.
        texts: split -> what of each sequence counts, as the language model reads it.
        alphabet: ``protein``, ``DNA`` or another; letters that are in no sequence are known of these two alone.

    Attributes:
        symbols: letters, and the end of a sequence where that is to be told.
        k: what the validation set chose.
    """

    def __init__(self, sequences: dict[str, Sequence[str]], texts: dict[str, Sequence[Text]], alphabet: str):
        ended = any(text.ended for one in texts.values() for text in one)
        used = set().union(*(set(sequence) for one in sequences.values() for sequence in one))
        self.letters = sorted(used | set(USUAL.get(alphabet, "")))
        self.symbols = len(self.letters) + ended
        self.k = UNCHOSEN
        self._numbers = {letter: number for number, letter in enumerate(self.letters)}
        self._codes = {split: self._coded(one, texts[split]) for split, one in sequences.items()}
        self._texts = texts

    def losses(self) -> dict[str, dict[str, np.ndarray]]:
        """Model -> split -> (sequences,) nats of the letters that count."""
        if "validation" in self._codes:
            totals = {k: sum(one.sum() for one in self._triples(k, ["validation"])["validation"]) for k in ADDED}
            self.k = min(totals, key=totals.get)
        everything = {
            UNIFORM: self._uniform(),
            FREQUENCIES: self._frequencies(),
            TRIPLES: self._triples(self.k, list(self._codes)),
        }
        return {
            name: {split: np.array([one.sum() for one in values]) for split, values in by_split.items()}
            for name, by_split in everything.items()
        }

    def _coded(self, sequences: Sequence[str], texts: Sequence[Text]) -> list[np.ndarray]:
        """(letters + end,) of each sequence, the end the last of all symbols."""
        coded = []
        for sequence, text in zip(sequences, texts, strict=True):
            numbers = [self._numbers[letter] for letter in sequence[: text.last]]
            coded.append(np.array(numbers + [len(self.letters)] * text.ended, dtype=np.int64))
        return coded

    def _uniform(self) -> dict[str, list[np.ndarray]]:
        each = np.log(self.symbols)
        return {
            split: [
                np.full(len(codes) - text.first, each) for codes, text in zip(coded, self._texts[split], strict=True)
            ]
            for split, coded in self._codes.items()
        }

    def _frequencies(self) -> dict[str, list[np.ndarray]]:
        """Each letter counted once more than it occurs, so that none is impossible."""
        counts = np.bincount(np.concatenate(self._codes["train"]), minlength=self.symbols) + 1.0
        lost = -np.log(counts / counts.sum())
        return {
            split: [lost[codes[text.first :]] for codes, text in zip(coded, self._texts[split], strict=True)]
            for split, coded in self._codes.items()
        }

    def _triples(self, k: float, splits: list[str]) -> dict[str, list[np.ndarray]]:
        contexts, triples = (np.concatenate(part) for part in zip(*map(self._keys, self._codes["train"]), strict=True))
        of_context, of_triple = _Counts(contexts), _Counts(triples)
        found = {}
        for split in splits:
            found[split] = []
            for codes, text in zip(self._codes[split], self._texts[split], strict=True):
                before, whole = self._keys(codes)
                share = (of_triple(whole) + k) / (of_context(before) + k * self.symbols)
                found[split].append(-np.log(share)[text.first :])
        return found

    def _keys(self, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """A number for the two letters before each letter, and one for all three; before the first there is a start."""
        size = self.symbols + 1
        with_start = np.concatenate([[self.symbols] * 2, codes])
        before = with_start[:-2] * size + with_start[1:-1]
        return before, before * size + codes


class _Counts:
    """How often each key occurs; 0 for one that does not."""

    def __init__(self, keys: np.ndarray):
        self.keys, self.counts = np.unique(keys, return_counts=True)

    def __call__(self, keys: np.ndarray) -> np.ndarray:
        at = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        return np.where(self.keys[at] == keys, self.counts[at], 0)
