"""CPU seconds of embed, predict, score and generate on ten sequences, in two checkouts: what starting costs.

    python benchmarks/startup.py BEFORE AFTER [--repeats N] [--only TOOL …]

BEFORE and AFTER are checkouts of this repository. Each tool runs in turn from the one and from the other, on the tiny
models of AFTER's test-data, so the models take next to no time and the libraries all of it; generate looks for equal
sequences only, without MMseqs2, a program that takes three seconds more. The time is that of the processor, user and
system, which other programs on the machine disturb least; the median of the repeats.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

PROTEINS = (
    "MKTAYIAKQRQISFVKSHFSRQ",
    "MSLNNRKQWERTYPLKA",
    "MKVLAAGIVGLCAKWWY",
    "GGHKLPTTRRNDEQ",
    "MADEEKLPPGWEKRMSR",
    "ACDEFGHIKLMNPQRST",
    "WYVACKKLLSTTRRQ",
    "MSTNPKPQRKTKRNTNRR",
    "LLKKRRSSTTYYFFWW",
    "MKKLLPTAAAGLLLLAAQ",
)


def runs(data: Path, proteins: Path, work: Path) -> dict[str, list[object]]:
    """The name of each run: script and arguments."""
    models, read = data / "models", ["--sequences", proteins]
    table = ["--output-table", work / "table.tsv"]
    report = ["--output-html", work / "report.html"]
    lora = ["--model", data / "bundle_lora_t5.zip", "--base-model", models / "tiny-t5"]
    return {
        "embed": ["embed", "--model", models / "tiny-esm", *read, *table],
        "embed, report": ["embed", "--model", models / "tiny-esm", *read, *table, *report],
        "predict, LoRA": ["predict", *lora, *read, *table],
        "predict, head": [
            "predict", "--model", data / "bundle_head_esm.zip", "--base-model", models / "tiny-esm", *read, *table
        ],
        "score": ["score", "--model", models / "tiny-esm-mlm", *read, *table],
        "generate": ["generate", "--model", models / "tiny-protgpt2", "--num-sequences", 10, "--equal-only", *table],
    }  # fmt: skip


def processor_seconds(checkout: Path, script: str, *arguments: object) -> float:
    """User and system time of one run."""
    command = [sys.executable, checkout / "scripts" / f"{script}.py", *arguments]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        list(map(str, command)), capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        sys.exit(f"{script} of {checkout} failed: {done.stderr}")
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("before", type=Path)
    parser.add_argument("after", type=Path)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--only", nargs="*", help="names of tools")
    arguments = parser.parse_args()
    before, after = arguments.before.resolve(), arguments.after.resolve()
    with tempfile.TemporaryDirectory() as folder:
        proteins = Path(folder) / "proteins.fasta"
        proteins.write_text("".join(f">p{number}\n{text}\n" for number, text in enumerate(PROTEINS)))
        print(f"{'':14} {'before':>7} {'after':>7} {'ratio':>6}")
        for name, (script, *options) in runs(after / "test-data", proteins, Path(folder)).items():
            if arguments.only and script not in arguments.only:
                continue
            seconds: dict[Path, list[float]] = {before: [], after: []}
            for _ in range(arguments.repeats):
                for checkout, found in seconds.items():
                    found.append(processor_seconds(checkout, script, *options))
            old, new = map(statistics.median, seconds.values())
            print(f"{name:14} {old:7.2f} {new:7.2f} {new / old:6.2f}", flush=True)


if __name__ == "__main__":
    main()
