"""Names for records whose headers begin with the same word, as those of read pairs do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

from seqlm.cli.noticing import notice

from .records import identifier, quoted

MAX_HEADER = 100_000  # characters in one header
LONGEST_NAME = 500  # letters of a header that can be an id


class HeaderNames:
    """The name of a record: the first word of its header, or where that comes again, the whole header or a number.

    Args:
        words, headers: each gives, in a pass of its own over the file, the first word as bytes, or the whole of every
            header.
    """

    def __init__(self, path: Path, words: Callable[[], Iterable[bytes]], headers: Callable[[], Iterable[str]]):
        self._whole, self._given = False, Counter()
        # eight bytes a record; the words themselves are held only where some come again
        again = _repeated(words())
        self._repeated: set[str] = set()
        if not again:
            return
        counts = Counter(word for word in words() if hash(word) in again)
        self._repeated = {word.decode(errors="replace") for word, count in counts.items() if count > 1}
        if not self._repeated:  # two words of one hash
            return
        longest = max(map(len, map(identifier, headers())))
        self._whole = longest <= LONGEST_NAME and not _repeated(map(identifier, headers()))
        self._taken = set() if self._whole else {word.decode(errors="replace") for word in words()}
        how = "the whole headers are the ids" if self._whole else "these are numbered, as in name, name_2, name_3"
        notice(
            f"{path.name}: {len(self._repeated):,} first words of headers come more than once, such as "
            f"'{quoted(min(self._repeated))}'; {how}"
        )

    def __call__(self, word: str, header: str) -> str:
        if word not in self._repeated:
            return identifier(header) if self._whole else word
        if self._whole:
            return identifier(header)
        self._given[word] += 1
        if self._given[word] == 1:
            return word
        while (name := f"{word}_{self._given[word]}") in self._taken:
            self._given[word] += 1
        self._taken.add(name)
        return name


def _repeated(texts: Iterable[str] | Iterable[bytes]) -> set[int]:
    """Hashes that come more than once."""
    hashes = np.sort(np.fromiter(map(hash, texts), dtype=np.int64))
    return set(hashes[1:][hashes[1:] == hashes[:-1]].tolist())
