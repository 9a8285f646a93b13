"""Inputs for the training of language models: a made-up genome, tokenizers, instructions, an interrupted training.

The genome is made of words of three bases, of which some follow each other more often than others; nothing of biology.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from pathlib import Path

SCRIPTS = Path(__file__).parents[1] / "tools" / "scripts"
NEW = ("--layers", 1, "--width", 16, "--heads", 2, "--context", 64, "--epochs", 4, "--batch-size", 16)


def genome(path: Path, letters: int = 12_000) -> None:
    rng = random.Random(11)
    words = ["".join(rng.choice("ACGT") for _ in range(3)) for _ in range(24)]
    follows = {word: rng.sample(words, 3) for word in words}
    word, parts = words[0], []
    while sum(map(len, parts)) < letters:
        parts.append(word)
        word = rng.choice(follows[word]) if rng.random() < 0.9 else rng.choice(words)
    text = "".join(parts)
    text = text[:7000] + "N" * 60 + text[7000:]
    lines = [text[at : at + 70] for at in range(0, len(text), 70)]
    path.write_text(">chromosome made up\n" + "\n".join(lines) + "\n")


def instructions(path: Path, here: Path) -> None:
    """Whether a protein is of the family, asked in letters that the tiny LLaMA knows."""
    lines = []
    for name, answer, most in (("protein_family", "Y", 60), ("other_proteins", "N", 60)):
        records = (here / f"{name}.fasta").read_text().split(">")[1:]
        for record in records[:most]:
            sequence = "".join(record.split("\n")[1:])
            lines.append({"instruction": "FAMILY", "input": sequence[:24], "output": answer})
    random.Random(3).shuffle(lines)
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


def run(script: str, *arguments) -> None:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, SCRIPTS / f"{script}.py", *arguments]
    subprocess.run(list(map(str, command)), check=True, capture_output=True, env=environment)


def make(here: Path) -> None:
    genome(here / "made_up_genome.fasta")
    instructions(here / "instructions.jsonl", here)
    train = ("--train", "--corpus", here / "made_up_genome.fasta", "--output-tokenizer")
    run("tokenizer", *train, here / "tokenizer_dna_bert.zip", "--algorithm", "character", "--special-tokens", "bert")
    run("tokenizer", *train, here / "tokenizer_dna_gpt2.zip", "--algorithm", "bpe", "--vocab-size", 64,
        "--special-tokens", "gpt2")  # fmt: skip
    interrupted = here / "interrupted_model.zip"
    run("pretrain", "--corpus", here / "protein_family.fasta", "--architecture", "llama", "--tokenizer",
        here / "models" / "tiny-llama", *NEW, "--learning-rate", 0.005, "--pause-after", 10, "--threads", 1,
        "--output-checkpoint", here / "interrupted_training.zip", "--output-model", interrupted)  # fmt: skip
    interrupted.unlink()


if __name__ == "__main__":
    make(Path(__file__).parent)
