"""Embeddings and what is known of the embedded sequences, from files of any kind and origin."""

import gzip
import io
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pyarrow
import pytest
from pyarrow import parquet

from seqlm.cli.errors import InputError
from seqlm.data.class_files import ClassFile
from seqlm.embeddings.labels import read_labels
from seqlm.embeddings.tables import read_embeddings

IDS = ["P1", "sp|P2|X", "a,b"]
VECTORS = np.array([[0.5, -1.25, 3e-5], [1e10, 2, 0], [-7, 0.125, 9]], np.float32)
TABLE = "id\tdim_1\tdim_2\tdim_3\tlabel\nP1\t0.5\t-1.25\t3e-05\tx\nsp|P2|X\t1e10\t2\t0\ty\na,b\t-7\t0.125\t9\tx\n"


def write(path: Path, content) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def packed(**arrays) -> bytes:
    content = io.BytesIO()
    np.savez_compressed(content, **arrays)
    return content.getvalue()


def columns(table: dict) -> bytes:
    content = io.BytesIO()
    parquet.write_table(pyarrow.table(table), content)
    return content.getvalue()


def as_parquet(dtype) -> bytes:
    values = {f"dim_{at + 1}": VECTORS[:, at].astype(dtype) for at in range(3)}
    return columns({"id": IDS, **values, "label": ["x", "y", "x"]})


ROW = "P4\t0.5\t-1.25\t3e-05\tx\n"
COMMAS = TABLE.replace("a,b", '"a,b"').replace("\t", ",")


@pytest.mark.parametrize(
    "content",
    [
        TABLE,
        TABLE.replace("\n", "\r\n"),
        "\ufeff" + TABLE,
        "\n\n" + TABLE,
        gzip.compress(TABLE.encode(), mtime=0),
        COMMAS,
        gzip.compress(COMMAS.encode(), mtime=0),
        packed(ids=np.array(IDS), embeddings=VECTORS, label=np.array(["x", "y", "x"])),
        packed(
            ids=np.array(IDS, "S"), embeddings=np.asfortranarray(VECTORS.astype(float)), label=np.array(list("xyx"))
        ),
        as_parquet(np.float32),
        as_parquet(np.float64),
    ],
    ids=["tabular", "CRLF", "BOM", "blank lines", "gz", "csv", "csv.gz", "npz", "npz float64", "parquet", "parquet 64"],
)
def test_every_format_gives_the_same_embeddings(tmp_path, content):
    found = read_embeddings(write(tmp_path / "embeddings", content))
    assert found.ids == IDS and found.columns == ["dim_1", "dim_2", "dim_3"]
    assert found.vectors.dtype == np.float32 and np.array_equal(found.vectors, VECTORS)
    assert found.others == {"label": ["x", "y", "x"]}


def test_half_precision_is_read_as_it_is(tmp_path):
    found = read_embeddings(
        write(tmp_path / "half.npz", packed(ids=np.array(["a"]), embeddings=np.float16([[0.1, 2]])))
    )
    assert found.vectors.tolist() == [[np.float16(0.1), 2.0]]


def test_a_table_of_any_origin_has_its_ids_first_and_its_features_in_every_column_of_numbers(tmp_path):
    content = ",0,1,kind,label\n10,0.5,2,x,1\n11,1.5,3,y,0\n"
    found = read_embeddings(write(tmp_path / "frame.csv", content))
    assert found.ids == ["10", "11"] and found.columns == ["0", "1"]
    assert found.others == {"kind": ["x", "y"], "label": ["1", "0"]}


def test_a_named_column_of_numbers_is_no_feature(tmp_path):
    path = write(tmp_path / "table.tsv", "id\tf\tg\tgroup\na\t1\t2\t0\nb\t3\t4\t1\n")
    assert read_embeddings(path).columns == ["f", "g", "group"]
    for named in ("group", "4"):
        found = read_embeddings(path, [named])
        assert found.columns == ["f", "g"] and found.other(named, "label column") == ["0", "1"]


def test_beside_columns_of_ours_no_other_number_is_a_feature(tmp_path):
    found = read_embeddings(write(tmp_path / "t.tsv", "id\tdim_1\tdim_2\tscore\na\t1\t2\t7\nb\t3\t4\t8\n"))
    assert found.columns == ["dim_1", "dim_2"] and found.others == {"score": ["7", "8"]}


