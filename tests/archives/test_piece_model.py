"""SentencePiece's model file is read field by field, and what is none is refused in a line."""

import pytest

from makers.pieces import CONTROL, NORMAL, UNKNOWN, piece_model
from seqlm.archives.piece_model import PAIRS, UNIGRAM, read_pieces
from seqlm.cli.errors import InputError

PIECES = [("<pad>", 0.0, CONTROL), ("<unk>", 0.0, UNKNOWN), ("▁M", -1.5, NORMAL), ("▁K", -2.25, NORMAL)]


def read(tmp_path, content):
    (tmp_path / "spiece.model").write_bytes(content)
    return read_pieces(tmp_path / "spiece.model", "spiece.model in x")


def test_pieces_have_their_place_score_and_type(tmp_path):
    model = read(tmp_path, piece_model(PIECES, [(3, 1)]))
    assert model.pieces == tuple(PIECES)
    assert model.vocabulary == {"<pad>": 0, "<unk>": 1, "▁M": 2, "▁K": 3}
    assert (model.kind, model.unknown, model.byte_fallback, model.letters) == (UNIGRAM, 1, False, b"")
    assert model.blank_in_front
    assert model.single_blanks


def test_settings_are_read_and_what_is_not_known_is_passed_over(tmp_path):
    trainer = [(1, "corpus.txt"), (3, 2), (10, 0.9995), (35, 1), (300, "later versions")]
    model = read(tmp_path, piece_model(PIECES, trainer, [(2, b"\x01\x02"), (3, 0), (4, 0)]))
    assert (model.kind, model.byte_fallback, model.letters) == (PAIRS, True, b"\x01\x02")
    assert not model.blank_in_front
    assert not model.single_blanks


WHOLE = piece_model(PIECES, [(3, 1)], [(1, "identity")])
BROKEN = {
    "nothing": b"",
    "text": b"ACDEFGHIKLMNPQRSTVWY",
    "cut short": WHOLE[:-3],
    "cut in a number": WHOLE + b"\xff",
    "a number without an end": b"\xff" * 12,
    "another message": bytes([0x32, 1, 0]),
    "a piece without text": piece_model([("", 0.0, NORMAL), *PIECES]),
    "a piece that is a number": bytes([0x0A, 2, 0x08, 1]),
    "a score that is none": piece_model([("▁A", float("nan"), NORMAL), *PIECES]),
    "a type that is none": piece_model([("▁A", 0.0, 9), *PIECES]),
    "no UTF-8": bytes([0x0A, 4, 0x0A, 2, 0xC3, 0x28]),
    "no unknown piece": piece_model([one for one in PIECES if one[2] != UNKNOWN]),
    "two of a piece": piece_model([*PIECES, PIECES[2]]),
    "words": piece_model(PIECES, [(3, 3)]),
    "a table of letters that is a number": piece_model(PIECES, [], [(2, 5)]),
}


@pytest.mark.parametrize("what", BROKEN)
def test_what_is_no_model_is_named(tmp_path, what):
    with pytest.raises(InputError, match=r"spiece\.model in x"):
        read(tmp_path, BROKEN[what])


def test_every_cut_and_every_changed_byte_gives_a_model_or_one_error(tmp_path):
    for place in range(len(WHOLE)):
        for content in (WHOLE[:place], WHOLE[:place] + bytes([WHOLE[place] ^ 0x55]) + WHOLE[place + 1 :]):
            try:
                assert read(tmp_path, content).pieces
            except InputError as problem:
                assert "spiece.model in x" in str(problem)
