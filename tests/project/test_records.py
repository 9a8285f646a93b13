"""What the project says of itself elsewhere (citation, bio.tools, the actions) agrees with the tools."""

import csv
import json
import re
import xml.etree.ElementTree as ElementTree

import pytest
import yaml

from makers.scripts import ROOT

BIOTOOLS = json.loads((ROOT / "deploy" / "seqlm.biotools.json").read_text(encoding="utf-8"))
TOOLS = sorted((ROOT / "tools").glob("seqlm_*.xml"))
ACTIONS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
EDAM = "http://edamontology.org/"


def edam_operations(tool):
    return [each.text for each in ElementTree.parse(tool).iter("edam_operation")]


def edam_terms(part):
    """Every ontology term within a part of the record."""
    if isinstance(part, dict):
        if "uri" in part:
            yield part["uri"], part["term"]
        part = list(part.values())
    if isinstance(part, list):
        for each in part:
            yield from edam_terms(each)


def test_every_place_names_the_version_of_the_tools():
    tokens = {each.get("name"): each.text for each in ElementTree.parse(ROOT / "tools" / "macros.xml").iter("token")}
    version = tokens["@TOOL_VERSION@"]
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))["version"] == version
    assert BIOTOOLS["version"] == [version]


def test_the_record_in_bio_tools_has_what_each_tool_does():
    recorded = {}
    for function in BIOTOOLS["function"]:
        name, _ = function["note"].split(": ", 1)
        recorded[name] = [each["uri"].removeprefix(EDAM) for each in function["operation"]]
    assert recorded == {tool.stem: edam_operations(tool) for tool in TOOLS}


def test_terms_of_edam_are_called_as_edam_calls_them_and_none_is_obsolete():
    tables = sorted(ROOT.glob(".venvs/planemo/lib/python3.*/site-packages/edam_ontology/EDAM.tsv"))
    if not tables:
        pytest.skip("EDAM comes with planemo; `make envs` installs it")
    with tables[0].open(encoding="utf-8", newline="") as lines:
        rows = csv.DictReader(lines, delimiter="\t")
        current = {row["Class ID"]: row["Preferred Label"] for row in rows if row["Obsolete"] == "FALSE"}
    used = dict(edam_terms(BIOTOOLS))
    assert used
    assert used == {uri: current.get(uri) for uri in used}


@pytest.mark.parametrize("path", ACTIONS, ids=[path.stem for path in ACTIONS])
def test_the_actions_run_the_planemo_and_the_galaxy_that_are_tested_here(path):
    text = path.read_text(encoding="utf-8")
    requirements = (ROOT / "deploy" / "requirements-planemo.txt").read_text()
    planemo = re.search(r"^planemo==\S+", requirements, re.M)[0]
    galaxy = re.search(r"^galaxy==(\d+\.\d+)", (ROOT / "deploy" / "requirements-galaxy.txt").read_text(), re.M)[1]
    assert set(re.findall(r"planemo==\S+", text)) <= {planemo}
    assert set(re.findall(r"release_[\d.]+", text)) <= {f"release_{galaxy}"}
