"""Bundles: what is written is what is read, byte for byte; what does not belong together is refused."""

import json
import os
import re
import time
import zipfile

import numpy as np
import pytest
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
from seqlm.checkpoints.bundle import read_bundle_folder, write_bundle, write_manifest
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
