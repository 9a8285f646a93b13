"""Training: what one update does, which epoch is kept, what an adapter saves."""

import json
import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch.nn import functional

from seqlm.checkpoints.adapter_config import check_adapter_config
from seqlm.checkpoints.folder import read_model_folder
from seqlm.cli.errors import InputError
from seqlm.families.recognition import recognise
from seqlm.inference.adapters import (
    LoraSettings,
    RankAllocation,
    add_adapter,
    allocation_of,
    load_adapter,
    pissa_start,
    save_adapter,
)
from seqlm.inference.inference import pooled_vectors
from seqlm.inference.loading import SequenceModel, load_backbone
from seqlm.inference.tasks import Head, Task
from seqlm.tokenization.encoder import Encoder
from seqlm.tools.finetune.examples import Examples, balanced_weights
from seqlm.tools.finetune.label_training import LabelLesson, train
from seqlm.training.loop import Loop
from seqlm.training.state import Settings

LABELS = Task("sequence-classification", ("0", "1"))
SEQUENCES = ["MKVLAAGY" * n for n in range(1, 13)] + ["DEPYWDEE" * n for n in range(1, 13)]
TRUTH = np.array([0] * 12 + [1] * 12)


def build(folder, lora=None, seed=1, task=LABELS):
    torch.manual_seed(seed)
    family = recognise(folder, read_model_folder(folder).config)
    backbone = load_backbone(folder, family, torch.float32, torch.device("cpu"))
    if lora:
        backbone = add_adapter(backbone, family, lora, "tiny")
    head = Head(family.hidden_size, task.outputs, kind="linear", dropout=0.0)
    return SequenceModel(backbone, family.hidden_size, head, task), Encoder(family, folder)


def examples(encoder):
    return Examples(LABELS, [encoder.encode(sequence) for sequence in SEQUENCES], TRUTH)


def trained(model):
    return {name: p.detach().clone() for name, p in model.named_parameters() if p.requires_grad}


def test_the_token_budget_does_not_change_what_is_learnt(model_path):
    """ESM has no dropout of its own, so only the passes differ."""
    results = []
    for budget in (30, 100_000):
        model, encoder = build(model_path("esm"), LoraSettings(dropout=0.0))
        train(model, examples(encoder), None, encoder.padding, Settings(epochs=3, budget=budget, learning_rate=0.01))
        results.append(trained(model))
    assert any(name.endswith("lora_B.default.weight") for name in results[0])
    for name, value in results[0].items():
        torch.testing.assert_close(value, results[1][name], atol=1e-5, rtol=1e-4)


def test_one_update_is_that_of_torch_by_hand_with_class_weights(model_path):
    """One update on everything at once, SGD-like comparison: the gradient that AdamW gets."""
    model, encoder = build(model_path("esm"))
    truth = np.array([0] * 18 + [1] * 6)
    gradients = {}
    for parameter_name, parameter in model.head.named_parameters():
        parameter.register_hook(lambda g, n=parameter_name: gradients.__setitem__(n, gradients.get(n, 0) + g))
    encoded = [encoder.encode(sequence) for sequence in SEQUENCES]
    data = Examples(LABELS, encoded, truth, class_weights=balanced_weights(LABELS, truth))
    settings = Settings(epochs=1, batch_size=24, budget=64, learning_rate=1e-12)
    train(model, data, None, encoder.padding, settings)
    pooled = []
    for sequence in SEQUENCES:
        ids = torch.tensor([encoder.encode(sequence).rows[0].tolist()])
        with torch.no_grad():
            pooled.append(model.backbone(ids, attention_mask=torch.ones_like(ids)).last_hidden_state[0, 1:-1].mean(0))
    weight = model.head.out.weight.detach().clone().requires_grad_()
    outputs = torch.stack(pooled) @ weight.T + model.head.out.bias.detach()
    functional.cross_entropy(outputs, torch.tensor(truth), weight=torch.tensor([24 / 36, 24 / 12])).backward()
    torch.testing.assert_close(gradients["out.weight"], weight.grad, atol=1e-5, rtol=1e-4)


