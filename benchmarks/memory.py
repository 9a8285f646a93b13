"""Memory that tools expect to need, beside what they are seen to use: published shapes, random weights.

    python benchmarks/memory.py [--shapes 8M 35M 150M] [--tasks embed predict …]
    python benchmarks/memory.py --shapes ProtT5-XL
    python benchmarks/memory.py --table

A process of its own runs each script; reported are the line that it ends with, and the peak of its resident memory as
the kernel counts it. ProtT5-XL takes 5 GB of disk and of memory up to 13 GB. With --table nothing is run: what is
expected of larger models too, for administrators.
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
# proteins, and residues of the longest: no more than it takes for full passes, since random weights learn nothing
PROTEINS = {"8M": (60, 500), "35M": (60, 500), "150M": (30, 500), XL: (20, 120)}
LETTERS = "ACDEFGHIKLMNPQRSTVWY"


def tasks(folder: Path, shape: str) -> dict[str, list[str]]:
    """Task -> script and options, on what :func:`make` has left in ``folder``."""
    model, data, out = folder / "model", folder / "data.fasta", folder / "out"
    given = f"--model {model} --train {data} --epochs 1 --validation-fraction 0.2 --output-model {out}.zip"
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
    """A model of the shape, one of the same width and depth that writes sequences, and proteins of two classes."""
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
    rng, (count, longest) = random.Random(0), PROTEINS[shape]
    with open(folder / "data.fasta", "w") as out:
        for number in range(count):
            protein = "".join(rng.choices(LETTERS, k=rng.randint(50, longest)))
            out.write(f">p{number} LABEL={number % 2}\n{protein}\n")


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


PUBLISHED = {"ESM-2 8M": (320, 6, 20), "ESM-2 35M": (480, 12, 20), "ESM-2 150M": (640, 30, 20),
             "ESM-2 650M": (1280, 33, 20), "ESM-2 3B": (2560, 36, 40)}  # fmt: skip


def table(longest: int = 1024) -> None:
    """What is expected of published shapes on a CPU and a GPU, in rows of so many tokens: as usual, and at least."""
    sys.path.insert(0, str(ROOT / "scripts"))
    from dataclasses import replace

    from seqlm.families.esm import Esm
    from seqlm.families.t5 import T5Encoder
    from seqlm.inference.memory import LEARNING, Adapter, Need, adapted_numbers, usual_tokens

    families = {}
    for name, (width, depth, heads) in PUBLISHED.items():
        sizes = {"hidden_size": width, "num_hidden_layers": depth, "num_attention_heads": heads}
        config = ESM2_8M | sizes | {"intermediate_size": 4 * width}
        families[name] = Esm(config, {"<cls>": 0, "<eos>": 2}, "protein")
    config = {"d_model": 1024, "d_kv": 128, "d_ff": 16384, "num_heads": 32, "num_layers": 24, "vocab_size": 128}
    families["ProtT5-XL, encoder"] = T5Encoder(config, {"</s>": 1}, "protein")
    print("| model | task | CPU | CPU, at least | GPU, bf16 | GPU, at least | beside a GPU |")
    print("|---|---|---|---|---|---|---|")
    for name, family in families.items():
        width, across, inner = family.hidden_size, family.attention_width, family.inner_width
        weights = family.depth * (4 * width * across + 2 * width * inner) + family.vocabulary_size * width
        reading = Need(family, weights, 4 * weights, longest)
        training = replace(reading, item=longest, held=LEARNING, single=True, trains=True)
        tasks = {"embed, predict": reading}
        for task, layers in (("LoRA, last 2 layers", 2), ("LoRA, all layers", family.depth)):
            adapter = Adapter(3, 1, 0)
            trained = adapted_numbers(family, adapter, layers)
            tasks[task] = replace(training, adapter=adapter, trained=trained, first=family.depth - layers)
        tasks["all weights"] = replace(training, trained=weights, whole=True)
        for task, need in tasks.items():
            phases = [False, True] if need.trains else [False]

            def most(kind: str, least: bool, need=need, phases=phases) -> float:
                """Bytes of the phase that takes most."""
                found = []
                for learns in phases:
                    tokens = need.computed(1 if least else usual_tokens(kind, learns), learns)
                    twice = least and learns
                    if kind == "cpu":
                        found.append(need.on_machine(tokens, "fp32", learns, twice, least))
                    else:
                        found.append(need.on_gpu(tokens, "bf16", learns, twice))
                return max(found)

            sizes = [most(kind, least) for kind in ("cpu", "cuda") for least in (False, True)]
            cells = " | ".join(f"{size / 1e9:.1f}" for size in (*sizes, need.beside_gpu("bf16")))
            print(f"| {name} | {task} | {cells} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shapes", nargs="+", default=list(SHAPES), choices=[*SHAPES, XL])
    parser.add_argument("--tasks", nargs="+")
    parser.add_argument("--make", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--table", action="store_true")
    arguments = parser.parse_args()
    if arguments.table:
        table()
        return
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
