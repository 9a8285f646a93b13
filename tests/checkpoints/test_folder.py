"""Model folders that are incomplete or damaged, and configurations that ask for more than a model."""

import hashlib
import json
import struct

import pytest

from makers.bundles import CONFIG, header_of, model_folder, refused, tensors, write_files, zipped
from seqlm.checkpoints.folder import read_model_folder
from seqlm.checkpoints.safetensors_header import read_tensors
from seqlm.checkpoints.tokenizer import check_tokenizer_config
from seqlm.cli.errors import InputError

SHARDS = ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")


def sharded() -> dict[str, bytes]:
    files = model_folder()
    del files["model.safetensors"]
    index = {"metadata": {"total_size": 1}, "weight_map": {"query": SHARDS[0], "key": SHARDS[1]}}
    return files | {
        SHARDS[0]: tensors(query=(8, 8), embeddings=(33, 8)),
        SHARDS[1]: tensors(key=(8, 8)),
        "model.safetensors.index.json": json.dumps(index).encode(),
    }


def complaint(tmp_path, files: dict) -> str:
    with pytest.raises(InputError) as refusal:
        read_model_folder(write_files(tmp_path / "model", files))
    return str(refusal.value)


# -- folders -------------------------------------------------------------------------------------------------------


def test_a_complete_folder_is_read_and_extra_files_are_ignored(tmp_path):
    extra = {"README.md": b"x", "pytorch_model.bin": b"x", "modeling.py": b"x", "flax_model.msgpack": b"x"}
    model = read_model_folder(write_files(tmp_path / "model", model_folder() | extra))
    assert model.config == CONFIG
    assert [file.name for file in model.weights] == ["model.safetensors"]
    assert model.tensors["up"] == ("F32", (16, 8))
    assert model.parameters == 33 * 8 + 4 * 64 + 2 * 128
    assert model.sha256 == hashlib.sha256(model_folder()["model.safetensors"]).hexdigest()


def test_a_config_of_fewer_layers_than_the_weights_have_is_refused(tmp_path):
    names = [f"esm__encoder__layer__{n}__dense{m}" for n in range(3) for m in range(2)]
    names += [f"encoder__block__0__layer__{n}__norm" for n in range(4)]  # parts of a layer, and others in lists
    files = model_folder() | {"model.safetensors": tensors(**dict.fromkeys([*names, "head__9__dense"], (2, 2)))}

    def with_layers(count):
        return files | {"config.json": json.dumps(CONFIG | {"num_hidden_layers": count}).encode()}

    assert "says 2 layers, and these have 3" in complaint(tmp_path, with_layers(2))
    assert len(read_model_folder(write_files(tmp_path / "good", with_layers(3))).tensors) == 11
    assert "is incomplete: config.json says 4 layers, and its weights have 3" in complaint(tmp_path, with_layers(4))


@pytest.mark.parametrize(
    ("entries", "reason"),
    [
        ({"max_position_embeddings": (1 << 22) + 1}, "up to 4,194,304"),
        ({"num_hidden_layers": 1025}, "up to 1,024"),
        ({"head_dim": 1 << 17}, "up to 65,536"),
        ({"hidden_size": "8"}, "'hidden_size' in config.json in the model folder"),
        ({"partial_rotary_factor": 2}, "a share from 0 to 1"),
        ({"rope_parameters": {"full_attention": {"partial_rotary_factor": 2}}}, "a share from 0 to 1"),
        ({"layer_norm_eps": "1e-5"}, "is '1e-5', where a share from 0 to 1 is expected"),
        ({"layer_norm_eps": -1}, "a share from 0 to 1"),
        ({"attn_pdrop": 2}, "a share from 0 to 1"),
        ({"rope_theta": "much"}, "where a number is expected"),
        ({"initializer_range": 1e13}, "where a number is expected"),
        ({"pad_token_id": "<pad>"}, "where the number of a token is expected"),
        ({"layer_norm_eps": float("nan")}, "NaN"),
    ],
)
def test_sizes_that_no_model_has_are_refused_before_anything_is_built_of_them(tmp_path, entries, reason):
    files = {"config.json": json.dumps(CONFIG | entries).encode()}
    assert reason in complaint(tmp_path, model_folder() | files)


