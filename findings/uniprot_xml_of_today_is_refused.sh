#!/usr/bin/env bash
# Biopython 1.88: SeqIO.parse(…, "uniprot-xml") refuses the files that UniProt has given out since 2025.
#
# Guessed: the format is named after UniProt, so what UniProt's website and its REST service write today is read. In fact
# the parser asks for the namespace http://uniprot.org/uniprot, and entries of releases of 2025 name
# https://uniprot.org/uniprot, with one letter more (beside an xsi:schemaLocation that still has the old one). Nothing else
# of the entry differs: with that letter taken out it is read.
#
# Seen: http: one record, MKTAY; https: ValueError that names both namespaces.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check biopython==1.88 numpy==2.4.6

"$folder/venv/bin/python" - <<'PYTHON'
import io

from Bio import SeqIO

ENTRY = """<?xml version="1.0" encoding="UTF-8"?>
<uniprot xmlns="{scheme}://uniprot.org/uniprot" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"
 xsi:schemaLocation="http://uniprot.org/uniprot http://www.uniprot.org/docs/uniprot.xsd">
<entry dataset="Swiss-Prot" created="2025-02-05" modified="2025-04-09" version="1"><accession>P00001</accession>
<name>MADE_UP</name><protein><recommendedName><fullName>Made up</fullName></recommendedName></protein>
<organism><name type="scientific">Homo sapiens</name><dbReference type="NCBI Taxonomy" id="9606"/></organism>
<proteinExistence type="predicted"/><sequence length="5" mass="627" checksum="0" modified="2025-02-05"
 version="1">MKTAY</sequence></entry></uniprot>"""

seen = {}
for scheme in ("http", "https"):
    try:
        records = SeqIO.parse(io.BytesIO(ENTRY.format(scheme=scheme).encode()), "uniprot-xml")
        seen[scheme] = [str(record.seq) for record in records]
    except ValueError as problem:
        seen[scheme] = f"ValueError: {problem}"
    print(f"{scheme}: {seen[scheme]}")
assert seen["http"] == ["MKTAY"], "this has changed"
assert "only parses xml with namespace" in seen["https"], "this has changed"
PYTHON
