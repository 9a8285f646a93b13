"""config.json of a model that a stranger made: known entries are kept, harmless ones dropped, anything else refused.

transformers sets every entry of the file as an attribute of the configuration, whatever its name. Some import Python
code (``auto_map``), open other files (``transformers_weights``), fetch kernels (``attn_implementation``) or are looked
up in torch (``dtype``), and every size is believed: ``num_labels`` of a billion fills the memory before a weight is
read. So the dict that reaches transformers is rebuilt here from entries that are understood, and the model they
describe must not be larger than its weights.
"""

from __future__ import annotations

import re

from seqlm.cli.errors import InputError

from .config_entries import (
    DROPPED,
    HEADS,
    INNER,
    LAYERS,
    NUMBERS,
    PARTS,
    PER_HEAD,
    POSITIONS,
    REASONS,
    SHARES,
    SIZES,
    SWITCHES,
    TOKENS,
    VOCABULARIES,
    WIDTHS,
    WORDS,
)  # fmt: skip

LEARNT_POSITIONS = ("bert", "roberta", "albert", "electra", "distilbert", "gpt2")  # one vector for each position
TYPED = ("bert", "roberta", "albert", "electra")  # one vector for each type of text
FIXED_PER_HEAD = ("t5", "mt5")  # 64 numbers a head unless the config says otherwise
OWN_PER_HEAD = (*FIXED_PER_HEAD, "llama", "esmc")  # the others take the width of a head from that of the model
DTYPES = ("float32", "float16", "bfloat16", "float64")
EAGER_OR_SDPA = (None, "eager", "sdpa")  # anything else may name a kernel to fetch

# Of a model that an admin installed: rotary positions cost nothing, of others each is a number that is held.
MOST_POSITIONS = 1 << 22

# What a model may hold beyond its weights files: positions of an architecture that has none, a tied matrix.
SLACK = 4_000_000

_WORD = re.compile(r"[A-Za-z0-9_.+-]{0,64}")
_LOCATION = re.compile(r"://|^[/~\\]|^[A-Za-z]:[\\/]|(^|[/\\])\.\.([/\\]|$)")


def check_config(config: dict, parameters: int | None = None, name: str = "config.json") -> dict:
    """The entries of a model's config that transformers may see.

    Args:
        config: config.json, parsed.
        parameters: numbers in the weights files; None where they are not there to compare with.
        name: what messages call it.

    Returns:
        A new dict of the allowed entries only.

    Raises:
        InputError: naming the entry that is not allowed, or saying that the model would be larger than its weights.
    """
    clean = _entries(config, name)
    if not clean.get("model_type"):
        raise InputError(f"{name} names no model_type (such as esm, t5, bert)")
    if parameters is not None:
        # of ESMFold2 the language model, which is by far the most of it
        described = clean.get("esmc_config") or {} if clean["model_type"] == "esmfold2" else clean
        _check_extent(described, parameters, name)
    return clean


def _entries(config: dict, name: str) -> dict:
    """Those entries of a config, or of a part of one, that transformers may see."""
    clean: dict = {}
    for key, value in config.items():
        where = f"{key[:60]!r} in {name}"
        if key in REASONS and value not in (None, {}, []):
            raise InputError(
                f"{where} {REASONS[key]}, which is never done for an uploaded model; remove the entry, or have the "
                "model installed with the data manager"
            )
        if key in ("attn_implementation", "_attn_implementation"):
            if value not in EAGER_OR_SDPA:
                raise InputError(f"{where} asks for the kernel {str(value)[:60]!r}; remove the entry")
        elif key in SIZES:
            clean[key] = _size(value, where, SIZES[key])
        elif key in _CHECKS:
            clean[key] = _CHECKS[key](value, where)
        elif key not in DROPPED and value not in (None, False, 0, "", [], {}):
            if isinstance(value, str) and _LOCATION.search(value):
                raise InputError(f"{where} names a path or an address ({value[:60]!r}); remove the entry")
            raise InputError(f"{where} is not known for any supported model; remove it if the model works without it")
    return clean


