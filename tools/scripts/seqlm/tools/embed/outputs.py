"""Embeddings as files, written while they are computed: tabular, npz, h5 and parquet.

::

    table, parquet   id  dim_1  dim_2  …                        a row a sequence, in the order of the input
                     id  position  letter  dim_1  dim_2  …      of single positions, counted from 1
    npz              ids (n,), embeddings (n, D)
                     ids (n,), lengths (n,), embeddings (all positions, D), one sequence after the other
    h5               a group a sequence with the dataset ``embedding``, (D,) or (positions, D); the attribute ``id`` of
                     the group is the id as given, its name the id without '/'

Scores of the sequences stand beside the vectors under their names: as columns behind the dimensions, as further arrays
(n,) of an npz, as attributes of the groups of an h5. They are float64 and never scaled.

No writer holds more than some megabytes, whatever the number of sequences.
"""

from __future__ import annotations

import io
import itertools
import json
import shutil
import sys
import tempfile
import zipfile
from argparse import Namespace
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from seqlm.cli.outputs import Outputs, cell

ROWS = 1024  # of a table that are turned into text together
ROW_GROUP = 1 << 24  # numbers in one row group of a parquet file: 64 MB
MOST_ROWS = 1 << 16  # of them, as the ids of narrow vectors take room too


@dataclass(frozen=True, slots=True)
class Piece:
    """Vectors that belong together: of several sequences, or of consecutive positions of one.

    Attributes:
        ids: of each vector; of positions the id of their sequence alone.
        vectors: (vectors, D) float32.
        letters: of positions, what stands there; None where a vector is that of a whole sequence.
        start: of positions, the number of the first, from 0.
        length: of positions, how many the whole sequence has.
        scores: (vectors, scores) float64 of whole sequences; None without.
    """

    ids: list[str]
    vectors: np.ndarray
    letters: str | None = None
    start: int = 0
    length: int = 0
    scores: np.ndarray | None = None


Write = Callable[[Piece], None]


@dataclass(frozen=True)
class Shape:
    """What is known before the first vector: how many sequences and vectors, and how wide."""

    sequences: int
    vectors: int
    width: int
    positions: bool
    longest_id: int
    half: bool = False  # fp16 in npz and h5
    scores: tuple[str, ...] = ()  # names of what stands beside the vectors

    @property
    def columns(self) -> list[str]:
        """Header of a table."""
        names = ["id", "position", "letter"] if self.positions else ["id"]
        return names + [f"dim_{number}" for number in range(1, self.width + 1)] + list(self.scores)

    @property
    def numbers(self) -> np.dtype:
        return np.dtype("<f2" if self.half else "<f4")


def write_embeddings(
    arguments: Namespace, pieces: Iterable[Piece], shape: Shape, about: dict[str, str], outputs: Outputs
) -> None:
    """Write every file that was asked for, piece by piece.

    Args:
        about: which model and how, kept in h5 and parquet.
    """
    with ExitStack() as stack:
        writers = [
            stack.enter_context(writer(outputs.file(target), shape, about))
            for option, writer in (("table", _table), ("npz", _npz), ("h5", _h5), ("parquet", _parquet))
            if (target := getattr(arguments, f"output_{option}"))
        ]
        for piece in pieces:
            for write in writers:
                write(piece)


class _Rows:
    """Gathers pieces, which may be of a few positions only, until there are rows enough to be worth writing.

    Args:
        write: called with rows as a table of pyarrow: what names them, then a column a dimension.
    """

    def __init__(self, shape: Shape, rows: int, write: Callable):
        self.shape, self.rows, self.write = shape, rows, write
        self.waiting: list[Piece] = []
        self.held = 0

    def add(self, piece: Piece) -> None:
        self.waiting.append(piece)
        self.held += len(piece.vectors)
        if self.held >= self.rows:
            self.flush()

    def flush(self) -> None:
        if not self.waiting:
            return
        import pyarrow as arrow

        pieces, positions = self.waiting, self.shape.positions
        vectors = np.concatenate([piece.vectors for piece in pieces])
        self.waiting, self.held = [], 0
        ids = [name for piece in pieces for name in (piece.ids * len(piece.vectors) if positions else piece.ids)]
        columns = [arrow.array(ids, arrow.string())]
        if positions:
            numbers = [np.arange(piece.start + 1, piece.start + 1 + len(piece.vectors)) for piece in pieces]
            columns.append(arrow.array(np.concatenate(numbers), arrow.int32()))
            columns.append(arrow.array([letter for piece in pieces for letter in piece.letters], arrow.string()))
        columns += [arrow.array(column) for column in np.ascontiguousarray(vectors.T)]
        if self.shape.scores:
            scores = np.concatenate([piece.scores for piece in pieces])
            columns += [arrow.array(column) for column in np.ascontiguousarray(scores.T)]
        self.write(arrow.table(columns, names=self.shape.columns))


@contextmanager
def _table(path: Path, shape: Shape, about: dict[str, str]) -> Iterator[Write]:
    """Tab-separated; each number in the shortest form that is read back as the same fp32."""
    import pyarrow as arrow
    from pyarrow import csv

    options = csv.WriteOptions(include_header=False, delimiter="\t", quoting_style="none")
    with open(path, "wb") as file:

        def write(rows: arrow.Table) -> None:
            ids = [cell(name) for name in rows["id"].to_pylist()]
            if not any('"' in name for name in ids):
                csv.write_csv(rows.set_column(0, "id", arrow.array(ids)), file, options)
                return
            # pyarrow refuses quotes where nothing is to be quoted; no sequence has a NUL in its id
            marked, text = [name.replace('"', "\0") for name in ids], io.BytesIO()
            csv.write_csv(rows.set_column(0, "id", arrow.array(marked)), text, options)
            file.write(text.getvalue().replace(b"\0", b'"'))

        file.write(("\t".join(shape.columns) + "\n").encode())
        rows = _Rows(shape, ROWS, write)
        yield rows.add
        rows.flush()


