"""adapter_config.json of an adapter that a stranger made: known entries are kept, harmless ones dropped.

peft gives every entry of the file to the config of its type. Some name Python modules to import (``auto_mapping``,
``megatron_core``), files to open (``corda_config``), regular expressions to match against every module name
(``target_modules`` as a text, keys of ``rank_pattern``), or change the base model (``layer_replication``). So the dict
that reaches peft is rebuilt here from entries that are understood.
"""

from __future__ import annotations

import re

from seqlm.cli.errors import InputError

LARGEST_RANK = 1024
# peft notes no task type, but the class of the model, where an adapter was put on without naming the task
TASK_OF_CLASS = {"ForTokenClassification": "TOKEN_CLS", "ForSequenceClassification": "SEQ_CLS"}
TASK_TYPES = ("SEQ_CLS", "SEQ_2_SEQ_LM", "CAUSAL_LM", "TOKEN_CLS", "QUESTION_ANS", "FEATURE_EXTRACTION")

# What peft writes for entries nobody set. null, false and empty values are taken for unset without being listed.
UNSET = {"megatron_core": "megatron.core", "qalora_group_size": 16, "peft_version": None}
# Starts that read the base model anew when the adapter is loaded, so they are part of what it means; any other start
# is only where training began.
STARTS_THAT_MATTER = re.compile(r"pissa(_niter_\d{1,2})?|olora")
STARTS_THAT_DO_NOT = (None, True, False, "gaussian", "orthogonal")

_MODULE = re.compile(r"[A-Za-z0-9_]+(\.[A-Za-z0-9_]+)*")
_OWN_LIBRARIES = re.compile(r"(transformers|seqlm|peft)(\.[A-Za-z0-9_]+)*")
_WAY_OUT = "train or save the adapter again without it"


def check_adapter_config(config: dict, name: str = "adapter_config.json") -> dict:
    """The entries of an adapter's config that peft may see.

    Args:
        config: adapter_config.json, parsed.
        name: what messages call it.

    Returns:
        A new dict of the allowed entries only, ready for peft's config of its ``peft_type``.

    Raises:
        InputError: naming the entry that is not allowed.
    """
    kind = config.get("peft_type")
    if not isinstance(kind, str) or kind not in _CHECKS:
        raise InputError(
            f"{name} describes an adapter of type {str(kind)[:40]!r}; only {', '.join(_CHECKS)} are supported"
        )
    checks = _CHECKS[kind]
    _check_auto_mapping(config.get("auto_mapping"), name)
    clean: dict = {"peft_type": kind}
    for key, value in config.items():
        if key in ("peft_type", "auto_mapping", "peft_version", "runtime_config"):
            continue  # who saved it with what; peft itself ignores runtime_config
        if kind == "ADALORA" and key in OF_TRAINING:
            continue
        if key in checks:
            if value is not None:
                clean[key] = checks[key](value, f"{key} in {name}")
        elif value not in (None, False, [], {}, "") and value != UNSET.get(key):
            raise InputError(f"{name} sets {key[:60]!r}, which is not supported in an uploaded adapter; {_WAY_OUT}")
    if "task_type" not in clean and (known := _task_of(config.get("auto_mapping"))):
        clean["task_type"] = known
    for needed in NEEDED[kind]:
        if needed not in clean:
            raise InputError(f"{name} lacks {needed}, without which an adapter cannot be rebuilt")
    if kind == "ADALORA":
        clean["total_step"] = 1  # peft wants one, and uses it in training only
        for module, kept in clean.get("rank_pattern", {}).items():
            if len(kept) != clean["init_r"]:
                raise InputError(f"rank_pattern in {name} has {len(kept)} entries for {module}, not {clean['init_r']}")
    if kind == "IA3" and not set(clean["feedforward_modules"]) <= set(clean["target_modules"]):
        raise InputError(f"feedforward_modules in {name} names modules that target_modules does not")
    return clean