def _part(value, where: str):
    """A part of a model."""
    if value is not None and not isinstance(value, dict):
        raise InputError(f"{where} is {str(value)[:40]!r}, where the description of a part of the model is expected")
    return value if value is None else _entries(value, where)


def check_sizes(config: dict, name: str) -> None:
    """Refuse sizes of an installed model that no published one has, and numbers that are none.

    What is built of them before they are compared with the weights (modules, a number for each position and for each
    pair of dimensions that are rotated) takes memory and time, however small the weights are. Where transformers meets
    text or a share above 1, it fails in its own words.
    """
    for key, value in config.items():
        where = f"{key[:60]!r} in {name}"
        if key in SIZES:
            _size(value, where, MOST_POSITIONS if key in POSITIONS else SIZES[key])
        elif key in _NUMBERS:
            _CHECKS[key](value, where)
        elif key in PARTS and isinstance(value, dict):
            check_sizes(value, where)


def least_parameters(config: dict) -> int:
    """A lower bound on the numbers in a model of this config: embeddings, attention and feed-forward, nothing else.

    Of an encoder-decoder only the encoder is counted, and of layers that share their weights (ALBERT) one of each.
    """
    kind = config.get("model_type")
    width, layers = _largest(config, WIDTHS), _largest(config, LAYERS)
    if kind == "albert":
        layers = (config.get("num_hidden_groups") or 1) * (config.get("inner_group_num") or 1)
    heads, per_head = _largest(config, HEADS), _largest(config, PER_HEAD) if kind in OWN_PER_HEAD else 0
    if kind in FIXED_PER_HEAD:
        per_head = per_head or 64
    across = heads * per_head or width  # queries of all heads side by side
    shared = config.get("num_key_value_heads")
    keys = across * shared // heads if shared and heads else across
    layer = 2 * width * (across + keys) + 2 * width * _largest(config, INNER)
    # many configs say "absolute" and mean nothing by it; DNABERT-2 calls itself a BERT and has no positions at all
    learnt_positions = kind in LEARNT_POSITIONS and not config.get("alibi_starting_size")
    learnt_positions |= kind == "esm" and config.get("position_embedding_type") == "absolute"
    rows = _largest(config, VOCABULARIES) + (_largest(config, POSITIONS) if learnt_positions else 0)
    rows += (config.get("type_vocab_size") or 0) if kind in TYPED else 0
    return layers * layer + rows * (config.get("embedding_size") or width)


def _largest(config: dict, keys: tuple[str, ...]) -> int:
    return max(config.get(key) or 0 for key in keys)


def _check_extent(config: dict, parameters: int, name: str) -> None:
    for keys in (WIDTHS, LAYERS, VOCABULARIES):
        if not _largest(
            config, keys
        ):  # a class would fill in its own default, which may be far larger than the weights
            raise InputError(f"{name} does not give the size of the model: {keys[0]} is missing")
    padding, tokens = config.get("pad_token_id"), _largest(config, VOCABULARIES)
    if padding is not None and (type(padding) is not int or not -1 <= padding < tokens):
        raise InputError(f"'pad_token_id' in {name} is outside the vocabulary of {tokens:,} tokens")
    least = least_parameters(config)
    if least > 1.25 * parameters + SLACK:
        raise InputError(
            f"{name} describes a model of at least {least:,} parameters, but its weights hold {parameters:,}; "
            "the two do not belong together"
        )


def _size(value, where: str, most: int):
    if value is not None and (type(value) is not int or not 0 <= value <= most):
        raise InputError(f"{where} is {str(value)[:40]}; it must be a whole number up to {most:,}")
    return value


def _word(value, where: str):
    if value is not None and not (isinstance(value, str) and _WORD.fullmatch(value)):
        raise InputError(f"{where} is {str(value)[:60]!r}, where only a short word is expected")
    return value


def _number(value, where: str):
    if value is not None and not (type(value) in (int, float) and abs(value) <= 1e12):
        raise InputError(f"{where} is {str(value)[:60]!r}, where a number is expected")
    return value


def _share(value, where: str):
    if value is not None and not (type(value) in (int, float) and 0 <= value <= 1):
        raise InputError(f"{where} is {str(value)[:60]!r}, where a share from 0 to 1 is expected")
    return value


