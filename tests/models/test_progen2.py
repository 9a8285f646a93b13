"""ProGen2, written here: its places and its cache, its published sizes and files. The reference tests compare its
mathematics with another implementation."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from makers.models import make
from seqlm.checkpoints.folder import read_model_folder
from seqlm.cli.errors import InputError
from seqlm.families.recognition import recognise
from seqlm.inference.loading import load_backbone
from seqlm.models.progen2 import ProGen2Config, ProGen2ForCausalLM
from seqlm.tokenization.encoder import Encoder
from seqlm.tokenization.language_text import LanguageText


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make("progen2", tmp_path_factory.mktemp("models"))


def family_of(folder):
    return recognise(folder, read_model_folder(folder).config)


def test_a_sequence_stands_between_its_ends(folder):
    text = LanguageText(family_of(folder), folder)
    (ids,) = text.encode(["MKV"])
    assert ids.tolist() == [3, 16, 14, 25, 4]
    assert text.written(ids[:-1]) == "MKV" and text.write([3, 16, 4, 2]) == "M"
    assert text.ends == (4, 2) and text.given == 1
    assert text.encode(["MKV"], complete=False)[0].tolist() == [3, 16, 14, 25]


def test_tokens_one_by_one_give_what_all_together_give(folder):
    model = family_of(folder).load_language_model(folder, attn_implementation="sdpa").eval()
    ids = torch.tensor([[3, *range(5, 25)]])
    with torch.no_grad():
        together, cache, single = model(input_ids=ids).logits, None, []
        for place in range(ids.shape[1]):
            given = model(input_ids=ids[:, place : place + 1], past_key_values=cache, use_cache=True)
            cache = given.past_key_values
            single.append(given.logits)
        written = model.generate(ids[:, :4], max_new_tokens=6, do_sample=False, pad_token_id=0)
        best = model(input_ids=written).logits[0, 3:-1].argmax(-1)
    torch.testing.assert_close(torch.cat(single, 1), together, atol=1e-5, rtol=1e-5)
    assert torch.equal(best, written[0, 4:])
    torch.testing.assert_close(model(input_ids=ids, logits_to_keep=1).logits, together[:, -1:])


def test_the_order_of_rows_of_the_fused_matrix_is_that_of_the_training(folder):
    """Eight blocks, each with queries, then values, then keys: with values of zero the feed-forward part is left."""
    model = family_of(folder).load_language_model(folder, attn_implementation="sdpa").eval()
    ids = torch.tensor([[3, 7, 9, 11]])
    with torch.no_grad():
        for block in model.transformer.h:
            weight = block.attn.qkv_proj.weight
            weight.view(8, 3, 6, 48)[:, 1] = 0
        hidden = model.transformer.wte(ids)
        for block in model.transformer.h:
            hidden = hidden + block.mlp(block.ln_1(hidden))
        expected = model.lm_head(model.transformer.ln_f(hidden))
        torch.testing.assert_close(model(input_ids=ids).logits, expected)


def test_the_published_sizes_give_the_published_number_of_parameters():
    """progen2-small has 151 million, progen2-medium 765 million."""
    with torch.device("meta"):
        small = ProGen2ForCausalLM(ProGen2Config())
        medium = ProGen2ForCausalLM(ProGen2Config(embed_dim=1536, n_layer=27, rotary_dim=48, n_positions=2048))
    counts = [sum(each.numel() for each in model.parameters()) for model in (small, medium)]
    assert [round(count / 1e6) for count in counts] == [151, 765]


def test_masks_in_published_files_are_computed_and_not_read(folder, tmp_path):
    weights = load_file(folder / "model.safetensors")
    published = shutil.copytree(folder, tmp_path / "published")
    masks = {f"transformer.h.{layer}.attn.bias": torch.ones(1, 1, 512, 512, dtype=torch.bool) for layer in range(2)}
    masks |= {f"transformer.h.{layer}.attn.masked_bias": torch.tensor(-1e9) for layer in range(2)}
    save_file(weights | masks, published / "model.safetensors", metadata={"format": "pt"})
    ids = torch.tensor([[3, 7, 9]])
    with torch.no_grad():
        given = [family_of(each).load_language_model(each).eval()(input_ids=ids).logits for each in (folder, published)]
    assert torch.equal(*given)


def test_what_its_config_and_vocabulary_say(folder):
    assert json.loads((folder / "config.json").read_text())["auto_map"]
    family = family_of(folder)
    assert (family.name, family.window, family.hidden_size, family.vocabulary_size) == ("ProGen2", 511, 48, 32)
    assert family.one_letter_tokens and family.replacements == {"J": "X"}


def copied(folder, target, **changed):
    """The model with other entries in its config.json; None takes one away."""
    shutil.copytree(folder, target)
    said = json.loads((folder / "config.json").read_text()) | changed
    (target / "config.json").write_text(json.dumps({key: value for key, value in said.items() if value is not None}))
    return target


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"rotary_dim": 7}, "rotary_dim is 7, and must be even, above 0 and at most 12"),
        ({"rotary_dim": 24}, "rotary_dim is 24"),
        ({"rotary_dim": 0}, "rotary_dim is 0"),
        ({"rotary_dim": None}, "does not say its rotary_dim"),
        ({"n_head": None}, "does not say its n_head"),
        ({"n_head": 0}, "the width, 48, cannot be shared by 0 heads"),
        ({"n_head": 5}, "the width, 48, cannot be shared by 5 heads"),
        ({"activation_function": "relu"}, "cannot be loaded: the feed-forward part of ProGen2 is gelu_new, not relu"),
    ],
)
def test_a_config_that_fits_no_model_is_refused_in_words(folder, tmp_path, changed, message):
    wrong = copied(folder, tmp_path / "wrong", **changed)
    with pytest.raises(InputError, match=message):
        load_backbone(wrong, family_of(wrong), torch.float32, torch.device("cpu"))


def test_a_head_for_other_tokens_than_are_read_is_refused(folder, tmp_path):
    wrong = copied(folder, tmp_path / "wrong", vocab_size_lm_head=20)
    weights = load_file(folder / "model.safetensors")
    weights |= {name: weights[name][:20].clone() for name in ("lm_head.weight", "lm_head.bias")}
    save_file(weights, wrong / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ValueError, match=r"reads 32 tokens .* gives a number for 20"):
        family_of(wrong).load_language_model(wrong)


@pytest.mark.parametrize("places", [0, 1])
def test_a_model_with_no_place_for_a_residue_is_refused(folder, tmp_path, places):
    wrong = copied(folder, tmp_path / "wrong", n_positions=places)
    with pytest.raises(InputError, match="no place for a token of a sequence"):
        Encoder(family_of(wrong), wrong)
