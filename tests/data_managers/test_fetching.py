"""Models come from the Hub whole and as they are listed there, or not at all."""

from __future__ import annotations

import hashlib
import json
import shutil
from types import SimpleNamespace

import pytest

import fetch_model as script
from fetching.choice import choose
from fetching.hub import RemoteFile, RemoteModel, checked_id
from fetching.licences import non_commercial
from fetching.refusal import Refused
from makers.fetching import ESM, fetch_model, tiny
from makers.hub import running_hub
from seqlm.checkpoints.folder import read_model_folder

NEEDED = {"README.md", "config.json", "model.safetensors", "tokenizer_config.json", "vocab.txt"}
NT = "InstaDeepAI/nucleotide-transformer-500m-human-ref"


@pytest.fixture
def hub():
    with running_hub({ESM: tiny()}) as running:
        yield running


def nothing_stays(folder, loc=None) -> bool:
    """No model, and no row."""
    made = [path for path in (folder / "models").glob("*/*/*") if not path.name.startswith(".")]
    return not made and not (loc and loc.exists())


def asked_for(hub) -> set[str]:
    return {path.rpartition("/")[2] for method, path, _, _ in hub.requests if "/api/" not in path}


# -- what comes ----------------------------------------------------------------------------------------------------


def test_a_model_is_fetched_into_a_folder_of_its_commit_and_gets_a_row(hub, tmp_path):
    done = fetch_model(hub, tmp_path, "--loc", tmp_path / "models.loc")
    commit = hub.repositories[ESM].commit
    target = tmp_path / "models" / ESM / commit
    row = [ESM, "ESM-2, 8 million parameters", "fill-mask", "sequence", "protein", commit, str(target)]
    assert done.row == row, done.stderr
    assert (tmp_path / "models.loc").read_text() == "\t".join(row) + "\n"
    for file, content in hub.repositories[ESM].files.items():
        assert (target / file).read_bytes() == content
    assert read_model_folder(target).config["model_type"] == "esm"
    assert [path.name for path in target.parent.iterdir()] == [commit]
    assert "licence: mit" in done.stdout and "174.1 kB in 5 files" in done.stdout


def test_the_record_has_the_hashes_of_all_files(hub, tmp_path):
    target = fetch_model(hub, tmp_path).path
    record = json.loads((target / "fetched.json").read_text())
    assert (record["id"], record["commit"], record["licence"]) == (ESM, target.name, "mit")
    assert set(record["files"]) == NEEDED
    for name, said in record["files"].items():
        assert said["sha256"] == hashlib.sha256((target / name).read_bytes()).hexdigest()
    assert record["files"]["model.safetensors"]["hub"] == {"sha256": record["files"]["model.safetensors"]["sha256"]}
    assert set(record["files"]["config.json"]["hub"]) == {"git_blob_sha1"}


def test_only_what_is_needed_is_asked_for(hub, tmp_path):
    others = (
        "pytorch_model.bin", "tf_model.h5", "flax_model.msgpack", "modeling_esm.py", "optimizer.pt",
        "training_args.bin", "onnx/model.onnx", ".gitattributes", "model.fp16.safetensors", "events.out.tfevents",
    )  # fmt: skip
    hub.repositories[ESM].files |= dict.fromkeys(others, b"x")
    target = fetch_model(hub, tmp_path).path
    assert {path.name for path in target.iterdir()} == NEEDED | {"fetched.json"}
    assert asked_for(hub) == NEEDED


def test_names_that_no_model_needs_are_never_asked_for(hub, tmp_path):
    hostile = (
        "../../../evil", "/etc/cron.d/evil", "config.json/../../evil", "..", ".bashrc", "a\nb", "config.json\0",
        "x" * 5000, "model-00001-of-00001.safetensors/../../evil", "tokenizer.json ", "CON", "",
    )  # fmt: skip
    hub.repositories[ESM].files |= dict.fromkeys(hostile, b"evil")
    target = fetch_model(hub, tmp_path).path
    assert asked_for(hub) == NEEDED
    assert {path.name for path in target.iterdir()} == NEEDED | {"fetched.json"}
    assert not list(tmp_path.rglob("*evil*"))


