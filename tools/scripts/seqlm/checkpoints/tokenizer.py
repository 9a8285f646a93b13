"""Tokenizer files of a model that a stranger made, cleaned before transformers sees them.

transformers hands every entry of tokenizer_config.json and special_tokens_map.json to the tokenizer's class as an
argument: paths of other files, arguments for SentencePiece, Jinja templates, names of classes, and counts that are
believed (``extra_ids`` of a billion makes a billion tokens). Known entries are kept, harmless ones dropped, anything
else refused.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from seqlm.archives import strict_json
from seqlm.cli.errors import InputError
from seqlm.families.vocabulary import FIXED, HYBRID, TOKENIZER_FILES
from seqlm.tokenization.panics import panics_named
from seqlm.tokenization.pieces import piece_tokenizer

from .tokenizer_parts import check_parts

CLASSES = frozenset(
    name + fast
    for name in (
        "AlbertTokenizer", "BertTokenizer", "DebertaV2Tokenizer", "DistilBertTokenizer", "ElectraTokenizer",
        "EsmTokenizer", "EsmcTokenizer", "GPT2Tokenizer", "LlamaTokenizer", "PreTrainedTokenizer", "Qwen2Tokenizer",
        "RobertaTokenizer", "T5Tokenizer", "TokenizersBackend", "XLNetTokenizer",
    )
    for fast in ("", "Fast")
).union(FIXED)  # fmt: skip
# code of GENERator's, Carbon's and LucaOne's authors, and MultiMolecule's; what stands in its place is found by itself
REWRITTEN = frozenset(("DNAKmerTokenizer", HYBRID, "LucaGPLMTokenizer", "ProteinTokenizer"))
SWITCHES = frozenset((
    "add_bos_token", "add_eos_token", "add_prefix_space", "clean_up_tokenization_spaces", "do_basic_tokenize",
    "do_lower_case", "keep_accents", "legacy", "remove_space", "split_special_tokens", "strip_accents",
    "tokenize_chinese_chars", "trim_offsets", "wordpieces_prefix", "do_word_tokenize",
))  # fmt: skip
DROPPED = frozenset((
    "_commit_hash", "_from_auto", "auto_dna_tags", "backend", "chat_template", "device_map", "full_tokenizer_file",
    "is_local", "k", "kmer",
    "local_files_only", "max_length", "name_or_path", "pad_to_multiple_of", "pad_token_type_id", "padding",
    "processor_class", "special_tokens_map_file", "stride", "tokenizer_file", "transformers_version", "truncation",
    "truncation_strategy", "use_default_system_prompt", "use_fast", "vocab_file", "merges_file", "verbose",
))  # fmt: skip
DNA_ENTRIES = ("k", "dna_start_id", "dna_vocab_size", "dna_special_tokens")
MOST_TOKENS = 1 << 22
MOST_ADDED = 100_000
_TOKEN_FIELDS = {"__type", "content", "lstrip", "normalized", "rstrip", "single_word", "special", "id"}
_WORD = re.compile(r"[A-Za-z0-9_.+-]{0,64}")


def check_tokenizer_config(config: dict, name: str = "tokenizer_config.json") -> dict:
    """The entries of tokenizer_config.json, or of special_tokens_map.json, that transformers may see.

    Raises:
        InputError: naming the entry that is not allowed.
    """
    clean: dict = {}
    for key, value in config.items():
        where = f"{key[:60]!r} in {name}"
        if key == "auto_map" and value:
            raise InputError(f"{where} names Python code to run, which is never done for an uploaded model; remove it")
        if key == "tokenizer_class" and isinstance(value, str) and value in REWRITTEN:
            continue
        if key == "tokenizer_class":
            if value is not None and (not isinstance(value, str) or value not in CLASSES):
                raise InputError(f"{where} is {str(value)[:60]!r}; supported are {', '.join(sorted(CLASSES))}")
            clean[key] = value
        elif key in SWITCHES:
            if value is not None and not isinstance(value, bool):
                raise InputError(f"{where} must be true or false")
            clean[key] = value
        elif key in _SHAPED:
            clean[key] = _SHAPED[key](value, where)
        elif re.fullmatch(r"[a-z]+_token|chain_break_token", key):  # the latter of ESM-C
            clean[key] = _token(value, where)
        elif key not in DROPPED and value not in (None, False, 0, "", [], {}):
            raise InputError(f"{where} is not known for any supported tokenizer; remove it if it works without")
    return clean


def copy_tokenizer(source: Path, folder: Path) -> None:
    """The tokenizer files of a model into another folder, without the name of code that is never run."""
    for name in TOKENIZER_FILES:
        if (source / name).is_file():
            shutil.copyfile(source / name, folder / name)
    if (path := folder / "tokenizer_config.json").is_file():
        settings = strict_json.read_object(path)
        if settings.pop("auto_map", None):
            path.write_bytes(strict_json.text_of(settings))


def check_dna_config(content: dict) -> dict:
    """The entries of dna_config.json that are read; what they say is checked where a vocabulary is made of them."""
    return {entry: content[entry] for entry in DNA_ENTRIES if entry in content}


def check_tokenizer(path: Path, name: str) -> dict | None:
    """Check tokenizer.json; returns it without its truncation and padding where it had any, otherwise None.

    With a truncation of its own a tokenizer would cut sequences short without a word.

    Raises:
        InputError: the file is no tokenizer that the tokenizers library can read.
    """
    content = strict_json.read_object(path, name)
    model = content.get("model")
    vocabulary = model.get("vocab") if isinstance(model, dict) else None
    if not isinstance(vocabulary, (dict, list)) or not vocabulary:
        raise InputError(f"{name} is no tokenizer: it has no model with a vocabulary")
    if isinstance(vocabulary, dict):
        check_vocabulary(vocabulary, name)
    elif len(vocabulary) > MOST_TOKENS:
        raise InputError(f"{name} has {len(vocabulary):,} tokens; the limit is {MOST_TOKENS:,}")
    _check_added(content.get("added_tokens"), name)
    check_parts(content, name)
    if model.get("dropout"):
        raise InputError(f"{name} splits at random (dropout {model['dropout']}), so no result could be repeated")
    changed = bool(content.get("truncation") or content.get("padding"))
    content |= {"truncation": None, "padding": None}
    _try_tokenizer(path, name)
    return content if changed else None


def check_vocabulary(vocabulary: dict, name: str) -> dict:
    """vocab.json or added_tokens.json: token -> id."""
    if len(vocabulary) > MOST_TOKENS:
        raise InputError(f"{name} has {len(vocabulary):,} tokens; the limit is {MOST_TOKENS:,}")
    for token, number in vocabulary.items():
        if type(number) is not int or not 0 <= number < MOST_TOKENS:
            raise InputError(f"{name} gives the token {token[:40]!r} the id {str(number)[:40]}")
    return vocabulary


def _check_added(tokens, name: str) -> None:
    """``added_tokens`` of tokenizer.json, each with its id."""
    if not isinstance(tokens, (list, type(None))) or len(tokens or ()) > MOST_ADDED:
        raise InputError(f"'added_tokens' in {name} must be a list of at most {MOST_ADDED:,} tokens")
    for token in tokens or ():
        if not isinstance(token, dict):
            raise InputError(f"'added_tokens' in {name} holds {str(token)[:40]!r}, which is no token")
        _text(token.get("content"), f"a token that was added in {name}")
        check_vocabulary({token["content"]: token.get("id")}, name)


def check_pieces(path: Path, name: str) -> None:
    """Check a SentencePiece model.

    Raises:
        InputError: the file is none, or the tokenizers library can make nothing of it.
    """
    with panics_named(f"{name} cannot be read as a tokenizer"):
        piece_tokenizer(path, name)


def _try_tokenizer(path: Path, name: str) -> None:
    from tokenizers import Tokenizer

    with panics_named(f"{name} cannot be read as a tokenizer"):
        Tokenizer.from_file(str(path))


def _token(value, where: str):
    """A token as text, or as the object that says how it is split off."""
    if isinstance(value, dict):
        if unknown := sorted(set(value) - _TOKEN_FIELDS):
            raise InputError(f"{where} holds {unknown[0][:60]!r}, which is no property of a token")
        for field, entry in value.items():
            if field not in ("content", "id", "__type") and not isinstance(entry, bool):
                raise InputError(f"{where} must say true or false for {field}")
        if value.get("__type", "AddedToken") != "AddedToken":
            raise InputError(f"{where} is no token")
        _text(value.get("content"), where)
    elif value is not None:
        _text(value, where)
    return value


def _text(value, where: str) -> None:
    if not isinstance(value, str) or len(value) > 1000:
        raise InputError(f"{where} must be a short text")


def _tokens(value, where: str):
    """More special tokens: a list, or an object of named ones."""
    listed = value.values() if isinstance(value, dict) else value if value is not None else []
    if not isinstance(value, (list, dict, type(None))) or len(listed) > 100_000:
        raise InputError(f"{where} must be a list of tokens")
    for entry in listed:
        _token(entry, where)
    return value


def _numbered(value, where: str):
    """Id -> token. transformers counts up to the largest id, so that must be bounded."""
    if not isinstance(value, dict) or len(value) > 100_000:
        raise InputError(f"{where} must be an object of at most 100,000 tokens")
    for number, entry in value.items():
        if not re.fullmatch(r"\d{1,7}", number) or int(number) >= MOST_TOKENS or not isinstance(entry, dict):
            raise InputError(
                f"{where} holds the id {number[:40]!r}; ids are below {MOST_TOKENS:,} and stand for tokens"
            )
        _token(entry, where)
    return value


def _count(most: int):
    def check(value, where):
        if value is not None and (type(value) is not int or not 0 <= value <= most):
            raise InputError(f"{where} is {str(value)[:40]}; it must be a whole number up to {most:,}")
        return value

    return check


def _length(value, where: str):
    if value is not None and (type(value) not in (int, float) or not 0 < value <= 1e40):
        raise InputError(f"{where} must be a positive number")
    return value


def _one_of(*words):
    def check(value, where):
        if value not in words:
            raise InputError(f"{where} must be one of {', '.join(map(str, words))}")
        return value

    return check


def _words(value, where: str):
    listed = value if isinstance(value, list) else [value] if value else []
    if len(listed) > 1000 or not all(isinstance(entry, str) and _WORD.fullmatch(entry) for entry in listed):
        raise InputError(f"{where} must be a list of short names")
    return value


_SHAPED = {
    "added_tokens_decoder": _numbered,
    "additional_special_tokens": _tokens,
    "extra_special_tokens": _tokens,
    "model_specific_special_tokens": _tokens,
    "extra_ids": _count(10_000),
    "model_max_length": _length,
    "max_len": _length,
    "padding_side": _one_of("left", "right", None),
    "truncation_side": _one_of("left", "right", None),
    "errors": _one_of("replace", "strict", "ignore", None),
    "model_input_names": _words,
    "never_split": _words,
}
