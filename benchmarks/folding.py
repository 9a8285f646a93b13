"""Memory and time of a layer of ESMFold's and ESMFold2's trunk in their published sizes, beside what is foreseen.

    OMP_NUM_THREADS=1 python benchmarks/folding.py esmfold 256 --chunk 64
    OMP_NUM_THREADS=1 python benchmarks/folding.py esmfold2 256 --samples 4

Weights are random and the language model has two small layers, as memory and time are those of the pairs of residues.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import torch
import transformers

sys.path.insert(0, str(Path(__file__).parents[1] / "scripts"))
from seqlm.tools.fold.architectures import architecture_of

SMALL = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}


def noted(name: str) -> float:
    """Bytes of a line of /proc/self/status."""
    with open("/proc/self/status") as lines:
        return next(int(line.split()[1]) * 1024.0 for line in lines if line.startswith(name))


def config_of(name: str, blocks: int, samples: int):
    if name == "esmfold":
        parts = {"fp16_esm": False, "trunk": {"num_blocks": blocks, "max_recycles": 1, "chunk_size": None}}
        return transformers.EsmConfig(
            vocab_size=33, mask_token_id=32, pad_token_id=1, position_embedding_type="rotary", is_folding_model=True,
            esmfold_config=parts, **SMALL,
        )  # fmt: skip
    return transformers.EsmFold2Config(
        num_loops=0,
        folding_trunk_num_hidden_layers=blocks,
        parcae_num_coda_layers=1,
        structure_head={"num_diffusion_samples": samples, "inference_num_steps": 3},
        **{name: {"num_hidden_layers": 1} for name in ("confidence_head", "msa_encoder", "lm_encoder")},
        esmc_config={"model_type": "esmc", "vocab_size": 64, **SMALL},
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("architecture", choices=["esmfold", "esmfold2"])
    parser.add_argument("length", type=int)
    parser.add_argument("--chunk", type=int, default=0)
    parser.add_argument("--samples", type=int, default=1)
    parser.add_argument("--blocks", type=int, default=1)
    asked = parser.parse_args()
    torch.manual_seed(0)
    config = config_of(asked.architecture, asked.blocks, asked.samples)
    kind = transformers.EsmForProteinFolding if asked.architecture == "esmfold" else transformers.EsmFold2Model
    model, own = kind(config).eval(), architecture_of(config.to_dict(), asked.architecture)
    rounds = 1 if asked.architecture == "esmfold" else 0
    own.fold(model, "MKTAY", rounds, asked.samples, asked.chunk)
    before = noted("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the highest mark starts again
    sequence, start = ("MKTAYIAKQRQISFVKSHFSRQGWCDEPLNV" * 99)[: asked.length], time.process_time()
    own.fold(model, sequence, rounds, asked.samples, asked.chunk)
    spent, used = time.process_time() - start, noted("VmHWM") - before
    foreseen = own.taken(asked.length, asked.chunk, asked.samples)
    work = own.operations(asked.length, rounds, asked.samples, 0)
    print(
        f"{asked.architecture}, {asked.length} residues: {used / 1e9:.2f} GB used, {foreseen / 1e9:.2f} GB foreseen; "
        f"{spent:.1f} CPU seconds, {work / spent / 1e9:.0f} GFLOP/s"
    )


if __name__ == "__main__":
    main()
