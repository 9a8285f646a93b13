"""1,000 sequences from a model of ProtGPT2's kind: our slots beside transformers' pipeline, generate, generate_batch.

    python benchmarks/generation.py [--sequences 1000] [--tokens 100] [--part 100] [--ways ours generate pipeline …]

The model has GPT-2's shape with 38 million random weights and ProtGPT2's vocabulary size, and hardly ever ends a
sequence: every way writes the same number of tokens. All draw from 950 tokens with a repetition penalty of 1.2. Ways,
each in a process of its own so that peak memory is its own:

ours      seqlm.inference.sampling, 128 slots
generate  model.generate once, num_return_sequences as many as there are to be
pipeline  the tutorial's: pipeline('text-generation') with num_return_sequences=10, again and again; since each call
          costs the same, its rate is measured on a part (--part)
batch     model.generate_batch, transformers' continuous batching, on a part as well

Then two checks of what was written: greedy choices of ours and of generate are the same tokens; and peak memory of ours
with a tenth of the sequences.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time

from shapes import ENVIRONMENT, ROOT

sys.path.insert(0, str(ROOT / "scripts"))
TOP_K, PENALTY, SLOTS = 950, 1.2, 128


def model():
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(0)
    config = GPT2Config(vocab_size=50257, n_embd=512, n_layer=4, n_head=8, bos_token_id=0, eos_token_id=0)
    return GPT2LMHeadModel(config).eval()


def ours(count: int, tokens: int, sample: bool = True) -> list[list[int]]:
    import numpy as np

    from seqlm.inference.drawing import Drawing
    from seqlm.inference.sampling import Job, Limits
    from seqlm.inference.sampling import sample as write

    drawing = Drawing(sample=sample, top_k=TOP_K, repetition_penalty=PENALTY)
    jobs, limits = [Job(0, seed) for seed in range(count)], Limits((0,), tokens)
    return [one.ids.tolist() for _, one in write(model(), [np.array([0])], jobs, drawing, limits, SLOTS)]


def generate(count: int, tokens: int, sample: bool = True) -> list[list[int]]:
    import torch

    with torch.inference_mode():
        found = model().generate(
            torch.zeros(1, 1, dtype=torch.long),
            attention_mask=torch.ones(1, 1, dtype=torch.long),
            max_length=tokens,
            do_sample=sample,
            top_k=TOP_K if sample else None,
            repetition_penalty=PENALTY,
            num_return_sequences=count,
            eos_token_id=0,
            pad_token_id=0,
        )
    return found.tolist()


def pipeline(count: int, tokens: int) -> list:
    """As in the tutorial; the tokens of the tokenizer are numbers, which costs next to nothing."""
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast
    from transformers import pipeline as make

    vocabulary = {"<|endoftext|>": 0} | {f"t{number}": number for number in range(1, 50257)}
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(models.WordLevel(vocabulary, unk_token="<|endoftext|>")),
        eos_token="<|endoftext|>",
        unk_token="<|endoftext|>",
    )
    write = make("text-generation", model=model(), tokenizer=tokenizer, device="cpu")
    found = []
    for _ in range(count // 10):
        found += write(
            "<|endoftext|>", max_length=tokens, max_new_tokens=None, do_sample=True, top_k=TOP_K,
            repetition_penalty=PENALTY, num_return_sequences=10, eos_token_id=0,
        )  # fmt: skip
    return found


def batch(count: int, tokens: int) -> list:
    from transformers import GenerationConfig

    config = GenerationConfig(
        max_new_tokens=tokens - 1,
        do_sample=True,
        top_k=TOP_K,
        repetition_penalty=PENALTY,
        eos_token_id=0,
        pad_token_id=0,
    )
    return list(model().generate_batch([[0]] * count, generation_config=config).values())


def run(way: str, count: int, tokens: int) -> dict:
    """Seconds and peak memory of one way, in this process; loading the libraries and making the model do not count."""
    import torch

    torch.set_num_threads(int(os.environ.get("THREADS", "2")))
    globals()[way](10, 3)  # what is compiled or allocated once
    started = time.monotonic()
    found = globals()[way](count, tokens)
    seconds = time.monotonic() - started
    assert len(found) == count
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"seconds": seconds, "rate": count / seconds, "peak": peak}


def apart(way: str, count: int, tokens: int) -> dict:
    command = [sys.executable, __file__, "--one", way, "--sequences", str(count), "--tokens", str(tokens)]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True)
    if done.returncode:
        return {"failed": (done.stderr.strip().splitlines() or ["?"])[-1][:200]}
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sequences", type=int, default=1000)
    parser.add_argument("--tokens", type=int, default=100)
    parser.add_argument("--part", type=int, default=50, help="sequences of the pipeline and of continuous batching")
    parser.add_argument("--ways", nargs="+", default=["ours", "generate", "pipeline", "batch"])
    parser.add_argument("--one", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(run(arguments.one, arguments.sequences, arguments.tokens)))
        return
    for way in arguments.ways:
        count = arguments.part if way in ("pipeline", "batch") else arguments.sequences
        got = apart(way, count, arguments.tokens)
        if "failed" in got:
            print(f"{way}: failed, {got['failed']}", flush=True)
            continue
        if way == "ours":
            base = got["rate"]
        print(
            f"{way}: {got['rate']:.2f} sequences a second ({count} in {got['seconds']:.0f} s), ours is "
            f"{base / got['rate']:.2f} times as fast, peak memory {got['peak']:.0f} MB",
            flush=True,
        )
    fewer = apart("ours", arguments.sequences // 10, arguments.tokens)
    print(f"ours, a tenth of the sequences: peak memory {fewer['peak']:.0f} MB")
    same = ours(1, 40, sample=False)[0] == generate(1, 40, sample=False)[0]
    print(f"greedy choices of ours and of generate are the same: {same}")


if __name__ == "__main__":
    main()
