"""How alike windows of one length are: letter by letter, and by runs of letters that they share.

MMseqs2 needs words of several letters and a significant score, which a window of 33 residues rarely gives: of random
pieces of E. coli proteins against themselves with half of the letters replaced it found 39 of 50, with 60 % replaced
11 of 50. Windows around sites lie letter on letter anyway, so they are compared without gaps.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

LETTERS_COMPARED = 60_000_000_000  # at most, about 3 s on one core; beyond it only some of the windows are looked at
FEWEST_COMPARED = 500
_PADDING, _OTHER_PADDING = 0, 1  # of the two sides of a comparison: they equal nothing
_HASHES = 20_000_000  # held at a time
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)


def as_codes(windows: Sequence[str], padding: str = "") -> np.ndarray:
    """(n, length) letters as numbers; 0 is padding."""
    codes = np.frombuffer("".join(windows).encode("ascii"), np.uint8).reshape(len(windows), -1).copy()
    if padding:
        codes[codes == ord(padding)] = _PADDING
    return codes


def how_many(held_out: int, training: int, length: int) -> int:
    """How many held-out windows can be compared with all training windows in reasonable time."""
    affordable = LETTERS_COMPARED // max(training * length, 1)
    return min(held_out, max(affordable, FEWEST_COMPARED))


def nearest(held_out: np.ndarray, training: np.ndarray) -> np.ndarray:
    """Largest share of the letters of each held-out window that a training window has at the same places.

    Args:
        held_out: (m, length) codes.
        training: (n, length) codes.

    Returns:
        (m,) shares of the letters that are no padding; 0 without training windows.
    """
    columns = np.ascontiguousarray(training.T)
    columns[columns == _PADDING] = _OTHER_PADDING
    kind = np.uint8 if held_out.shape[1] < 256 else np.uint16
    best = np.zeros(len(held_out), kind)
    for start in range(0, len(held_out), 64):
        some = held_out[start : start + 64]
        for at in range(0, columns.shape[1], 4096):
            part = columns[:, at : at + 4096]
            equal = np.zeros((len(some), part.shape[1]), kind)
            same = np.empty(equal.shape, bool)
            for column, letters in enumerate(part):
                np.equal(some[:, column, None], letters, out=same)
                np.add(equal, same.view(np.uint8), out=equal)
            np.maximum(best[start : start + 64], equal.max(axis=1), out=best[start : start + 64])
    return best / np.maximum((held_out != _PADDING).sum(axis=1), 1)


def shuffled(windows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The same windows with the letters on either side of the middle in random order, padding left where it is."""
    mixed, middle = windows.copy(), windows.shape[1] // 2
    free = windows != _PADDING
    free[:, middle] = False
    for row, letters in enumerate(windows):
        places = np.flatnonzero(free[row])
        mixed[row, places] = letters[rng.permutation(places)]
    return mixed


def shares_run(held_out: np.ndarray, training: np.ndarray, run: int) -> np.ndarray:
    """(m,) whether a held-out window has ``run`` letters in a row that also stand in a row in a training window.

    Runs are compared by a 64-bit hash; runs with padding do not count.
    """
    found = np.zeros(len(held_out), bool)
    for start, ours in _hashes(held_out, run):
        for _, theirs in _hashes(training, run):
            known = np.sort(theirs[theirs != 0])
            if not len(known):
                continue
            at = np.minimum(np.searchsorted(known, ours), len(known) - 1)
            found[start : start + len(ours)] |= ((known[at] == ours) & (ours != 0)).any(axis=1)
    return found


def _hashes(codes: np.ndarray, run: int) -> Iterator[tuple[int, np.ndarray]]:
    """(first row, (rows, runs) hashes of all runs of letters), 0 for a run with padding, some rows at a time."""
    letters = np.random.default_rng(2024).integers(1, 2**63, 256, dtype=np.uint64)
    length = codes.shape[1]
    runs = length - run + 1
    if runs < 1:
        return
    last = np.uint64(pow(int(_MULTIPLIER), run, 2**64))
    rows = max(1, _HASHES // runs)
    for start in range(0, len(codes), rows):
        some = codes[start : start + rows]
        value, padding = np.zeros(len(some), np.uint64), np.zeros(len(some), np.int32)
        hashes = np.zeros((len(some), runs), np.uint64)
        for column in range(length):
            value = value * _MULTIPLIER + letters[some[:, column]]
            padding += some[:, column] == _PADDING
            if column >= run:
                value -= letters[some[:, column - run]] * last
                padding -= some[:, column - run] == _PADDING
            if column >= run - 1:
                hashes[:, column - run + 1] = np.where(padding == 0, value | np.uint64(1), np.uint64(0))
        yield start, hashes
