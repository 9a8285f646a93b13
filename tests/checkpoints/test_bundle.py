"""Bundles: what is written is what is read, byte for byte; what does not belong together is refused."""

import json
import os
import re
import shutil
import time
import zipfile

import numpy as np
import pytest
import yaml
from safetensors.numpy import save

from makers.bundles import (
    ADAPTER_CONFIG,
    MANIFEST,
    adapter_bundle,
    model_folder,
    opened,
    refused,
    tensors,
    write_files,
    zipped,
)
from makers.scripts import DATA
from seqlm.checkpoints.bundle import model_card, open_bundle, read_bundle_folder, write_bundle, write_manifest
from seqlm.checkpoints.conformity import read_conformity
from seqlm.checkpoints.manifest import check_labels, check_manifest
from seqlm.cli.errors import InputError

TINY_ESM = DATA / "models" / "tiny-esm"


def without(files: dict, *names: str) -> dict:
    return {name: content for name, content in files.items() if name not in names}


def with_manifest(files: dict, **changed) -> dict:
    return files | {"seqlm.json": json.dumps(MANIFEST | changed).encode()}


# -- what is in an archive -----------------------------------------------------------------------------------------


def test_an_adapter_bundle_round_trips(tmp_path):
    source = write_files(tmp_path / "made", adapter_bundle())
    write_bundle(source, tmp_path / "a.zip")
    bundle = opened(tmp_path / "a.zip")
    assert (bundle.kind, bundle.manifest, bundle.model) == ("adapter", MANIFEST, None)
    assert bundle.adapter_config["target_modules"] == ["query", "value"]
    for name in ("adapter_model.safetensors", "head.safetensors", "seqlm.json", "README.md"):
        assert (bundle.folder / name).read_bytes() == (source / name).read_bytes()


def test_only_understood_entries_of_a_configuration_reach_the_folder(tmp_path):
    bundle = opened(zipped(tmp_path / "a.zip", adapter_bundle()))
    written = json.loads((bundle.folder / "adapter_config.json").read_text())
    assert written == bundle.adapter_config
    assert set(ADAPTER_CONFIG) - set(written) == {"auto_mapping", "megatron_core", "qalora_group_size", "eva_config"}


def test_a_full_bundle_holds_a_whole_model(tmp_path):
    files = model_folder() | {"head.safetensors": adapter_bundle()["head.safetensors"]}
    bundle = opened(zipped(tmp_path / "a.zip", with_manifest(files, method="full")))
    assert bundle.kind == "full"
    assert bundle.model.config["model_type"] == "esm"
    assert not bundle.needs_base_model


def test_a_head_bundle_holds_a_head_alone(tmp_path):
    files = without(adapter_bundle(), "adapter_config.json", "adapter_model.safetensors")
    assert opened(zipped(tmp_path / "a.zip", with_manifest(files, method="head"))).kind == "head"


def ensemble(members: int = 3, **changed) -> dict[str, bytes]:
    """An adapter bundle with several members and conformal scores; ``changed`` are entries of the manifest."""
    files = adapter_bundle()
    for member in range(2, members + 1):
        for name in ("adapter_model", "head"):
            files[f"{name}_{member}.safetensors"] = files[f"{name}.safetensors"]
    files["conformal.safetensors"] = save(
        {
            "scores": np.ones(4, np.float32),
            "members": np.arange(4).astype(np.int16) % 3,
            "classes": np.ones(4, np.int16),
        }
    )
    return with_manifest(files, **{"members": members, "conformal": {"repeats": 1, "pooled": True}} | changed)


