"""Embeddings in other number formats than fp32, beside today's: CPU seconds and cosines, in alternating turns.

    python benchmarks/fast_embeddings.py speed PROTEINS.fasta DNA.csv --dnabert2-tokenizer FOLDER [--part 48] [--ways …]
    python benchmarks/fast_embeddings.py probes DATA

probes: what bf16 changes in the score of a linear probe on three public tasks, with the small trained models: a
logistic or ridge regression (penalty by folds within the training set), of fp32 and of bf16 vectors, on the same test
set; the difference with a bootstrap interval over test sequences.

speed: shapes of ESM-2 35M and DNABERT-2, random weights, one thread. All ways are one process, one loading, the same
sorted batches of ours:

fp32      today's
bf16      the whole model in bf16, as --precision bf16 has it
dynamic   torch's dynamic quantisation (weights by tensor, what enters by tensor), deprecated in torch
int8      weights by channel, what enters by token (torch._int_mm, the kernel that torchao calls)
token     the same by the product of dynamic: each row is divided by its largest number before and multiplied after
gelu      as token, and GELU of ESM-2 in one step and in place
openvino  in OpenVINO, in fp32; openvino8 with weights in 8 bits, and what enters rounded as it comes (both packages,
          openvino and nncf, are to be there)

--outliers multiplies four dimensions of each norm, as trained models have a few that are much larger than the rest.
"""

from __future__ import annotations

import argparse
import copy
import csv
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

from embedding import make_model, read
from shapes import ENVIRONMENT, ROOT

sys.path.insert(0, str(ROOT / "scripts"))
SHAPES = ("esm2-35m", "dnabert2")
WAYS = ["fp32", "bf16", "dynamic", "int8", "token", "gelu", "openvino", "openvino8"]
BUDGET = 1024


def ways(backbone, wanted: list[str]) -> dict:
    """Name -> the same model, computed in that way."""
    import torch
    from torch import nn

    quantized = torch.ops.quantized

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

    class Token(nn.Module):
        """The same by torch's dynamic product, which knows one scale for all of x, here in seven bits."""

        def __init__(self, linear: nn.Linear):
            super().__init__()
            scale = linear.weight.abs().amax(1).double() / 127
            zeros = torch.zeros(len(scale), dtype=torch.long)
            weight = torch.quantize_per_channel(linear.weight, scale, zeros, 0, torch.qint8)
            self.weight, self.bias = quantized.linear_prepack(weight, None), linear.bias

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            flat = x.reshape(-1, x.shape[-1])
            scale = flat.abs().amax(1, keepdim=True).clamp(min=1e-9)
            y = quantized.linear_dynamic(flat / scale, self.weight, reduce_range=True).mul_(scale)
            return (y if self.bias is None else y.add_(self.bias)).reshape(*x.shape[:-1], -1)

    def replaced(module: nn.Module, kind: type) -> nn.Module:
        for name, child in module.named_children():
            if isinstance(child, nn.Linear):
                setattr(module, name, kind(child))
            else:
                replaced(child, kind)
        return module

    def gelu(module: nn.Module) -> nn.Module:
        for one in module.modules():
            if type(one).__name__ == "EsmIntermediate":
                one.forward = lambda hidden, dense=one.dense: torch.ops.aten.gelu_(dense(hidden))
        return module

    def copied() -> nn.Module:
        return copy.deepcopy(backbone)

    torch.backends.quantized.engine = "onednn"
    makers = {
        "fp32": lambda: backbone,
        "bf16": lambda: copied().bfloat16(),
        "dynamic": lambda: torch.ao.quantization.quantize_dynamic(copied(), {nn.Linear}, dtype=torch.qint8),
        "int8": lambda: replaced(copied(), Int8),
        "token": lambda: replaced(copied(), Token),
        "gelu": lambda: gelu(replaced(copied(), Token)),
        "openvino": lambda: in_openvino(copied(), small=False),
        "openvino8": lambda: in_openvino(copied(), small=True),
    }
    return {name: makers[name]() for name in wanted}