def test_a_revision_becomes_a_commit(hub, tmp_path):
    commit = hub.repositories[ESM].commit
    assert fetch_model(hub, tmp_path, "--revision", commit).row[5] == commit
    assert "has no revision 'v2'" in fetch_model(hub, tmp_path, "--revision", "v2").error
    assert "is no revision" in fetch_model(hub, tmp_path, "--revision", "../x").error


def test_weights_in_parts_are_fetched_with_their_index(hub, tmp_path):
    files = hub.repositories[ESM].files
    weights = files.pop("model.safetensors")
    names = [f"model-0000{part}-of-00002.safetensors" for part in (1, 2)]
    files |= dict.fromkeys(names, weights) | {"model.safetensors.index.json": b'{"weight_map": {}}'}
    target = fetch_model(hub, tmp_path).path
    assert {*names, "model.safetensors.index.json"} <= {path.name for path in target.iterdir()}
    del files[names[1]]
    assert "not all of them are there" in fetch_model(hub, tmp_path / "again").error


def test_galaxy_gets_the_row_as_json_with_a_path_below_the_folder(hub, tmp_path):
    assert fetch_model(hub, tmp_path, "--output", tmp_path / "row.json").status == 0
    (row,) = json.loads((tmp_path / "row.json").read_text())["data_tables"]["huggingface"]
    assert row["path"] == f"{ESM}/{row['version']}"
    assert (tmp_path / "models" / row["path"] / "config.json").is_file()


def test_only_showing_fetches_nothing(hub, tmp_path):
    done = fetch_model(hub, tmp_path, "--only-show", "--output", tmp_path / "row.json", "--accept-non-commercial")
    assert done.status == 0
    assert "172.8 kB  model.safetensors" in done.stdout
    assert json.loads((tmp_path / "row.json").read_text()) == {"data_tables": {"huggingface": []}}
    assert nothing_stays(tmp_path) and not asked_for(hub)


def test_a_model_that_is_there_is_compared_and_not_fetched_again(hub, tmp_path):
    target = fetch_model(hub, tmp_path).path
    hub.requests.clear()
    again = fetch_model(hub, tmp_path, "--loc", tmp_path / "models.loc")
    assert again.path == target and not asked_for(hub)
    (target / "vocab.txt").write_text("changed")
    assert "its vocab.txt is not what was fetched" in fetch_model(hub, tmp_path).error


# -- what goes wrong -----------------------------------------------------------------------------------------------


def test_a_connection_that_breaks_is_gone_on_with(hub, tmp_path):
    block = 10 << 20  # what the Hub's client writes at once
    weights = hub.repositories[ESM].files["model.safetensors"] = bytes(range(256)) * (block // 256 + 1000)
    hub.repositories[ESM].cuts["model.safetensors"] = [block + 1000]
    target = fetch_model(hub, tmp_path).path
    assert (target / "model.safetensors").read_bytes() == weights
    ranges = [said for method, path, said, _ in hub.requests if path.startswith("/large/") and method == "GET"]
    assert ranges == [None, f"bytes={block}-"]


def partly_fetched(hub, folder, content):
    partial = folder / "models" / ESM / f".fetching-{hub.repositories[ESM].commit}"
    partial.mkdir(parents=True)
    (partial / "model.safetensors.part").write_bytes(content)


def test_a_run_that_was_stopped_is_gone_on_with(hub, tmp_path):
    weights = hub.repositories[ESM].files["model.safetensors"]
    partly_fetched(hub, tmp_path, weights[:70_000])
    target = fetch_model(hub, tmp_path).path
    assert (target / "model.safetensors").read_bytes() == weights
    assert ("GET", f"/large/{ESM}/model.safetensors", "bytes=70000-", None) in hub.requests


def test_what_is_gone_on_with_and_was_something_else_is_fetched_anew(hub, tmp_path):
    weights = hub.repositories[ESM].files["model.safetensors"]
    partly_fetched(hub, tmp_path, b"?" * 70_000)
    assert (fetch_model(hub, tmp_path).path / "model.safetensors").read_bytes() == weights


def test_a_hub_that_fails_on_the_way_leaves_what_came_for_the_next_run(hub, tmp_path):
    files = hub.repositories[ESM].files
    hub.repositories[ESM].gone.add("model.safetensors")
    done = fetch_model(hub, tmp_path, "--loc", tmp_path / "models.loc")
    assert f"the Hub answers with status 410 for {ESM}" in done.error
    assert nothing_stays(tmp_path, tmp_path / "models.loc")
    hub.repositories[ESM].gone.clear()
    hub.requests.clear()
    assert (fetch_model(hub, tmp_path).path / "vocab.txt").read_bytes() == files["vocab.txt"]
    assert asked_for(hub) == {"model.safetensors"}


@pytest.mark.parametrize("name", ["model.safetensors", "vocab.txt"])
def test_a_file_that_is_not_the_one_listed_is_not_kept(hub, tmp_path, name):
    content = bytearray(hub.repositories[ESM].files[name])
    content[-1] ^= 1
    hub.repositories[ESM].instead[name] = bytes(content)
    done = fetch_model(hub, tmp_path, "--loc", tmp_path / "models.loc")
    assert f"{name} of {ESM} is not what the Hub lists: its hash differs" in done.error
    assert nothing_stays(tmp_path, tmp_path / "models.loc")
    assert not list(tmp_path.rglob(f"{name}*"))


def test_a_file_may_not_be_longer_than_was_said(hub, tmp_path):
    weights = hub.repositories[ESM].files["model.safetensors"]
    hub.repositories[ESM].instead["model.safetensors"] = weights * 100
    done = fetch_model(hub, tmp_path)
    assert "the Hub sends more than the 172.8 kB that it said" in done.error
    assert sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file()) < 2 * len(weights)


