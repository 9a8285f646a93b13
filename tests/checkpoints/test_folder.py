"""Model folders that are incomplete or damaged, and configurations that ask for more than a model."""

import hashlib
import json
import struct

import pytest

from makers.bundles import ADAPTER_CONFIG, CONFIG, header_of, model_folder, refused, tensors, write_files, zipped
from seqlm.checkpoints.adapter_config import ranks_agree
from seqlm.checkpoints.folder import check_adapter_config, check_config, read_model_folder
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


# -- config.json ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("entries", "reason"),
    [
        ({"auto_map": {"AutoModel": "evil.Model"}}, "names Python code to run"),
        ({"custom_pipelines": {"x": {"impl": "evil.P"}}}, "names Python code to run"),
        ({"quantization_config": {"quant_method": "gptq"}}, "quantised weights"),
        ({"transformers_weights": "other.safetensors"}, "another file to load"),
        ({"attn_implementation": "someone/kernels"}, "asks for the kernel"),
        ({"_attn_implementation": "flash_attention_2"}, "asks for the kernel"),
        ({"dtype": "load"}, "must be one of float32"),
        ({"hidden_act": "../../x"}, "a short word"),
        ({"model_type": "esm/../x"}, "a short word"),
        ({"num_labels": 10**9}, "up to 10,000"),
        ({"num_hidden_layers": 10**9}, "up to 1,024"),
        ({"vocab_size": 10**12}, "up to"),
        ({"max_position_embeddings": 1_000_000}, "up to 262,144"),
        ({"hidden_size": 8.5}, "a whole number"),
        ({"hidden_size": True}, "a whole number"),
        ({"pad_token_id": 33}, "is outside the vocabulary"),
        ({"id2label": {"0": "a\nb"}}, "short lines of text"),
        ({"layer_types": ["full"] * 2000}, "at most 1,024"),
        ({"backbone_config": {"model_type": "timm_wrapper"}}, "not known for any supported model"),
        ({"per_layer_config": {"0": {"hidden_size": 1}}}, "not known for any supported model"),
        ({"esmfold_config": {"trunk": {"load_from": 1}}}, "not known for any supported model"),
        ({"data_file": "/etc/passwd"}, "names a path or an address"),
        ({"tokenizer_url": "https://example.org/x"}, "names a path or an address"),
    ],
)
def test_a_config_that_asks_for_more_than_a_model_is_refused(tmp_path, entries, reason):
    assert reason in refused(zipped(tmp_path / "a.zip", model_folder(**entries)))


def test_harmless_entries_of_a_config_are_dropped():
    extra = {"_name_or_path": "me/mine", "transformers_version": "4.1", "temperature": 0.7, "new_switch": False,
             "auto_map": {}, "_attn_implementation": "sdpa"}  # fmt: skip
    assert check_config(CONFIG | extra) == CONFIG | {"_name_or_path": "me/mine"}


@pytest.mark.parametrize(
    "entries",
    [
        {"hidden_size": 4096},
        {"d_model": 4096},  # the other name of the same size, beside an honest one
        {"intermediate_size": 1 << 20},
        {"vocab_size": 1 << 21},
        {"num_hidden_layers": 1024, "hidden_size": 64},
        {"model_type": "bert", "max_position_embeddings": 1 << 18, "hidden_size": 64},
        {"model_type": "t5", "num_hidden_layers": 1024, "num_attention_heads": 1024},
        {"model_type": "llama", "num_attention_heads": 1024, "head_dim": 1 << 16},
        {"hidden_size": 4096, "head_dim": 1},  # ESM takes the width of a head from that of the model
        {"model_type": "bert", "type_vocab_size": 4096, "hidden_size": 1024},
    ],
)
def test_a_config_may_not_describe_a_model_larger_than_its_weights(entries):
    with pytest.raises(InputError, match="describes a model of at least"):
        check_config(CONFIG | entries, parameters=1000)


@pytest.mark.parametrize("size", ["hidden_size", "num_hidden_layers", "vocab_size"])
def test_a_size_that_is_missing_is_not_left_to_a_default(size):
    with pytest.raises(InputError, match=f"{size} is missing"):
        check_config({key: value for key, value in CONFIG.items() if key != size}, parameters=10**9)


