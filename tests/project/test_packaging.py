"""The Tool Shed archives hold everything a tool needs, as real files, and nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
import yaml

REPOSITORY = Path(__file__).resolve().parents[2]
PLANEMO = REPOSITORY / ".venvs" / "planemo" / "bin" / "planemo"
TOOLS = sorted(path.stem for path in (REPOSITORY / "tools").glob("seqlm_*.xml"))


@pytest.fixture(scope="module")
def archives(tmp_path_factory) -> dict[str, Path]:
    """The archive of each Tool Shed repository of the tools, unpacked, by repository name."""
    return built_archives(REPOSITORY, tmp_path_factory.mktemp("built"))


def built_archives(project: Path, built: Path) -> dict[str, Path]:
    """The archives of a project, each unpacked in a folder below ``built``."""
    if not PLANEMO.exists():
        pytest.skip("planemo is not installed; `make envs` installs it")
    command = [PLANEMO, "--directory", built, "shed_upload", "--tar_only", "--shed_target", "toolshed", project]
    done = subprocess.run(command, cwd=built, env=os.environ | {"HOME": str(built)}, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    unpacked = {}
    for path in built.glob("shed_upload*.tar.gz"):  # a project of one repository gets no name behind it
        folder = unpacked[path.name.removeprefix("shed_upload").strip("_").removesuffix(".tar.gz")] = built / path.stem
        with tarfile.open(path) as archive:
            members = archive.getmembers()
            assert all(member.isfile() for member in members), "a link or something else that is not a file"
            archive.extractall(folder, filter="data")
    return unpacked


def test_there_is_one_repository_for_each_tool_and_a_suite_of_them_all(archives):
    assert sorted(archives) == sorted([*TOOLS, "suite_seqlm"])
    suite = ElementTree.parse(archives["suite_seqlm"] / "repository_dependencies.xml")
    assert sorted(each.get("name") for each in suite.iter("repository")) == TOOLS
    assert {each.get("owner") for each in suite.iter("repository")} == {"seqlm"}


@pytest.mark.parametrize("tool", TOOLS)
def test_an_archive_holds_the_tool_its_macros_and_the_real_scripts(archives, tool):
    folder = archives[tool]
    assert sorted(path.name for path in folder.glob("*.xml")) == ["macros.xml", f"{tool}.xml"]
    wanted = {
        path.relative_to(REPOSITORY).as_posix()
        for path in (REPOSITORY / "scripts").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
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
    project = REPOSITORY / "data_managers" / "data_manager_huggingface"
    ((_, folder),) = built_archives(project, tmp_path).items()
    wanted = {path.relative_to(project) for path in project.rglob("*") if path.is_file()} - {Path(".shed.yml")}
    wanted = {path for path in wanted if "__pycache__" not in path.parts}
    assert {path.relative_to(folder) for path in folder.rglob("*") if path.is_file()} == wanted
    script = folder / "data_manager" / "fetch_model.py"
    done = subprocess.run([sys.executable, "-E", "-s", "-B", script, "--help"], capture_output=True, text=True)
    assert "--accept-non-commercial" in done.stdout, done.stderr
