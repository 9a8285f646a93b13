"""The second Nucleotide Transformers, written here: their mathematics by hand, their published sizes and files."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.nn.functional import gelu, layer_norm, linear

from makers.models import make, sequences
from seqlm.checkpoints.folder import read_model_folder
from seqlm.cli.errors import InputError
from seqlm.families.recognition import recognise
from seqlm.inference.loading import load_backbone
from seqlm.models.gated_esm import GatedEsmConfig, GatedEsmForMaskedLM, GatedEsmModel
from seqlm.tokenization.encoder import Encoder

CPU = torch.device("cpu")
NAME = "nucleotide-transformer-v2"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make(NAME, tmp_path_factory.mktemp("models"))


def family_of(folder):
    return recognise(folder, read_model_folder(folder).config)


def turned(vectors):
    """(tokens, heads, width) at their places: numbers half a vector apart, as complex ones that are turned."""
    tokens, _, width = vectors.shape
    speeds = 10000.0 ** (-torch.arange(0, width, 2).double() / width)
    turns = torch.polar(torch.ones(tokens, width // 2).double(), torch.outer(torch.arange(tokens).double(), speeds))
    both = torch.complex(*vectors.chunk(2, -1)) * turns[:, None]
    return torch.cat([both.real, both.imag], -1)


def by_hand(weights, ids, heads, epsilon):
    """Logits of one sequence, from the tensors of a checkpoint by their published names, in double precision."""
    weights = {name: tensor.double() for name, tensor in weights.items()}

    def of(name, *parts):
        return [weights.get(f"{name}.{part}") for part in parts or ("weight", "bias")]

    def norm(values, name):
        return layer_norm(values, values.shape[-1:], *of(name), eps=epsilon)

    states = weights["esm.embeddings.word_embeddings.weight"][ids]
    layers = 1 + max(int(name.split(".")[3]) for name in weights if name.startswith("esm.encoder.layer."))
    for number in range(layers):
        layer = f"esm.encoder.layer.{number}"
        seen = norm(states, f"{layer}.attention.LayerNorm")
        queries, keys, values = (
            linear(seen, *of(f"{layer}.attention.self.{part}")).unflatten(-1, (heads, -1))
            for part in ("query", "key", "value")
        )
        scores = torch.einsum("qhw,khw->hqk", turned(queries), turned(keys)) / queries.shape[-1] ** 0.5
        mixed = torch.einsum("hqk,khw->qhw", scores.softmax(-1), values).flatten(1)
        states = states + linear(mixed, *of(f"{layer}.attention.output.dense"))
        both = linear(norm(states, f"{layer}.LayerNorm"), weights[f"{layer}.intermediate.dense.weight"])
        first, second = both.chunk(2, -1)
        states = states + linear(first / (1 + (-first).exp()) * second, weights[f"{layer}.output.dense.weight"])
    states = norm(states, "esm.encoder.emb_layer_norm_after")
    head = norm(gelu(linear(states, *of("lm_head.dense"))), "lm_head.layer_norm")
    return states, linear(head, weights["lm_head.decoder.weight"], weights["lm_head.bias"])


def test_vectors_and_logits_are_those_of_the_architecture_by_hand(folder):
    family = family_of(folder)
    weights, encoder = load_file(folder / "model.safetensors"), Encoder(family, folder)
    backbone = load_backbone(folder, family, torch.float32, CPU)
    model = family.load_language_model(folder).eval()
    assert not torch.equal(model.lm_head.decoder.weight, model.esm.embeddings.word_embeddings.weight)
    for text in sequences(NAME, 4):
        ids = encoder.encode(text).rows[0]
        states, logits = by_hand(weights, torch.as_tensor(ids), family.heads, backbone.config.layer_norm_eps)
        with torch.no_grad():
            ours = backbone(input_ids=torch.as_tensor(ids)[None]).last_hidden_state[0]
            given = model(input_ids=torch.as_tensor(ids)[None]).logits[0]
        torch.testing.assert_close(ours.double(), states, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(given.double(), logits, atol=1e-5, rtol=1e-5)


def test_the_published_sizes_give_the_published_numbers_of_parameters():
    """Of nucleotide-transformer-v2-50m-multi-species 55,904,972, of which 53,534,401 are the encoder's; 2,050 vectors
    of positions are in its file, and take no part."""
    config = GatedEsmConfig(
        vocab_size=4107, hidden_size=512, num_hidden_layers=12, num_attention_heads=16, intermediate_size=2048,
        max_position_embeddings=2050, position_embedding_type="rotary", add_bias_fnn=False, tie_word_embeddings=False,
        emb_layer_norm_before=False, token_dropout=False, pad_token_id=1, mask_token_id=2,
    )  # fmt: skip
    with torch.device("meta"):
        whole, encoder = GatedEsmForMaskedLM(config), GatedEsmModel(config)
    positions = 2050 * 512
    assert sum(each.numel() for each in whole.parameters()) == 55_904_972 - positions
    assert sum(each.numel() for each in whole.esm.parameters()) == 53_534_401 - positions
    assert sum(each.numel() for each in encoder.parameters()) == 53_534_401 - positions


def test_tensors_of_published_files_that_take_no_part_change_nothing(folder, tmp_path):
    """Vectors of positions, and the speeds of rotation of each layer."""
    weights = load_file(folder / "model.safetensors")
    published = shutil.copytree(folder, tmp_path / "published")
    speeds = 10000.0 ** (-torch.arange(0, 12, 2) / 12)
    more = {f"esm.encoder.layer.{n}.attention.self.rotary_embeddings.inv_freq": speeds.clone() for n in range(2)}
    more["esm.embeddings.position_embeddings.weight"] = torch.randn(2050, 48)
    save_file(weights | more, published / "model.safetensors", metadata={"format": "pt"})
    ids = torch.tensor([[3, 100, 200, 300]])
    with torch.no_grad():
        given = [
            load_backbone(each, family_of(each), torch.float32, CPU)(input_ids=ids).last_hidden_state
            for each in (folder, published)
        ]
    assert torch.equal(*given)


def test_what_its_config_does_not_say_is_told_from_what_it_does(folder):
    config = json.loads((folder / "config.json").read_text())
    assert "model_type" not in config and config["auto_map"]["AutoModelForMaskedLM"]
    family = family_of(folder)
    assert (family.name, family.prefix, family.suffix) == ("Nucleotide Transformer v2", ("<cls>",), ())
    assert family.window == 2047


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"position_embedding_type": "relative_key"}, "position_embedding_type is relative_key"),
        ({"pad_token_id": None}, "does not say its pad_token_id"),
    ],
)
def test_a_config_that_fits_no_model_is_refused_in_words(folder, tmp_path, changed, message):
    wrong = shutil.copytree(folder, tmp_path / "wrong")
    said = json.loads((folder / "config.json").read_text()) | changed
    (wrong / "config.json").write_text(json.dumps({key: value for key, value in said.items() if value is not None}))
    with pytest.raises(InputError, match=message):
        load_backbone(wrong, family_of(wrong), torch.float32, CPU)
