"""Configurations of models that ask for more than a model, or for one larger than its weights."""

import json

import pytest

from makers.bundles import CONFIG, model_folder, refused, write_files, zipped
from seqlm.checkpoints.folder import check_config, read_model_folder
from seqlm.cli.errors import InputError


def complaint(tmp_path, files: dict) -> str:
    with pytest.raises(InputError) as refusal:
        read_model_folder(write_files(tmp_path / "model", files))
    return str(refusal.value)


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
        (
            {"layer_norm_eps": "1e-5"},
            "'layer_norm_eps' in config.json in a.zip is '1e-5', where a share from 0 to 1",
        ),
        ({"layer_norm_eps": -1e-5}, "a share from 0 to 1"),
        ({"hidden_dropout_prob": 1.5}, "a share from 0 to 1"),
        ({"initializer_range": 1e13}, "where a number is expected"),
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
