"""UniProt's XML: what Biopython reads of it, the sites among its features, and what a stranger's file may not do."""

import gzip
import tracemalloc

import pytest
from Bio import SeqIO

from makers.formats import as_uniprot_xml
from seqlm.cli.errors import InputError
from seqlm.data.sequences import read_records, sequence_format
from seqlm.data.site_features import read_uniprot, read_uniprot_features
from seqlm.data.site_sources import SourceOptions, read_source, site_format

PROTEINS = {"P04637": "MEEPQSDPSV" * 9, "Q9UQC2": "MAYSTYKKCC"}
FEATURES = """<feature type="modified residue" description="Phosphoserine; by &quot;X&quot;" evidence="1">
<location><position position="6"/></location>
</feature>
<feature type="binding site" evidence="1">
<location><begin position="2"/><end position="4"/></location>
<ligand><name>Zn(2+)</name><dbReference type="ChEBI" id="CHEBI:29105"/><label>1</label></ligand>
</feature>
<feature type="disulfide bond">
<location><begin position="2" status="uncertain"/><end position="10"/></location>
</feature>
<feature type="signal peptide"><location><begin status="unknown"/><end position="5" status="less than"/></location>
</feature>
<feature type="glycosylation site"><location sequence="Q9UQC2-2"><position position="3"/></location></feature>
"""
TEXT = """ID   Q9UQC2_HUMAN            Reviewed;          10 AA.
AC   Q9UQC2; Q00000;
FT   MOD_RES         6
FT                   /note="Phosphoserine; by "X""
FT   BINDING         2..4
FT                   /ligand="Zn(2+)"
FT                   /ligand_id="ChEBI:CHEBI:29105"
FT                   /ligand_label="1"
FT   DISULFID        ?2..10
FT   SIGNAL          ?..<5
FT   CARBOHYD        Q9UQC2-2:3
SQ   SEQUENCE   10 AA;
     MAYSTYKKCC
//
"""


def write(folder, text, name="proteins.xml"):
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_entries_are_read_as_biopython_reads_them(tmp_path, capsys):
    path = write(tmp_path, as_uniprot_xml(PROTEINS))
    assert sequence_format(path) == "uniprotxml"
    expected = [(entry.id, str(entry.seq)) for entry in SeqIO.parse(path, "uniprot-xml")]
    assert [(record.id, record.sequence) for record in read_records(path)] == expected == list(PROTEINS.items())
    assert "proteins.xml is UniProt's XML, of which the canonical sequences are read" in capsys.readouterr().err
    assert [record.header for record in read_records(path)] == ["P04637 P04637_HUMAN", "Q9UQC2 Q9UQC2_HUMAN"]
    # as it is written now, with another namespace, on one line and packed
    text = as_uniprot_xml(PROTEINS).replace("http:", "https:").replace("\n", " ")
    on_one_line = write(tmp_path, gzip.compress(text.encode()), "packed")
    assert [(record.id, record.sequence) for record in read_records(on_one_line)] == expected


def test_features_are_those_of_the_text_format(tmp_path):
    xml = write(tmp_path, as_uniprot_xml(PROTEINS, {"Q9UQC2": FEATURES}))
    ours, text = read_uniprot_features(xml).features, read_uniprot(write(tmp_path, TEXT, "entry.txt")).features
    compared = [
        [(each.protein, each.start, each.end, each.exact, each.ligand) for each in found] for found in (ours, text)
    ]
    assert compared[0] == compared[1]
    assert [each.note for each in ours] == ['Phosphoserine; by "X"', "", "", "", ""]
    # Biopython counts from 0
    entry = list(SeqIO.parse(xml, "uniprot-xml"))[1]
    assert [(each.kind, each.end) for each in ours[:2]] == [
        (each.type, int(each.location.end)) for each in entry.features[:2]
    ]


def test_sites_come_from_its_features(tmp_path):
    path = str(write(tmp_path, as_uniprot_xml(PROTEINS, {"Q9UQC2": FEATURES})))
    assert site_format(path) == "gff"
    for wanted in ("modified residue", "MOD_RES", "phosphoserine"):
        source = read_source(path, None, SourceOptions(feature=wanted))
        assert [(source.proteins[place].id, site.position) for place, site in source.sites] == [("Q9UQC2", 6)]
    with pytest.raises(InputError, match="has several kinds of feature"):
        read_source(path, None, SourceOptions())


def test_it_may_hold_the_proteins_of_a_table_of_sites(tmp_path):
    proteins = write(tmp_path, as_uniprot_xml(PROTEINS))
    table = write(tmp_path, "protein\tposition\nQ9UQC2\t3\n", "sites.tsv")
    assert len(read_source(str(proteins), str(table), SourceOptions()).sites) == 1


WITH_ENTITY = as_uniprot_xml(PROTEINS).replace("<uniprot", '<!DOCTYPE uniprot [<!ENTITY a "MK">]>\n<uniprot', 1)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (WITH_ENTITY, "declares a document type"),
        (WITH_ENTITY.replace('a "MK"', 'a SYSTEM "file:///etc/hostname"'), "declares a document type"),
        (as_uniprot_xml(PROTEINS)[:900], "cannot be read as XML (unclosed token); the file is cut short or damaged"),
        (as_uniprot_xml(PROTEINS).replace("</gene>", ""), "cannot be read as XML (mismatched tag)"),
        (as_uniprot_xml({"": "MK"}).replace("Q00000", ""), "the entry on line 3 has no accession"),
        (as_uniprot_xml({}), "holds no proteins"),
        ("<?xml version='1.0'?>\n<UniRef100 xmlns='http://uniprot.org/uniref'/>", "XML, but not UniProt's"),
        (as_uniprot_xml(PROTEINS).replace("<gene>", "<a>" * 60), "has over 50 elements within each other"),
        (
            as_uniprot_xml(PROTEINS).replace("<gene>", f'<gene a="{"x" * 3_000_000}">'),
            "has a tag of over 1,048,576 bytes",
        ),
        (as_uniprot_xml({"P" * 200_000: "MK"}), "'accession' is over 100,000 characters long"),
    ],
)
def test_what_cannot_be_trusted_is_refused_with_its_line(tmp_path, text, message):
    with pytest.raises(InputError) as caught:
        list(read_records(write(tmp_path, text)))
    assert message in str(caught.value)


def test_a_sequence_without_end_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("seqlm.data.lines.MAX_SEQUENCE", 5_000)
    path = write(tmp_path, as_uniprot_xml({"P1": "M" * 6_000}))
    with pytest.raises(InputError, match="'sequence' is over 5,000 characters long"):
        list(read_records(path, format="uniprotxml"))


def test_memory_does_not_grow_with_the_number_of_proteins(tmp_path):
    def peak(number):
        path = write(tmp_path, as_uniprot_xml({f"P{at}": "MKV" * 50 for at in range(number)}, {"P1": FEATURES}))
        tracemalloc.start()
        assert sum(1 for _ in read_records(path)) == number
        memory = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return memory

    peak(10)
    assert peak(4_000) < peak(1_000) + 100_000
