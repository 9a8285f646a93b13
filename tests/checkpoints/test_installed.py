"""An adapter or a head finds its base model among those that are installed, by the id and the SHA-256 that it names."""

from __future__ import annotations

import json
import shutil
import zipfile
from argparse import Namespace
from pathlib import Path

import pytest

from makers.bundles import adapter_bundle, zipped
from makers.hub_cache import cached
from makers.scripts import DATA, one_line, table
from seqlm.checkpoints.installed import Installed, read_installed, versions_of
from seqlm.checkpoints.opening import open_model
from seqlm.cli.errors import InputError

T5, ESM, BERT = (DATA / "models" / f"tiny-{name}" for name in ("t5", "esm", "bert"))
ADAPTER = DATA / "bundle_lora_t5.zip"  # trained on seqlm/tiny-t5
PUBLISHED = DATA / "models" / "published-adapter"  # which names seqlm/tiny-esm


@pytest.fixture
def installed(tmp_path):
    """A table of rows (id, path) or (id, version, path)."""

    def write(*rows) -> Path:
        whole = [(row[0], "1", row[1]) if len(row) == 2 else row for row in rows]
        path = tmp_path / "installed.tsv"
        path.write_text("".join("\t".join(map(str, row)) + "\n" for row in whole))
        return path

    return write


@pytest.fixture
def opened(tmp_path):
    """The model and what is opened as its base model."""

    def open_with(model, table: Path, base: Path | None = None) -> Path:
        scratch = tmp_path / "scratch"
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir()
        given = Namespace(model=str(model), base_model=base and str(base), installed_models=str(table))
        return open_model(given, scratch)[1].path

    return open_with


def changed(path: Path, source: Path = ADAPTER, **base) -> Path:
    """A copy of a bundle that names another base model."""
    with zipfile.ZipFile(source) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    manifest = json.loads(files["seqlm.json"])
    manifest["base_model"] |= base
    return zipped(path, files | {"seqlm.json": json.dumps(manifest).encode()})


def naming(path: Path, name: str | None) -> Path:
    """A copy of the published adapter that names another base model."""
    shutil.copytree(PUBLISHED, path)
    config = json.loads((path / "adapter_config.json").read_text())
    (path / "adapter_config.json").write_text(json.dumps(config | {"base_model_name_or_path": name}))
    return path


def test_the_base_model_that_a_bundle_names_is_found_among_others(opened, installed, capsys):
    assert opened(ADAPTER, installed(("seqlm/tiny-esm", ESM), ("seqlm/tiny-t5", T5), ("seqlm/tiny-bert", BERT))) == T5
    said = "base model: seqlm/tiny-t5, which is installed and is the one that bundle_lora_t5.zip names\n"
    assert capsys.readouterr().err == said


def test_a_bundle_with_all_weights_opens_none_of_them(opened, installed, tmp_path):
    path = opened(DATA / "bundle_full_bert.zip", installed(("seqlm/tiny-bert", tmp_path / "none")))
    assert path.is_relative_to(tmp_path / "scratch")


def test_a_base_model_that_is_given_comes_before_one_that_is_installed(opened, installed, tmp_path):
    copy = shutil.copytree(T5, tmp_path / "copy")
    assert opened(ADAPTER, installed(("seqlm/tiny-t5", T5)), base=copy) == copy


def test_of_two_commits_that_with_the_weights_is_taken(opened, installed):
    rows = [("seqlm/tiny-t5", "b" * 40, ESM), (f"seqlm/tiny-t5_{'a' * 12}", "a" * 40, T5)]
    assert opened(ADAPTER, installed(*rows)) == opened(ADAPTER, installed(*reversed(rows))) == T5


def test_a_bundle_of_a_further_commit_finds_its_model_under_the_plain_id_of_another_server(opened, installed, tmp_path):
    bundle = changed(tmp_path / "a.zip", id=f"seqlm/tiny-t5_{'a' * 12}")
    assert opened(bundle, installed(("seqlm/tiny-t5", T5))) == T5


def test_the_commit_that_is_named_is_read_first_as_large_weights_take_minutes():
    rows = [Installed("a/b", "1", "/1"), Installed("a/b_0123456789ab", "2", "/2"), Installed("a/bc", "2", "/3")]
    assert [row.path for row in versions_of(rows, "A/B", "2")] == ["/2", "/1"]
    assert [row.path for row in versions_of(rows, "a/b")] == ["/1", "/2"]
    assert not versions_of(rows, "a")


def test_capitals_of_an_id_do_not_matter(opened, installed, tmp_path):
    assert opened(ADAPTER, installed(("SeqLM/Tiny-T5", T5))) == T5
    assert opened(naming(tmp_path / "a", "SEQLM/tiny-ESM"), installed(("seqlm/Tiny-esm", ESM))) == ESM


def test_a_row_that_cannot_be_opened_is_passed_over_and_named_where_it_is_the_only_one(opened, installed, tmp_path):
    gone = ("seqlm/tiny-t5", tmp_path / "gone")
    assert opened(ADAPTER, installed(gone, (f"seqlm/tiny-t5_{'a' * 12}", T5))) == T5
    with pytest.raises(InputError, match=r"seqlm/tiny-t5 in the table of models cannot be used: .*gone does not exist"):
        opened(ADAPTER, installed(gone))


