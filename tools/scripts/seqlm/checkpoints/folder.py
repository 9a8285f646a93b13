"""What a Hugging Face model folder must hold, checked without torch so that a mistake is named in milliseconds."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from seqlm.archives import strict_json
from seqlm.cli.errors import InputError
from seqlm.families.recognition import folds, with_type
from seqlm.families.vocabulary import fixed_vocabulary, refuse_code

from .adapter_config import check_adapter_config
from .config import check_config, check_sizes
from .config_entries import LAYERS
from .hub_cache import model_in
from .safetensors_header import Tensors, elements, read_tensors

__all__ = ["ModelFolder", "check_adapter_config", "check_config", "read_model_folder"]

SINGLE = "model.safetensors"
INDEX = "model.safetensors.index.json"
SHARD = re.compile(r"model-\d{5}-of-\d{5}\.safetensors")
TOKENIZER_FILES = (
    "tokenizer.json",
    "vocab.txt",
    "vocab.json",
    "spiece.model",
    "tokenizer.model",
    "sentencepiece.bpe.model",
)
_NUMBERED = re.compile(r"((?:(?!\d+\.|decoder\.)[^.]+\.)+)(\d+)\.")  # tensors of modules in a list, but of decoders
PICKLED = ("pytorch_model.bin", "pytorch_model.bin.index.json", "model.pt", "model.pth", "model.ckpt")
CONVERT = (
    "fetch the model with the data manager, which converts them, or load it where it was made and call "
    "save_pretrained(folder, safe_serialization=True)"
)


@dataclass(frozen=True)
class ModelFolder:
    """A complete Hugging Face folder.

    Attributes:
        path: the folder, in a cache the snapshot.
        config: config.json.
        weights: its safetensors files, in the order of their names.
        tensors: name -> (dtype, shape) of every tensor in them.
    """

    path: Path
    config: dict
    weights: tuple[Path, ...]
    tensors: Tensors

    @cached_property
    def sha256(self) -> str:
        """SHA-256 of the weights, read once when first asked for.

        Of the file itself where there is one; of the lines ``<sha256>  <name>`` in the order of their names where the
        weights are in shards (what ``sha256sum model-*.safetensors | sha256sum`` prints).
        """
        if len(self.weights) == 1:
            return _sha256(self.weights[0])
        lines = (f"{_sha256(shard)}  {shard.name}\n" for shard in sorted(self.weights, key=lambda shard: shard.name))
        return hashlib.sha256("".join(lines).encode()).hexdigest()

    @property
    def parameters(self) -> int:
        """Numbers in the weights files, buffers included."""
        return elements(self.tensors)


def read_model_folder(path: Path | str, name: str | None = None) -> ModelFolder:
    """Read the folder's config and the headers of its weights; other files (README, ``.bin``, ``.py``) are ignored.

    Args:
        path: a Hugging Face folder, or the Hub's cache of one model.
        name: what messages call it; by default its path.

    Raises:
        InputError: naming the file that is missing, damaged or truncated.
    """
    path = Path(path)
    name = name or f"the model folder {path}"
    if not path.is_dir():
        raise InputError(f"{name} is no folder" if path.exists() else f"{name} does not exist")
    path = model_in(path, name)
    config = read_config(path, name)
    weights = _weights(path, name)
    tensors: Tensors = {}
    for file in weights:
        tensors |= read_tensors(file, f"{file.name} in {name}")
    if len(weights) > 1:
        _check_index(path, tensors, name)
    if folds(config):  # no list of its modules is that of its layers, and it has letters of its own
        return ModelFolder(path, config, weights, tensors)
    _check_layers(config, tensors, name)
    refuse_code(path, name)
    if not any((path / file).is_file() for file in TOKENIZER_FILES) and fixed_vocabulary(path, name) is None:
        raise InputError(f"{name} has no tokenizer: one of {', '.join(TOKENIZER_FILES)} must lie beside config.json")
    return ModelFolder(path, config, weights, tensors)


def _check_layers(config: dict, tensors: Tensors, name: str) -> None:
    """Layers beyond those of the config would be dropped without a word, and those that are missing built in vain."""
    said = max((config[entry] for entry in LAYERS if isinstance(config.get(entry), int)), default=None)
    highest: Counter = Counter()
    many: Counter = Counter()
    for found in filter(None, map(_NUMBERED.match, tensors)):
        many[found[1]] += 1
        highest[found[1]] = max(highest[found[1]], int(found[2]) + 1)
    if said is None or not many:
        return
    held = highest[many.most_common(1)[0][0]]  # of the longest list of modules, which is that of the layers
    if held > said:
        raise InputError(
            f"config.json in {name} is not that of its weights: it says {said} layers, and these have {held}; "
            "the others would be left out without a word"
        )
    if held < said and config["model_type"] != "albert":  # whose layers share their weights
        raise InputError(
            f"{name} is incomplete: config.json says {said} layers, and its weights have {held}; fetch it again"
        )


def read_config(path: Path, name: str) -> dict:
    """config.json of a folder, with the model type it must name."""
    file = path / "config.json"
    if not file.is_file():
        raise InputError(f"{name} has no config.json, so it is no complete Hugging Face model")
    config = with_type(strict_json.read_object(file, f"config.json in {name}", limit=1 << 20))
    if not isinstance(config.get("model_type"), str) or not config["model_type"]:
        raise InputError(f"config.json in {name} names no model_type (such as esm, t5, bert)")
    check_sizes(config, f"config.json in {name}")
    return config


def _weights(path: Path, name: str) -> tuple[Path, ...]:
    if (path / SINGLE).is_file():  # transformers, too, prefers it over an index
        return (path / SINGLE,)
    if (path / INDEX).is_file():
        shards = sorted(set(_weight_map(path, name).values()))
        for shard in shards:
            if not (path / shard).is_file():
                raise InputError(f"{name} is incomplete: {shard}, which {INDEX} names, is missing")
        return tuple(path / shard for shard in shards)
    pickled = next((file for file in PICKLED if (path / file).is_file()), None)
    if pickled:
        raise InputError(f"{name} holds only pickled weights ({pickled}), which are never opened: {CONVERT}")
    raise InputError(f"{name} has no weights: neither {SINGLE} nor {INDEX} is there")


def _weight_map(path: Path, name: str) -> dict[str, str]:
    index = strict_json.read_object(path / INDEX, f"{INDEX} in {name}", limit=16 << 20)
    weight_map = index.get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise InputError(f"{INDEX} in {name} has no weight_map")
    for shard in weight_map.values():
        if not isinstance(shard, str) or not SHARD.fullmatch(shard):
            raise InputError(
                f"{INDEX} in {name} names the file {str(shard)[:100]!r}; "
                "shards are called model-00001-of-00002.safetensors"
            )
    return weight_map


def _check_index(path: Path, tensors: Tensors, name: str) -> None:
    absent = next((tensor for tensor in _weight_map(path, name) if tensor not in tensors), None)
    if absent:
        raise InputError(f"{name} is incomplete: {INDEX} names tensor {absent[:100]!r}, which no shard holds")


def _sha256(file: Path) -> str:
    with open(file, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
