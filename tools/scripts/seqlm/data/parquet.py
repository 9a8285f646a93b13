"""Tables in Apache Parquet (https://parquet.apache.org/docs/file-format/): rows of text, a block at a time.

Cells are what a text table would hold: numbers in their shortest form, nothing where nothing is. A few bytes of a
parquet file can stand for a column of any length, so that what a file claims is held against its size.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from seqlm.cli.errors import InputError
from seqlm.cli.noticing import notice

from . import lines
from .records import quoted

MOST_TIMES = 200  # as large as its file may be what is in it; text and numbers do not shrink so much
UNCHECKED = 64 << 20  # bytes that may be in any file
MOST_COLUMNS = 10_000
MOST_ROWS = 4096  # decoded at once, fewer where they are long
BLOCK = 8 << 20  # bytes that the rows decoded at once may have together
_PAGES = 1 << 18  # bytes of a column that are read from the disk at once


def is_parquet(path: Path) -> bool:
    """Whether a file says at its start that it is one, which needs no library."""
    if not path.is_file():
        raise InputError(f"{path} is not a file")
    with open(path, "rb") as stream:
        return stream.read(4) == b"PAR1"


@contextmanager
def readable(path: Path):
    """pyarrow's complaints about a damaged file as one line."""
    import pyarrow as arrow

    try:
        yield
    except (arrow.ArrowException, OSError, ValueError, OverflowError) as problem:
        reason = quoted(str(problem).splitlines()[0] if str(problem) else type(problem).__name__, 120)
        raise InputError(f"{path.name} is a damaged parquet file ({reason}); upload it again") from None


def check_expansion(size: int, path: Path) -> None:
    """Refuse a file whose content of ``size`` bytes is out of all proportion to it."""
    if size > UNCHECKED and size > MOST_TIMES * path.stat().st_size:
        raise InputError(
            f"{path.name} would unpack to more than {MOST_TIMES} times its size, as a bomb does; data of this kind do "
            "not"
        )


def letters_of(column) -> int:
    """Bytes of all texts of a dictionary column, each counted as often as it comes."""
    from pyarrow import compute

    counts = compute.value_counts(column.indices)  # the table of texts may be that of many more rows
    lengths = compute.binary_length(column.dictionary.take(counts.field("values")))
    return compute.sum(compute.multiply(lengths, counts.field("counts"))).as_py() or 0


def parquet_columns(path: Path) -> tuple[list[str], dict[int, str]]:
    """The names of all columns, and place -> type of those that hold neither text nor numbers, as lists.

    Raises:
        InputError: a damaged file, one of columns that nobody can tell apart, one out of all proportion.
    """
    try:
        from pyarrow import parquet
    except ImportError:  # as in the environments of the tools that take no sequences
        raise InputError(
            f"{path.name} is a parquet file, which this tool does not read; give it as tabular or csv"
        ) from None

    with readable(path), parquet.ParquetFile(path) as file:
        schema = file.schema_arrow
        groups = range(file.metadata.num_row_groups)
        check_expansion(sum(file.metadata.row_group(number).total_byte_size for number in groups), path)
        names = [name.strip() for name in schema.names]
        if not 0 < len(names) <= MOST_COLUMNS:
            raise InputError(f"{path.name} has {len(names):,} columns; 1 to {MOST_COLUMNS:,} are possible")
        if len(set(schema.names)) < len(names):
            twice = next(name for name in names if schema.names.count(name) > 1)
            raise InputError(f"{path.name}: two columns are called '{quoted(twice)}'; give each its own name")
        hidden = {place: str(field.type) for place, field in enumerate(schema) if not _is_plain(field.type)}
    notice(
        f"{path.name} is a parquet file and read as a table with names of columns; where a line of it is named, the "
        "row is meant"
    )
    if hidden:
        shown = ", ".join(f"{quoted(names[place])} ({quoted(kind)})" for place, kind in list(hidden.items())[:5])
        notice(f"{path.name}: {len(hidden):,} columns hold neither text nor numbers and are not read, such as {shown}")
    return names, hidden


