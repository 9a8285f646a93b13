"""Known sites and their proteins, from every form in which they come."""

import gzip
from collections import Counter

import pytest
from Bio import SwissProt

from makers.scripts import DATA
from seqlm.cli.errors import InputError
from seqlm.data.labels import GivenSplit
from seqlm.data.site_features import choose_sites, read_gff, read_uniprot
from seqlm.data.site_sources import SourceOptions, read_source, site_format
from seqlm.data.site_tables import SiteColumns, positions

PROTEINS = ">sp|P1|ONE_HUMAN first\nMAYSTYK\n>P2\nGGYAA\n>P3\nMXY\n"


@pytest.fixture
def write(tmp_path):
    def file(text, name="sites.tsv"):
        path = tmp_path / name
        path.write_text(text)
        return str(path)

    return file


def found(source):
    return [(source.proteins[place].id, site.position, site.label) for place, site in source.sites]


def test_a_row_for_each_site_says_protein_position_residue_and_label(write):
    sequences = write(PROTEINS, "p.fasta")
    table = write("protein\tposition\tresidue\tlabel\nsp|P1|ONE_HUMAN\t3\tY\tkinase A\nP2\t3\t\tkinase B\n")
    assert found(read_source(sequences, table, SourceOptions())) == [
        ("sp|P1|ONE_HUMAN", 3, "kinase A"),
        ("P2", 3, "kinase B"),
    ]


def test_columns_have_any_name_positions_may_start_with_their_residue_and_no_label_is_the_positive_one(write):
    sequences = write(PROTEINS, "p.fasta")
    table = write("acc,where\nP2,Y3\n", "sites.csv")
    options = SourceOptions(columns=SiteColumns(protein="acc", position="where"), site_format="table")
    assert found(read_source(sequences, table, options)) == [("P2", 3, "1")]


def test_a_protein_is_found_by_the_accession_in_its_name(write):
    source = read_source(write(PROTEINS, "p.fasta"), write("protein\tposition\nP1\t6\n"), SourceOptions())
    assert found(source) == [("sp|P1|ONE_HUMAN", 6, "1")]
    assert source.counted == {"sites whose protein was found by the accession in its name": 1}


def test_lists_of_positions_stand_with_the_sequence_in_one_table(write):
    table = write(
        'protein,positive_positions,negative_positions,seq\nP1,"[3, 6]",[4],MAYSTYK\nP2,3,[],GGYAA\n', "sites.csv"
    )
    source = read_source(table, None, SourceOptions(sequence_column="seq"))
    assert found(source) == [("P1", 3, "1"), ("P1", 6, "1"), ("P1", 4, "0"), ("P2", 3, "1")]


@pytest.mark.parametrize(
    ("text", "numbers"),
    [("[1, 22]", [1, 22]), ("1,22", [1, 22]), ("1; 22", [1, 22]), ("[]", []), ("", []), (" [7] ", [7])],
)
def test_a_list_is_read_in_each_usual_form(text, numbers):
    assert positions(text) == numbers


@pytest.mark.parametrize("text", ["[1, 2", "1,2]", "1 2", "[1,,2]", "[-1]", "[1.5]", "__import__('os')", "[1, x]", ","])
def test_anything_else_is_no_list(text):
    assert positions(text) is None


def test_a_hash_marks_the_residue_before_it(write):
    source = read_source(write(">a\nMAY#ST\nY#K*\n>b\nggy#\n", "marked.fasta"), None, SourceOptions())
    assert [protein.sequence for protein in source.proteins] == ["MAYSTYK", "GGY"]
    assert found(source) == [("a", 3, "1"), ("a", 6, "1"), ("b", 3, "1")]
    assert source.rules.sequences == {"stop (*) at the end dropped": 1, "lower case read as upper case": 1}


