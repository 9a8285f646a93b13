"""How sequences are split into tokens: letter by letter, by the tokenizers library, by transformers, or as SMILES.

Every reader gives the ids and how many letters of the sequence each token stands for: several bases of a byte-pair
token, the letters of an atom in SMILES. Each letter belongs to exactly one token; one for which the tokenizer has
nothing (it would fall out without a word) belongs to the token before it, and is named in ``unread``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from seqlm.archives import strict_json
from seqlm.cli.errors import InputError
from seqlm.families.vocabulary import DNA_BEGINS, SPECIAL, UNSTRUCTURED, reads_six_mers

from .panics import panics_named
from .pieces import piece_file, piece_tokenizer
from .reading import Reading
from .six_mers import SixMerReader

TOKENIZERS = ("repaired", "as-published")
UNKNOWN_TOKENS = ("[UNK]", "<unk>")
ATOMS = r"\[.*?\]|%\d\d|>>|Br|Cl|."
_ATOMS = re.compile(ATOMS, re.DOTALL)


class LetterReader:
    """A token for each letter, by a table: no tokenizer is needed.

    Args:
        tokens: letter -> id.
    """

    def __init__(self, tokens: dict[str, int]):
        self._table = np.full(128, -1, dtype=np.int32)
        for letter, number in tokens.items():
            self._table[ord(letter)] = number
        self.largest = int(self._table.max())

    def read(self, sequences: Sequence[str]) -> list[Reading]:
        return [Reading(self._table[np.frombuffer(text.encode("ascii"), dtype=np.uint8)]) for text in sequences]


class StructureReader:
    """A token for each letter with its 3Di state, by a table.

    Args:
        tokens: (letter, state) -> id.
    """

    def __init__(self, tokens: dict[tuple[str, str], int]):
        self._table = np.full((128, 128), -1, dtype=np.int32)
        for (letter, state), number in tokens.items():
            self._table[ord(letter), ord(state)] = number
        self.largest = int(self._table.max())

    def read(self, text: str, states: str | None) -> Reading:
        """One sequence with its states, of which # is not known; None where none is."""
        letters, placed = (
            np.frombuffer(one.encode("ascii"), dtype=np.uint8) for one in (text, states or UNSTRUCTURED * len(text))
        )
        return Reading(self._table[letters, placed], unplaced=int((placed == ord(UNSTRUCTURED)).sum()))


class LibraryReader:
    """A tokenizer of the tokenizers library, many sequences in one call.

    Offsets cost as much time as the splitting itself, so they are asked for only where the letters of the tokens do
    not add up to the sequence.
    """

    largest = 0

    def __init__(self, tokenizer):
        tokenizer.no_truncation()
        tokenizer.no_padding()
        tokenizer.encode_special_tokens = True  # "<s>" in a sequence is text
        self._tokenizer = tokenizer
        vocabulary = tokenizer.get_vocab(with_added_tokens=True)
        self._unknown = _unknown_of(tokenizer, vocabulary)
        self._texts = [""] * (max(vocabulary.values(), default=-1) + 1)
        for token, number in vocabulary.items():
            self._texts[number] = "" if SPECIAL.fullmatch(token) else token.lstrip("▁Ġ").removeprefix("##")
        self._letters = np.fromiter(map(len, self._texts), dtype=np.int32, count=len(self._texts))

    def read(self, sequences: Sequence[str]) -> list[Reading]:
        with panics_named("the model's tokenizer fails on a sequence"):
            encodings = self._tokenizer.encode_batch_fast(list(sequences), add_special_tokens=False)
        readings = []
        for text, encoding in zip(sequences, encodings, strict=True):
            ids = np.asarray(encoding.ids, dtype=np.int32)
            lengths = self._letters[ids]
            if int(lengths.sum()) == len(text) and (self._unknown is None or not (ids == self._unknown).any()):
                readings.append(Reading(ids, lengths))
            else:
                readings.append(self._with_letters_dropped(text, ids) or self._by_offsets(text))
        return readings

    def _with_letters_dropped(self, text: str, ids: np.ndarray) -> Reading | None:
        """Where letters that are no tokens were dropped: the others are the tokens, one after the other.

        A byte-pair tokenizer without an unknown token does so, joins what was left and right of them, and its offsets
        behind them are wrong.
        """
        if not len(ids) or not self._letters[ids].all():
            return None
        letters, tokens = (_codes(part) for part in (text, "".join(self._texts[number] for number in ids.tolist())))
        kept = np.flatnonzero(np.isin(letters, np.unique(tokens)))
        if not np.array_equal(letters[kept], tokens):
            return None
        ends = np.cumsum(self._letters[ids])
        offsets = np.stack([kept[ends - self._letters[ids]], kept[ends - 1] + 1], axis=1)
        dropped = np.delete(letters, kept)
        return replace(_reading(text, ids, offsets, None), unread="".join(map(chr, dropped.tolist())))

    def _by_offsets(self, text: str) -> Reading:
        with panics_named("the model's tokenizer fails on a sequence"):
            encoding = self._tokenizer.encode(text, add_special_tokens=False)
        offsets = np.asarray(encoding.offsets, dtype=np.int64).reshape(-1, 2)
        return _reading(text, np.asarray(encoding.ids, dtype=np.int32), offsets, self._unknown)


