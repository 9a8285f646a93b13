"""Configurations of adapters that ask for more than what adapters are."""

import json

import pytest

from makers.bundles import ADAPTER_CONFIG
from seqlm.checkpoints.adapter_config import ranks_agree
from seqlm.checkpoints.folder import check_adapter_config
from seqlm.cli.errors import InputError


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
