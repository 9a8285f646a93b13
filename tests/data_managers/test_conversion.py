"""Pickled weights become safetensors of the same bytes, or nothing; what a pickle asks for is not done."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file

from fetching import conversion, convert_pickle
from fetching.refusal import Refused
from makers.fetching import ESM, MANAGER, fetch_model, tiny
from makers.hub import repository, running_hub
from makers.scripts import DATA
from seqlm.checkpoints.bundle import read_bundle_folder
from seqlm.checkpoints.folder import read_model_folder

PICKLED = "pytorch_model.bin"


def weights() -> dict[str, torch.Tensor]:
    torch.manual_seed(3)
    embeddings = torch.randn(33, 8)
    return {
        "embeddings": embeddings,
        "output": embeddings,  # one tensor with two names
        "view": embeddings[:, ::2].T,  # part of another, not in order
        "half": torch.randn(3, 5).half(),
        "brain": torch.randn(7).bfloat16(),
        "double": torch.randn(2).double(),
        "positions": torch.arange(11),
        "one": torch.tensor(2.5),
        "none": torch.zeros(0, 4),
        "mask": torch.tensor([True, False]),
        "nan": torch.tensor([float("nan"), -0.0]),
        "parameter": torch.nn.Parameter(torch.randn(2, 2)),
    }


def same(one: torch.Tensor, other: torch.Tensor) -> bool:
    return one.dtype == other.dtype and one.shape == other.shape and one.numpy().tobytes() == other.numpy().tobytes()


@pytest.mark.parametrize("of_today", [True, False], ids=["zip", "before torch 1.6"])
def test_every_byte_is_kept(tmp_path, of_today):
    torch.save(weights(), tmp_path / PICKLED, _use_new_zipfile_serialization=of_today)
    convert_pickle.convert(tmp_path / PICKLED, tmp_path / "model.safetensors")
    read = load_file(tmp_path / "model.safetensors")
    assert set(read) == set(weights())
    for name, tensor in weights().items():
        tensor = tensor.detach().contiguous()
        view = torch.int16 if tensor.dtype == torch.bfloat16 else tensor.dtype
        assert same(read[name].view(view), tensor.view(view)), name


def test_parts_and_their_index_are_renamed_together(tmp_path, monkeypatch):
    monkeypatch.setattr(conversion, "_convert_file", convert_pickle.convert)
    names = [f"pytorch_model-0000{part}-of-00002.bin" for part in (1, 2)]
    for number, name in enumerate(names):
        torch.save({f"weight{number}": torch.ones(2)}, tmp_path / name)
    weight_map = {f"weight{number}": name for number, name in enumerate(names)}
    (tmp_path / f"{PICKLED}.index.json").write_text(json.dumps({"weight_map": weight_map}))
    conversion.convert(tmp_path, (f"{PICKLED}.index.json", *names))
    index = json.loads((tmp_path / "model.safetensors.index.json").read_text())
    assert index["weight_map"] == {
        "weight0": "model-00001-of-00002.safetensors",
        "weight1": "model-00002-of-00002.safetensors",
    }
    assert len(list(tmp_path.iterdir())) == 3


def test_an_index_that_names_other_files_is_refused(tmp_path):
    (tmp_path / f"{PICKLED}.index.json").write_text('{"weight_map": {"a": "../../etc/passwd"}}')
    with pytest.raises(Refused, match="names a file that is none of its parts"):
        conversion.convert(tmp_path, (f"{PICKLED}.index.json",))


class Touch:
    """A pickle that asks for a program."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return subprocess.call, (["touch", self.path],)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ({"weight": Touch("marked")}, "torch does not read it as weights alone"),
        ({"state_dict": {"weight": torch.ones(2)}}, "'state_dict' in it is no plain tensor"),
        ({"epoch": 3}, "'epoch' in it is no plain tensor"),
        ({7: torch.ones(2)}, "a tensor in it has no name"),
        ([torch.ones(2)], "it is no table of tensors"),
        ({}, "it is no table of tensors"),
        ({"weight": torch.ones(2).to_sparse()}, "'weight' in it is no plain tensor"),
        ({"weight": torch.ones(2, dtype=torch.complex64)}, "which safetensors have not"),
        # a few bytes that say that they are four billion numbers
        ({"weight": torch.ones(1).expand(1 << 32)}, "its tensors are larger than the file"),
    ],
)
def test_what_is_more_than_tensors_is_refused(tmp_path, monkeypatch, content, reason):
    monkeypatch.chdir(tmp_path)
    torch.save(content, tmp_path / PICKLED)
    with pytest.raises(ValueError) as refusal:
        convert_pickle.convert(tmp_path / PICKLED, tmp_path / "model.safetensors")
    assert reason in str(refusal.value) and "\n" not in str(refusal.value)
    assert [path.name for path in tmp_path.iterdir()] == [PICKLED]


@pytest.mark.parametrize("content", [b"", b"not a pickle", pickle.dumps({"a": 1}, protocol=2), b"PK\x03\x04"])
def test_what_is_no_file_of_torch_is_refused(tmp_path, content):
    (tmp_path / PICKLED).write_bytes(content)
    with pytest.raises(ValueError):
        convert_pickle.convert(tmp_path / PICKLED, tmp_path / "model.safetensors")


