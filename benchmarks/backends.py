"""What could run an encoder faster on a CPU: each way beside the tools' own, in rounds in one process.

    python benchmarks/backends.py [--shape esm2-35m] [--rounds 5]

ours      padded rows of one batch under the budget, fused attention, with a mask
no mask   the same without one
gelu      ESM's GELU, several kernels in transformers, as torch's one kernel
compile   torch.compile, which needs a C++ compiler and some time before the first batch
int8      torch's dynamic quantisation of all linear layers
openvino  OpenVINO, if it is installed

A way counts its best round. The limit is a product of two 2,048 x 2,048 matrices, the best of all rounds. Cosines are
of mean vectors, beside ours: the least of all rows.
"""

from __future__ import annotations

import argparse
import copy
import os
import time
import warnings

os.environ["OMP_WAIT_POLICY"] = "PASSIVE"  # as the tools set it, before torch reads it

import torch
from embedding import SHAPES, make_esm, matmul_rate, useful

BATCHES = ((30, 34), (8, 128), (3, 320), (1, 1000))  # rows, tokens: about 1,000 tokens each


def ways(model, ids, mask) -> dict:
    """Name -> a function that gives vectors of tokens."""
    import transformers.models.esm.modeling_esm as modeling

    own_gelu = modeling.gelu

    def with_gelu():
        modeling.gelu = torch.nn.functional.gelu
        try:
            return model(input_ids=ids, attention_mask=mask).last_hidden_state
        finally:
            modeling.gelu = own_gelu

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        int8 = torch.ao.quantization.quantize_dynamic(copy.deepcopy(model), {torch.nn.Linear}, dtype=torch.qint8)
    compiled = torch.compile(copy.deepcopy(model))
    found = {
        "ours": lambda: model(input_ids=ids, attention_mask=mask).last_hidden_state,
        "no mask": lambda: model(input_ids=ids).last_hidden_state,
        "gelu": with_gelu,
        "int8": lambda: int8(input_ids=ids, attention_mask=mask).last_hidden_state,
        "compile": lambda: compiled(input_ids=ids, attention_mask=mask).last_hidden_state,
    }
    try:
        import openvino
    except ImportError:
        return found

    class Wrapped(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.model = model

        def forward(self, input_ids, attention_mask):
            return self.model(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state

    converted = openvino.convert_model(Wrapped().eval(), example_input={"input_ids": ids, "attention_mask": mask})
    ready = openvino.Core().compile_model(converted, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    given = {"input_ids": ids.numpy(), "attention_mask": mask.numpy()}
    return found | {"openvino": lambda: torch.from_numpy(ready(given)[0])}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", choices=[shape for shape in SHAPES if shape != "dnabert2"], default="esm2-35m")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    model = make_esm(arguments.shape).eval()
    print("| rows x tokens | way | of the limit | times ours | first call | least cosine |\n|---|---|---|---|---|---|")
    for rows, tokens in BATCHES:
        ids = torch.randint(4, 24, (rows, tokens), generator=torch.Generator().manual_seed(1))
        mask = torch.ones_like(ids)
        with torch.inference_mode():
            found = ways(model, ids, mask)
            best, first, cosines, limit = dict.fromkeys(found, float("inf")), {}, {}, 0.0
            reference = found["ours"]().mean(1)
            for number in range(arguments.rounds + 1):
                limit = max(limit, matmul_rate(torch))
                for name, run in found.items():
                    start = time.perf_counter()
                    vectors = run()
                    seconds = time.perf_counter() - start
                    if number:
                        best[name] = min(best[name], seconds)
                    else:
                        first[name] = seconds
                        cosines[name] = torch.cosine_similarity(vectors.mean(1), reference).min().item()
        work = useful(arguments.shape, [tokens] * rows)
        for name, seconds in best.items():
            print(
                f"| {rows} x {tokens} | {name} | {work / seconds / limit:.2f} | {best['ours'] / seconds:.2f} | "
                f"{first[name]:.1f} s | {cosines[name]:.5f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
