"""Vectors of every layer in a file, so that memory holds those of one layer at a time."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator

import numpy as np

AT_ONCE = 4096  # sequences


class LayerFile:
    """Pooled vectors of sequences, as they come from :class:`seqlm.inference.every_layer.EveryLayer`.

    Args:
        layers: how many.
        width: of the vector of one.
    """

    def __init__(self, layers: int, width: int):
        self.layers, self.width, self.sequences = layers, width, 0
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - gone with this object

    def add(self, vectors: np.ndarray) -> None:
        """Vectors (sequences, layers times width), float32. A full disk is an OSError here, and nothing worse later."""
        self._file.write(np.ascontiguousarray(vectors, np.float32).data)
        self.sequences += len(vectors)

    def of_layer(self, place: int, rows: np.ndarray | slice) -> np.ndarray:
        """Vectors (rows, width) of one layer, by its place among the layers."""
        self._file.flush()
        held = np.memmap(self._file, np.float32, "r", shape=(self.sequences, self.layers, self.width))
        return np.array(held[rows, place])

    def parts(self, place: int) -> Iterator[tuple[slice, np.ndarray]]:
        """(rows, vectors) of all sequences in one layer, some thousand at a time."""
        for start in range(0, self.sequences, AT_ONCE):
            rows = slice(start, min(start + AT_ONCE, self.sequences))
            yield rows, self.of_layer(place, rows)
