"""Tables in Parquet: the same as text tables, a block at a time, and safe from strangers."""

import gzip
import random
import sys
import tracemalloc

import pyarrow
import pytest
from pyarrow import parquet

from makers.formats import as_parquet
from seqlm.cli.errors import InputError
from seqlm.data.labels import GivenSplit, read_examples
from seqlm.data.pairs import Pair, PairReader
from seqlm.data.records import Rules
from seqlm.data.sequences import read_records, read_table, sequence_format
from seqlm.data.site_sources import SourceOptions, read_source, site_format
from seqlm.data.site_tables import Site


def write(folder, content, name="table.parquet"):
    path = folder / name
    path.write_bytes(content)
    return path


TABLE = {"entry": ["P1", "P2", "P3"], "seq": ["MKV", " GG ", "AAA"], "label": [1.0, 0.0, None], "x": [0.1, 2, None]}


def test_a_table_is_the_same_in_parquet_as_in_text(tmp_path):
    text = tmp_path / "table.tsv"
    text.write_text("entry\tseq\tlabel\tx\nP1\tMKV\t1\t0.1\nP2\tGG\t0\t2\nP3\tAAA\t\t\n")
    path = write(tmp_path, as_parquet(TABLE | {"x": pyarrow.array(TABLE["x"], pyarrow.float32())}))
    assert sequence_format(path) == "parquet"
    ours, theirs = list(read_records(path)), list(read_records(text))
    assert [(record.id, record.sequence, record.fields) for record in ours] == [
        (record.id, record.sequence, record.fields) for record in theirs
    ]
    assert [record.line for record in ours] == [1, 2, 3]
    by_number = read_records(path, id_column="1", sequence_column="2")
    assert list(by_number) == ours


def test_what_is_taken_for_what_is_said(tmp_path, capsys):
    list(read_records(write(tmp_path, as_parquet(TABLE | {"tags": [["a"], [], ["b"]]}))))
    said = capsys.readouterr().err
    assert "table.parquet is a parquet file and read as a table with names of columns; where a line" in said
    assert "1 columns hold neither text nor numbers and are not read, such as tags (list<" in said
    assert "column 'seq' is taken as the sequence column" in said


def test_labels_and_splits_stand_in_columns(tmp_path):
    path = write(tmp_path, as_parquet(TABLE | {"split": ["train", "train", "test"]}))
    rules = Rules()
    examples = read_examples(
        path, numeric=False, alphabet="protein", replacements={}, rules=rules, given_split=GivenSplit("split")
    )
    assert [(each.id, each.sequence, each.label, each.split) for each in examples] == [
        ("P1", "MKV", "1", "train"),
        ("P2", "GG", "0", "train"),
    ]
    assert rules.sequences == {"left out, as their label is not known": 1}


def test_pairs_and_sites_may_be_in_parquet(tmp_path):
    path = write(tmp_path, as_parquet({"first": ["a", "b"], "second": ["b", "b"], "label": [1, 0]}))
    assert list(PairReader({"a", "b"}, {"a", "b"}, "files").read(path)) == [Pair("a", "b", "1"), Pair("b", "b", "0")]
    sites = write(tmp_path, as_parquet({"protein": ["P1"], "position": [3], "residue": ["V"]}), "sites.parquet")
    fasta = tmp_path / "p.fasta"
    fasta.write_text(">P1\nMKV\n")
    assert site_format(sites) == "table"
    assert read_source(str(fasta), str(sites), SourceOptions()).sites == [(0, Site("P1", 3, "1", "V", 1))]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (as_parquet({"id": ["a"], "sequence": ["MK"]})[:-40], "is a damaged parquet file ("),
        (b"PAR1", "is a damaged parquet file ("),
        (gzip.compress(as_parquet({"id": ["a"]})), "is a parquet file that is gzipped; unpack it"),
        (as_parquet({"id": ["a"], "sequence": [["M", "K"]]}), "column 'sequence' holds list<"),
        (as_parquet({"sequence": [{"a": 1}]}), "the sequence column must be a column of text or numbers"),
        (as_parquet({"id": ["a", "b"], "sequence": ["MK", "M\0K"]}), "row 2 has a NUL byte"),
        (
            as_parquet(dict.fromkeys(("id", "sequence"), pyarrow.array([], pyarrow.string()))),
            "has a header but no rows",
        ),
    ],
)
def test_bad_files_are_named(tmp_path, content, message):
    with pytest.raises(InputError) as caught:
        list(read_records(write(tmp_path, content)))
    assert message in str(caught.value)