def test_the_estimate_stays_below_the_real_size_of_every_supported_architecture():
    import torch
    from transformers import AutoConfig, AutoModel, T5EncoderModel

    from seqlm.checkpoints.config import least_parameters

    for kind in ("t5", "esm", "bert", "roberta", "albert", "xlnet", "gpt2", "llama", "modernbert", "electra"):
        config = AutoConfig.for_model(kind, vocab_size=60_000)
        with torch.device("meta"):
            model = (T5EncoderModel if kind == "t5" else AutoModel.from_config)(config)
        real = sum(parameter.numel() for parameter in model.parameters())
        clean = check_config(json.loads(config.to_json_string()), parameters=real)
        assert 0.3 * real < least_parameters(clean) <= real, kind


# -- adapter_config.json -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("entries", "reason"),
    [
        ({"peft_type": "PROMPT_TUNING"}, "only LORA, ADALORA, VERA, IA3 are supported"),
        ({"peft_type": ["LORA"]}, "only LORA, ADALORA, VERA, IA3 are supported"),
        (
            {"auto_mapping": {"base_model_class": "system", "parent_library": "os"}},
            "names Python code to import",
        ),
        (
            {"auto_mapping": {"base_model_class": "x.y", "parent_library": "transformers"}},
            "names Python code to import",
        ),
        ({"megatron_config": {"a": 1}}, "sets 'megatron_config'"),
        ({"megatron_core": "evil.module"}, "sets 'megatron_core'"),
        ({"corda_config": {"cache_file": "/etc/x"}}, "sets 'corda_config'"),
        ({"eva_config": {"rho": 2.0}}, "sets 'eva_config'"),
        ({"loftq_config": {"loftq_bits": 4}}, "sets 'loftq_config'"),
        ({"layer_replication": [[0, 1000000]]}, "sets 'layer_replication'"),
        ({"target_parameters": ["x"]}, "sets 'target_parameters'"),
        ({"trainable_token_indices": [1]}, "sets 'trainable_token_indices'"),
        ({"something_new": 1}, "sets 'something_new'"),
        ({"init_lora_weights": "corda"}, "files or data of its own"),
        ({"init_lora_weights": "pissa_niter_999999999"}, "files or data of its own"),
        ({"target_modules": "a+b"}, "no plain module name"),
        ({"target_modules": ["(a|a)*b"]}, "no plain module name"),
        ({"target_modules": "query"}, "must be a list"),
        ({"rank_pattern": {"^a+b": 4}}, "no plain module name"),
        ({"rank_pattern": {"query": 10**9}}, "from 1 to 1024"),
        ({"r": 10**9}, "from 1 to 1024"),
        ({"r": True}, "from 1 to 1024"),
        ({"r": None}, "lacks r"),
        ({"lora_alpha": "8"}, "a number"),
        ({"lora_dropout": 1}, "from 0 to 1"),
        ({"modules_to_save": ["a/b"]}, "no plain module name"),
        ({"bias": "evil"}, "must be one of none, all, lora_only"),
        ({"task_type": "EVIL"}, "must be one of SEQ_CLS"),
        ({"layers_to_transform": list(range(2000))}, "must be layer numbers"),
        ({"base_model_name_or_path": "a\nb"}, "one line of text"),
        ({"use_dora": "yes"}, "true or false"),
    ],
)
def test_an_adapter_that_asks_for_more_than_lora_is_refused(entries, reason):
    with pytest.raises(InputError) as refusal:
        check_adapter_config(ADAPTER_CONFIG | entries)
    assert reason in str(refusal.value)


