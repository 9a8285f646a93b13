"""A full substitution scan by masked marginals beside one position a pass, and beside the machine's own limit.

    python benchmarks/substitution_scan.py [--shape esm2-8m] [--residues 500] [--profile]

A made-up protein and random weights of a published shape. Ways, in turns in one process, so that what else the machine
does falls on all of them:

loop      what a user writes: EsmForMaskedLM as transformers loads it, one masked position a pass, the attention mask of
          the tokenizer, logits of every position
batches   the same class and attention on batches of rows without a mask, logits of every position
ours      score.py's own path: batches under its budget of tokens, the last layer and the head for the masked positions

Every pass of one way costs the same, so that a part of the positions (--part, a turn) is enough; all results must
agree. The limit is the time that the necessary operations take at the rate of one large product of matrices in the
same process, where the last layer is needed at one position: no way of computing them in the same precision can be
faster.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path

from embedding import SHAPES, matmul_rate
from shapes import ESM2_8M, ROOT

sys.path.insert(0, str(ROOT / "scripts"))


def make(shape: str, folder: Path) -> None:
    """A Hugging Face folder of random weights, with its head."""
    import shutil

    import torch
    from transformers import EsmConfig, EsmForMaskedLM

    torch.manual_seed(0)
    layers, width, inner, heads = SHAPES[shape]
    sizes = {
        "num_hidden_layers": layers, "hidden_size": width, "intermediate_size": inner, "num_attention_heads": heads,
    }  # fmt: skip
    model = EsmForMaskedLM(EsmConfig(**ESM2_8M | sizes))
    for name, parameter in model.named_parameters():  # larger than at the start of a training, so that mistakes show
        if parameter.ndim == 2 and "embeddings" not in name:
            torch.nn.init.normal_(parameter, std=1.2 * width**-0.5)
    model.save_pretrained(folder)
    for name in ("vocab.txt", "tokenizer_config.json"):
        shutil.copyfile(ROOT / "test-data" / "models" / "tiny-esm-mlm" / name, folder / name)


def operations(shape: str, tokens: int, last_everywhere: bool) -> float:
    """Floating-point operations of one pass: 2 a weight and token, 4 a pair of tokens and dimension in attention."""
    layers, width, inner, _ = SHAPES[shape]
    projections, feed_forward, attention = 2 * 4 * width**2, 2 * 2 * width * inner, 4 * width * tokens
    layer = tokens * (projections + feed_forward + attention)
    head = 2 * (width**2 + 33 * width)
    if last_everywhere:
        return layers * layer + tokens * head
    last = tokens * projections / 2 + projections / 2 + feed_forward + attention  # keys and values of all tokens
    return (layers - 1) * layer + last + head


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", default="esm2-8m", choices=[name for name in SHAPES if name.startswith("esm2")])
    parser.add_argument("--residues", type=int, default=500)
    parser.add_argument("--part", type=int, default=16, help="positions of each way in each turn")
    parser.add_argument("--turns", type=int, default=9)
    parser.add_argument("--threads", type=int, default=0, help="0: all")
    parser.add_argument("--whole", action="store_true", help="also time one whole scan of ours")
    parser.add_argument("--profile", action="store_true", help="where the time of loop and ours goes")
    arguments = parser.parse_args()
    import numpy as np
    import torch
    from transformers import AutoTokenizer, EsmForMaskedLM

    from seqlm.checkpoints.folder import read_model_folder
    from seqlm.families.recognition import recognise
    from seqlm.inference.language_models import Opened, load_language_model
    from seqlm.inference.masked_likelihood import MaskedModel, MaskedReader, log_probabilities
    from seqlm.inference.memory import usual_tokens
    from seqlm.tokenization.encoder import Encoder

    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    generator = np.random.default_rng(1)
    sequence = "".join(generator.choice(list("ACDEFGHIKLMNPQRSTVWY"), arguments.residues))
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        make(arguments.shape, folder)
        tokenizer, theirs = AutoTokenizer.from_pretrained(folder), EsmForMaskedLM.from_pretrained(folder).eval()
        base = read_model_folder(folder)
        family = recognise(folder, base.config)
        encoder = Encoder(family, folder)
        model = MaskedModel(load_language_model(Opened(None, base, family, "model"), torch.device("cpu"), "fp32"))
        reader = MaskedReader(encoder, family.mask_token)
    given = tokenizer(sequence, return_tensors="pt")
    ids = encoder.read([("", sequence)])[0].ids
    budget = usual_tokens("cpu")

    def loop(places) -> np.ndarray:
        found = []
        for place in places:
            tokens = given["input_ids"].clone()
            tokens[0, place + 1] = tokenizer.mask_token_id
            logits = theirs(input_ids=tokens, attention_mask=given["attention_mask"]).logits
            found.append(logits[0, place + 1].log_softmax(-1))
        return torch.stack(found).numpy()

    def batches(places) -> np.ndarray:
        rows, found = max(1, budget // len(given["input_ids"][0])), []
        for start in range(0, len(places), rows):
            part = torch.as_tensor(places[start : start + rows])
            tokens = given["input_ids"].repeat(len(part), 1)
            tokens[torch.arange(len(part)), part + 1] = tokenizer.mask_token_id
            logits = theirs(input_ids=tokens).logits
            found.append(logits[torch.arange(len(part)), part + 1].log_softmax(-1))
        return torch.cat(found).numpy()

    def ours(places) -> np.ndarray:
        asked = (one for number, place in enumerate(places) for one in reader.masked(ids, [place], number))
        found = np.empty((len(places), 33))
        for owner, _, values in log_probabilities(model, asked, encoder.padding, budget, str):
            found[owner] = values
        return found

    ways = {"loop": loop, "batches": batches, "ours": ours}
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    apart = dict.fromkeys(ways, 0.0)
    with torch.inference_mode():
        limit = matmul_rate(torch)
        for way in ways.values():
            way([0, 1, 2, 3])
        for turn in range(arguments.turns):
            places = [(turn * arguments.part + each) % arguments.residues for each in range(arguments.part)]
            results = {}
            for name, way in ways.items():
                start = time.perf_counter()
                results[name] = way(places)
                seconds[name].append((time.perf_counter() - start) / len(places))
            for name in ways:
                apart[name] = max(apart[name], float(np.abs(results[name] - results["loop"]).max()))
        limit = max(limit, matmul_rate(torch))
        spread = float(results["loop"].std())
        if arguments.whole:
            start = time.perf_counter()
            ours(range(arguments.residues))
            print(f"one whole scan of {arguments.residues} residues: {time.perf_counter() - start:.1f} s")
    tokens = len(given["input_ids"][0])
    all_of_it, needed = (operations(arguments.shape, tokens, everywhere) for everywhere in (True, False))
    print(
        f"{arguments.shape}, {arguments.residues} residues, {torch.get_num_threads()} threads, "
        f"{limit / 1e9:.0f} GFLOP/s; log-probabilities have a spread of {spread:.2f}"
    )
    print("| way | ms a position | loop / way, median (range) | of the limit | largest difference |")
    print("|---|---|---|---|---|")
    for name, times in seconds.items():
        ratios = sorted(one / other for one, other in zip(seconds["loop"], times, strict=True))
        rate = (needed if name == "ours" else all_of_it) / statistics.median(times)
        print(
            f"| {name} | {1000 * statistics.median(times):.1f} | {statistics.median(ratios):.2f} ({ratios[0]:.2f} to "
            f"{ratios[-1]:.2f}) | {rate / limit:.2f} | {apart[name]:.0e} |"
        )
    best, median = 1000 * needed / limit, statistics.median(seconds["loop"])
    print(f"| the limit | {best:.1f} | {1000 * median / best:.2f} | 1 | |")
    if arguments.profile:
        from torch.profiler import ProfilerActivity, profile

        for name in ("loop", "ours"):
            with torch.inference_mode(), profile(activities=[ProfilerActivity.CPU]) as record:
                ways[name](list(range(8)))
            print(f"\n{name}")
            print(record.key_averages().table(sort_by="self_cpu_time_total", row_limit=8, max_name_column_width=48))


if __name__ == "__main__":
    main()
