"""Small inputs of the dataset tool: proteins in families with made-up sites, in every form the tool reads; molecules.

Nothing of it is biology. A site is a tyrosine, serine or threonine with acidic residues before and a proline after it.
Members of a family are a third to two thirds identical, so that a split has something to keep together.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

FAMILIES, MEMBERS, SINGLE = 12, 3, 14
MOTIF = {-3: "DE", -2: "DE", -1: "DEN", 1: "DE", 2: "P"}


def make(folder: Path, draw: Callable[[random.Random, int], list[str]]) -> None:
    """Write all files into ``folder``; ``draw`` makes residues of natural frequency."""
    rng = random.Random(77)
    proteins, sites = _proteins(rng, draw)
    names = [f"sp|T{number:05d}|SYN{number}_TEST" for number in range(1, len(proteins) + 1)]
    accessions = [name.split("|")[1] for name in names]
    (folder / "site_proteins.fasta").write_text(
        "".join(f">{name} synthetic\n{sequence}\n" for name, sequence in zip(names, proteins, strict=True))
    )
    rows = [f"{accessions[place]}\t{position}\t{proteins[place][position - 1]}\n" for place, position in sites]
    (folder / "known_sites.tsv").write_text("protein\tposition\tresidue\n" + "".join(rows))
    _lists(folder / "site_lists.csv", accessions, proteins, sites, rng)
    _rows(folder / "site_rows.csv", accessions, proteins, sites)
    _annotated(folder / "annotated_sites.fasta", accessions, proteins, sites)
    _features(folder / "known_sites.gff3", accessions, proteins, sites)
    _flat(folder / "known_sites.txt", accessions, proteins, sites)
    _molecules(folder / "molecules.csv", rng)
    _starts(folder, random.Random(78))


def _proteins(rng: random.Random, draw) -> tuple[list[str], list[tuple[int, int]]]:
    """Sequences, and (place, position from 1) of their sites, sorted."""
    proteins, sites = [], []
    for family in range(FAMILIES + SINGLE):
        parent = draw(rng, rng.randint(110, 170))
        places = sorted(16 * place + 8 for place in rng.sample(range((len(parent) - 12) // 16), 3))
        for place in places:
            parent[place] = rng.choice("YST")
            for offset, letters in MOTIF.items():
                if rng.random() < 0.7:
                    parent[place + offset] = rng.choice(letters)
        for _ in range(MEMBERS if family < FAMILIES else 1):
            sequence = [
                letter if any(abs(at - place) < 5 for place in places) or rng.random() < 0.55 else draw(rng, 1)[0]
                for at, letter in enumerate(parent)
            ]
            sites += [(len(proteins), place + 1) for place in places if rng.random() < 0.85]
            proteins.append("".join(sequence))
    return proteins, sites


def _of(sites: list[tuple[int, int]], place: int) -> list[int]:
    return [position for where, position in sites if where == place]


def _lists(path: Path, names, proteins, sites, rng: random.Random) -> None:
    """A row for each protein, with lists as Python writes them."""
    lines = ["protein,positive_positions,negative_positions,sequence\n"]
    for place, (name, sequence) in enumerate(zip(names, proteins, strict=True)):
        positive = _of(sites, place)
        others = [at + 1 for at, letter in enumerate(sequence) if letter in "YST" and at + 1 not in positive]
        negative = rng.sample(others, min(4, len(others)))
        lines.append(f'{name},"{positive}","{negative}",{sequence}\n')
    path.write_text("".join(lines))


def _rows(path: Path, names, proteins, sites) -> None:
    """A row for each site and for each other tyrosine of ten proteins, with the sequence, the residue and a label."""
    lines = ["protein,sequence,position,residue,label\n"]
    for place, (name, sequence) in enumerate(zip(names[:10], proteins, strict=False)):
        positive = _of(sites, place)
        for at, letter in enumerate(sequence, start=1):
            if at in positive or letter == "Y":
                lines.append(f"{name},{sequence},{at},{letter},{int(at in positive)}\n")
    path.write_text("".join(lines))


def _starts(folder: Path, rng: random.Random) -> None:
    """Contigs with a start codon on each strand, and where these begin, as BED."""
    fasta, bed = [], ["track name=starts\n"]
    for number in range(1, 13):
        dna = rng.choices("ACGT", k=90)
        forward, reverse = rng.randint(5, 35), rng.randint(50, 80)
        dna[forward : forward + 3], dna[reverse - 2 : reverse + 1] = "ATG", "CAT"
        fasta.append(f">contig{number}\n{''.join(dna)}\n")
        bed.append(f"contig{number}\t{forward}\t{forward + 1}\tstart\t0\t+\n")
        bed.append(f"contig{number}\t{reverse}\t{reverse + 1}\tstart\t0\t-\n")
    (folder / "starts.fasta").write_text("".join(fasta))
    (folder / "starts.bed").write_text("".join(bed))


def _annotated(path: Path, names, proteins, sites) -> None:
    """A # after each tyrosine that is a site."""
    with path.open("w") as out:
        for place, (name, sequence) in enumerate(zip(names, proteins, strict=True)):
            marked = {position for position in _of(sites, place) if sequence[position - 1] == "Y"}
            text = "".join(letter + "#" * (at in marked) for at, letter in enumerate(sequence, start=1))
            out.write(f">{name}\n{text}\n")


