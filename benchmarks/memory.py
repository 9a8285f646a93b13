"""Memory that tools expect to need, beside what they are seen to use: published shapes, random weights.

    python benchmarks/memory.py [--shapes 8M 35M 150M] [--tasks embed predict …]
    python benchmarks/memory.py --shapes ProtT5-XL

A process of its own runs each script; reported are the line that it ends with, and the peak of its resident memory as
the kernel counts it. ProtT5-XL takes 5 GB of disk and up to 13 GB of memory.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from shapes import ENVIRONMENT, ESM2_8M, ESM2_35M, ROOT

ESM2_150M = {**ESM2_8M, "hidden_size": 640, "num_hidden_layers": 30, "intermediate_size": 2560}
SHAPES = {"8M": ESM2_8M, "35M": ESM2_35M, "150M": ESM2_150M}
XL = "ProtT5-XL"
WHICH_TUNED = {"8M", "150M"}  # shapes on which the constants of the formula were chosen
LETTERS = "ACDEFGHIKLMNPQRSTVWY"


def tasks(folder: Path, shape: str) -> dict[str, list[str]]:
    """Task -> script and options, on what :func:`make` has left in ``folder``."""
    model, data, out = folder / "model", folder / "data.fasta", folder / "out"
    given = f"--model {model} --train {data} --epochs 1 --output-model {out}.zip"
    found = {
        "embed": f"embed --model {model} --sequences {data} --output-npz {out}.npz",
        "last layers": f"finetune {given} --lora-last-layers 2",
        "LoRA": f"finetune {given}",
        "predict": f"predict --model {out}.zip --base-model {model} --sequences {data} --output-table {out}.tsv",
    }
    if shape != XL:
        found |= {
            "LoRA, checkpoints": f"finetune {given} --gradient-checkpointing",
            "score": f"score --model {model} --sequences {data} --method pseudo-perplexity-one-pass "
            f"--output-table {out}.tsv",
            "generate": f"generate --model {folder / 'writer'} --num-sequences 64 --max-length 200 --equal-only "
            f"--output-fasta {out}.fasta --output-table {out}.tsv",
            "pretrain": f"pretrain --model {model} --corpus {data} --max-steps 4 --output-model {out}.zip",
        }
    if shape == "8M":
        found["all weights"] = f"finetune {given} --method full"
    return {task: options.split() for task, options in found.items()}


def make(folder: Path, shape: str) -> None:
    """A model of the shape, one of the same width and depth that writes sequences, and 60 proteins of two classes."""
    import torch
    import transformers

    torch.manual_seed(0)
    models = ROOT / "test-data" / "models"
    if shape == XL:
        from prott5_xl import make_model

        make_model(folder / "model")
    else:
        config = transformers.EsmConfig(**SHAPES[shape])
        transformers.EsmForMaskedLM(config).save_pretrained(folder / "model")
        for name in ("vocab.txt", "tokenizer_config.json"):
            shutil.copyfile(models / "tiny-esm" / name, folder / "model" / name)
        shutil.copytree(models / "tiny-protgpt2", folder / "writer", ignore=shutil.ignore_patterns("*.safetensors"))
        config = transformers.GPT2Config.from_pretrained(folder / "writer")
        wide, deep = SHAPES[shape]["hidden_size"], SHAPES[shape]["num_hidden_layers"]
        config.update({"n_embd": wide, "n_layer": deep, "n_head": 20})
        transformers.GPT2LMHeadModel(config).save_pretrained(folder / "writer")
    rng = random.Random(0)
    with open(folder / "data.fasta", "w") as out:
        for number in range(60):
            out.write(f">p{number} LABEL={number % 2}\n{''.join(rng.choices(LETTERS, k=rng.randint(50, 500)))}\n")


def measured(options: list[str]) -> tuple[float, str, float]:
    """Peak memory of a script in GB, what it said on stderr, and seconds."""
    command = [sys.executable, str(ROOT / "scripts" / f"{options[0]}.py"), *options[1:]]
    begun = time.monotonic()
    with tempfile.TemporaryFile("w+") as said:
        child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=said, env=ENVIRONMENT)
        _, status, usage = os.wait4(child.pid, 0)  # this process is small, and so is what the child inherits of it
        said.seek(0)
        text = said.read()
    if status:
        sys.exit(text)
    return usage.ru_maxrss * 1024 / 1e9, text, time.monotonic() - begun


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shapes", nargs="+", default=list(SHAPES), choices=[*SHAPES, XL])
    parser.add_argument("--tasks", nargs="+")
    parser.add_argument("--make", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.make:
        make(Path(arguments.make[0]), arguments.make[1])
        return
    print("| model | task | expected | used at most | expected / used | seconds |")
    print("|---|---|---|---|---|---|")
    for shape in arguments.shapes:
        with tempfile.TemporaryDirectory(prefix="memory_") as scratch:
            # in a process of its own, as what a process starts inherits its peak of memory
            subprocess.run([sys.executable, __file__, "--make", scratch, shape], check=True, env=ENVIRONMENT)
            for task, options in tasks(Path(scratch), shape).items():
                if arguments.tasks and task not in arguments.tasks:
                    continue
                used, said, seconds = measured(options)
                found = re.search(r"^memory: ([\d.]+) GB expected", said, re.M)
                expected = float(found[1]) if found else float("nan")
                row = (shape, task, f"{expected:.2f} GB", f"{used:.2f} GB", f"{expected / used:.2f}", f"{seconds:.0f}")
                print(f"| {' | '.join(row)} |", flush=True)


if __name__ == "__main__":
    main()
