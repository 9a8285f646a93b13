"""Layers that stay as they came are computed once: the same gradients, scores and weights as when they are not."""

import random

import numpy as np
import pytest
import torch

from makers.models import MAKERS, make
from makers.protein_models import ALIKE
from seqlm.checkpoints.folder import read_model_folder
from seqlm.families.recognition import recognise
from seqlm.inference import entering as module
from seqlm.inference.adapters import LoraSettings, add_adapter
from seqlm.inference.entering import blocks_of, first_trained, room_for
from seqlm.inference.inference import pooled_vectors, residue_values
from seqlm.inference.loading import SequenceModel, load_backbone
from seqlm.inference.tasks import Head, Task, pair_width
from seqlm.tokenization.encoder import Encoder
from seqlm.tools.finetune.examples import Examples
from seqlm.tools.finetune.label_training import train
from seqlm.training.state import Settings

TINY = ("bert", "dnabert2", "esm", "protgpt2", "roberta", "t5")
# ALBERT has one layer, which it runs again and again; layers of ProteinBERT hand on more than vectors of residues
DEEP = sorted({*MAKERS, *TINY} - {"albert", "proteinbert", *ALIKE})
SEQUENCES = Task("sequence-classification", ("0", "1"))
RESIDUES = Task("residue-classification", ("A", "B"))
PAIRS = Task("pair-regression")


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    parent = tmp_path_factory.mktemp("families")

    def model_of(name, model_path):
        folder = make(name, parent) if name in MAKERS else model_path(name)
        return folder, recognise(folder, read_model_folder(folder).config)

    return model_of


def lora_of(family, **options):
    modules = "attention" if "attention" in family.lora_modules else "all-linear"
    return LoraSettings(**{"rank": 2, "dropout": 0.2, "modules": modules, "last_layers": 1} | options)


def examples(task, encoder, letters, count=9):
    rng = random.Random(4)
    texts = ["".join(rng.choices(letters, k=rng.randint(3, 90))) for _ in range(count)]
    encoded = [encoder.encode(text) for text in texts]
    if task.level == "residue":
        return Examples(task, encoded, task.truth([np.arange(len(text)) % 2 for text in texts]))
    if task.level == "pair":
        pairs = np.array([(rng.randrange(count), rng.randrange(count)) for _ in range(12)])
        return Examples(task, encoded, np.array([rng.random() for _ in pairs]), pairs=pairs)
    return Examples(task, encoded, np.arange(count) % 2)


def built(folder, family, file, task=SEQUENCES, **options):
    """A model with a fresh adapter, examples that are read in windows, padding, and what enters the adapted layers,
    which are attributes of the examples."""
    torch.manual_seed(3)
    backbone = load_backbone(folder, family, torch.float32, torch.device("cpu"))
    encoder = Encoder(family, folder, pooling="none" if task.level == "residue" else "mean", max_length=10)
    data = examples(task, encoder, "ACGT" if family.alphabet == "DNA" else "LAGVSERTIDPKQNFYMHWC")
    assert any(len(one.rows) > 1 for one in data.encoded)
    lora = lora_of(family, **options)
    data.entering = room_for(family, len(blocks_of(backbone, family.layers)) - lora.last_layers, data.encoded, file)
    if data.entering:
        vectors = residue_values if task.level == "residue" else pooled_vectors
        base, arguments = SequenceModel(backbone, family.hidden_size), (data.encoded, encoder.padding, 100)
        frozen = vectors(base, *arguments, entering=data.entering)
        torch.testing.assert_close(frozen, vectors(base, *arguments), atol=0, rtol=0)
        data.entering.filled = True
    backbone = add_adapter(backbone, family, lora, "tiny")
    for name, one in backbone.named_parameters():  # of a fresh adapter half of the gradients are zero
        if one.requires_grad and "lora_B" in name:
            torch.nn.init.normal_(one, std=0.1)
    pairs = "symmetric" if task.level == "pair" else None
    width = pair_width(family.hidden_size, family.hidden_size, pairs) if pairs else family.hidden_size
    head = Head(width, task.outputs, kind="linear", dropout=0.1, pairs=pairs)
    first = first_trained(backbone, family.layers)
    assert not data.entering or first == data.entering.first
    return SequenceModel(backbone, family.hidden_size, head, task, family=family, first=first), data, encoder.padding


def gradients(model, data, padding, budget=120):
    model.zero_grad()
    model.train()
    torch.manual_seed(8)
    for batch in data.passes(list(range(len(data))), budget, padding):
        assert (batch.entering is None) == (data.entering is None)
        (model.task.loss(model(batch), batch.targets, model.head) * batch.importance).sum().backward()
    return {name: one.grad.clone() for name, one in model.named_parameters() if one.grad is not None}