@contextmanager
def _npz(path: Path, shape: Shape, about: dict[str, str]) -> Iterator[Write]:
    """As numpy.savez writes it. Ids, which come after all vectors, wait in files of their own."""
    text = np.dtype(f"<U{max(1, shape.longest_id)}")
    whole = np.dtype("<i8")

    def member(archive: zipfile.ZipFile, name: str, dtype: np.dtype, size: tuple[int, ...]):
        entry = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
        opened = archive.open(entry, "w", force_zip64=True)
        header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": size}
        np.lib.format.write_array_header_1_0(opened, header)
        return opened

    with (
        zipfile.ZipFile(path, "w") as archive,
        tempfile.TemporaryFile(dir=path.parent) as ids,
        tempfile.TemporaryFile(dir=path.parent) as lengths,
        ExitStack() as more,
    ):
        scores = [more.enter_context(tempfile.TemporaryFile(dir=path.parent)) for _ in shape.scores]
        with member(archive, "embeddings", shape.numbers, (shape.vectors, shape.width)) as vectors:

            def write(piece: Piece) -> None:
                vectors.write(np.ascontiguousarray(piece.vectors, shape.numbers).data.cast("B"))
                if not piece.start:
                    ids.write(np.asarray(piece.ids, text).tobytes())
                    lengths.write(np.asarray([piece.length], whole).tobytes())
                for file, values in zip(scores, () if piece.scores is None else piece.scores.T, strict=True):
                    file.write(values.astype("<f8").tobytes())

            yield write
        members = [("ids", text, ids), ("lengths", whole, lengths)][: 1 + shape.positions]
        members += [(name, np.dtype("<f8"), kept) for name, kept in zip(shape.scores, scores, strict=True)]
        for name, dtype, kept in members:
            kept.seek(0)
            with member(archive, name, dtype, (shape.sequences,)) as target:
                shutil.copyfileobj(kept, target, 1 << 20)


@contextmanager
def _h5(path: Path, shape: Shape, about: dict[str, str]) -> Iterator[Write]:
    """Groups in the order of the input, in the format of HDF5 1.10, whose index of groups does not fill the memory."""
    import h5py

    file = h5py.File(path, "w", libver=("v110", "v110"), track_order=True)
    with _failures_of_hdf5(file) as failures:
        cache = file.id.get_mdc_config()  # of what describes groups, which otherwise grows to 32 MB
        cache.set_initial_size, cache.initial_size, cache.min_size, cache.max_size = True, *[1 << 20] * 3
        file.id.set_mdc_config(cache)
        for key, value in about.items():
            file.attrs[key] = value

        def group(name: str):
            # a '/' would make a group inside a group, and '.' is the group itself
            plain = "_" if name in (".", "..") else name.replace("/", "_")
            unique = plain
            for number in itertools.count(2):
                if unique not in file:
                    break
                unique = f"{plain}_{number}"
            made = file.create_group(unique)
            made.attrs["id"] = name
            return made

        def write(piece: Piece) -> None:
            nonlocal dataset
            vectors = piece.vectors.astype(shape.numbers, copy=False)
            if not shape.positions:
                for number, (name, vector) in enumerate(zip(piece.ids, vectors, strict=True)):
                    made = group(name)
                    made.create_dataset("embedding", data=vector, track_times=False)
                    for column, score in zip(shape.scores, piece.scores[number] if shape.scores else (), strict=True):
                        made.attrs[column] = float(score)
            else:
                if not piece.start:
                    size = (piece.length, shape.width)
                    dataset = group(piece.ids[0]).create_dataset("embedding", size, shape.numbers, track_times=False)
                dataset[piece.start : piece.start + len(vectors)] = vectors
            if failures:
                raise failures[0]

        dataset = None
        yield write
        file.close()


@contextmanager
def _failures_of_hdf5(file) -> Iterator[list[BaseException]]:
    """What could not be written, which HDF5 says nowhere else where Python lets go of a part of the file.

    After a failure whatever HDF5 is to close may crash, so all is kept open until the process ends.
    """
    failures, hooks = [], (sys.excepthook, sys.unraisablehook)
    sys.excepthook = lambda kind, problem, traceback: failures.append(problem)
    sys.unraisablehook = lambda said: failures.append(said.exc_value)
    try:
        yield failures
    except BaseException as problem:
        _KEPT_OPEN.append((file, problem))
        raise
    finally:
        sys.excepthook, sys.unraisablehook = hooks


_KEPT_OPEN: list[tuple] = []


@contextmanager
def _parquet(path: Path, shape: Shape, about: dict[str, str]) -> Iterator[Write]:
    """Row groups of some tens of megabytes."""
    import pyarrow as arrow
    from pyarrow import parquet

    fields = [("id", arrow.string())]
    if shape.positions:
        fields += [("position", arrow.int32()), ("letter", arrow.string())]
    fields += [
        (name, arrow.float64() if name in shape.scores else arrow.float32()) for name in shape.columns[len(fields) :]
    ]
    schema = arrow.schema(fields, metadata={"seqlm": json.dumps(about, sort_keys=True)})
    with parquet.ParquetWriter(path, schema, use_dictionary=["letter"], write_statistics=False) as writer:
        rows = _Rows(
            shape,
            max(1, min(MOST_ROWS, ROW_GROUP // shape.width)),
            lambda rows: writer.write_table(rows.replace_schema_metadata(schema.metadata)),
        )
        yield rows.add
        rows.flush()
