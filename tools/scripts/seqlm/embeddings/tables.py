"""Embeddings in: a vector for each sequence, from a table (plain or gzipped), an npz archive or a parquet file.

::

    id  dim_1  dim_2  …         a table of any origin; text columns such as a label come along as ``others``
    ids, embeddings             arrays of an npz: (n,) text and (n, D) numbers

What a file holds is told from its content. All vectors are held in memory as float32, four bytes a number: memory grows
with the number of sequences, as every classifier and projection asks for all of them at once.
"""

from __future__ import annotations

import gzip
import itertools
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from seqlm.archives.entries import MIB
from seqlm.cli.errors import InputError
from seqlm.data import lines
from seqlm.data.numbers import is_decimal
from seqlm.data.parquet import check_expansion
from seqlm.data.records import quoted
from seqlm.data.sequences import read_table
from seqlm.data.tables import Table

from .arrays import read_npz, read_parquet
from .columns import Embeddings, Letters, check_room, roles

_PROBED = 100  # rows that tell which columns hold numbers
_BLOCK = 16 * MIB  # of a table that is parsed at once; a row must fit into it


def read_embeddings(path: str | Path, named: Sequence[str] = ()) -> Embeddings:
    """Read one file.

    The ids are in the column ``id``, or else in the first. Features are ``dim_1``, ``dim_2`` … where there are such
    columns, else all columns of numbers but those of ``NEVER_FEATURES``.

    Args:
        named: columns, by name or 1-based number, that are no features whatever they hold.

    Raises:
        InputError: no embeddings, a row a position instead of a sequence, an id that comes twice, NaN or infinity, rows
            of different length, a damaged file, one that is too large.

    >>> read_embeddings("embeddings.tsv", named=["label"])
    Embeddings(ids=['P1', 'P2'], vectors=array([[…]]), columns=['dim_1', …], others={'label': ['0', '1']}, …)
    """
    path = Path(path)
    named = [one for one in named if one]
    start = _start(path)
    if start.startswith(b"PK"):
        found = read_npz(path)
    elif start.startswith(b"PAR1"):
        found = read_parquet(path, named)
    else:
        _refuse_by_start(path, start)
        found = _text(path, named)
    found.name = path.name
    _check(found, path)
    return found


def _start(path: Path) -> bytes:
    if not path.is_file():
        raise InputError(f"{path} is not a file")
    with open(path, "rb") as stream:
        start = stream.read(512)
    if start.startswith(b"\x1f\x8b"):
        try:
            with gzip.open(path) as stream:
                start = stream.read(512)
        except (EOFError, gzip.BadGzipFile, zlib.error):
            raise InputError(f"{path.name}: the gzip file is cut short or damaged; upload it again") from None
        if start[:2] == b"PK" or start[:4] == b"PAR1":
            raise InputError(f"{path.name} is compressed twice; unpack it with gunzip and upload what is inside")
    if not start:
        raise InputError(f"{path.name} is empty; give a table of embeddings")
    return start


def _refuse_by_start(path: Path, start: bytes) -> None:
    wants = "choose tabular, npz or parquet as the format of the embeddings"
    if start.startswith(b"\x89HDF"):
        raise InputError(f"{path.name} is an HDF5 file, which this tool does not read; {wants}")
    if start.startswith(b"\x93NUMPY"):
        raise InputError(
            f"{path.name} is a single numpy array without ids; save it with numpy.savez as ids and embeddings"
        )
    if start[:1] == b"\x80":
        raise InputError(f"{path.name} is a pickled Python object, which can run code and is never opened; {wants}")
    if start.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b">"):
        raise InputError(f"{path.name} is FASTA and holds no embeddings; give the table that the embedding tool wrote")


def _check(found: Embeddings, path: Path) -> None:
    if not found.ids:
        raise InputError(f"{path.name} has a header but no rows")
    seen: dict[str, int] = {}
    for row, name in enumerate(found.ids):
        if not name:
            raise InputError(f"{path.name}: {_row_named(path, row)} has no id")
        if name in seen:
            raise InputError(
                f"{path.name}: {_row_named(path, row)} has the id '{quoted(name)}' again, after "
                f"{_row_named(path, seen[name])}; ids must be unique"
            )
        seen[name] = row
    for at in range(0, len(found.ids), 4096):  # in parts, as the answer is as large as what is asked
        finite = np.isfinite(found.vectors[at : at + 4096])
        if not finite.all():
            row, column = np.argwhere(~finite)[0]
            value = "NaN" if np.isnan(found.vectors[at + row, column]) else "an infinite number"
            raise InputError(
                f"{path.name}: {_row_named(path, at + row)} ('{quoted(found.ids[at + row])}') has {value} in "
                f"column {found.columns[column]}; remove the row, or embed the sequence again"
            )


def _row_named(path: Path, row: int) -> str:
    """``line 7`` of a text file, ``row 6`` of another."""
    with open(path, "rb") as stream:
        start = stream.read(4)
    if start.startswith((b"PK", b"PAR1")):
        return f"row {row + 1}"
    return f"line {next(itertools.islice(read_table(path).rows(), row, None))[0]}"


