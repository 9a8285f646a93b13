"""FASTQ: what Biopython reads of it, and which damage is named."""

import random
import tracemalloc

import pytest
from Bio.SeqIO.QualityIO import FastqGeneralIterator

from makers.formats import as_fastq
from seqlm.cli.errors import InputError
from seqlm.data.sequences import read_records, sequence_format


def write(folder, text, name="reads.fastq"):
    path = folder / name
    path.write_text(text)
    return path


@pytest.mark.parametrize("width", [0, 7, 60])
def test_reads_are_read_as_biopython_reads_them(tmp_path, width):
    rng = random.Random(3)
    reads = {f"read{number} 1:N:0": "".join(rng.choices("ACGTN", k=rng.randint(1, 200))) for number in range(60)}
    path = write(tmp_path, as_fastq(reads, width))
    assert sequence_format(path) == "fastq"
    with path.open() as handle:
        expected = [(title, sequence) for title, sequence, _ in FastqGeneralIterator(handle)]
    assert [(record.header, record.sequence) for record in read_records(path)] == expected == list(reads.items())
    assert [record.id for record in read_records(path, rename=True)] == [header.split()[0] for header in reads]


def test_qualities_that_look_like_headers_are_qualities(tmp_path):
    path = write(tmp_path, "@a\nACGT\n+\n@+@b\n@b\nAC\nGT\n+b\n+I\n@I\n\n")
    assert [(record.id, record.sequence, record.line) for record in read_records(path)] == [
        ("a", "ACGT", 1),
        ("b", "ACGT", 5),
    ]


def test_that_qualities_are_not_used_is_said(tmp_path, capsys):
    list(read_records(write(tmp_path, "@a\nACGT\n+\nIIII\n")))
    assert (
        "reads.fastq is FASTQ, of which the sequences are read; the qualities are not used" in capsys.readouterr().err
    )


def test_two_reads_of_a_pair_go_by_their_whole_headers_or_by_numbers(tmp_path, capsys):
    pairs = write(tmp_path, "@r 1:N\nAC\n+\nII\n@r 2:N\nGT\n+\nII\n@s 1:N\nAA\n+\nII\n")
    assert [record.id for record in read_records(pairs, rename=True)] == ["r 1:N", "r 2:N", "s 1:N"]
    alike = write(tmp_path, "@r\nAC\n+\nII\n@r\nGT\n+\nII\n@r_2\nAA\n+\nII\n", "alike.fastq")
    assert [record.id for record in read_records(alike, rename=True)] == ["r", "r_3", "r_2"]
    assert "2 first words" not in (said := capsys.readouterr().err) and said.count("1 first words") == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("@a\nACGT\n+\nIII\n", "record 'a' (line 1) has 3 qualities for 4 letters; the file is cut short"),
        ("@a\nACGT\n+\nIIIII\n@b\nA\n+\nI\n", "record 'a' (line 1) has 5 qualities for 4 letters, the last on line 4"),
        ("@a\nACGT\n+\nIII\n@b\nA\n+\nI\n", "record 'a' (line 1) has 5 qualities for 4 letters, the last on line 5"),
        ("@a\nAC\n+\nII\n@b\nACGT\n", "record 'b' (line 5) has no line that begins with '+'"),
        ("@a\nAC\n+\nII\nb\nAC\n+\nII\n", "line 5 is 'b' where a FASTQ record should begin with '@'"),
        ("@a\nAC\n+c\nII\n", "record 'a' (line 1) has another name on line 3: '+c'"),
        ("@a\nAC\nG T\n+\nIIII\n", "record 'a' (line 1) has a blank in its sequence, on line 3"),
        ("@a\nAC\n+\nI I\n", "record 'a' (line 1) has something else than qualities on line 4: 'I I'"),
        ("@a\nAC\n+\nII\n@\nAC\n+\nII\n", "the header on line 5 has no name after '@'"),
    ],
)
def test_damage_is_named_with_its_record(tmp_path, text, message):
    path = write(tmp_path, text)
    with pytest.raises(InputError) as caught:
        list(read_records(path))
    assert message in str(caught.value)


def test_another_format_that_is_said_to_be_fastq_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"line 1 is '>a' where .* begin with '@'; this is no FASTQ file"):
        list(read_records(write(tmp_path, ">a\nACGT\n"), format="fastq"))


def test_memory_does_not_grow_with_the_number_of_reads(tmp_path):
    def peak(number):
        path = write(tmp_path, "".join(f"@r{at}\n{'ACGT' * 30}\n+\n{'I' * 120}\n" for at in range(number)))
        tracemalloc.start()
        assert sum(1 for _ in read_records(path)) == number
        memory = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return memory

    peak(10)  # what is imported and compiled the first time
    assert peak(10_000) < peak(1_000) + 50_000
