"""Models in the layout in which the client of the Hugging Face Hub keeps them, as rows of some servers name them."""

import json
import shutil

import pytest

from makers.bundles import model_folder, write_files
from makers.hub_cache import cached
from makers.scripts import table
from seqlm.checkpoints.folder import read_model_folder
from seqlm.checkpoints.hub_cache import model_in
from seqlm.checkpoints.tokenizer_bundle import open_tokenizer
from seqlm.cli.errors import InputError

OLD, NEW = "b" * 40, "c" * 40


@pytest.fixture
def plain(tmp_path):
    return write_files(tmp_path / "plain", model_folder())


@pytest.mark.parametrize("below", ["", "models--me--mine", f"models--me--mine/snapshots/{OLD}"])
def test_a_row_may_name_the_cache_the_model_in_it_or_the_snapshot(tmp_path, plain, below):
    cached(plain, tmp_path / "hub", commit=OLD)
    model = read_model_folder(tmp_path / "hub" / below)
    assert model.path == tmp_path / "hub" / "models--me--mine" / "snapshots" / OLD
    assert model.sha256 == read_model_folder(plain).sha256


def test_a_row_may_name_what_hf_home_is(tmp_path, plain):
    folder = cached(plain, tmp_path / "home" / "hub")
    assert model_in(tmp_path / "home", "the row").parent.parent == folder


def test_of_several_snapshots_that_of_main_is_taken(tmp_path, plain):
    cached(plain, tmp_path, commit=OLD)
    folder = cached(plain, tmp_path, commit=NEW)
    assert read_model_folder(folder).path.name == NEW
    (folder / "refs" / "main").write_text(OLD + "\n")
    assert read_model_folder(folder).path.name == OLD


def test_the_only_snapshot_is_taken_without_a_main(tmp_path, plain):
    folder = cached(plain, tmp_path, commit=OLD, main=False)
    assert read_model_folder(folder).path.name == OLD
    (folder / "refs" / "main").write_text(NEW)
    assert read_model_folder(folder).path.name == OLD


def test_several_snapshots_without_a_main_are_refused_by_the_path_of_the_row(tmp_path, plain):
    cached(plain, tmp_path, commit=OLD, main=False)
    folder = cached(plain, tmp_path, commit=NEW, main=False)
    with pytest.raises(InputError) as refusal:
        read_model_folder(folder)
    assert all(said in str(refusal.value) for said in (str(folder), OLD, NEW, "2 snapshots"))


def test_a_cache_of_several_models_is_refused_by_the_path_of_the_row(tmp_path, plain):
    cached(plain, tmp_path / "hub")
    cached(plain, tmp_path / "hub", name="you/yours")
    with pytest.raises(InputError) as refusal:
        read_model_folder(tmp_path / "hub")
    assert str(tmp_path / "hub") in str(refusal.value)
    assert "2 models (models--me--mine, models--you--yours)" in str(refusal.value)


def test_an_empty_cache_is_named(tmp_path):
    (tmp_path / "models--me--mine" / "snapshots").mkdir(parents=True)
    with pytest.raises(InputError, match="a cache without a snapshot"):
        read_model_folder(tmp_path / "models--me--mine")


def test_a_broken_link_is_a_missing_file(tmp_path, plain):
    folder = cached(plain, tmp_path)
    shutil.rmtree(folder / "blobs")
    with pytest.raises(InputError, match=r"has no config\.json"):
        read_model_folder(folder)


def test_the_tokenizer_of_a_cache_is_found(tmp_path, plain):
    folder = cached(plain, tmp_path, commit=OLD)
    found, config = open_tokenizer(folder, tmp_path / "scratch")
    assert found.name == OLD
    assert config == json.loads((plain / "config.json").read_text())


# -- the scripts ---------------------------------------------------------------------------------------------------


def test_a_model_in_a_cache_embeds_as_it_does_in_a_folder(script, tmp_path, model_path, data):
    folder = cached(model_path("esm"), tmp_path / "hub", name="seqlm/tiny-esm")
    both = []
    for number, model in enumerate((model_path("esm"), folder)):
        target = tmp_path / f"{number}.tsv"
        script("embed", "--model", model, "--sequences", data / "embedding_sequences.fasta", "--output-table", target)
        both.append(table(target))
    assert both[0] == both[1] and both[0]


def test_a_published_adapter_and_its_base_model_are_read_from_caches(script, tmp_path, model_path, data):
    adapter = cached(data / "models" / "published-adapter", tmp_path / "one", name="someone/adapter")
    base = cached(model_path("esm"), tmp_path / "two", name="seqlm/tiny-esm")
    arguments = ("--sequences", data / "binding_sequences.fasta", "--output-table", tmp_path / "predicted.tsv")
    script("predict", "--model", adapter, "--base-model", base, *arguments)
    assert len(table(tmp_path / "predicted.tsv")) > 10
