"""Reading sequences: what comes out, and what is refused with which words."""

import gzip
import random
import tracemalloc

import pytest
from Bio.SeqIO.FastaIO import SimpleFastaParser
from rdkit import Chem

from seqlm.cli.errors import InputError
from seqlm.data.records import CANONICAL, DNA, PROTEIN, TEXT, Rules
from seqlm.data.sequences import (
    SEVERAL_BASES,
    Strangers,
    clean,
    looks_like_dna,
    looks_like_protein,
    read_records,
    read_table,
    sequence_format,
    told_alphabet,
)
from seqlm.data.tables import label_place


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
    assert list(read_records(path)) == by_name


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
        ("Two words\n", "neither FASTA nor a table: its first line is 'Two words'"),
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
        ("id\tsequence\na\tMKV\tx\n", "line 2 has 3 columns where the first row has 2"),
        ("id\thelix\na\tMKV\n", "no column 'sequence' for the sequence column; the columns are id, helix"),
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
    monkeypatch.setattr("seqlm.data.lines.MAX_SEQUENCE", 100_000)
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


def ids_and_sequences(path, **options):
    return [(record.id, record.sequence) for record in read_records(path, **options)]


CUT = "cut at the first blank, behind which a name or an extension stands"
A, B, C = "MKTAYIAKQRQISFVKSHFSRQ", "MSLLTEVETYVLSIVPSGPLKA", "MADEEKLPPGWEKRMSRSSGRV"


@pytest.mark.parametrize(
    ("rows", "options"),
    [
        ([["a", A, "1"], ["b", B, "0"]], {"id_column": "1", "sequence_column": "2"}),
        ([["a", A, "1"], ["b", B, "0"]], {"sequence_column": "2"}),
        ([["a", A, "site"], ["b", B, "none"]], {}),  # a word that names columns elsewhere, and is none here
        ([["a", A, "NA"], ["b", B, "0.5"]], {}),
        ([["a", "MKV", "x"], ["b", "GG", "y"]], {"id_column": "1", "sequence_column": "2"}),  # the rows do not tell
        ([["a", A]], {"id_column": "1", "sequence_column": "2"}),
        ([["a", "CC(=O)O"], ["b", "CCO"], ["c", "C=C"]], {}),
    ],
)
def test_a_table_without_a_header_keeps_its_first_row_and_says_so(tmp_path, capsys, rows, options):
    path = write(tmp_path, "\n".join(map("\t".join, rows)), "table.tsv")
    assert ids_and_sequences(path, **options) == [(row[0], row[1]) for row in rows]
    assert "table.tsv has no header: its first row (a, " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("id\tsequence\ty\n", {"id_column": "1", "sequence_column": "2"}),
        ("who\twhat\tx\n", {"id_column": "who", "sequence_column": "what"}),
        ("who\twhat\tx\n", {"id_column": "1", "sequence_column": "2"}),  # told from the number below x
        ("0\t1\t2\n", {"id_column": "1", "sequence_column": "1"}),
        ("\tsequence\tx\n", {"id_column": "1"}),
        ("ENTRY\tSEQUENCE\tX\n", {}),
        ("Protein ID\tAA_seq\tx\n", {}),
    ],
)
def test_a_header_is_no_row(tmp_path, text, options):
    path = write(tmp_path, text + f"a\t{A}\t0.5\nb\t{B}\t1\n", "table.tsv")
    if text.startswith("0"):  # columns that are numbered from 0: '1' is a name and a number, of two columns
        with pytest.raises(InputError, match=r"'1' is the name of column 2 and the number of column '0'"):
            list(read_records(path, **options))
    else:
        assert ids_and_sequences(path, **options) == [("a", A), ("b", B)]


def test_a_word_above_molecules_is_a_header_though_columns_are_numbers(tmp_path):
    path = write(tmp_path, "compound\tstructure\na\tCC(=O)O\nb\tCCO\n", "table.tsv")
    assert ids_and_sequences(path, id_column="1", sequence_column="2") == [("a", "CC(=O)O"), ("b", "CCO")]


def test_a_first_row_that_could_be_either_is_said_to_be_the_header(tmp_path, capsys):
    path = write(tmp_path, "who\twhat\na\tMKV\n", "table.tsv")
    assert ids_and_sequences(path, sequence_column="what") == [("row_1", "MKV")]
    said = capsys.readouterr().err
    assert "no column is known to hold ids, so that the ids are row_1, row_2 …; the id column could be who" in said


