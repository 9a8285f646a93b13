"""Sites in UniProt's text and in BED."""

import pytest
from Bio import SwissProt

from makers.scripts import DATA
from seqlm.cli.errors import InputError
from seqlm.data.site_features import bed_positions, is_bed, read_bed, read_uniprot
from seqlm.data.site_sources import SourceOptions, read_source, site_format

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
        ("P9", "SIGNAL", 1, 5, ""),
        ("P9", "MOD_RES", None, None, ""),
        ("P9", "MOD_RES", 6, 6, "Phospho serine"),
    ]
    assert [f.exact for f in annotation.features] == [True, False, False, True]
    assert annotation.records[0].sequence == "MAYSTYSKK"


WRAPPED = """\
ID   X_HUMAN                 Reviewed;          10 AA.
AC   P9;
FT   CROSSLNK        9
FT                   /note="Glycyl lysine isopeptide (Lys-Gly) (interchain with G-
FT                   Cter in SUMO2); alternate"
FT                   /evidence="ECO:0000269|PubMed:1, ECO:0000269|
FT                   PubMed:2"
FT   BINDING         5..7
FT                   /ligand="pyridoxal 5'-
FT                   phosphate"
FT                   /ligand_id="ChEBI:CHEBI:597326"
FT                   /note="in strain O15
FT                   / 83"
FT   DISULFID        ?2..10
FT                   /note="Interchain"
SQ   SEQUENCE   10 AA;  1164 MW;  0000000000000000 CRC64;
     MAYSTYSKKC
//
"""


def test_wrapped_texts_of_uniprot_are_joined_as_biopython_joins_them(write):
    path = write(WRAPPED, "f.txt")
    with open(path) as handle:
        (entry,) = SwissProt.parse(handle)
    ours = read_uniprot(path).features
    assert [each.note for each in ours] == [each.qualifiers.get("note", "") for each in entry.features]
    assert [each.ligand for each in ours] == [each.qualifiers.get("ligand", "") for each in entry.features]
    assert ours[0].note == "Glycyl lysine isopeptide (Lys-Gly) (interchain with G-Cter in SUMO2); alternate"
    assert [(each.start, each.end, each.exact) for each in ours] == [(9, 9, True), (5, 7, True), (2, 10, False)]


BED = "track name=x\n# made up\nchr1\t7\t8\tt1\t0\t-\nchr1\t2\t5\tlong\t0\t+\nchr1\t29\t30\tt2\t0\t.\n"


def test_bed_counts_from_0_and_its_end_lies_outside(write):
    path = write(BED, "f.bed")
    assert is_bed(path) and site_format(path) == "gff"
    assert [(f.protein, f.start, f.end, f.note, f.strand) for f in read_bed(path).features] == [
        ("chr1", 8, 8, "t1", "-"),
        ("chr1", 3, 5, "long", ""),
        ("chr1", 30, 30, "t2", ""),
    ]


def test_intervals_of_any_length_are_not_counted_out(write):
    with pytest.raises(InputError, match="more than 20,000,000 positions"):
        next(bed_positions(write("c\t0\t999999999\n", "f.bed")))
    options = SourceOptions(site_format="gff", ranges="every-residue")
    with pytest.raises(InputError, match="more than 5,000,000 residues are in features"):
        read_source(write(">c\nACGT\n", "d.fasta"), write("c\t0\t999999999\n", "f.bed"), options)


@pytest.mark.parametrize("kind", ["auto", "table", "gff"])
def test_bed_is_known_for_what_it_is_among_tables_too(write, kind):
    dna = write(">chr1\n" + "ACGTACGTAC" * 4 + "\n", "d.fasta")
    source = read_source(dna, write(BED, "f.tabular"), SourceOptions(site_format=kind))
    assert [(site.position, site.strand) for _, site in source.sites] == [(8, "-"), (30, "")]
    assert source.blocked == {0: [(8, 8), (3, 5), (30, 30)]}
    assert source.counted["intervals of BED, whose starts count from 0, read as positions from 1"] == 3


@pytest.mark.parametrize(
    "text", ["P1\t5\tS\tx\n", "P1\t5\t1\nP2\t4\t0\n", "a\t1\t2\t.\t0\tforward\n", "id\t1\t2\n3\tx\t4\n"]
)
def test_other_tables_are_no_bed(write, text):
    assert not is_bed(write(text))
