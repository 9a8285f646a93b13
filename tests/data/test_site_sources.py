"""Known sites and their proteins, from every form in which they come."""

import gzip

import pytest

from makers.scripts import DATA
from seqlm.cli.errors import InputError
from seqlm.data.labels import GivenSplit
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
    assert source.counted == {"sites whose protein was found by a part of its name": 1}


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


def test_gff_may_hold_its_sequences_and_ids_are_decoded(write):
    path = write(
        "##gff-version 3\nmy%20id\tx\tsite\t2\t2\t.\t.\t.\tID=1\n##FASTA\n>my%20id of a protein\nMY\nK\n", "f.gff3"
    )
    source = read_source(None, path, SourceOptions())
    assert [(protein.id, protein.sequence) for protein in source.proteins] == [("my id", "MYK")]
    assert found(source) == [("my id", 2, "1")]


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("known_sites.tsv", "table"),
        ("site_lists.csv", "table"),
        ("annotated_sites.fasta", "annotated"),
        ("known_sites.gff3", "gff"),
        ("known_sites.txt", "gff"),
        ("known_sites.xml", "gff"),
        ("promoters.parquet", "none"),
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
    text, xml = (read_source(str(DATA / f"known_sites.{kind}"), None, SourceOptions()).sites for kind in ("txt", "xml"))
    assert [(place, site.position) for place, site in text] == [(place, site.position) for place, site in xml]
    expected = {(place, site.position) for place, site in table.sites}
    assert {(place, site.position) for place, site in gff.sites} == expected
    assert {(place, site.position) for place, site in lists.sites if site.label == "1"} == expected


def test_groups_and_splits_of_proteins_come_along(write):
    table = write("id,sequence,position,set\nP1,MAYST,3,train\nP2,GGYAA,3,dev\n", "s.csv")
    source = read_source(table, None, SourceOptions(given_split=GivenSplit("set")))
    assert [protein.split for protein in source.proteins] == ["train", "validation"]


@pytest.mark.parametrize(
    ("text", "columns", "sites"),
    [
        ("P1\t3\tY\tkinase\nP2\t3\tY\tother\n", {}, [(3, "kinase"), (3, "other")]),
        ("P1\t3\t1\nP2\t3\t0\n", {}, [(3, "1"), (3, "0")]),
        ("P1,Y3\nP2,Y3\n", {}, [(3, "1"), (3, "1")]),
        ("x\tP1\t3\t0\nx\tP2\t3\t1\n", {"protein": "2", "position": "3", "label": "4"}, [(3, "0"), (3, "1")]),
        ("P1\tg\t3\nP2\tg\t3\n", {"position": "3"}, [(3, "1"), (3, "1")]),
    ],
)
def test_a_table_without_a_header_keeps_its_first_row_and_says_so(write, text, columns, sites):
    options = SourceOptions(columns=SiteColumns(**columns), site_format="table")
    source = read_source(write(PROTEINS, "p.fasta"), write(text), options)
    assert [(site.position, site.label) for _, site in source.sites] == sites
    assert [rule for rule in source.rules.sequences if rule.startswith("first row read as data")]


def test_a_header_is_no_data_also_where_columns_are_given_by_number(write):
    options = SourceOptions(columns=SiteColumns(protein="1", position="2"))
    source = read_source(write(PROTEINS, "p.fasta"), write("protein\tposition\nP2\t3\n"), options)
    assert found(source) == [("P2", 3, "1")]


@pytest.mark.parametrize("text", ["id\tH3\tsequence\na\t0.5\tMAYSTYK\n", "id\tp53\na\t5\n", "id\tlabel\na\t1\n"])
def test_names_of_columns_that_look_like_residues_are_names(write, text):
    assert site_format(write(text)) == "none"


PHOSPHOSITEPLUS = (
    "052624\nData extracted from PhosphoSitePlus, a database of Tyr, Ser, and more\n\n"
    "GENE\tPROTEIN\tACC_ID\tMOD_RSD\tORGANISM\n"
    "ONE\tprotein one\tP1\tY3-p\thuman\nONE\tprotein one\tP1-2\tY6-p\thuman\nTWO\tprotein two\tQ7\tK3-ac\tmouse\n"
)


def test_a_file_of_phosphositeplus_is_read_and_what_has_no_sequence_can_be_left_out(write):
    sequences, table = write(PROTEINS, "p.fasta"), write(PHOSPHOSITEPLUS)
    assert site_format(table) == "table"
    with pytest.raises(InputError, match=r"line 6 has a site on 'P1-2'.*it is an isoform of 'P1'"):
        read_source(sequences, table, SourceOptions())
    source = read_source(sequences, table, SourceOptions(misfits="leave-out"))
    assert found(source) == [("sp|P1|ONE_HUMAN", 3, "1")]
    assert [site.kind for _, site in source.sites] == ["p"]
    assert source.rules.sequences == {
        "column 'PROTEIN' not read": 3,
        "left out, on isoforms without a sequence": 1,
        "left out, on proteins without a sequence": 1,
    }


