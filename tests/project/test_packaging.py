"""The Tool Shed archives hold everything a tool needs, as real files, and nothing else."""

from __future__ import annotations

import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
import yaml
from PIL import Image

from makers.archives import DATA_MANAGER, PLANEMO, REPOSITORY, built_archives
from makers.scripts import manifest

pytestmark = pytest.mark.skipif(not PLANEMO.exists(), reason="planemo is not installed; `make envs` installs it")
TOOLS = sorted(path.stem for path in (REPOSITORY / "tools").glob("seqlm_*.xml"))


@pytest.fixture(scope="module")
def archives(tmp_path_factory) -> dict[str, Path]:
    """The archive of each Tool Shed repository of the tools, unpacked, by repository name."""
    return built_archives(REPOSITORY, tmp_path_factory.mktemp("built"))


def test_there_is_one_repository_for_each_tool_and_a_suite_of_them_all_and_the_data_manager(archives):
    assert sorted(archives) == sorted([*TOOLS, "suite_seqlm"])
    suite = ElementTree.parse(archives["suite_seqlm"] / "repository_dependencies.xml")
    assert sorted(each.get("name") for each in suite.iter("repository")) == sorted([*TOOLS, DATA_MANAGER.name])
    assert {each.get("owner") for each in suite.iter("repository")} == {"seqlm"}


@pytest.mark.parametrize("tool", TOOLS)
def test_an_archive_holds_the_tool_its_macros_and_the_real_scripts(archives, tool):
    folder = archives[tool]
    assert sorted(path.name for path in folder.glob("*.xml")) == ["macros.xml", f"{tool}.xml"]
    own, all_tools = tool.removeprefix("seqlm_"), {each.removeprefix("seqlm_") for each in TOOLS}
    others = {name for each in all_tools - {own} for name in (f"scripts/{each}.py", f"scripts/seqlm/tools/{each}/")}
    wanted = {
        path.relative_to(REPOSITORY).as_posix()
        for path in (REPOSITORY / "scripts").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    wanted = {name for name in wanted if not name.startswith(tuple(others))}
    packed = {path.relative_to(folder).as_posix() for path in (folder / "scripts").rglob("*") if path.is_file()}
    assert packed == wanted
    for name in wanted:
        assert (folder / name).read_bytes() == (REPOSITORY / name).read_bytes()


@pytest.mark.parametrize("tool", TOOLS)
def test_an_archive_holds_every_file_that_its_tests_name(archives, tool):
    folder = archives[tool]
    names = set()
    for test in ElementTree.parse(folder / f"{tool}.xml").iter("test"):
        files = (each.get("value") for each in test.iter("param") if each.get("ftype") and each.get("value"))
        names |= {name for value in files for name in value.split(",")}
        names |= {each.get("file") for each in test.iter("output") if each.get("file")}
    missing = [name for name in names if not (folder / "test-data" / name).exists()]
    assert not missing


@pytest.mark.parametrize("tool", TOOLS)
def test_an_archive_holds_the_models_that_its_tests_choose_or_bundles_name_and_no_other_test_data(archives, tool):
    folder = archives[tool]
    form = (folder / f"{tool}.xml").read_text()
    rows = [line.split("\t") for line in (REPOSITORY / "test-data" / "huggingface.loc").read_text().splitlines()]
    models = {row[-1].rpartition("/")[2] for row in rows if f'value="{row[0]}"' in form}
    test_data = {path.name: path for path in (folder / "test-data").glob("*")}
    packed = test_data.pop("models", folder / "none")
    bundles = [manifest(path) for name, path in test_data.items() if name.startswith("bundle_")]
    models |= {each["base_model"]["id"].rpartition("/")[2] for each in bundles if each["method"] != "full"}
    if "published-adapter" in models:
        models.add("tiny-esm")
    assert {path.name for path in packed.glob("*")} == models
    for model in models:
        whole = REPOSITORY / "test-data" / "models" / model
        assert {path.name for path in (packed / model).iterdir()} == {path.name for path in whole.iterdir()}
    assert ("huggingface.loc" in test_data) == bool(models)
    test_data.pop("huggingface.loc", None)
    assert not [name for name in test_data if not re.search(rf'[",]{re.escape(name)}[",]', form)]


@pytest.mark.parametrize("tool", TOOLS)
def test_an_archive_holds_the_icon_of_its_tool_as_galaxy_takes_it(archives, tool):
    source = ElementTree.parse(archives[tool] / f"{tool}.xml").find("icon").get("src")
    with Image.open(archives[tool] / source) as icon:
        assert icon.format == "PNG" and icon.width == icon.height <= 512


@pytest.mark.parametrize("tool", TOOLS)
def test_an_archive_is_smaller_than_two_megabytes(archives, tool):
    assert archives[tool].with_name(f"{tool}.tar.gz").stat().st_size < 2_000_000


def test_the_lists_of_test_data_are_those_that_the_script_writes():
    command = [sys.executable, REPOSITORY / "deploy" / "shed_files.py", "--check"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("tool", TOOLS)
def test_an_archive_installs_the_data_table_with_a_sample_of_comments_alone(archives, tool):
    folder = archives[tool]
    assert (folder / "tool_data_table_conf.xml.sample").exists()
    sample = (folder / "tool-data" / "huggingface.loc.sample").read_text().splitlines()
    assert sample
    assert all(line.startswith("#") for line in sample)


@pytest.mark.parametrize("tool", TOOLS)
def test_a_script_starts_from_an_unpacked_archive(archives, tool):
    script = archives[tool] / "scripts" / f"{tool.removeprefix('seqlm_')}.py"
    command = [sys.executable, "-E", "-s", "-B", str(script), "--help"]
    done = subprocess.run(command, cwd=archives[tool], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "--output" in done.stdout


def test_the_categories_are_ones_that_the_tool_shed_has():
    shed = yaml.safe_load((REPOSITORY / ".shed.yml").read_text())
    known = {
        "Computational chemistry",
        "Machine Learning",
        "Natural Language Processing",
        "Proteomics",
        "Sequence Analysis",
    }
    assert set(shed["categories"]) <= known
    assert sorted(shed["repositories"]) == TOOLS


def test_the_archive_of_the_data_manager_holds_all_that_it_needs(tmp_path):
    folder = built_archives(DATA_MANAGER, tmp_path)[DATA_MANAGER.name]
    wanted = {path.relative_to(DATA_MANAGER) for path in DATA_MANAGER.rglob("*") if path.is_file()} - {
        Path(".shed.yml")
    }
    wanted = {path for path in wanted if "__pycache__" not in path.parts}
    assert {path.relative_to(folder) for path in folder.rglob("*") if path.is_file()} == wanted
    script = folder / "data_manager" / "fetch_model.py"
    done = subprocess.run([sys.executable, "-E", "-s", "-B", script, "--help"], capture_output=True, text=True)
    assert "--accept-non-commercial" in done.stdout, done.stderr
