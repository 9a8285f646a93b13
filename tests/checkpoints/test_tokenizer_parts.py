"""What a tokenizer.json of a stranger may ask for, and that what it may not is told in one line, in little memory."""

import json
import tracemalloc

import pytest
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers

from makers.bundles import header_of, model_folder, refused, zipped
from makers.scripts import DATA
from seqlm.checkpoints.safetensors_header import read_tensors
from seqlm.checkpoints.tokenizer import check_tokenizer
from seqlm.checkpoints.tokenizer_parts import check_parts, repeats_within_repeats
from seqlm.cli.errors import InputError
from seqlm.tokenization.kmer_overlaps import overlaps
from seqlm.tokenization.readers import LibraryReader

VOCABULARY = {"<unk>": 0, "A": 1, "C": 2}
DOUBLE = {"type": "Replace", "pattern": {"String": "A"}, "content": "AA"}
ANY = {"type": "Replace", "pattern": {"Regex": "x?"}, "content": "AAAAAAAA"}


def tokenizer(**parts):
    content = json.loads(Tokenizer(models.WordLevel(VOCABULARY, unk_token="<unk>")).to_str())
    return content | parts


def model(**entries):
    return {"model": {"type": "WordLevel", "vocab": VOCABULARY, "unk_token": "<unk>"} | entries}


def steps(*listed, kind="normalizers"):
    return {"type": "Sequence", kind: list(listed)}


REFUSED = {
    "an id of two thousand million": (model(vocab={"A": 2_000_000_000}), "gives the token 'A' the id 2000000000"),
    "an id that is no number": (model(vocab={"A": 1.5}), "gives the token 'A' the id 1.5"),
    "the id of a token that was added": (
        {"added_tokens": [{"id": 2_000_000_000, "content": "<x>", "special": True}]}, "the id 2000000000"),
    "a text doubled four times": ({"normalizer": steps(*[DOUBLE] * 4)}, "can make a text 16 times as long"),
    "nested, too": ({"normalizer": steps(*[steps(*[DOUBLE] * 3)] * 2)}, "can make a text 64 times as long"),
    "put in where nothing is found": ({"normalizer": ANY}, "can make a text 9 times as long"),
    "a long text": ({"normalizer": {"type": "Prepend", "prepend": "A" * 10_000}}, "a text of 10,000 letters"),
    "many steps": ({"normalizer": steps(*[{"type": "NFC"}] * 100)}, "has 101 steps; the limit is 64"),
    "an unknown step": ({"pre_tokenizer": {"type": "Random"}}, "kind 'Random', which is not supported"),
    "an unknown decoder": ({"decoder": steps({"type": "CTC"}, kind="decoders")}, "kind 'CTC', which is not supported"),
    "an unknown model": (model(type="Neural"), "kind 'Neural', which is not supported"),
    "a pattern that repeats repeats": (
        {"pre_tokenizer": {"type": "Split", "pattern": {"Regex": "(AC+)+"}, "behavior": "Isolated", "invert": False}},
        "the regular expression '(AC+)+', which repeats what repeats itself"),
    "a long pattern": (
        {"pre_tokenizer": {"type": "Split", "pattern": {"Regex": "A?" * 1000}, "behavior": "Isolated",
                           "invert": False}}, "one of more than 1,000 letters"),
    "words of any length": (model(type="WordPiece", max_input_chars_per_word=10**9), "it goes up to 10,000"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_grows_without_bound_is_refused_in_little_memory(tmp_path, name):
    parts, message = REFUSED[name]
    archive = zipped(tmp_path / "a.zip", model_folder() | {"tokenizer.json": json.dumps(tokenizer(**parts)).encode()})
    tracemalloc.start()
    try:
        assert message in refused(archive)
        assert tracemalloc.get_traced_memory()[1] < 80 << 20
    finally:
        tracemalloc.stop()


def test_tokenizers_of_models_are_read_as_before(tmp_path):
    found = list((DATA / "models").glob("*/tokenizer.json"))
    assert len(found) > 5
    for path in found:
        check_tokenizer(path, path.parent.name)
    for letters, k in (("ACGT", 3), ("ACGT", 6), ("ACDEFGHIKLMNPQRSTVWY", 2)):
        made = Tokenizer(models.WordLevel(VOCABULARY, unk_token="<unk>"))
        made.normalizer = overlaps(letters, k)
        check_parts(json.loads(made.to_str()), "overlaps")
    # of LLaMA 3, GPT-2, T5
    for split in (
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+",
        r"'s|'t| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
        " {2,}",
    ):
        made.normalizer = normalizers.Replace(Regex(split), " ")
        made.pre_tokenizer = pre_tokenizers.Split(Regex(split), "isolated")
        check_parts(json.loads(made.to_str()), "published")


@pytest.mark.parametrize("regex", ["(ba+)+", "(a|b)*", "((a)+b)*", "(?:ba{2,}){3}", r"([^)]+\))*", "(a|b){1,9}"])
def test_a_repeat_within_a_repeat_is_seen(regex):
    assert repeats_within_repeats(regex)


@pytest.mark.parametrize(
    "regex", ["a+b+", "(a+)?", r"(\(a+\)+)", "[(a+)+]+", "(a|b)c+", r"\(a+\)+", "(ab)+", "a++", "a+?b"]
)
def test_what_only_looks_like_one_is_not(regex):
    assert not repeats_within_repeats(regex)


def test_a_panic_of_the_library_is_a_mistake_in_one_line():
    class PanicException(BaseException):  # as the library's own, which is no Exception
        pass

    class Failing:
        def encode_batch_fast(self, *_, **options):
            raise PanicException("called `Result::unwrap()` on an `Err` value")

    reader = LibraryReader(Tokenizer(models.WordLevel(VOCABULARY, unk_token="<unk>")))
    reader._tokenizer = Failing()
    with pytest.raises(InputError, match=r"the model's tokenizer fails on a sequence: called `Result"):
        reader.read(["MKT"])


@pytest.mark.parametrize(("tensors", "message"), [(350_000, "its header would be"), (30_000, "holds 30,000 tensors")])
def test_a_header_of_many_empty_tensors_is_refused(tmp_path, tensors, message):
    entry = {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}
    (tmp_path / "m.safetensors").write_bytes(header_of({f"t{number}": entry for number in range(tensors)}))
    tracemalloc.start()
    try:
        with pytest.raises(InputError, match=message):
            read_tensors(tmp_path / "m.safetensors")
        assert tracemalloc.get_traced_memory()[1] < 80 << 20
    finally:
        tracemalloc.stop()