def test_an_installed_model_may_have_more_positions_than_an_upload(tmp_path):
    files = {"config.json": json.dumps(CONFIG | {"max_position_embeddings": 1 << 20}).encode()}
    assert read_model_folder(write_files(tmp_path / "model", model_folder() | files)).config["hidden_size"] == 8


@pytest.mark.parametrize(
    "named", [{"AutoTokenizer": ["tokenizer.DNAKmerTokenizer", None]}, ["tokenizer.DNAKmerTokenizer"]]
)
def test_a_tokenizer_that_is_code_is_refused_where_nothing_else_says_how_it_splits(tmp_path, named):
    settings = json.dumps({"auto_map": named, "tokenizer_class": "DNAKmerTokenizer"}).encode()
    files = model_folder() | {"tokenizer_config.json": settings}
    del files["vocab.txt"]
    for number, other in enumerate(({}, {"vocab.txt": b"A\nC\n"}, {"vocab.json": b"{}", "merges.txt": b""})):
        with pytest.raises(
            InputError, match=r"is code of its authors \(tokenizer.DNAKmerTokenizer\), which is never run"
        ):
            read_model_folder(write_files(tmp_path / str(number), files | other))
    assert read_model_folder(write_files(tmp_path / "good", files | {"tokenizer.json": b"{}"}))


def test_shards_are_found_and_hashed_together(tmp_path):
    files = sharded()
    model = read_model_folder(write_files(tmp_path / "model", files))
    assert [file.name for file in model.weights] == list(SHARDS)
    lines = "".join(f"{hashlib.sha256(files[name]).hexdigest()}  {name}\n" for name in SHARDS)
    assert model.sha256 == hashlib.sha256(lines.encode()).hexdigest()


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"config.json": None}, "has no config.json"),
        ({"config.json": b"{"}, "not JSON"),
        ({"config.json": b"[]"}, "no JSON object but a list"),
        ({"config.json": b"{}"}, "names no model_type"),
        ({"model.safetensors": None}, "has no weights"),
        ({"model.safetensors": None, "pytorch_model.bin": b"x"}, "never opened: fetch the model with the data manager"),
        (
            {"model.safetensors": tensors(a=(4, 4))[:-8]},
            "is truncated: its header names 64 bytes",
        ),
        ({"model.safetensors": b""}, "holds 0 bytes"),
        ({"vocab.txt": None}, "has no tokenizer"),
    ],
)
def test_an_incomplete_folder_is_named(tmp_path, changed, reason):
    files = {name: content for name, content in (model_folder() | changed).items() if content is not None}
    assert reason in complaint(tmp_path, files)


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({SHARDS[1]: None}, f"{SHARDS[1]}, which model.safetensors.index.json names, is missing"),
        ({SHARDS[1]: tensors(other=(8, 8))}, "names tensor 'key', which no shard holds"),
        ({"model.safetensors.index.json": b'{"weight_map": {}}'}, "no weight_map"),
        ({"model.safetensors.index.json": b'{"weight_map": {"a": "../../etc/passwd"}}'}, "'../../etc/passwd'"),
    ],
)
def test_damaged_shards_are_named(tmp_path, changed, reason):
    files = {name: content for name, content in (sharded() | changed).items() if content is not None}
    assert reason in complaint(tmp_path, files)


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        read_model_folder(tmp_path / "none")
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match="is no folder"):
        read_model_folder(tmp_path / "file")


# -- safetensors ---------------------------------------------------------------------------------------------------


def entry(shape, start, end, dtype="F32") -> dict:
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (struct.pack("<Q", 1 << 60) + b"{}", "header would be"),
        (struct.pack("<Q", 1000) + b"{}", "its header alone needs 1,008 bytes"),
        (header_of(b"not json"), "not JSON"),
        (header_of([]), "no JSON object"),
        (header_of(b'{"a": 1, "a": 1}'), "appears twice"),
        (header_of({"__metadata__": {"format": 1}}), "may hold text only"),
        (header_of({"a": {"dtype": "F32"}}), "must give dtype, shape and data_offsets"),
        (header_of({"a": entry([2], 0, 8, "PICKLE")}, bytes(8)), "unknown number type 'PICKLE'"),
        (header_of({"a": entry([2], 0, 12)}, bytes(12)), "does not fill bytes 0 to 12"),
        (header_of({"a": entry([-2], 0, 8)}, bytes(8)), "no list of sizes"),
        (header_of({"a": entry([1 << 47, 1 << 47], 0, 8)}, bytes(8)), "does not fill"),
        (header_of({"a": entry([2], -8, 0)}, bytes(8)), "must be two positions"),
        (header_of({"a": entry([2], 0, 8), "b": entry([2], 4, 12)}, bytes(12)), "overlap or leave a gap at byte 8"),
        (header_of({"a": entry([2], 0, 8), "b": entry([2], 16, 24)}, bytes(24)), "overlap or leave a gap at byte 8"),
        (header_of({"a": entry([2], 0, 8)}, bytes(4)), "is truncated"),
        (header_of({"a": entry([2], 0, 8)}, bytes(100)), "92 bytes that belong to no tensor"),
    ],
)
def test_a_header_that_does_not_describe_the_file_is_refused(tmp_path, content, reason):
    (tmp_path / "a.safetensors").write_bytes(content)
    with pytest.raises(InputError) as refusal:
        read_tensors(tmp_path / "a.safetensors")
    assert reason in str(refusal.value)


