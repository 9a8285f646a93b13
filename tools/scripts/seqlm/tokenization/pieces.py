"""A SentencePiece model as a tokenizer of the tokenizers library: equal tokens, without SentencePiece's package.

``make reference`` compares the two on random sequences.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from seqlm.archives.piece_model import FILES, PAIRS, PieceModel, read_pieces

if TYPE_CHECKING:
    from tokenizers import Tokenizer

BLANK = "▁"


def piece_file(folder: Path) -> Path | None:
    """The SentencePiece model of a folder; None where there is none."""
    return next((folder / name for name in FILES if (folder / name).is_file()), None)


def piece_tokenizer(file: Path, name: str = "") -> Tokenizer:
    """The tokenizer that a SentencePiece model describes, without special tokens around a text.

    Args:
        name: what messages call the file, by default its name.

    Raises:
        InputError: the file is no such model.
    """
    from tokenizers import Regex, Tokenizer, decoders, normalizers

    model = read_pieces(file, name or file.name)
    tokenizer = Tokenizer(_pairs(model) if model.kind == PAIRS else _unigram(model))
    steps = [normalizers.Precompiled(model.letters)] if model.letters else []
    if model.single_blanks:
        steps += [normalizers.Replace(Regex(" {2,}"), " "), normalizers.Replace(Regex("^ | $"), "")]
    steps += [normalizers.Replace(" ", BLANK)]
    steps += [normalizers.Prepend(BLANK)] if model.blank_in_front else []
    tokenizer.normalizer = normalizers.Sequence(steps)
    tokenizer.decoder = decoders.Metaspace(replacement=BLANK, prepend_scheme="always", split=False)
    return tokenizer


def _unigram(model: PieceModel):
    from tokenizers.models import Unigram

    scored = [(piece, score) for piece, score, _ in model.pieces]
    return Unigram(scored, unk_id=model.unknown, byte_fallback=model.byte_fallback)


def _pairs(model: PieceModel):
    """Byte pairs: SentencePiece joins the neighbours whose piece has the best score, which is the order of merges here.

    Each piece of several letters is a merge of any two pieces that it consists of.
    """
    from tokenizers.models import BPE

    vocabulary = model.vocabulary
    normal = [(piece, number, score) for number, (piece, score, kind) in enumerate(model.pieces) if kind in (1, 4)]
    merges = [
        (-score, number, cut, (piece[:cut], piece[cut:]))
        for piece, number, score in normal
        for cut in range(1, len(piece))
        if piece[:cut] in vocabulary and piece[cut:] in vocabulary
    ]
    unknown = model.pieces[model.unknown][0]
    return BPE(
        vocabulary, [pair for *_, pair in sorted(merges)], unk_token=unknown, fuse_unk=True,
        byte_fallback=model.byte_fallback,
    )  # fmt: skip