def test_the_best_epoch_is_kept_and_training_stops_early(model_path):
    model, encoder = build(model_path("esm"), LoraSettings(dropout=0.0))
    data = examples(encoder)
    wrong = Examples(LABELS, data.encoded, 1 - TRUTH)  # the better it learns, the worse it scores
    settings = Settings(epochs=30, learning_rate=0.01, patience=3, warmup=0.0)
    history = train(model, data, wrong, encoder.padding, settings)
    assert history.stopped_early
    assert len(history.epochs) == history.best_epoch + 3
    kept = history.epochs[history.best_epoch - 1]
    assert kept["validation_mcc"] == max(epoch["validation_mcc"] for epoch in history.epochs)
    model.eval()
    from seqlm.inference.inference import pooled_vectors

    with torch.no_grad():
        outputs = model.head(pooled_vectors(model, data.encoded, encoder.padding, 4096))
        loss = functional.cross_entropy(outputs, torch.tensor(1 - TRUTH)).item()
    assert loss == pytest.approx(kept["validation_loss"], rel=1e-4)
    assert loss < history.epochs[-1]["validation_loss"]


def test_patience_is_counted_from_the_end_of_the_warm_up(model_path):
    model, encoder = build(model_path("esm"), LoraSettings(dropout=0.0))
    data = examples(encoder)
    wrong = Examples(LABELS, data.encoded, 1 - TRUTH)
    settings = Settings(epochs=20, learning_rate=0.01, patience=2, warmup=0.3, metric="loss", from_start=True)
    history = train(model, data, wrong, encoder.padding, settings)
    assert history.stopped_early and history.kept < 6
    assert history.epochs[-1]["epoch"] == max(history.kept, 6) + 2


def test_the_state_before_the_first_update_is_epoch_0_and_may_be_kept(model_path):
    model, encoder = build(model_path("esm"), LoraSettings(dropout=0.0))
    data = examples(encoder)
    wrong = Examples(LABELS, data.encoded, 1 - TRUTH)
    before = trained(model)
    settings = Settings(epochs=4, learning_rate=0.01, metric="loss", from_start=True)
    history = train(model, data, wrong, encoder.padding, settings)
    assert (history.kept, history.best_epoch) == (0, 1)
    assert [epoch["epoch"] for epoch in history.epochs] == [0, 1, 2, 3, 4]
    assert "train_loss" not in history.epochs[0]
    assert all(torch.equal(value, before[name]) for name, value in trained(model).items())
    _, rows = history.table()
    assert [row[-1] for row in rows] == ["yes", "", "", "", ""] and len({len(row) for row in rows}) == 1
    model, encoder = build(model_path("esm"), LoraSettings(dropout=0.0))
    history = train(model, data, data, encoder.padding, settings)
    assert history.kept == 4


def test_without_a_validation_set_every_epoch_is_trained(model_path):
    model, encoder = build(model_path("esm"))
    history = train(model, examples(encoder), None, encoder.padding, Settings(epochs=4, patience=1))
    assert (len(history.epochs), history.best_epoch, history.stopped_early) == (4, 0, False)
    assert history.epochs[-1]["train_loss"] < history.epochs[0]["train_loss"]


def test_only_what_was_asked_for_is_trained(model_path):
    model, encoder = build(model_path("t5"), LoraSettings(rank=4, last_layers=1, layer_norms=True))
    names = set(trained(model))
    assert all("lora_" in name or "layer_norm" in name or name.startswith("head.") for name in names)
    assert any("layer_norm" in name for name in names)
    assert not any("lora_" in name and "block.0" in name for name in names)
    assert {part for name in names if "lora_" in name for part in ("q", "k", "v", "o") if f".{part}." in name} == set(
        "qkvo"
    )
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    train(model, examples(encoder), None, encoder.padding, Settings(epochs=1, learning_rate=0.01))
    changed = {name for name, p in model.named_parameters() if not torch.equal(before[name], p)}
    assert changed <= names and any("lora_B" in name for name in changed)


def test_gradient_checkpointing_changes_nothing_but_memory(model_path):
    results = []
    for checkpointing in (False, True):
        model, encoder = build(model_path("esm"), LoraSettings(dropout=0.0))
        settings = Settings(epochs=2, learning_rate=0.01, gradient_checkpointing=checkpointing)
        train(model, examples(encoder), None, encoder.padding, settings)
        results.append(trained(model))
    for name, value in results[0].items():
        torch.testing.assert_close(value, results[1][name], atol=1e-6, rtol=1e-5)


