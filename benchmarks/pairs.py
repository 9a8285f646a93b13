"""Scoring pairs of proteins: each protein embedded once, beside a loop that encodes both members of every pair.

    python benchmarks/pairs.py PAIRS.tsv PROTEINS.fasta

The loop takes eight pairs at a time in the order of the file, pads their sixteen members to the longest, and runs
transformers' model with eager attention; it is timed on a part of the pairs, spread over the whole table. Ours is
``predict.py`` on all of them, from the first sequence to the last row. The model has ESM-2 8M's shape and random
weights.
"""

from __future__ import annotations

import argparse
import csv
import json
import re
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

from shapes import ENVIRONMENT, ROOT, esm2_8m, finetuned

sys.path.insert(0, str(ROOT / "scripts"))
PAIRS_AT_ONCE = 8


def rows(path: str) -> list[list[str]]:
    return [line.rstrip("\n").split("\t") for line in open(path)]


def loop(folder: Path, pairs: str, proteins: str, part: int) -> dict:
    import torch
    from safetensors.torch import load_file
    from transformers import AutoTokenizer, EsmModel

    from seqlm.data.sequences import read_records

    sequences = {record.id: record.sequence[:1022] for record in read_records(proteins)}
    table = rows(pairs)
    batches = len(table) // PAIRS_AT_ONCE
    chosen = [
        place * PAIRS_AT_ONCE + offset
        for place in range(0, batches, max(1, batches * PAIRS_AT_ONCE // part))
        for offset in range(PAIRS_AT_ONCE)
    ]
    tokenizer = AutoTokenizer.from_pretrained(folder / "base")
    model = EsmModel.from_pretrained(folder / "base", add_pooling_layer=False, attn_implementation="eager").eval()
    head = load_file(folder / "bundle" / "head.safetensors")
    probabilities = []
    start = time.perf_counter()
    with torch.inference_mode():
        for at in range(0, len(chosen), PAIRS_AT_ONCE):
            names = [name for place in chosen[at : at + PAIRS_AT_ONCE] for name in table[place][:2]]
            tokens = tokenizer([sequences[name] for name in names], return_tensors="pt", padding="longest")
            hidden = model(**tokens).last_hidden_state
            real = tokens["attention_mask"].clone()
            real[:, 0] = 0
            real.scatter_(1, tokens["attention_mask"].sum(1, keepdim=True) - 1, 0)  # the end token
            vectors = (hidden * real[:, :, None]).sum(1) / real.sum(1, keepdim=True)
            first, second = vectors[::2], vectors[1::2]
            joined = torch.cat([first + second, (first - second).abs(), first * second], 1)
            joined = torch.tanh(joined @ head["dense.weight"].T + head["dense.bias"])
            probabilities += torch.softmax(joined @ head["out.weight"].T + head["out.bias"], -1)[:, 1].tolist()
    return {"rate": len(chosen) / (time.perf_counter() - start), "chosen": chosen, "probabilities": probabilities}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pairs", metavar="TSV", help="two names and a label, no header")
    parser.add_argument("proteins", metavar="FASTA")
    parser.add_argument("--part", type=int, default=160, metavar="PAIRS", help="of the loop")
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.folder:
        found = loop(arguments.folder, arguments.pairs, arguments.proteins, arguments.part)
        print("RESULT " + json.dumps(found))
        return
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        data = ROOT / "test-data"
        train = ["--train", data / "interactions.tsv", "--sequences", data / "interacting.fasta"]
        options = ["--task", "pair-classification", "--method", "head", "--long-sequences", "truncate"]
        finetuned(esm2_8m(folder / "base"), folder / "bundle.zip", *train, *options)
        zipfile.ZipFile(folder / "bundle.zip").extractall(folder / "bundle")
        command = [sys.executable, __file__, *sys.argv[1:], "--folder", str(folder)]
        done = subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT)
        if done.returncode:
            sys.exit(done.stderr)
        theirs = json.loads(done.stdout.split("RESULT ")[-1])
        print(f"loop: {theirs['rate']:.2f} pairs/s, on {len(theirs['chosen'])} pairs", flush=True)
        command = [
            *(sys.executable, ROOT / "scripts" / "predict.py", "--model", folder / "bundle.zip"),
            *("--base-model", folder / "base", "--sequences", arguments.proteins, "--pairs", arguments.pairs),
            *("--output-table", folder / "scored.tsv"),
        ]
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=True, env=ENVIRONMENT)
        rate = float(re.findall(r"100% of [\d,]+ pairs, ([\d.]+) a second", done.stderr)[-1])
        with (folder / "scored.tsv").open() as table:
            ours = [float(row["probability_1" if "probability_1" in row else "probability_binds"])
                    for row in csv.DictReader(table, delimiter="\t")]  # fmt: skip
        print(f"ours: {rate:.2f} pairs/s, on {len(ours):,} pairs; {re.search('embedding .*', done.stderr).group()}")
        worst = max(abs(ours[at] - one) for at, one in zip(theirs["chosen"], theirs["probabilities"], strict=True))
        print(f"{rate / theirs['rate']:.1f} times the loop; outputs differ by {worst:.1e}")
        if worst > 1e-4:
            sys.exit("the outputs differ")


if __name__ == "__main__":
    main()
