"""What other files of this folder hold, in further formats: reads of a sequencer, a parquet table, UniProt's XML."""

from __future__ import annotations

import csv
import gzip
from pathlib import Path
from xml.sax.saxutils import quoteattr

from makers.formats import as_fastq, as_parquet, as_uniprot_xml
from seqlm.data.site_features import Feature, read_uniprot

READS = 24


def make(folder: Path) -> None:
    """Write all files into ``folder``, from ``promoters.tsv`` and ``known_sites.txt`` there."""
    with (folder / "promoters.tsv").open(newline="") as handle:
        rows = list(csv.DictReader(handle, delimiter="\t"))
    reads = {f"{row['id']} 1:N:0:{number}": row["sequence"] for number, row in enumerate(rows[:READS], start=1)}
    (folder / "reads.fastqsanger.gz").write_bytes(gzip.compress(as_fastq(reads).encode(), mtime=0))
    (folder / "promoters.parquet").write_bytes(as_parquet({name: [row[name] for row in rows] for name in rows[0]}))
    annotation = read_uniprot(folder / "known_sites.txt")
    features: dict[str, str] = {}
    for feature in annotation.features:
        features[feature.protein] = features.get(feature.protein, "") + _element(feature)
    proteins = {record.id: record.sequence for record in annotation.records}
    (folder / "known_sites.xml").write_text(as_uniprot_xml(proteins, features))


def _element(feature: Feature) -> str:
    return (
        f'<feature type="modified residue" description={quoteattr(feature.note)} evidence="1">\n'
        f'<location><position position="{feature.start}"/></location>\n</feature>\n'
    )