def npz_with(member: bytes) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("ids.npy", member)
        archive.writestr("embeddings.npy", member)
    return content.getvalue()


def npy(text: str, data: bytes = b"") -> bytes:
    header = text.encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + data


GOOD_NPZ = packed(ids=np.array(IDS), embeddings=VECTORS)
LARGE = packed(ids=np.array([f"P{n}" for n in range(500)]), embeddings=np.random.default_rng(0).normal(size=(500, 9)))
MISTAKES = {
    "empty": (b"", "is empty"),
    "header only": ("id\tdim_1\n", "has a header but no rows"),
    "fasta": (">P1\nMKT\n", "is FASTA"),
    "text for a number": (TABLE.replace("0.125", "abc"), "line 4 has 'abc' in column dim_2"),
    "nothing for a number": (TABLE.replace("0.125", ""), "line 4 has nothing in column dim_2"),
    "one slip in a foreign table": ("id\tf\tg\na\t1\t2\nb\t1\tx\nc\t1\t2\n", "line 3 has 'x' in column g"),
    "NaN": (TABLE.replace("0.125", "NaN"), "line 4 ('a,b') has NaN in column dim_2"),
    "infinity": (TABLE.replace("1e10", "inf"), "line 3 ('sp|P2|X') has an infinite number"),
    "over float32": (TABLE.replace("1e10", "1e60"), "infinite"),
    "duplicate": (TABLE.replace("a,b", "P1"), "line 4 has the id 'P1' again, after line 2"),
    "no id": (TABLE.replace("a,b", ""), "line 4 has no id"),
    "ragged": (TABLE + "P9\t1\t2\n", "line 5 has 3 columns where the first row has 5"),
    "no header": ("0.1,0.2,0.3\n0.4,0.5,0.6\n", "has no ids"),
    "no ids": ("f,g\n0.25,0.5\n1.5,2\n", "has no ids"),
    "no numbers": ("id\tname\na\tx\n", "no column of numbers"),
    "two columns of one name": ("id\tf\tf\na\t1\t2\n", "two columns are called 'f'"),
    "positions": ("id\tposition\tletter\tdim_1\na\t1\tM\t2\n", "for each position"),
    "truncated gzip": (gzip.compress((TABLE + ROW * 5000).encode())[:-40], "cut short"),
    "binary": (bytes(range(1, 255)) * 9, "is not a text file"),
    "pickle": (b"\x80\x04K\x01.", "pickled"),
    "npy": (b"\x93NUMPY\x01\x00" + bytes(99), "single numpy array"),
    "h5": (b"\x89HDF\r\n\x1a\n" + bytes(99), "tabular, npz or parquet"),
    "truncated npz": (LARGE[:-200], "damaged archive"),
    "short npz": (LARGE[: len(LARGE) // 2], "damaged archive"),
    "npz of positions": (packed(ids=np.array(["a"]), lengths=np.array([2]), embeddings=np.eye(2)), "for each position"),
    "npz of positions, too": (packed(ids=np.array(["a"]), embeddings=np.ones((1, 3, 4))), "3 dimensions where 2"),
    "npz of objects": (packed(ids=np.array(["a"], object), embeddings=np.eye(1)), "Python objects"),
    "npz without embeddings": (packed(ids=np.array(["a"])), "no array 'embeddings'"),
    "npz of whole numbers": (packed(ids=np.array(["a"]), embeddings=np.array([[1]])), "holds int64"),
    "npz of uneven arrays": (packed(ids=np.array(["a"]), embeddings=np.eye(2)), "1 ids for 2 embeddings"),
    "npz with a duplicate": (packed(ids=np.array(["a", "a"]), embeddings=np.eye(2)), "row 2 has the id 'a' again"),
    "npz with NaN": (packed(ids=np.array(["a", "b"]), embeddings=np.array([[1.0], [np.nan]])), "row 2 ('b') has NaN"),
    "npz that lies of its size": (
        npz_with(npy("{'descr': '<U4', 'fortran_order': False, 'shape': (900000000000,), }", b"abcd")),
        "is not as long as it says",
    ),
    "npz with code for a header": (npz_with(npy("__import__('os').system('id')")), "is no numpy array"),
    "damaged parquet": (as_parquet(np.float32)[:-9], "damaged parquet"),
    "parquet with a hole": (columns({"id": ["a", "b"], "dim_1": [1.0, None]}), "row 2 ('b') has NaN"),
    "parquet of lists": (columns({"id": ["a"], "dim_1": [1.0], "more": [[1, 2]]}), "holds lists"),
    "parquet of texts": (columns({"id": ["a"], "dim_1": ["x"]}), "holds string, where numbers"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_file_that_holds_no_embeddings_is_refused_with_the_place_and_the_reason(tmp_path, name):
    content, message = MISTAKES[name]
    path = write(tmp_path / "embeddings", content)
    with pytest.raises(InputError) as refused:
        read_embeddings(path)
    assert message in str(refused.value) and "embeddings" in str(refused.value)


def test_any_single_damaged_byte_of_an_npz_is_noticed_or_harmless(tmp_path):
    generator = np.random.default_rng(0)
    right = read_embeddings(write(tmp_path / "right", GOOD_NPZ))
    for place in generator.integers(0, len(GOOD_NPZ), 300):
        damaged = bytearray(GOOD_NPZ)
        damaged[place] ^= 1 << generator.integers(8)
        try:
            found = read_embeddings(write(tmp_path / "damaged", bytes(damaged)))
        except InputError:
            continue
        assert found.ids == right.ids and np.array_equal(found.vectors, right.vectors)


def test_any_damaged_byte_of_a_parquet_file_ends_in_one_line(tmp_path):
    generator, good = np.random.default_rng(0), as_parquet(np.float32)
    for place in generator.integers(0, len(good), 300):
        damaged = bytearray(good)
        damaged[place] ^= 1 << generator.integers(8)
        try:
            read_embeddings(write(tmp_path / "damaged", bytes(damaged)))
        except InputError:
            continue


def test_thousands_of_wide_rows_are_read(tmp_path):
    vectors = np.random.default_rng(0).normal(size=(100, 1024)).round(5)
    header = "id\t" + "\t".join(f"dim_{number}" for number in range(1, 1025)) + "\n"
    lines = ["\t".join(f"{value:.5g}" for value in row) for row in vectors]
    path = tmp_path / "large.tsv"
    with open(path, "w") as handle:
        handle.write(header)
        handle.writelines(f"P{number}\t{lines[number % 100]}\n" for number in range(5000))
    found = read_embeddings(path)
    assert found.vectors.shape == (5000, 1024) and np.allclose(found.vectors[4999], vectors[99], atol=1e-4)


# -- labels --------------------------------------------------------------------------------------------------------


@pytest.fixture
def embeddings(tmp_path):
    rows = "P1\t1\tx\ttrain\nP2\t2\ty\ttest\nP3\t3\tx\tdev\n"
    return read_embeddings(write(tmp_path / "embeddings.tsv", "id\tdim_1\tlabel\tset\n" + rows))


def test_an_empty_label_is_not_known_and_names_are_looked_at_together(tmp_path, embeddings):
    found = read_labels(embeddings, write(tmp_path / "labels.tsv", "id\tlabel\nP1\tNA\nP2\t\nP3\t1\n"))
    assert (found.rows.tolist(), found.texts) == ([0, 2], ["NA", "1"])
    found.classes()
    assert found.notes == [
        "Left out, as their label is not known: 1 sequence ('P2').",
        "label 'NA', a class here although it reads as not known: 1 sequence.",
    ]
    own = read_embeddings(write(tmp_path / "own.tsv", "id\tdim_1\tlabel\nP1\t1\tx\nP2\t2\t\nP3\t3\tX\n"))
    found = read_labels(own, None)
    assert found.rows.tolist() == [0, 2]
    with pytest.raises(InputError, match=r"'x' .* and 'X' .* differ only in upper and lower case"):
        found.classes()


def test_a_fasta_for_each_class_labels_what_is_in_it(tmp_path, embeddings):
    one = ClassFile("in it", write(tmp_path / "a.fasta", ">P3\nMK\n>P1\nML\n"))
    other = ClassFile("out", write(tmp_path / "b.fasta", ">P2\nMM\n>Q\nMV\n"))
    found = read_labels(embeddings, None, classes=[one, other])
    assert (found.rows.tolist(), found.texts) == ([0, 1, 2], ["in it", "out", "in it"])
    assert found.sequences == ["ML", "MM", "MK"]
    assert found.notes[:2] == [
        "of the class 'in it', read from a.fasta: 2 sequences.",
        "of the class 'out', read from b.fasta: 2 sequences.",
    ]
    with pytest.raises(InputError, match=r"b\.fasta: record 'P2' \(line 1\) is in that of 'x' too"):
        read_labels(embeddings, None, classes=[ClassFile("x", other.path), other])
    with pytest.raises(InputError, match="there is no other file or column of labels"):
        read_labels(embeddings, None, label_column="label", classes=[one, other])


def test_labels_are_matched_by_id_and_what_is_on_one_side_only_is_counted_and_named(tmp_path, embeddings):
    path = write(tmp_path / "labels.fasta", ">P3 LABEL=10\nMK\n>Q LABEL=2\nMM\n>P1 LABEL=9\nML\n")
    found = read_labels(embeddings, path)
    assert found.rows.tolist() == [0, 2] and found.texts == ["9", "10"] and found.sequences == ["ML", "MK"]
    assert found.classes()[0] == ["9", "10"]
    assert found.notes == [
        "Left out, as labels.fasta has no label for them: 1 embedding ('P2').",
        "In labels.fasta, but without an embedding: 1 id ('Q').",
    ]


def test_labels_may_stand_in_the_table_of_embeddings(embeddings):
    found = read_labels(embeddings, None, split_column="set")
    assert found.texts == ["x", "y", "x"] and found.splits == ["train", "test", "validation"]


@pytest.mark.parametrize("column", ["kind", "2"])
def test_a_table_of_labels_is_read_by_the_name_or_number_of_its_columns(tmp_path, embeddings, column):
    path = write(tmp_path / "labels.csv", "name,kind,set,sequence\nP2,b,test,MK\nP1,a,train,MM\nP3,a,train,M L\n")
    found = read_labels(embeddings, path, label_column=column, split_column="set")
    assert found.texts == ["a", "b", "a"] and found.splits == ["train", "test", "train"]
    assert found.sequences == ["MM", "MK", "ML"]


def test_rows_that_are_in_no_split_count_as_without_a_label(tmp_path, embeddings):
    path = write(tmp_path / "labels.tsv", "id\tlabel\tset\nP1\ta\ttrain\nP2\tb\tleft out\nP3\ta\ttest\n")
    found = read_labels(embeddings, path, split_column="set")
    assert found.rows.tolist() == [0, 2] and found.splits == ["train", "test"]
    assert "1 embedding ('P2')" in found.notes[0]


def test_rows_are_numbered_where_the_embeddings_were_made_from_a_table_without_ids(tmp_path):
    made = read_embeddings(write(tmp_path / "e.tsv", "id\tdim_1\nrow_1\t1\nrow_2\t2\n"))
    assert read_labels(made, write(tmp_path / "l.tsv", "sequence\tlabel\nMK\ta\nMM\tb\n")).texts == ["a", "b"]


def test_values_are_numbers(tmp_path, embeddings):
    found = read_labels(embeddings, write(tmp_path / "v.tsv", "id\tvalue\nP1\t1.5\nP2\t-2\nP3\t3e1\n"), what="value")
    assert found.values(embeddings.ids).tolist() == [1.5, -2.0, 30.0]
    found.texts[1] = "high"
    with pytest.raises(InputError, match=r"v\.tsv: 'P2' has 'high' where a number is needed"):
        found.values(embeddings.ids)


@pytest.mark.parametrize(
    ("content", "options", "message"),
    [
        (
            ">P1 LABEL=1\nMK\n>Q1 LABEL=1\nMK\n",
            {},
            "2 of 3 embeddings have no label in labels: 'P2', 'P3'; labels has 'Q1'",
        ),
        (">P1\nMK\n", {}, "record 'P1' (line 1) has no label"),
        ("id\tlabel\nP1\t1\nP1\t2\n", {}, "line 3 has the id 'P1' again, after line 2"),
        ("id\tlabel\nP1\t\nP2\t\nP3\t\n", {}, "have no label in labels"),
        ("id\tkind\nP1\t1\n", {}, "has no column 'label'"),
        ("id\tlabel\nP1\t1\n", {"label_column": "kind"}, "no column 'kind'"),
        ("id\tlabel\tset\nP1\t1\tholdout\n", {"split_column": "set"}, "line 2 has 'holdout' as its split"),
        (">P1 LABEL=1\nMK\n", {"label_column": "label"}, "is FASTA and has no columns"),
        ("", {}, "is empty"),
    ],
)
def test_labels_that_cannot_be_matched_are_refused(tmp_path, embeddings, content, options, message):
    with pytest.raises(InputError) as refused:
        read_labels(embeddings, write(tmp_path / "labels", content), **options)
    assert message in str(refused.value)


def bombs(folder):
    """Files of some kilobytes that unpack to a hundred megabytes and more."""
    long, rows = "A" * 100_000, 3000
    names = [f"P{number}" for number in range(rows)]
    yield write(folder / "text.parquet", columns({"id": names, "dim_1": [0.0] * rows, "label": [long] * rows}))
    many = 20_000
    numbers = {f"dim_{at}": np.zeros(many, np.float32) for at in range(1, 1001)}
    yield write(folder / "numbers.parquet", columns({"id": [f"P{number}" for number in range(many)], **numbers}))
    table = "id\tdim_1\tlabel\n" + "".join(f"P{number}\t0\t{long[:60_000]}\n" for number in range(rows))
    yield write(folder / "table.tsv.gz", gzip.compress(table.encode()))
    ids = np.array(["a" * 9_999, *map(str, range(rows - 1))])
    yield write(folder / "ids.npz", packed(ids=ids, embeddings=np.zeros((rows, 1), np.float32)))


def test_what_unpacks_out_of_all_proportion_is_refused_in_little_memory(tmp_path):
    for path in bombs(tmp_path):
        assert path.stat().st_size < 400_000
        before = pyarrow.total_allocated_bytes()
        tracemalloc.start()
        try:
            with pytest.raises(InputError, match="would unpack to more than 200 times its size, as a bomb does"):
                read_embeddings(path)
            assert tracemalloc.get_traced_memory()[1] < 150 << 20, path.name
        finally:
            tracemalloc.stop()
        assert pyarrow.total_allocated_bytes() - before < 50 << 20, path.name


def test_more_text_than_can_be_held_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("seqlm.embeddings.columns.MOST_LETTERS", 5)
    for name, content in (("t.tsv", TABLE), ("t.parquet", as_parquet(np.float32))):
        with pytest.raises(InputError, match="holds more than 5 letters of text; leave out columns"):
            read_embeddings(write(tmp_path / name, content))
    long = packed(ids=np.array(["a" * (1 << 19)]), embeddings=np.zeros((1, 1), np.float32))
    with pytest.raises(InputError, match="has room for texts of 2,097,152 bytes each"):
        read_embeddings(write(tmp_path / "long.npz", long))


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("block", [40, 10**6])
def test_a_table_is_the_same_in_blocks_of_any_size_and_with_any_line_ends(tmp_path, monkeypatch, end, block):
    monkeypatch.setattr("seqlm.embeddings.tables._BLOCK", block)
    rows = ["", "id\tdim_1\tdim_2\tlabel", *(f"P{number}\t{number}.5\t-1\tx" for number in range(50)), ""]
    found = read_embeddings(write(tmp_path / "table.tsv", "\ufeff" + end.join(rows)))
    assert found.ids == [f"P{number}" for number in range(50)] and found.others == {"label": ["x"] * 50}
    assert found.vectors[:, 0].tolist() == [number + 0.5 for number in range(50)]


def test_a_line_that_does_not_fit_into_a_block_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("seqlm.embeddings.tables._BLOCK", 40)
    with pytest.raises(InputError, match="has a line of over 40 bytes"):
        read_embeddings(write(tmp_path / "table.tsv", "id\tdim_1\nP1\t" + "1" * 90 + "\n"))
