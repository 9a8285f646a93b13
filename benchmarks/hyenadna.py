"""HyenaDNA beside a transformer of the same width, and what 160,000 bases take.

    python benchmarks/hyenadna.py

Random weights of published shapes. The transformer is an ESM-2, as wide and as deep, with fused attention and heads of
16 numbers, as the smallest ESM-2 has, or of 64, as most have; all compute one row in turns, in one process on one
thread, and what counts is the time of the processor. Memory is what the tool itself says it expected and used.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from shapes import ENVIRONMENT, ROOT

sys.path.insert(0, str(ROOT / "scripts"))

SMALL, MEDIUM = {"n_layer": 4, "max_seq_len": 32_770}, {"n_layer": 8, "max_seq_len": 160_002}


def pairs(tokens: int, times: int) -> None:
    """The models in turns on one row; prints seconds of the processor and ratios."""
    import torch
    from transformers import EsmConfig, EsmModel

    from seqlm.models.hyenadna import HyenaDnaConfig, HyenaDnaModel

    torch.set_num_threads(1)
    torch.manual_seed(0)
    hyena = HyenaDnaModel(HyenaDnaConfig(**SMALL)).eval()
    width, models = hyena.config.d_model, {0: hyena}
    for across in (64, 16):
        config = EsmConfig(
            vocab_size=16, hidden_size=width, num_hidden_layers=4, num_attention_heads=width // across,
            intermediate_size=4 * width, position_embedding_type="rotary", max_position_embeddings=tokens + 2,
            pad_token_id=4, mask_token_id=3, attn_implementation="sdpa",
        )  # fmt: skip
        models[across] = EsmModel(config, add_pooling_layer=False).eval()
    ids, found = torch.randint(7, 11, (1, tokens)), {name: [] for name in models}
    with torch.inference_mode():
        for model in models.values():
            model(input_ids=ids[:, :1000])  # what is set up once
        for _ in range(times):
            for name, model in models.items():
                start = time.process_time()
                model(input_ids=ids)
                found[name].append(time.process_time() - start)
    print(f"{tokens:,} bases: HyenaDNA {statistics.median(found[0]):.2f} s")
    for across in (64, 16):
        ratios = [slow / fast for slow, fast in zip(found[across], found[0], strict=True)]
        print(
            f"    transformer, heads of {across}: {statistics.median(found[across]):.2f} s, "
            f"{statistics.median(ratios):.1f} times ({min(ratios):.1f} to {max(ratios):.1f} over {times} turns)",
            flush=True,
        )


def embedding(tokens: int, scratch: Path) -> None:
    """The tool on one sequence; prints seconds of the processor, and memory."""
    (scratch / "one.fasta").write_text(">one\n" + "".join(random.Random(1).choices("ACGT", k=tokens)) + "\n")
    tool = [sys.executable, ROOT / "scripts" / "embed.py", "--model", scratch / "model", "--threads", "1"]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [*map(str, tool), "--sequences", scratch / "one.fasta", "--output-table", scratch / "table.tsv"],
        capture_output=True, text=True, check=True, env=ENVIRONMENT,
    )  # fmt: skip
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    said = re.search(r"memory: (.*)", done.stderr)[1]
    print(f"{tokens:,} bases: {after.ru_utime - before.ru_utime:.0f} s; {said}", flush=True)


def medium(folder: Path) -> None:
    """A folder of the shape of hyenadna-medium-160k."""
    from seqlm.models.hyenadna import HyenaDnaConfig, HyenaDnaForCausalLM

    HyenaDnaForCausalLM(HyenaDnaConfig(**MEDIUM)).save_pretrained(folder)
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "HyenaDNATokenizer"}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=3, help="of passes at each length (default: %(default)s)")
    arguments = parser.parse_args()
    print("one row, the shape of hyenadna-small-32k (4 layers, 256 wide):")
    for tokens in (1_000, 4_000, 16_000):
        pairs(tokens, arguments.pairs)
    print("embedding, the shape of hyenadna-medium-160k (8 layers, 256 wide):")
    with TemporaryDirectory() as scratch:
        medium(Path(scratch) / "model")
        for tokens in (20_000, 40_000, 80_000, 160_000):
            embedding(tokens, Path(scratch))


if __name__ == "__main__":
    main()
