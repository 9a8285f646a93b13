"""What embeddings look like: lengths of vectors, how much they differ, what was changed; from a stream.

How alike vectors are is told from a random sample. Vectors of language models fill a narrow cone (Ethayarajh 2019,
https://doi.org/10.18653/v1/D19-1006), so cosines are high unless their mean is taken off first; both are given.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from seqlm.data.records import Rules
from seqlm.tokenization.encoder import Encoded

SAMPLE = 1000  # vectors
FEWEST = 10  # of them that say anything
PAIRS = 20_000
COLLAPSED = 1e-3  # spread, of the length of the mean vector, below which vectors are one and the same for most purposes


@dataclass(frozen=True)
class Spread:
    """How the vectors of the sample differ.

    Attributes:
        cosines, centred: (pairs,) of random pairs, as the vectors are and with their mean taken off.
        relative: root mean square distance from the mean vector, as a share of its length.
        dimensions: how many directions the sample fills, the participation ratio (Σλ)² / Σλ² of the eigenvalues of its
            covariance (Gao et al. 2017, https://doi.org/10.1101/214262): 1 on a line, D in a ball.
        constant: dimensions that are the same in all vectors.
    """

    cosines: np.ndarray
    centred: np.ndarray
    relative: float
    dimensions: float
    constant: int

    @property
    def collapsed(self) -> bool:
        return self.relative < COLLAPSED


class Summary:
    """Collects what a report says.

    Args:
        vectors: how many there will be.
        rules: what was changed in the letters of the sequences.
        scores: (sequences, 2) perplexity and log-likelihood that stand beside the vectors; None without.
    """

    def __init__(self, vectors: int, seed: int, rules: Rules, scores: np.ndarray | None = None):
        self.vectors, self.rules, self.scores, self._seed = vectors, rules, scores, seed
        chosen = np.random.default_rng(seed).choice(vectors, min(SAMPLE, vectors), replace=False)
        self.judged = None  # a :class:`seqlm.tools.embed.judging.Judged`, where probes judge
        self._chosen = np.sort(chosen)
        self._kept: list[np.ndarray] = []
        self._norms: list[np.ndarray] = []
        self._seen = self.zeros = self.windows = self.tokens = 0
        self._sum = 0.0
        self.smallest, self.largest = np.inf, 0.0

    def count(self, encoded: Iterable[Encoded], limit: int) -> None:
        """How sequences were read as tokens."""
        for one in encoded:
            self.tokens += one.tokens
            self.windows += len(one.rows)
            for rule, letters in one.changes().items():
                self.rules.count(rule, letters)
            lengths = np.ones(one.tokens, dtype=np.int64) if one.lengths is None else one.lengths
            if one.cut:
                self.rules.count(f"truncated to {limit:,} tokens", int(lengths[-one.cut :].sum()))
            elif len(one.rows) > 1:
                self.rules.count(f"read in overlapping windows of {limit:,} tokens", int(lengths.sum()))

    def see(self, vectors: np.ndarray, norms: np.ndarray) -> None:
        """Vectors (n, D) as they are written, and their lengths (n,) before any scaling."""
        low, high = np.searchsorted(self._chosen, [self._seen, self._seen + len(vectors)])
        places = self._chosen[low:high] - self._seen
        self._kept.append(vectors[places].astype(np.float32))
        self._norms.append(norms[places])
        self._seen += len(vectors)
        self._sum += float(norms.sum(dtype=np.float64))
        self.smallest, self.largest = min(self.smallest, float(norms.min())), max(self.largest, float(norms.max()))
        self.zeros += int((norms == 0).sum())

    @property
    def mean_norm(self) -> float:
        return self._sum / self._seen

    def sample(self) -> tuple[np.ndarray, np.ndarray]:
        """Vectors (m, D) and their lengths before scaling (m,)."""
        return np.concatenate(self._kept), np.concatenate(self._norms)

    def spread(self) -> Spread | None:
        """None where there are too few vectors to say."""
        vectors, _ = self.sample()
        if len(vectors) < FEWEST:
            return None
        vectors = vectors.astype(np.float64)
        mean = vectors.mean(0)
        rest = vectors - mean
        variance = (rest**2).sum(1).mean()
        length = np.linalg.norm(mean)
        eigenvalues = np.linalg.svd(rest, compute_uv=False) ** 2
        total = eigenvalues.sum()
        generator = np.random.default_rng(self._seed)
        first = generator.integers(0, len(vectors), PAIRS)
        second = (first + generator.integers(1, len(vectors), PAIRS)) % len(vectors)  # never the same one
        return Spread(
            _cosines(vectors, first, second),
            _cosines(rest, first, second),
            float(np.sqrt(variance) / length) if length else np.inf,
            float(total**2 / (eigenvalues**2).sum()) if total else 0.0,
            int((np.ptp(vectors, axis=0) == 0).sum()),
        )


def _cosines(vectors: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit = vectors / np.where(norms == 0, 1, norms)
    return np.einsum("pd,pd->p", unit[first], unit[second])
