"""Training of a new language model: tokens per second of a processor beside what the machine's matrix products allow,
the share of a step that goes into data, transformers' Trainer on the same rows, and memory against the corpus.

python benchmarks/pretraining.py                     speed, per second of one core; two minutes
python benchmarks/pretraining.py --memory 5 50       peak memory for corpora of so many million bases
python benchmarks/pretraining.py --course GENOME.fasta TOKENIZER
                                                     the way of the DNAGPT2 course on the same tokens; a folder
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SCRIPTS = Path(__file__).parents[1] / "tools" / "scripts"
sys.path.insert(0, str(SCRIPTS))
LAYERS, WIDTH, HEADS, VOCABULARY, CONTEXT, ROWS = 6, 384, 6, 1024, 512, 4  # 11 million weights


def limit(threads: int, torch) -> float:
    """Operations per second of the products of matrices that such a model is made of, in single precision."""
    tokens = ROWS * CONTEXT // 4
    pairs = [(WIDTH, 3 * WIDTH), (WIDTH, WIDTH), (WIDTH, 4 * WIDTH), (4 * WIDTH, WIDTH)]
    tensors = [(torch.randn(tokens, a), torch.randn(a, b)) for a, b in pairs]
    rates = []
    for _ in range(8):
        start = time.process_time()
        for left, right in tensors:
            left @ right
        rates.append(sum(2 * tokens * a * b for a, b in pairs) / (time.process_time() - start))
    return max(rates)


def operations_per_token() -> float:
    """Of a forward and a backward pass: three products for each of the forward pass (Kaplan et al. 2020,
    https://doi.org/10.48550/arXiv.2001.08361)."""
    matrices = LAYERS * (4 * WIDTH**2 + 8 * WIDTH**2) + VOCABULARY * WIDTH
    attention = LAYERS * 2 * CONTEXT * WIDTH  # scores and sums over all places, masked or not
    return 3 * 2 * (matrices + attention)


def speed(threads: int, updates: int) -> None:
    import numpy as np
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel, Trainer, TrainingArguments

    from seqlm.inference.batching import Row
    from seqlm.tools.pretrain.instructions import Rows
    from seqlm.training.language_training import TokenLesson
    from seqlm.training.loop import Loop
    from seqlm.training.state import Settings

    torch.set_num_threads(threads)
    config = GPT2Config(
        vocab_size=VOCABULARY, n_positions=CONTEXT, n_embd=WIDTH, n_layer=LAYERS, n_head=HEADS, bos_token_id=0,
        eos_token_id=0,
    )  # fmt: skip
    rng = np.random.default_rng(0)
    ids = rng.integers(0, VOCABULARY, (ROWS * updates, CONTEXT))
    rows = Rows([Row(one, np.ones(CONTEXT, np.float32), owner) for owner, one in enumerate(ids)])
    ours, theirs, peaks, shares = [], [], [], []
    for _ in range(2):  # in turns; in seconds of the processor, as others use the machine too
        peaks.append(limit(threads, torch))
        settings = Settings(1, batch_size=ROWS, budget=2048, learning_rate=5e-4, warmup=0.05, schedule="cosine")
        loop = Loop(GPT2LMHeadModel(config), TokenLesson(rows, lengths=rows.lengths), settings)
        start = time.process_time()
        loop.run()
        ours.append(ids.size / (time.process_time() - start))
        spent = loop.spent
        shares.append(spent.data / (spent.data + spent.computing))
        with tempfile.TemporaryDirectory() as scratch:
            arguments = TrainingArguments(
                output_dir=scratch, num_train_epochs=1, per_device_train_batch_size=ROWS, report_to="none",
                save_strategy="no", logging_strategy="no", disable_tqdm=True, use_cpu=True, warmup_steps=0.05,
                lr_scheduler_type="cosine", learning_rate=5e-4,
            )  # fmt: skip
            data = [{"input_ids": one, "labels": one} for one in ids.tolist()]
            trainer = Trainer(GPT2LMHeadModel(config), arguments, train_dataset=data)
            start = time.process_time()
            trainer.train()
            theirs.append(ids.size / (time.process_time() - start))
    peak, rate, trainer_rate = (statistics.median(one) for one in (peaks, ours, theirs))
    print(f"products of matrices: {peak / 1e9:.1f} GFLOP/s; a token: {operations_per_token() / 1e6:.1f} MFLOP")
    print(f"this loop: {rate:,.0f} tokens per CPU second, {rate * operations_per_token() / peak:.2f} of the limit")
    print(f"data: {statistics.median(shares):.2%} of a step")
    ratio = rate / trainer_rate
    print(f"transformers' Trainer, same rows: {trainer_rate:,.0f} tokens per CPU second, ratio {ratio:.2f}")


def course(genome: Path, folder: Path, lines: int, turns: int) -> None:
    """What the course does: lines of 1,000 bases, each padded to 256 tokens, transformers' Trainer and its collator.

    Both ways have GPT-2's own dropout, as many lines an update and the same weights; what counts are the tokens of the
    bases, not the padding.
    """
    import numpy as np
    import torch
    from transformers import (
        AutoTokenizer,
        DataCollatorForLanguageModeling,
        GPT2Config,
        GPT2LMHeadModel,
        Trainer,
        TrainingArguments,
    )

    from seqlm.data.sequences import read_records
    from seqlm.inference.batching import Row
    from seqlm.tools.pretrain.instructions import Rows
    from seqlm.training.language_training import TokenLesson
    from seqlm.training.loop import Loop
    from seqlm.training.state import Settings

    torch.set_num_threads(1)
    longest, batch = 256, 16
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.pad_token = tokenizer.eos_token
    bases = "".join(next(read_records(genome)).sequence[: 1000 * lines].split())
    texts = [bases[at : at + 1000] for at in range(0, len(bases), 1000)]
    ids = tokenizer(texts, truncation=True, max_length=longest)["input_ids"]
    tokens = sum(map(len, ids))
    rows = Rows([Row(np.array(one), np.ones(len(one), np.float32), owner) for owner, one in enumerate(ids)])
    padded = tokenizer(texts, truncation=True, padding="max_length", max_length=longest)
    padded = [dict(zip(padded, values, strict=True)) for values in zip(*padded.values(), strict=True)]
    config = GPT2Config(
        vocab_size=len(tokenizer), n_positions=longest, n_embd=WIDTH, n_layer=LAYERS, n_head=HEADS,
        bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id,
    )  # fmt: skip
    ours, theirs = [], []
    for _ in range(turns):
        settings = Settings(1, batch_size=batch, budget=batch * longest, learning_rate=5e-4)
        loop = Loop(GPT2LMHeadModel(config), TokenLesson(rows, lengths=rows.lengths), settings)
        start = time.process_time()
        loop.run()
        ours.append(tokens / (time.process_time() - start))
        with tempfile.TemporaryDirectory() as scratch:
            arguments = TrainingArguments(
                output_dir=scratch, num_train_epochs=1, per_device_train_batch_size=batch, report_to="none",
                save_strategy="no", logging_strategy="no", disable_tqdm=True, use_cpu=True,
            )  # fmt: skip
            collator = DataCollatorForLanguageModeling(tokenizer=tokenizer, mlm=False)
            trainer = Trainer(GPT2LMHeadModel(config), arguments, train_dataset=padded, data_collator=collator)
            start = time.process_time()
            trainer.train()
            theirs.append(tokens / (time.process_time() - start))
    ratios = sorted(one / other for one, other in zip(ours, theirs, strict=True))
    print(f"{len(texts)} lines, {tokens / len(texts):.0f} tokens each, padded to {longest} in the course's way")
    print(
        f"this loop {statistics.median(ours):,.0f}, the course's {statistics.median(theirs):,.0f} tokens per CPU second"
    )
    print(f"ratio {statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f} in {turns} turns)")


def memory(millions: list[int]) -> None:
    import numpy as np

    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        tokenizer = Path(__file__).parents[1] / "test-data" / "tokenizer_dna_gpt2.zip"
        for million in millions:
            with open(folder / "genome.fasta", "w") as out:
                for number in range(max(1, million // 5)):
                    draw = np.random.default_rng(number).integers(0, 4, min(million, 5) * 1_000_000, np.uint8)
                    text = np.frombuffer(b"ACGT", np.uint8)[draw].tobytes().decode()
                    out.write(f">chr{number}\n")
                    out.writelines(text[at : at + 80] + "\n" for at in range(0, len(text), 80))
            command = [
                sys.executable, SCRIPTS / "pretrain.py", "--corpus", folder / "genome.fasta", "--architecture", "gpt2",
                "--tokenizer", tokenizer, "--layers", 1, "--width", 32, "--heads", 2, "--context", 256, "--max-steps",
                5, "--held-out-letters", 20000, "--threads", 1, "--output-model", folder / "model.zip",
            ]  # fmt: skip
            start = time.perf_counter()
            child = subprocess.Popen(list(map(str, command)), stderr=subprocess.DEVNULL)
            _, status, usage = os.wait4(child.pid, 0)
            used = usage.ru_maxrss / 1024
            print(f"{million} million bases: {used:,.0f} MiB, {time.perf_counter() - start:.0f} s, status {status}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--updates", type=int, default=3)
    parser.add_argument("--memory", type=int, nargs="+", metavar="MILLIONS")
    parser.add_argument("--course", type=Path, nargs=2, metavar=("FASTA", "FOLDER"))
    parser.add_argument("--lines", type=int, default=64)
    parser.add_argument("--turns", type=int, default=3)
    given = parser.parse_args()
    if given.memory:
        memory(given.memory)
    elif given.course:
        course(*given.course, given.lines, given.turns)
    else:
        speed(given.threads, given.updates)