def test_in_galaxy_nothing_is_left_of_a_failure(hub, tmp_path):
    hub.repositories[ESM].instead["vocab.txt"] = bytes(len(hub.repositories[ESM].files["vocab.txt"]))
    assert fetch_model(hub, tmp_path, "--output", tmp_path / "row.json").status == 2
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_a_config_that_is_no_json_is_noticed_before_the_weights(hub, tmp_path):
    hub.repositories[ESM].files["config.json"] = b"<html>"
    assert "config.json of" in fetch_model(hub, tmp_path).error
    assert asked_for(hub) == {"config.json"}


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ({"config.json": None}, "has no config.json"),
        ({"model.safetensors": None}, "has neither model.safetensors nor pytorch_model.bin"),
        ({"model.safetensors": None, "tf_model.h5": b"x"}, "tf_model.h5 cannot be used"),
    ],
)
def test_a_repository_without_a_model_is_refused(hub, tmp_path, files, reason):
    merged = hub.repositories[ESM].files | files
    hub.repositories[ESM].files = {name: content for name, content in merged.items() if content is not None}
    assert reason in fetch_model(hub, tmp_path).error


def test_a_hub_that_cannot_be_reached_is_one_line(tmp_path):
    with running_hub({}) as hub:
        assert f"the Hub has no model {ESM}" in fetch_model(hub, tmp_path).error
    assert "the Hub cannot be reached" in fetch_model(hub, tmp_path).error


@pytest.mark.parametrize("model", ["esm", "a/b/c", "../b", "a/..", "a/b--c", "a/.b", "a/b c", "a/b\n", ""])
def test_what_is_no_id_is_refused(model):
    with pytest.raises(Refused, match="is no id of a model"):
        checked_id(model)


def remote(**sizes) -> RemoteModel:
    files = {"config.json": RemoteFile(10, None, "a" * 40)}
    files |= {name.replace("__", "."): RemoteFile(size, "b" * 64, None) for name, size in sizes.items()}
    return RemoteModel("a/b", "c" * 40, files, "mit", "", False, None)


@pytest.mark.parametrize(
    ("sizes", "needed"), [({"model__safetensors": 10**10}, 10**10), ({"pytorch_model__bin": 10**10}, 2 * 10**10)]
)
def test_room_is_asked_for_first_and_twice_where_weights_are_converted(tmp_path, monkeypatch, sizes, needed):
    model = remote(**sizes)
    arguments = SimpleNamespace(destination=None)
    free = needed + 10 + script.SPARE
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=free))
    script.check_space(arguments, model, choose(model), tmp_path)
    free -= 1
    with pytest.raises(Refused, match=r"a/b needs \d+\.0 GB, and the disk of .* has \d+\.1 GB left"):
        script.check_space(arguments, model, choose(model), tmp_path)
    (tmp_path / "config.json").write_bytes(bytes(10))  # that has come already
    script.check_space(arguments, model, choose(model), tmp_path)


