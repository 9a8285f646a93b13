"""Reading sequences: what comes out, and what is refused with which words."""

import gzip
import random

import pytest
from Bio.SeqIO.FastaIO import SimpleFastaParser

from seqlm.cli.errors import InputError
from seqlm.data.records import DNA, PROTEIN, TEXT, Rules
from seqlm.data.sequences import (
    SEVERAL_BASES,
    Strangers,
    clean,
    looks_like_dna,
    looks_like_protein,
    read_records,
    sequence_format,
)


def write(folder, content, name="in.fasta"):
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def cleaned(path, alphabet=PROTEIN, replacements=None, rules=None):
    return [clean(record, alphabet, replacements or {}, rules or Rules(), path) for record in read_records(path)]


def test_reads_fasta_as_biopython_does(tmp_path):
    rng = random.Random(1)
    text = ""
    for number in range(50):
        sequence = "".join(rng.choices("ACDEFGHIKLMNPQRSTVWY", k=rng.randint(1, 300)))
        width = rng.randint(10, 80)
        lines = [sequence[start : start + width] for start in range(0, len(sequence), width)]
        text += f">protein{number} some words LABEL={number % 2}\n" + "\n".join(lines) + "\n" + "\n" * (number % 3)
    path = write(tmp_path, text)
    with path.open() as handle:
        expected = list(SimpleFastaParser(handle))
    assert [(record.header, record.sequence) for record in read_records(path)] == expected
    assert [record.id for record in read_records(path)] == [title.split()[0] for title, _ in expected]


def test_gzip_windows_line_ends_and_byte_order_mark_make_no_difference(tmp_path):
    plain = [record.sequence for record in read_records(write(tmp_path, ">a\nMKV\nLL\n>b\nGG\n"))]
    windows = write(tmp_path, b"\xef\xbb\xbf>a\r\nMKV\r\nLL\r\n>b\r\nGG", "windows")
    packed = write(tmp_path, gzip.compress(b">a\nMKV\nLL\n>b\nGG\n"), "packed")
    assert plain == ["MKVLL", "GG"]
    assert [record.sequence for record in read_records(windows)] == plain
    assert [record.sequence for record in read_records(packed)] == plain


@pytest.mark.parametrize(("separator", "expected"), [("\t", "tabular"), (",", "csv")])
def test_reads_tables_by_column_name_or_number(tmp_path, separator, expected):
    rows = [["name", "note", "seq"], ["p1", "x", "MKV"], ["p2", "", "GG"]]
    path = write(tmp_path, "\n".join(separator.join(row) for row in rows), "table")
    assert sequence_format(path) == expected
    by_name = list(read_records(path, id_column="name", sequence_column="seq"))
    by_number = list(read_records(path, id_column="1", sequence_column="3"))
    assert [(record.id, record.sequence) for record in by_name] == [("p1", "MKV"), ("p2", "GG")]
    assert by_number == by_name
    assert [record.id for record in read_records(path, sequence_column="seq")] == ["row_1", "row_2"]


def test_every_change_is_counted(tmp_path):
    rules = Rules()
    path = write(tmp_path, ">a\nmkvUZ\n>b\nMKO*\n>c\nMKV\n")
    assert cleaned(path, replacements=dict.fromkeys("UZOB", "X"), rules=rules) == ["MKVXX", "MKX", "MKV"]
    assert rules.sequences == {
        "lower case read as upper case": 1,
        "stop (*) at the end dropped": 1,
        "U read as X": 1,
        "Z read as X": 1,
        "O read as X": 1,
    }
    assert rules.letters["lower case read as upper case"] == 3
    assert "lower case read as upper case: 1 sequence, 3 letters" in rules.lines()