@pytest.mark.parametrize(
    ("kind", "entries", "reason"),
    [
        ("ADALORA", {"init_r": 10**9}, "from 1 to 1024"),
        ("ADALORA", {"init_r": None}, "lacks init_r"),
        ("ADALORA", {"rank_pattern": {"query.lora_E": [True]}}, "has 1 entries for query.lora_E, not 3"),
        ("ADALORA", {"rank_pattern": {"query.lora_E": [1, 0, 1]}}, "lists of true and false"),
        ("ADALORA", {"rank_pattern": {"(a|a)*b": [True] * 3}}, "no plain module name"),
        ("ADALORA", {"bias": "all"}, "must be one of none"),
        ("ADALORA", {"target_modules": ["(a|a)*b"]}, "no plain module name"),
        ("ADALORA", {"init_lora_weights": "pissa"}, "must be true or false"),
        ("VERA", {"r": 10**9}, "from 1 to 1024"),
        ("VERA", {"save_projection": False}, "must be true"),
        ("VERA", {"save_projection": None}, "lacks save_projection"),
        ("VERA", {"projection_prng_key": "x"}, "must be a whole number"),
        ("VERA", {"d_initial": "x"}, "a number"),
        ("VERA", {"layers_to_transform": list(range(2000))}, "must be layer numbers"),
        ("IA3", {"target_modules": "a+b"}, "must be a list"),
        ("IA3", {"feedforward_modules": ["key"], "target_modules": ["value"]}, "that target_modules does not"),
        ("IA3", {"feedforward_modules": "(a|a)*b"}, "must be a list"),
        ("IA3", {"feedforward_modules": None}, "lacks feedforward_modules"),
        ("IA3", {"target_modules": "all-linear"}, "must be a list"),
        ("IA3", {"exclude_modules": ["key"]}, "sets 'exclude_modules'"),
        ("IA3", {"something_new": 1}, "sets 'something_new'"),
    ],
)
def test_an_adapter_of_another_type_that_asks_for_more_is_refused(kind, entries, reason):
    from peft import AdaLoraConfig, IA3Config, VeraConfig

    made = {
        "ADALORA": lambda: AdaLoraConfig(init_r=3, total_step=9, target_modules=["query"]),
        "VERA": lambda: VeraConfig(r=3, target_modules=["query"]),
        "IA3": lambda: IA3Config(target_modules=["key", "query"], feedforward_modules=["key"]),
    }[kind]()
    config = {key: sorted(value) if isinstance(value, set) else value for key, value in made.to_dict().items()}
    clean = check_adapter_config(config)
    assert check_adapter_config(clean) == clean
    again = type(made)(**clean)
    assert again.target_modules == made.target_modules
    with pytest.raises(InputError) as refusal:
        check_adapter_config(config | entries)
    assert reason in str(refusal.value)


@pytest.mark.parametrize(
    ("entries", "shapes", "reason"),
    [
        ({"peft_type": "IA3"}, {"a.lora_A.weight": (2, 4)}, "holds no IA3 weights"),
        ({"peft_type": "VERA", "r": 8}, {"base_model.vera_A": (2, 4)}, "gives rank 8, but the weights have rank 2"),
        ({"peft_type": "ADALORA", "init_r": 8}, {"base_model.model.a.lora_E": (2, 1)}, "gives rank 8"),
        (
            {"peft_type": "ADALORA", "init_r": 3, "rank_pattern": {"a.lora_E": [True] * 3}},
            {"base_model.model.a.lora_E": (2, 1)},
            "another rank than the weights have, at a.lora_E",
        ),
        (
            {"peft_type": "ADALORA", "init_r": 3, "rank_pattern": {"a.lora_E": [True] * 3, "b.lora_E": [True] * 3}},
            {"base_model.model.a.lora_E": (3, 1)},
            "at b.lora_E",
        ),
    ],
)
def test_ranks_that_the_weights_do_not_have_are_refused(entries, shapes, reason):
    with pytest.raises(InputError) as refusal:
        ranks_agree(entries, shapes, "a.zip")
    assert reason in str(refusal.value)


def test_whatever_peft_writes_by_default_is_accepted_and_understood_again(tmp_path):
    from peft import LoraConfig

    for options in ({}, {"use_dora": True}, {"init_lora_weights": "pissa_niter_4"}, {"rank_pattern": {"query": 4}}):
        LoraConfig(r=2, target_modules=["query"], layers_to_transform=[0, 1], **options).save_pretrained(tmp_path)
        clean = check_adapter_config(json.loads((tmp_path / "adapter_config.json").read_text()))
        assert check_adapter_config(clean) == clean
        again = LoraConfig(**clean)
        assert (again.r, again.target_modules, again.layers_to_transform) == (2, {"query"}, [0, 1])
        assert all(getattr(again, name) == value for name, value in options.items())


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