def assert_same_gradients(model, data, padding):
    begun = gradients(model, data, padding)
    data.entering = None
    whole = gradients(model, data, padding)
    assert whole.keys() == begun.keys()
    assert any("lora_A" in name for name in whole)
    for name, value in whole.items():
        assert value.any()
        torch.testing.assert_close(begun[name], value, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", DEEP)
def test_gradients_are_those_of_the_whole_model(name, opened, model_path, tmp_path):
    """With dropout of adapter, layers and head, and long sequences in windows: what is left out draws nothing."""
    folder, family = opened(name, model_path)
    model, data, padding = built(folder, family, tmp_path / "kept")
    names = list(model.state_dict())
    assert_same_gradients(model, data, padding)
    assert list(model.state_dict()) == names
    assert not any("forward" in vars(one) or one._forward_pre_hooks for one in model.modules())


@pytest.mark.parametrize("task", [RESIDUES, PAIRS], ids=lambda task: task.level)
@pytest.mark.parametrize("name", ["bert", "t5"])
def test_gradients_of_residues_and_pairs_are_the_same(name, task, opened, model_path, tmp_path):
    assert_same_gradients(*built(*opened(name, model_path), tmp_path / "kept", task))


def test_many_layers_are_left_out_and_the_others_may_be_dora(opened, model_path, tmp_path):
    """Of ModernBERT's four layers, two see only tokens nearby."""
    for number, options in enumerate([{"last_layers": 2, "method": "dora"}, {"last_layers": 3, "rslora": True}]):
        assert_same_gradients(*built(*opened("modernbert", model_path), tmp_path / f"{number}", **options))


def test_what_is_trained_elsewhere_is_never_left_out(opened, model_path, tmp_path):
    for name, options in [("albert", {}), ("bert", {"layer_norms": True}), ("bert", {"last_layers": 0})]:
        folder, family = opened(name, model_path)
        backbone = load_backbone(folder, family, torch.float32, torch.device("cpu"))
        adapted = add_adapter(backbone, family, lora_of(family, **options), "tiny")
        assert first_trained(adapted, family.layers) == 0
        model = SequenceModel(adapted, family.hidden_size, family=family).train()
        assert all(one.training for one in model.modules())


def assert_same_training(opened, model_path, file, task, **settings):
    """What is learnt with what is kept and without, and how it goes."""
    results = []
    for kept in (True, False):
        torch.manual_seed(1)
        model, data, padding = built(*opened("bert", model_path), file, task)
        data.entering = data.entering if kept else None
        history = train(model, data, data, padding, Settings(epochs=2, learning_rate=0.01, batch_size=5, **settings))
        results.append((history, {name: one for name, one in model.named_parameters() if one.requires_grad}))
    (first, weights), (second, others) = results
    for name, value in weights.items():
        torch.testing.assert_close(value, others[name], atol=1e-4, rtol=1e-4)
    assert first.best_epoch == second.best_epoch
    for one, other in zip(first.epochs, second.epochs, strict=True):
        assert one == pytest.approx(other, abs=1e-4)


@pytest.mark.parametrize("task", [SEQUENCES, RESIDUES, PAIRS], ids=lambda task: task.level)
def test_training_gives_the_same_weights_and_scores(task, opened, model_path, tmp_path):
    assert_same_training(opened, model_path, tmp_path / "kept", task, budget=60)


def test_activations_can_be_computed_again(opened, model_path, tmp_path):
    assert_same_training(opened, model_path, tmp_path / "kept", SEQUENCES, gradient_checkpointing=True)


def test_a_full_memory_halves_the_batches(opened, model_path, tmp_path, monkeypatch):
    hidden, largest = SequenceModel.hidden, []

    def small(self, batch):
        if batch.ids.numel() > 150:
            raise torch.OutOfMemoryError
        largest.append(batch.ids.numel())
        return hidden(self, batch)

    model, data, padding = built(*opened("bert", model_path), tmp_path / "kept")
    monkeypatch.setattr(SequenceModel, "hidden", small)
    train(model, data, data, padding, Settings(epochs=1, budget=1000))
    assert max(largest) <= 150
    monkeypatch.undo()
    assert_same_gradients(model, data, padding)


def test_much_lies_in_a_file_and_too_much_is_not_kept(opened, model_path, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(module, "IN_MEMORY", 1000)
    model, data, padding = built(*opened("esm", model_path), tmp_path / "kept")
    assert isinstance(data.entering.values.base.base, np.memmap)
    assert data.entering.values.nbytes > 1000
    assert_same_gradients(model, data, padding)
    monkeypatch.setattr(module, "MOST", 2000)
    _, data, _ = built(*opened("esm", model_path), tmp_path / "more")
    assert data.entering is None
    assert "are computed in every epoch" in capsys.readouterr().err
    assert not any(tmp_path.iterdir())


def test_a_full_disk_is_no_mistake(opened, model_path, tmp_path, monkeypatch, capsys):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "IN_MEMORY", 1000)
    monkeypatch.setattr(module.os, "posix_fallocate", full)
    _, data, _ = built(*opened("esm", model_path), tmp_path / "kept")
    assert data.entering is None
    assert "are computed in every epoch" in capsys.readouterr().err
