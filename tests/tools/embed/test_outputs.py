"""Files of embeddings, read back with the libraries that others read them with, and with our own reader."""

import csv
import json
from argparse import Namespace

import h5py
import numpy as np
import pytest
from pyarrow import parquet

from seqlm.cli.errors import InputError
from seqlm.cli.outputs import Outputs
from seqlm.embeddings.tables import read_embeddings
from seqlm.tools.embed import outputs as embedding_outputs
from seqlm.tools.embed.outputs import Piece, Shape, write_embeddings

FORMATS = ("table", "npz", "h5", "parquet")
IDS = ["a", 'with "quotes"', "sp|P1/X", "sp|P1_X", "ümläut", ".", "a/b/c", "x" * 40]
ABOUT = {"model": "tiny", "pooling": "mean"}


def written(folder, pieces, shape):
    arguments = Namespace(**{f"output_{name}": str(folder / f"e.{name}") for name in FORMATS})
    with Outputs() as outputs:
        write_embeddings(arguments, pieces, shape, ABOUT, outputs)
    return {name: folder / f"e.{name}" for name in FORMATS}


def shape_of(ids, vectors, **changed):
    longest = max(map(len, ids))
    return Shape(**{"sequences": len(ids), "vectors": len(vectors), "width": vectors.shape[1], "positions": False,
                    "longest_id": longest} | changed)  # fmt: skip


@pytest.fixture
def vectors():
    numbers = np.random.default_rng(0).standard_normal((len(IDS), 5)).astype(np.float32)
    numbers[0] = [0, -0.0, 1e-30, 3e30, 1 / 3]
    return numbers


@pytest.fixture
def pooled(tmp_path, vectors):
    """In two pieces, as chunks of sequences come."""
    pieces = [Piece(IDS[:3], vectors[:3]), Piece(IDS[3:], vectors[3:])]
    return written(tmp_path, pieces, shape_of(IDS, vectors))


def table_of(path):
    with open(path, newline="", encoding="utf-8") as handle:
        return list(csv.reader(handle, delimiter="\t", quoting=csv.QUOTE_NONE))


def test_every_format_gives_back_ids_and_numbers_bit_by_bit(pooled, vectors):
    header, *rows = table_of(pooled["table"])
    assert header == ["id", *(f"dim_{number}" for number in range(1, 6))]
    assert [row[0] for row in rows] == IDS
    np.testing.assert_array_equal(np.array([row[1:] for row in rows], dtype=np.float32), vectors)
    with np.load(pooled["npz"], allow_pickle=False) as arrays:
        assert arrays.files == ["embeddings", "ids"]
        assert arrays["ids"].tolist() == IDS
        np.testing.assert_array_equal(arrays["embeddings"], vectors)
        assert arrays["embeddings"].dtype == np.float32
    table = parquet.read_table(pooled["parquet"])
    assert table.column_names == header
    assert table["id"].to_pylist() == IDS
    np.testing.assert_array_equal(np.stack([table[name].to_numpy() for name in header[1:]], 1), vectors)
    assert json.loads(table.schema.metadata[b"seqlm"]) == ABOUT
    with h5py.File(pooled["h5"]) as file:
        assert [group.attrs["id"] for group in file.values()] == IDS, "in the order of the input"
        assert list(file)[2:6] == ["sp|P1_X", "sp|P1_X_2", "ümläut", "_"]
        np.testing.assert_array_equal(np.stack([group["embedding"][()] for group in file.values()]), vectors)
        assert dict(file.attrs) == ABOUT


@pytest.mark.parametrize("name", ["table", "npz", "parquet"])
def test_our_own_reader_reads_what_is_written(pooled, vectors, name):
    found = read_embeddings(pooled[name])
    assert found.ids == IDS
    assert found.columns == [f"dim_{number}" for number in range(1, 6)]
    assert not found.others
    np.testing.assert_array_equal(found.vectors, vectors)


def test_our_own_reader_says_what_to_choose_in_place_of_h5(pooled):
    with pytest.raises(InputError, match="choose tabular, npz or parquet"):
        read_embeddings(pooled["h5"])


def test_half_precision_is_for_npz_and_h5_alone(tmp_path, vectors):
    vectors = np.clip(vectors, -1000, 1000)
    files = written(tmp_path, [Piece(IDS, vectors)], shape_of(IDS, vectors, half=True))
    with np.load(files["npz"]) as arrays, h5py.File(files["h5"]) as file:
        assert arrays["embeddings"].dtype == file["a"]["embedding"].dtype == np.float16
        np.testing.assert_array_equal(arrays["embeddings"], vectors.astype(np.float16))
    np.testing.assert_array_equal(read_embeddings(files["table"]).vectors, vectors)