@pytest.mark.parametrize("name", ["config__json", "tokenizer__json", "model__safetensors"])
def test_a_file_larger_than_any_of_its_kind_is_refused(name):
    with pytest.raises(Refused, match="it may have"):
        choose(remote(**{"model__safetensors": 10, name: 10**11}))


def test_a_card_that_is_a_book_is_left_out():
    assert choose(remote(**{"model__safetensors": 10, "README__md": 10**8})).small == ("config.json",)


# -- terms and access ----------------------------------------------------------------------------------------------


def test_a_preset_that_is_not_for_commercial_use_is_refused_without_a_question(hub, tmp_path):
    assert f"{NT} is not for commercial use (CC BY-NC-SA 4.0)" in fetch_model(hub, tmp_path, model=NT).error
    assert not hub.requests


@pytest.mark.parametrize(
    "card",
    [
        {"license": ["apache-2.0", "cc-by-nc-sa-4.0"]},
        {"license": "other", "license_name": "esm-non-commercial-license"},
    ],
)
def test_another_licence_that_restricts_use_needs_a_word_too(hub, tmp_path, card):
    hub.repositories[ESM].card = card
    done = fetch_model(hub, tmp_path, "--loc", tmp_path / "models.loc")
    assert "is not for commercial use" in done.error
    assert nothing_stays(tmp_path, tmp_path / "models.loc") and not asked_for(hub)


def test_a_card_without_a_licence_is_said_to_have_none(hub, tmp_path):
    hub.repositories[ESM].card = {}
    assert "licence: its card names none" in fetch_model(hub, tmp_path).stdout


@pytest.mark.parametrize(
    ("terms", "restricted"),
    [
        ("cc-by-nc-4.0", True),
        ("cc-by-nc-nd-3.0", True),
        ("apache-2.0, cc-by-nc-sa-4.0", True),
        ("CC BY-NC-SA 4.0", True),
        ("cambrian-non-commercial-license-agreement", True),
        ("fair-noncommercial-research-license", True),
        ("Academic_Use_Only", True),
        ("research only", True),
        ("cc-by-sa-4.0", False),
        ("cc-by-nd-4.0", False),
        ("openrail", False),
        ("ncsa", False),
        ("llama3.1", False),
        ("mit", False),
        ("", False),
    ],
)
def test_licences_that_restrict_use_are_told_from_others(terms, restricted):
    assert bool(non_commercial(terms)) == restricted


def test_with_that_word_it_is_fetched_and_users_see_the_terms(hub, tmp_path):
    hub.repositories[NT] = tiny(card={"license": "cc-by-nc-sa-4.0"})
    done = fetch_model(hub, tmp_path, "--accept-non-commercial", model=NT)
    assert done.row[1].endswith("human reference (not for commercial use: cc-by-nc-sa-4.0)")
    assert json.loads((done.path / "fetched.json").read_text())["non_commercial"] is True
    assert "commercial use: NOT allowed" in done.stdout


def test_a_gated_model_needs_the_token_of_an_account_with_access(hub, tmp_path):
    hub.repositories[ESM].gated = True
    assert f"{ESM} is gated; accept the terms" in fetch_model(hub, tmp_path).error
    assert not asked_for(hub)
    assert f"{ESM} is gated and closed to this token" in fetch_model(hub, tmp_path, token="hf_other").error
    assert nothing_stays(tmp_path)
    assert fetch_model(hub, tmp_path, token=hub.token).status == 0


def test_a_token_is_in_no_file_and_no_line_and_goes_to_the_hub_alone(hub, tmp_path):
    hub.repositories[ESM].gated = True
    hub.repositories[ESM].cuts["model.safetensors"] = [1000]
    done = fetch_model(hub, tmp_path, "--output", tmp_path / "row.json", token=hub.token)
    assert done.status == 0
    assert hub.token not in done.stdout + done.stderr
    assert not [file for file in tmp_path.rglob("*") if file.is_file() and hub.token.encode() in file.read_bytes()]
    sent = {path.split("/")[1]: token for _, path, _, token in hub.requests}
    assert sent == {"api": f"Bearer {hub.token}", "facebook": f"Bearer {hub.token}", "large": None}


def test_a_token_that_the_hub_does_not_know_is_not_shown(hub, tmp_path):
    hub.repositories[ESM].gated = True
    done = fetch_model(hub, tmp_path, token="hf_secret")
    assert done.error and "hf_secret" not in done.stdout + done.stderr