def test_rna_is_read_as_dna(tmp_path):
    rules = Rules()
    assert cleaned(write(tmp_path, ">a\nACGUN\n"), DNA, rules=rules) == ["ACGTN"]
    assert rules.letters["U read as T"] == 1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "in.fasta is empty"),
        ("\n\n", "in.fasta is empty"),
        ("MKVLL\n", "neither FASTA nor a table: its first line is 'MKVLL'"),
        (b"\x89PNG\r\n\x1a\n\x00\x00", "is not a text file"),
        (b"\xff\xfe\x41\x00", "is not a text file"),
        (">\nMKV\n", "the header on line 1 has no name"),
        (">a\nMKV\n>b\n>c\nMKV\n", "record 'b' (line 3) has no sequence"),
        (">a\nMKV\n>b\nMK-VL\n", "record 'b' (line 3) has '-' at position 3; remove the gaps"),
        (">a\nMK*VL\n", "has '*' at position 3; a stop inside a protein"),
        (">a\nMK1VL\n", "has '1' at position 3; a protein sequence has the letters"),
        (">a\nMKV\u0410\n", "at position 4"),
        (gzip.compress(b">a\n" + b"MKVL" * 1000, mtime=0)[:-20], "the gzip file is cut short or damaged"),
        (b"\x1f\x8bnonsense", "the gzip file is cut short or damaged"),
        ("id\tsequence\n", "has a header but no rows"),
        ("id\tsequence\na\tMKV\tx\n", "line 2 has 3 columns where the header has 2"),
        ("id\tseq\na\tMKV\n", "no column 'sequence' for the sequence column; the columns are id, seq"),
        ("id\tsequence\n\tMKV\n", "line 2 has no id"),
        ('id,sequence\na,"MKV\n', "line 2 is not a row of a table"),
    ],
)
def test_bad_input_is_named(tmp_path, content, message):
    path = write(tmp_path, content)
    with pytest.raises(InputError) as caught:
        assert cleaned(path) == "never"
    assert message in str(caught.value)
    assert "in.fasta" in str(caught.value)


def test_a_gzip_bomb_stops_at_the_limit(tmp_path, monkeypatch):
    monkeypatch.setattr("seqlm.data.sequences.MAX_SEQUENCE", 100_000)
    for body in (b"A" * 1_000_000, b"A" * 50_000 + b"\n" + b"A" * 60_000):
        path = write(tmp_path, gzip.compress(b">a\n" + body))
        with pytest.raises(InputError, match=r"longer than 100,000|over 100,000 letters"):
            list(read_records(path))


def test_the_reader_streams(tmp_path):
    path = write(tmp_path, ">a\nMKV\n" * 3 + ">broken\n-\n")
    records = read_records(path)
    assert [next(records).id for _ in range(3)] == ["a", "a", "a"]


def test_dna_given_as_protein_is_noticed():
    assert looks_like_dna("ACGTTTGACCANACGTAGCATCGGATCTATCTATCG")
    assert not looks_like_dna("ACGT")
    assert not looks_like_dna("MGSSHHHHHHSSGLVPRGSHMASMTGGQQMGRGSEF")


def test_dna_keeps_its_codes_for_several_bases_and_counts_what_it_changes(tmp_path):
    rules = Rules()
    path = write(tmp_path, ">a\nacgTNNRy\n>b\nACGU\n>c\nACGT\n")
    assert cleaned(path, DNA, {}, rules) == ["ACGTNNRY", "ACGT", "ACGT"]
    assert rules.sequences == {SEVERAL_BASES: 1, "lower case read as upper case": 1, "U read as T": 1}
    assert rules.letters == {SEVERAL_BASES: 4, "lower case read as upper case": 4, "U read as T": 1}


@pytest.mark.parametrize(
    ("text", "alphabet", "message"),
    [
        (">a\nACG-T\n", DNA, r"record 'a' \(line 1\) has '-' at position 4; remove the gaps"),
        (">a\nACG..T\n", DNA, "remove the gaps"),
        (">a\nMKVLE\n", DNA, "has 'L' at position 4; is this a protein"),
        (">a\nACG1\n", DNA, "a DNA sequence has the letters"),
        (">a\n\n>b\nACGT\n", DNA, r"record 'a' \(line 1\) has no sequence"),
        (">a\n\n>b\nCCO\n", TEXT, r"record 'a' \(line 1\) has no molecule"),
        (">a\n*\n", PROTEIN, "has no sequence"),
    ],
)
def test_what_cannot_be_read_is_named_with_its_record(tmp_path, text, alphabet, message):
    with pytest.raises(InputError, match=message):
        cleaned(write(tmp_path, text), alphabet)


def test_a_protein_of_letters_that_dna_has_too_is_told_by_its_composition():
    protamine = "MARYRCCRSRSRSRCRRRRRRCYRRRRRCSRRRRRRVCCRRYTVMRCRRR"
    assert looks_like_protein(protamine)
    assert not looks_like_protein(protamine[:20])  # too short to tell
    assert not looks_like_protein("ACGTNNNNNNNNNNNNNNNNNNNNACGTRYACGTACGT")
    strangers = Strangers(DNA)
    for sequence in (protamine, protamine, "ACGT" * 20):
        strangers.see(sequence)
    with pytest.raises(InputError, match=r"reads.fasta holds proteins \(2 of 3 sequences\); the model reads DNA"):
        strangers.refuse("folder/reads.fasta")
    strangers.see("ACGT")
    strangers.refuse("reads.fasta")  # half of them is not most of them
