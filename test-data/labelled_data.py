"""Small made-up data with labels of residues, of pairs and several at once; called by make_test_data.py."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

Draw = Callable[[random.Random, int], list[str]]


def make(folder: Path, draw: Draw) -> None:
    """All of it, from a seed of its own each, so that one can change without the others."""
    for seed, write in enumerate(MADE):
        write(folder, draw, random.Random(seed))


def binding(folder: Path, draw: Draw, rng: random.Random) -> None:
    """Proteins whose residues bind where H, C or D stand near each other, in the three forms that labels come in.

    A protein in seven is for the test. The last residues of every fifth protein are masked, as if not seen in its
    structure.
    """
    sequences, labels, masks, marked, sites = [], [], [], [], ["id\tposition\tresidue"]
    for number in range(70):
        name, length = f"synthetic_binder_{number:02d}", rng.randint(30, 70)
        residues = draw(rng, length)
        for _ in range(length // 25):
            start = rng.randint(0, length - 6)
            for place, letter in zip(range(start, start + 5, 2), rng.sample("HCDH", 3), strict=True):
                residues[place] = letter
        near = [{*residues[max(0, p - 2) : p], *residues[p + 1 : p + 3]} & set("HCD") for p in range(length)]
        bound = [residues[p] in "HCD" and bool(near[p]) for p in range(length)]
        split = "test" if number % 7 == 0 else "train"
        sequences.append(f">{name}\n{''.join(residues)}\n")
        labels.append(f">{name} SET={split}\n{''.join(str(int(one)) for one in bound)}\n")
        hidden = 8 if number % 5 == 0 else 0
        masks.append(f">{name}\n{'1' * (length - hidden)}{'0' * hidden}\n")
        marked.append(f">{name}\n{''.join(r + '#' * b for r, b in zip(residues, bound, strict=True))}\n")
        sites += [f"{name}\t{p + 1}\t{residues[p]}" for p in range(length) if bound[p]]
    for file, lines in (("sequences", sequences), ("labels", labels), ("mask", masks), ("marked", marked)):
        (folder / f"binding_{file}.fasta").write_text("".join(lines))
    (folder / "binding_sites.tsv").write_text("\n".join(sites) + "\n")


def interactions(folder: Path, draw: Draw, rng: random.Random) -> None:
    """Proteins that are rich in acidic, basic or neither kind of residue; acidic ones bind basic ones."""
    kinds = {"acid": "DE", "base": "KR", "other": "GST"}
    names = []
    with (folder / "interacting.fasta").open("w") as out:
        for number in range(60):
            kind = list(kinds)[number % 3]
            residues = [rng.choice(kinds[kind]) if rng.random() < 0.35 else r for r in draw(rng, rng.randint(30, 60))]
            names.append((f"synthetic_{kind}_{number:02d}", kind))
            out.write(f">{names[-1][0]}\n{''.join(residues)}\n")
    pairs = {}
    while len(pairs) < 160:
        one, other = sorted(rng.sample(range(60), 2))
        binds = {names[one][1], names[other][1]} == {"acid", "base"}
        if sum(pairs.values()) < 80 if binds else len(pairs) - sum(pairs.values()) < 80:
            pairs[one, other] = binds
    with (folder / "interactions.tsv").open("w") as out:
        out.write("first\tsecond\tlabel\n")
        for (one, other), binds in pairs.items():
            out.write(f"{names[one][0]}\t{names[other][0]}\t{'binds' if binds else 'apart'}\n")


def several_locations(folder: Path, draw: Draw, rng: random.Random) -> None:
    """Proteins of one or two made-up compartments."""
    signals = {"membrane": "LIVFAGW", "nucleus": "KRSP", "secreted": "CGTNQ"}
    with (folder / "several_locations.tsv").open("w") as out:
        out.write("protein\tsequence\tlocations\n")
        for number in range(90):
            places = rng.sample(list(signals), 1 + (rng.random() < 0.4))
            letters = "".join(signals[place] for place in places)
            residues = [rng.choice(letters) if rng.random() < 0.35 else r for r in draw(rng, rng.randint(30, 80))]
            out.write(f"synthetic_{number:02d}\t{''.join(residues)}\t{';'.join(sorted(places))}\n")


def label_columns(folder: Path, draw: Draw, rng: random.Random) -> None:
    """The proteins of several_locations.tsv with a column for each compartment, a cell in five empty: not known."""
    names = ["membrane", "nucleus", "secreted"]
    _, *rows = (folder / "several_locations.tsv").read_text().splitlines()
    with (folder / "label_columns.tsv").open("w") as out:
        out.write("\t".join(["protein", "sequence", *names]) + "\n")
        for protein, sequence, places in (row.split("\t") for row in rows):
            cells = ["" if rng.random() < 0.2 else str(int(name in places.split(";"))) for name in names]
            out.write("\t".join([protein, sequence, *cells]) + "\n")


def exposure(folder: Path, draw: Draw, rng: random.Random) -> None:
    """A number for each residue, high for charged ones and near the ends; NaN where it was not measured."""
    with (folder / "exposure.tsv").open("w") as out:
        out.write("protein\tsequence\texposure\n")
        for number in range(40):
            residues = draw(rng, rng.randint(20, 50))
            values = []
            for place, residue in enumerate(residues):
                value = 0.5 * (residue in "DEKR") + 1 / (1 + min(place, len(residues) - 1 - place)) + rng.gauss(0, 0.05)
                values.append("nan" if rng.random() < 0.1 else f"{value:.2f}")
            out.write(f"synthetic_{number:02d}\t{''.join(residues)}\t{','.join(values)}\n")


def affinity(folder: Path, draw: Draw, rng: random.Random) -> None:
    """Pairs of a made-up protein and a piece of DNA with a number: basic proteins like DNA that is rich in A and T."""
    with (folder / "binders.fasta").open("w") as proteins, (folder / "dna_pieces.fasta").open("w") as pieces:
        charge, richness = {}, {}
        for number in range(30):
            share = rng.uniform(0, 0.4)
            residues = [rng.choice("KR") if rng.random() < share else r for r in draw(rng, 40)]
            charge[number] = sum(r in "KR" for r in residues) / 40
            proteins.write(f">protein_{number:02d}\n{''.join(residues)}\n")
            at = rng.uniform(0.2, 0.8)
            bases = rng.choices("ATCG", weights=[at, at, 1 - at, 1 - at], k=60)
            richness[number] = sum(base in "AT" for base in bases) / 60
            pieces.write(f">piece_{number:02d}\n{''.join(bases)}\n")
    with (folder / "affinity.csv").open("w") as out:
        out.write("protein,dna,affinity\n")
        for one, other in sorted(rng.sample([(i, j) for i in range(30) for j in range(30)], 120)):
            value = 5 * charge[one] + 3 * richness[other] + rng.gauss(0, 0.1)
            out.write(f"protein_{one:02d},piece_{other:02d},{value:.2f}\n")


def antibodies(folder: Path, draw: Draw, rng: random.Random) -> None:
    """Heavy and light chains in two columns; those bind of which one is acidic and the other basic. One in ten has no
    light chain."""
    with (folder / "antibodies.tsv").open("w") as out:
        out.write("antibody\theavy\tlight\tbinds\n")
        for number in range(40):
            kinds = rng.choices(("DE", "KR"), k=2)
            heavy, light = (
                start + "".join(rng.choice(kind) if rng.random() < 0.35 else r for r in draw(rng, rng.randint(30, 45)))
                for start, kind in zip(("EVQLVE", "DIQMTQ"), kinds, strict=True)
            )
            alone = number % 10 == 9
            binds = "no" if alone or kinds[0] == kinds[1] else "yes"
            out.write(f"synthetic_ab_{number:02d}\t{heavy}\t{'' if alone else light}\t{binds}\n")


MADE = (binding, interactions, several_locations, exposure, affinity, label_columns, antibodies)
