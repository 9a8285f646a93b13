"""Adapters of every family: what is trained, what is read back, and what is refused."""

import json
import re

import pytest
import torch
from peft import LoraConfig, PeftModel, TaskType, get_peft_model
from transformers import AutoModelForSequenceClassification

from makers.models import MAKERS, make, sequences
from makers.scripts import run_batch
from seqlm.checkpoints.adapter_config import check_adapter_config, ranks_agree
from seqlm.checkpoints.bundle import read_bundle_folder
from seqlm.checkpoints.folder import read_model_folder
from seqlm.checkpoints.published_adapters import inspect_published
from seqlm.checkpoints.safetensors_header import read_tensors
from seqlm.cli.errors import InputError
from seqlm.data.records import DNA
from seqlm.families.recognition import recognise
from seqlm.inference.adapters import (
    LoraSettings,
    RankAllocation,
    add_adapter,
    allocation_of,
    load_adapter,
    save_adapter,
)
from seqlm.inference.inference import pooled_vectors
from seqlm.inference.loading import SequenceModel, load_backbone, placed
from seqlm.tokenization.encoder import Encoder
from seqlm.tools.finetune.costs import costs

ALPHABETS = {
    "grover": DNA, "nucleotide-transformer": DNA, "nucleotide-transformer-v2": DNA, "modernbert": DNA,
    "generator": DNA, "carbon": DNA, "hyenadna": DNA,
}  # fmt: skip
T5 = ("prostt5", "ankh", "ankh3")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    parent = tmp_path_factory.mktemp("families")
    return lambda name: make(name, parent)


def loaded(folder, **options):
    family = recognise(folder, read_model_folder(folder).config)
    backbone = load_backbone(folder, family, torch.float32, torch.device("cpu"))
    return SequenceModel(backbone, family.hidden_size), Encoder(family, folder, **options), family


@pytest.mark.parametrize("name", MAKERS)
def test_an_adapter_in_half_precision_leaves_positions_in_single(folder, name, tmp_path):
    """Rotary frequencies rounded to bf16 would put the tokens of a long sequence at wrong places."""
    model, encoder, family = loaded(folder(name))
    save_adapter(add_adapter(model.backbone, family, LoraSettings(rank=2, modules="all-linear"), "base"), tmp_path)
    config = check_adapter_config(json.loads((tmp_path / "adapter_config.json").read_text()))
    exact = dict(loaded(folder(name))[0].backbone.named_buffers())
    half = load_backbone(folder(name), family, torch.bfloat16, torch.device("cpu"))
    adapted = placed(load_adapter(half, tmp_path, config), torch.device("cpu"), torch.bfloat16)
    # HyenaDNA takes sines of ten times a number for its filters
    rounded = {one.dtype for name, one in adapted.named_parameters() if ".filter_fn." not in name}
    assert rounded == {torch.bfloat16}
    for buffer, value in adapted.get_base_model().named_buffers():
        torch.testing.assert_close(value, exact[buffer], rtol=0, atol=0)
    encoded = [encoder.encode(sequences(name)[0])]
    assert torch.isfinite(pooled_vectors(SequenceModel(adapted, family.hidden_size), encoded, 0, budget=300)).all()


@pytest.mark.parametrize("modules", ["query-value", "attention", "all-linear"])
@pytest.mark.parametrize("name", MAKERS)
def test_an_adapter_is_trained_and_nothing_else(folder, name, modules):
    model, encoder, family = loaded(folder(name))
    if modules not in family.lora_modules:
        with pytest.raises(InputError, match=f"take no adapter on '{modules}'; choose all-linear"):
            add_adapter(model.backbone, family, LoraSettings(rank=2, modules=modules), "base")
        return
    settings = LoraSettings(rank=2, modules=modules, layer_norms=True)
    model.backbone = add_adapter(model.backbone, family, settings, "base")
    trained = {name for name, parameter in model.backbone.named_parameters() if parameter.requires_grad}
    assert all("lora_" in name or "norm" in name.lower() or ".ln_" in name for name in trained)
    targets = {name.split(".lora_")[0] for name in trained if "lora_" in name}
    for target in family.lora_modules[modules]:
        # the gated T5 has two maps in place of one
        assert any(one.endswith(target) for one in targets) or (name in T5 and target.startswith("wi")), target
    for norm in family.layer_norms:
        kept = [name for name in trained if f"{norm}.modules_to_save" in name]
        assert kept or norm == "emb_layer_norm_after" or name == "modernbert"
    batch = torch.tensor([encoder.encode(sequences(name)[0]).rows[0].tolist()])
    model.backbone(input_ids=batch).last_hidden_state.sum().backward()
    assert all(p.grad is None for p in model.backbone.parameters() if not p.requires_grad)
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in model.backbone.parameters() if p.requires_grad)