def test_gff_features_are_chosen_by_kind_or_by_a_word_of_their_note(write):
    path = write(
        "##gff-version 3\n"
        "a\tx\tModified residue\t3\t3\t.\t.\t.\tNote=Phosphotyrosine%3B by A\n"
        "a\tx\tModified residue\t5\t5\t.\t.\t.\tNote=N6-acetyllysine\n"
        "a\tx\tDisulfide bond\t2\t9\t.\t.\t.\tNote=phospho-like\n"
        "a\tx\tModified residue\t?7\t?7\t.\t.\t.\tNote=Phosphoserine\t\n",
        "f.gff3",
    )
    features = read_gff(path).features

    def chosen(wanted):
        counted = Counter()
        return [site.position for site in choose_sites(features, wanted, "1", counted, path)], counted

    assert chosen("modified residue") == ([3, 5], {"features without an exact position, left out": 1})
    assert chosen("acetyl") == ([5], {})
    assert chosen("phosphotyrosine, ACETYLLYSINE") == ([3, 5], {})
    assert chosen("phospho")[1] == {
        "features without an exact position, left out": 1,
        "features longer than one residue, left out": 1,
    }
    with pytest.raises(InputError, match=r"several kinds of feature; .* Modified residue \(3\), Disulfide bond \(1\)"):
        chosen(None)
    with pytest.raises(InputError, match="no feature of the kind 'methyl'"):
        chosen("methyl")
    with pytest.raises(InputError, match="no feature of the kind 'tyrosine'"):
        chosen("tyrosine")  # a word has to begin so


def test_gff_may_hold_its_sequences_and_ids_are_decoded(write):
    path = write(
        "##gff-version 3\nmy%20id\tx\tsite\t2\t2\t.\t.\t.\tID=1\n##FASTA\n>my%20id of a protein\nMY\nK\n", "f.gff3"
    )
    source = read_source(None, path, SourceOptions())
    assert [(protein.id, protein.sequence) for protein in source.proteins] == [("my id", "MYK")]
    assert found(source) == [("my id", 2, "1")]


def test_uniprot_text_is_read_as_biopython_reads_it():
    annotation = read_uniprot(DATA / "known_sites.txt")
    with (DATA / "known_sites.txt").open() as handle:
        reference = list(SwissProt.parse(handle))
    assert [(record.id, record.sequence) for record in annotation.records] == [
        (entry.accessions[0], entry.sequence) for entry in reference
    ]
    assert [(each.protein, each.kind, each.start, each.end, each.note) for each in annotation.features] == [
        (entry.accessions[0], each.type, int(each.location.start) + 1, int(each.location.end), each.qualifiers["note"])
        for entry in reference
        for each in entry.features
    ]


def test_uniprot_text_of_before_2019_and_uncertain_positions(write):
    path = write(
        "ID   X\nAC   P9; P8;\n"
        "FT   MOD_RES       3      3       Phosphotyrosine (By\n"
        "FT                                similarity).\n"
        "FT   SIGNAL       <1     ?5\n"
        "FT   MOD_RES         P9-2:4\n"
        'FT   MOD_RES         6\nFT                   /note="Phospho\nFT                   serine"\n'
        "SQ   SEQUENCE\n     MAYST YSKK\n//\n",
        "f.txt",
    )
    annotation = read_uniprot(path)
    assert [(f.protein, f.kind, f.start, f.end, f.note) for f in annotation.features] == [
        ("P9", "MOD_RES", 3, 3, "Phosphotyrosine (By similarity)."),
        ("P9", "SIGNAL", None, None, ""),
        ("P9", "MOD_RES", None, None, ""),
        ("P9", "MOD_RES", 6, 6, "Phospho serine"),
    ]
    assert annotation.records[0].sequence == "MAYSTYSKK"


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("known_sites.tsv", "table"),
        ("site_lists.csv", "table"),
        ("annotated_sites.fasta", "annotated"),
        ("known_sites.gff3", "gff"),
        ("known_sites.txt", "gff"),
        ("sites_train.fasta", "none"),
        ("locations.tsv", "none"),
        ("molecules.csv", "none"),
    ],
)
def test_the_form_is_told_from_the_content(name, kind):
    assert site_format(DATA / name) == kind


def test_molecules_with_a_triple_bond_are_no_annotated_sequences(write):
    assert site_format(write(">a\nCC#N\n>b\nc1ccccc1C#N\n", "m.fasta")) == "annotated"  # letters alone cannot tell
    assert site_format(write(">b\nc1ccccc1C#N\n", "m.fasta")) == "none"


def test_all_forms_of_the_same_sites_give_the_same_sites():
    proteins = str(DATA / "site_proteins.fasta")
    table = read_source(proteins, str(DATA / "known_sites.tsv"), SourceOptions())
    gff = read_source(proteins, str(DATA / "known_sites.gff3"), SourceOptions(feature="Modified residue"))
    lists = read_source(str(DATA / "site_lists.csv"), None, SourceOptions())
    expected = {(place, site.position) for place, site in table.sites}
    assert {(place, site.position) for place, site in gff.sites} == expected
    assert {(place, site.position) for place, site in lists.sites if site.label == "1"} == expected