def test_a_full_memory_in_training_halves_the_pass_and_gives_the_same_weights(model_path, monkeypatch):
    expected, encoder = build(model_path("esm"), LoraSettings(dropout=0.0))
    settings = Settings(epochs=2, learning_rate=0.01, budget=4096)
    train(expected, examples(encoder), None, encoder.padding, settings)
    model, encoder = build(model_path("esm"), LoraSettings(dropout=0.0))
    real = SequenceModel.forward

    def small_memory(self, batch):
        if batch.ids.numel() > 300:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return real(self, batch)

    monkeypatch.setattr(SequenceModel, "forward", small_memory)
    train(model, examples(encoder), None, encoder.padding, settings)
    for name, value in trained(expected).items():
        torch.testing.assert_close(trained(model)[name], value, atol=1e-5, rtol=1e-4)
    monkeypatch.setattr(SequenceModel, "forward", lambda self, batch: _full())
    with pytest.raises(InputError, match="does not fit into memory in training"):
        train(model, examples(encoder), None, encoder.padding, settings)


def _full():
    raise torch.OutOfMemoryError("CUDA out of memory")


def test_a_loss_that_is_no_number_stops_training_with_advice(model_path):
    model, encoder = build(model_path("esm"))
    with torch.no_grad():
        model.head.out.weight.fill_(math.inf)
    with pytest.raises(InputError, match="no longer a number at update 1; choose a lower learning rate"):
        train(model, examples(encoder), None, encoder.padding, Settings(epochs=1))


@pytest.mark.parametrize(
    "lora",
    [
        LoraSettings(),
        LoraSettings(method="dora"),
        LoraSettings(rslora=True, rank=4),
        LoraSettings(pissa=True),
        LoraSettings(pissa=True, rslora=True, layer_norms=True),
        LoraSettings(modules="all-linear", last_layers=1, layer_norms=True),
        LoraSettings(method="adalora", rank=2),
        LoraSettings(method="ia3", layer_norms=True),
        LoraSettings(method="vera", modules="all-linear", last_layers=1),
    ],
    ids=["lora", "dora", "rslora", "pissa", "pissa+rslora+norms", "all-linear+last+norms", "adalora", "ia3", "vera"],
)
@pytest.mark.parametrize("name", ["t5", "esm", "bert"])
def test_a_saved_adapter_gives_the_same_vectors_on_the_untouched_base_model(model_path, tmp_path, name, lora):
    model, encoder = build(model_path(name), lora)
    start = pissa_start(model.backbone)
    train(model, examples(encoder), None, encoder.padding, Settings(epochs=2, learning_rate=0.01))
    save_adapter(model.backbone, tmp_path, start)
    fresh, _ = build(model_path(name))
    untrained = pooled_vectors(fresh, examples(encoder).encoded, encoder.padding, 4096)
    config = check_adapter_config(json.loads((tmp_path / "adapter_config.json").read_text()))
    fresh.backbone = load_adapter(fresh.backbone, tmp_path, config)
    expected = pooled_vectors(model, examples(encoder).encoded, encoder.padding, 4096)
    restored = pooled_vectors(fresh, examples(encoder).encoded, encoder.padding, 4096)
    torch.testing.assert_close(restored, expected, atol=1e-5, rtol=1e-4)
    assert (restored - untrained).abs().max() > 1e-3


def test_the_ranks_of_a_saved_adapter_are_those_of_the_kept_epoch(model_path, tmp_path):
    """Ranks are taken away as training goes on; an earlier epoch may be the best, and has more of them."""
    model, encoder = build(model_path("esm"), LoraSettings(method="adalora", rank=2, dropout=0.0))
    data = examples(encoder)
    made_worse = Settings(epochs=8, learning_rate=0.01, metric="loss", patience=0)
    looks = iter([3.0, 1.0, *[2.0] * 6])
    loop = Loop(model, LabelLesson(data, encoder.padding), made_worse, lambda *_: {"loss": next(looks)})
    assert loop.run().history.best_epoch == 2
    ended = [sum(kept) for kept in loop.ranks.config.rank_pattern.values()]
    assert len(ended) == 8
    assert sum(ended) == 8 * 2
    save_adapter(model.backbone, tmp_path)
    config = check_adapter_config(json.loads((tmp_path / "adapter_config.json").read_text()))
    assert sum(map(sum, config["rank_pattern"].values())) > 8 * 2
    fresh, _ = build(model_path("esm"))
    fresh.backbone = load_adapter(fresh.backbone, tmp_path, config)
    wanted, given = (pooled_vectors(one, data.encoded, encoder.padding, 4096) for one in (model, fresh))
    torch.testing.assert_close(given, wanted, atol=1e-6, rtol=0)