class PythonReader:
    """A tokenizer that transformers writes in Python, such as that of ESM: tokens are looked up in the sequence."""

    largest = 0

    def __init__(self, tokenizer):
        self._tokenizer, self._unknown = tokenizer, tokenizer.unk_token_id

    def read(self, sequences: Sequence[str]) -> list[Reading]:
        return [self._read(text) for text in sequences]

    def _read(self, text: str) -> Reading:
        tokens = self._tokenizer.tokenize(text)
        ids = np.asarray(self._tokenizer.convert_tokens_to_ids(tokens), dtype=np.int32)
        offsets, end = np.zeros((len(tokens), 2), dtype=np.int64), 0
        for place, token in enumerate(tokens):
            start = text.find(token, end)
            start, end = (start, start + len(token)) if start >= 0 else (end, end)
            offsets[place] = start, end
        return _reading(text, ids, offsets, self._unknown)


class AtomReader:
    """SMILES by a vocabulary of atoms, where the published tokenizer cannot find them.

    A text is split into bracket atoms, Br, Cl, ring closures of two digits, the arrow of a reaction, and single
    letters, and each piece is looked up. One that the vocabulary lacks becomes the unknown token.
    """

    largest = 0

    def __init__(self, vocabulary: dict[str, int]):
        self._tokens = {token: number for token, number in vocabulary.items() if not SPECIAL.fullmatch(token)}
        self._unknown = next((vocabulary[token] for token in UNKNOWN_TOKENS if token in vocabulary), None)

    def read(self, sequences: Sequence[str]) -> list[Reading]:
        return [self._read(text) for text in sequences]

    def _read(self, text: str) -> Reading:
        pieces = _ATOMS.findall(text)
        ids = [self._tokens.get(piece, -1) for piece in pieces]
        # the published tokenizer finds single letters, and nothing else
        repaired = any(number < 0 or len(piece) > 1 for number, piece in zip(ids, pieces, strict=True))
        lengths = np.fromiter(map(len, pieces), dtype=np.int32, count=len(pieces))
        unknown = "".join(piece for number, piece in zip(ids, pieces, strict=True) if number < 0)
        if unknown and self._unknown is None:
            raise InputError(f"the model's vocabulary has no token for a part of the molecule '{text[:40]}'")
        ids = [self._unknown if number < 0 else number for number in ids]
        return Reading(np.asarray(ids, dtype=np.int32), lengths, unknown, "", repaired)


def open_reader(folder: Path, vocabulary: dict[str, int], tokenizer: str = TOKENIZERS[0]):
    """The reader of a folder with tokenizer files.

    Where there is a tokenizer.json, vocab.json with merges.txt, or a SentencePiece model, the tokenizers library alone
    reads it, as it stands; transformers is needed, and imported, for other files. 6-mers side by side are read here.

    Args:
        tokenizer: ``repaired``, a tokenizer that is known to lose atoms is mended, or ``as-published``.
    """
    if reads_six_mers(vocabulary) and (DNA_BEGINS in vocabulary or not (folder / "tokenizer.json").is_file()):
        return SixMerReader.of(vocabulary)
    if tokenizer == "repaired" and loses_atoms(folder, vocabulary):
        return AtomReader(vocabulary)
    with panics_named(f"the tokenizer of the model in {folder.name} cannot be read"):
        if (folder / "tokenizer.json").is_file():
            from tokenizers import Tokenizer

            from .kmer_overlaps import reader_of_overlaps

            content = strict_json.read_object(folder / "tokenizer.json")
            if (kmers := reader_of_overlaps(content, vocabulary)) is not None:
                return kmers
            return LibraryReader(Tokenizer.from_file(str(folder / "tokenizer.json")))
        if (folder / "vocab.json").is_file() and (folder / "merges.txt").is_file():
            return LibraryReader(_byte_level(folder))
        if (pieces := piece_file(folder)) is not None and not (folder / "vocab.txt").is_file():
            return LibraryReader(piece_tokenizer(pieces))
        from transformers import AutoTokenizer

        own = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    return LibraryReader(own.backend_tokenizer) if own.is_fast else PythonReader(own)


