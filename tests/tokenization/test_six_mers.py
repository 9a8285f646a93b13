"""6-mers side by side: tokens as the authors of GENERator and Carbon make them, told from the vocabulary, never run as
code; and what is left over at the end."""

import json
import random
import shutil

import numpy as np
import pytest

from makers.models import make
from makers.six_mer_models import ENGLISH, MAKERS, SIX_MERS, SPECIAL, plain_ids
from seqlm.checkpoints.folder import read_model_folder
from seqlm.cli.errors import InputError
from seqlm.data.records import DNA
from seqlm.families.generator import Carbon, Generator
from seqlm.families.recognition import recognise
from seqlm.families.vocabulary import read_vocabulary
from seqlm.tokenization.encoder import Encoder
from seqlm.tokenization.language_text import LanguageText
from seqlm.tokenization.six_mers import SixMerReader, SixMers


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    parent = tmp_path_factory.mktemp("six_mers")
    return lambda name: make(name, parent)


def family_of(folder):
    return recognise(folder, read_model_folder(folder).config)


def changed(folder, target, **entries):
    """The same model with other entries in its dna_config.json; None takes one out."""
    shutil.copytree(folder, target)
    said = json.loads((target / "dna_config.json").read_text()) | entries
    (target / "dna_config.json").write_text(
        json.dumps({key: value for key, value in said.items() if value is not None})
    )
    return target


@pytest.mark.parametrize("name", MAKERS)
def test_tokens_lengths_and_what_is_unknown_are_those_of_a_plain_loop(folder, name):
    encoder = Encoder(family_of(folder(name)), folder(name))
    rng = random.Random(4)
    for letters in ["A", "ACGTA", "ACGTAC", "N", "ACGTACN", "NNNNNNACGTAC", "ACGTNACGTNAC"] + [
        "".join(rng.choices("ACGTN", weights=(9, 9, 9, 9, 1), k=rng.randint(1, 40))) for _ in range(100)
    ]:
        (reading,) = encoder.read([("one", letters)])
        assert [encoder.prefix[0], *reading.ids.tolist()] == plain_ids(name, letters)
        words = [letters[at : at + 6] for at in range(0, len(letters), 6)]
        assert reading.lengths.tolist() == [*map(len, words)]
        lost = [word for word in words if set(word) - set("ACGT") or (len(word) < 6 and name == "generator")]
        assert (reading.unknown, reading.unread) == ("".join(lost), "")


def test_ids_are_those_that_are_published():
    vocabulary = {token: number for number, token in enumerate([*SPECIAL, *SIX_MERS])}
    (first, second) = SixMerReader.of(vocabulary).read(["ACGTNACGTNAC", "AAAAAATTTTTT"])
    assert (first.ids.tolist(), second.ids.tolist()) == ([0, 0], [32, 1397])


def test_models_are_told_apart_by_their_vocabulary(folder, tmp_path):
    for name, family in (("generator", Generator), ("carbon", Carbon)):
        shutil.copytree(folder(name), tmp_path / f"no-{name}-at-all")
        found = family_of(tmp_path / f"no-{name}-at-all")
        assert type(found) is family
        assert (found.alphabet, found.causal, found.one_letter_tokens) == (DNA, True, False)
    plain = tmp_path / "no-generator-at-all"
    (plain / "vocab.txt").write_text("\n".join([*SPECIAL, *SIX_MERS]))  # as it was published first
    assert family_of(plain).vocabulary == read_vocabulary(folder("generator"))
    (plain / "vocab.txt").write_text("\n".join([*SPECIAL, *SIX_MERS[1:], "A"]))
    with pytest.raises(InputError, match=r"code of its authors .*never run"):
        read_model_folder(plain)
    # another entry in config.json, and the code that it names may compute something else
    config = json.loads((folder("generator") / "config.json").read_text())
    with pytest.raises(InputError, match="'sliding_window' is no entry of that type"):
        recognise(folder("generator"), config | {"sliding_window": 8})