@pytest.mark.parametrize(
    ("name", "cells", "ids"),
    [
        ("Entry", ["P1", "P2"], ["P1", "P2"]),
        ("accession", ["P1", "P2"], ["P1", "P2"]),
        ("name", ["x", "x"], ["row_1", "row_2"]),  # it does not tell the rows apart
        ("name", ["x", ""], ["row_1", "row_2"]),
        ("colour", ["x", "y"], ["row_1", "row_2"]),
    ],
)
def test_ids_are_found_under_other_names_or_said_to_be_numbers(tmp_path, capsys, name, cells, ids):
    path = write(tmp_path, f"{name},Sequence\n{cells[0]},{A}\n{cells[1]},{B}\n", "table.csv")
    assert [record.id for record in read_records(path)] == ids
    said = capsys.readouterr().err
    assert f"column '{name}' is taken as the id" in said if ids[0] == "P1" else f"the id column could be {name}" in said


def test_headers_that_begin_alike_are_told_apart(tmp_path, capsys):
    path = write(tmp_path, ">s one\nMKV\n>s two\nGG\n>t  x\nAA\n", "in.fasta")
    assert [record.id for record in read_records(path, rename=True)] == ["s one", "s two", "t x"]
    assert "the whole headers are the ids" in capsys.readouterr().err
    path = write(tmp_path, ">s\nMKV\n>s_2\nGG\n>s\nAA\n>s\nCC\n", "again.fasta.gz")
    path.write_bytes(gzip.compress(path.read_bytes()))
    assert [record.id for record in read_records(path, rename=True)] == ["s", "s_2", "s_3", "s_4"]
    assert "1 first words of headers come more than once, such as 's'" in capsys.readouterr().err
    assert [record.id for record in read_records(path)] == ["s", "s_2", "s", "s"]  # for those who refuse it


@pytest.mark.parametrize(
    ("words", "alphabet", "expected", "rule"),
    [
        ("ACG CGT GTA TAC ACG", DNA, "ACGTACG", "overlapping 3-mers joined to the sequence that they were cut from"),
        ("acg cgt gta tac acg", TEXT, "acgtacg", "overlapping 3-mers joined to the sequence that they were cut from"),
        ("ACG TTT GGA", DNA, "ACGTTTGGA", "blanks within the sequence removed"),
        ("MKTAYIAKQR QISFVKSHFS", PROTEIN, "MKTAYIAKQRQISFVKSHFS", "blanks within the sequence removed"),
        ("M K T", PROTEIN, "MKT", "blanks within the sequence removed"),
        ("CCO ethanol", TEXT, "CCO", "cut at the first blank, behind which a name or an extension stands"),
        (
            "c1ccccc1 |$;;;$|",
            CANONICAL,
            "c1ccccc1",
            "cut at the first blank, behind which a name or an extension stands",
        ),
    ],
)
def test_blanks_within_a_sequence_are_understood_and_counted(tmp_path, words, alphabet, expected, rule):
    table = write(tmp_path, f"id\tsequence\na\t{words}\n", "table.tsv")
    fasta = write(tmp_path, f">a\n{words}\n")
    for path in (table, fasta):
        rules = Rules()
        assert cleaned(path, alphabet, rules=rules) == [expected]
        assert rules.sequences[rule] == 1


def test_kmers_over_several_lines_are_joined(tmp_path):
    assert cleaned(write(tmp_path, ">a\nACG CGT GTA\nTAC ACG\n"), DNA) == ["ACGTACG"]


def test_three_line_fasta_is_a_sequence_and_its_labels(tmp_path, capsys):
    path = write(tmp_path, ">a\nMKVLA\n00110\n>b\nGGA\n010\n")
    assert [(r.sequence, r.labels) for r in read_records(path)] == [("MKVLA", "00110"), ("GGA", "010")]
    assert "in.fasta is three-line FASTA" in capsys.readouterr().err
    letters = write(tmp_path, ">a\nMKVLA\nHHHEE\n>b\nGGA\nCCC\n>c\nGGAA\nCCCC\n")
    assert [r.labels for r in read_records(letters)] == ["HHHEE", "CCC", "CCCC"]
    wrapped = write(tmp_path, f">a\n{A}\n{B}\n>b\n{B}\n{C}\n>c\n{B}\n{C}\n")
    assert [r.sequence for r in read_records(wrapped)] == [A + B, B + C, B + C]
    broken = write(tmp_path, ">a\nMKVLA\n00110\n>b\nGGA\n010\n>c\nGGA\n01\n")
    with pytest.raises(InputError, match=r"record 'c' .* is not a sequence and a line of as many labels"):
        list(read_records(broken))


