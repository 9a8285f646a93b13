"""One place says which image a version of the tools runs in; whatever else names it asks there."""

import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree

import pytest

from makers.forms import TOOLS, form_of
from makers.scripts import ROOT

DEPLOY = ROOT / "deploy"
PLANEMO = ROOT / ".venvs" / "planemo" / "bin" / "python"


def printed(*words, cwd=None):
    return subprocess.run(words, capture_output=True, text=True, check=True, cwd=cwd).stdout


@pytest.fixture(scope="module")
def image():
    return printed(sys.executable, DEPLOY / "image.py").strip()


@pytest.mark.parametrize("tool", TOOLS)
def test_every_tool_names_the_image_of_its_version_without_the_suffix_of_its_form(image, tool):
    form = form_of(tool)
    assert [(each.get("type"), each.text) for each in form.iter("container")] == [("docker", image)]
    version, suffix = re.fullmatch(r"(.+)\+galaxy(\w+)", form.get("version")).groups()
    assert image.split(":")[1] == version
    assert suffix


def test_nothing_else_says_its_tag(image):
    name = image.split(":")[0]
    files = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *DEPLOY.rglob("*"), *(ROOT / ".github").rglob("*.yml")]
    said = {
        path.name
        for path in files
        if path.is_file() and path.suffix != ".pyc" and re.search(rf"{name}:[\w.]", path.read_text(encoding="utf-8"))
    }
    assert said <= {"image.py"}  # an example of what it prints
    workflow = (ROOT / ".github" / "workflows" / "container.yml").read_text()
    assert "python deploy/image.py" in workflow


def test_another_package_is_another_content_and_another_form_is_not(tmp_path):
    for folder in ("deploy", "tools"):
        (tmp_path / folder).mkdir()
    for file in ("image.py", "requirements.py", "requirements-mmseqs.txt", "Dockerfile"):
        (tmp_path / "deploy" / file).write_bytes((DEPLOY / file).read_bytes())
    macros = (ROOT / "tools" / "macros.xml").read_text()

    def content(changed):
        (tmp_path / "tools" / "macros.xml").write_text(changed)
        return printed(sys.executable, "deploy/image.py", "--content", cwd=tmp_path)

    usual = content(macros)
    assert content(re.sub(r'(@VERSION_SUFFIX@">)\w+', r"\g<1>7", macros)) == usual
    assert content(macros.replace("Number format", "Format of numbers")) == usual
    torch = re.search(r'version="([\d.]+)">pytorch', macros)
    assert content(macros.replace(torch[0], 'version="9.9.9">pytorch')) != usual


def test_the_builder_is_given_all_that_the_dockerfile_copies():
    given = (DEPLOY / "Dockerfile.dockerignore").read_text().split()
    copied = [
        word
        for line in (DEPLOY / "Dockerfile").read_text().splitlines()
        if line.startswith("COPY ")
        for word in line.split()[1:-1]
    ]
    assert copied and all(f"!{word}" in given for word in copied)


def test_the_sets_of_packages_for_biocontainers_are_those_of_the_forms():
    """After a change: .venvs/planemo/bin/python -P deploy/mulled.py > deploy/multi-package-containers.tsv"""
    kept = (DEPLOY / "multi-package-containers.tsv").read_text()
    assert printed(PLANEMO, "-P", DEPLOY / "mulled.py") == kept
    sets = [set(line.split(",")) for line in kept.splitlines() if not line.startswith("#")]
    for tool in TOOLS:
        asked = {f"{one.text}={one.get('version')}" for one in form_of(tool).iter("requirement")}
        assert asked in sets, tool


def test_the_image_s_versions_are_one_for_all_tools():
    requirements = printed(sys.executable, DEPLOY / "requirements.py").split()
    names = [line.split("==")[0] for line in requirements]
    assert len(names) == len(set(names))
    macros = ElementTree.parse(ROOT / "tools" / "macros.xml")
    assert len(list(macros.iter("container"))) == 1
