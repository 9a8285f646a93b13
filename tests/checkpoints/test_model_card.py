"""Model cards: what they say, and what their Python gives."""

import re
import shutil

import pytest
import yaml

from makers.bundles import (
    MANIFEST,
)
from makers.scripts import DATA
from seqlm.checkpoints.bundle import model_card, open_bundle, write_bundle, write_manifest
from seqlm.checkpoints.manifest import check_manifest

TINY_ESM = DATA / "models" / "tiny-esm"


def front_matter(card: str) -> dict:
    return yaml.safe_load(card.split("---\n")[1])


def test_the_model_card_has_filled_in_front_matter_and_scores():
    card = model_card(MANIFEST)
    entries = front_matter(card)
    assert entries["library_name"] == "peft"
    assert entries["base_model"] == "facebook/esm2_t6_8M_UR50D"
    assert entries["pipeline_tag"] == "text-classification"
    assert "| test | mcc | 0.480 | 0.210 to 0.710 |" in card
    assert "| test | auroc | 0.810 | – to – |" in card


def test_user_text_cannot_break_out_of_the_card():
    evil = "`</script><script>alert(1)</script> [x](javascript:1) | --- : # \"' {{"
    manifest = MANIFEST | {"labels": [evil, "b"], "base_model": MANIFEST["base_model"] | {"id": evil}}
    card = model_card(check_manifest(manifest))
    assert "base_model" not in front_matter(card)
    shown = card.split("```python")[0].split("Labels")[1]
    assert f"`` {evil} ``" in shown  # as code, in a longer fence


LINEAR, MLP = {"kind": "linear", "hidden": 0}, {"kind": "mlp", "hidden": 4}
CARDS = {
    "sequence": {"head": MLP},
    "first token": {"head": LINEAR, "pooling": "cls"},
    "temperature": {"head": LINEAR, "temperature": 2.5},
    "number": {"head": LINEAR, "task": "sequence-regression", "labels": None, "threshold": None},
    "several labels": {"head": MLP, "task": "multi-label", "threshold": [0.25, 0.5], "temperature": 0.5},
    "residues": {"head": MLP, "task": "residue-classification", "pooling": "none", "temperature": 3.0},
    "numbers of residues": {"head": LINEAR, "task": "residue-regression", "labels": None, "threshold": None,
                            "pooling": "none"},
    "pairs": {"head": MLP | {"pairs": "symmetric"}, "task": "pair-classification"},
    "ordered pairs": {"head": LINEAR | {"pairs": "ordered"}, "task": "pair-regression", "labels": None,
                      "threshold": None},
    "pairs of two models": {"head": LINEAR | {"pairs": "ordered"}, "task": "pair-classification", "pooling": "cls",
                            "second_model": {"id": "base", "revision": None, "sha256": "ab" * 32}},
}  # fmt: skip


