"""More rows for the vocabulary of a model, written straight into its safetensors files.

Embedding, the head that gives a number for each token, and its bias have a row for each token. Each new row is the mean
of the rows of those tokens that the new one takes the place of, so that at first the model hears the average of what it
would have read. All other bytes are copied as they are, so nothing of the model is lost, no matter how large it is or
which heads it has; neither torch nor the memory for the weights is needed.
"""

from __future__ import annotations

import json
import math
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from seqlm.archives import strict_json
from seqlm.checkpoints.folder import INDEX, ModelFolder
from seqlm.checkpoints.safetensors_header import BITS, Tensors
from seqlm.cli.errors import InputError

EMBEDDING = re.compile(r"(^|\.)(wte|embed_tokens|word_embeddings|tok_embeddings)\.weight")
HEAD = re.compile(
    r"(lm_head|lm_head\.decoder|cls\.predictions|cls\.predictions\.decoder|decoder|predictions\.decoder)\.(weight|bias)"
)
FORMATS = {"F64": np.float64, "F32": np.float32, "F16": np.float16, "BF16": np.uint16}
BLOCK = 16 << 20


def rows_of(tensors: Tensors, vocabulary: int, name: str) -> list[str]:
    """Names of the tensors that have a row for each token.

    Raises:
        InputError: there is no embedding of the tokens among them, or one in a number format that cannot be averaged.
    """
    found = [
        tensor
        for tensor, (_, shape) in tensors.items()
        if shape and shape[0] == vocabulary and (EMBEDDING.search(tensor) or HEAD.fullmatch(tensor))
    ]
    if not any(EMBEDDING.search(tensor) for tensor in found):
        raise InputError(
            f"{name} has no embedding of {vocabulary:,} tokens under a known name; only GPT-2, LLaMA, BERT, RoBERTa, "
            "ESM and ModernBERT models can be extended"
        )
    for tensor in found:
        if tensors[tensor][0] not in FORMATS:
            raise InputError(
                f"{name} holds {tensor} as {tensors[tensor][0]}, which cannot be averaged; take fp32 or bf16"
            )
    return found


def extend_weights(
    model: ModelFolder, vocabulary: int, size: int, rows: Sequence[tuple[int, Sequence[int]]], folder: Path
) -> list[str]:
    """Write the weights of a model with a larger vocabulary into ``folder``, in files of the same names.

    Args:
        vocabulary, size: rows now and then; ``size`` may be the same where the model has rows to spare.
        rows: (id, ids of the tokens whose mean the row is) of each new token.

    Returns:
        the names of the tensors that have new rows.
    """
    names = rows_of(model.tensors, vocabulary, model.path.name)
    total = 0
    for file in model.weights:
        total += _extend_file(file, folder / file.name, names, vocabulary, size, rows)
    if (model.path / INDEX).is_file() and len(model.weights) > 1:
        index = strict_json.read_object(model.path / INDEX, limit=16 << 20)
        index["metadata"] = {"total_size": total}
        (folder / INDEX).write_bytes(strict_json.text_of(index))
    return names


def _extend_file(file: Path, target: Path, names, vocabulary: int, size: int, rows) -> int:
    """One file of weights; returns the bytes of its tensors."""
    with open(file, "rb") as source, open(target, "wb") as out:
        length = int.from_bytes(source.read(8), "little")
        old = json.loads(source.read(length))
        metadata = old.pop("__metadata__", {})
        header, position = {"__metadata__": {**metadata, "format": "pt"}}, 0
        ordered = sorted(old.items(), key=lambda item: item[1]["data_offsets"])
        for name, entry in ordered:
            shape = [size, *entry["shape"][1:]] if name in names else entry["shape"]
            held = math.prod(shape) * BITS[entry["dtype"]] // 8
            header[name] = {**entry, "shape": shape, "data_offsets": [position, position + held]}
            position += held
        text = json.dumps(header, separators=(",", ":")).encode()
        text += b" " * (-len(text) % 8)  # as the library aligns what follows
        out.write(len(text).to_bytes(8, "little") + text)
        for name, entry in ordered:
            start, end = entry["data_offsets"]
            source.seek(8 + length + start)
            begun = out.tell()
            _copy(source, out, end - start)
            if name in names:
                width = math.prod(entry["shape"][1:])
                mapped = np.memmap(file, FORMATS[entry["dtype"]], "r", 8 + length + start, shape=(vocabulary, width))
                _add_rows(out, begun, mapped, entry["dtype"], size, rows)
        return position


def _add_rows(out, begun: int, old: np.ndarray, dtype: str, size: int, rows) -> None:
    """Write the new rows behind the old ones, and over spare ones."""
    vocabulary, width = old.shape
    step = width * old.itemsize
    out.seek(begun + vocabulary * step)
    out.write(bytes((size - vocabulary) * step))
    for number, pieces in rows:
        mean = _numbers(old[list(pieces)], dtype).mean(0)
        if not np.isfinite(mean).all():
            raise InputError("the model is damaged: the rows of its embedding hold values that are no numbers")
        out.seek(begun + number * step)
        out.write(_stored(mean, dtype).tobytes())
    out.seek(begun + size * step)


def _numbers(values: np.ndarray, dtype: str) -> np.ndarray:
    """As float64."""
    if dtype == "BF16":  # the upper half of a float32
        values = (values.astype(np.uint32) << 16).view(np.float32)
    return values.astype(np.float64)


def _stored(values: np.ndarray, dtype: str) -> np.ndarray:
    """Numbers in the format of the file, rounded to the nearest, ties to even."""
    if dtype != "BF16":
        return values.astype(FORMATS[dtype])
    bits = values.astype(np.float32).view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)


def _copy(source, out, number: int) -> None:
    while number:
        part = source.read(min(BLOCK, number))
        if not part:
            raise ValueError("the weights are cut short")
        out.write(part)
        number -= len(part)


def copy_beside(folder: Path, target: Path, names: Sequence[str]) -> None:
    """Copy those files that are there."""
    for name in names:
        if (folder / name).is_file():
            shutil.copyfile(folder / name, target / name)