def ranks_agree(config: dict, shapes: dict[str, tuple[int, ...]], name: str) -> None:
    """Refuse a rank that the weights do not have: peft would allocate it before it compares."""
    kind, parts = config["peft_type"], _PARTS[config["peft_type"]]
    rows = {tensor: shape[0] for tensor, shape in shapes.items() if shape and any(part in tensor for part in parts)}
    held = set(rows.values())
    if not held:
        raise InputError(f"adapter_model.safetensors in {name} holds no {_NAMES[kind]} weights")
    if kind == "IA3":
        return
    if kind == "ADALORA" and "rank_pattern" in config:
        asked = {module: sum(kept) for module, kept in config["rank_pattern"].items()}
        held_by = {tensor.removeprefix("base_model.model."): count for tensor, count in rows.items()}
        wrong = sorted(one for one in asked.keys() | held_by.keys() if asked.get(one) != held_by.get(one))
        if wrong:
            raise InputError(
                f"rank_pattern of adapter_config.json in {name} gives another rank than the weights have, at "
                f"{wrong[0][:80]}; the two files do not belong together"
            )
        return
    rank = config["init_r" if kind == "ADALORA" else "r"]
    asked = set(config.get("rank_pattern", {}).values())
    if asked <= held and (asked or rank in held):
        return
    wrong = sorted({rank, *asked} - held)
    raise InputError(
        f"adapter_config.json in {name} gives rank {wrong[0]}, but the weights have rank "
        f"{', '.join(map(str, sorted(held)))}; the two files do not belong together"
    )


def _check_auto_mapping(mapping, name: str) -> None:
    """peft writes the class of the base model here, and one of its loaders imports it; here it is dropped."""
    if not mapping:
        return
    parts = mapping if isinstance(mapping, dict) else {}
    library, base = parts.get("parent_library"), parts.get("base_model_class")
    if isinstance(library, str) and _OWN_LIBRARIES.fullmatch(library) and isinstance(base, str) and base.isidentifier():
        return
    raise InputError(f"auto_mapping in {name} names Python code to import ({str(library)[:60]!r}); {_WAY_OUT}")


def _task_of(mapping) -> str | None:
    """The task of the class that :func:`_check_auto_mapping` let pass."""
    base = (mapping or {}).get("base_model_class") or ""
    return next((task for ending, task in TASK_OF_CLASS.items() if base.endswith(ending)), None)


def _rank(value, where):
    if type(value) is not int or not 1 <= value <= LARGEST_RANK:
        raise InputError(f"{where} must be a whole number from 1 to {LARGEST_RANK}")
    return value


def _number(value, where):
    if type(value) not in (int, float) or not 0 <= value <= 1e6:
        raise InputError(f"{where} must be a number from 0 to 1,000,000")
    return value


def _whole(value, where):
    if type(value) is not int or not 0 <= value < 1 << 63:
        raise InputError(f"{where} must be a whole number")
    return value


def _share(value, where):
    if type(value) not in (int, float) or not 0 <= value < 1:
        raise InputError(f"{where} must be a number from 0 to 1")
    return value


def _switch(value, where):
    if not isinstance(value, bool):
        raise InputError(f"{where} must be true or false")
    return value


def _true(value, where):
    if value is not True:
        raise InputError(f"{where} must be true: without its random matrices the adapter cannot be rebuilt")
    return value


def _kept(value, where):
    """Which of its first ranks a matrix kept."""
    if not isinstance(value, list) or len(value) > LARGEST_RANK or not all(isinstance(one, bool) for one in value):
        raise InputError(f"{where} must hold lists of true and false")
    return value


def _text(value, where):
    if not isinstance(value, str) or len(value) > 500 or not value.isprintable():
        raise InputError(f"{where} must be one line of text of at most 500 characters")
    return value


def _one_of(*words):
    def check(value, where):
        if value not in words:
            raise InputError(f"{where} is {str(value)[:40]!r}; it must be one of {', '.join(words)}")
        return value

    return check


def _module(value, where):
    if not isinstance(value, str) or len(value) > 200 or not _MODULE.fullmatch(value):
        raise InputError(
            f"{where} holds {str(value)[:80]!r}, which is no plain module name; list the names (such as query, value) "
            "instead of a pattern"
        )
    return value