def _byte_level(folder: Path):
    """The byte-pair tokenizer of GPT-2 and RoBERTa from its older files."""
    from tokenizers import Tokenizer, models, pre_tokenizers

    settings = {}
    if (folder / "tokenizer_config.json").is_file():
        settings = strict_json.read_object(folder / "tokenizer_config.json")
    model = models.BPE.from_file(str(folder / "vocab.json"), str(folder / "merges.txt"))
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=bool(settings.get("add_prefix_space")))
    return tokenizer


def loses_atoms(folder: Path, vocabulary: dict[str, int]) -> bool:
    """Whether a tokenizer has tokens of several letters and no way to find them.

    So it is with ChemBERTa-2: its list of merges is empty, so a byte-pair tokenizer can only find single letters, and
    of Cl, Br and every bracket atom it keeps those letters that are tokens by themselves and drops the others. A list
    of whole words, with nothing that splits a text into words, cannot find any. Tokens that were added are found
    before anything is split.
    """
    added = _added(folder)
    several = any(
        len(token.lstrip("Ġ")) > 1 and not SPECIAL.fullmatch(token) and token not in added for token in vocabulary
    )
    return several and (merges_of(folder) == 0 or _words_unsplit(folder))


def _added(folder: Path) -> set[str]:
    """Tokens that a tokenizer.json has beside those of its model."""
    path = folder / "tokenizer.json"
    if not path.is_file():
        return set()
    return {token.get("content") for token in strict_json.read_object(path, path.name).get("added_tokens") or ()}


def _words_unsplit(folder: Path) -> bool:
    path = folder / "tokenizer.json"
    if not path.is_file():
        return False
    content = strict_json.read_object(path, path.name)
    splitter = content.get("pre_tokenizer") or {}
    nothing = not splitter or (splitter.get("type") == "Sequence" and not splitter.get("pretokenizers"))
    return (content.get("model") or {}).get("type") == "WordLevel" and nothing


def merges_of(folder: Path) -> int | None:
    """Number of merges of a byte-pair tokenizer; None for any other tokenizer."""
    path = folder / "tokenizer.json"
    if path.is_file():
        model = strict_json.read_object(path, path.name).get("model")
        if not isinstance(model, dict) or not isinstance(model.get("merges"), list):
            return None
        return len(model["merges"])
    path = folder / "merges.txt"
    if not path.is_file():
        return None
    with path.open(encoding="utf-8", errors="replace") as lines:
        return sum(bool(line.strip()) and not line.startswith("#version") for line in lines)


def _codes(text: str) -> np.ndarray:
    return np.frombuffer(text.encode("utf-32-le"), dtype=np.uint32)


def _unknown_of(tokenizer, vocabulary: dict[str, int]) -> int | None:
    token = getattr(tokenizer.model, "unk_token", None)
    if token is None:  # a unigram model has an id in its place, which cannot be asked for
        token = next((token for token in UNKNOWN_TOKENS if token in vocabulary), None)
    return vocabulary.get(token)


def _reading(text: str, ids: np.ndarray, offsets: np.ndarray, unknown_id: int | None) -> Reading:
    """Ids with the letters of each token, from where each token begins and ends (tokens, 2)."""
    if not len(ids):
        return Reading(ids, np.zeros(0, dtype=np.int32), unread=text)
    ends = np.maximum.accumulate(offsets[:, 1])
    before = np.concatenate([[0], ends[:-1]])
    starts = np.maximum(offsets[:, 0], before)
    gaps = [*zip(before, starts, strict=True), (int(ends[-1]), len(text))]
    unread = "".join(text[start:end] for start, end in gaps if start < end)
    starts[0] = 0  # a letter without a token goes with the token before it, the first ones with the first token
    lengths = np.diff(starts, append=len(text)).astype(np.int32)
    unknown = ""
    if unknown_id is not None:
        at = np.flatnonzero(ids == unknown_id)
        unknown = "".join(text[start:end] for start, end in offsets[at])
    return Reading(ids, lengths, unknown, unread)
