"""Coding and intergenic pieces cut from an annotated genome, as a table ``id``, ``sequence``, ``label``.

    python benchmarks/genome_pieces.py GENOME.gbff.gz PIECES.csv [--pieces 1000] [--coding 0.3]
        [--from BASE] [--natural] [--seed 1]

A coding piece lies within one CDS and reads in the direction of its gene, in any frame; an intergenic piece lies
between two neighbouring genes (of any kind) and reads in a random direction. Both draw their lengths from the same
distribution (log-uniform, 60 to 300 bases), so that length says nothing about the label. One CDS or gap gives one
piece; with --from only those that begin there or later. With --natural the lengths are those of CDS and gaps as they
are, up to 3,000 bases: for timing only.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import math
import random
from pathlib import Path

SHORTEST, LONGEST, LONGEST_NATURAL = 60, 300, 3000


def intervals(record) -> tuple[list[tuple[int, int, int]], list[tuple[int, int, int]]]:
    """(start, end, strand) of every simple CDS and of every gap between genes; strand 0 where there is none."""
    coding, genes = [], []
    for feature in record.features:
        place = (int(feature.location.start), int(feature.location.end), feature.location.strand)
        if feature.type == "CDS" and len(feature.location.parts) == 1 and "pseudo" not in feature.qualifiers:
            coding.append(place)
        if feature.type not in ("source", "misc_feature", "variation"):
            genes.append(place)
    gaps, end = [], 0
    for start, stop, _ in sorted(genes):
        if start > end:
            gaps.append((end, start, 0))
        end = max(end, stop)
    return coding, gaps


def cut(
    record, count: int, share: float, natural: bool, first_base: int, rng: random.Random
) -> list[tuple[str, str, int]]:
    """(id, sequence, label) in random order."""
    coding, gaps = ([place for place in places if place[0] >= first_base] for places in intervals(record))
    pieces = []
    for places, label, wanted in ((coding, 1, round(count * share)), (gaps, 0, count - round(count * share))):
        if natural:
            places = [place for place in places if SHORTEST <= place[1] - place[0] <= LONGEST_NATURAL]
            lengths = [end - start for start, end, _ in rng.sample(places, wanted)]
        else:
            lengths = [round(math.exp(rng.uniform(math.log(SHORTEST), math.log(LONGEST)))) for _ in range(wanted)]
        for length in sorted(lengths, reverse=True):  # the long ones first, while there is room for them
            fitting = [place for place in places if place[1] - place[0] >= length]
            if not fitting:
                raise SystemExit(f"error: so many pieces with label {label} cannot be cut; ask for fewer")
            start, end, strand = rng.choice(fitting)
            places.remove((start, end, strand))
            first = rng.randint(start, end - length)
            piece = record.seq[first : first + length]
            if (strand or rng.choice((-1, 1))) == -1:
                piece = piece.reverse_complement()
            pieces.append((f"{'coding' if label else 'intergenic'}_{first + 1}_{first + length}", str(piece), label))
    rng.shuffle(pieces)
    return pieces


def main() -> None:
    from Bio import SeqIO

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("genome", type=Path)
    parser.add_argument("pieces_file", type=Path)
    parser.add_argument("--pieces", type=int, default=1000)
    parser.add_argument("--coding", type=float, default=0.3)
    parser.add_argument("--from", dest="first_base", type=int, default=0, metavar="BASE", help="from 0")
    parser.add_argument("--natural", action="store_true")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    with (gzip.open if arguments.genome.suffix == ".gz" else open)(arguments.genome, "rt") as handle:
        record = next(SeqIO.parse(handle, "genbank"))
    with arguments.pieces_file.open("w", newline="") as handle:
        writer = csv.writer(handle)
        writer.writerow(["id", "sequence", "label"])
        rng = random.Random(arguments.seed)
        writer.writerows(cut(record, arguments.pieces, arguments.coding, arguments.natural, arguments.first_base, rng))


if __name__ == "__main__":
    main()
