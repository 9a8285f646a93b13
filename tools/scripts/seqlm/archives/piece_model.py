"""SentencePiece's model file (``spiece.model``, ``tokenizer.model``), a protobuf message, read without its package.

conda's protobuf and sentencepiece are each bound to one release of protobuf's C++ library, and pytorch to another, so a
tool that wanted all three could not be installed. Only what decides how a text is split is read:
https://github.com/google/sentencepiece/blob/master/src/sentencepiece_model.proto.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from seqlm.cli.errors import InputError

FILES = ("spiece.model", "tokenizer.model", "sentencepiece.bpe.model")
UNIGRAM, PAIRS = 1, 2  # of the message's ModelType; words (3) and letters (4) are seldom used, and not read here
UNKNOWN = 2  # of the message's Type; beside it are normal 1, control 3, user-defined 4, unused 5, byte 6
MOST_BYTES = 64 << 20
_VARINT, _EIGHT_BYTES, _LENGTH, _FOUR_BYTES = 0, 1, 2, 5


@dataclass(frozen=True)
class PieceModel:
    """What a file holds.

    Attributes:
        pieces: (text, score, type) of each piece; the place is the id.
        kind: :data:`UNIGRAM` or :data:`PAIRS`.
        unknown: id of the piece that stands for letters without one.
        byte_fallback: whether such letters are split into bytes instead.
        letters: SentencePiece's table of letters that become others, as it is stored; empty where there is none.
        blank_in_front: whether a text is read as if a blank stood before it.
        single_blanks: whether blanks at the ends are dropped and several become one.
    """

    pieces: tuple[tuple[str, float, int], ...]
    kind: int
    unknown: int
    byte_fallback: bool
    letters: bytes
    blank_in_front: bool
    single_blanks: bool

    @property
    def vocabulary(self) -> dict[str, int]:
        """Piece -> id."""
        return {piece: number for number, (piece, _, _) in enumerate(self.pieces)}


def read_pieces(path: Path, name: str) -> PieceModel:
    """Read a model file.

    Raises:
        InputError: it is none, is damaged, is no unigram or byte-pair model, or says twice what a piece is.
    """
    if path.stat().st_size > MOST_BYTES:
        raise InputError(f"{name} is larger than {MOST_BYTES >> 20} MiB, which no SentencePiece model is")
    pieces, trainer, normalizer = [], {}, {}
    try:
        for field, value in _fields(path.read_bytes()):
            if not 1 <= field <= 5 or not isinstance(value, bytes):
                raise ValueError("a field that the message does not have")
            if field == 1:
                pieces.append(_piece(dict(_fields(value))))
            elif field == 2:
                trainer |= dict(_fields(value))
            elif field == 3:
                normalizer |= dict(_fields(value))
    except (ValueError, TypeError, AttributeError, IndexError, struct.error):
        raise InputError(f"{name} is no SentencePiece model, or is damaged") from None
    if not pieces:
        raise InputError(f"{name} is no SentencePiece model: it holds no pieces")
    kind = trainer.get(3, UNIGRAM)
    if kind not in (UNIGRAM, PAIRS):
        raise InputError(f"{name} splits into words or letters by SentencePiece, which is not read here")
    unknown = [number for number, (_, _, type_) in enumerate(pieces) if type_ == UNKNOWN]
    if len(unknown) != 1 or len({piece for piece, _, _ in pieces}) != len(pieces):
        raise InputError(f"{name} is no SentencePiece model: it must have one unknown piece, and each piece once")
    letters = normalizer.get(2, b"")
    if not isinstance(letters, bytes):
        raise InputError(f"{name} is no SentencePiece model, or is damaged")
    return PieceModel(
        pieces=tuple(pieces),
        kind=kind,
        unknown=unknown[0],
        byte_fallback=bool(trainer.get(35, 0)),
        letters=letters,
        blank_in_front=bool(normalizer.get(3, 1)),
        single_blanks=bool(normalizer.get(4, 1)),
    )


def _piece(fields: dict) -> tuple[str, float, int]:
    text, score, kind = fields.get(1), fields.get(2, b"\0\0\0\0"), fields.get(3, 1)
    if not text or not 1 <= kind <= 6:
        raise ValueError("no piece")
    (score,) = struct.unpack("<f", score)
    if not abs(score) < float("inf"):
        raise ValueError("a score that is no number")
    return text.decode("utf-8"), score, kind


def _fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Number and value of each field: an int of a varint, bytes of everything else."""
    position = 0
    while position < len(message):
        tag, position = _varint(message, position)
        kind = tag & 7
        if kind == _VARINT:
            value, position = _varint(message, position)
        else:
            if kind == _LENGTH:
                length, position = _varint(message, position)
            else:
                length = {_EIGHT_BYTES: 8, _FOUR_BYTES: 4}.get(kind, len(message) + 1)
            value, position = message[position : position + length], position + length
            if position > len(message):
                raise ValueError("cut short")
        yield tag >> 3, value


def _varint(message: bytes, position: int) -> tuple[int, int]:
    number = shift = 0
    while shift < 70:
        byte = message[position]
        number |= (byte & 0x7F) << shift
        position, shift = position + 1, shift + 7
        if byte < 0x80:
            return number, position
    raise ValueError("a number of more than ten bytes")
