"""Our reader of SentencePiece models beside SentencePiece itself, and beside what transformers makes with its help."""

import io
import random

import pytest
import sentencepiece
from transformers import AutoTokenizer

from makers.models import SPACED, make
from makers.scripts import DATA
from seqlm.archives.piece_model import read_pieces
from seqlm.checkpoints.folder import read_model_folder
from seqlm.families.recognition import recognise
from seqlm.tokenization.encoder import Encoder
from seqlm.tokenization.pieces import piece_tokenizer

LETTERS = "ACDEFGHIKLMNPQRSTVWY"


def proteins(count, seed, letters=LETTERS):
    """Random proteins in which a few words are frequent, so that there are pieces to learn."""
    rng = random.Random(seed)
    words = ["".join(rng.choices(letters, k=rng.randint(2, 5))) for _ in range(60)]
    return ["".join(rng.choices([*words, *letters], k=rng.randint(1, 80))) for _ in range(count)]


def trained(folder, **options):
    """A model that SentencePiece trains, and SentencePiece reading it."""
    model = io.BytesIO()
    options = {"vocab_size": 300, "minloglevel": 2, "model_writer": model} | options
    sentencepiece.SentencePieceTrainer.train(sentence_iterator=iter(proteins(400, 1)), **options)
    (folder / "spiece.model").write_bytes(model.getvalue())
    return sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())


KINDS = {
    "unigram, as by default": {"model_type": "unigram"},
    "unigram, letters as they are": {"model_type": "unigram", "normalization_rule_name": "identity"},
    "unigram, no blank in front": {"model_type": "unigram", "add_dummy_prefix": False},
    "unigram, blanks kept": {"model_type": "unigram", "remove_extra_whitespaces": False},
    "byte pairs": {"model_type": "bpe"},
    "byte pairs with bytes for what is unknown": {"model_type": "bpe", "byte_fallback": True, "vocab_size": 520},
}


@pytest.mark.parametrize("kind", KINDS)
def test_tokens_are_those_of_sentencepiece(tmp_path, kind):
    own = trained(tmp_path, **KINDS[kind])
    ours = piece_tokenizer(tmp_path / "spiece.model")
    pieces = read_pieces(tmp_path / "spiece.model", "x")
    assert pieces.pieces[5][:2] == (own.id_to_piece(5), pytest.approx(own.get_score(5)))
    assert list(pieces.vocabulary) == [own.id_to_piece(number) for number in range(own.get_piece_size())]
    texts = proteins(400, 2) + proteins(50, 3, LETTERS + "XBZUO") + [" ".join(text) for text in proteins(50, 4)]
    texts += ["", " ", "  M  K ", "m k v", "MKＶ", "M\tK"]
    different = [text for text in texts if ours.encode(text).ids != own.encode(text)]
    assert not different


@pytest.mark.parametrize("name", ["t5", *SPACED])
def test_our_tokens_are_those_that_transformers_gets_with_sentencepiece(tmp_path, name):
    folder = DATA / "models" / "tiny-t5" if name == "t5" else make(name, tmp_path)
    encoder = Encoder(recognise(folder, read_model_folder(folder).config), folder)
    own = AutoTokenizer.from_pretrained(folder)
    for text in proteins(40, 5):
        assert encoder.encode(text[:100]).rows[0].tolist() == own(" ".join(text[:100]))["input_ids"]


def test_two_chains_are_the_tokens_of_the_text_that_is_written_with_the_end_token_between_them():
    """As the authors of IgT5 give heavy and light chain to the tokenizer of ProtT5's kind."""
    folder = DATA / "models" / "tiny-t5"
    tokenizer = AutoTokenizer.from_pretrained(folder)
    encoder = Encoder(recognise(folder, read_model_folder(folder).config), folder, chains=True)
    for heavy, light in zip(proteins(20, 5), proteins(20, 6), strict=True):
        read = tokenizer(f"{' '.join(heavy)} </s> {' '.join(light)}")["input_ids"]
        assert encoder.encode(f"{heavy}:{light}").rows[0].tolist() == read
