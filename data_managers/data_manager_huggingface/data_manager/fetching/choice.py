"""Which files of a repository a model needs: configuration, tokenizer, and its weights once.

Repositories hold the same weights in several formats, code, pictures and traces of training. Only names that are
written here are ever fetched, so that no name of a stranger becomes one on the disk.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from .hub import RemoteModel
from .refusal import Refused, amount

MB, GB = 10**6, 10**9
# Bytes that a file may have, as the tools read them.
CONFIGURATION = {
    "config.json": MB,
    "generation_config.json": MB,
    "tokenizer.json": 64 * MB,
    "tokenizer_config.json": 16 * MB,
    "special_tokens_map.json": 16 * MB,
    "added_tokens.json": 16 * MB,
    "vocab.json": 64 * MB,
    "vocab.txt": 64 * MB,
    "merges.txt": 64 * MB,
    "dna_config.json": MB,
    "spiece.model": 16 * MB,
    "tokenizer.model": 16 * MB,
    "sentencepiece.bpe.model": 16 * MB,
}
# The terms go with the model.
TERMS = dict.fromkeys(("README.md", "LICENSE", "LICENSE.md", "LICENSE.txt", "NOTICE"), 4 * MB)
ADAPTER_CONFIG = {"adapter_config.json": MB}
INDEX = 16 * MB
WEIGHTS = 50 * GB  # more, the Hub gives only through a service of its own


@dataclass(frozen=True)
class Choice:
    """What is fetched.

    Attributes:
        small: names of configuration, tokenizer and terms.
        weights: names of the files with the weights, those of an index among them.
        pickled: whether the weights are pickled and have to be converted.
        adapter: whether it is an adapter and no whole model.
    """

    small: tuple[str, ...]
    weights: tuple[str, ...]
    pickled: bool
    adapter: bool

    @property
    def names(self) -> tuple[str, ...]:
        return self.small + self.weights


def choose(model: RemoteModel) -> Choice:
    """The files that are needed.

    Raises:
        Refused: no weights that can be used, a part is missing, or a file is larger than any of its kind.
    """
    adapter = "adapter_config.json" in model.files
    wanted = {**(ADAPTER_CONFIG if adapter else {}), **CONFIGURATION, **TERMS}
    if adapter:
        del wanted["config.json"]  # that of its base model, or of nothing
    elif "config.json" not in model.files:
        raise Refused(f"{model.id} has no config.json, so it is no model in the format of transformers")
    small = tuple(name for name in wanted if name in model.files and not _long_text(name, model))
    weights, pickled = _weights(model, adapter)
    limits = wanted | {name: INDEX if name.endswith(".json") else WEIGHTS for name in weights}
    for name in (*small, *weights):
        size = model.files[name].size
        if size > limits[name]:
            raise Refused(f"{name} of {model.id} has {amount(size)}; it may have {amount(limits[name])}")
    return Choice(small, weights, pickled, adapter)


def _long_text(name: str, model: RemoteModel) -> bool:
    """A card that is a book is left out; the model can do without."""
    return name in TERMS and model.files[name].size > TERMS[name]


def _weights(model: RemoteModel, adapter: bool) -> tuple[tuple[str, ...], bool]:
    for ending, pickled in (("safetensors", False), ("bin", True)):
        stem = "adapter_model" if adapter else "pytorch_model" if pickled else "model"
        single, index = f"{stem}.{ending}", f"{stem}.{ending}.index.json"
        if single in model.files:
            return (single,), pickled
        if not adapter and index in model.files:
            return (index, *_shards(model, stem, ending)), pickled
    held = "adapter_model" if adapter else "model"
    others = sorted(name for name in model.files if name.endswith((".h5", ".msgpack", ".ot", ".gguf", ".onnx", ".pt")))
    raise Refused(
        f"{model.id} has neither {held}.safetensors nor {'adapter' if adapter else 'pytorch'}_model.bin"
        + (f"; {', '.join(others[:3])} cannot be used" if others else "")
    )


def _shards(model: RemoteModel, stem: str, ending: str) -> list[str]:
    pattern = re.compile(rf"{stem}-(\d{{5}})-of-(\d{{5}})\.{ending}")
    found = {name: match for name in model.files if (match := pattern.fullmatch(name))}
    of = {int(match[2]) for match in found.values()}
    if len(of) != 1 or {int(match[1]) for match in found.values()} != set(range(1, max(of) + 1)):
        raise Refused(f"{model.id} names weights in parts ({stem}-00001-of-…), and not all of them are there")
    return sorted(found)
