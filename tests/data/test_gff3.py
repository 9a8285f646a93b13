"""Sites as GFF3: what a reader of others gets back, whatever the proteins are called."""

import re

import gffutils
import pytest

from seqlm.data.gff3 import FEATURES, Site, SiteWriter

HOSTILE = [
    "sp|Q9UQC2|GAB2_HUMAN%598",
    ">begins like FASTA",
    "##FASTA",
    "a;b=c&d,e%09f",
    "tab\tline\nreturn\rbell\x07delete\x7f",
    "~tilde[brackets]{braces}",
    "Ångström µ 蛋白",
    "end\u2028of\u0085line",
]
SITES = [
    Site(3, "Y", 0.91, "phosphorylated", "XXMYK"),
    Site(7, "S", 0.12, ""),
    Site(9, "T", 1 / 3, "a;b=c&d,e%09\tf\n", "AATAA"),
]


def written(tmp_path, proteins, **options):
    path = tmp_path / "sites.gff3"
    with SiteWriter(path, **options) as writer:
        for name, length, sites in proteins:
            writer.protein(name, length, sites)
    return path


def features(path):
    database = gffutils.create_db(str(path), ":memory:", merge_strategy="error")
    return list(database.all_features(order_by=("file_order",)))


def test_another_reader_gets_back_every_called_site(tmp_path):
    path = written(tmp_path, [("P1", 20, SITES), ("P2", 5, []), ("P3", 4, SITES[:1])], feature="binding_site")
    found = features(path)
    assert [(f.seqid, f.start, f.end, f.score) for f in found] == [
        ("P1", 3, 3, "0.91"), ("P1", 9, 9, "0.333333"), ("P3", 3, 3, "0.91"),
    ]  # fmt: skip
    assert {(f.source, f.featuretype, f.strand, f.frame) for f in found} == {("SeqLM", "binding_site", ".", ".")}
    assert dict(found[0].attributes) == {
        "ID": ["site1"], "Name": ["Y3"], "predicted": ["phosphorylated"], "probability": ["0.91"], "residue": ["Y"],
        "window": ["XXMYK"],
    }  # fmt: skip
    assert found[1].attributes["predicted"] == [SITES[2].called]
    assert len({f.id for f in found}) == 3


def test_every_residue_is_written_when_asked_for(tmp_path):
    (_, uncalled, _) = features(written(tmp_path, [("P1", 20, SITES)], every=True))
    assert (uncalled.start, uncalled.score) == (7, "0.12")
    assert "predicted" not in uncalled.attributes


@pytest.mark.parametrize("name", HOSTILE)
def test_the_name_of_a_protein_stays_one_name_in_the_letters_of_the_first_column(tmp_path, name):
    path = written(tmp_path, [(name, 20, SITES)])
    version, region, *lines = path.read_text(encoding="utf-8").splitlines()
    assert version == "##gff-version 3"
    landmark = lines[0].split("\t")[0]
    assert re.fullmatch(r"[a-zA-Z0-9.:^*$@!+_?|%-]+", landmark)
    assert region == f"##sequence-region {landmark} 1 20"
    assert len(lines) == 2
    assert all(len(line.split("\t")) == 9 for line in lines)
    found = features(path)
    assert {gffutils.feature.feature_from_line(line, keep_order=True).seqid for line in lines} == {landmark}
    assert bytes.fromhex(re.sub("%(..)|(.)", lambda m: m[1] or f"{ord(m[2]):02x}", landmark)).decode() == name
    assert found[1].attributes["predicted"] == [SITES[2].called]


def test_a_protein_without_a_called_site_is_not_lost(tmp_path):
    assert "##sequence-region empty 1 7\n" in written(tmp_path, [("empty", 7, SITES[1:2])]).read_text()


@pytest.mark.parametrize("sites", [SITES[::-1], [Site(21, "Y", 0.5, "a")], [Site(0, "Y", 0.5, "a")]])
def test_sites_out_of_order_or_beyond_the_protein_are_a_mistake_of_the_caller(tmp_path, sites):
    with pytest.raises(ValueError, match="out of order or beyond"):
        written(tmp_path, [("P1", 20, sites)])


def test_a_feature_that_is_no_term_is_refused(tmp_path):
    with pytest.raises(ValueError, match="none of " + ", ".join(FEATURES)):
        written(tmp_path, [], feature="gene-ish")
