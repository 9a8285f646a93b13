"""Labels of residues: label strings, tables and marks say the same thing, and what cannot be right is named."""

import gzip
import random
import re
from pathlib import Path

import numpy as np
import pytest
from Bio import SeqIO

from seqlm.cli.errors import InputError
from seqlm.data.class_names import merging
from seqlm.data.labels import GivenSplit
from seqlm.data.records import DNA, PROTEIN, Rules
from seqlm.data.residue_labels import ResidueReader

SEQUENCES = {"p1": "MKTAYIAKQR", "p2": "MSLENT", "p3": "MKV"}
LABELS = {"p1": "0001000011", "p2": "100000", "p3": "010"}


def fasta(records, header="{}"):
    return "".join(f">{header.format(name)}\n{text}\n" for name, text in records.items())


def write(folder, text, name) -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def reader(folder, *, sequences=None, mask=None, numeric=False, **options):
    return ResidueReader(
        numeric=numeric,
        alphabet=PROTEIN,
        replacements={},
        rules=Rules(),
        sequences=write(folder, sequences, "sequences.fasta") if sequences else None,
        mask=write(folder, mask, "mask.fasta") if mask else None,
        **options,
    )


def read(folder, text, *, name="labels", **options):
    """(examples, the reader) of one file."""
    source = reader(folder, **options)
    return source.read(write(folder, text, name)), source


def strings(examples, source) -> dict[str, str]:
    """The labels as strings again, ``.`` for what is not known."""
    letters = [*source.classes, "."]
    return {example.id: "".join(letters[place] for place in example.label) for example in examples}


def site_table(separator="\t"):
    rows = [("id", "position", "residue")]
    for name, labels in LABELS.items():
        rows += [(name, str(place + 1), SEQUENCES[name][place]) for place, one in enumerate(labels) if one == "1"]
    return "".join(separator.join(row) + "\n" for row in rows)


def marked():
    return fasta({
        name: "".join(letter + "#" * (one == "1") for letter, one in zip(sequence, LABELS[name], strict=True))
        for name, sequence in SEQUENCES.items()
    })  # fmt: skip


def label_table(separator="\t"):
    lines = [("id", "sequence", "label"), *((name, SEQUENCES[name], LABELS[name]) for name in SEQUENCES)]
    return "".join(separator.join(line) + "\n" for line in lines)