NAMES = {"Y": "Phosphotyrosine", "S": "Phosphoserine", "T": "Phosphothreonine"}


def _features(path: Path, names, proteins, sites) -> None:
    """GFF3 as UniProt writes it (with a tab at the end of a line), with features that are no sites, no sequences."""
    with path.open("w") as out:
        out.write("##gff-version 3\n")
        for place, (name, sequence) in enumerate(zip(names, proteins, strict=True)):
            out.write(f"##sequence-region {name} 1 {len(sequence)}\n")
            out.write(f"{name}\tUniProtKB\tChain\t1\t{len(sequence)}\t.\t.\t.\tNote=Synthetic protein {place + 1}\t\n")
            for position in _of(sites, place):
                note = f"Note={NAMES[sequence[position - 1]]}%3B by SYN kinase;evidence=ECO:0000269"
                out.write(f"{name}\tUniProtKB\tModified residue\t{position}\t{position}\t.\t.\t.\t{note}\t\n")


def _flat(path: Path, names, proteins, sites) -> None:
    """UniProt's text format, sequences included; the first six proteins."""
    with path.open("w") as out:
        for place, (name, sequence) in list(enumerate(zip(names, proteins, strict=True)))[:6]:
            out.write(f"ID   SYN{place + 1}_TEST{'':15}Unreviewed;{len(sequence):12d} AA.\nAC   {name};\n")
            for position in _of(sites, place):
                note = NAMES[sequence[position - 1]]
                out.write(f'FT   MOD_RES         {position}\nFT                   /note="{note}; by SYN kinase"\n')
            out.write(f"SQ   SEQUENCE   {len(sequence)} AA;  0 MW;  0000000000000000 CRC64;\n")
            for at in range(0, len(sequence), 60):
                line = sequence[at : at + 60]
                out.write("     " + " ".join(line[start : start + 10] for start in range(0, len(line), 10)) + "\n")
            out.write("//\n")


def _molecules(path: Path, rng: random.Random) -> None:
    """Ring systems with side chains, many of the first; one SMILES is broken."""
    rings = ["c1ccccc1{}", "c1ccncc1{}", "C1CCCCC1{}", "c1ccc2ccccc2c1{}", "C1CCNCC1{}", "c1ccsc1{}", "O=C1CCCN1{}",
             "c1ccc2[nH]ccc2c1{}", "C1CC1{}", "c1cnoc1{}", "CCC{}", "C1CCOC1{}"]  # fmt: skip
    chains = ["O", "N", "CC(=O)O", "C(=O)N", "CCO", "CCN(C)C", "Cl", "C(F)(F)F", "OC", "S(=O)(=O)N", "C#N", "CCCl"]
    lines = ["name,smiles,toxic\n"]
    for number in range(72):
        ring = rings[min(int(rng.expovariate(0.35)), len(rings) - 1)]
        chain = rng.choice(chains)
        toxic = int(("Cl" in chain or "F" in chain) != (rng.random() < 0.15))
        lines.append(f"synthetic_{number:02d},{ring.format(chain)},{toxic}\n")
    lines.append("broken,c1ccccc,0\n")
    path.write_text("".join(lines))