def _text(path: Path, named: Sequence[str]) -> Embeddings:
    table = read_table(path)
    probe = [row for _, row in itertools.islice(table.rows(), _PROBED)]
    if not probe:
        raise InputError(f"{path.name} has a header but no rows")
    place = {column: at for at, column in enumerate(table.columns)}
    identity, features, others = roles(
        table.columns, lambda column: _mostly_numbers([row[place[column]] for row in probe]), named, path.name
    )
    _check_header(table, identity, probe)
    chunks, ids, texts, rows, letters = [], [], {column: [] for column in others}, 0, Letters(path)
    for batch in _batches(path, table, identity, features, others):
        rows += batch.num_rows
        check_room(rows, len(features), path.name)
        letters.add(sum(batch.column(column).nbytes for column in (identity, *others)))
        names = dict(zip(batch.schema.names, batch.columns, strict=True))
        block = np.empty((batch.num_rows, len(features)), np.float32)
        for at, column in enumerate(features):
            block[:, at] = names[column].to_numpy(zero_copy_only=False)
        chunks.append(block)
        ids += [text.strip() for text in names[identity].to_pylist()]
        for column, kept in texts.items():
            kept += [text.strip() for text in names[column].to_pylist()]
    vectors = np.concatenate(chunks) if chunks else np.empty((0, len(features)), np.float32)
    return Embeddings(ids, vectors, features, texts, header=table.columns)


def _mostly_numbers(cells: list[str]) -> bool:
    """Not only where all are: a column with one slip of the pen must be refused, and not be taken for text."""
    return sum(map(_is_number, cells)) >= 0.5 * len(cells)


def _is_number(text: str) -> bool:
    return is_decimal(text) or text.lower().lstrip("+-") in ("nan", "inf", "infinity")


def _check_header(table: Table, identity: str, probe: list[list[str]]) -> None:
    """Numbers where names should be: a table without a header, or without ids."""
    file = table.path.name
    at = table.columns.index(identity)
    if identity != "id" and all(is_decimal(row[at]) and not float(row[at]).is_integer() for row in probe):
        raise InputError(
            f"{file} has no ids: its first column '{quoted(identity)}' holds numbers such as {quoted(probe[0][at])}; "
            "add a column 'id'"
        )


def _batches(path: Path, table: Table, identity: str, features: list[str], others: list[str]) -> Iterator:
    """Record batches of the wanted columns; a mistake is looked for again, slowly, to name its line."""
    import pyarrow as arrow
    from pyarrow import csv

    types = dict.fromkeys(features, arrow.float32()) | dict.fromkeys([identity, *others], arrow.string())
    tabular = table.format == "tabular"
    try:
        for block in _blocks(path, _lines_to_skip(table)):
            # not Arrow's own reader of streams: it reads ahead in a thread, and can wait for itself for ever when it is
            # left before the end, as where a row is wrong
            found = csv.read_csv(
                arrow.py_buffer(block),
                csv.ReadOptions(block_size=2 * _BLOCK, column_names=table.columns, use_threads=False),
                csv.ParseOptions(delimiter="\t" if tabular else ",", quote_char=False if tabular else '"'),
                csv.ConvertOptions(column_types=types, null_values=[], strings_can_be_null=False),
            )
            yield from found.combine_chunks().to_batches()
    except (arrow.ArrowException, OSError, EOFError, zlib.error, ValueError) as problem:
        _name_mistake(table, features)
        raise InputError(f"{path.name} cannot be read as a table ({quoted(str(problem), 120)})") from None


def _blocks(path: Path, skip: int) -> Iterator[bytes]:
    """Whole lines behind the first ``skip``, many at once, of a file that may be gzipped.

    Raises:
        InputError: a line that does not fit into a block, a file that grows out of all proportion when it is unpacked.
    """
    rest, read = b"", 0
    with lines.opened(path, "rb") as stream:
        while content := stream.read(_BLOCK):
            read += len(content)
            check_expansion(read, path)
            content = content.removeprefix(b"\xef\xbb\xbf") if read == len(content) else content
            rest += content.replace(b"\r\n", b"\n").replace(b"\r", b"\n") if b"\r" in content else content
            while skip and b"\n" in rest:
                rest, skip = rest.partition(b"\n")[2], skip - 1
            if not skip and (cut := rest.rfind(b"\n") + 1):
                if not rest[:cut].isspace():
                    yield rest[:cut]
                rest = rest[cut:]
            if len(rest) > _BLOCK:
                raise InputError(f"{path.name} has a line of over {_BLOCK:,} bytes; give a table with a row a sequence")
    if not skip and rest.strip():
        yield rest


def _lines_to_skip(table: Table) -> int:
    """Lines up to the first row, and with it if it is a header: blank ones may stand before."""
    first = next((number for number, line in lines.numbered_lines(table.path) if line.strip()), 1)
    return first - (table.header is False)


def _name_mistake(table: Table, features: list[str]) -> None:
    """Raise InputError for the first cell that is no number, or row that is too short."""
    places = [(table.columns.index(column), column) for column in features]
    for line, row in table.rows():
        for at, column in places:
            if not _is_number(row[at]):
                what = f"'{quoted(row[at])}'" if row[at] else "nothing"
                raise InputError(
                    f"{table.path.name}: line {line} has {what} in column {quoted(column)}, where a number is needed"
                )
            if not is_decimal(row[at]):
                raise InputError(
                    f"{table.path.name}: line {line} has {quoted(row[at])} in column {quoted(column)}; remove the row"
                )
