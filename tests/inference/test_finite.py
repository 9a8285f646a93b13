"""What is no number never leaves a model: weights are looked at when they are loaded, results before they are used."""

import json
import os
import re
import shutil
import zipfile

import pytest
import torch
from safetensors.torch import load_file, save_file

from makers.scripts import DATA, one_line, run_batch
from seqlm.cli.errors import InputError
from seqlm.families.recognition import recognise
from seqlm.inference.finite import check_results, check_weights, first_not_finite
from seqlm.inference.loading import load_weights

MODELS = DATA / "models"
NAN, HUGE = float("nan"), 3e38


def test_the_first_tensor_that_holds_no_number_is_named():
    good = torch.tensor([[1.0, -3e38], [3e38, 0.0]])
    held = [("good", good), ("empty", torch.zeros(0, 4)), ("whole", torch.tensor([1])), ("half", good[:, :0].half())]
    assert first_not_finite(held) is None
    for number in (NAN, float("inf"), -float("inf")):
        for kind in (torch.float32, torch.bfloat16, torch.float16):
            bad = torch.ones(3, 5, dtype=kind)
            bad[1, 2] = number
            assert first_not_finite([*held, ("bad", bad), ("later", bad)]) == "bad"
    with pytest.raises(InputError, match=r"^the adapter is damaged: its tensor bad holds values that are no numbers$"):
        check_weights([("bad", bad)], "the adapter")
    with pytest.raises(InputError, match="no finite numbers for 'P1' or one of 2 others; its weights are damaged"):
        check_results([good, bad], lambda: ["P1", "P2", "P3"])


def damaged(model, target, tensor, value):
    """A copy of a model or a bundle, with all numbers of a tensor of it replaced."""
    if model.is_dir():
        shutil.copytree(model, target)
    else:
        zipfile.ZipFile(model).extractall(target)
    file = next(file for file in target.glob("*.safetensors") if tensor in load_file(file))
    weights = load_file(file)
    weights[tensor].fill_(value)
    save_file(weights, file, metadata={"format": "pt"})
    return target


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """name -> (how a run ended, its folder): each tool on weights that are NaN, and on such as overflow."""
    folder = tmp_path_factory.mktemp("finite")
    fasta = ["--sequences", DATA / "sites_test.fasta"]
    table = ["--output-table", "out.tsv"]
    family = ["--train", DATA / "protein_family.fasta", "--epochs", "1", "--output-model", "m.zip"]
    labelled = ["--train", DATA / "sites_train.fasta", "--test-fraction", "0.2", "--validation-fraction", "0.2",
                "--epochs", "1", "--output-model", "m.zip"]  # fmt: skip
    esm, mlm, llama = (MODELS / name for name in ("tiny-esm", "tiny-esm-mlm", "tiny-llama"))
    last = "esm.encoder.emb_layer_norm_after.weight"
    head = ["--base-model", esm]
    calls = {}
    for kind, value in (("nan", NAN), ("huge", HUGE)):

        def copy(model, tensor, name, value=value, kind=kind):
            return damaged(model, folder / f"{kind}_{name}", tensor, value)

        bad_mlm, bad_llama = copy(mlm, last, "mlm"), copy(llama, "model.norm.weight", "llama")
        bad_head = copy(DATA / "bundle_head_esm.zip", "out.weight", "head")
        calls |= {
            f"{kind} embed": ["embed", "--model", bad_mlm, *fasta, *table],
            f"{kind} predict": ["predict", "--model", bad_head, *head, *fasta, *table],
            f"{kind} finetune": ["finetune", "--model", bad_mlm, "--task", "sequence-classification", *labelled],
            f"{kind} finetune causal": ["finetune", "--model", bad_llama, "--task", "causal-lm", *family],
            f"{kind} generate": ["generate", "--model", bad_llama, "--output-fasta", "o.fasta", "--max-length", "20"],
            f"{kind} beams": ["generate", "--model", bad_llama, "--strategy", "beam", "--num-beams", "2",
                              "--output-fasta", "o.fasta", "--max-length", "20"],
            f"{kind} score": ["score", "--model", bad_mlm, *fasta, *table],
            f"{kind} score causal": ["score", "--model", bad_llama, *fasta, *table],
            f"{kind} pretrain": ["pretrain", "--model", bad_llama, "--corpus", DATA / "protein_family.fasta",
                                 "--epochs", "1", "--output-model", "m.zip"],
        }  # fmt: skip
    rows = damaged(llama, folder / "rows", "model.embed_tokens.weight", NAN)
    calls["nan extend"] = ["tokenizer", "--extend", "--model", rows, "--corpus", DATA / "protein_family.fasta",
                           "--vocab-size", "5", "--output-model", "m.zip"]  # fmt: skip
    for name in ("beams", "finetune causal", "score", "score causal"):  # as others load them
        del calls[f"nan {name}"]
    adapter = "base_model.model.encoder.block.0.layer.0.SelfAttention.q.lora_A.weight"
    bad = damaged(DATA / "bundle_lora_t5.zip", folder / "adapter", adapter, NAN)
    calls["nan adapter"] = ["predict", "--model", bad, "--base-model", MODELS / "tiny-t5", *fasta, *table]
    works = {name: folder / "runs" / name for name in calls}
    for work in works.values():
        work.mkdir(parents=True)
    runs = run_batch([(works[name], *call) for name, call in calls.items()])
    return {name: (one, works[name]) for name, one in zip(calls, runs, strict=True)}


def test_weights_that_are_no_numbers_are_told_when_they_are_loaded(done):
    for name, (one, work) in done.items():
        if name.startswith("nan"):
            one_line(one, "is damaged: ", work)
            assert re.search("holds? values that are no numbers", one.stderr)


def test_results_that_are_no_numbers_are_refused_by_every_tool(done):
    for name, (one, work) in done.items():
        if name.startswith("huge"):
            one_line(one, "no finite numbers", work)
            assert "its weights are damaged" in one.stderr and "choose fp32" in one.stderr


def test_a_config_that_describes_more_than_the_weights_hold_is_refused_before_memory_is_taken(tmp_path, monkeypatch):
    """Also where the file is large, as one with a hole in it looks."""
    folder = shutil.copytree(MODELS / "tiny-esm", tmp_path / "model")
    (folder / "model-00002-of-00002.safetensors").touch()
    os.truncate(folder / "model-00002-of-00002.safetensors", 1 << 30)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"hidden_size": 16384, "intermediate_size": 16384}))
    family, taken = recognise(folder, config), []

    def load(path, **options):
        taken.append(options.get("device_map"))
        return type(family).load(family, path, **options)

    with pytest.raises(InputError, match=r"0 weights are missing and 3\d have another shape than its config"):
        load_weights(load, folder, torch.float32, torch.device("cpu"))
    assert taken == ["meta"]