def test_a_protein_is_found_by_its_entry_name_too(write):
    source = read_source(write(PROTEINS, "p.fasta"), write("protein\tposition\nONE_HUMAN\t6\n"), SourceOptions())
    assert found(source) == [("sp|P1|ONE_HUMAN", 6, "1")]


MISFITS = "protein\tposition\nP1\tY3\nP1\t6\nP2\tY3\nP1\t99\nP1\tS3\nP1\tx\nP3\t2\nQ7\t1\n"


def test_sites_that_do_not_fit_are_left_out_where_that_is_wanted_and_counted(write):
    source = read_source(write(PROTEINS, "p.fasta"), write(MISFITS), SourceOptions(misfits="leave-out"))
    assert found(source) == [("sp|P1|ONE_HUMAN", 3, "1"), ("sp|P1|ONE_HUMAN", 6, "1"), ("P2", 3, "1")]
    assert {rule: n for rule, n in source.rules.sequences.items() if "left out" in rule} == {
        "left out, in rows that cannot be read": 1,
        "left out, beyond the end of their protein": 1,
        "left out, on another residue than their row says": 1,
        "left out, on X, which stands for any residue": 1,
        "left out, on proteins without a sequence": 1,
    }
    assert source.misfits.note().startswith("5 sites left out that cannot be read or do not fit, the first being: ")


def test_sites_that_mostly_do_not_fit_belong_to_other_sequences(write):
    table = write("protein\tposition\nP1\tY3\nP1\tY2\nP1\tY5\n")
    with pytest.raises(InputError, match="2 of 3 sites do not fit their proteins"):
        read_source(write(PROTEINS, "p.fasta"), table, SourceOptions(misfits="leave-out"))
    with pytest.raises(InputError, match="no site is left; 1 site left out"):
        read_source(write(PROTEINS, "p.fasta"), write("protein\tposition\nQ7\t3\n"), SourceOptions(misfits="leave-out"))


def test_columns_with_a_meaning_that_are_not_read_are_named(write):
    table = write("protein,sequence,positive_positions,label,aa\nP1,MAYSTYK,[3],0,Y\n", "s.csv")
    source = read_source(table, None, SourceOptions(site_format="table", other_columns=("sequence",)))
    assert source.rules.sequences == {"column 'label' not read": 1, "column 'aa' not read": 1}


def test_a_row_for_each_site_is_not_read_as_lists_without_its_labels(write):
    table = write("protein,sequence,position,label\nP1,MAYSTYK,3,1\nP1,MAYSTYK,6,0\n", "s.csv")
    with pytest.raises(InputError, match=r"several rows for one protein and a column 'label'"):
        read_source(table, None, SourceOptions(columns=SiteColumns(positive="position")))
    named = read_source(table, None, SourceOptions(columns=SiteColumns(positive="position", label="label")))
    assert found(named) == found(read_source(table, None, SourceOptions())) == [("P1", 3, "1"), ("P1", 6, "0")]


def test_the_strand_of_a_site_comes_from_a_column_and_its_residue_is_read_there(write):
    dna = write(">c\n" + "AACGTTTTTTTTTTTTTTTTTTTTTTTTTTTTTT\n", "d.fasta")
    table = write("id\tposition\tresidue\tstrand\nc\t3\tG\t-\nc\t3\tC\t+\nc\t1\tU\t-\n")
    source = read_source(dna, table, SourceOptions())
    assert [(site.position, site.strand) for _, site in source.sites] == [(3, "-"), (3, ""), (1, "-")]
    with pytest.raises(InputError, match="position 3 of 'c' is G in the sequence and not C"):
        read_source(dna, write("id\tposition\tresidue\tstrand\nc\t3\tC\t-\n"), SourceOptions())
    protein = read_source(write(PROTEINS, "p.fasta"), write("id\tposition\tstrand\nP2\t3\t-\n"), SourceOptions())
    assert protein.sites[0][1].strand == ""
    assert protein.counted == {"strands of sites on proteins, which have none, not used": 1}


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
        ("f.gff3", "##gff-version 3\n", "has no features"),
        ("f.gff3", "##gff-version 3\na\tx\ts\t2\t2\t.\tminus\t.\tID=1\n", "has 'minus' as its strand"),
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
