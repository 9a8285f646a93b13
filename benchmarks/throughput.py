"""Training and prediction beside the way of the fine-tuning notebooks, on the same model and the same sequences.

    python benchmarks/throughput.py [--windows FASTA …] [--proteins FASTA]

The notebook way: every sequence padded to the longest of the whole set, fp32, eager attention, one sequence at a time,
gradients of eight added up. Ours: rows sorted by length, 2,048 padded tokens a pass, fused attention; the same LoRA
adapter, eight sequences an update. Each way runs in a process of its own, so that its peak memory is its own, and both
in one call, so that the ratio is not that of two moods of the machine. As every sequence costs the notebook the same,
its rate is measured on a part of them.

The model has the shape of ESM-2 8M (6 layers, 320 wide, 20 heads) and random weights. Without files, 251 windows of
33 residues and 300 proteins with lengths as in Swiss-Prot are drawn at random.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import random
import resource
import subprocess
import sys
import time
from itertools import islice
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "scripts"))
NOTEBOOK_PART = 24  # sequences
WAYS = ("notebook-train", "ours-train", "notebook-predict", "ours-predict")


def sequences(windows: list[str], proteins: str | None) -> list[str]:
    from seqlm.data.records import PROTEIN, Rules
    from seqlm.data.sequences import clean, read_records

    rng = random.Random(1)

    def draw(length: int) -> str:
        return "".join(rng.choices("ALGVSREDTIPKFQNYMHWC", k=length))

    def read(path: str):
        return (clean(record, PROTEIN, {}, Rules(), path) for record in read_records(path))

    given = [sequence for path in windows for sequence in read(path)]
    short = given or [draw(33) for _ in range(251)]
    if proteins:
        long = [sequence[:1022] for sequence in islice(read(proteins), 300)]
    else:
        # log-normal around a median of 294 residues, roughly as in UniProtKB/Swiss-Prot
        long = [draw(min(1022, max(40, int(rng.lognormvariate(math.log(294), 0.64))))) for _ in range(300)]
    return short + long


def build(attention: str):
    import torch
    from peft import LoraConfig, TaskType, get_peft_model
    from transformers import EsmConfig, EsmModel

    from seqlm.inference.loading import SequenceModel
    from seqlm.inference.tasks import Head, Task

    torch.manual_seed(0)
    config = EsmConfig(
        vocab_size=33,
        hidden_size=320,
        num_hidden_layers=6,
        num_attention_heads=20,
        intermediate_size=1280,
        max_position_embeddings=1026,
        position_embedding_type="rotary",
        token_dropout=True,
        mask_token_id=32,
        pad_token_id=1,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        attn_implementation=attention,
    )
    backbone = EsmModel(config, add_pooling_layer=False).eval()
    adapter = LoraConfig(task_type=TaskType.FEATURE_EXTRACTION, r=4, lora_alpha=8, target_modules=["query", "value"])
    head = Head(320, 2, dropout=0.0)
    task = Task("sequence-classification", ("0", "1"))
    return SequenceModel(get_peft_model(backbone, adapter), 320, head, task)


def encode(texts: list[str]):
    from seqlm.families.esm import Esm
    from seqlm.families.vocabulary import read_vocabulary
    from seqlm.tokenization.encoder import Encoder

    folder = ROOT / "test-data" / "models" / "tiny-esm"  # for its 33 tokens, which are those of every ESM-2
    config = {"max_position_embeddings": 1026, "hidden_size": 320, "vocab_size": 33, "pad_token_id": 1}
    encoder = Encoder(Esm(config, read_vocabulary(folder)), folder)
    return [encoder.encode(text) for text in texts], encoder.padding


def padded(one, longest: int, padding: int):
    """One sequence as the notebooks make it: padded to the longest of all."""
    import torch

    from seqlm.inference.batching import Row, collate

    batch = collate([Row(one.rows[0], one.weights[0], 0)], padding)
    extra = longest - batch.ids.shape[1]
    for name, value in (("ids", padding), ("mask", 0), ("weights", 0.0)):
        setattr(batch, name, torch.nn.functional.pad(getattr(batch, name), (0, extra), value=value))
    return batch


def measure(way: str, texts: list[str]) -> dict:
    """Sequences a second of one way, in this process; predictions for the comparison."""
    import numpy as np
    import torch

    from seqlm.inference.inference import pooled_vectors
    from seqlm.tools.finetune.examples import Examples
    from seqlm.tools.finetune.label_training import train
    from seqlm.training.state import Settings

    model = build("eager" if way.startswith("notebook") else "sdpa")
    encoded, padding = encode(texts)
    truth = np.arange(len(texts)) % 2
    longest = max(one.longest for one in encoded)
    outputs = None
    start = time.perf_counter()
    if way == "ours-train":
        train(model, Examples(model.task, encoded, truth), None, padding, Settings(epochs=1))
        count = len(texts)
    elif way == "ours-predict":
        with torch.inference_mode():
            outputs = model.head(pooled_vectors(model, encoded, padding, 2048))
        count = len(texts)
    else:
        # a spread of the whole set, so that the outputs compared are of all lengths
        chosen = list(range(0, len(texts), len(texts) // NOTEBOOK_PART))[:NOTEBOOK_PART]
        count = len(chosen)
        if way == "notebook-train":
            optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=3e-4)
            model.train()
            for step, item in enumerate(chosen, start=1):
                loss = model.task.loss(
                    model(padded(encoded[item], longest, padding)), torch.tensor([truth[item]]), model.head
                )
                (loss.sum() / 8).backward()
                if step % 8 == 0:
                    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
                    optimizer.step()
                    optimizer.zero_grad()
        else:
            with torch.inference_mode():
                outputs = torch.cat([model(padded(encoded[item], longest, padding)) for item in chosen])
    seconds = time.perf_counter() - start
    result = {
        "rate": count / seconds,
        "seconds": seconds,
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }
    if outputs is not None:
        result["outputs"] = outputs.tolist()
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--windows", nargs="*", default=[], metavar="FASTA")
    parser.add_argument("--proteins", metavar="FASTA")
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    texts = sequences(arguments.windows, arguments.proteins)
    if arguments.way:
        print("RESULT " + json.dumps(measure(arguments.way, texts)))
        return
    lengths = sorted(map(len, texts))
    print(f"{len(texts)} sequences of {lengths[0]} to {lengths[-1]} residues, median {lengths[len(lengths) // 2]}")
    results = {}
    for way in WAYS:
        command = [sys.executable, __file__, *sys.argv[1:], "--way", way]
        # for both ways, as the tools set it: threads that spin while they wait suffer on a shared machine
        environment = {**os.environ, "OMP_WAIT_POLICY": "PASSIVE"}
        done = subprocess.run(command, capture_output=True, text=True, env=environment)
        found = [line for line in done.stdout.splitlines() if line.startswith("RESULT ")]
        if not found:
            sys.exit(done.stderr)
        results[way] = json.loads(found[-1].removeprefix("RESULT "))
        print(f"{way:17} {results[way]['rate']:8.2f} sequences/s   peak memory {results[way]['peak_mib']:6.0f} MiB")
    for work in ("train", "predict"):
        ratio = results[f"ours-{work}"]["rate"] / results[f"notebook-{work}"]["rate"]
        print(f"{work}: {ratio:.1f} times the notebook way")
    theirs = results["notebook-predict"]["outputs"]
    ours = results["ours-predict"]["outputs"][:: len(texts) // NOTEBOOK_PART][:NOTEBOOK_PART]
    worst = max(
        abs(a - b) for first, second in zip(theirs, ours, strict=True) for a, b in zip(first, second, strict=True)
    )
    print(f"largest difference of the outputs: {worst:.1e}")
    if worst > 1e-4:
        sys.exit("the outputs differ")


if __name__ == "__main__":
    main()