LENGTHS = {"first": 3, "long/one": 7, "b": 1}


@pytest.fixture
def positions(tmp_path):
    numbers = np.random.default_rng(1).standard_normal((11, 4)).astype(np.float32)
    pieces = [
        Piece(["first"], numbers[:3], "MKV", 0, 3),
        Piece(["long/one"], numbers[3:5], "AC", 0, 7),
        Piece(["long/one"], numbers[5:10], "DEFGH", 2, 7),
        Piece(["b"], numbers[10:], "W", 0, 1),
    ]
    return written(tmp_path, pieces, shape_of(LENGTHS, numbers, sequences=3, positions=True)), numbers


def test_positions_are_numbered_and_long_sequences_come_in_pieces(positions):
    files, numbers = positions
    header, *rows = table_of(files["table"])
    assert header[:4] == ["id", "position", "letter", "dim_1"]
    assert [row[:3] for row in rows[2:6]] == [["first", "3", "V"], ["long/one", "1", "A"], ["long/one", "2", "C"],
                                              ["long/one", "3", "D"]]  # fmt: skip
    np.testing.assert_array_equal(np.array([row[3:] for row in rows], dtype=np.float32), numbers)
    table = parquet.read_table(files["parquet"]).to_pydict()
    assert table["position"] == [1, 2, 3, 1, 2, 3, 4, 5, 6, 7, 1]
    assert "".join(table["letter"]) == "MKVACDEFGHW"
    with np.load(files["npz"]) as arrays:
        assert arrays["lengths"].tolist() == list(LENGTHS.values())
        assert arrays["ids"].tolist() == list(LENGTHS)
        np.testing.assert_array_equal(arrays["embeddings"], numbers)
    with h5py.File(files["h5"]) as file:
        assert list(file) == ["first", "long_one", "b"]
        np.testing.assert_array_equal(file["long_one"]["embedding"][()], numbers[3:10])


@pytest.mark.parametrize("name", ["table", "npz", "parquet"])
def test_our_own_reader_refuses_positions(positions, name):
    with pytest.raises(InputError, match="position"):
        read_embeddings(positions[0][name])


@pytest.mark.parametrize("kind", ["pooled", "positions"])
def test_equal_vectors_give_equal_bytes_in_whatever_pieces_they_come(tmp_path, monkeypatch, kind):
    numbers = np.random.default_rng(2).standard_normal((300, 6)).astype(np.float32)
    ids = [f"p{number}" for number in range(300)]
    if kind == "pooled":
        shape = shape_of(ids, numbers)
        pieces = [[Piece(ids[at : at + size], numbers[at : at + size]) for at in range(0, 300, size)]
                  for size in (300, 7)]  # fmt: skip
    else:
        shape = shape_of(ids, numbers, sequences=3, positions=True)
        pieces = [
            [
                Piece([ids[one]], numbers[one * 100 + at : one * 100 + at + size], "A" * size, at, 100)
                for one in range(3)
                for at in range(0, 100, size)
            ]
            for size in (100, 20)
        ]
    monkeypatch.setattr(embedding_outputs, "ROWS", 50)
    monkeypatch.setattr(embedding_outputs, "ROW_GROUP", 6 * 1000)
    made = []
    for number, given in enumerate(pieces):
        (tmp_path / str(number)).mkdir()
        made.append(written(tmp_path / str(number), given, shape))
    for name in FORMATS if kind == "pooled" else ("table", "npz", "parquet"):  # HDF5 allocates slice by slice
        assert made[0][name].read_bytes() == made[1][name].read_bytes(), name


def test_small_row_groups_do_not_lose_a_row(tmp_path, monkeypatch, vectors):
    monkeypatch.setattr(embedding_outputs, "ROW_GROUP", 10)
    files = written(tmp_path, [Piece([name], vectors[[at]]) for at, name in enumerate(IDS)], shape_of(IDS, vectors))
    assert parquet.ParquetFile(files["parquet"]).num_row_groups == 4
    np.testing.assert_array_equal(read_embeddings(files["parquet"]).vectors, vectors)


def test_a_run_that_fails_leaves_nothing(tmp_path, vectors):
    def pieces():
        yield Piece(IDS[:2], vectors[:2])
        raise InputError("the model fails")

    with pytest.raises(InputError, match="the model fails"):
        written(tmp_path, pieces(), shape_of(IDS, vectors))
    assert not list(tmp_path.iterdir())