FORMS = {
    "label strings": (lambda: fasta(LABELS), True),
    "marks": (marked, False),
    "positions": (site_table, True),
    "positions with commas": (lambda: site_table(","), True),
    "a table": (label_table, False),
    "a table with commas": (lambda: label_table(","), False),
    "CRLF": (lambda: fasta(LABELS).replace("\n", "\r\n"), True),
    "CRLF table": (lambda: site_table().replace("\n", "\r\n"), True),
    "gz": (lambda: gzip.compress(fasta(LABELS).encode()), True),
    "gz table": (lambda: gzip.compress(label_table(",").encode()), False),
    "strings over two lines": (lambda: re.sub(r"(?m)^(\d{3})(?=\d)", r"\1\n", fasta(LABELS)), True),
    "marks over two lines": (lambda: re.sub(r"(?m)^(M[A-Z#]{2})(?=[A-Z])", r"\1\n", marked()), False),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_examples(tmp_path, form):
    text, apart = FORMS[form]
    examples, source = read(tmp_path, text(), sequences=fasta(SEQUENCES) if apart else None)
    assert {example.id: example.sequence for example in examples} == SEQUENCES
    assert strings(examples, source) == LABELS
    assert all(example.label.dtype == np.int16 for example in examples)
    assert not source.rules.sequences


def test_label_strings_are_what_biopython_reads(tmp_path, data):
    examples, source = read(
        tmp_path,
        (data / "binding_labels.fasta").read_text(),
        sequences=(data / "binding_sequences.fasta").read_text(),
        mask=(data / "binding_mask.fasta").read_text(),
    )
    expected = {}
    masks = SeqIO.to_dict(SeqIO.parse(data / "binding_mask.fasta", "fasta"))
    for record in SeqIO.parse(data / "binding_labels.fasta", "fasta"):
        pairs = zip(record.seq, masks[record.id].seq, strict=True)
        expected[record.id] = "".join(label if counts == "1" else "." for label, counts in pairs)
    assert strings(examples, source) == expected
    hidden = sum(text.count(".") for text in expected.values())
    rule = "with residues of unknown label, which count nowhere"
    assert (source.rules.sequences[rule], source.rules.letters[rule]) == (14, hidden)


def test_lower_case_sequences_and_a_stop_are_read_and_counted(tmp_path):
    examples, source = read(tmp_path, ">p1\n0101\n", sequences=">p1\nmKT*\n")
    assert (examples[0].sequence, strings(examples, source)) == ("MKT", {"p1": "010"})
    assert set(source.rules.sequences) == {"lower case read as upper case", "stop (*) at the end dropped"}
    examples, source = read(tmp_path, "id,position,residue\np1,2,k\np1,1,M\n", sequences=">p1\nmKT*\n")
    assert strings(examples, source) == {"p1": "110"}


def test_a_mask_hides_residues_and_proteins_that_are_hidden_whole_are_left_out_and_counted(tmp_path):
    mask = {"p1": "1111100000", "p2": "000000", "p3": "111", "other": "01"}
    examples, source = read(tmp_path, fasta(LABELS), sequences=fasta(SEQUENCES), mask=fasta(mask))
    assert strings(examples, source) == {"p1": "00010.....", "p3": "010"}
    assert dict(source.rules.sequences) == {
        "without a single known label, left out": 1,
        "with residues of unknown label, which count nowhere": 1,
    }
    assert dict(source.rules.letters) == {
        "without a single known label, left out": 6,
        "with residues of unknown label, which count nowhere": 5,
    }


@pytest.mark.parametrize("form", ["strings", "marks", "table"])
def test_a_mask_goes_with_every_form(tmp_path, form):
    text, apart = {"strings": (fasta(LABELS), True), "marks": (marked(), False), "table": (label_table(), False)}[form]
    mask = fasta({name: "0" + "1" * (len(sequence) - 1) for name, sequence in SEQUENCES.items()})
    examples, source = read(tmp_path, text, sequences=fasta(SEQUENCES) if apart else None, mask=mask)
    assert strings(examples, source) == {name: "." + labels[1:] for name, labels in LABELS.items()}


def test_letters_for_unknown_residues_count_nowhere(tmp_path):
    examples, source = read(tmp_path, ">p1\nHE-?C\n", sequences=">p1\nMKTAY\n", unknown="-?")
    assert strings(examples, source) == {"p1": "HE..C"} and list(source.classes) == ["H", "E", "C"]
    table = "id\tposition\tlabel\np1\t2\tH\np1\t3\t?\np1\t4\tE\n"
    examples, source = read(tmp_path, table, sequences=">p1\nMKTAY\n", unlisted="unknown")
    assert strings(examples, source) == {"p1": ".H.E."} and list(source.classes) == ["H", "E"]


def test_labels_are_merged_before_they_are_counted(tmp_path):
    examples, source = read(tmp_path, ">p1\nHGECT\n", sequences=">p1\nMKTAY\n", merged=merging("HGI=H,EB=E,TSC=C"))
    assert strings(examples, source) == {"p1": "HHECC"} and list(source.classes) == ["H", "E", "C"]
    table = "id\tposition\tlabel\np1\t1\tphosphate\np1\t2\tmethyl\np1\t3\tsugar\n"
    merged = merging("phosphate|methyl=small")
    examples, source = read(tmp_path, table, sequences=">p1\nMKTAY\n", merged=merged)
    assert [list(source.classes)[place] for place in examples[0].label] == ["small", "small", "sugar", "0", "0"]


def test_what_a_table_of_sites_does_not_list_is_negative_or_unknown(tmp_path):
    sequences = fasta(SEQUENCES | {"p9": "MMMM"})
    table = "id\tposition\np1\t4\np2\t6\n"
    for unlisted, expected in (("negative", {"p1": "0001000000", "p2": "000001"}),
                               ("unknown", {"p1": "...1......", "p2": ".....1"})):  # fmt: skip
        examples, source = read(tmp_path, table, sequences=sequences, unlisted=unlisted)
        assert strings(examples, source) == expected
        assert source.without_row == {"p3", "p9"}
    source.read(write(tmp_path, "id\tposition\np9\t4\n", "more.tsv"))
    assert source.without_row == {"p3"}


def test_sites_need_no_header_may_be_bed_and_are_found_by_accession(tmp_path):
    sequences = fasta({f"sp|{name}|X_{name}": sequence for name, sequence in SEQUENCES.items()})
    expected = {"sp|p1|X_p1": "0001000011", "sp|p2|X_p2": "100000", "sp|p3|X_p3": "010"}
    rows = [row.split("\t") for row in site_table().splitlines()[1:]]
    forms = {
        "no header": "".join("\t".join(row) + "\n" for row in rows),
        "letters": "protein,position\n" + "".join(f"{name},{residue}{at}\n" for name, at, residue in rows),
        "bed": "".join(f"{name}\t{int(at) - 1}\t{at}\n" for name, at, _ in rows),
        "bed with long names": "".join(f"{name}\t{int(at) - 1}\t{at}\t{'x' * 99}\n" for name, at, _ in rows),
        "phosphositeplus": "date\n\nACC_ID\tGENE\tMOD_RSD\n" + "".join(f"X_{n}\tg\t{r}{at}-p\n" for n, at, r in rows),
    }
    for name, text in forms.items():
        examples, source = read(tmp_path, text, sequences=sequences)
        assert strings(examples, source) == expected, name
    table = "".join(f"x\t{name}\t{at}\tb\n" for name, at, _ in rows)
    examples, source = read(tmp_path, table, sequences=sequences, id_column="2", position_column="3", label_column="4")
    assert strings(examples, source) == {name: labels.replace("1", "b") for name, labels in expected.items()}


def test_sites_that_do_not_fit_are_left_out_where_that_is_wanted(tmp_path):
    table = "id\tposition\tresidue\tstrand\np1\t4\tA\t+\np1\t9\tQ\t+\np1\t10\tA\t+\np2\t7\t\t+\np2\tx\t\t+\nq\t1\t\t+\n"
    examples, source = read(tmp_path, table, sequences=fasta(SEQUENCES), misfits="leave-out")
    assert strings(examples, source) == {"p1": "0001000010"}
    assert source.rules.sequences == {
        "column 'strand' not read": 6,
        "left out, on another residue than their row says": 1,
        "left out, beyond the end of their protein": 1,
        "left out, in rows that cannot be read": 1,
        "left out, on proteins without a sequence": 1,
    }
    assert source.without_row == {"p2", "p3"}
    with pytest.raises(InputError, match="2 of 3 sites do not fit their proteins, the first being"):
        read(tmp_path, "id,position\np1,A4\np1,A5\np1,A6\n", sequences=fasta(SEQUENCES), misfits="leave-out")


def test_columns_are_found_by_name_or_number(tmp_path):
    table = "where,kind,protein\n2,H,p1\n3,E,p1\n"
    options = {"position_column": "where", "label_column": "2", "id_column": "protein"}
    examples, source = read(tmp_path, table, sequences=">p1\nMKT\n", **options)
    assert strings(examples, source) == {"p1": "0HE"}
    table = "sequence,states,name\nMKT,HEC,p1\n"
    examples, source = read(tmp_path, table, label_column="states", id_column="3")
    assert examples[0].id == "p1" and strings(examples, source) == {"p1": "HEC"}


def test_numbers_stand_in_a_column_with_commas_or_blanks_and_nan_is_not_known(tmp_path):
    table = "id\tsequence\tlabel\np1\tMKT\t0.5,NaN,-2\np2\tMK\t[1e-3 ?]\np3\tM\tnone\n"
    examples, source = read(tmp_path, table, numeric=True)
    np.testing.assert_array_equal(examples[0].label, np.float32([0.5, np.nan, -2]))
    np.testing.assert_array_equal(examples[1].label, np.float32([0.001, np.nan]))
    assert source.rules.sequences["without a single known label, left out"] == 1
    for name in ("label", "value"):
        examples, _ = read(tmp_path, f"id,position,{name}\np1,3,1.5\n", numeric=True, sequences=">p1\nMKT\n")
    np.testing.assert_array_equal(examples[0].label, np.float32([np.nan, np.nan, 1.5]))
    examples, _ = read(tmp_path, ">p1\n1,2,\n3\n", numeric=True, sequences=">p1\nMKT\n", mask=">p1\n011\n")
    np.testing.assert_array_equal(examples[0].label, np.float32([np.nan, 2, 3]))
    sites, ids = "site,protein,position\n1,p1,3\n", "id\tsequence\np1\tMKT\n"  # column 2 of the sites alone
    assert [each.id for each in read(tmp_path, sites, id_column="2", sequences=ids)[0]] == ["p1"]


def test_splits_stand_in_headers_or_in_a_column(tmp_path):
    labels = ">p1 SET=train\n0001000011\n>p2 SET=test\n100000\n>p3 SET=train VALIDATION=True\n010\n"
    given = GivenSplit(pattern=r"SET=(\w+)")
    examples, _ = read(tmp_path, labels, sequences=fasta(SEQUENCES), given_split=given)
    assert [example.split for example in examples] == ["train", "test", "validation"]
    table = "id\tposition\tset\np1\t4\ttrain\np1\t5\ttrain\np2\t2\tdev\n"
    examples, _ = read(tmp_path, table, sequences=fasta(SEQUENCES), given_split=GivenSplit("set"))
    assert [example.split for example in examples] == ["train", "validation"]


def test_several_files_share_their_classes(tmp_path):
    source = reader(tmp_path, sequences=fasta(SEQUENCES))
    first = source.read(write(tmp_path, ">p2\nHEEEEE\n", "train"))
    second = source.read(write(tmp_path, ">p3\nEHC\n", "test"))
    assert source.classes == {"H": 0, "E": 1, "C": 2}
    assert [example.label.tolist() for example in (*first, *second)] == [[0, 1, 1, 1, 1, 1], [1, 0, 2]]


def test_letters_beyond_ascii_are_labels_like_others(tmp_path):
    examples, source = read(tmp_path, ">p1\nαβα\n>p2\n0𝛼\n", sequences=">p1\nMKT\n>p2\nMK\n")
    assert strings(examples, source) == {"p1": "αβα", "p2": "0𝛼"}


def test_ten_thousand_proteins_are_read_as_they_are(tmp_path):
    rng = random.Random(1)
    sequences = {f"p{n}": "".join(rng.choices("ACDEFGHIKLMNPQRSTVWY", k=rng.randint(1, 40))) for n in range(10_000)}
    labels = {name: "".join(rng.choices("012", k=len(sequence))) for name, sequence in sequences.items()}
    examples, source = read(tmp_path, fasta(labels), sequences=fasta(sequences))
    assert strings(examples, source) == labels


ALONE = {"sequences": None}
MISTAKES = {
    "shorter": (">p1\n0101\n", {}, "record 'p1' (line 1) has 4 labels, and its sequence has 10 residues"),
    "longer": (">p3\n0101\n", {}, "record 'p3' (line 1) has 4 labels, and its sequence has 3 residues"),
    "no label at all": (">p3\n\n>p1\n0101010101\n", {}, "record 'p3' (line 1) has 0 labels, and its sequence has 3"),
    "shorter in a table": ("id,sequence,label\np1,MKT,01\n", ALONE, "'p1' (line 2) has 2 labels, and its"),
    "numbers without commas": (">p3\n1 2 3\n", {"numeric": True}, "3 residues; numbers stand with commas between them"),
    "the sequences themselves": (fasta(SEQUENCES), {}, "record 'p1' (line 1) is the same text in"),
    "unknown protein": (">p7\n01\n", {}, "record 'p7' (line 1) is about 'p7', which is not in sequences.fasta"),
    "protein twice": (">p3\n010\n>p3\n010\n", {}, "(line 3) has the same id as the record on line 1"),
    "sequence twice": (
        ">p3\n010\n",
        {"sequences": ">p3\nMKV\n>p3\nMKV\n"},
        "sequences.fasta: record 'p3' (line 3) has",
    ),
    "unprintable label": (
        ">p3\n0\u200f0\n",
        {},
        "record 'p3' (line 1) has the label '?'; a label is 1 to 100 printable",
    ),
    "wrong letter": (">p3\n010\n", {"sequences": ">p3\nMK1\n"}, "sequences.fasta: record 'p3' (line 1) has '1' at pos"),
    "DNA": (
        ">p3\n" + "0" * 40 + "\n",
        {"sequences": ">p3\n" + "ACGT" * 10 + "\n"},
        "sequences.fasta holds DNA or RNA (1 of 1",
    ),
    "reads": ("@p3\nMKT\n+\nIII\n", {}, "labels is FASTQ, which has no labels of residues"),
    "empty": ("", {}, "labels is empty"),
    "empty sequences": (">p3\n010\n", {"sequences": "\n"}, "sequences.fasta is empty"),
    "cut gz": (gzip.compress(fasta(LABELS).encode())[:-9], {}, "labels: the gzip file is cut short or damaged"),
    "text as a number": (">p3\n1,x,2\n", {"numeric": True}, "record 'p3' (line 1) has 'x' where a number is needed"),
    "infinite": (">p3\n1,inf,2\n", {"numeric": True}, "record 'p3' (line 1) has 'inf' where a number is needed"),
    "too large": (">p3\n1,1e39,2\n", {"numeric": True}, "record 'p3' (line 1) has 1e39 as a value, which is too large"),
    "no '#'": (fasta(SEQUENCES), ALONE, "labels has no label for any residue: no '#' stands after a site"),
    "labels without sequences": (fasta(LABELS), ALONE, "'p1' (line 1) has digits; if they are the labels"),
    "'##'": (">p1\nMK##T\n", ALONE, "record 'p1' (line 1) has a '#' that follows no residue"),
    "'#' first": (">p1\n#MKT\n", ALONE, "record 'p1' (line 1) has a '#' that follows no residue"),
    "marks as numbers": (">p1\nMK#T\n", {"sequences": None, "numeric": True}, "'#' marks are classes; numbers need"),
    "wrong letter beside a mark": (">p1\nM-#T\n", ALONE, "labels: record 'p1' (line 1) has '-' at pos"),
    "position beyond": ("id,position\np3,4\n", {}, "labels: line 2 lists position 4 of 'p3', which has 3 residues"),
    "position 0": ("id,position\np3,0\n", {}, "line 2 has '0' as a position; positions are whole numbers from 1 on"),
    "position -1": ("id,position\np3,-1\n", {}, "line 2 has '-1' as a position; positions are whole numbers"),
    "position 2.0": ("id,position\np3,2.0\n", {}, "line 2 has '2.0' as a position; positions are whole numbers"),
    "position text": ("id,position\np3,two\n", {}, "line 2 has 'two' as a position; positions are whole numbers"),
    "position on another residue": ("id,position\np3,S2\n", {}, "line 2 says S at position 2 of 'p3', where the seq"),
    "position superscript": ("id,position\np3,²\n", {}, "line 2 has '²' as a position; positions are whole numbers"),
    "position of 5,000 digits": (f"id,position\np3,{'9' * 5000}\n", {}, "line 2 has '999999"),
    "other residue": (
        "id,position,residue\np3,2,M\n",
        {},
        "line 2 says M at position 2 of 'p3', where the sequence has K",
    ),
    "position twice": ("id,position\np3,2\np3,2\n", {}, "line 3 lists position 2 of 'p3' a second time"),
    "position of an unknown protein": ("id,position\np7,2\n", {}, "line 2 is about 'p7', which is not in sequences"),
    "positions without sequences": ("id,position\np3,2\n", ALONE, "labels lists positions; give the file"),
    "positions without values": ("id,position\np3,2\n", {"numeric": True}, "labels has no column with the values"),
    "no position column": ("id,pos\np3,2\n", {}, "labels has no column 'position', and beside a file of sequences a"),
    "position column elsewhere": (
        "id,pos\np3,2\n",
        {"position_column": "at"},
        "no column 'at' for the position column",
    ),
    "two splits": (
        "id,position,set\np3,2,train\np3,3,test\n",
        {"given_split": GivenSplit("set")},
        "line 3 puts 'p3' into a second split; a protein is in one of them",
    ),
    "NaN in a table": ("id,position,label\np3,2,nan\n", {"numeric": True}, "labels: line 2 has nan as its value"),
    "empty label": ("id,position,label\np3,2,\n", {}, "labels: line 2 has the label ''; a label is 1 to 100 printable"),
    "no label column": ("id,sequence\np3,MKV\n", ALONE, "labels: no column 'label' for the label column"),
    "no mask": (fasta(LABELS), {"mask": ">p1\n1111111111\n"}, "mask.fasta has no mask for 'p2'"),
    "mask shorter": (
        ">p3\n010\n",
        {"mask": ">p3\n11\n"},
        "the mask of 'p3' has 2 letters, and its sequence has 3 resid",
    ),
    "mask of letters": (">p3\n010\n", {"mask": ">p3\n1x1\n"}, "mask.fasta: the mask of 'p3' has 'x'; a mask has 1 for"),
    "mask twice": (">p3\n010\n", {"mask": ">p3\n111\n>p3\n111\n"}, "mask.fasta: record 'p3' (line 3) has the same id"),
    "all masked": (">p3\n010\n", {"mask": ">p3\n000\n"}, "labels: no protein has a residue with a known label"),
    "1,001 labels": (
        "id,position,label\n" + "".join(f"p,{n + 1},x{n}\n" for n in range(1001)),
        {"sequences": f">p\n{'M' * 1001}\n"},
        "line 1001: more than 1,000 different labels; are they numbers?",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_named_with_its_place(tmp_path, mistake):
    text, options, message = MISTAKES[mistake]
    with pytest.raises(InputError) as caught:
        read(tmp_path, text, **{"sequences": fasta(SEQUENCES)} | options)
    assert message in str(caught.value)


def test_three_line_fasta_gives_what_two_files_give(tmp_path):
    three = "".join(f">{name}\n{SEQUENCES[name]}\n{LABELS[name]}\n" for name in LABELS)
    examples, source = read(tmp_path, three)
    assert strings(examples, source) == LABELS
    assert {example.id: example.sequence for example in examples} == SEQUENCES


def test_sites_without_a_header_are_all_read(tmp_path):
    rows = site_table().splitlines(keepends=True)
    options = {"sequences": fasta(SEQUENCES), "id_column": "1", "position_column": "2"}
    examples, source = read(tmp_path, "".join(rows[1:]), **options)
    assert strings(examples, source) == LABELS


def test_residues_of_rna_are_read_as_its_sequence_is(tmp_path):
    source = reader(tmp_path, sequences=">r\nACGUU\n")
    source.alphabet = DNA
    for residue in "UT":
        table = write(tmp_path, f"id\tposition\tresidue\nr\t5\t{residue}\n", "sites")
        assert strings(source.read(table), source)["r"].count("1") == 1
