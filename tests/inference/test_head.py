"""The head: what it computes, and that heads of bundles of format 1 give what they gave."""

import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn.functional import linear

from seqlm.inference.tasks import Head


@pytest.mark.parametrize("kind", ["linear", "mlp"])
def test_a_head_of_format_1_gives_what_it_gave(tmp_path, kind):
    torch.manual_seed(3)
    dense, out = nn.Linear(6, 4), nn.Linear(4 if kind == "mlp" else 6, 3)
    tensors = {"out.weight": out.weight, "out.bias": out.bias, "shift": torch.zeros(1), "scale": torch.ones(1)}
    if kind == "mlp":
        tensors |= {"dense.weight": dense.weight, "dense.bias": dense.bias}
    save_file({name: tensor.detach() for name, tensor in tensors.items()}, tmp_path / "head.safetensors")
    described = {"kind": kind, "inputs": 6, "outputs": 3, "hidden": 4 if kind == "mlp" else 0}
    head = Head.load(tmp_path / "head.safetensors", described).eval()
    vectors = torch.randn(20, 6)
    expected = out(torch.tanh(dense(vectors)) if kind == "mlp" else vectors)
    torch.testing.assert_close(head(vectors), expected)
    head.save(tmp_path / "again.safetensors")
    torch.testing.assert_close(Head.load(tmp_path / "again.safetensors", described).eval()(vectors), expected)


def test_a_head_without_its_last_layer_is_refused(tmp_path):
    held = {"shift": torch.zeros(1), "scale": torch.ones(1), "dense.weight": torch.zeros(4, 6)}
    save_file(held, tmp_path / "head.safetensors")
    with pytest.raises(ValueError, match=r"out\.weight"):
        Head.load(tmp_path / "head.safetensors", {"kind": "mlp", "inputs": 6, "outputs": 3, "hidden": 4})


def test_the_layers_beside_start_at_zero_and_read_scaled_vectors():
    torch.manual_seed(0)
    head = Head(5, 2, kind="mlp", hidden=3, dropout=0.0)
    head.center.copy_(torch.arange(5.0))
    head.spread.copy_(torch.linspace(0.5, 2, 5))
    vectors = torch.randn(8, 5)
    scaled = (vectors - head.center) / head.spread
    torch.testing.assert_close(head(vectors), linear(scaled, head.out.weight, head.out.bias))
    head(vectors).sum().backward()
    assert head.beside.weight.grad.abs().sum() > 0  # so that it can leave zero
    nn.init.normal_(head.beside.weight)
    beside = linear(torch.tanh(linear(scaled, head.dense.weight, head.dense.bias)), head.beside.weight)
    torch.testing.assert_close(head(vectors), linear(scaled, head.out.weight, head.out.bias) + beside)
