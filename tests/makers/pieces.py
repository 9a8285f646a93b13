"""SentencePiece's model file, written field by field: its package is not among what the tools have."""

import json
import struct

import transformers

from seqlm.archives.piece_model import read_pieces

NORMAL, UNKNOWN, CONTROL = 1, 2, 3


def piece_model(pieces, trainer=(), normalizer=()):
    """The bytes of a model.

    Args:
        pieces: (text, score, type) of each.
        trainer, normalizer: (number, value) of each field that is set; an int, or text.
    """
    listed = [_field(1, _message([(1, text), (2, score), (3, kind)])) for text, score, kind in pieces]
    return b"".join([*listed, _field(2, _message(trainer)), _field(3, _message(normalizer))])


def _message(fields):
    return b"".join(_field(number, value) for number, value in fields)


def _field(number, value):
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value & (1 << 64) - 1)
    if isinstance(value, float):
        return _varint(number << 3 | 5) + struct.pack("<f", value)
    content = value.encode() if isinstance(value, str) else value
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _varint(number):
    content = bytearray()
    while number > 0x7F:
        content.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*content, number])


def own_tokenizer(folder):
    """transformers' tokenizer of a model.

    It reads a SentencePiece model with that package only, so there its class is made from the pieces; ``make
    reference`` has the package.
    """
    if not (folder / "spiece.model").is_file():
        return transformers.AutoTokenizer.from_pretrained(folder)
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    pieces = [(piece, score) for piece, score, _ in read_pieces(folder / "spiece.model", folder.name).pieces]
    return getattr(transformers, settings.pop("tokenizer_class"))(vocab=pieces, **settings)