def in_openvino(backbone, small: bool):
    """A module that is called as the backbone is, and computed by OpenVINO with one thread."""
    from types import SimpleNamespace

    import openvino
    import torch
    from torch import nn

    class Traced(nn.Module):
        def __init__(self):
            super().__init__()
            self.backbone = backbone.eval()

        def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
            return self.backbone(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state

    class Compiled(nn.Module):
        def __init__(self, compiled):
            super().__init__()
            self.request, self.place = compiled.create_infer_request(), nn.Parameter(torch.zeros(1))

        def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor | None = None):
            mask = torch.ones_like(input_ids) if attention_mask is None else attention_mask.long()
            found = self.request.infer({0: input_ids.numpy(), 1: mask.numpy()})
            return SimpleNamespace(last_hidden_state=torch.from_numpy(found[0].copy()))

    ids = torch.randint(5, 20, (2, 17))
    mask = torch.ones_like(ids)
    mask[1, 12:] = 0
    with torch.no_grad():
        model = openvino.convert_model(Traced(), example_input={"input_ids": ids, "attention_mask": mask})
    model.reshape({0: [-1, -1], 1: [-1, -1]})
    options = {"INFERENCE_NUM_THREADS": 1, "NUM_STREAMS": 1, "INFERENCE_PRECISION_HINT": "f32"}
    if small:
        import nncf

        model = nncf.compress_weights(model, mode=nncf.CompressWeightsMode.INT8_SYM)
        options["DYNAMIC_QUANTIZATION_GROUP_SIZE"] = "32"
    return Compiled(openvino.Core().compile_model(model, "CPU", options))


def with_outliers(backbone, factor: float):
    """The backbone, four dimensions of what each norm gives so many times as large."""
    import torch

    generator = torch.Generator().manual_seed(1)
    for module in backbone.modules():
        if isinstance(module, torch.nn.LayerNorm):
            module.weight.data[torch.randperm(len(module.weight), generator=generator)[:4]] *= factor
    return backbone


def compare(shape: str, folder: Path, sequences: list[tuple[str, str]], arguments: argparse.Namespace) -> None:
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
    backbone = load_backbone(model.path, family, torch.float32, device)
    models = ways(with_outliers(backbone, arguments.outliers), arguments.ways)
    seconds, vectors = {name: [] for name in models}, {}
    for turn in range(arguments.turns + 1):
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


def tasks(data: Path) -> dict:
    """Name -> small model, training and test rows (sequence, label)."""
    import numpy as np

    def rows(path: Path, sequence: str, label: str) -> list[tuple[str, float]]:
        with open(path) as handle:
            return [(row[sequence], float(row[label])) for row in csv.DictReader(handle)]

    def windows(name: str) -> list[tuple[str, float]]:
        from seqlm.data.sequences import read_records

        path = data / "dephosphorylation" / f"{name}_sequences.fasta"
        return [(record.sequence, float(record.header[-1])) for record in read_records(path)]

    esol = rows(data / "molecules" / "esol.csv", "smiles", "logSolubility")
    esol = [esol[place] for place in np.random.default_rng(0).permutation(len(esol))]
    promoters = [rows(data / "dna_promoters" / f"{name}.csv", "sequence", "label") for name in ("train", "test")]
    return {
        "dephosphorylation": ("protein-esm-0.2m", windows("train"), windows("test")),
        "core promoters": ("dna-modernbert-0.2m", promoters[0][:2000], promoters[1]),
        "solubility": ("smiles-gpt2-0.2m", esol[:900], esol[900:]),
    }


