"""A SentencePiece model becomes a tokenizer of the library; ``make reference`` compares it with SentencePiece."""

import subprocess
import sys

import pytest

from makers.pieces import CONTROL, NORMAL, UNKNOWN, piece_model
from makers.scripts import SCRIPTS
from seqlm.checkpoints.tokenizer import check_pieces
from seqlm.cli.errors import InputError
from seqlm.tokenization.pieces import piece_tokenizer
from seqlm.tokenization.readers import open_reader

UNIGRAM = [
    ("<pad>", 0.0, CONTROL), ("<unk>", 0.0, UNKNOWN), ("▁", -3.0, NORMAL), ("M", -2.0, NORMAL), ("K", -2.0, NORMAL),
    ("V", -2.0, NORMAL), ("MK", -2.5, NORMAL), ("▁MK", -2.6, NORMAL), ("KV", -3.9, NORMAL),
]  # fmt: skip
TRAINER = {"unigram": [(3, 1)], "pairs": [(3, 2)]}


def written(tmp_path, pieces, trainer, normalizer=()):
    (tmp_path / "spiece.model").write_bytes(piece_model(pieces, trainer, normalizer))
    return tmp_path / "spiece.model"


def tokens(tmp_path, text, kind, normalizer=()):
    return piece_tokenizer(written(tmp_path, UNIGRAM, TRAINER[kind], normalizer)).encode(text).tokens


def test_of_pieces_with_scores_the_likeliest_split_is_taken(tmp_path):
    # ▁MK V at -4.6 before ▁ MK V at -7.5 and ▁ M KV at -8.9
    assert tokens(tmp_path, "MKV", "unigram") == ["▁MK", "V"]
    assert tokens(tmp_path, "KMKV", "unigram") == ["▁", "K", "MK", "V"]


def test_of_pairs_the_best_score_is_joined_first(tmp_path):
    # MK (-2.5) before KV (-3.9), then ▁MK
    assert tokens(tmp_path, "MKV", "pairs") == ["▁MK", "V"]
    assert tokens(tmp_path, "VKV", "pairs") == ["▁", "V", "KV"]


def test_blanks_are_read_as_the_model_says(tmp_path):
    assert tokens(tmp_path, " K  V ", "unigram") == ["▁", "K", "▁", "V"]
    assert tokens(tmp_path, "KV", "unigram", [(3, 0)]) == ["KV"]
    assert tokens(tmp_path, "K  V", "unigram", [(4, 0)]) == ["▁", "K", "▁", "▁", "V"]


def test_letters_without_a_piece_are_counted_as_unknown(tmp_path):
    file = written(tmp_path, UNIGRAM, TRAINER["unigram"])
    reader = open_reader(file.parent, {piece: number for number, (piece, _, _) in enumerate(UNIGRAM)})
    (reading,) = reader.read(["MKWWV"])
    assert reading.unknown == "WW"
    assert reading.lengths.sum() == 5


def test_a_table_of_letters_that_is_none_is_one_error(tmp_path):
    with pytest.raises(InputError, match=r"spiece\.model in x"):
        check_pieces(written(tmp_path, UNIGRAM, TRAINER["unigram"], [(2, b"\x07")]), "spiece.model in x")


def test_neither_sentencepiece_nor_protobuf_is_needed(data, tmp_path):
    """conda could not install them beside pytorch."""
    code = (
        "import runpy, sys\n"
        "sys.modules |= dict.fromkeys(('sentencepiece', 'google', 'google.protobuf'))\n"  # importing them fails
        "sys.path.insert(0, sys.argv[1]); script = sys.argv.pop(1) + '/embed.py'\n"
        "runpy.run_path(script, run_name='__main__')\n"
    )
    options = ["--model", data / "models" / "tiny-t5", "--sequences", data / "sites_train.fasta"]
    command = [sys.executable, "-c", code, SCRIPTS, *options, "--output-table", tmp_path / "table.tsv"]
    done = subprocess.run(list(map(str, command)), cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert len((tmp_path / "table.tsv").read_text().splitlines()) > 1
