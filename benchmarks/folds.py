"""Coverage of conformal sets on real tasks, of one model with a validation set and of an ensemble of five folds.

    python benchmarks/folds.py FOLDER RESULTS [--only TASK …] [--seeds 3] [-- OPTIONS OF finetune.py]
    python benchmarks/folds.py --table RESULTS

FOLDER holds the data sets, and tasks are drawn from them as fine_tuning_tasks.py says: up to 300 labelled sequences and
up to 400 of the test set, a draw a seed. Each run leaves a line of JSON in RESULTS; one that is there is not run again.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

import numpy as np
from fine_tuning_tasks import TASKS
from shapes import ENVIRONMENT, ROOT

USUAL = ("dephosphorylation", "ESOL", "core promoters")
COVERAGES = (0.8, 0.9, 0.95)
WORKER = """
import json, sys, tempfile
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import finetune
from seqlm.tools.finetune import cross_validation, run
from seqlm.tools.finetune.inputs import check
seen, checked = [], run.checked
run.checked = cross_validation.checked = lambda *given: seen.append(given) or checked(*given)
arguments = finetune.options().parse_args(sys.argv[2:])
with tempfile.TemporaryDirectory() as scratch:
    plan = check(arguments, Path(scratch))
    result = (cross_validation.cross_validate if arguments.folds else run.finetune)(plan)
said = {split: {model: by[split][plan.score].value for model, by in result.scores.items()} for split in plan.splits}
task, conformity, _, _, *rest = seen[0]
found = {}
for coverage in (0.8, 0.9, 0.95):
    one = checked(task, conformity, coverage, "test", *rest)
    found[coverage] = one and [one.held.value, one.units, one.size]
print(json.dumps({"metric": plan.score, "scores": said, "coverage": found, "left_out": len(conformity.scores)}))
"""


def run(task: str, seed: int, folds: int, data: Path, results: Path, options: list[str]) -> None:
    target = results / f"{task}-{seed}-{folds}.json"
    if target.exists():
        return
    with tempfile.TemporaryDirectory() as folder:
        given = TASKS[task].make(data, Path(folder), random.Random(f"{task} {seed}"))
        given += ["--model", str(ROOT / "test-data/models" / TASKS[task].model), "--seed", str(seed)]
        given += ["--output-model", os.devnull, "--threads", "1", "--folds", str(folds), "--coverage", "0.9", *options]
        command = [sys.executable, "-c", WORKER, str(ROOT / "scripts"), *given]
        environment = {**ENVIRONMENT, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT / "scripts")}
        done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode:
        sys.exit(f"{task} {seed}: {done.stderr[-2000:]}")
    target.write_text(done.stdout.splitlines()[-1])
    print(target.name, target.read_text(), flush=True)


def table(results: Path) -> None:
    """Means over seeds; the coverage over all sequences of all test sets."""
    found = defaultdict(list)
    for file in sorted(results.glob("*.json")):
        task, _, folds = file.stem.rsplit("-", 2)
        found[task, int(folds)].append(json.loads(file.read_text()))
    print("| task | trained | left out | score, test | score, out of fold | "
          + " | ".join(f"held at {one:g} (size)" for one in COVERAGES) + " |")  # fmt: skip
    print("|---|---|---|---|---|" + "---|" * len(COVERAGES))
    for (task, folds), runs in found.items():
        cells = []
        for coverage in COVERAGES:
            each = [one["coverage"][str(coverage)] for one in runs]
            if None in each:
                cells.append("too few")
                continue
            held, units, size = np.asarray(each).T
            cells.append(f"{np.average(held, weights=units):.3f} ({size.mean():.2f})")

        def mean(split: str, runs=runs) -> str:
            values = [one["scores"][split]["fine-tuned"] for one in runs if split in one["scores"]]
            return f"{np.mean(values):.3f}" if values else "–"

        trained = f"{folds} folds, {len(runs)} seeds" if folds else f"one, {len(runs)} seeds"
        left_out = f"{np.mean([one['left_out'] for one in runs]):.0f}"
        print(f"| {task} | {trained} | {left_out} | {mean('test')} | {mean('out-of-fold')} | {' | '.join(cells)} |")


def main() -> None:
    own = sys.argv[1 : sys.argv.index("--")] if "--" in sys.argv else sys.argv[1:]
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", nargs="?", type=Path)
    parser.add_argument("results", nargs="?", type=Path)
    parser.add_argument("--only", nargs="+", default=USUAL)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--table", type=Path)
    arguments = parser.parse_args(own)
    if arguments.table:
        table(arguments.table)
        return
    arguments.results.mkdir(parents=True, exist_ok=True)
    for seed in range(arguments.seeds):
        for task in arguments.only:
            for folds in (0, 5):
                run(task, seed, folds, arguments.data, arguments.results, sys.argv[2 + len(own) :])


if __name__ == "__main__":
    main()