def test_lists_and_sdf_are_read(tmp_path):
    assert ids_and_sequences(write(tmp_path, f"{A}\n\n{B}\n", "list.txt")) == [("row_1", A), ("row_2", B)]
    smi = write(tmp_path, "CCO ethanol\nc1ccccc1\tbenzene\nCCCl chloro  propane\n", "molecules.smi")
    assert ids_and_sequences(smi) == [("ethanol", "CCO"), ("benzene", "c1ccccc1"), ("chloro propane", "CCCl")]
    molecules = {name: Chem.MolFromSmiles(smiles) for name, smiles in (("one", "OCC"), ("two", "C1=CC=CC=C1"))}
    with Chem.SDWriter(str(tmp_path / "molecules.sdf")) as writer:
        for name, molecule in molecules.items():
            molecule.SetProp("_Name", name)
            molecule.SetProp("Activity", "5")
            writer.write(molecule)
    expected = [(name, Chem.MolToSmiles(molecule)) for name, molecule in molecules.items()]
    assert ids_and_sequences(tmp_path / "molecules.sdf") == expected == [("one", "CCO"), ("two", "c1ccccc1")]
    text = (tmp_path / "molecules.sdf").read_text()
    with pytest.raises(InputError, match=r"molecule 'row_3' \(line \d+\) cannot be read by RDKit"):  # which is nothing
        list(read_records(write(tmp_path, f"{text}$$$$\n", "empty.sdf")))
    with pytest.raises(InputError, match=r"molecule 'one' \(line 1\) cannot be read by RDKit"):
        list(read_records(write(tmp_path, text.replace("  1  2  1  0", "  1  9  1  0", 1), "bad.sdf")))


def test_short_sequences_and_rna_are_told_by_all_letters_of_a_file():
    sirna = ["CCACGGCTCCTTGCTTGCCAC", "CGAAGCCATAGACATATGAAT", "AGCCCGCTGTGGCTCTCCGAC"]
    rna = ["AGUUGGACGCGCGACGGCCGUUCCAGAAAAUC", "GACCUAAAACCCAUUGAUUGUGUUACCCAG"]
    peptides = ["GLFDIVKKVVGALGSL", "AGATA", "CATGN", "KWKLFKKIEKVGQNIR"]
    assert told_alphabet(sirna) == told_alphabet(rna) == told_alphabet([sequence.lower() for sequence in rna]) == DNA
    assert told_alphabet(peptides) == told_alphabet(["ACGT"]) == PROTEIN
    for sequences in (sirna, rna):
        strangers = Strangers(PROTEIN)
        for sequence in sequences:
            strangers.see(sequence)
        with pytest.raises(InputError, match=f"holds DNA or RNA \\({len(sequences)} of {len(sequences)} sequences\\)"):
            strangers.refuse("in.fasta")


def test_what_the_form_asks_for_by_default_is_found_under_other_names_too(tmp_path):
    path = write(tmp_path, f"a\t{A}\t1\nb\t{B}\t0\n", "table.tsv")
    assert ids_and_sequences(path, sequence_column="sequence") == [("a", A), ("b", B)]
    path = write(tmp_path, "SMILES,y\nCCO,1\n", "table.csv")
    assert [record.sequence for record in read_records(path, sequence_column="sequence")] == ["CCO"]


def test_a_column_may_be_called_differently_in_each_file(tmp_path):
    for name, columns in (("train.csv", "id,seq,activity"), ("test.csv", "id,seq,y")):
        table = read_table(write(tmp_path, f"{columns}\na,{A},1\n", name))
        assert table.index("activity|y", "label column") == 2
        assert label_place(table, "y" if name == "test.csv" else "activity") == 2
    assert label_place(table, None) == label_place(table, "label") == 2
    both = read_table(write(tmp_path, "id,y,class\na,1,2\n", "both.csv"))
    with pytest.raises(InputError, match="no column 'label' for the label column; the columns are id, y, class"):
        label_place(both, None)


def test_what_a_file_is_is_told_without_reading_much_of_it(tmp_path):
    """Chromosomes have a line each in some files: fifty of them are not held in memory to see that they are FASTA."""
    fasta = write(tmp_path, "".join(f">chromosome{number}\n{'ACGT' * 500_000}\n" for number in range(30)))
    wide = write(
        tmp_path, "id\tsequence\n" + "".join(f"c{number}\t{'ACGT' * 500_000}\n" for number in range(30)), "t.tsv"
    )
    for path in (fasta, wide):
        tracemalloc.start()
        try:
            assert next(read_records(path, rename=True)).sequence.startswith("ACGT")
            assert tracemalloc.get_traced_memory()[1] < 30 << 20
        finally:
            tracemalloc.stop()


@pytest.mark.parametrize(
    ("content", "format", "message"),
    [
        (b"PAR1....", "fasta", "is a parquet file and not FASTA; give it as what it is"),
        (b">a\nMKT\n", "parquet", "is no parquet file; give it as what it is"),
        (b">a\nMKT\n", "uniprotxml", "is not UniProt's XML; give it as what it is"),
        (gzip.compress(gzip.compress(b">a\nMKT\n")), "fasta", "is compressed twice"),
    ],
)
def test_a_format_that_a_file_does_not_have_is_named(tmp_path, content, format, message):
    (tmp_path / "s").write_bytes(content)
    with pytest.raises(InputError, match=message):
        list(read_records(tmp_path / "s", format=format))
