"""Models of 6-mers: what reading costs, and a scan of substitutions by the next letter beside whole sequences.

    python benchmarks/six_mers.py [--bases 60] [--turns 3]

Reading: a genome of random bases by the table of GENERator's 6-mers, and by the tokenizers library with the same tokens
(a regular expression that cuts six letters, and a list of words).

Scanning: score.py with a LLaMA of random weights (12 layers, 768 wide, 95 million), all substitutions of one sequence,
the two methods in turns. Seconds are those of the processor, start and loading included, so that what else the machine
does counts little; the sequence has no influence on them.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from shapes import ROOT

sys.path[:0] = [str(ROOT / "scripts"), str(ROOT / "tests")]

SIZES = {"num_hidden_layers": 12, "hidden_size": 768, "num_attention_heads": 12, "intermediate_size": 2048}


def reading(genome: str) -> None:
    import numpy as np
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers

    from makers.six_mer_models import SIX_MERS, SPECIAL
    from seqlm.tokenization.six_mers import SixMerReader

    vocabulary = {token: number for number, token in enumerate([*SPECIAL, *SIX_MERS])}
    library = Tokenizer(models.WordLevel(vocabulary, unk_token="<oov>"))
    library.pre_tokenizer = pre_tokenizers.Split(Regex("[A-Z]{6}|[A-Z]+"), "isolated")
    pieces = [genome[at : at + 60_001] for at in range(0, len(genome), 60_001)]  # no multiple of six
    ours = SixMerReader.of(vocabulary)
    for name, read in (
        ("table", lambda: [one.ids for one in ours.read(pieces)]),
        (
            "library",
            lambda: [np.asarray(one.ids) for one in library.encode_batch_fast(pieces, add_special_tokens=False)],
        ),
    ):
        start = time.process_time()
        found = read()
        print(f"{name}: {len(genome) / (time.process_time() - start) / 1e6:.1f} million bases a second of processor")
        if name == "table":
            expected = found
    assert all((one == other).all() for one, other in zip(expected, found, strict=True))


def make(folder: Path) -> None:
    """A GENERator of random weights."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from makers.six_mer_models import generator

    generator(folder)
    torch.manual_seed(0)
    config = LlamaConfig(vocab_size=4128, max_position_embeddings=16384, bos_token_id=1, eos_token_id=2, **SIZES)
    LlamaForCausalLM(config).save_pretrained(folder)


def processor_seconds(command: list) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(list(map(str, command)), check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bases", type=int, default=60)
    parser.add_argument("--turns", type=int, default=3)
    arguments = parser.parse_args()
    rng = random.Random(1)
    reading("".join(rng.choices("ACGT", k=30_000_000)))
    with tempfile.TemporaryDirectory() as scratch:
        folder, fasta = Path(scratch) / "model", Path(scratch) / "one.fasta"
        folder.mkdir()
        make(folder)
        fasta.write_text(">one\n" + "".join(rng.choices("ACGT", k=arguments.bases)) + "\n")
        common = [sys.executable, ROOT / "scripts" / "score.py", "--model", folder, "--sequences", fasta, "--scan"]
        common += ["--device", "cpu", "--threads", "1", "--output-table", Path(scratch) / "t.tsv", "--method"]
        seconds = {"next-letter": [], "log-likelihood-ratio": []}
        for _ in range(arguments.turns):
            for method, found in seconds.items():
                found.append(processor_seconds([*common, method]))
        medians = {method: statistics.median(found) for method, found in seconds.items()}
        print(json.dumps({"bases": arguments.bases, **{method: round(one, 1) for method, one in medians.items()}}))
        ratios = [two / one for one, two in zip(*seconds.values(), strict=True)]
        print(f"ratio of each turn: {', '.join(f'{one:.1f}' for one in ratios)}")


if __name__ == "__main__":
    main()
