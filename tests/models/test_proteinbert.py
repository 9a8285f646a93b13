"""ProteinBERT, written here. The reference tests compare its mathematics with another implementation."""

import shutil

import pytest
import torch
from torch.nn.functional import conv1d, gelu, layer_norm, linear

from makers.models import make
from makers.scripts import DATA, one_line, run_batch
from seqlm.checkpoints.folder import read_model_folder
from seqlm.cli.errors import InputError
from seqlm.families.recognition import recognise
from seqlm.inference.loading import load_backbone
from seqlm.models.proteinbert import ProteinBertConfig, ProteinBertForMaskedLM, ProteinBertModel


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make("proteinbert", tmp_path_factory.mktemp("models"))


def family_of(folder):
    return recognise(folder, read_model_folder(folder).config)


def test_layers_are_what_they_are_by_hand(folder):
    """As its authors' Keras code has them: heads one by one, and sums over residues, in double precision."""
    model = ProteinBertModel.from_pretrained(folder).double().eval()
    weights = model.state_dict()
    ids = torch.tensor([1, 6, 14, 25, 9, 30, 11, 2])

    def dense(name, values):
        return gelu(linear(values, weights[f"{name}.weight"], weights[f"{name}.bias"]))

    def norm(name, values):
        return layer_norm(values, values.shape[-1:], weights[f"{name}.weight"], weights[f"{name}.bias"], 1e-3)

    hidden = weights["embeddings.word_embeddings.weight"][ids]
    whole = gelu(weights["embeddings.annotation_embeddings.bias"])
    for number in range(2):
        at = f"encoder.layer.{number}"
        near, wide = (
            gelu(conv1d(hidden.T[None], weights[f"{at}.{name}.conv.weight"], weights[f"{at}.{name}.conv.bias"],
                        padding=4 * apart, dilation=apart))[0].T
            for name, apart in (("narrow_conv", 1), ("wide_conv", 5))
        )  # fmt: skip
        hidden = norm(f"{at}.sequence_layer_norm1", hidden + dense(f"{at}.global_to_sequence", whole) + near + wide)
        hidden = norm(f"{at}.sequence_layer_norm2", hidden + dense(f"{at}.sequence_dense", hidden))
        seen = []
        for head in range(4):
            query, key, value = (weights[f"{at}.global_attention.{name}"][head] for name in ("query", "key", "value"))
            scores = torch.tanh(hidden @ key) @ torch.tanh(whole @ query) / 4  # a key has 16 numbers
            seen.append(scores.softmax(0) @ gelu(hidden @ value))
        whole = norm(f"{at}.global_layer_norm1", whole + dense(f"{at}.global_dense1", whole) + torch.cat(seen))
        whole = norm(f"{at}.global_layer_norm2", whole + dense(f"{at}.global_dense2", whole))
    with torch.no_grad():
        found = model(ids[None]).last_hidden_state[0]
    torch.testing.assert_close(found, hidden, atol=1e-12, rtol=1e-9)


def test_the_published_sizes_give_the_published_number_of_weights():
    """16 million with the annotations, which take no part: their map, and the head that tells them."""
    with torch.device("meta"):
        model = ProteinBertForMaskedLM(ProteinBertConfig())
    annotations = 2 * 8943 * 512 + 8943
    assert sum(each.numel() for each in model.parameters()) + annotations == 15_984_148


def test_every_residue_is_told_of_all_others(folder):
    """By way of the whole protein: also of those that no convolution reaches."""
    model = load_backbone(folder, family_of(folder), torch.float32, torch.device("cpu"))
    first = torch.tensor([[1, *[6] * 200, 2]])
    second = first.clone()
    second[0, 190] = 20
    with torch.no_grad():
        here, there = (model(ids, torch.ones_like(ids)).last_hidden_state[0, 5] for ids in (first, second))
    assert (here - there).abs().max() > 1e-6


def test_a_config_that_leaves_the_distance_of_neighbours_open_is_refused(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "other")
    path = tmp_path / "other" / "config.json"
    path.write_text(path.read_text().replace('"wide_conv_dilation_rate": 5,', ""))
    with pytest.raises(InputError, match="does not say its wide_conv_dilation_rate"):
        load_backbone(tmp_path / "other", family_of(tmp_path / "other"), torch.float32, torch.device("cpu"))


def test_an_adapter_on_the_last_layers_alone_is_refused(folder, tmp_path):
    """What enters them is more than the vectors of residues, which are all that is kept."""
    train = ["--train", DATA / "locations.tsv", "--label-column", "location", "--id-column", "protein"]
    train += ["--sequence-column", "residues", "--lora-modules", "all-linear", "--lora-last-layers", 1]
    options = ["--model", folder, *train, "--output-model", "b.zip"]
    (done,) = run_batch([(tmp_path, "finetune", *options)], torch=False)
    one_line(done, "the layers of ProteinBERT hand on more than the vectors of residues", tmp_path)
