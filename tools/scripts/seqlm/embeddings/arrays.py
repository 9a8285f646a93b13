"""Embeddings in arrays: npz archives and parquet files, from whoever made them.

Sizes that a file claims are held against the limits and against each other before a byte is unpacked, and nothing that
could be a pickle is opened.
"""

from __future__ import annotations

import io
import itertools
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from seqlm.archives.entries import GIB, Entry, Limits, damage_named, listed
from seqlm.cli.errors import InputError
from seqlm.data.parquet import check_expansion, letters_of, readable
from seqlm.data.records import quoted

from .columns import MOST_COLUMNS, MOST_NUMBERS, ONE_EACH, Embeddings, Letters, check_room, roles

LONGEST_TEXT = 1 << 20  # bytes of each text of an array, whose texts all take as much as the longest


def read_npz(path: Path) -> Embeddings:
    """Arrays of an npz: the sizes that the archive and each array claim are compared before a byte is unpacked."""
    limits = Limits(total=4 * MOST_NUMBERS + 4 * GIB, files=64)
    with damage_named(path), open(path, "rb") as stream, listed(stream, path, limits) as entries:
        entries = {entry.name.removesuffix(".npy"): entry for entry in entries}
        total = sum(entry.size for entry in entries.values())
        if total > limits.total:
            raise InputError(f"{path.name} would unpack to {total:,} bytes; the limit is {limits.total:,}")
        check_expansion(total, path)
        if "lengths" in entries:
            raise InputError(f"{path.name} has an embedding for each position of the sequences; {ONE_EACH}")
        for name in ("ids", "embeddings"):
            if name not in entries:
                held = quoted(", ".join(entries), 100)
                raise InputError(
                    f"{path.name} has no array '{name}' (it has {held}); save ids and embeddings with numpy.savez"
                )
        ids = _array(entries.pop("ids"), path, "US", 1)
        vectors = _array(entries.pop("embeddings"), path, "f", 2)
        if len(ids) != len(vectors):
            raise InputError(f"{path.name} has {len(ids):,} ids for {len(vectors):,} embeddings; each needs one")
        others = {}
        for name, entry in entries.items():
            other = _array(entry, path, "USiufb", None)
            if other.shape == ids.shape:
                others[name] = [str(text) for text in _texts(other, path)]
    columns = [f"dim_{number}" for number in range(1, vectors.shape[1] + 1)]
    names = [str(text).strip() for text in _texts(ids, path)]
    return Embeddings(names, vectors.astype(np.float32, copy=False), columns, others, header=["id", *columns, *others])


def _texts(array: np.ndarray, path: Path) -> list:
    if array.dtype.kind != "S":
        return array.tolist()
    try:
        return [text.decode("utf-8") for text in array.tolist()]
    except UnicodeDecodeError:
        raise InputError(f"{path.name} has text that is not UTF-8; save the ids as unicode") from None


