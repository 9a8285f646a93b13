"""Made-up data of the workflows for DNA and molecules, in the form in which the tutorials have theirs.

Called by make_test_data.py. Genes are drawn from a few favoured codons, promoters have a TATA box, and active molecules
a halogen; some labels are wrong on purpose, so that no model gets everything right.
"""

from __future__ import annotations

import random
from pathlib import Path

# One codon for each amino acid, and how often the amino acid comes, in per cent.
CODONS = {
    "CTG": 10, "GCG": 9, "GGC": 7, "GTG": 7, "ATT": 6, "AGC": 6, "GAA": 6, "CGT": 6, "ACC": 5, "GAT": 5,
    "AAA": 4, "CCG": 4, "CAG": 4, "AAC": 4, "TTT": 4, "TAT": 3, "ATG": 3, "CAT": 2, "TGG": 2, "TGC": 1,
}  # fmt: skip
# The ring of a core is number 3, since what is put into it has rings 1 and 2.
CORES = ("c3ccc({})cc3", "c3cc({})ccn3", "C3CCC({})CC3", "C3CN({})CCN3", "c3cc({})[nH]c3", "c3cc({})sc3", "c3cc({})oc3")
LINKERS = ("", "C", "CC", "CCC", "C(=O)", "C(=O)N", "CO", "CN", "S", "O", "NC(=O)C", "[C@H](O)", "[C@@H](C)")
ENDS = ("C1CCCC1", "c1ccccc1", "C1CCOCC1", "c1ccncc1", "N1CCCC1", "C1CC1", "c1ccc2ccccc2c1", "", "C", "CC", "C(C)C")
HALIDES, OTHERS = ("Cl", "Br", "C(Cl)Cl", "CCl", "CBr"), ("", "O", "C", "N", "OC")
WRONG = 0.05  # share of labels


def make(folder: Path) -> None:
    rng = random.Random(77)
    coding(folder / "coding.csv", 160, rng)
    new_pieces(folder / "coding_new.fasta", rng)
    for name, count in (("train", 200), ("dev", 60), ("test", 80)):
        promoters(folder / f"core_promoters_{name}.csv", count, rng)
    activity(folder / "antiviral.csv", 240, rng)


def gene(codons: int, rng: random.Random) -> str:
    """An open reading frame from start to stop."""
    inside = rng.choices(list(CODONS), weights=list(CODONS.values()), k=codons - 2)
    return "".join(["ATG", *inside, rng.choice(("TAA", "TGA"))])


def no_gene(bases: int, rng: random.Random) -> str:
    return "".join(rng.choices("ACGT", weights=[28, 22, 22, 28], k=bases))


def coding(path: Path, count: int, rng: random.Random) -> None:
    """Genes (1) and other DNA (0) of 90 to 150 bases, in the columns that the tutorial's file has."""
    lines = ["DNA_sequence,Target\n"]
    for number in range(count):
        codons, label = rng.randint(30, 50), number % 2
        sequence = gene(codons, rng) if label else no_gene(3 * codons, rng)
        lines.append(f"{sequence},{label if rng.random() >= WRONG else 1 - label}\n")
    path.write_text("".join(lines))


def new_pieces(path: Path, rng: random.Random) -> None:
    records = [f">new_gene_{number}\n{gene(45, rng)}\n" for number in range(3)]
    records += [f">new_other_{number}\n{no_gene(135, rng)}\n" for number in range(3)]
    path.write_text("".join(records))


def promoters(path: Path, count: int, rng: random.Random) -> None:
    """70 bases; the promoters (1) are richer in A and T and have a TATA box near position 35."""
    lines = ["sequence,label\n"]
    for _ in range(count):
        label = rng.randint(0, 1)
        bases = rng.choices("ACGT", weights=[3, 2, 2, 3] if label else [2, 3, 3, 2], k=70)
        if label:
            start = 30 + rng.randint(0, 6)
            bases[start : start + 7] = "TATAAAA"
        lines.append(f"{''.join(bases)},{label if rng.random() >= WRONG else 1 - label}\n")
    path.write_text("".join(lines))


def activity(path: Path, count: int, rng: random.Random) -> None:
    """Molecules, no two alike, of which those with a halogen are active: about a third."""
    rows: dict[str, int] = {}
    while len(rows) < count:
        halide = rng.random() < 0.33
        chain = "".join(rng.choices(LINKERS, k=rng.randint(1, 2)))
        smiles = rng.choice(CORES).format(chain + rng.choice(ENDS) + rng.choice(HALIDES if halide else OTHERS))
        rows.setdefault(smiles, int(halide if rng.random() >= WRONG else not halide))
    path.write_text("smiles,active\n" + "".join(f"{smiles},{label}\n" for smiles, label in rows.items()))


if __name__ == "__main__":
    make(Path(__file__).parent)
