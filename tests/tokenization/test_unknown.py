"""Letters that a vocabulary does not know: counted as letters, whatever becomes of them, and refused where they are
most."""

import random

import pytest

from makers.models import AMINO_ACIDS, make
from seqlm.checkpoints.folder import read_model_folder
from seqlm.cli.errors import InputError
from seqlm.data.records import Rules
from seqlm.data.sequences import CUT_AT_BLANK
from seqlm.families.recognition import recognise
from seqlm.tokenization.encoder import Encoder
from seqlm.tokenization.kmer_overlaps import KmerReader
from seqlm.tokenization.reading import UNKNOWN, UNREAD
from seqlm.tokenization.unknown import LOOKED_AT, STRETCH, STRETCHES, Sample, refuse_unknown, stretches, unknown_letters


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    parent = tmp_path_factory.mktemp("models")

    def made(name):
        folder = make(name, parent)
        return Encoder(recognise(folder, read_model_folder(folder).config), folder)

    return made


def test_a_run_of_unknown_letters_is_counted_by_its_letters(encoder):
    """ESM's tokenizer makes a single token of it."""
    structured = encoder("structured")
    encoded = structured.encode("MhKeMKTAYIAMh")
    assert encoded.tokens == 4 and encoded.changes() == {UNKNOWN: 7}
    assert encoder("english").encode("MKT" * 50).changes() == {UNKNOWN: 150}


def test_as_many_known_sequences_as_unknown_ones_pass(encoder):
    structured = encoder("structured")
    refuse_unknown(structured, Sample.of(["MhKe", "MK"]), "x.fasta")
    refuse_unknown(structured, Sample.of(["MhKeMKTA"]), "x.fasta")  # half of it is known
    with pytest.raises(InputError, match=r"^x.fasta: .* know 55.6 % of the letters, such as K, M and T \(1 of 1 seq"):
        refuse_unknown(structured, Sample.of(["MhKeMKTKA"]), "x.fasta")


def test_a_chromosome_that_begins_with_unknown_bases_is_read(encoder):
    rng = random.Random(2)
    chromosome = "N" * 10_000 + "".join(rng.choices("ACGT", k=40_000))
    refuse_unknown(encoder("grover"), Sample.of([chromosome]), "genome.fasta")
    with pytest.raises(InputError, match="such as N"):
        refuse_unknown(encoder("grover"), Sample.of(["N" * 50_000]), "genome.fasta")


def test_letters_that_a_family_replaces_are_known(encoder):
    albert = encoder("albert")
    refuse_unknown(albert, Sample.of(["XXXXXX"]), "x.fasta")  # as U, Z, O and B are read
    assert albert.encode("XXXXXX").changes() == {}


def test_stretches_lie_over_the_whole_of_a_long_sequence():
    assert stretches("ACGT") == ["ACGT"]
    whole = "".join(map(chr, range(256, 256 + 10_000)))
    parts = stretches(whole)
    assert [len(part) for part in parts] == [STRETCH] * STRETCHES
    assert whole.startswith(parts[0]) and whole.endswith(parts[-1])


def test_a_sample_is_bounded_and_every_sequence_may_be_in_it():
    first = [part for (part,) in Sample.of(str(number) for number in range(5000))]
    assert len(first) == LOOKED_AT and max(map(int, first)) > 4000 and min(map(int, first)) < 1000
    assert first == [part for (part,) in Sample.of(str(number) for number in range(5000))]


def test_a_word_that_a_vocabulary_of_overlapping_words_lacks_is_unknown():
    """Each word counts as the letter that it begins with, and the last of a run as all that are left."""
    reader = KmerReader({"[UNK]": 0, "ACG": 1, "CGT": 2, "A": 3}, "ACGT", 3, 0)
    known, lost, short = reader.read(["ACGT", "ACGTAC", "A"])
    assert (known.ids.tolist(), known.unknown) == ([1, 2], "")
    assert (lost.ids.tolist(), lost.unknown) == ([1, 2, 0, 0], "GTAC")
    assert (short.ids.tolist(), short.unknown) == ([3], "")


@pytest.mark.parametrize(
    ("unknown", "unread", "letters", "said"),
    [
        (0, 0, 100, []),
        (3, 1, 100, ["4.0 % of all letters (4 of 100) are unknown to the model's vocabulary"]),
        (1, 0, 1_000_000, ["under 0.1 % of all letters (1 of 1,000,000) are unknown"]),
        (1, 0, None, ["Some letters are unknown to the model's vocabulary"]),
    ],
)
def test_a_verdict_says_which_share_is_unknown(unknown, unread, letters, said):
    rules = Rules()
    for rule, count in ((UNKNOWN, unknown), (UNREAD, unread)):
        if count:
            rules.count(rule, count)
    found = unknown_letters(rules, letters)
    assert [one.startswith(start) for one, start in zip(found, said, strict=True)] == [True] * len(said)


def test_a_verdict_says_that_texts_were_cut_at_a_blank():
    rules = Rules()
    rules.count(CUT_AT_BLANK)
    assert unknown_letters(rules, 100)[0].startswith(
        "Of 1 text with blanks only what stands before the first blank was read"
    )


def test_no_letter_of_proteins_is_unknown_to_a_model_of_single_letters(encoder):
    refuse_unknown(encoder("esmc"), Sample.of([AMINO_ACIDS]), "x.fasta")
