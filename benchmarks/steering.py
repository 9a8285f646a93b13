"""What steering does, on public data: guidance, and templates filled by a masked model.

    python benchmarks/steering.py guidance BUNDLE BASE REFERENCE [--smarts PATTERN] [--sequences N]
    python benchmarks/steering.py infilling MODEL FASTA [--known FASTA …] [--templates N]
    python benchmarks/steering.py family MODEL TRAIN.fasta HELD_OUT.fasta [--templates N]

guidance: BUNDLE (an adapter) and BASE write with several weights and the same seeds, and what they write is judged by
what neither of them says: of molecules RDKit's reading and a substructure, of proteins whether MMseqs2 finds a relative
in REFERENCE, a set that was not trained on. infilling: one in ten positions of real proteins are marked, filled in, and
compared with what stood there, at several temperatures and schedules; proteins of --known are passed over. family: the
same within a family that the model has read, beside its most frequent letters and the profile of its sequences that
MMseqs2 aligns with the template.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import random
import shutil
import subprocess
import sys
from pathlib import Path

from shapes import ENVIRONMENT, ROOT

sys.path.insert(0, str(ROOT / "scripts"))
WORK = ROOT / "benchmarks" / ".work" / "steering"
WEIGHTS = (0, 0.5, 1, 1.5, 2, 3)


def run(*arguments) -> str:
    command = [sys.executable, str(ROOT / "scripts" / "generate.py"), *map(str, arguments)]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr[-2000:])
    return done.stderr


def table(path: Path) -> list[dict[str, str]]:
    with open(path, newline="") as handle:
        return list(csv.DictReader(handle, delimiter="\t", quoting=csv.QUOTE_NONE))


def share(found: int, of: int) -> str:
    from seqlm.metrics.comparisons import share_interval

    low, high = share_interval(found, of)
    return f"{found / of:.1%} ({low:.1%} to {high:.1%})"


def perplexity(rows: list[dict[str, str]], column: str) -> str:
    """Of all tokens together, with a bootstrap interval over sequences."""
    import numpy as np

    from seqlm.metrics.language_scores import PERPLEXITY, samples, scores

    kept = [row for row in rows if row[column] and row[column] != "nan"]
    tokens = np.asarray([float(row["tokens"]) for row in kept])
    lost = np.log([float(row[column]) for row in kept]) * tokens
    found = scores(samples(lost, tokens, tokens, 42))[PERPLEXITY]
    return f"{found.value:.3g} ({found.low:.3g} to {found.high:.3g})"


def guidance(arguments: argparse.Namespace) -> None:
    molecules = bool(arguments.smarts)
    for weight in WEIGHTS:
        out = WORK / f"guided-{weight}.tsv"
        run(
            "--model", arguments.bundle, "--base-model", arguments.base, "--num-sequences", arguments.sequences,
            "--max-length", 74 if molecules else 250, "--reference", arguments.reference, "--output-table", out,
            *(["--guidance", weight] if weight != 1 else []),
        )  # fmt: skip
        rows = table(out)
        line = [f"{weight:g}", perplexity(rows, "perplexity")]
        line.append(perplexity(rows, "base_perplexity") if weight != 1 else "–")
        if molecules:
            from rdkit import Chem

            pattern = Chem.MolFromSmarts(arguments.smarts)
            valid = [row for row in rows if row["valid"] == "yes"]
            hits = [row for row in valid if Chem.MolFromSmiles(row["sequence"]).HasSubstructMatch(pattern)]
            line += [share(len(valid), len(rows)), share(len(hits), len(rows)), share(len(hits), len(valid))]
            line.append(share(len({row["canonical"] for row in valid}), len(valid)))
        else:
            line.append(share(sum(bool(row["nearest"]) for row in rows), len(rows)))
            line.append(share(len({row["sequence"] for row in rows}), len(rows)))
        line.append(f"{sum(row['identity'] == '1' for row in rows)}")
        print("| " + " | ".join(line) + " |", flush=True)


def read(path: Path) -> list:
    from Bio import SeqIO

    with (gzip.open if path.suffix == ".gz" else open)(path, "rt") as handle:
        return list(SeqIO.parse(handle, "fasta"))


def infilling(arguments: argparse.Namespace) -> None:
    rng = random.Random(1)
    letters = set("ACDEFGHIKLMNPQRSTVWY")
    known = {str(one.seq) for path in arguments.known for one in read(path)}
    proteins = [str(one.seq) for one in read(arguments.fasta) if str(one.seq) not in known]
    proteins = [one for one in proteins if 50 <= len(one) <= 250 and set(one) <= letters]
    lines = []
    for number, one in enumerate(rng.sample(proteins, arguments.templates)):
        marked = set(rng.sample(range(len(one)), len(one) // 10))
        lines.append(f">t{number}\n{''.join(a.lower() if at in marked else a for at, a in enumerate(one))}\n")
    templates = WORK / "templates.fasta"
    templates.write_text("".join(lines))
    for options in (
        ("--sweeps", 3), ("--sweeps", 3, "--temperature", 0.5), ("--sweeps", 3, "--strategy", "greedy"),
        ("--sweeps", 3, "--at-once", 8),
    ):  # fmt: skip
        report, figures = WORK / "filled.md", WORK / "figures"
        shutil.rmtree(figures, ignore_errors=True)
        run(
            "--model", arguments.model, "--prompts", templates, "--fill", "lower-case", "--num-sequences", 2,
            "--equal-only", "--output-report", report, "--output-figures", figures, *options,
        )  # fmt: skip
        cells = [
            line.split("|")[-2].strip()
            for line in report.read_text().replace("\\", "").splitlines()
            if line.startswith(("| What was", "| The same letters", "| More than", "| Filled in", "| What stood"))
        ]
        print("| " + " ".join(map(str, options)) + " | " + " | ".join(cells) + " |", flush=True)


def profiles(templates: dict[str, str], train: Path, scratch: Path) -> dict[str, list[dict[str, int]]]:
    """Template -> for each of its positions how often which letter of the training set is aligned with it, each aligned
    sequence once. What is to be filled in is X here."""
    from collections import Counter

    from seqlm.similarity.mmseqs import program

    query, hits = scratch / "query.fasta", scratch / "hits.tsv"
    query.write_text("".join(f">{name}\n{letters}\n" for name, letters in templates.items()))
    command = [program(), "easy-search", query, train, hits, scratch / "mmseqs", "--format-output",
               "query,qstart,qaln,taln", "--max-seqs", 300, "--threads", 1, "-v", 1]  # fmt: skip
    subprocess.run(list(map(str, command)), check=True, capture_output=True)
    found = {name: [Counter() for _ in letters] for name, letters in templates.items()}
    for line in hits.read_text().splitlines():
        name, start, own, theirs = line.split("\t")
        place = int(start) - 1
        for letter, other in zip(own, theirs, strict=True):
            if letter != "-":
                if other != "-":
                    found[name][place][other] += 1
                place += 1
    return found


def family(arguments: argparse.Namespace) -> None:
    import tempfile
    from collections import Counter

    import numpy as np

    from seqlm.metrics.resampling import mean

    rng = random.Random(1)
    held = [str(one.seq) for one in read(arguments.held_out) if 50 <= len(one.seq) <= 250]
    held = rng.sample(held, min(arguments.templates, len(held)))
    letters = Counter("".join(str(one.seq) for one in read(arguments.train)))
    marked = [sorted(rng.sample(range(len(one)), len(one) // 10)) for one in held]
    templates = WORK / "family.fasta"
    templates.write_text("".join(
        f">t{number}\n{''.join(a.lower() if at in places else a for at, a in enumerate(one))}\n"
        for number, (one, places) in enumerate(zip(held, marked, strict=True))
    ))  # fmt: skip
    hidden = {f"t{number}": "".join("X" if at in marked[number] else a for at, a in enumerate(one))
              for number, one in enumerate(held)}  # fmt: skip
    with tempfile.TemporaryDirectory() as scratch:
        aligned = profiles(hidden, arguments.train, Path(scratch))
    frequent, total = letters.most_common(1)[0][0], sum(letters.values())
    greedy, drawn, seen = [], [], []
    for number, (one, places) in enumerate(zip(held, marked, strict=True)):
        columns = [aligned[f"t{number}"][at] for at in places]
        truth = [one[at] for at in places]
        shares = [  # with one letter of the training set beside what is aligned
            {a: (column[a] + count / total) / (sum(column.values()) + 1) for a, count in letters.items()}
            for column in columns
        ]
        greedy.append([
            np.mean([a == frequent for a in truth]),
            np.mean([max(column, key=column.get) == a for column, a in zip(shares, truth, strict=True)]),
        ])  # fmt: skip
        drawn.append([
            np.mean([letters[a] / total for a in truth]),
            np.mean([column.get(a, 0) for column, a in zip(shares, truth, strict=True)]),
        ])  # fmt: skip
        seen.append(np.mean([bool(column) for column in columns]))
    print(f"{len(held)} templates, {sum(map(len, marked))} positions, {np.mean(seen):.0%} of them aligned")
    for name, options, others in (("greedy", ("--strategy", "greedy"), greedy), ("drawn", (), drawn)):
        out = WORK / f"family-{name}.tsv"
        run(
            "--model", arguments.model, "--prompts", templates, "--fill", "lower-case", "--num-sequences", 1,
            "--sweeps", 3, "--equal-only", "--output-table", out, "--threads", 1, *options,
        )  # fmt: skip
        own = {row["id"]: row["sequence"] for row in table(out)}
        texts = [next(text for key, text in own.items() if key.split("_")[0] == f"t{n}") for n in range(len(held))]
        model = np.asarray([
            np.mean([text[at] == one[at] for at in places])
            for text, one, places in zip(texts, held, marked, strict=True)
        ])  # fmt: skip
        letter, profile = np.asarray(others).T
        compared = (model, letter, profile, model - letter, model - profile)
        cells = (mean(one, 42) for one in compared)
        print(f"| {name} | " + " | ".join(f"{a.value:.1%} ({a.low:.1%} to {a.high:.1%})" for a in cells) + " |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="what", required=True)
    guided = commands.add_parser("guidance")
    for name in ("bundle", "base", "reference"):
        guided.add_argument(name, type=Path)
    guided.add_argument("--smarts")
    guided.add_argument("--sequences", type=int, default=300)
    filled = commands.add_parser("infilling")
    filled.add_argument("model", type=Path)
    filled.add_argument("fasta", type=Path)
    filled.add_argument("--known", type=Path, action="append", default=[])
    filled.add_argument("--templates", type=int, default=100)
    of_family = commands.add_parser("family")
    for name in ("model", "train", "held_out"):
        of_family.add_argument(name, type=Path)
    of_family.add_argument("--templates", type=int, default=60)
    arguments = parser.parse_args()
    WORK.mkdir(parents=True, exist_ok=True)
    whats = {"guidance": guidance, "infilling": infilling, "family": family}
    whats[arguments.what](arguments)


if __name__ == "__main__":
    main()