def test_a_bundle_can_hold_several_members_and_conformal_scores(tmp_path):
    bundle = opened(zipped(tmp_path / "a.zip", ensemble()))
    assert {"adapter_model_3.safetensors", "head_2.safetensors"} <= {file.name for file in bundle.folder.iterdir()}
    assert read_conformity(bundle.folder, bundle.manifest).members.tolist() == [0, 1, 2, 0]
    files = without(ensemble(), *(f"adapter_model{n}.safetensors" for n in ("", "_2", "_3")), "adapter_config.json")
    manifest = json.loads(files["seqlm.json"]) | {"method": "head"}
    heads = write_files(tmp_path / "heads", files | {"seqlm.json": json.dumps(manifest).encode()})
    assert read_bundle_folder(heads).kind == "head"


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        (without(ensemble(), "head_3.safetensors"), "lacks head_3.safetensors, and seqlm.json in it says"),
        (ensemble() | {"head_4.safetensors": b""}, "holds head_4.safetensors, and"),
        (without(ensemble() | {"seqlm.json": adapter_bundle()["seqlm.json"]}, "conformal.safetensors"), "is 1 member;"),
        (ensemble() | {"adapter_model_2.safetensors": tensors(other=(2, 8))}, "adapter_model_2.* other tensors"),
        (ensemble() | {"head_2.safetensors": tensors(dense__weight=(9, 8))}, "head_2.* other tensors"),
        (ensemble(21), "at 'members' must be a whole number from 2 to 20"),
        (ensemble(conformal={"repeats": 2, "pooled": True}), "conformal scores that do not fit its members"),
        (ensemble(conformal={"repeats": 1, "pooled": 1}), "must be true or false"),
        (without(ensemble(), "conformal.safetensors"), "conformal.safetensors and the entry 'conformal'"),
        (ensemble() | {"conformal.safetensors": tensors(scores=(4,))}, "does not hold the scores"),
        (ensemble() | {"conformal.safetensors": tensors(scores=(4,), members=(), classes=(4,))}, "does not hold"),
        (with_manifest(model_folder() | {"head.safetensors": adapter_bundle()["head.safetensors"]}, method="full",
                       members=2), "only adapters and heads can be"),
    ],
)  # fmt: skip
def test_members_and_scores_that_do_not_belong_together_are_refused(tmp_path, files, reason):
    assert re.search(reason, refused(zipped(tmp_path / "a.zip", files)))


@pytest.mark.parametrize("wrong", [{"scores": -1.0}, {"scores": np.nan}, {"members": 3}, {"classes": 2}])
def test_numbers_that_are_no_scores_are_refused(tmp_path, wrong):
    held = {"scores": np.float32(1), "members": np.int16(0), "classes": np.int16(1)}
    held = {name: np.asarray([held[name], wrong.get(name, held[name])], held[name].dtype) for name in held}
    bundle = opened(zipped(tmp_path / "a.zip", ensemble() | {"conformal.safetensors": save(held)}))
    with pytest.raises(InputError, match="that are no scores"):
        read_conformity(bundle.folder, bundle.manifest)


def test_a_plain_hugging_face_folder_is_a_model(tmp_path):
    bundle = opened(zipped(tmp_path / "a.zip", model_folder()))
    assert (bundle.kind, bundle.manifest) == ("model", None)
    assert bundle.model.tensors["query"] == ("F32", (8, 8))


def test_a_published_adapter_without_manifest_is_of_the_kind_peft(tmp_path):
    assert opened(zipped(tmp_path / "a.zip", without(adapter_bundle(), "seqlm.json"))).kind == "peft"


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        (without(adapter_bundle(), "adapter_config.json"), "without its adapter_config.json"),
        (without(adapter_bundle(), "adapter_model.safetensors"), "without its adapter_model.safetensors"),
        (without(adapter_bundle(), "head.safetensors"), "head.safetensors and the entry 'head'"),
        (adapter_bundle() | model_folder(), "both a whole model and an adapter"),
        (with_manifest(adapter_bundle(), method="full"), "made with the method full"),
        (with_manifest(adapter_bundle(), base_model=None), "which base model"),
        ({"README.md": b"hello"}, "holds no model"),
        (adapter_bundle(r=16), "gives rank 16, but the weights have rank 2"),
        (adapter_bundle() | {"adapter_model.safetensors": tensors(weight=(2, 2))}, "no LoRA weights"),
        (adapter_bundle() | {"head.safetensors": tensors(out=(2, 2))}, "holds 4 numbers"),
        (without(model_folder(), "vocab.txt"), "no tokenizer"),
        (model_folder(num_hidden_layers=500, hidden_size=4096), "the two do not belong together"),
        (model_folder() | {"vocab.txt": b"\xff\xfe"}, "not UTF-8"),
        (model_folder() | {"vocab.json": b'{"A": 1e9}'}, "gives the token 'A' the id"),
        (model_folder() | {"spiece.model": b"no protobuf"}, "no SentencePiece model"),
        (model_folder() | {"tokenizer.json": b'{"model": {"vocab": {"A": 0}}}'}, "cannot be read as a tokenizer"),
    ],
)
def test_what_does_not_belong_together_is_refused(tmp_path, files, reason):
    assert reason in refused(zipped(tmp_path / "a.zip", files))


def test_a_refused_head_cannot_ask_for_more_memory_than_its_file(tmp_path):
    head = {"kind": "mlp", "inputs": 1 << 20, "outputs": 2, "hidden": 1 << 17}
    assert "needs at least 137,439" in refused(zipped(tmp_path / "a.zip", with_manifest(adapter_bundle(), head=head)))


