"""The pass over all sequences before any work."""

import gzip
from argparse import Namespace

import pytest

from seqlm.checkpoints.folder import read_model_folder
from seqlm.cli.errors import InputError
from seqlm.families.recognition import recognise
from seqlm.tokenization.survey import records, survey

PROTEIN = "MKTAYIAKQRQISFVKSHFSRQ"


@pytest.fixture
def family(model_path):
    def recognised(name):
        folder = read_model_folder(model_path(name))
        return recognise(folder.path, folder.config)

    return recognised


@pytest.fixture
def given(tmp_path):
    def arguments(content, name="proteins.fasta", **columns):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return Namespace(
            **{"sequences": str(path), "format": "auto", "id_column": None, "sequence_column": None} | columns
        )

    return arguments


def test_a_survey_counts_sequences_letters_and_repeats(family, given):
    arguments = given(f">a\n{PROTEIN}\n>some_name\n{PROTEIN.lower()}\n>c\nMKU\n")
    visited = []
    found = survey(arguments, family("t5"), lambda record, sequence: visited.append((record.id, sequence)))
    assert (found.sequences, found.letters, found.longest, found.longest_id) == (3, 2 * len(PROTEIN) + 3, 22, 9)
    assert found.repeated == 1, "equal once both are in upper case"
    assert visited == [("a", PROTEIN), ("some_name", PROTEIN), ("c", "MKX")]
    assert found.rules.letters == {"U read as X": 1, "lower case read as upper case": len(PROTEIN)}
    assert [record.id for record in records(arguments)] == ["a", "some_name", "c"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "proteins.fasta is empty"),
        (">a\nMK-T\n", "record 'a' (line 1) has '-' at position 3; remove the gaps"),
        ("id,sequence\na,MKT\nb,MKV\na,MKL\n", "record 'a' (line 4) has the same id as the record on line 2"),
        (">a\nMKT\n>b\n\n", "record 'b' (line 3) has no sequence"),
        (">a\n" + "ACGT" * 10 + "\n", "holds DNA or RNA (1 of 1 sequences); the model reads proteins"),
        (gzip.compress(b">a\n" + PROTEIN.encode() * 100, mtime=0)[:-8], "cut short or damaged"),
        ("id,sequence\na,MKT,1\n", "line 2 has 3 columns where the first row has 2"),
    ],
)
def test_what_no_model_can_read_is_named(family, given, content, message):
    with pytest.raises(InputError) as refusal:
        survey(given(content), family("esm"))
    assert message in str(refusal.value)


def test_a_table_is_read_by_its_columns(family, given):
    arguments = given("name\tpeptide\nx\tMKT\ny\tMKV\n", id_column="name", sequence_column="2")
    assert survey(arguments, family("esm")).sequences == 2