def test_a_row_may_name_a_cache_or_an_archive_with_all_weights(opened, installed, tmp_path):
    folder = cached(T5, tmp_path / "hub", name="seqlm/tiny-t5")
    assert opened(ADAPTER, installed(("seqlm/tiny-t5", folder))).name != "tiny-t5"
    rows = installed(("seqlm/tiny-esm", DATA / "tiny_esm_folder.tar.gz"))
    assert opened(DATA / "bundle_head_esm.zip", rows).is_relative_to(tmp_path / "scratch")


def test_a_base_model_that_is_not_installed_is_asked_for_by_its_name(script, tmp_path, installed):
    bundle = changed(tmp_path / "a.zip", id="Rostlab/prot_t5_xl_uniref50")
    done = script("predict", "--model", bundle, "--installed-models", installed(("seqlm/tiny-t5", T5)), "--sequences",
                  DATA / "sites_test.fasta", "--output-table", "never.tsv", check=False)  # fmt: skip
    message = (
        "error: the base model of a.zip, Rostlab/prot_t5_xl_uniref50, is not installed on this server: ask the "
        "administrator to install it (data manager 'Fetch a model from the Hugging Face Hub'), or take its folder from "
        "the history"
    )
    one_line(done, message, tmp_path / "work")


def test_other_weights_under_the_id_are_not_taken(opened, installed, tmp_path):
    bundle = changed(tmp_path / "a.zip", revision="0123abc")
    with pytest.raises(InputError, match=r"another version of seqlm/tiny-t5 \(revision 0123abc\) than is installed"):
        opened(bundle, installed(("seqlm/tiny-t5", ESM)))


@pytest.mark.parametrize(
    "name", ["{here}/tiny-t5", "../tiny-t5", "tiny-t5", "seqlm/tiny-t5/", "seqlm/.*", " ", "%s{0}"]
)
def test_what_a_bundle_names_is_an_id_and_never_a_path_or_a_pattern(opened, installed, tmp_path, monkeypatch, name):
    shutil.copytree(T5, tmp_path / "tiny-t5")
    (tmp_path / "within").mkdir()
    monkeypatch.chdir(tmp_path / "within")
    name, rows = name.format("", here=tmp_path), installed(("seqlm/tiny-t5", T5))
    for model in (changed(tmp_path / "a.zip", id=name), naming(tmp_path / "adapter", name)):
        with pytest.raises(InputError, match="is not installed on this server") as refusal:
            opened(model, rows)
        assert name in str(refusal.value)


def test_a_published_adapter_finds_its_base_model_by_the_id_alone(script, tmp_path, installed):
    rows = installed(("seqlm/tiny-t5", T5), ("seqlm/tiny-esm", ESM))
    common = ("--model", PUBLISHED, "--sequences", DATA / "binding_sequences.fasta", "--output-table")
    script("predict", *common, "found.tsv", "--installed-models", rows)
    script("predict", *common, "given.tsv", "--base-model", ESM)
    work = tmp_path / "work"
    assert table(work / "found.tsv") == table(work / "given.tsv") and len(table(work / "found.tsv")) > 10


def test_of_two_versions_a_published_adapter_gets_that_of_the_id_itself_or_asks(opened, installed):
    plain, first, second = (
        ("seqlm/tiny-esm", ESM),
        (f"seqlm/tiny-esm_{'a' * 12}", T5),
        (f"seqlm/tiny-esm_{'b' * 12}", BERT),
    )
    assert opened(PUBLISHED, installed(first, plain, second)) == ESM
    with pytest.raises(InputError, match=r"is installed in 2 versions \(.*a{12}, .*b{12}\); choose one of them"):
        opened(PUBLISHED, installed(first, second))


def test_an_adapter_that_names_no_model_asks_for_it(opened, installed, tmp_path):
    with pytest.raises(InputError, match="does not say which base model it was trained on; choose that model"):
        opened(naming(tmp_path / "a", None), installed(("seqlm/tiny-esm", ESM)))


def test_a_table_that_is_missing_or_odd_is_no_crash(opened, tmp_path, capsys):
    with pytest.raises(InputError, match=r"the table of installed models .* cannot be read: No such file"):
        opened(ADAPTER, tmp_path / "none.tsv")
    (tmp_path / "odd.tsv").write_bytes(b"\n\t\t\na\nseqlm/tiny-t5\t\xff\t" + bytes(T5) + b"\na\tb\tc\td\n")
    assert [row.id for row in read_installed(tmp_path / "odd.tsv")] == ["seqlm/tiny-t5"]
    said = "odd.tsv: 2 of 3 rows of installed models are not an id, a version and a path, and were left out; the first"
    assert capsys.readouterr().err == f"note: {said} is line 3\n"
    assert opened(ADAPTER, tmp_path / "odd.tsv") == T5


def test_the_writer_and_the_embedder_find_it_too(script, tmp_path, installed):
    rows = installed(("seqlm/tiny-t5", T5))
    common = ("--model", ADAPTER, "--sequences", DATA / "sites_test.fasta", "--output-table")
    script("embed", *common, "found.tsv", "--installed-models", rows)
    script("embed", *common, "given.tsv", "--base-model", T5)
    work = tmp_path / "work"
    assert (work / "found.tsv").read_bytes() == (work / "given.tsv").read_bytes()
    bundle = zipped(tmp_path / "b.zip", adapter_bundle())
    for name, more in (("score", ("--sequences", DATA / "sites_test.fasta")), ("generate", ())):
        done = script(name, "--model", bundle, "--installed-models", rows, *more, "--output-table", "x", check=False)
        assert "the base model of b.zip, facebook/esm2_t6_8M_UR50D, is not installed" in done.stderr