def test_a_refusal_of_the_process_is_one_line_and_leaves_the_file(tmp_path):
    torch.save({"epoch": 3}, tmp_path / PICKLED)
    with pytest.raises(Refused) as refusal:
        conversion.convert(tmp_path, (PICKLED,))
    said = "pytorch_model.bin cannot be converted to safetensors: 'epoch' in it is no plain tensor"
    assert str(refusal.value) == said
    assert [path.name for path in tmp_path.iterdir()] == [PICKLED]


def test_what_was_written_is_compared(tmp_path):
    tensors = {"weight": torch.ones(4)}
    convert_pickle.write(tensors, tmp_path / "model.safetensors")
    convert_pickle.compare(tensors, tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match="'weight' was not written as it was read"):
        convert_pickle.compare({"weight": torch.tensor([1, 1, 1, -1.0])}, tmp_path / "model.safetensors")


def run(code: str, folder) -> subprocess.CompletedProcess:
    environment = os.environ | {"PYTHONPATH": str(MANAGER / "data_manager" / "fetching")}
    return subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, env=environment)


def test_the_process_can_open_no_socket_and_start_no_program(tmp_path):
    code = """
import concurrent.futures, convert_pickle, os, socket, subprocess
socket.socket().close()
subprocess.run(["true"], check=True)
before = concurrent.futures.ThreadPoolExecutor(1)  # a thread that was there before
before.submit(int).result()
convert_pickle.give_up_network()
assert isinstance(before.submit(socket.socket).exception(), PermissionError)
for wanted in (socket.socket, lambda: subprocess.run(["true"]), lambda: os.execv("/bin/true", ["true"])):
    try:
        wanted()
    except PermissionError:
        print("refused")
open("written", "w").close()
"""
    done = run(code, tmp_path)
    assert (tmp_path / "written").exists()
    assert done.stdout.split() == ["refused"] * 3, done.stderr


def test_the_process_has_little_memory(tmp_path):
    code = """
import convert_pickle
convert_pickle.give_up_memory(1 << 20)
bytearray(900 << 20)
try:
    bytearray(2 << 30)
except MemoryError:
    print("refused")
"""
    done = run(code, tmp_path)
    assert done.stdout.split() == ["refused"], done.stderr


def test_the_process_does_not_know_the_token(tmp_path, monkeypatch):
    spy = tmp_path / "spy.py"
    spy.write_text("import os, sys; sys.exit(' '.join(sorted(os.environ)))")
    monkeypatch.setattr(conversion, "SCRIPT", spy)
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    (tmp_path / PICKLED).write_bytes(b"x")
    with pytest.raises(Refused) as refusal:
        conversion.convert(tmp_path, (PICKLED,))
    assert "PATH" in str(refusal.value) and "HF_TOKEN" not in str(refusal.value)


# -- as a whole ----------------------------------------------------------------------------------------------------


def pickled_model(folder):
    """The tiny model as it would be with pickled weights alone."""
    model = tiny()
    torch.save(load_file(DATA / "models" / "tiny-esm-mlm" / "model.safetensors"), folder / PICKLED)
    del model.files["model.safetensors"]
    model.files[PICKLED] = (folder / PICKLED).read_bytes()
    return model


def test_a_model_of_pickled_weights_is_converted_and_its_row_says_so(tmp_path):
    with running_hub({ESM: pickled_model(tmp_path)}) as hub:
        done = fetch_model(hub, tmp_path)
    assert done.row[1] == "ESM-2, 8 million parameters (weights converted from pytorch_model.bin)", done.stderr
    folder = read_model_folder(done.path)
    original = read_model_folder(DATA / "models" / "tiny-esm-mlm")
    assert folder.tensors == original.tensors
    assert not (done.path / PICKLED).exists()
    said = json.loads((done.path / "fetched.json").read_text())["files"]["model.safetensors"]
    assert said["sha256"] == folder.sha256
    assert said["converted_from"]["name"] == PICKLED and len(said["converted_from"]["sha256"]) == 64


def test_a_pickle_that_asks_for_code_gives_no_model(tmp_path):
    model = pickled_model(tmp_path)
    model.files[PICKLED] = pickle.dumps({"weight": Touch(str(tmp_path / "marked"))})
    with running_hub({ESM: model}) as hub:
        done = fetch_model(hub, tmp_path, "--loc", tmp_path / "models.loc")
    assert "cannot be converted to safetensors" in done.error
    assert not (tmp_path / "marked").exists() and not (tmp_path / "models.loc").exists()
    assert not list((tmp_path / "models").glob("*/*/[!.]*"))


def test_an_adapter_of_pickled_weights_is_converted_and_read_by_the_tools(tmp_path):
    original = DATA / "models" / "published-adapter"
    model = repository(original, pipeline_tag=None)
    torch.save(load_file(original / "adapter_model.safetensors"), tmp_path / "adapter_model.bin")
    del model.files["adapter_model.safetensors"]
    model.files |= {"adapter_model.bin": (tmp_path / "adapter_model.bin").read_bytes(), "config.json": b"{}"}
    with running_hub({"someone/adapter": model}) as hub:
        done = fetch_model(hub, tmp_path, model="someone/adapter")
    assert done.row[:3] == [
        "someone/adapter", "someone/adapter (weights converted from adapter_model.bin)", "token-classification",
    ], done.stderr  # fmt: skip
    assert not (done.path / "config.json").exists()
    bundle = read_bundle_folder(done.path)
    assert (bundle.kind, bundle.adapter_config) == ("peft", read_bundle_folder(original).adapter_config)
    converted = load_file(done.path / "adapter_model.safetensors")
    for name, tensor in load_file(original / "adapter_model.safetensors").items():
        assert same(converted[name], tensor)
