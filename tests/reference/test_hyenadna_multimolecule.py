"""Our HyenaDNA beside an independent implementation with the same random weights, at the published sizes.

Run by ``make reference`` in an environment of its own: the other one is under the AGPL.
"""

import re

import pytest
import torch
from multimolecule import HyenaDnaConfig as OtherConfig
from multimolecule import HyenaDnaForCausalLM as OtherModel

from seqlm.models.hyenadna import HyenaDnaConfig, HyenaDnaForCausalLM


def other_names(weights):
    """Our state dict with the other implementation's names; it has a frequency for each sine, and computes codes."""
    renamed = {}
    for name, tensor in weights.items():
        name = re.sub(r"^hyena\.backbone\.", "model.", name).replace("model.ln_f", "model.final_layer_norm")
        if name.endswith(".freq"):
            renamed |= {name.replace(".1.freq", f".{place}.freq"): tensor for place in (1, 3, 5)}
        elif not name.endswith("pos_emb.z"):
            renamed[name] = tensor
    return renamed


@pytest.mark.parametrize(
    ("size", "tokens"),
    [
        ({"d_model": 128, "d_inner": 512, "n_layer": 2, "max_seq_len": 1026}, 1024),
        ({"n_layer": 4, "max_seq_len": 32_770}, 5000),
        ({"n_layer": 8, "max_seq_len": 160_002}, 700),
    ],
    ids=["tiny-1k", "small-32k", "medium-160k"],
)
@pytest.mark.filterwarnings("ignore")
def test_logits_are_those_of_the_other_implementation(size, tokens):
    torch.manual_seed(3)
    config = HyenaDnaConfig(**size)
    ours = HyenaDnaForCausalLM(config).eval()
    with torch.no_grad():
        for name, parameter in ours.named_parameters():  # biases and norms that do something, filters that matter
            parameter.add_(torch.randn_like(parameter) * 0.05 * (parameter.ndim == 1))
            if "implicit_filter" in name and parameter.ndim == 2:
                parameter.mul_(5 if ".6." in name else 1)
    theirs = OtherConfig(
        vocab_size=config.vocab_size,
        hidden_size=config.d_model,
        num_hidden_layers=config.n_layer,
        intermediate_size=config.d_inner,
        max_position_embeddings=config.max_seq_len,
        pad_token_id=4,
        tie_word_embeddings=False,
    )
    other = OtherModel(theirs).eval()
    missing, unexpected = other.load_state_dict(other_names(ours.state_dict()), strict=False)
    assert not unexpected and not missing, (missing, unexpected)

    ids = torch.randint(7, 12, (2, tokens))
    with torch.no_grad():
        first, second = (model(input_ids=ids).logits for model in (ours, other))
    print(f"largest difference {(first - second).abs().max():.1e}, of {first.abs().max():.1f}")
    assert first.std() > 0.1
    torch.testing.assert_close(first, second, atol=1e-5, rtol=1e-5)