@pytest.fixture(scope="module")
def adapted(tmp_path_factory):
    """A folder with a base model and an adapter of it, and functions that give the vectors of tokens by both."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoTokenizer, EsmModel

    folder = tmp_path_factory.mktemp("adapted")
    shutil.copytree(TINY_ESM, folder / "base")
    tokenizer = AutoTokenizer.from_pretrained(folder / "base")
    torch.manual_seed(0)
    plain = EsmModel.from_pretrained(folder / "base", add_pooling_layer=False).eval()
    model = EsmModel.from_pretrained(folder / "base", add_pooling_layer=False)
    model = get_peft_model(model, LoraConfig(r=2, target_modules=["query"], init_lora_weights=False)).eval()
    model.save_pretrained(folder / "made", safe_serialization=True)

    def vectors(encoder, letters):
        tokens = tokenizer(letters, return_tensors="pt")
        assert len(tokens["input_ids"][0]) == len(letters) + 2
        with torch.inference_mode():
            return encoder(**tokens).last_hidden_state[0]

    return folder, lambda letters: vectors(model, letters), lambda letters: vectors(plain, letters)


@pytest.mark.parametrize("kind", CARDS)
def test_the_snippet_of_the_card_gives_what_its_parts_give(adapted, tmp_path, capsys, monkeypatch, kind):
    import torch
    from safetensors.torch import save_file

    folder, by_model, by_base = adapted
    monkeypatch.chdir(folder)
    one = by_model("MKTAYIAKQR")
    vector = {"mean": one[1:-1].mean(0), "cls": one[0], "none": one[1:-1]}[CARDS[kind].get("pooling", "mean")]
    other = by_base("MSLENTQAEV")[1:-1].mean(0) if "two" in kind else by_model("MSLENTQAEV")[1:-1].mean(0)
    pairs = CARDS[kind]["head"].get("pairs")
    if pairs == "ordered":
        vector = torch.cat([vector, other])
    elif pairs:
        vector = torch.cat([vector + other, abs(vector - other), vector * other])
    outputs = 1 if "labels" in CARDS[kind] else 2
    width, hidden = vector.shape[-1], CARDS[kind]["head"]["hidden"]
    torch.manual_seed(1)
    head = {"out.weight": torch.randn(outputs, hidden or width) / 4, "out.bias": torch.randn(outputs),
            "shift": torch.tensor([5.0]), "scale": torch.tensor([2.0])}  # fmt: skip
    if hidden:
        head |= {"dense.weight": torch.randn(hidden, width) / 4, "dense.bias": torch.randn(hidden)}
        vector = torch.tanh(vector @ head["dense.weight"].T + head["dense.bias"])
    expected = vector @ head["out.weight"].T + head["out.bias"]
    if outputs == 1:
        expected = 2 * expected + 5
    elif kind == "several labels":
        expected = 1 / (1 + torch.exp(-expected / 0.5))
    else:
        expected = torch.exp(expected / CARDS[kind].get("temperature", 1))
        expected = expected / expected.sum(-1, keepdim=True)

    save_file(head, "made/head.safetensors")
    manifest = MANIFEST | {"base_model": {"id": "base", "revision": None, "sha256": "ab" * 32}} | CARDS[kind]
    manifest["head"] = CARDS[kind]["head"] | {"inputs": width, "outputs": outputs}
    write_manifest(manifest, folder / "made")
    (folder / "made" / "README.md").write_text(model_card(manifest))
    write_bundle(folder / "made", tmp_path / "a.zip")
    (tmp_path / "unpacked").mkdir()
    open_bundle(tmp_path / "a.zip", tmp_path / "unpacked")
    snippet = (tmp_path / "unpacked" / "README.md").read_text().split("```python\n")[1].split("```")[0]
    assert len(snippet.splitlines()) <= 30
    exec(snippet.replace('folder = "."', f'folder = "{tmp_path}/unpacked"'), {})
    shown = [float(number) for number in re.findall(r"-?\d+\.\d+(?:e-?\d+)?", capsys.readouterr().out)]
    assert shown == pytest.approx(expected.flatten().tolist(), abs=2e-4)


def card_of(**changed) -> str:
    manifest = MANIFEST | changed
    return model_card(check_manifest(manifest))


def test_the_card_says_when_a_class_is_called():
    assert "`phosphorylated` is called when its probability is at least 0.125, else `dephosphorylated`." in card_of(
        threshold=0.125
    )
    assert "What is most probable is called." in card_of(threshold=None)
    several = card_of(task="multi-label", labels=["a", "b`"], threshold=[0.25, 0.5], temperature=2)
    assert "its threshold: `a` 0.25, `` b` `` 0.5." in several and "divided by a temperature" in several
    assert "called" not in card_of(task="sequence-regression", labels=None, threshold=None)
    assert "divided" not in card_of()


def test_the_card_says_how_a_window_is_cut():
    card = card_of(window=7, sites="ST")
    assert "windows of 7 letters with ST in the middle" in card
    line = card.split("```python\n")[2].split("```")[0]
    names = {"sequence": "MKSAY", "site": 3}
    exec(line, names)
    assert names["window"] == "XMKSAYX"
    assert '"N" * 3' in card_of(window=7, sites="A", alphabet="DNA")
    assert card_of(window=None).count("```python") == 1


def test_the_card_says_what_becomes_of_long_sequences():
    longer = "A sequence of more than 1,022 tokens is"
    assert f"{longer} read by the tool in overlapping windows, and by the code above at once." in card_of()
    assert f"{longer} cut off there by the tool" in card_of(long_sequences="truncate")
    assert f"{longer} refused by the tool." in card_of(long_sequences="refuse")


def test_the_card_names_the_second_model_and_the_data_of_each_split():
    pair = {"task": "pair-classification", "head": MANIFEST["head"] | {"pairs": "ordered"}}
    second = {"id": "x/dna", "revision": "v1", "sha256": "ef" * 32}
    card = card_of(**pair, second_model=second, data_sha256={"train": "12" * 32, "test": "34" * 32})
    assert "Second members are read by `x/dna`, as it is." in card and "order of a pair matters" in card
    assert f"- Second model `x/dna`, revision `v1`; SHA-256 of its weights `{'ef' * 32}`" in card
    assert f"SHA-256 of the data: train `{'12' * 32}`, test `{'34' * 32}`" in card
    assert "Both orders of a pair are the same" in card_of(**pair | {"head": pair["head"] | {"pairs": "symmetric"}})


@pytest.mark.parametrize(
    ("task", "pipeline", "title"),
    [
        ("residue-classification", "token-classification", "# Residue classification of protein sequences"),
        ("residue-regression", "token-classification", "# Residue regression"),
        ("multi-label", "text-classification", "# Several labels at once of protein"),
        ("pair-regression", "text-classification", "# Pair regression"),
    ],
)
def test_the_front_matter_suits_the_task(task, pipeline, title):
    head = MANIFEST["head"] | ({"pairs": "symmetric"} if "pair" in task else {})
    numbers = {"labels": None} if "regression" in task else {}
    card = card_of(task=task, head=head, threshold=None, **numbers)
    assert front_matter(card)["pipeline_tag"] == pipeline and title in card
    assert task in front_matter(card)["tags"]
