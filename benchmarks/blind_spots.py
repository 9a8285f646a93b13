"""What MMseqs2 does not see: how short sequences, and proteins made of repeats, find a changed copy of themselves.

    python benchmarks/blind_spots.py [PROGRAM]

One search of 50 random sequences of each length and a copy of each with a share of its letters changed; the share of
copies that are found by MMseqs2 as it is by itself, and by the dataset tool (MMseqs2 without masking, and edit
distance). PROGRAM is another mmseqs than that on the PATH.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts"))

from seqlm.similarity import homology, mmseqs

LETTERS = {False: "ACDEFGHIKLMNPQRSTVWY", True: "ACGT"}
LENGTHS = (8, 10, 11, 12, 14, 17, 18, 20, 25, 30, 40, 50, 60, 80, 100)
CHANGED = (0.1, 0.2, 0.3, 0.4, 0.5)
UNITS = ("G", "Q", "GPP", "GPA", "GAGAGS", "KKE", "SR", "ACDEFGH", "LQNPW")


def changed(rng: random.Random, text: str, share: float, letters: str) -> str:
    copy = list(text)
    for place in rng.sample(range(len(text)), max(round(share * len(text)), 1)):
        copy[place] = rng.choice([letter for letter in letters if letter != text[place]])
    return "".join(copy)


def by_itself(sequences: list[str], folder: Path, dna: bool, options: tuple = ()) -> set[tuple[int, int]]:
    fasta, table = mmseqs.write(enumerate(sequences), folder / "s.fasta"), folder / "hits.tsv"
    how = ["--search-type", 3, "-k", mmseqs.DNA_WORD] if dna else ["--search-type", 1, "-s", mmseqs.SENSITIVITY]
    command = [
        "mmseqs",
        "easy-search",
        fasta,
        fasta,
        table,
        folder / "work",
        "--format-output",
        "query,target",
        "-v",
        1,
    ]
    subprocess.run(
        [*map(str, [*command, "-e", mmseqs.EXPECTED, *how, *options])], check=True, stdout=subprocess.DEVNULL
    )
    return {tuple(map(int, line.split())) for line in table.read_text().splitlines()}


def by_tool(sequences: list[str], folder: Path, dna: bool) -> set[tuple[int, int]]:
    found = homology.search(sequences, folder, threads=0, dna=dna)
    return set(zip(found.first.tolist(), found.second.tolist(), strict=True))


def short(dna: bool) -> None:
    rng, letters, sequences, planted = random.Random(1), LETTERS[dna], [], {}
    for length in LENGTHS:
        for share in CHANGED:
            for _ in range(50):
                text = "".join(rng.choices(letters, k=length))
                planted.setdefault((length, share), []).append(len(sequences))
                sequences += [text, changed(rng, text, share, letters)]
    print(f"\n{'DNA' if dna else 'proteins'}, {len(sequences):,} sequences; % of copies found, changed by "
          f"{', '.join(f'{share:.0%}' for share in CHANGED)}: MMseqs2 | the tool")  # fmt: skip
    found = []
    for how in (by_itself, by_tool):
        with tempfile.TemporaryDirectory() as folder:
            found.append(how(sequences, Path(folder), dna))
    for length in LENGTHS:
        rows = [
            [2 * sum((n, n + 1) in pairs or (n + 1, n) in pairs for n in planted[length, share]) for share in CHANGED]
            for pairs in found
        ]
        print(f"{length:4} | " + " | ".join(" ".join(f"{value:3}" for value in row) for row in rows))


def repeats() -> None:
    rng, letters, sequences = random.Random(2), LETTERS[False], []
    for unit in UNITS:
        for length in (60, 100, 200, 300):
            text = (unit * length)[:length]
            sequences += [changed(rng, text, 0.1, letters) for _ in range(4)]
    print(
        f"\n{len(sequences)} proteins made of repeats, a tenth of the letters changed; have a relative of their family"
    )
    ways = {
        "MMseqs2": by_itself,
        "MMseqs2, --mask 0": lambda *given: by_itself(*given, ("--mask", 0)),
        "MMseqs2, --mask 0 --comp-bias-corr 0": lambda *given: by_itself(*given, ("--mask", 0, "--comp-bias-corr", 0)),
        "the tool": by_tool,
    }
    for name, how in ways.items():
        with tempfile.TemporaryDirectory() as folder:
            pairs = how(sequences, Path(folder), False)
        seen = {one for one, other in pairs if one != other and one // 4 == other // 4}
        print(f"{name}: {len(seen)}")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        with tempfile.TemporaryDirectory() as links:
            (Path(links) / "mmseqs").symlink_to(Path(sys.argv[1]).resolve())
            os.environ["PATH"] = f"{links}{os.pathsep}{os.environ['PATH']}"
            sys.exit(subprocess.run([sys.executable, __file__], check=False).returncode)
    print("MMseqs2", mmseqs.version())
    repeats()
    short(True)
    short(False)
