"""Memory and time of a model with the shape of ProtT5-XL's encoder on a CPU.

    python benchmarks/prott5_xl.py

1.2 billion random weights are written in a temporary folder (4.8 GB). The fine-tuning script loads them, embeds 20
windows, makes one update of a rank-4 LoRA adapter from 16 of them, writes the bundle, reads it back and scores; the
prediction script then loads bundle and base model and predicts 20 windows. Reported are wall time and peak memory of
each process.
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent


def make_model(folder: Path) -> int:
    """The encoder that ProtT5's config.json describes, with random weights; returns their number."""
    import torch
    from transformers import T5Config, T5EncoderModel

    config = T5Config(
        vocab_size=128,
        d_model=1024,
        d_kv=128,
        d_ff=16384,
        num_heads=32,
        num_layers=24,
        feed_forward_proj="relu",
        is_encoder_decoder=False,
        use_cache=False,
    )
    torch.manual_seed(0)
    model = T5EncoderModel(config)
    model.save_pretrained(folder, max_shard_size="2GB")
    for name in ("spiece.model", "tokenizer_config.json"):
        shutil.copyfile(ROOT / "test-data" / "models" / "tiny-t5" / name, folder / name)
    return sum(parameter.numel() for parameter in model.parameters())


def measured(name: str, command: list[str]) -> str:
    """Run a command, print its wall time and peak memory, return what it printed."""
    start = time.perf_counter()
    with tempfile.TemporaryFile("w+") as printed:
        child = subprocess.Popen(command, stdout=printed, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(child.pid, 0)
        printed.seek(0)
        text = printed.read()
    if status:
        sys.exit(text)
    print(f"{name}: {time.perf_counter() - start:.0f} s, peak memory {usage.ru_maxrss / 2**20:.1f} GiB", flush=True)
    return text


def main() -> None:
    if len(sys.argv) > 1 and sys.argv[1] != "--make":
        print(__doc__)
        return
    if len(sys.argv) > 1:
        print(make_model(Path(sys.argv[2])))
        return
    rng = random.Random(0)
    with tempfile.TemporaryDirectory(prefix="prott5_xl_") as scratch:
        folder = Path(scratch) / "model"
        made = measured("make the model", [sys.executable, __file__, "--make", str(folder)])
        print(f"{int(made.split()[-1]):,} weights")
        sequences = Path(scratch) / "windows.fasta"
        with sequences.open("w") as out:
            for number in range(20):
                window = "".join(rng.choices("ALGVSREDTIPKFQNYMHWC", k=33))
                out.write(f">w{number} LABEL={number % 2}\n{window}\n")
        bundle, table = Path(scratch) / "bundle.zip", Path(scratch) / "table.tsv"
        finetune = (
            f"--model {folder} --train {sequences} --output-model {bundle} --epochs 1 --batch-size 16 --lora-rank 4"
        )
        script = [sys.executable, str(ROOT / "scripts" / "finetune.py")]
        measured("load, one LoRA update, score", [*script, *finetune.split(), "--validation-fraction", "0.2"])
        predict = f"--model {bundle} --base-model {folder} --sequences {sequences} --output-table {table}"
        measured("load and predict", [sys.executable, str(ROOT / "scripts" / "predict.py"), *predict.split()])
        print(f"bundle: {bundle.stat().st_size / 2**20:.1f} MiB")


if __name__ == "__main__":
    main()
