"""Sites learnt from windows and in their whole proteins: how well both ways predict, and how fast both scan.

    python benchmarks/whole_proteins.py scores PTM_SITES DEPHOSPHORYLATION [--folder DIR] [--seeds 42] [--longest 600]
    python benchmarks/whole_proteins.py speed PROTEINS.fasta [--proteins 100] [--turns 4] [--residues STY]

``scores``: the tables ``phos_y.csv.gz`` and ``acet_k.csv.gz`` of PTM_SITES with their own negatives, on Y and K, split
by homology by ``dataset.py``, once as windows of 33 and once with whole proteins: the same sites in the same sets. Both
are learnt by ``finetune.py`` with its defaults but for the epochs, on test-data/models/protein-esm-0.2m, one thread. Of
dephosphorylation there are windows only: there the pooled window is set beside the middle residue of the same window
learnt as a residue. ``--longest`` leaves longer proteins out of both ways.
Intervals are of 2,000 resamples of test proteins, the same ones for both ways, so that their difference has one too.
What is in the folder already is not made again.

``speed``: all S, T and Y (or other residues) of a part of a proteome, each so manyth protein, as windows of 33 and as
whole proteins by what ``predict.py`` runs, both LoRA on ESM-2 8M's shape with random weights, in turns in one process
with one thread. CPU seconds, encoding included; the ratio is of each turn.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import re
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from shapes import ENVIRONMENT, ROOT, esm2_8m, finetuned

MODEL = ROOT / "test-data" / "models" / "protein-esm-0.2m"
SETS = {"phos_y": "Y", "acet_k": "K"}
RESAMPLES = 2000
WAYS = ("window", "protein")


def tool(name: str, *options: object) -> None:
    command = [sys.executable, ROOT / "scripts" / f"{name}.py", *options, "--threads", 1]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, env=ENVIRONMENT)
    if done.returncode:
        sys.exit(done.stderr)


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as handle:
        return list(csv.DictReader(handle, delimiter="\t"))


def learn(sets: dict[str, Path], target: Path, way: str, seed: int, epochs: int) -> float:
    """Fine-tune and leave the predictions of the test set in ``target``; returns the CPU seconds it took."""
    start = resource.getrusage(resource.RUSAGE_CHILDREN)
    given = [part for split, path in sets.items() for part in (f"--{split}", path)]
    bundle, level = target.with_suffix(".zip"), "sequence" if way == "window" else "residue"
    tool("finetune", "--model", MODEL, "--task", f"{level}-classification", "--seed", seed, "--epochs", epochs, *given,
         "--output-model", bundle, "--output-predictions", target)  # fmt: skip
    end = resource.getrusage(resource.RUSAGE_CHILDREN)
    return end.ru_utime + end.ru_stime - start.ru_utime - start.ru_stime


def ptm(name: str, folder: Path, data: Path, seed: int, epochs: int, longest: int) -> dict[str, dict]:
    """Way -> (protein, position) -> (truth, probability, called) of the test sites."""
    found, some = {}, folder / f"{name}.csv"
    with gzip.open(data / f"{name}.csv.gz", "rt", newline="") as given, some.open("w", newline="") as kept:
        rows = csv.DictReader(given)
        writer = csv.DictWriter(kept, rows.fieldnames)
        writer.writeheader()
        writer.writerows(row for row in rows if len(row["uniprot_sequence"]) <= longest)
    for way in WAYS:
        start = f"{name}-{seed}-{way}"
        sets = {split: folder / f"{start}.{split}" for split in ("train", "validation", "test")}
        predictions = folder / f"{start}.tsv"
        if not predictions.exists():
            tool("dataset", "--sequences", some, "--sequence-column", "uniprot_sequence",
                 "--id-column", "protein", "--residues", SETS[name], "--negatives", "given", "--misfits", "leave-out",
                 "--site-context", way, "--split", "homology", "--validation-fraction", 0.15, "--seed", seed,
                 *(part for split, path in sets.items() for part in (f"--output-{split}", path)))  # fmt: skip
            seconds = learn(sets, predictions, way, seed, epochs)
            print(f"{start}: {seconds:.0f} CPU s of training", flush=True)
        rows = [row for row in table(predictions) if row["split"] == "test"]
        if way == "window":
            named = [re.fullmatch(r"(.+)\|[A-Z]([0-9]+)", row["id"]).groups() for row in rows]
        else:
            named = [(row["id"], row["position"]) for row in rows]
        found[way] = {at: _known(row) for at, row in zip(named, rows, strict=True) if row["truth"] in ("0", "1")}
    return found


def dephosphorylation(folder: Path, data: Path, seed: int, epochs: int) -> dict[str, dict]:
    """The same for the pooled window and for its middle residue; every sixth training window is for validation."""
    records = {}
    for split in ("train", "test"):
        text = (data / f"{split}_sequences.fasta").read_text()
        found = re.findall(r">(\S+).*LABEL=([01])\s+([A-Z\s]+)", text)
        records[split] = [(name, "".join(one.split()), label) for name, label, one in found]
        records[split] = [record for record in records[split] if len(record[1]) == 33]
    records["validation"] = records["train"][::6]
    records["train"] = [record for number, record in enumerate(records["train"]) if number % 6]
    found = {}
    for way in WAYS:
        predictions = folder / f"dephosphorylation-{seed}-{way}.tsv"
        sets = {split: folder / f"dephosphorylation-{way}.{split}" for split in records}
        for split, path in sets.items():
            unknown = "" if way == "window" else "?" * 16
            rows = (f"{name}\t{one}\t{unknown}{label}{unknown}\n" for name, one, label in records[split])
            path.write_text("id\tsequence\tlabel\n" + "".join(rows))
        if not predictions.exists():
            learn(sets, predictions, way, seed, epochs)
        rows = [row for row in table(predictions) if row["split"] == "test" and row["truth"] in ("0", "1")]
        found[way] = {(row["id"].split("%")[0], row["id"]): _known(row) for row in rows}
    return found


def _known(row: dict[str, str]) -> tuple[int, float, int]:
    return int(row["truth"]), float(row["probability_1"]), int(row["predicted"])


def scores(truth: np.ndarray, probability: np.ndarray, called: np.ndarray) -> tuple[float, float, float]:
    from sklearn.metrics import average_precision_score, matthews_corrcoef, roc_auc_score

    if len(set(truth.tolist())) < 2:
        return np.nan, np.nan, np.nan
    return (
        roc_auc_score(truth, probability),
        average_precision_score(truth, probability),
        matthews_corrcoef(truth, called),
    )


def compared(name: str, seed: int, found: dict[str, dict]) -> None:
    """Print the scores of both ways on the sites that both have, and of their difference."""
    both = sorted(set(found["window"]) & set(found["protein"]))
    values = {way: np.asarray([found[way][at] for at in both]) for way in WAYS}
    truth = values["window"][:, 0].astype(int)
    assert (truth == values["protein"][:, 0]).all()
    names, groups = np.unique([at[0] for at in both], return_inverse=True)
    members = [np.flatnonzero(groups == group) for group in range(len(names))]
    rng = np.random.default_rng(0)
    drawn = [np.concatenate([members[g] for g in rng.integers(0, len(names), len(names))]) for _ in range(RESAMPLES)]
    some = {way: np.asarray([scores(truth[at], *values[way][at, 1:].T) for at in drawn]) for way in WAYS}
    print(f"{name}, seed {seed}: {len(both):,} test sites ({truth.sum():,} positive) of {len(names)} proteins")
    for column, score in enumerate(("AUROC", "AUPRC", "MCC")):
        told = []
        for way in WAYS:
            value = scores(truth, *values[way][:, 1:].T)[column]
            told.append((way, value, some[way][:, column]))
        told.append(("difference", told[1][1] - told[0][1], told[1][2] - told[0][2]))
        for way, value, resampled in told:
            low, high = np.nanpercentile(resampled, (2.5, 97.5))
            named = "residue" if (name, way) == ("dephosphorylation", "protein") else way
            print(f"  {score:6} {named:10} {value:6.3f} ({low:.3f} to {high:.3f})", flush=True)


def speed(fasta: str, count: int, turns: int, residues: str, folder: Path) -> None:
    sys.path.insert(0, str(ROOT / "scripts"))
    import torch

    from seqlm.checkpoints.bundle import open_bundle
    from seqlm.checkpoints.opening import open_base_model
    from seqlm.data.sequences import read_records
    from seqlm.data.sites import site_positions, window_around
    from seqlm.inference import inference, loading
    from seqlm.inference.memory import usual_tokens

    torch.set_num_threads(1)
    base, data = esm2_8m(folder / "base"), ROOT / "test-data"
    learning = {
        "window": ("--train", data / "sites_train.fasta"),
        "protein": ("--task", "residue-classification", "--train", data / "binding_labels.fasta", "--sequences",
                    data / "binding_sequences.fasta"),
    }  # fmt: skip
    models = {}
    for way in WAYS:
        (folder / way).mkdir()
        bundle = open_bundle(finetuned(base, folder / f"{way}.zip", *learning[way]), folder / way)
        model = open_base_model(str(base), folder / f"base of {way}")
        models[way] = loading.load_finetuned(bundle, model, torch.device("cpu"), "fp32", 0)
    records = list(read_records(fasta))
    proteins = [(one.id, one.sequence) for one in records[:: max(1, len(records) // count)][:count]]
    sites = [(name, one, at) for name, one in proteins for at in site_positions(one, residues)]
    items = {"window": [(name, window_around(one, at, 33)) for name, one, at in sites], "protein": proteins}
    budget = usual_tokens("cpu")
    ratios = []

    def wanted(sequence: str) -> list[int]:
        return site_positions(sequence, residues)

    for turn in range(turns):
        taken = {}
        for way in WAYS if turn % 2 else WAYS[::-1]:
            start = time.process_time()
            asked = wanted if way == "protein" else None
            given = iter(items[way])
            for _ in inference.predict(models[way].model, models[way].encoder, given, budget, wanted=asked):
                pass
            taken[way] = time.process_time() - start
        ratios.append(taken["window"] / taken["protein"])
        told = ", ".join(f"{way} {taken[way]:.1f} CPU s, {len(sites) / taken[way]:.0f} sites a CPU s" for way in WAYS)
        print(f"{len(proteins)} proteins, {len(sites):,} sites: {told}; ratio {ratios[-1]:.2f}", flush=True)
    print(f"median ratio {np.median(ratios):.2f}, {min(ratios):.2f} to {max(ratios):.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["scores", "speed"])
    parser.add_argument("inputs", nargs="+", help="of scores two folders, of speed a FASTA")
    parser.add_argument("--folder", type=Path, help="for what is made; a temporary one if not given")
    parser.add_argument("--seeds", type=int, nargs="*", default=[42])
    parser.add_argument("--sets", nargs="*", choices=[*SETS, "dephosphorylation"],
                        default=["dephosphorylation", *SETS])  # fmt: skip
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--longest", type=int, default=100_000, metavar="RESIDUES")
    parser.add_argument("--proteins", type=int, default=100)
    parser.add_argument("--turns", type=int, default=4)
    parser.add_argument("--residues", default="STY")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = arguments.folder or Path(scratch)
        folder.mkdir(exist_ok=True)
        if arguments.what == "speed":
            speed(arguments.inputs[0], arguments.proteins, arguments.turns, arguments.residues, folder)
            return
        ptm_sites, windows = map(Path, arguments.inputs)
        for name in arguments.sets:
            for seed in arguments.seeds:
                if name == "dephosphorylation":
                    found = dephosphorylation(folder, windows, seed, arguments.epochs)
                else:
                    found = ptm(name, folder, ptm_sites, seed, arguments.epochs, arguments.longest)
                compared(name, seed, found)


if __name__ == "__main__":
    main()
