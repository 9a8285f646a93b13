"""Our DNABERT-2 beside an independent implementation with the same random weights, at the size of the published model.

Run by ``make reference`` in an environment of its own: the other one is under the AGPL.
"""

import pytest
import torch
from multimolecule import DnaBert2Config as OtherConfig
from multimolecule import DnaBert2Model as OtherModel

from seqlm.models.dnabert2 import DnaBert2Config, DnaBert2Model

RENAMED = (
    ("attention.output.LayerNorm", "attention.output.layer_norm"),
    ("mlp.layernorm", "mlp.layer_norm"),
    ("mlp.gated_layers", "mlp.up_proj"),
    ("mlp.wo", "mlp.down_proj"),
    ("embeddings.LayerNorm", "embeddings.layer_norm"),
)


def other_names(weights):
    """Our state dict with the other implementation's names; the fused matrix in three."""
    renamed = {}
    for name, tensor in weights.items():
        if ".Wqkv." in name:
            parts = zip(("query", "key", "value"), tensor.chunk(3), strict=True)
            renamed |= {name.replace("Wqkv", part): piece for part, piece in parts}
        else:
            for ours, theirs in RENAMED:
                name = name.replace(ours, theirs)
            renamed[name] = tensor
    return renamed


# Weights as for training in single precision; in double also wide ones, with which attention is sharp and any slip in
# the mathematics is magnified over twelve layers, as rounding is in single precision.
@pytest.mark.parametrize(("dtype", "noise"), [(torch.float32, 0.0), (torch.float64, 0.05)], ids=["single", "double"])
@pytest.mark.parametrize(
    ("size", "tokens"),
    [({}, 40), ({"num_hidden_layers": 2}, 700), ({"num_hidden_layers": 3, "num_attention_heads": 8}, 90)],
    ids=["published", "long", "eight-heads"],
)
@pytest.mark.filterwarnings("ignore")
def test_vectors_are_those_of_the_other_implementation(size, tokens, dtype, noise):
    torch.manual_seed(3)
    ours = DnaBert2Model(DnaBert2Config(vocab_size=4096, **size)).eval()
    with torch.no_grad():
        for parameter in ours.parameters():  # biases and norms that do something
            parameter.add_(torch.randn_like(parameter) * (noise or 0.05 * (parameter.ndim == 1)))
    ours = ours.to(dtype)
    other = OtherModel(OtherConfig(**size), add_pooling_layer=False).eval().to(dtype)
    missing, unexpected = other.load_state_dict(other_names(ours.state_dict()), strict=False)
    assert not unexpected and all("slopes" in name for name in missing)

    ids = torch.randint(5, 4096, (3, tokens))
    mask = torch.ones_like(ids)
    mask[1, tokens // 3 :] = 0  # padding
    mask[2, tokens - 1 :] = 0
    with torch.no_grad():
        first = ours(input_ids=ids, attention_mask=mask, output_hidden_states=True)
        second = other(input_ids=ids, attention_mask=mask, output_hidden_states=True)
    real = mask.bool()
    difference = (first.last_hidden_state - second.last_hidden_state)[real].abs().max()
    print(f"largest difference {difference:.1e}")
    assert first.last_hidden_state[real].std() > 0.1
    torch.testing.assert_close(first.last_hidden_state[real], second.last_hidden_state[real], atol=1e-5, rtol=1e-5)
    assert len(first.hidden_states) == len(second.hidden_states)
    for mine, theirs in zip(first.hidden_states, second.hidden_states, strict=True):
        torch.testing.assert_close(mine[real], theirs[real], atol=1e-5, rtol=1e-5)