def test_carbon_reads_its_6_mers_and_not_its_english(folder):
    """CCCCCC is a token of both."""
    vocabulary = read_vocabulary(folder("carbon"))
    assert vocabulary["CCCCCC"] == ENGLISH + 4 + SIX_MERS.index("CCCCCC")
    assert json.loads((folder("carbon") / "vocab.json").read_text())["CCCCCC"] < ENGLISH
    assert {token for token in vocabulary if not token.startswith("<")} == set(SIX_MERS)


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"k": 5}, "words of 5 bases; those of 6 are known"),
        ({"k": None}, "words of None bases"),
        ({"dna_special_tokens": ["<dna>", "<oov>"]}, "does not name its special tokens, <dna>, </dna> and <oov>"),
        ({"dna_special_tokens": ["<dna>", "</dna>", "<oov>", "ACG"]}, "does not name its special tokens"),
        ({"dna_special_tokens": [["<dna>"], 3]}, "does not name its special tokens"),
        ({"dna_special_tokens": "<dna>"}, "does not name its special tokens"),
        ({"dna_start_id": -1}, "numbers that cannot be"),
        ({"dna_start_id": 1 << 40}, "numbers that cannot be"),
        ({"dna_start_id": True}, "numbers that cannot be"),
        ({"dna_start_id": "7"}, "numbers that cannot be"),
        ({"dna_vocab_size": 4098}, "numbers that cannot be"),
        ({"dna_vocab_size": 1 << 30}, "numbers that cannot be"),
    ],
)
def test_numbers_of_6_mers_that_cannot_be_are_refused(folder, tmp_path, entries, message):
    with pytest.raises(InputError, match=message):
        read_vocabulary(changed(folder("carbon"), tmp_path / "model", **entries))


def test_carbon_without_the_numbers_of_its_6_mers_is_no_model_of_english(folder, tmp_path):
    shutil.copytree(folder("carbon"), tmp_path / "model")
    (tmp_path / "model" / "dna_config.json").unlink()
    with pytest.raises(InputError, match=r"no dna_config\.json, which says what its tokens for DNA are"):
        read_model_folder(tmp_path / "model")


def test_numbers_beyond_the_model_are_refused(folder, tmp_path):
    model = changed(folder("carbon"), tmp_path / "model", dna_start_id=ENGLISH + 1 + 4096)
    with pytest.raises(InputError, match="tokenizer and model do not fit each other"):
        Encoder(family_of(model), model)


def test_each_beginning_has_a_number_and_the_6_mers_that_begin_so(folder):
    vocabulary = read_vocabulary(folder("generator"))
    six_mers, names = SixMers(vocabulary, 4128), {number: token for token, number in vocabulary.items()}
    seen = set()
    for length in range(1, 6):
        for letters in {word[:length] for word in SIX_MERS}:
            number = six_mers.beginning(letters)
            assert six_mers.letters(number) == letters
            members = [names[token] for token in six_mers.ids[six_mers.members(number)].tolist()]
            assert len(members) == 4 ** (6 - length) and all(member.startswith(letters) for member in members)
            assert members[0] == letters + "A" * (6 - length)
            seen.add(number)
    assert seen == set(range(4128, 4128 + 4 + 16 + 64 + 256 + 1024))
    asked = np.asarray([vocabulary["ACGTAC"], six_mers.beginning("ACG"), 1])
    places = six_mers.places(asked)
    assert [names[six_mers.ids[place]] for place in places[:2]] == ["ACGTAC", "ACGAAA"] and places[2] == 0


@pytest.mark.parametrize("name", MAKERS)
def test_a_text_is_read_to_its_last_base_and_written_back(folder, name):
    family = family_of(folder(name))
    text = LanguageText(family, folder(name))
    for letters in ("A", "ACGTA", "ACGTAC", "ACGTACGTTGA"):
        (ids,) = text.encode([letters])
        assert ids[0] == family.vocabulary[family.prefix[0]] and ids[-1] == family.end_tokens[0]
        assert text.written(ids) == letters
        (open_end,) = text.encode([letters], complete=False)
        assert open_end.tolist() == ids[:-1].tolist()
        begun, first = text.prompt(open_end)
        assert text.written(begun) == letters[: len(letters) - len(letters) % 6]
        assert (first is None) == (len(letters) % 6 == 0)
    for letters, wrong in (("ACGTACN", "N"), ("ACGNACGT", "N"), ("RCGTAC", "R")):
        with pytest.raises(InputError, match=f"no token for '{wrong}', position {letters.index(wrong) + 1} of"):
            text.encode([letters])
    with pytest.raises(InputError, match="are given no control tag"):
        LanguageText(family, folder(name), control="<dna>")
