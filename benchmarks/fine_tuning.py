"""Fine-tuning beside its own baselines, and beside another commit's, on fifteen real tasks.

    python benchmarks/fine_tuning.py FOLDER RESULTS [--code CLONE] [--name NAME] [--only TASK …] [--seeds 3]
        [-- OPTIONS]
    python benchmarks/fine_tuning.py --table RESULTS [--first NAME] [--second NAME]

FOLDER holds the data sets (see fine_tuning_tasks.py). A run trains with the defaults of the form (and OPTIONS), the
three small models of test-data/models, and leaves truth and predictions of the test set in RESULTS under NAME; one that
is there is not run again. --code is a clone at another commit. The table then compares the deciding score of the task:
each fine-tuned model with the frozen and the k-mer baseline of its own run, and with the fine-tuned model of the
second NAME. Intervals are of the mean over seeds, from paired bootstrap of the test set within each seed.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from fine_tuning_tasks import TASKS
from shapes import ENVIRONMENT, ROOT

WORKER = """
import json, resource, sys, tempfile, time
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import numpy as np, finetune
from seqlm.tools.finetune.inputs import check
arguments = finetune.options().parse_args(sys.argv[3:])
with tempfile.TemporaryDirectory() as scratch:
    plan = check(arguments, Path(scratch))
    if getattr(arguments, "folds", 0):
        from seqlm.tools.finetune.cross_validation import cross_validate as run
    else:
        from seqlm.tools.finetune.run import finetune as run
    result = run(plan)
split = "test"
arrays = {"truth": result.truth[split]}
arrays |= {f"of {name}": by[split] for name, by in result.predictions.items()}
for name, one in result.thresholds.items():
    arrays[f"threshold {name}"] = np.asarray(np.nan if one is None else one, float)
if split in result.groups:
    arrays["groups"] = result.groups[split]
history = result.history
kept = history.epochs[history.best_epoch - 1]["epoch"] if history.best_epoch else -1
seconds = resource.getrusage(resource.RUSAGE_SELF)
said = {"metric": plan.score, "kept": kept, "epochs": len(history.epochs), "task": arguments.task,
        "cpu_seconds": seconds.ru_utime + seconds.ru_stime}
