"""What acceptance by a fine-tuned model does, on public data, judged by what that model was never asked.

    python benchmarks/acceptance.py FOLDER [--smiles-model MODEL] [--parts sulfonamide solubility family]
        [--writers BASE FAMILY] [--sequences N]

FOLDER holds molecules/ (MoleculeNet's HIV set and ESOL) and proteins/ (the dehydrins of Pfam PF00257 and the proteome
of Escherichia coli). Each part fine-tunes the model that accepts, writes the same sequences with and without it, and
prints a row of each; intervals are 95 %.

sulfonamide: a classifier of molecules with a sulfonamide accepts; RDKit's substructure search judges.
solubility: a regression on one half of ESOL accepts; one on the other half, and RDKit's logP, judge.
family: a classifier of dehydrins among proteins of E. coli accepts what each of --writers writes, which
real_generation.py made; whether MMseqs2 finds a relative among 122 dehydrins that no model has read judges.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import random
import re
import subprocess
import sys
from pathlib import Path

from real_generation import family as family_of
from real_generation import write_fasta
from shapes import ENVIRONMENT, ROOT
from steering import run as generate
from steering import share, table

sys.path.insert(0, str(ROOT / "scripts"))
WORK = ROOT / "benchmarks" / ".work" / "acceptance"
PARTS = ("sulfonamide", "solubility", "family")
SULFONAMIDE = "S(=O)(=O)N"
LENGTH = 74  # tokens of the published model of molecules
TRIES = 20
AMINO_ACIDS = set("ACDEFGHIKLMNPQRSTVWY")


def tool(script: str, *arguments) -> None:
    command = [sys.executable, str(ROOT / "scripts" / f"{script}.py"), *map(str, arguments)]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr[-2000:])


def taught(name: str, model: Path, rows: list[tuple[str, str]], task: str, *options) -> Path:
    """A bundle that learnt these (sequence, label), a fifth of which it is tested on; its scores are printed."""
    data, bundle, metrics = (WORK / f"{name}{suffix}" for suffix in (".tsv", ".zip", "-metrics.tsv"))
    lines = (f"{name}{number}\t{text}\t{label}\n" for number, (text, label) in enumerate(rows))
    data.write_text("id\tsequence\tlabel\n" + "".join(lines))
    tool(
        "finetune", "--model", model, "--train", data, "--test-fraction", 0.2, "--task", task, "--method", "full",
        "--batch-size", 16, "--threads", 1, "--output-model", bundle, "--output-metrics", metrics, *options,
    )  # fmt: skip
    for row in table(metrics):
        if row["split"] == "test" and row["metric"] in ("auroc", "spearman", "rmse"):
            print(f"{name}: {row['model']}, {row['metric']} {row['value']} ({row['low']} to {row['high']})", flush=True)
    return bundle


def written(name: str, writer: Path, length: int, count: int, *options) -> list[dict[str, str]]:
    """Rows of what the model writes; of what nobody accepts the last try."""
    out = WORK / f"{name}.tsv"
    generate(
        "--model", writer, "--num-sequences", count, "--max-length", length, "--threads", 1,
        "--output-table", out, *options,
    )  # fmt: skip
    return table(out)


def accepted_by(bundle: Path, *limits) -> list:
    return ["--accept-by", bundle, "--tries", TRIES, *limits]


def of_tries(rows: list[dict[str, str]]) -> str:
    """How many were accepted, and how many were written for it."""
    kept = sum(row["kept"] == "yes" for row in rows)
    return f"{kept} of {len(rows)} in {sum(int(row['tries']) for row in rows):,}" if "tries" in rows[0] else "–"


def value(numbers: list[float]) -> str:
    import numpy as np

    from seqlm.metrics.resampling import mean

    found = mean(np.asarray(numbers), 42)
    return f"{found.value:.2f} ({found.low:.2f} to {found.high:.2f})"


def molecules(path: Path, column: str) -> list[tuple[object, str, str]]:
    """(molecule, SMILES, label) of those that RDKit reads and small models have tokens for: no brackets, no salts."""
    from rdkit import Chem, RDLogger

    RDLogger.DisableLog("rdApp.*")
    with (gzip.open if path.suffix == ".gz" else open)(path, "rt") as handle:
        read = [(Chem.MolFromSmiles(row["smiles"]), row["smiles"], row[column]) for row in csv.DictReader(handle)]
    known = re.compile(r"(?:Br|Cl|[CFINOPScnos()=#/\\1-8-])+")
    return [one for one in read if one[0] is not None and len(one[1]) <= LENGTH and known.fullmatch(one[1])]


def sulfonamide(arguments: argparse.Namespace) -> None:
    from rdkit import Chem
    from rdkit.Chem.Scaffolds.MurckoScaffold import MurckoScaffoldSmiles

    pattern, rng = Chem.MolFromSmarts(SULFONAMIDE), random.Random(1)
    found = {True: [], False: []}
    for molecule, text, _ in molecules(arguments.folder / "molecules" / "hiv.csv.gz", "HIV_active"):
        found[molecule.HasSubstructMatch(pattern)].append(text)
    learnt = [(text, str(int(has))) for has in found for text in rng.sample(found[has], 600)]
    rng.shuffle(learnt)
    bundle = taught(
        "sulfonamide", arguments.smiles_model, learnt, "sequence-classification", "--epochs", 10, "--learning-rate",
        0.001, "--positive-label", 1,
    )  # fmt: skip
    print("| accepted | of, in so many tries | RDKit reads | with a sulfonamide | different scaffolds | copies |")
    ways = {"all": [], "above 0.5": [0.5], "above 0.9": [0.9]}
    for name, limit in ways.items():
        options = ["--equal-only"]
        options += accepted_by(bundle, "--accept-class", 1, "--accept-above", *limit) if limit else []
        rows = written(f"sulfonamide-{name}", arguments.smiles_model, LENGTH, arguments.sequences, *options)
        kept = [row for row in rows if row["kept"] == "yes"]
        valid = [row["canonical"] for row in kept if row["valid"] == "yes"]
        hits = [one for one in valid if Chem.MolFromSmiles(one).HasSubstructMatch(pattern)]
        known = {Chem.CanonSmiles(text) for text, _ in learnt}
        cells = [
            name, of_tries(rows), share(len(valid), len(kept)), share(len(hits), len(kept)),
            len({MurckoScaffoldSmiles(one) for one in hits}), len(known & set(valid)),
        ]  # fmt: skip
        print("| " + " | ".join(map(str, cells)) + " |", flush=True)


def solubility(arguments: argparse.Namespace) -> None:
    from rdkit import Chem
    from rdkit.Chem.Crippen import MolLogP

    measured = molecules(arguments.folder / "molecules" / "esol.csv", "logSolubility")
    random.Random(1).shuffle(measured)
    halves = measured[::2], measured[1::2]
    accepting, judge = (
        taught(
            f"solubility-{name}", arguments.smiles_model, [(text, label) for _, text, label in half],
            "sequence-regression", "--epochs", 15, "--learning-rate", 0.001,
        )
        for name, half in zip(("accepts", "judges"), halves, strict=True)
    )  # fmt: skip
    print("| accepted | of, in so many tries | RDKit reads | by the accepting model | by the other half's | logP |")
    for name, limits in {"all": [], "above -2": ["--accept-above=-2"], "below -4": ["--accept-below=-4"]}.items():
        options = ["--equal-only", *(accepted_by(accepting, *limits) if limits else [])]
        rows = written(f"solubility-{name}", arguments.smiles_model, LENGTH, arguments.sequences, *options)
        kept = [row for row in rows if row["kept"] == "yes"]
        valid = [row["sequence"] for row in kept if row["valid"] == "yes"]
        (WORK / "judged.tsv").write_text("id\tsequence\n" + "".join(f"m{n}\t{one}\n" for n, one in enumerate(valid)))
        predicted = []
        for bundle in (accepting, judge):
            tool(
                "predict", "--model", bundle, "--sequences", WORK / "judged.tsv", "--output-table", WORK / "said.tsv",
                "--threads", 1,
            )  # fmt: skip
            predicted.append(value([float(row["predicted"]) for row in table(WORK / "said.tsv")]))
        logp = value([MolLogP(Chem.MolFromSmiles(one)) for one in valid])
        print("| " + " | ".join([name, of_tries(rows), share(len(valid), len(kept)), *predicted, logp]) + " |")


def family(arguments: argparse.Namespace) -> None:
    from Bio import SeqIO

    proteins, rng = arguments.folder / "proteins", random.Random(1)
    learnt, known = family_of(proteins / "pf00257_dehydrins_train.txt.gz")
    others, _ = family_of(proteins / "pf00257_dehydrins_test.txt.gz")
    unseen = WORK / "unseen.fasta"
    write_fasta([text for text in others if text not in known], unseen)
    with gzip.open(proteins / "ecoli_K12_MG1655.faa.gz", "rt") as handle:
        coli = [str(one.seq) for one in SeqIO.parse(handle, "fasta")]
    coli = [one for one in coli if 30 <= len(one) <= 250 and set(one) <= AMINO_ACIDS]
    short = [text for text in learnt if len(text) <= 250]
    count = min(600, len(coli), len(short))
    rows = [(one, "dehydrin") for one in rng.sample(short, count)] + [(one, "other") for one in rng.sample(coli, count)]
    rng.shuffle(rows)
    bundle = taught(
        "family", ROOT / "test-data" / "models" / "protein-esm-0.2m", rows, "sequence-classification", "--epochs", 6,
        "--learning-rate", 0.001, "--positive-label", "dehydrin",
    )  # fmt: skip
    print("| writer | accepted | of, in so many tries | related to one of the 122 | different | copies |")
    for writer in arguments.writers:
        for name, limit in {"all": [], "above 0.5": [0.5], "above 0.99": [0.99]}.items():
            options = accepted_by(bundle, "--accept-class", "dehydrin", "--accept-above", *limit) if limit else []
            found = written(
                f"{writer.stem}-{name}", writer, 250, arguments.sequences, "--reference", unseen, "--min-letters", 20,
                *options,
            )  # fmt: skip
            kept = [row for row in found if row["kept"] == "yes"]
            cells = [
                writer.stem, name, of_tries(found), share(sum(bool(row["nearest"]) for row in kept), len(kept) or 1),
                len({row["sequence"] for row in kept}), sum(row["sequence"] in known for row in kept),
            ]  # fmt: skip
            print("| " + " | ".join(map(str, cells)) + " |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--smiles-model", type=Path, default=ROOT / "test-data" / "models" / "smiles-gpt2-0.2m")
    parser.add_argument("--writers", type=Path, nargs="+", default=[])
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--sequences", type=int, default=200)
    arguments = parser.parse_args()
    WORK.mkdir(parents=True, exist_ok=True)
    for part in arguments.parts:
        {"sulfonamide": sulfonamide, "solubility": solubility, "family": family}[part](arguments)


if __name__ == "__main__":
    main()