def test_a_column_of_lists_that_is_asked_for_is_refused_with_its_type(tmp_path):
    path = write(tmp_path, as_parquet({"id": ["a"], "sequence": ["MK"], "classes": [["x"]]}))
    with pytest.raises(InputError, match=r"column 'classes' holds list<.*>; the label column must be"):
        read_table(path).index("classes", "label column")


def test_any_damaged_byte_ends_in_one_line_or_is_harmless(tmp_path):
    content = bytearray(as_parquet(TABLE))
    for place in random.Random(1).sample(range(4, len(content)), 300):
        damaged = content.copy()
        damaged[place] ^= 0xFF
        path = write(tmp_path, bytes(damaged), f"{place}.parquet")
        try:
            list(read_records(path, id_column="1", sequence_column="2"))
        except InputError as problem:
            assert "\n" not in str(problem)


def test_rows_are_read_in_blocks(tmp_path, monkeypatch):
    monkeypatch.setattr("seqlm.data.parquet.BLOCK", 1000)
    sequences = [("MKV" * 100)[: at % 300 + 1] for at in range(500)]
    content = as_parquet({"id": [f"P{at}" for at in range(500)], "sequence": sequences}, row_group_size=120)
    path = write(tmp_path, content)
    assert [record.sequence for record in read_records(path)] == sequences


def test_a_tool_without_the_library_says_that_it_reads_no_parquet(tmp_path, monkeypatch):
    path = write(tmp_path, as_parquet(TABLE))
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(InputError, match="is a parquet file, which this tool does not read; give it as tabular or csv"):
        read_table(path)


def test_groups_without_rows_hold_nothing(tmp_path):
    path = tmp_path / "table.parquet"
    none, one = (pyarrow.table({"id": names, "sequence": names}) for names in (pyarrow.array([], "string"), ["MKV"]))
    with parquet.ParquetWriter(path, one.schema) as writer:
        for part in (none, one, none):
            writer.write_table(part)
    assert [record.sequence for record in read_records(path)] == ["MKV"]


def test_memory_does_not_grow_with_the_number_of_rows(tmp_path, monkeypatch):
    monkeypatch.setattr("seqlm.data.parquet.BLOCK", 1 << 18)
    rng = random.Random(1)

    def peak(number):
        ids, sequences = (
            [f"P{at}" for at in range(number)],
            [rng.randbytes(250).hex() for _ in range(number)],
        )
        path = write(tmp_path, as_parquet({"id": ids, "sequence": sequences}, compression="zstd"), f"{number}.parquet")
        del ids, sequences
        before = pyarrow.total_allocated_bytes()
        tracemalloc.start()
        held = 0
        for _ in read_records(path):
            held = max(held, pyarrow.total_allocated_bytes() - before)
        memory = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return memory + held

    peak(10)
    assert peak(16_000) < peak(4_000) + 2_000_000  # of eight megabytes of text


def test_a_few_bytes_that_stand_for_a_long_column_are_refused_in_little_memory(tmp_path):
    rows, long = 20_000, "A" * 100_000
    column = pyarrow.DictionaryArray.from_arrays(pyarrow.array([0] * rows, pyarrow.int32()), pyarrow.array([long]))
    path = write(tmp_path, as_parquet({"id": [str(at) for at in range(rows)], "sequence": column}))
    assert path.stat().st_size < 400_000
    before = pyarrow.total_allocated_bytes()
    tracemalloc.start()
    with pytest.raises(InputError, match="would unpack to more than 200 times its size, as a bomb does"):
        for _ in read_records(path):
            assert pyarrow.total_allocated_bytes() - before < 50 << 20
    assert tracemalloc.get_traced_memory()[1] < 50 << 20
    tracemalloc.stop()