def _modules(value, where):
    if value == "all-linear":  # peft's own word for every linear layer
        return value
    if not isinstance(value, list):
        _module(value, where)
        raise InputError(f"{where} must be a list of module names")
    if len(value) > 2000:
        raise InputError(f"{where} lists {len(value)} modules; the limit is 2,000")
    return [_module(entry, where) for entry in value]


def _module_list(value, where):
    if not isinstance(value, list):
        raise InputError(f"{where} must be a list of module names")
    return _modules(value, where)


def _by_module(check):
    def check_all(value, where):
        if not isinstance(value, dict) or len(value) > 2000:
            raise InputError(f"{where} must be an object of at most 2,000 modules")
        return {_module(key, where): check(entry, where) for key, entry in value.items()}

    return check_all


def _layers(value, where):
    numbers = value if isinstance(value, list) else [value]
    if len(numbers) > 1000 or not all(type(number) is int and 0 <= number < 10_000 for number in numbers):
        raise InputError(f"{where} must be layer numbers")
    return value


def _layers_pattern(value, where):
    return [_module(entry, where) for entry in value] if isinstance(value, list) else _module(value, where)


def _start(value, where):
    if isinstance(value, str) and STARTS_THAT_MATTER.fullmatch(value):
        return value
    if value in STARTS_THAT_DO_NOT:
        return True
    raise InputError(f"{where} is {str(value)[:40]!r}, which needs files or data of its own; {_WAY_OUT}")


# of AdaLoRA: how ranks were dealt out in training, which an adapter that is loaded no longer needs
OF_TRAINING = ("target_r", "tinit", "tfinal", "deltaT", "beta1", "beta2", "orth_reg_weight", "total_step", "r")
NEEDED = {
    "LORA": ("r", "target_modules"),
    "ADALORA": ("init_r", "target_modules"),
    "VERA": ("r", "target_modules", "save_projection"),
    "IA3": ("target_modules", "feedforward_modules"),
}
# names of the tensors with one row a rank; of IA3, of all
_PARTS = {
    "LORA": ("lora_A", "lora_embedding_A"),
    "ADALORA": (".lora_E",),
    "VERA": ("base_model.vera_A",),
    "IA3": (".ia3_l",),
}
_NAMES = {"LORA": "LoRA", "ADALORA": "AdaLoRA", "VERA": "VeRA", "IA3": "IA3"}
_ALL = {
    "target_modules": _modules,
    "modules_to_save": _module_list,
    "task_type": _one_of(*TASK_TYPES),
    "fan_in_fan_out": _switch,
    "inference_mode": _switch,
    "base_model_name_or_path": _text,
    "revision": _text,
}
_LAYERS = {"layers_to_transform": _layers, "layers_pattern": _layers_pattern}
# what an adapter of each type may say: entry -> its check
_CHECKS = {
    "LORA": {
        **_ALL,
        **_LAYERS,
        "r": _rank,
        "lora_alpha": _number,
        "lora_dropout": _share,
        "exclude_modules": _module_list,
        "bias": _one_of("none", "all", "lora_only"),
        "use_rslora": _switch,
        "use_dora": _switch,
        "lora_bias": _switch,
        "init_lora_weights": _start,
        "rank_pattern": _by_module(_rank),
        "alpha_pattern": _by_module(_number),
    },
    "ADALORA": {
        **_ALL,
        **_LAYERS,
        "init_r": _rank,
        "lora_alpha": _number,
        "lora_dropout": _share,
        "bias": _one_of("none"),
        "init_lora_weights": _switch,
        "rank_pattern": _by_module(_kept),
    },
    "VERA": {
        **_ALL,
        **_LAYERS,
        "r": _rank,
        "vera_dropout": _share,
        "d_initial": _number,
        "projection_prng_key": _whole,
        "save_projection": _true,
        "bias": _one_of("none"),
        "init_weights": _switch,
    },
    "IA3": {
        **_ALL,
        "target_modules": _module_list,
        "feedforward_modules": _module_list,
        "init_ia3_weights": _switch,
    },
}  # fmt: skip