def test_groups_and_splits_of_proteins_come_along(write):
    table = write("id,sequence,position,set\nP1,MAYST,3,train\nP2,GGYAA,3,dev\n", "s.csv")
    source = read_source(table, None, SourceOptions(given_split=GivenSplit("set")))
    assert [protein.split for protein in source.proteins] == ["train", "validation"]


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("protein\tposition\nP1\t9\n", "position 9 of 'sp|P1|ONE_HUMAN' is beyond its 7 residues"),
        ("protein\tposition\nP1\t0\n", "position 0 of 'sp|P1|ONE_HUMAN' is beyond"),
        ("protein\tposition\tresidue\nP1\t3\tS\n", "line 2: position 3 of 'sp|P1|ONE_HUMAN' is Y in the sequence and"),
        ("protein\tposition\nP1\tS3\n", "is Y in the sequence and not S"),
        ("protein\tposition\nP1\t3\nQ7\t3\n", "line 3 has a site on 'Q7', which is not in p.fasta (1 of 2 sites"),
        ("protein\tposition\nP1\tthree\n", "line 2 has 'three' as a position"),
        ("protein\tposition\n\t3\n", "line 2 names no protein"),
        ("protein\tposition\tresidue\nP1\t3\tTyr\n", "has 'Tyr' as a residue; use one letter"),
        ("protein\tposition\tresidue\nP1\tY3\tS\n", "says both Y and S for one site"),
        ("protein\tposition\tlabel\nP1\t3\tA\nP1\t3\tB\n", "is listed as both 'A' (line 2) and 'B'"),
        ("protein\tplace\nP1\t3\n", "no column 'position' for the position column"),
        ("protein\tposition\nP3\t2\n", "position 2 of 'P3' is X, which stands for any residue"),
        ("protein\tposition\n", "has no sites"),
        ("", "is empty"),
        (
            "protein\tpositive_positions\nP1\t[1, 3\n",
            "protein 'P1' (line 2) has '[1, 3' in column 'positive_positions'",
        ),
        ("protein\tpositive_positions\tnegative_positions\nP1\t[3]\t[3]\n", "is listed as both '1' (line 2) and '0'"),
        ("protein\tpositive_positions\nP1\t[]\n", "has no sites"),
    ],
)
def test_bad_sites_are_named(write, table, message):
    with pytest.raises(InputError) as caught:
        read_source(write(PROTEINS, "p.fasta"), write(table), SourceOptions(site_format="table"))
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("f.gff3", "##gff-version 3\na\tx\ts\t2\t2\t.\t.\t.\tID=1\n", "holds no sequences; give the proteins"),
        ("f.gff3", "##gff-version 3\na\tx\ts\t2\n", "line 2 has 4 columns"),
        ("f.gff3", "##gff-version 3\na\tx\ts\ttwo\t2\t.\t.\t.\tID=1\n", "has 'two' as a position"),
        ("f.gff3", "##gff-version 3\na\tx\ts\t0\t0\t.\t.\t.\tID=1\n", "has '0' as a position"),
        ("f.txt", "ID   X\nAC   P1;\nSQ   S\n     MYK\n", "the last entry has no end"),
        ("f.txt", "ID   X\nSQ   S\n     MYK\n//\n", "has no accession"),
        ("f.fasta", ">a\n#MAY#K\n", "record 'a' (line 1) has a '#' that follows no residue"),
        ("f.fasta", ">a\nMAY##K\n", "has a '#' that follows no residue"),
        ("f.fasta", ">a\nMAY#K\n>a\nMY#\n", "has the same id as the record on line 1"),
        ("f.fasta", ">a\nMA1Y#K\n", "has '1' at position 3"),
        (
            "t.csv",
            "id,sequence,position\nP1,MAY,3\nP1,MAYK,3\n",
            "the same id as the record on line 2 with another seq",
        ),
    ],
)
def test_bad_files_are_named(write, name, text, message):
    with pytest.raises(InputError) as caught:
        read_source(None, write(text, name), SourceOptions(site_format="annotated" if "fasta" in name else "auto"))
    assert message in str(caught.value)


def test_sequences_beside_an_annotated_file_are_refused(write):
    with pytest.raises(InputError, match="holds the sequences; give it alone"):
        read_source(write(PROTEINS, "p.fasta"), write(">a\nMAY#K\n", "m.fasta"), SourceOptions())


def test_a_file_cut_short_is_named(tmp_path):
    path = tmp_path / "cut.fasta.gz"
    path.write_bytes(gzip.compress(b">a\nMAY#K\n" * 50)[:-12])
    with pytest.raises(InputError, match="cut short"):
        read_source(str(path), None, SourceOptions())
