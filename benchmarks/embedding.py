"""Embedding beside the loops of the tutorials, beside biotrainer, and beside the machine's own limit.

    python benchmarks/embedding.py PROTEINS.fasta DNA.csv [--dnabert2-tokenizer FOLDER] [--biotrainer PYTHON]

Every way reads the same folder of random weights and the same sequences, in a process of its own (so that peak memory
is its own), and all in one call. Ways:

ours        embed.py's own path: sorted batches under a budget of tokens, fused attention
eights      batches of eight in file order, eager attention, as most notebooks do
one-batch   every row padded to the longest of all, eager attention, as the DNABERT-2 tutorial does; since each row
            costs the same, its rate is measured on a part (--part)
biotrainer  PyPI's biotrainer on the whole FASTA file, in an environment of its own (--biotrainer names its Python)

The limit is the rate of one large product of matrices in the same process, measured before and after; useful operations
are those of real tokens: 2 a weight of every linear layer, 4 a pair of tokens and dimension in attention. Rates are per
second of wall time; ratios are what can be trusted on a shared machine. Pooled vectors of all ways must agree.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from shapes import ENVIRONMENT, ESM2_8M, ROOT

sys.path.insert(0, str(ROOT / "scripts"))
SHAPES = {  # layers, width, inner width, heads
    "esm2-8m": (6, 320, 1280, 20),
    "esm2-35m": (12, 480, 1920, 20),
    "esm2-150m": (30, 640, 2560, 20),
    "dnabert2": (12, 768, 3072, 12),
}
LONGEST = 1022  # residues; what is longer is cut for every way


def make_esm(shape: str):
    """An ESM-2 of random weights."""
    import torch
    from transformers import EsmConfig, EsmModel

    torch.manual_seed(0)
    layers, width, inner, heads = SHAPES[shape]
    sizes = {
        "num_hidden_layers": layers, "hidden_size": width, "intermediate_size": inner, "num_attention_heads": heads,
    }  # fmt: skip
    return EsmModel(EsmConfig(**ESM2_8M | sizes), add_pooling_layer=False)


def make_model(shape: str, folder: Path, tokenizer: Path | None) -> None:
    """A Hugging Face folder of random weights."""
    import torch

    if shape == "dnabert2":
        torch.manual_seed(0)
        layers, width, inner, heads = SHAPES[shape]
        from seqlm.models.dnabert2 import DnaBert2Config, DnaBert2Model

        tokenizer = tokenizer or ROOT / "test-data" / "models" / "tiny-dnabert2"
        for name in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"):
            if (tokenizer / name).is_file():
                shutil.copyfile(tokenizer / name, folder / name)
        config = json.loads((tokenizer / "config.json").read_text())
        config |= {
            "hidden_size": width, "num_hidden_layers": layers, "num_attention_heads": heads,
            "intermediate_size": inner, "vocab_size": 4096,
        }  # fmt: skip
        config = {name: value for name, value in config.items() if name != "auto_map"}
        DnaBert2Model(DnaBert2Config(**config)).save_pretrained(folder)
        return
    make_esm(shape).save_pretrained(folder)
    for name in ("vocab.txt", "tokenizer_config.json"):
        shutil.copyfile(ROOT / "test-data" / "models" / "tiny-esm" / name, folder / name)


def read(path: Path, count: int) -> list[tuple[str, str]]:
    """``count`` sequences spread evenly over a file."""
    from seqlm.data.sequences import read_records

    records = [(record.id, record.sequence[:LONGEST]) for record in read_records(path)]
    count = min(count, len(records))
    return [records[index * len(records) // count] for index in range(count)]


def matmul_rate(torch) -> float:
    """Floating-point operations a second of a product of two 2,048 x 2,048 matrices; the best of five."""
    left, right = torch.randn(2048, 2048), torch.randn(2048, 2048)
    times = []
    for _ in range(5):
        start = time.perf_counter()
        left @ right
        times.append(time.perf_counter() - start)
    return 2 * 2048**3 / min(times)


def useful(shape: str, tokens: list[int]) -> float:
    """Floating-point operations for rows of so many real tokens."""
    layers, width, inner, _ = SHAPES[shape]
    weights = 4 * width * width + (3 if shape == "dnabert2" else 2) * width * inner
    return float(sum(layers * (2 * n * weights + 4 * n * n * width) for n in tokens))


def run_way(way: str, shape: str, folder: Path, sequences: list[tuple[str, str]], part: int) -> dict:
    import numpy as np
    import torch

    from seqlm.checkpoints.folder import read_model_folder
    from seqlm.families.recognition import recognise
    from seqlm.inference import inference, loading
    from seqlm.inference.batching import collate, rows_of
    from seqlm.inference.memory import usual_tokens
    from seqlm.tokenization.encoder import Encoder

    device = loading.prepare(0, 0, "cpu")
    base = read_model_folder(folder)
    family = recognise(base.path, base.config)
    encoder = Encoder(family, base.path)
    backbone = loading.load_backbone(base.path, family, torch.float32, device)
    model = loading.SequenceModel(backbone, family.hidden_size)
    done = sequences
    before = matmul_rate(torch)
    if way == "ours":
        start = time.perf_counter()
        encoded = encoder.encode_many(sequences)
        vectors = inference.pooled_vectors(model, encoded, encoder.padding, usual_tokens(device.type))
        seconds = time.perf_counter() - start
    else:
        if shape != "dnabert2":
            backbone.set_attn_implementation("eager")
        if way == "one-batch":
            done = sequences[:: max(1, len(sequences) // part)]
        start = time.perf_counter()
        encoded = encoder.encode_many(done)
        rows = rows_of(encoded)
        longest = max(one.longest for one in encoder.encode_many(sequences)) if way == "one-batch" else 0
        vectors = []
        # eager attention of our own architecture is torch's unfused kernel
        with torch.inference_mode(), torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
            for first in range(0, len(rows), 8):
                batch = collate(rows[first : first + 8], encoder.padding)
                extra = max(0, longest - batch.ids.shape[1])
                ids = torch.nn.functional.pad(batch.ids, (0, extra), value=encoder.padding)
                mask = torch.nn.functional.pad(batch.mask, (0, extra))
                hidden = backbone(input_ids=ids, attention_mask=mask).last_hidden_state
                weights = torch.nn.functional.pad(batch.weights, (0, extra))
                vectors.append((hidden * weights[:, :, None]).sum(1) / weights.sum(1, keepdim=True))
        vectors = torch.cat(vectors)
        seconds = time.perf_counter() - start
    limit = max(before, matmul_rate(torch))
    target = folder / f"{way}.npz"
    np.savez(target, ids=np.asarray([name for name, _ in done]), embeddings=vectors.numpy())
    work = useful(shape, [len(row) for one in encoded for row in one.rows])
    return {
        "rate": len(done) / seconds,
        "share": work / seconds / limit,
        "limit": limit,
        "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }


BIOTRAINER = """
import json, logging, resource, sys, time, warnings
warnings.filterwarnings("ignore"); logging.disable(logging.CRITICAL)
import numpy as np, torch
from biotrainer.embedders import EmbeddingService
from biotrainer.embedders.huggingface import ESM2
from transformers import EsmModel, EsmTokenizer
if __name__ == "__main__":
    folder, fasta, target = sys.argv[1:]
    # its own class for ESM-2, which it takes for models by their published name only; that for folders pools padding
    service = EmbeddingService(ESM2(
        name="facebook/esm2_t6_8M_UR50D", model=EsmModel.from_pretrained(folder).eval(),
        tokenizer=EsmTokenizer.from_pretrained(folder), use_half_precision=False, device=torch.device("cpu"),
    ))
    start = time.perf_counter()
    ids, vectors = [], []
    for record, vector in service.generate_embeddings(fasta, reduce=True):
        ids.append(record.seq_id); vectors.append(vector.cpu().numpy())
    seconds = time.perf_counter() - start
    np.savez(target, ids=np.asarray(ids), embeddings=np.stack(vectors))
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(json.dumps({"rate": len(ids) / seconds, "memory": memory}))
"""


def in_process(python: str, arguments: list[str]) -> dict:
    done = subprocess.run([python, *arguments], capture_output=True, text=True, env=ENVIRONMENT)
    if done.returncode:
        sys.exit(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


def difference(folder: Path, way: str) -> float:
    """Largest difference of any number of any vector from ours."""
    import numpy as np

    ours, other = (np.load(folder / f"{name}.npz") for name in ("ours", way))
    places = {name: place for place, name in enumerate(ours["ids"].tolist())}
    return float(
        np.abs(ours["embeddings"][[places[name] for name in other["ids"].tolist()]] - other["embeddings"]).max()
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("proteins", type=Path)
    parser.add_argument("dna", type=Path)
    parser.add_argument("--sequences", type=int, default=1000, help="of each file")
    parser.add_argument("--part", type=int, default=24, help="sequences of the way that pads all to the longest")
    parser.add_argument("--shapes", nargs="*", choices=SHAPES, default=["esm2-8m", "dnabert2"])
    parser.add_argument("--ways", nargs="*", default=["ours", "eights", "one-batch"])
    parser.add_argument("--dnabert2-tokenizer", type=Path)
    parser.add_argument("--biotrainer", help="Python of an environment that has it")
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        way, shape, folder = arguments.one
        sequences = read(Path(folder) / "sequences.fasta", 10**9)
        print(json.dumps(run_way(way, shape, Path(folder), sequences, arguments.part)))
        return
    os.environ.update(HF_HUB_OFFLINE="1")
    print("| shape | way | sequences/s | ours is faster | of the limit | peak memory | difference |")
    print("|---|---|---|---|---|---|---|")
    for shape in arguments.shapes:
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch)
            make_model(shape, folder, arguments.dnabert2_tokenizer)
            source = arguments.dna if shape == "dnabert2" else arguments.proteins
            fasta = folder / "sequences.fasta"
            fasta.write_text("".join(f">{name}\n{text}\n" for name, text in read(source, arguments.sequences)))
            files = [str(arguments.proteins), str(arguments.dna), "--part", str(arguments.part)]
            ours = None
            for way in arguments.ways + ["biotrainer"] * bool(arguments.biotrainer and shape != "dnabert2"):
                if way == "biotrainer":
                    target = str(folder / "biotrainer.npz")
                    found = in_process(arguments.biotrainer, ["-c", BIOTRAINER, str(folder), str(fasta), target])
                else:
                    found = in_process(sys.executable, [__file__, *files, "--one", way, shape, str(folder)])
                ours = ours or found["rate"]
                share = f"{found['share']:.2f} of {found['limit'] / 1e9:.0f} GFLOP/s" if "share" in found else ""
                print(
                    f"| {shape} | {way} | {found['rate']:.2f} | {ours / found['rate']:.1f} | {share} "
                    f"| {found['memory']:,} MiB | {difference(folder, way):.0e} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
