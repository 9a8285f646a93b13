"""Our ProGen2 beside an independent implementation with the same random weights, at the size of the smallest one.

Run by ``make reference`` in an environment of its own: the other one is under the AGPL.
"""

import pytest
import torch
from multimolecule import ProGen2Config as OtherConfig
from multimolecule import ProGen2ForCausalLM as OtherModel

from seqlm.models.progen2 import ProGen2Config, ProGen2ForCausalLM

RENAMED = (
    ("transformer.wte", "model.embeddings.word_embeddings"),
    ("transformer.ln_f", "model.layer_norm"),
    ("transformer.h", "model.decoder.layers"),
    (".attn", ".attention"),
    (".ln_1", ".layer_norm"),
)


def other_names(weights):
    """Our state dict with the other implementation's names; the fused matrix in three."""
    renamed = {}
    for name, tensor in weights.items():
        for ours, theirs in RENAMED:
            name = name.replace(ours, theirs)
        if "qkv_proj" in name:
            width = tensor.shape[1]
            blocks = tensor.view(8, 3, width // 8, width)
            for place, part in enumerate(("q_proj", "v_proj", "k_proj")):
                renamed[name.replace("qkv_proj", part)] = blocks[:, place].reshape(width, width)
        else:
            renamed[name] = tensor
    return renamed


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["single", "double"])
@pytest.mark.parametrize(
    ("size", "tokens"),
    [({}, 60), ({"n_layer": 2, "rotary_dim": 64}, 700), ({"n_layer": 3, "embed_dim": 768, "n_head": 8}, 90)],
    ids=["published", "long", "eight-heads"],
)
@pytest.mark.filterwarnings("ignore")
def test_logits_are_those_of_the_other_implementation(size, tokens, dtype):
    torch.manual_seed(3)
    config = ProGen2Config(**size)
    ours = ProGen2ForCausalLM(config).eval()
    with torch.no_grad():
        for parameter in ours.parameters():  # biases and norms that do something
            parameter.add_(torch.randn_like(parameter) * 0.05 * (parameter.ndim == 1))
    ours = ours.to(dtype)
    theirs = OtherConfig(
        vocab_size=32,
        hidden_size=config.embed_dim,
        num_hidden_layers=config.n_layer,
        num_attention_heads=config.n_head,
        rotary_dim=config.rotary_dim,
        max_position_embeddings=1024,
        pad_token_id=0,
    )
    other = OtherModel(theirs).eval().to(dtype)
    missing, unexpected = other.load_state_dict(other_names(ours.state_dict()), strict=False)
    assert not unexpected and not missing, (missing, unexpected)

    ids = torch.randint(5, 30, (3, tokens))
    mask = torch.ones_like(ids)
    mask[1, tokens // 3 :] = 0  # padding
    mask[2, tokens - 1 :] = 0
    with torch.no_grad():
        first, second = (model(input_ids=ids, attention_mask=mask).logits for model in (ours, other))
    real = mask.bool()
    print(f"largest difference {(first - second)[real].abs().max():.1e}, of {first[real].abs().max():.1f}")
    assert first[real].std() > 0.1
    torch.testing.assert_close(first[real], second[real], atol=1e-5, rtol=1e-5)
