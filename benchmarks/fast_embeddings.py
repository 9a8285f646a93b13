"""Embeddings in other number formats than fp32, beside today's: CPU seconds and cosines, in alternating turns.

    python benchmarks/fast_embeddings.py PROTEINS.fasta DNA.csv --dnabert2-tokenizer FOLDER [--part 48] [--turns 3]

Shapes of ESM-2 35M and DNABERT-2, random weights, one thread. All ways are one process, one loading, the same sorted
batches of ours; only the linear maps differ:

fp32      today's
bf16      the whole model in bf16, as --precision bf16 has it
dynamic   torch's dynamic quantisation (weights by channel, what enters by tensor), deprecated in torch
int8      weights by channel, what enters by token (torch._int_mm, the kernel that torchao calls)
"""

from __future__ import annotations

import argparse
import copy
import sys
import tempfile
import time
import warnings
from pathlib import Path

from embedding import make_model, read
from shapes import ROOT

sys.path.insert(0, str(ROOT / "scripts"))
SHAPES = ("esm2-35m", "dnabert2")
BUDGET = 1024


def ways(backbone) -> dict:
    """Name -> the same model, computed in that way."""
    import torch
    from torch import nn

    class Int8(nn.Module):
        """y = x W' + b with W in int8, a scale for each output, and x in int8, a scale for each token."""

        def __init__(self, linear: nn.Linear):
            super().__init__()
            self.scale = linear.weight.abs().amax(1) / 127
            self.weight = (linear.weight / self.scale[:, None]).round().to(torch.int8).t()
            self.bias = linear.bias

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            flat = x.reshape(-1, x.shape[-1])
            scale = flat.abs().amax(1, keepdim=True).clamp(min=1e-9) / 127
            y = torch._int_mm((flat / scale).round_().to(torch.int8), self.weight).float()
            y = y.mul_(scale).mul_(self.scale)
            return (y if self.bias is None else y.add_(self.bias)).reshape(*x.shape[:-1], -1)

    def replaced(module: nn.Module) -> nn.Module:
        for name, child in module.named_children():
            if isinstance(child, nn.Linear):
                setattr(module, name, Int8(child))
            else:
                replaced(child)
        return module

    torch.backends.quantized.engine = "onednn"
    dynamic = torch.ao.quantization.quantize_dynamic(copy.deepcopy(backbone), {nn.Linear}, dtype=torch.qint8)
    return {
        "fp32": backbone,
        "bf16": copy.deepcopy(backbone).bfloat16(),
        "dynamic": dynamic,
        "int8": replaced(copy.deepcopy(backbone)),
    }


def compare(shape: str, folder: Path, sequences: list[tuple[str, str]], turns: int) -> None:
    import torch

    from seqlm.checkpoints.folder import read_model_folder
    from seqlm.families.recognition import recognise
    from seqlm.inference.inference import pooled_vectors
    from seqlm.inference.loading import SequenceModel, load_backbone, prepare
    from seqlm.tokenization.encoder import Encoder

    device = prepare(1, 0, "cpu")
    model = read_model_folder(folder)
    family = recognise(model.path, model.config)
    encoder = Encoder(family, model.path)
    encoded = encoder.encode_many(sequences)
    models = ways(load_backbone(model.path, family, torch.float32, device))
    seconds, vectors = {name: [] for name in models}, {}
    for turn in range(turns + 1):
        for name, backbone in models.items():
            started = time.process_time()
            with torch.inference_mode():
                one = SequenceModel(backbone, family.hidden_size)
                vectors[name] = pooled_vectors(one, encoded, encoder.padding, BUDGET)
            if turn:  # the first is a warm-up
                seconds[name].append(time.process_time() - started)
    tokens = sorted(one.tokens for one in encoded)
    print(f"{shape}: {len(encoded)} sequences, {tokens[0]} to {tokens[-1]} tokens, median {tokens[len(tokens) // 2]}")
    for name in models:
        ratios = sorted(a / b for a, b in zip(seconds["fp32"], seconds[name], strict=True))
        cosines = torch.cosine_similarity(vectors[name].double(), vectors["fp32"].double(), dim=1)
        print(
            f"| {shape} | {name} | {min(seconds[name]):.2f} | {ratios[len(ratios) // 2]:.2f} "
            f"({ratios[0]:.2f} to {ratios[-1]:.2f}) | {cosines.min():.6f} |",
            flush=True,
        )


def main() -> None:
    warnings.filterwarnings("ignore")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("proteins", type=Path)
    parser.add_argument("dna", type=Path)
    parser.add_argument("--dnabert2-tokenizer", type=Path)
    parser.add_argument("--part", type=int, default=48, help="sequences")
    parser.add_argument("--turns", type=int, default=3)
    arguments = parser.parse_args()
    print("| shape | way | CPU seconds | fp32 takes so many times as long (turns) | lowest cosine |")
    print("|---|---|---|---|---|")
    for shape in SHAPES:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name) / shape
            make_model(shape, folder, arguments.dnabert2_tokenizer)
            source = arguments.dna if shape == "dnabert2" else arguments.proteins
            compare(shape, folder, read(source, arguments.part), arguments.turns)


if __name__ == "__main__":
    main()
