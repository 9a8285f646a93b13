"""Training of the last layers only, with what enters them kept, beside another state of this project.

    python benchmarks/caching.py --before CHECKOUT [--epochs N]

ESM-2 35M's shape with random weights, defaults of the tool, one thread. Each way is a process of its own. Counted are
CPU seconds, of the training and together with the first pass that gives the vectors for the baselines, without the
baselines themselves, and the peak memory.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from shapes import ENVIRONMENT, ESM2_35M, ROOT, esm2

LENGTHS = {"windows": (33, 35, 64), "proteins": (285, 315, 16)}  # shortest, longest, how many
LAYERS = (0, 4, 2)  # of 12; 0 for all


def worker(options: list[str]) -> None:
    """One training; prints what it took."""
    import finetune
    from seqlm.tools.finetune import learning
    from seqlm.tools.finetune.inputs import check
    from seqlm.training.processes import ALONE

    took = {}

    def timed(name: str):
        function = getattr(learning, name)

        def wrapped(*arguments):
            start = time.process_time()
            result = function(*arguments)
            took[name] = time.process_time() - start
            return result

        setattr(learning, name, wrapped)

    timed("train")
    timed("baselines")
    with tempfile.TemporaryDirectory() as scratch:
        plan = check(finetune.options().parse_args(options), Path(scratch))
        learning.loading.prepare(1, 42, "cpu")
        learning.loading.load_backbone(
            plan.base.path, plan.family, learning.torch.float32, learning.torch.device("cpu")
        )
        start = time.process_time()
        learnt = learning.learn(plan, ALONE)
        took["all"] = time.process_time() - start - took.pop("baselines")
    took["memory"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    took["loss"] = learnt.history.epochs[-1]["train_loss"]
    print(json.dumps(took))


def fasta(path: Path, shortest: int, longest: int, count: int) -> Path:
    rng = random.Random(path.name)
    records = [
        f">{n} LABEL={n % 2} SET={'validation' if n % 4 == 3 else 'train'}\n"
        + "".join(rng.choices("ACDEFGHIKLMNPQRSTVWY", k=rng.randint(shortest, longest)))
        for n in range(count)
    ]
    path.write_text("\n".join(records) + "\n")
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--before", type=Path, metavar="CHECKOUT")
    parser.add_argument("--epochs", type=int, default=5)
    arguments = parser.parse_args()
    ways = [(ROOT, last) for last in LAYERS]
    if arguments.before:
        ways.insert(0, (arguments.before, 0))
    with tempfile.TemporaryDirectory() as folder:
        base = esm2(Path(folder) / "model", ESM2_35M)
        for data, sizes in LENGTHS.items():
            print(f"{data}: way, CPU seconds of the training, with the first pass, peak MiB, loss", flush=True)
            sequences, reference = fasta(Path(folder) / data, *sizes), None
            for tree, last in ways:
                options = ["--model", base, "--train", sequences, "--label-pattern", r"LABEL=(\S+)"]
                options += ["--split-pattern", r"SET=(\S+)", "--epochs", arguments.epochs, "--patience", 0]
                options += ["--lora-last-layers", last, "--output-model", Path(folder) / "model.zip", "--threads", 1]
                environment = {**ENVIRONMENT, "PYTHONPATH": f"{tree}/scripts:{ROOT}/benchmarks", "OMP_NUM_THREADS": "1"}
                command = [sys.executable, __file__, "--worker", *map(str, options)]
                done = subprocess.run(command, check=True, stdout=subprocess.PIPE, env=environment, cwd=folder)
                took = json.loads(done.stdout.splitlines()[-1])
                reference = reference or took
                which = f"the last {last} of 12 layers" if last else "all layers"
                seconds = [f"{took[part]:.1f} ({reference[part] / took[part]:.2f}x)" for part in ("train", "all")]
                found = ", ".join([*seconds, f"{took['memory']:,.0f}", f"{took['loss']:.5f}"])
                print(f"  {'now' if tree == ROOT else 'before'}, {which}: {found}", flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--worker"]:
        worker(sys.argv[2:])
    else:
        main()