def test_an_unpacked_bundle_is_checked_and_left_as_it_is(tmp_path):
    folder = write_files(tmp_path / "mine", adapter_bundle())
    before = (folder / "adapter_config.json").read_bytes()
    assert read_bundle_folder(folder).kind == "adapter"
    assert (folder / "adapter_config.json").read_bytes() == before


# -- writing -------------------------------------------------------------------------------------------------------


def test_the_same_content_gives_the_same_bytes(tmp_path):
    files = adapter_bundle()
    one = write_files(tmp_path / "one", files)
    other = write_files(tmp_path / "other", dict(reversed(files.items())))
    for number, file in enumerate(other.iterdir()):
        os.utime(file, (time.time() - number * 1e6,) * 2)
        file.chmod(0o600)
    write_bundle(one, tmp_path / "one.zip")
    write_bundle(other, tmp_path / "other.zip")
    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "other.zip").read_bytes()
    with zipfile.ZipFile(tmp_path / "one.zip") as archive:
        assert archive.namelist() == sorted(files)
        assert archive.getinfo("head.safetensors").compress_type == zipfile.ZIP_STORED


def test_what_would_be_refused_is_never_written(tmp_path):
    folder = write_files(tmp_path / "made", adapter_bundle())
    (folder / "training_args.bin").write_bytes(b"x")
    with pytest.raises(ValueError, match=r"training_args.bin does not belong"):
        write_bundle(folder, tmp_path / "a.zip")
    (folder / "training_args.bin").unlink()
    (folder / "head.safetensors").unlink()
    with pytest.raises(InputError, match="incomplete"):
        write_bundle(folder, tmp_path / "a.zip")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["made"]


# -- seqlm.json ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"format": 3}, "newer SeqLM"),
        ({"format": "1"}, "at 'format'"),
        ({"task": "world-domination"}, "at 'task' must be one of"),
        ({"labels": ["a", "a"]}, "a label twice"),
        ({"labels": ["a", "b\nc"]}, "one line of text"),
        ({"labels": ["a", "b\u202e"]}, "one line of text"),
        ({"labels": ["a", "\ud800"]}, "one line of text"),
        ({"labels": ["a", "b" * 201]}, "at most 200 characters"),
        ({"labels": ["a", "b", "c"]}, "names 3 labels, but its head has 2 outputs"),
        ({"labels": None}, "must name labels"),
        ({"seed": -1}, "at 'seed'"),
        ({"seed": True}, "at 'seed'"),
        ({"threshold": 2}, "from 0 to 1"),
        ({"metrics": {"test": {"mcc": [0.1, 0.2]}}}, "at 'test' at 'mcc' must be a value"),
        ({"base_model": {"id": "x"}}, "lacks sha256"),
        ({"base_model": {"id": "x", "sha256": "../.."}}, "SHA-256"),
        ({"head": None}, "does not describe a head"),
        ({"pickle": "gASV"}, "'pickle', which this version does not know"),
        ({"versions": {"torch": {}}}, "at 'torch'"),
    ],
)
def test_a_manifest_that_does_not_fit_the_schema_is_refused_both_ways(tmp_path, changed, reason):
    with pytest.raises(InputError) as refusal:
        write_manifest(MANIFEST | changed, tmp_path)
    assert reason in str(refusal.value)
    assert reason in refused(zipped(tmp_path / "a.zip", with_manifest(adapter_bundle(), **changed)))


def test_labels_can_be_checked_before_the_training():
    check_labels(("a", "b"))
    with pytest.raises(InputError, match="one line of text"):
        check_labels(("a", "b\n"))


def test_a_manifest_lacking_an_entry_is_refused():
    with pytest.raises(InputError, match="lacks task"):
        check_manifest({name: value for name, value in MANIFEST.items() if name != "task"})


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b'{"format": 1, "format": 1}', "'format' appears twice"),
        (b'{"threshold": NaN}', "NaN"),
        (b'{"threshold": 1e999}', "too large a number"),
        (b'{"seed": ' + b"9" * 5000 + b"}", "not strict JSON"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"a":' * 70 + b"1" + b"}" * 70, "more than 64 levels"),
        (b'{"labels": ["\xff"]}', "not UTF-8"),
        (b'{"format": 1', "not JSON"),
        (b"[1]", "no JSON object but a list"),
    ],
)
def test_loose_json_is_refused(tmp_path, content, reason):
    assert reason in refused(zipped(tmp_path / "a.zip", adapter_bundle() | {"seqlm.json": content}))


# -- the model card ------------------------------------------------------------------------------------------------


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
