"""Base models in 4 bits: what is held so, what an adapter learns there, and what it gives on the model as it is."""

import copy
import json

import pytest
import torch
from transformers.pytorch_utils import Conv1D

from makers.models import MAKERS, make, sequences
from makers.protein_models import ALIKE
from makers.scripts import DATA, run_batch, table
from seqlm.checkpoints.adapter_config import check_adapter_config
from seqlm.checkpoints.folder import read_model_folder
from seqlm.families.recognition import recognise
from seqlm.inference.adapters import LoraSettings, add_adapter, load_adapter, save_adapter
from seqlm.inference.four_bits import in_four_bits, linear_maps, weights_of
from seqlm.inference.loading import load_backbone
from seqlm.tokenization.encoder import Encoder

CPU = torch.device("cpu")
SITES = ["--train", DATA / "sites_train.fasta", "--test", DATA / "sites_test.fasta", "--epochs", 2]


@pytest.fixture(scope="module")
def bitsandbytes():
    return pytest.importorskip("bitsandbytes", reason="bitsandbytes is not installed; `make reference` has it")


def folder_of(name, tmp_path, model_path):
    return make(name, tmp_path) if name in MAKERS else model_path(name)


@pytest.mark.parametrize("name", [*sorted({*MAKERS} - {*ALIKE}), "esm", "bert", "t5", "dnabert2"])
def test_an_adapter_learns_on_four_bits_and_fits_the_model_as_it_is(bitsandbytes, model_path, tmp_path, name):
    """What 4 bits lose is what rounding each weight to them loses, and training moves far beyond it."""
    folder = folder_of(name, tmp_path, model_path)
    family = recognise(folder, read_model_folder(folder).config)
    plain, small = (load_backbone(folder, family, torch.float32, CPU) for _ in range(2))
    ids = torch.from_numpy(Encoder(family, folder).encode(sequences(name)[0]).rows[0][None]).long()

    def vectors(model):
        with torch.no_grad():
            return model.eval()(input_ids=ids).last_hidden_state

    before, maps = vectors(plain), len(linear_maps(plain, family))
    small = in_four_bits(small, family, torch.float32, CPU)
    assert sum(isinstance(one, bitsandbytes.nn.Linear4bit) for one in small.modules()) == maps > 0
    assert sum(map(weights_of, small.parameters())) == sum(one.numel() for one in plain.parameters())
    near = vectors(small)
    rounded = copy.deepcopy(plain)
    for name, module in linear_maps(rounded, family):
        held = small.get_submodule(name).weight
        weight = bitsandbytes.functional.dequantize_4bit(held.data, held.quant_state)
        module.weight.data = weight.T if isinstance(module, Conv1D) else weight
    assert (near - before).norm() > 0
    torch.testing.assert_close(near, vectors(rounded), atol=1e-4, rtol=1e-4)
    modules = "attention" if "attention" in family.lora_modules else "all-linear"
    adapted = add_adapter(small, family, LoraSettings("qlora", rank=2, dropout=0.0, modules=modules), "base")
    learning = torch.optim.AdamW([one for one in adapted.parameters() if one.requires_grad], lr=0.05)
    for _ in range(4):
        adapted(input_ids=ids).last_hidden_state.square().sum().backward()
        learning.step()
        learning.zero_grad()
    after = vectors(adapted)
    save_adapter(adapted, tmp_path)
    config = check_adapter_config(json.loads((tmp_path / "adapter_config.json").read_text()))
    given = vectors(load_adapter(plain, tmp_path, config))
    # of random weights that are multiplied with each other, as HyenaDNA's, 4 bits lose half of the vectors themselves
    assert (given - after).norm() < max(0.5 * (after - near).norm(), 1.5 * (near - before).norm())


def test_a_bundle_says_how_it_was_trained_and_predicts_what_training_said(bitsandbytes, model_path, tmp_path):
    esm = model_path("esm")
    made, read = run_batch(
        [
            (tmp_path, "finetune", "--model", esm, *SITES, "--method", "qlora", "--output-model", "m.zip",
             "--output-predictions", "p.tsv", "--output-report", "report.md"),
            (tmp_path, "predict", "--model", "m.zip", "--base-model", esm, "--sequences", DATA / "sites_test.fasta",
             "--output-table", "again.tsv"),
        ]
    )  # fmt: skip
    assert made.returncode == read.returncode == 0, made.stderr + read.stderr
    assert "here the base model is read in full" in made.stderr and "here the base model is read in full" in read.stderr
    assert "QLoRA: Dettmers et al. 2023" in (tmp_path / "report.md").read_text()
    first, again = (table(tmp_path / name) for name in ("p.tsv", "again.tsv"))
    for column in ("id", "probability_0", "probability_1"):
        assert [row[column] for row in first] == [row[column] for row in again]


def test_two_processes_share_a_training_in_four_bits(bitsandbytes, model_path, tmp_path):
    options = ["--model", model_path("esm"), *SITES, "--method", "qlora", "--lora-dropout", 0, "--head-dropout", 0]
    calls = [(tmp_path, "finetune", *options, "--processes", n, "--output-model", f"{n}.zip",
              "--output-predictions", f"{n}.tsv") for n in (1, 2)]  # fmt: skip
    for done in run_batch(calls):
        assert done.returncode == 0, done.stderr
    one, two = ([float(row["probability_1"]) for row in table(tmp_path / f"{n}.tsv")] for n in (1, 2))
    assert two == pytest.approx(one, abs=1e-3)


def test_qlora_without_its_library_is_refused_in_one_line():
    from seqlm.cli.errors import InputError
    from seqlm.inference import four_bits

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(four_bits, "find_spec", lambda name: None)
        with pytest.raises(InputError, match="QLoRA needs the package bitsandbytes, which is not installed here"):
            four_bits.require_bitsandbytes()