def test_what_the_safetensors_library_writes_is_read(tmp_path):
    (tmp_path / "a.safetensors").write_bytes(tensors(one=(3, 5), none=(0, 4), scalar=()))
    assert read_tensors(tmp_path / "a.safetensors") == {
        "one": ("F32", (3, 5)),
        "none": ("F32", (0, 4)),
        "scalar": ("F32", ()),
    }


# -- tokenizer files -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("entries", "reason"),
    [
        ({"auto_map": {"AutoTokenizer": ["evil.T", None]}}, "is code of its authors (evil.T), which is never run"),
        ({"auto_map": {"AutoProcessor": "evil.P"}}, "names Python code to run"),
        ({"tokenizer_class": "BertJapaneseTokenizer"}, "supported are"),
        ({"extra_ids": 10**9}, "up to 10,000"),
        ({"added_tokens_decoder": {"1000000000000": {"content": "x"}}}, "ids are below"),
        ({"added_tokens_decoder": {"1": "x"}}, "stand for tokens"),
        ({"sp_model_kwargs": {"model_file": "/etc/passwd"}}, "not known for any supported tokenizer"),
        ({"spm_file": "/etc/passwd"}, "not known for any supported tokenizer"),
        ({"fast_tokenizer_files": ["../tokenizer.json"]}, "not known for any supported tokenizer"),
        ({"cls_token": {"__type": "AddedToken", "content": "x", "evil": 1}}, "'evil', which is no property of a token"),
        ({"padding_side": "up"}, "must be one of left, right"),
        ({"do_lower_case": "yes"}, "true or false"),
    ],
)
def test_a_tokenizer_that_asks_for_more_than_tokens_is_refused(tmp_path, entries, reason):
    files = model_folder() | {"tokenizer_config.json": json.dumps(entries).encode()}
    assert reason in refused(zipped(tmp_path / "a.zip", files))


def test_paths_and_templates_of_a_tokenizer_are_dropped():
    kept = {"tokenizer_class": "EsmTokenizer", "cls_token": "<cls>", "model_max_length": 10**30}
    dropped = {
        "chat_template": "{{ x }}",
        "name_or_path": "/home/me",
        "vocab_file": "/etc/passwd",
        "tokenizer_file": "/x",
    }
    assert check_tokenizer_config(kept | dropped) == kept


def test_a_tokenizer_loses_its_own_truncation_and_padding(tmp_path):
    from tokenizers import Tokenizer, models

    from makers.bundles import opened

    tokenizer = Tokenizer(models.WordLevel({"A": 0, "C": 1}, unk_token="A"))
    tokenizer.enable_truncation(2)
    tokenizer.enable_padding(length=10**9)
    files = model_folder() | {"tokenizer.json": tokenizer.to_str().encode()}
    bundle = opened(zipped(tmp_path / "a.zip", files))
    reread = Tokenizer.from_file(str(bundle.folder / "tokenizer.json"))
    assert (reread.truncation, reread.padding, reread.get_vocab_size()) == (None, None, 2)


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "tokenizer.json"])
def test_a_file_that_was_not_fetched_is_named_as_such(tmp_path, name):
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a214614ab2935c943f9e0ff69d22e\nsize 132\n"
    for content, said in ((pointer, "a pointer of Git LFS"), (b"<!doctype html><html>", "a page of a web site")):
        assert f"but {said}" in refused(zipped(tmp_path / "a.zip", model_folder() | {name: content}))