def _array(entry: Entry, path: Path, kinds: str, dimensions: int | None) -> np.ndarray:
    """One array, of plain types only: an array of Python objects would be a pickle."""
    name = f"the array '{quoted(entry.name.removesuffix('.npy'))}' in {path.name}"
    chunks = entry.chunks()
    start = io.BytesIO(next(chunks, b""))
    try:
        version = np.lib.format.read_magic(start)
        read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}[version]
        shape, fortran, dtype = read(start, max_header_size=10_000)
    except Exception:  # what numpy raises for a header that is none is of many kinds
        raise InputError(f"{name} is no numpy array; upload the file again") from None
    if dtype.hasobject:
        raise InputError(
            f"{name} holds Python objects, which can run code and are never opened; save it as text or numbers"
        )
    if dtype.kind not in kinds or dtype.fields:
        raise InputError(
            f"{name} holds {dtype}, where {'text' if kinds[0] == 'U' else 'floating-point numbers'} is needed"
        )
    if dimensions and len(shape) != dimensions:
        raise InputError(f"{name} has {len(shape)} dimensions where {dimensions} are needed; {ONE_EACH}")
    if dimensions == 2:
        check_room(shape[0], shape[1], path.name)
        if not shape[1] or shape[1] > MOST_COLUMNS:
            raise InputError(f"{name} has vectors of {shape[1]:,} numbers; 1 to {MOST_COLUMNS:,} are possible")
    if dtype.itemsize > LONGEST_TEXT:
        raise InputError(f"{name} has room for texts of {dtype.itemsize:,} bytes each; the limit is {LONGEST_TEXT:,}")
    offset = start.tell()
    if math.prod(shape) * dtype.itemsize != entry.size - offset:
        raise InputError(f"{name} is not as long as it says; upload the file again")
    content = np.empty(entry.size - offset, np.uint8)
    filled = 0
    for chunk in itertools.chain([start.read()], chunks):
        if filled + len(chunk) > len(content):
            raise InputError(f"{name} is longer than the archive says; upload the file again")
        content[filled : filled + len(chunk)] = np.frombuffer(chunk, np.uint8)
        filled += len(chunk)
    if filled < len(content):
        raise InputError(f"{path.name} is truncated in '{quoted(entry.name)}'; upload it again")
    return content.view(dtype).reshape(shape, order="F" if fortran else "C")


def read_parquet(path: Path, named: Sequence[str]) -> Embeddings:
    import pyarrow as arrow
    from pyarrow import parquet, types

    with readable(path):
        file = parquet.ParquetFile(path)
        schema, rows = file.schema_arrow, file.metadata.num_rows
        groups = [file.metadata.row_group(number) for number in range(file.metadata.num_row_groups)]
        check_expansion(sum(group.total_byte_size for group in groups), path)
    header = [column for column in schema.names if not column.startswith("__index_level_")]
    if not header:
        raise InputError(f"{path.name} has no columns; give a table with an id and an embedding in each row")

    def is_number(column: str) -> bool:
        kind = schema.field(column).type
        return types.is_floating(kind) or types.is_integer(kind)

    identity, features, others = roles(header, is_number, named, path.name)
    for column in features:
        if not is_number(column):
            raise InputError(
                f"{path.name}: the column {quoted(column)} holds {schema.field(column).type}, where numbers are needed"
            )
    nested = [column for column in [identity, *others] if types.is_nested(schema.field(column).type)]
    if nested:
        raise InputError(
            f"{path.name}: the column {quoted(nested[0])} holds lists; give each number of an embedding its own column"
        )
    check_room(rows, len(features), path.name)
    check_expansion(4 * rows * len(features), path)
    ids, texts, filled, letters = [], {column: [] for column in others}, 0, Letters(path)
    vectors = np.empty((rows, len(features)), np.float32)
    with readable(path):
        # a text that comes again and again stays one text until it is known how long all are together
        apart = [column for column in (identity, *others) if types.is_string(schema.field(column).type)]
        file = parquet.ParquetFile(path, read_dictionary=apart)
        for batch in file.iter_batches(4096, columns=[identity, *features, *others]):
            if filled + batch.num_rows > rows:
                raise InputError(f"{path.name} is a damaged parquet file (more rows than it says); upload it again")
            names = dict(zip(batch.schema.names, batch.columns, strict=True))
            for at, column in enumerate(features):
                # what is missing becomes NaN, which is refused with its row
                number = names[column].cast(arrow.float32(), safe=False)
                vectors[filled : filled + batch.num_rows, at] = number.to_numpy(zero_copy_only=False)
            for column in apart:
                letters.add(letters_of(names[column]))
                names[column] = names[column].dictionary_decode()
            ids += [_text_of(value) for value in names[identity].to_pylist()]
            for column, kept in texts.items():
                kept += [_text_of(value) for value in names[column].to_pylist()]
            filled += batch.num_rows
    if filled != rows:
        raise InputError(f"{path.name} is a damaged parquet file (fewer rows than it says); upload it again")
    return Embeddings(ids, vectors, features, texts, header=header)


def _text_of(value) -> str:
    return "" if value is None else str(value).strip()
