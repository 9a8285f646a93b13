"""Scanning every Y, S and T of a proteome beside a plain loop over the same windows, and its memory.

    python benchmarks/scan.py PROTEINS.fasta [--part WINDOWS]

The loop: windows in the order of the file, eight at a time, transformers' tokenizer and model with eager attention,
mean over the residues, the bundle's head. ``file order`` pads a batch to its longest, which costs nothing where all
windows have one length; ``one at a time`` is a batch of one, as notebooks predict; ``to 1,024`` pads to what the
model was made for, as notebooks do that tokenize with padding="max_length". Ours is ``predict.py --sites STY``, from
the first window on. Rates are of a part of the windows, each way in a process of its own, all in one call. The model
has ESM-2 8M's shape and random weights. Memory is compared on a tiny model, whose own share is small.
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
from itertools import islice
from pathlib import Path

from shapes import ENVIRONMENT, ROOT, esm2_8m, finetuned

sys.path.insert(0, str(ROOT / "scripts"))
LOOPS = {"file order": (8, "longest"), "one at a time": (1, "longest"), "to 1,024": (8, "max_length")}


def windows(path: str):
    from seqlm.data.records import PROTEIN, Rules
    from seqlm.data.sequences import clean, read_records
    from seqlm.data.sites import site_positions, window_around

    for record in read_records(path):
        sequence = clean(record, PROTEIN, {}, Rules(), path)
        for position in site_positions(sequence, "STY"):
            yield window_around(sequence, position, 33)


def loop(way: str, folder: Path, proteins: str, part: int) -> dict:
    """Windows a second of a plain loop, and the probabilities that it gives."""
    import torch
    from safetensors.torch import load_file
    from transformers import AutoTokenizer, EsmModel

    size, padding = LOOPS[way]
    chosen = list(islice(windows(proteins), part if padding == "longest" else part // 40))
    tokenizer = AutoTokenizer.from_pretrained(folder / "base")
    model = EsmModel.from_pretrained(folder / "base", add_pooling_layer=False, attn_implementation="eager").eval()
    head = load_file(folder / "bundle" / "head.safetensors")
    probabilities = []
    start = time.perf_counter()
    with torch.inference_mode():
        for at in range(0, len(chosen), size):
            tokens = tokenizer(chosen[at : at + size], return_tensors="pt", padding=padding, max_length=1024)
            hidden = model(**tokens).last_hidden_state
            real = tokens["attention_mask"].clone()
            real[:, 0] = 0
            real.scatter_(1, tokens["attention_mask"].sum(1, keepdim=True) - 1, 0)  # the end token
            vectors = (hidden * real[:, :, None]).sum(1) / real.sum(1, keepdim=True)
            vectors = torch.tanh(vectors @ head["dense.weight"].T + head["dense.bias"])
            outputs = vectors @ head["out.weight"].T + head["out.bias"]
            probabilities += torch.softmax(outputs, -1)[:, 1].tolist()
    return {"rate": len(chosen) / (time.perf_counter() - start), "probabilities": probabilities}


def scan(bundle: Path, base: Path, proteins: Path, target: Path) -> dict:
    """predict.py over a whole file: its rate, its probabilities, its peak memory in MiB."""
    script = (
        "import resource, runpy, sys; sys.argv = sys.argv[1:]; sys.path.insert(0, sys.argv[0].rsplit('/', 1)[0])\n"
        "try: runpy.run_path(sys.argv[0], run_name='__main__')\n"
        "finally: print('PEAK', resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)"
    )
    options = {
        "--model": bundle,
        "--base-model": base,
        "--sequences": proteins,
        "--sites": "STY",
        "--output-table": target,
        "--output-gff3": target.with_suffix(".gff3"),
    }
    command = [
        sys.executable,
        "-c",
        script,
        ROOT / "scripts" / "predict.py",
        *(x for pair in options.items() for x in pair),
    ]
    start = time.perf_counter()
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=True, env=ENVIRONMENT)
    rate = re.findall(r"100% of [\d,]+ sites, ([\d.]+) a second", done.stderr)[-1]
    with target.open() as rows:
        probabilities = [float(row["probability_1"]) for row in csv.DictReader(rows, delimiter="\t")]
    return {
        "rate": float(rate),
        "seconds": time.perf_counter() - start,
        "peak_mib": float(re.search(r"PEAK ([\d.]+)", done.stdout).group(1)),
        "probabilities": probabilities,
    }


def first(proteins: str, count: int, target: Path) -> Path:
    from seqlm.data.sequences import read_records

    with target.open("w") as out:
        for record in islice(read_records(proteins), count):
            out.write(f">{record.id}\n{record.sequence}\n")
    return target


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("proteins", metavar="FASTA")
    parser.add_argument("--part", type=int, default=4000, metavar="WINDOWS", help="of the loops")
    parser.add_argument("--proteins-at", type=int, nargs="*", default=[100], metavar="N", help="sizes of the scans")
    parser.add_argument("--memory-at", type=int, nargs="*", default=[400, 4298], metavar="N", help="with a tiny model")
    parser.add_argument("--way", choices=LOOPS, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.way:
        print("RESULT " + json.dumps(loop(arguments.way, arguments.folder, arguments.proteins, arguments.part)))
        return
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        data = ROOT / "test-data" / "sites_train.fasta"
        finetuned(esm2_8m(folder / "base"), folder / "bundle.zip", "--train", data, "--method", "head")
        zipfile.ZipFile(folder / "bundle.zip").extractall(folder / "bundle")
        results = {}
        for way in LOOPS:
            command = [sys.executable, __file__, arguments.proteins, "--part", str(arguments.part), "--way", way]
            done = subprocess.run([*command, "--folder", str(folder)], capture_output=True, text=True, env=ENVIRONMENT)
            if done.returncode:
                sys.exit(done.stderr)
            results[way] = json.loads(done.stdout.split("RESULT ")[-1])
            print(f"loop, {way:14} {results[way]['rate']:8.1f} windows/s", flush=True)
        for count in arguments.proteins_at:
            proteins = first(arguments.proteins, count, folder / "some.fasta")
            ours = scan(folder / "bundle.zip", folder / "base", proteins, folder / "some.tsv")
            print(
                f"ours, {count} proteins, {len(ours['probabilities']):,} windows: {ours['rate']:.1f} windows/s, "
                f"{ours['seconds']:.0f} s with loading, peak memory {ours['peak_mib']:.0f} MiB",
                flush=True,
            )
            for way, found in results.items():
                both = list(zip(found["probabilities"], ours["probabilities"], strict=False))
                worst = max(abs(one - other) for one, other in both)
                print(
                    f"  {ours['rate'] / found['rate']:5.1f} times {way}; outputs of {len(both)} differ by {worst:.1e}"
                )
                if worst > 1e-4:
                    sys.exit("the outputs differ")
        data, tiny = ROOT / "test-data" / "bundle_lora_t5.zip", ROOT / "test-data" / "models" / "tiny-t5"
        for count in arguments.memory_at:
            found = scan(data, tiny, first(arguments.proteins, count, folder / "some.fasta"), folder / "some.tsv")
            print(
                f"tiny T5, at most {count:,} proteins, {len(found['probabilities']):,} windows: "
                f"{found['seconds']:.0f} s, peak memory {found['peak_mib']:.0f} MiB",
                flush=True,
            )


if __name__ == "__main__":
    main()