def parquet_rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """(number, cells) of the names of the columns, which is row 0, and of every row, from 1.

    Cells of columns that hold neither text nor numbers are empty.
    """
    from pyarrow import parquet

    names, hidden = parquet_columns(path)
    yield 0, names
    read = row = 0
    with readable(path):
        # pages are read as they are needed, and not a whole group of rows at once
        file = parquet.ParquetFile(path, buffer_size=_PAGES, pre_buffer=False)
        schema = file.schema_arrow
    plain = [name for place, name in enumerate(schema.names) if place not in hidden]
    with file:
        for block in _blocks(file, path, plain):
            _check_cells(block, path, row)
            columns = dict(zip(plain, block, strict=True))
            every = (columns[name] if name in columns else itertools.repeat("") for name in schema.names)
            for cells in zip(*every, strict=False):
                row += 1
                read += sum(map(len, cells))
                if any(cells):
                    yield row, list(cells)
            check_expansion(read, path)


def _blocks(file, path: Path, names: list[str]) -> Iterator[list[list[str]]]:
    """The cells of each column, of as many rows as have about ``BLOCK`` bytes."""
    if not names:
        raise InputError(f"{path.name} has no column of text or numbers; give a table with sequences")
    for group in range(file.metadata.num_row_groups):
        with readable(path):
            number = max(1, min(MOST_ROWS, BLOCK // _most_bytes(file, path, group, names)))
            batches = file.iter_batches(number, row_groups=[group], columns=names, use_threads=False)
        while True:
            with readable(path):
                batch = next(batches, None)
                if batch is None:
                    break
                if batch.schema.names != names:
                    raise ValueError("other columns than it says")
                cells = [_cells(column) for column in batch.columns]
            yield cells


def _most_bytes(file, path: Path, group: int, names: list[str]) -> int:
    """How many bytes a row of a group may have: the mean, or where texts are written once and pointed to, the longest.

    Whoever reads such a column as it is written gets those texts with its first row; to read all of it so would keep
    every text that there is in the group.
    """
    from pyarrow import compute, parquet

    held = file.metadata.row_group(group)
    most = 1 + held.total_byte_size // max(1, held.num_rows)
    texts = [name for name in names if _is_text(file.schema_arrow.field(name).type)]
    with parquet.ParquetFile(path, read_dictionary=texts, buffer_size=_PAGES, pre_buffer=False) as once:
        first = next(once.iter_batches(1, row_groups=[group], columns=names, use_threads=False), None)
    for column in first.columns if first is not None else ():
        if _is_text_dictionary(column.type):
            most += compute.max(compute.binary_length(column.dictionary)).as_py() or 0
    chunks = (held.column(place) for place in range(held.num_columns))
    # each text of these may begin as the one before, which says nothing of its length
    return most + sum(chunk.total_uncompressed_size for chunk in chunks if "DELTA_BYTE_ARRAY" in chunk.encodings)


def _cells(column) -> list[str]:
    import pyarrow as arrow
    from pyarrow import types

    if types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if not _is_text(column.type):
        column = column.cast(arrow.string())
    return ["" if text is None else text.strip() for text in column.to_pylist()]


def _check_cells(block: list[list[str]], path: Path, before: int) -> None:
    """Refuse what no text file could hold, in a block with so many rows before it."""
    for cells in block:
        if max(map(len, cells), default=0) >= lines.MAX_SEQUENCE:
            row = before + 1 + next(at for at, cell in enumerate(cells) if len(cell) >= lines.MAX_SEQUENCE)
            raise InputError(f"{path.name}: a cell of row {row} is longer than {lines.MAX_SEQUENCE:,} characters")
        if any("\0" in cell for cell in cells):
            row = before + 1 + next(at for at, cell in enumerate(cells) if "\0" in cell)
            raise InputError(f"{path.name} is no table of text: row {row} has a NUL byte")


def _is_text(kind) -> bool:
    from pyarrow import types

    return types.is_string(kind) or types.is_large_string(kind)


def _is_text_dictionary(kind) -> bool:
    from pyarrow import types

    return types.is_dictionary(kind) and _is_text(kind.value_type)


def _is_plain(kind) -> bool:
    """Whether a column is of a type that has one way of being written in a cell."""
    from pyarrow import types

    if types.is_dictionary(kind):
        return _is_plain(kind.value_type)
    plain = (types.is_integer, types.is_float32, types.is_float64, types.is_boolean, types.is_decimal, types.is_date)
    return _is_text(kind) or types.is_null(kind) or any(is_of(kind) for is_of in plain)