def test_matrices_that_lost_all_ranks_are_saved_as_such(model_path, tmp_path):
    model, encoder = build(model_path("bert"), LoraSettings(method="adalora", rank=2))
    with torch.no_grad():
        for name, one in model.named_parameters():
            if ".lora_E." in name and "query" not in name:
                one.fill_(0.5)
    save_adapter(model.backbone, tmp_path)
    config = check_adapter_config(json.loads((tmp_path / "adapter_config.json").read_text()))
    assert {sum(kept) for kept in config["rank_pattern"].values()} == {0, 3}
    fresh, _ = build(model_path("bert"))
    fresh.backbone = load_adapter(fresh.backbone, tmp_path, config)
    data = examples(encoder)
    wanted, given = (pooled_vectors(one, data.encoded, encoder.padding, 4096) for one in (model.eval(), fresh))
    torch.testing.assert_close(given, wanted, atol=1e-6, rtol=0)


def test_what_keeps_ranks_apart_is_added_to_the_gradient_as_peft_adds_it_to_a_loss(model_path):
    model, _ = build(model_path("esm"), LoraSettings(method="adalora", rank=2))
    tuner = allocation_of(model)
    RankAllocation(tuner, 10).regularise()
    given = {name: one.grad.clone() for name, one in model.named_parameters() if one.grad is not None}
    assert len(given) == 16
    model.zero_grad()
    loss = torch.zeros((), requires_grad=True)
    named = tuner.model.named_parameters
    inner = SimpleNamespace(forward=lambda: SimpleNamespace(loss=loss * 1), named_parameters=named)
    outer = SimpleNamespace(model=inner, peft_config=tuner.peft_config, trainable_adapter_name="default")
    type(tuner).forward(outer).loss.backward()
    for name, one in model.named_parameters():
        if name in given:
            torch.testing.assert_close(given[name], one.grad)


def test_what_an_adapter_does_not_save_is_not_trained(model_path):
    """peft moves the number of ranks to the device and the format of the model, which makes it one to be trained."""
    family = recognise(model_path("esm"), read_model_folder(model_path("esm")).config)
    backbone = load_backbone(model_path("esm"), family, torch.float64, torch.device("cpu"))
    model = add_adapter(backbone, family, LoraSettings(method="adalora", rank=2), "tiny")
    ends = {name.split(".")[-2] for name, one in model.named_parameters() if one.requires_grad}
    assert ends == {"lora_A", "lora_B", "lora_E"}


def test_vectors_that_multiply_are_not_pulled_to_zero(model_path):
    model, encoder = build(model_path("esm"), LoraSettings(method="ia3"))
    loop = Loop(model, LabelLesson(examples(encoder), encoder.padding), Settings(weight_decay=0.5))
    decayed = {id(one) for group in loop.optimizer.param_groups if group["weight_decay"] for one in group["params"]}
    names = [name for name, one in loop.named.items() if id(one) in decayed]
    assert names == ["head.out.weight"]


def test_an_adapter_for_another_model_is_refused(model_path, tmp_path):
    model, _ = build(model_path("esm"), LoraSettings())
    save_adapter(model.backbone, tmp_path)
    config = check_adapter_config(json.loads((tmp_path / "adapter_config.json").read_text()))
    other, _ = build(model_path("t5"))
    with pytest.raises(InputError, match=r"the adapter (cannot be put onto|does not fit) this base model"):
        load_adapter(other.backbone, tmp_path, config)


def test_impossible_adapters_are_refused(model_path):
    with pytest.raises(InputError, match="the model has 2 layers, so the last 3 cannot be adapted"):
        build(model_path("esm"), LoraSettings(last_layers=3))
    with pytest.raises(InputError, match="the LoRA rank 65 is above the width of the model, 64"):
        build(model_path("esm"), LoraSettings(rank=65))


def test_names_in_a_saved_adapter_are_in_order(tmp_path):
    """peft keeps them in sets, whose order is another one in every process."""
    from peft import LoraConfig, get_peft_model

    names = ["word", "place", "kind", "query", "pooler"]
    config = LoraConfig(r=2, target_modules=["value", "key"], exclude_modules=names, modules_to_save=["pooler", "norm"])
    parts = {name: torch.nn.Linear(4, 4) for name in (*names, "value", "key", "norm")}
    save_adapter(get_peft_model(torch.nn.ModuleDict(parts), config), tmp_path)
    saved = json.loads((tmp_path / "adapter_config.json").read_text())
    assert saved["exclude_modules"] == sorted(names)
    assert (saved["target_modules"], saved["modules_to_save"]) == (["key", "value"], ["norm", "pooler"])