@pytest.mark.parametrize("method", ["adalora", "ia3", "vera"])
@pytest.mark.parametrize("name", MAKERS)
def test_every_adapter_learns_and_is_read_back(folder, name, method, tmp_path):
    model, encoder, family = loaded(folder(name))
    modules = "attention" if "attention" in family.lora_modules else "all-linear"
    last = 1 if name not in ("albert", "proteinbert") else 0  # whose layers are one, or hand on more
    settings = LoraSettings(method=method, rank=2, dropout=0.0, modules=modules, last_layers=last, layer_norms=True)
    adapted = add_adapter(model.backbone, family, settings, "base")
    ids = torch.tensor([encoder.encode(sequences(name)[0]).rows[0].tolist()])
    before = adapted(input_ids=ids).last_hidden_state.detach()
    learning = torch.optim.AdamW([one for one in adapted.parameters() if one.requires_grad], lr=0.1)
    ranks = RankAllocation(allocation_of(adapted), 4) if method == "adalora" else None
    for step in range(4):
        adapted(input_ids=ids).last_hidden_state.square().sum().backward()
        learning.step()
        if ranks:
            ranks.allocate(step + 1)
        learning.zero_grad()
    trained = {name for name, one in adapted.named_parameters() if one.requires_grad}
    said = {one.method: one for one in costs(family.load, folder(name), family, settings, [method, "full", "qlora"])}
    assert said[method].trained == sum(one.numel() for one in adapted.parameters() if one.requires_grad)
    assert said["full"].memory > said["qlora"].memory
    mark = {"adalora": ".lora_E.", "ia3": ".ia3_l.", "vera": ".vera_lambda_d."}[method]
    found = {name.split(mark)[0] for name in trained if mark in name}
    if method == "ia3":
        maps = [module for module in adapted.modules() if hasattr(module, "is_feedforward")]
        attends = name not in ("xlnet", "proteinbert")
        assert [any(one.is_feedforward is kind for one in maps) for kind in (True, False)] == [True, attends]
        assert not any("attention.output" in one for one in found)
    if last:
        assert len({re.search(r"\.(\d+)\.", one).group(1) for one in found}) == 1
    with torch.no_grad():
        after = adapted.eval()(input_ids=ids).last_hidden_state
    assert (after - before).abs().max() > 1e-2
    save_adapter(adapted, tmp_path)
    config = check_adapter_config(json.loads((tmp_path / "adapter_config.json").read_text()))
    held = read_tensors(tmp_path / "adapter_model.safetensors")
    ranks_agree(config, {name: shape for name, (_, shape) in held.items()}, "a.zip")
    again = load_adapter(loaded(folder(name))[0].backbone, tmp_path, config)
    plain = PeftModel.from_pretrained(loaded(folder(name))[0].backbone, tmp_path).eval()
    half = placed(load_adapter(loaded(folder(name))[0].backbone, tmp_path, config), torch.device("cpu"), torch.bfloat16)
    with torch.no_grad():
        for one, away in ((again, 1e-6), (plain, 1e-6), (half, 0.1)):
            given = one(input_ids=ids).last_hidden_state.float()
            torch.testing.assert_close(given, after, atol=away * float(after.abs().max()), rtol=0)


def test_training_that_an_architecture_does_not_allow_is_refused_before_torch(folder, data, tmp_path):
    options = ["--train", data / "sites_train.fasta", "--output-model", "bundle.zip", "--model", folder("xlnet")]
    (adapted, checkpointed) = run_batch(
        [
            (tmp_path, "finetune", *options, "--lora-modules", "attention"),
            (tmp_path, "finetune", *options, "--lora-modules", "all-linear", "--gradient-checkpointing"),
        ],
        torch=False,
    )
    assert adapted.returncode == checkpointed.returncode == 2
    assert adapted.stderr.startswith("error: XLNet models take no adapter on 'attention'; choose all-linear")
    assert checkpointed.stderr.startswith("error: XLNet models cannot be trained with gradient checkpointing")


def test_a_published_adapter_of_another_family_is_refused_by_name(folder, tmp_path):
    model = AutoModelForSequenceClassification.from_pretrained(folder("gpt2"), num_labels=2)
    config = LoraConfig(task_type=TaskType.SEQ_CLS, target_modules=["c_attn"], fan_in_fan_out=True)
    get_peft_model(model, config).save_pretrained(tmp_path / "adapter")
    bundle = read_bundle_folder(tmp_path / "adapter")
    with pytest.raises(InputError, match="published adapters for models of type 'gpt2' are not supported; supported"):
        inspect_published(bundle, read_model_folder(folder("gpt2")))