def _switch(value, where: str):
    if value is not None and not isinstance(value, bool):
        raise InputError(f"{where} is {str(value)[:60]!r}, where true or false is expected")
    return value


def _token(value, where: str):
    """The number of a token, or of several that end a sequence."""
    several = value if isinstance(value, list) else [value]
    if value is not None and not (
        len(several) <= 64 and all(type(one) is int and abs(one) < 1 << 31 for one in several)
    ):
        raise InputError(f"{where} is {str(value)[:60]!r}, where the number of a token is expected")
    return value


def _origin(value, where: str):
    """Where a model was loaded from when it was saved: shown to people, never opened."""
    if value is not None and (not isinstance(value, str) or len(value) > 500 or not value.isprintable()):
        raise InputError(f"{where} must be one line of text")
    return value


def _dtype(value, where: str):
    if value not in (None, *DTYPES):
        raise InputError(f"{where} is {str(value)[:40]!r}; it must be one of {', '.join(DTYPES)}")
    return value


def _words(most: int):
    def check(value, where):
        listed = value if value is not None else []
        if not isinstance(listed, list) or len(listed) > most:
            raise InputError(f"{where} must be a list of at most {most:,} names")
        for entry in listed:
            if not isinstance(entry, str) or not _WORD.fullmatch(entry):
                raise InputError(f"{where} holds {str(entry)[:60]!r}, which is no plain name")
        return value

    return check


def _tokens(value, where: str):
    """The tokens of a vocabulary of letters."""
    if value is not None and not (
        isinstance(value, list)
        and len(value) <= 1024
        and all(isinstance(one, str) and len(one) <= 32 and one.isprintable() for one in value)
    ):
        raise InputError(f"{where} must be a list of at most 1,024 short tokens")
    return value


def _labels(value, where: str):
    """Index -> label, or label -> index."""
    if value is not None and (not isinstance(value, dict) or len(value) > SIZES["num_labels"]):
        raise InputError(f"{where} must name at most {SIZES['num_labels']:,} labels")
    for pair in (value or {}).items():
        for entry in pair:
            if type(entry) is not int and not (isinstance(entry, str) and len(entry) <= 200 and entry.isprintable()):
                raise InputError(f"{where} holds the label {str(entry)[:40]!r}; labels are short lines of text")
    return value


def _rope(value, where: str, nested: bool = True):
    """Rotary positions: numbers and words, for all layers together or one object for each kind of layer."""
    if value is None:
        return None
    if not isinstance(value, dict) or len(value) > 32:
        raise InputError(f"{where} must be an object of at most 32 entries")
    for key, entry in value.items():
        if not _WORD.fullmatch(key):
            raise InputError(f"{where} holds {key[:60]!r}, which is no plain name")
        if isinstance(entry, dict) and nested:
            _rope(entry, where, nested=False)
        elif isinstance(entry, list):
            if len(entry) > 4096:
                raise InputError(f"{where} holds {len(entry):,} numbers at {key!r}")
            for number in entry:
                _number(number, where)
        elif key == "partial_rotary_factor":
            _share(entry, f"{key!r} of {where}")
        elif not isinstance(entry, bool):
            (_word if isinstance(entry, str) else _number)(entry, where)
    return value


_CHECKS = {
    **dict.fromkeys(WORDS, _word),
    **dict.fromkeys(NUMBERS, _number),
    **dict.fromkeys((*SHARES, "partial_rotary_factor"), _share),
    **dict.fromkeys(SWITCHES, _switch),
    **dict.fromkeys(TOKENS, _token),
    **dict.fromkeys(PARTS, _part),
    "_name_or_path": _origin,
    "dtype": _dtype,
    "torch_dtype": _dtype,
    "architectures": _words(16),
    "layer_types": _words(1024),
    "id2label": _labels,
    "label2id": _labels,
    "rope_parameters": _rope,
    "rope_scaling": _rope,
    "vocab_list": _tokens,
}
# what is checked of installed models too
_NUMBERS = {*NUMBERS, *SHARES, *TOKENS, "partial_rotary_factor", "rope_parameters", "rope_scaling"}
