"""The same sequences in each format that a file of sequences can have."""

from __future__ import annotations

import gzip
import io
import random
from collections.abc import Mapping, Sequence

import pyarrow
from pyarrow import parquet

XML = """<?xml version="1.0" encoding="UTF-8"  standalone="no" ?>
<uniprot xmlns="http://uniprot.org/uniprot">
{}<copyright>
Copyrighted by the UniProt Consortium
</copyright>
</uniprot>
"""


def as_fastq(records: Mapping[str, str], width: int = 0, seed: int = 1) -> str:
    """Headers and sequences with qualities of every kind, in lines of ``width`` letters where one is given."""
    rng, text = random.Random(seed), ""
    for number, (header, sequence) in enumerate(records.items()):
        qualities = "".join(rng.choices([chr(code) for code in range(33, 127)], k=len(sequence)))
        again = header if number % 2 else ""
        text += f"@{header}\n{wrapped(sequence, width)}\n+{again}\n{wrapped(qualities, width)}\n"
    return text


def wrapped(text: str, width: int) -> str:
    return "\n".join(text[start : start + width] for start in range(0, len(text), width)) if width else text


def as_parquet(columns: Mapping[str, Sequence], **options) -> bytes:
    """The content of a parquet file of columns, each a list or an array of Arrow."""
    content = io.BytesIO()
    parquet.write_table(pyarrow.table(dict(columns)), content, **options)
    return content.getvalue()


def as_uniprot_xml(proteins: Mapping[str, str], features: Mapping[str, str] | None = None) -> str:
    """Accessions and sequences as entries, with what else stands in one, such as the sequence of an isoform.

    Args:
        features: accession -> ``feature`` elements.
    """
    entries = "".join(
        f"""<entry dataset="Swiss-Prot" created="1994-10-01" modified="2024-01-24" version="1">
<accession>{accession}</accession>
<accession>Q00000</accession>
<name>{accession}_HUMAN</name>
<protein><recommendedName><fullName evidence="1">A &amp; B</fullName></recommendedName></protein>
<gene><name type="primary">GENE</name></gene>
<comment type="alternative products"><isoform><id>{accession}-1</id><name>1</name><sequence type="displayed"/></isoform>
</comment>
{(features or {}).get(accession, "")}<evidence type="ECO:0000269" key="1"/>
<sequence length="{len(sequence)}" mass="1" checksum="0000000000000000" modified="1994-10-01" version="1">
{wrapped(sequence, 60)}
</sequence>
</entry>
"""
        for accession, sequence in proteins.items()
    )
    return XML.format(entries)


def in_each_format(sequences: Mapping[str, str]) -> dict[str, bytes]:
    """Ids and sequences, by the name of a file that says its format."""
    fasta = "".join(f">{name}\n{sequence}\n" for name, sequence in sequences.items())
    rows = [("id", "sequence"), *sequences.items()]
    plain = {
        "fasta": fasta.encode(),
        "fastq": as_fastq(sequences).encode(),
        "uniprotxml": as_uniprot_xml(sequences).encode(),
        "tabular": "".join("\t".join(row) + "\n" for row in rows).encode(),
        "csv": "".join(",".join(row) + "\n" for row in rows).encode(),
    }
    packed = {f"{name}.gz": gzip.compress(content, mtime=0) for name, content in plain.items()}
    columns = {"id": list(sequences), "sequence": list(sequences.values())}
    return plain | packed | {"parquet": as_parquet(columns)}