np.savez_compressed(sys.argv[2], said=json.dumps(said), **arrays)
"""


def run(task: str, seed: int, name: str, code: Path, data: Path, results: Path, options: list[str]) -> None:
    target = results / name / f"{task}-{seed}.npz"
    if target.exists():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        given = TASKS[task].make(data, Path(folder), random.Random(f"{task} {seed}"))
        given += ["--model", str(code / "test-data/models" / TASKS[task].model), "--seed", str(seed)]
        given += ["--output-model", os.devnull, "--threads", "1", *options]
        command = [sys.executable, "-c", WORKER, str(code / "scripts"), str(target), *given]
        environment = {**ENVIRONMENT, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(code / "scripts")}
        start = time.perf_counter()
        done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode:
        sys.exit(f"{task} {seed}: {done.stderr[-2000:]}")
    print(f"{name}: {task}, seed {seed}: {time.perf_counter() - start:.0f} s", flush=True)


def scores(found: dict, model: str, draws: int = 300) -> tuple[float, np.ndarray]:
    """The deciding score of a model of a run, and that of ``draws`` resamples of its test set (of residues of whole
    proteins), the same resamples for every model of the same truth."""
    from seqlm.metrics import metrics

    said, truth, predictions = json.loads(str(found["said"])), found["truth"], found[f"of {model}"]
    threshold = found.get(f"threshold {model}", np.full((), np.nan))
    threshold = None if np.isnan(threshold).all() else threshold if threshold.ndim else float(threshold)
    chance, n = np.random.default_rng(0), len(truth)
    members = None
    if "groups" in found:
        members = [np.flatnonzero(found["groups"] == one) for one in np.unique(found["groups"])]

    def score(places) -> float:
        positive = 1 if predictions.ndim == 2 and predictions.shape[1] == 2 and truth.ndim == 1 else None
        return float(
            metrics.plain(said["metric"], truth[places], predictions[places], positive=positive, threshold=threshold)
        )

    drawn = []
    for _ in range(draws):
        if members:
            drawn.append(np.concatenate([members[one] for one in chance.integers(0, len(members), len(members))]))
        else:
            drawn.append(chance.integers(0, n, n))
    return score(slice(None)), np.array([score(places) for places in drawn])


def compared(pairs: list[tuple[tuple[float, np.ndarray], tuple[float, np.ndarray]]]) -> tuple[float, float, float]:
    """Mean over seeds of the difference of two models, with both ends of its 95 % interval."""
    value = float(np.mean([one[0] - other[0] for one, other in pairs]))
    low, high = np.nanquantile(np.mean([one[1] - other[1] for one, other in pairs], axis=0), [0.025, 0.975])
    return value, float(low), float(high)


def table(results: Path, first: str, second: str) -> None:
    rows, means = [], {}
    for task in TASKS:
        seeds = sorted(int(path.stem.rsplit("-", 1)[1]) for path in (results / first).glob(f"{task}-*.npz"))
        here = [dict(np.load(results / first / f"{task}-{seed}.npz")) for seed in seeds]
        if not here:
            continue
        metric = json.loads(str(here[0]["said"]))["metric"]
        ours = [scores(one, "fine-tuned") for one in here]
        cells = [task, metric, f"{np.mean([one[0] for one in ours]):.3f}"]
        word = "k-mer" if "of k-mer" in here[0] else "window"
        columns = {
            "frozen": [scores(one, "frozen embeddings") for one in here],
            word: [scores(one, word) for one in here],
        }
        places = [results / second / f"{task}-{seed}.npz" for seed in seeds]
        if all(place.exists() for place in places):
            columns[second] = [scores(dict(np.load(place)), "fine-tuned") for place in places]
            columns[f"frozen of {second}"] = [scores(dict(np.load(place)), "frozen embeddings") for place in places]
        for name, theirs in columns.items():
            value, low, high = compared(list(zip(ours, theirs, strict=True)))
            mark = "**" if low > 0 or high < 0 else ""
            cells.append(
                f"{np.mean([one[0] for one in theirs]):.3f}: {mark}{value:+.3f}{mark} ({low:+.3f} to {high:+.3f})"
            )
            means.setdefault("words" if name == word else name, []).append(value)
        kept = [json.loads(str(one["said"]))["kept"] for one in here]
        cells.append(", ".join(f"{one:g}" for one in kept))
        seconds = np.mean([json.loads(str(one["said"]))["cpu_seconds"] for one in here])
        rows.append([*cells, f"{seconds:.0f}"])
    header = ["task", "score", first, "frozen baseline", "words", second, f"frozen of {second}"]
    header = [*header[: len(rows[0]) - 2], "epochs kept", "CPU s"]
    print("| " + " | ".join(header) + " |\n|" + "---|" * len(header))
    for row in rows:
        print("| " + " | ".join(row) + " |")
    for name, values in means.items():
        worse = sum(value < 0 for value in values)
        print(f"mean difference to {name}: {np.mean(values):+.4f} over {len(values)} tasks, below it in {worse}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, nargs="?")
    parser.add_argument("results", type=Path, nargs="?")
    parser.add_argument("--code", type=Path, default=ROOT)
    parser.add_argument("--name", default="now")
    parser.add_argument("--only", nargs="*", choices=TASKS, default=list(TASKS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--table", type=Path)
    parser.add_argument("--first", default="now")
    parser.add_argument("--second", default="before")
    own = sys.argv[1:]
    options = own[own.index("--") + 1 :] if "--" in own else []
    arguments = parser.parse_args(own[: own.index("--")] if "--" in own else own)
    if arguments.table:
        sys.path.insert(0, str(ROOT / "scripts"))
        table(arguments.table, arguments.first, arguments.second)
        return
    for seed in range(1, arguments.seeds + 1):
        for task in arguments.only:
            run(task, seed, arguments.name, arguments.code.resolve(), arguments.data, arguments.results, options)


if __name__ == "__main__":
    main()