def probes(data: Path) -> None:
    import numpy as np
    from scipy.stats import spearmanr
    from sklearn.linear_model import LogisticRegressionCV, RidgeCV
    from sklearn.metrics import roc_auc_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    print("| task | test sequences | score | fp32 | bf16 | bf16 less fp32 (95 %) | lowest cosine |")
    for name, (model, train, test) in tasks(data).items():
        vectors, truth = {}, np.asarray([label for _, label in (*train, *test)])
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder) / "in.csv"
            lines = (f"s{number},{text}\n" for number, (text, _) in enumerate((*train, *test)))
            source.write_text("id,sequence\n" + "".join(lines))
            for precision in ("fp32", "bf16"):
                target = Path(folder) / f"{precision}.npz"
                command = [
                    *(sys.executable, ROOT / "scripts" / "embed.py", "--model", ROOT / "test-data" / "models" / model),
                    *("--sequences", source, "--precision", precision, "--output-npz", target),
                ]
                subprocess.run(command, env=ENVIRONMENT, check=True, capture_output=True)
                with np.load(target) as arrays:
                    vectors[precision] = next(one for one in arrays.values() if one.ndim == 2).astype(float)
        classes, n = name != "solubility", len(train)
        found = {}
        for precision, given in vectors.items():
            learner = LogisticRegressionCV(Cs=8, cv=5, max_iter=2000) if classes else RidgeCV(np.logspace(-2, 4, 13))
            probe = make_pipeline(StandardScaler(), learner).fit(given[:n], truth[:n])
            found[precision] = probe.predict_proba(given[n:])[:, 1] if classes else probe.predict(given[n:])
        score = roc_auc_score if classes else lambda first, second: spearmanr(first, second).statistic
        own, rng, drawn = truth[n:], np.random.default_rng(1), []
        while len(drawn) < 1000:
            chosen = rng.integers(0, len(own), len(own))
            if len(set(own[chosen])) > 1:
                drawn.append(score(own[chosen], found["bf16"][chosen]) - score(own[chosen], found["fp32"][chosen]))
        first, second = vectors.values()
        cosines = (first * second).sum(1) / np.linalg.norm(first, axis=1) / np.linalg.norm(second, axis=1)
        low, high = np.percentile(drawn, [2.5, 97.5])
        scores = [score(own, one) for one in found.values()]
        print(
            f"| {name} | {len(own)} | {'AUROC' if classes else 'Spearman'} | {scores[0]:.4f} | {scores[1]:.4f} | "
            f"{scores[1] - scores[0]:+.4f} ({low:+.4f} to {high:+.4f}) | {cosines.min():.6f} of {len(cosines):,} |",
            flush=True,
        )


def main() -> None:
    warnings.filterwarnings("ignore")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="what", required=True)
    speed = commands.add_parser("speed")
    speed.add_argument("proteins", type=Path)
    speed.add_argument("dna", type=Path)
    speed.add_argument("--dnabert2-tokenizer", type=Path)
    speed.add_argument("--shapes", nargs="*", choices=SHAPES, default=SHAPES)
    speed.add_argument("--part", type=int, default=48, help="sequences")
    speed.add_argument("--turns", type=int, default=3)
    speed.add_argument("--ways", nargs="*", choices=WAYS, default=WAYS[:5])
    speed.add_argument("--outliers", type=float, default=1)
    speed.add_argument("--model", type=Path, help="of this folder, of PROTEINS, in place of shapes")
    commands.add_parser("probes").add_argument("data", type=Path)
    arguments = parser.parse_args()
    if arguments.what == "probes":
        probes(arguments.data)
        return
    print("| shape | way | CPU seconds | fp32 takes so many times as long (turns) | lowest cosine |")
    print("|---|---|---|---|---|")
    if arguments.model:
        compare(arguments.model.name, arguments.model, read(arguments.proteins, arguments.part), arguments)
        return
    for shape in arguments.shapes:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name) / shape
            folder.mkdir()
            make_model(shape, folder, arguments.dnabert2_tokenizer)
            source = arguments.dna if shape == "dnabert2" else arguments.proteins
            compare(shape, folder, read(source, arguments.part), arguments)


if __name__ == "__main__":
    main()
