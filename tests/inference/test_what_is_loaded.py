"""What a job of each kind imports, and what it says of the weights that it reads: a process of its own for each."""

import json
import os
import shutil
import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file, save_file

from makers.scripts import DATA, SCRIPTS, one_line, run_batch

# a library that takes a second or a good part of one
HEAVY = {
    "Bio", "accelerate", "h5py", "matplotlib", "numba", "pandas", "peft", "pyarrow", "rdkit", "scipy", "sklearn",
    "torch", "transformers", "umap",
}  # fmt: skip
MODEL = {"torch", "transformers", "accelerate", "scipy"}  # the last two by transformers, whatever it is asked for
MAY_IMPORT = {
    "embed": MODEL | {"pyarrow"},
    "finetune": MODEL | {"matplotlib", "peft", "sklearn"},
    "predict": MODEL,
    "predict, LoRA": MODEL | {"peft"},
    "score": MODEL,
    "generate": MODEL | {"Bio"},
}
_PROCESS = """
import json, runpy, sys
sys.path.insert(0, sys.argv[1])
name, sys.argv = sys.argv[2], sys.argv[2:]
runpy.run_path(f"{sys.path[0]}/{name}.py", run_name="__main__")
import torch
flags = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
json.dump({"imported": sorted({name.partition(".")[0] for name in sys.modules}), "flags": flags}, sys.stdout)
"""


def with_more(name, target, **more):
    """A tiny model whose file holds tensors that its architecture lacks."""
    shutil.copytree(DATA / "models" / f"tiny-{name}", target)
    weights = load_file(target / "model.safetensors")
    weights.update({key.replace("__", "."): value for key, value in more.items()})
    save_file(weights, target / "model.safetensors", metadata={"format": "pt"})
    return target


@pytest.fixture(scope="module")
def jobs(tmp_path_factory):
    """What each tool imported and said, with a model whose file holds a head that is not read."""
    folder = tmp_path_factory.mktemp("loaded")
    masked = with_more("esm-mlm", folder / "masked", classifier__dense__weight=torch.zeros(2, 48))
    causal = with_more("protgpt2", folder / "causal", score__weight=torch.zeros(2, 48))
    sequences = folder / "sequences.fasta"
    amino = "ACDEFGHIKLMNPQRSTVWY"
    texts = [f"MKV{one * 6}{other * 4}" for one, other in zip(amino * 2, amino + amino[::-1], strict=True)]
    sequences.write_text("".join(f">p{at} LABEL={at % 2}\n{text}\n" for at, text in enumerate(texts)))
    read = ["--sequences", sequences, "--output-table", folder / "table.tsv"]
    bundle = folder / "bundle.zip"
    lora = ["--model", DATA / "bundle_lora_t5.zip", "--base-model", DATA / "models" / "tiny-t5"]
    train = ["--train", sequences, "--label-pattern", r"LABEL=(\d)", "--method", "head", "--epochs", 1]
    calls = {
        "embed": ["--model", masked, *read],
        "finetune": ["--model", masked, *train, "--output-model", bundle],
        "predict": ["--model", bundle, "--base-model", masked, *read],
        "predict, LoRA": [*lora, *read],
        "score": ["--model", masked, *read],
        "generate": ["--model", causal, "--num-sequences", 2, "--output-table", folder / "table.tsv"],
    }
    found = {}
    for name, arguments in calls.items():
        command = [sys.executable, "-c", _PROCESS, SCRIPTS, name.partition(",")[0], *arguments]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True, env=environment)
        assert done.returncode == 0, done.stderr
        found[name] = SimpleNamespace(stderr=done.stderr, **json.loads(done.stdout))
    return found


@pytest.mark.parametrize("name", MAY_IMPORT)
def test_a_tool_imports_only_what_it_needs(jobs, name):
    assert HEAVY & set(jobs[name].imported) - MAY_IMPORT[name] == set()


@pytest.mark.parametrize("name", MAY_IMPORT)
def test_every_tool_computes_deterministically_and_warns_where_it_cannot(jobs, name):
    assert jobs[name].flags == [True, True]


def test_getting_ready_imports_no_compiler():
    code = (
        "import sys; from seqlm.inference import loading; loading.prepare(1, 0, 'cpu'); import torch;"
        "assert torch.are_deterministic_algorithms_enabled() and torch.is_deterministic_algorithms_warn_only_enabled();"
        "sys.exit(bool({'torch._dynamo', 'torch._inductor'} & set(sys.modules)))"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, "PYTHONPATH": str(SCRIPTS)})


@pytest.mark.parametrize("name", MAY_IMPORT)
def test_weights_that_are_not_used_are_a_line_and_no_table(jobs, name):
    lines = jobs[name].stderr.splitlines()
    assert not [line for line in lines if "REPORT" in line or "UNEXPECTED" in line or "-+-" in line]
    unused = {
        "predict, LoRA": [],
        "generate": ["note: weights in causal that are not used here: 1 (score)"],
        "score": ["note: weights in masked that are not used here: 1 (classifier)"],
    }
    said = unused.get(name, ["note: weights in masked that are not used here: 6 (classifier, lm_head)"])
    assert [line for line in lines if "not used here" in line] == said


def test_a_weight_that_the_encoder_lacks_is_named_in_one_line(tmp_path):
    folder, work = with_more("esm-mlm", tmp_path / "model"), tmp_path / "work"
    lacking = "encoder.layer.0.attention.self.query.weight"
    weights = load_file(folder / "model.safetensors")
    del weights[f"esm.{lacking}"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    work.mkdir()
    (tmp_path / "one.fasta").write_text(">p\nMKVLA\n")
    inputs = ["--model", folder, "--sequences", tmp_path / "one.fasta"]
    (done,) = run_batch([(work, "embed", *inputs, "--output-table", "table.tsv")])
    one_line(done, lacking, work)
    assert "REPORT" not in done.stderr
