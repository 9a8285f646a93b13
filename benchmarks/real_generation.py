"""Biasing a model towards a protein family, shown on public data: is what it writes afterwards nearer to the family?

    python benchmarks/real_generation.py FOLDER [--smiles-model FOLDER]

FOLDER holds proteins/ with the proteome of Escherichia coli (FASTA) and the dehydrins of Pfam PF00257, one tagged
sequence a line, as train and test. Everything is done by the scripts of the tools, and the commands are printed.

A small LLaMA learns the proteome (the model before), then the training set of the family (after). Both write, and both
sets are compared with the family's test set, which neither has seen: words of letters (Jensen-Shannon distance, as many
sequences of each set), related sequences that MMseqs2 finds, and the perplexity to a judge, which is the model before
fine-tuned on that test set alone. With --smiles-model a model of molecules writes 1,000 of them, and scores aspirin.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import subprocess
import sys
import time
from pathlib import Path

from shapes import ENVIRONMENT, ROOT

sys.path.insert(0, str(ROOT / "scripts"))
WORK = ROOT / "benchmarks" / ".work" / "generation"
WRITTEN = 300
ASPIRIN = "CC(=O)Oc1ccccc1C(=O)O"


def run(script: str, *arguments) -> float:
    """Seconds that a script of a tool took."""
    command = [sys.executable, str(ROOT / "scripts" / f"{script}.py"), *map(str, arguments)]
    print("$", script + ".py", *(str(part).replace(str(WORK), "…") for part in arguments), flush=True)
    started = time.monotonic()
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr[-2000:])
    return time.monotonic() - started


def family(path: Path) -> tuple[list[str], set[str]]:
    """The different sequences that are written forwards (1…2), and all of both directions (2…1), turned forwards."""
    with gzip.open(path, "rt") as lines:
        texts = [line.strip().rpartition(">")[2] for line in lines]
    forwards = [text[1:-1] for text in texts if text.startswith("1") and text.endswith("2")]
    backwards = [text[-2:0:-1] for text in texts if text.startswith("2") and text.endswith("1")]
    kept = [text for text in dict.fromkeys(forwards) if set(text) <= set("ACDEFGHIKLMNPQRSTVWY")]
    return kept, {*forwards, *backwards}


def write_fasta(sequences: list[str], target: Path) -> None:
    target.write_text("".join(f">{target.stem}_{number}\n{text}\n" for number, text in enumerate(sequences)))


def table(path: Path) -> list[dict[str, str]]:
    with open(path, newline="") as handle:
        return list(csv.DictReader(handle, delimiter="\t", quoting=csv.QUOTE_NONE))


def shown(score) -> str:
    return f"{score.value:.3g} ({score.low:.3g} to {score.high:.3g})"


def write_with(name: str, model: Path, reference: Path) -> None:
    seconds = run(
        "generate", "--model", model, "--num-sequences", WRITTEN, "--max-length", 256, "--reference", reference,
        "--min-letters", 20, "--output-fasta", WORK / f"{name}.fasta", "--output-table", WORK / f"{name}.tsv",
        "--output-html", WORK / f"{name}.html",
    )  # fmt: skip
    print(f"  {seconds:.0f} s")


def compare(reference: Path) -> None:
    import numpy as np
    from scipy.stats import binomtest, fisher_exact

    from seqlm.data.sequences import read_records
    from seqlm.metrics.language_scores import LETTER_PERPLEXITY, differences, samples, scores
    from seqlm.similarity.composition import Composition, difference

    rows = {name: [row for row in table(WORK / f"{name}.tsv") if row["kept"] == "yes"] for name in ("before", "after")}
    theirs = [record.sequence for record in read_records(reference)]
    for k in (1, 2, 3):
        sets = {name: Composition(k, "protein").add_all(row["sequence"] for row in rows[name]) for name in rows}
        found = difference(sets["after"], sets["before"], Composition(k, "protein").add_all(theirs))
        print(
            f"words of {k}: distance before {shown(found.before)}, after {shown(found.after)}, "
            f"difference {shown(found.difference)}, p {found.p:.1g}, {found.sequences} sequences of each"
        )
    hits = {name: sum(bool(row["nearest"]) for row in rows[name]) for name in rows}
    for name, count in hits.items():
        interval = binomtest(count, len(rows[name])).proportion_ci(method="wilson")
        print(
            f"related to the test set by MMseqs2, {name}: {count} of {len(rows[name])} "
            f"({interval.low:.1%} to {interval.high:.1%}); copies {sum(row['identity'] == '1' for row in rows[name])}"
        )
    print("  p", fisher_exact([[hits[name], len(rows[name]) - hits[name]] for name in rows]).pvalue)
    found = {}
    for name in rows:
        scored = table(WORK / f"{name}-judged.tsv")
        lost = np.asarray([-float(row["log_likelihood"]) for row in scored])
        found[name] = samples(lost, np.asarray([float(row["length"]) for row in scored]), None, 42)
        print(f"perplexity per residue to the judge, {name}: {shown(scores(found[name])[LETTER_PERPLEXITY])}")
    if len(rows["before"]) == len(rows["after"]):
        print("  after less before:", shown(differences(found["after"], found["before"])[LETTER_PERPLEXITY]))


def molecules(model: Path) -> None:
    seconds = run(
        "generate", "--model", model, "--num-sequences", 1000, "--max-length", 74, "--equal-only", "--output-table",
        WORK / "molecules.tsv", "--output-fasta", WORK / "molecules.fasta",
    )  # fmt: skip
    from scipy.stats import binomtest

    rows = table(WORK / "molecules.tsv")
    valid = sum(row["valid"] == "yes" for row in rows)
    interval = binomtest(valid, len(rows)).proportion_ci(method="wilson")
    different = len({row["canonical"] for row in rows if row["canonical"]})
    print(
        f"  {seconds:.0f} s; RDKit reads {valid} of {len(rows)} ({interval.low:.1%} to {interval.high:.1%}), "
        f"{different} of them different; complete: {sum(row['status'] == 'complete' for row in rows)}"
    )
    (WORK / "aspirin.tsv").write_text(f"id\tsequence\naspirin\t{ASPIRIN}\nbroken\t{ASPIRIN})))((\n")
    run("score", "--model", model, "--sequences", WORK / "aspirin.tsv", "--output-table", WORK / "aspirin-scored.tsv")
    for row in table(WORK / "aspirin-scored.tsv"):
        print(f"  {row['id']}: perplexity {row['perplexity']}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--smiles-model", type=Path)
    parser.add_argument("--base", type=Path, help="a model to take in place of one that learns the proteome first")
    parser.add_argument("--epochs", type=int, default=2, help="on the proteome")
    arguments = parser.parse_args()
    WORK.mkdir(parents=True, exist_ok=True)
    if arguments.smiles_model:
        molecules(arguments.smiles_model)
    proteins = arguments.folder / "proteins"
    train, test = WORK / "train.fasta", WORK / "test.fasta"
    learnt, known = family(proteins / "pf00257_dehydrins_train.txt.gz")
    others, _ = family(proteins / "pf00257_dehydrins_test.txt.gz")
    unseen = [text for text in others if text not in known]
    write_fasta(learnt, train)
    write_fasta(unseen, test)
    print(f"{len(learnt)} training sequences; {len(unseen)} of {len(others)} test sequences are not among them")
    learn = ["--task", "causal-lm", "--method", "full", "--batch-size", 16]
    base = arguments.base or WORK / "base.zip"
    if not arguments.base:
        seconds = run(
            "finetune", *learn, "--model", ROOT / "test-data" / "models" / "tiny-llama", "--train",
            proteins / "ecoli_K12_MG1655.faa.gz", "--validation-fraction", 0.05, "--epochs", arguments.epochs,
            "--learning-rate", 0.005, "--output-model", base, "--output-metrics", WORK / "base-metrics.tsv",
        )  # fmt: skip
        print(f"  {seconds:.0f} s")
    for name, data, held_out in (("family", train, test), ("judge", test, None)):
        seconds = run(
            "finetune", *learn, "--model", base, "--train", data, *(["--test", held_out] if held_out else []),
            "--epochs", 10, "--learning-rate", 0.003, "--output-model", WORK / f"{name}.zip", "--output-metrics",
            WORK / f"{name}-metrics.tsv", "--output-html", WORK / f"{name}.html",
        )  # fmt: skip
        print(f"  {seconds:.0f} s")
        for row in table(WORK / f"{name}-metrics.tsv"):
            if row["split"] == ("test" if held_out else "validation"):
                print(f"  {row['model']}: {row['metric']} {row['value']} ({row['low']} to {row['high']})")
    for name, model in (("before", base), ("after", WORK / "family.zip")):
        write_with(name, model, test)
        run(
            "score", "--model", WORK / "judge.zip", "--sequences", WORK / f"{name}.fasta", "--output-table",
            WORK / f"{name}-judged.tsv",
        )  # fmt: skip
    compare(test)


if __name__ == "__main__":
    main()
