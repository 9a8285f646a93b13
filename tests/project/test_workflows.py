"""Each workflow is shown as it is, and its test looks into each of its outputs."""

import json
import re
import runpy
import xml.etree.ElementTree as ElementTree

import pytest
import yaml

from makers.scripts import ROOT

WORKFLOWS = sorted(ROOT.glob("workflows/*/*/*.ga"))
picture = runpy.run_path(str(ROOT / "deploy" / "workflow_graphs.py"))["picture"]


def read(path):
    return json.loads(path.read_text(encoding="utf-8"))


def names(paths):
    return [path.stem for path in paths]


@pytest.mark.parametrize("path", WORKFLOWS, ids=names(WORKFLOWS))
def test_the_picture_in_the_readme_is_that_of_the_workflow(path):
    assert "](graph.svg)" in path.with_name("README.md").read_text(encoding="utf-8")
    shown = path.with_name("graph.svg").read_text(encoding="utf-8")
    assert shown == picture(read(path)), "python deploy/workflow_graphs.py draws it anew"


@pytest.mark.parametrize("path", WORKFLOWS, ids=names(WORKFLOWS))
def test_the_content_of_every_output_is_tested(path):
    outputs = [each["label"] for step in read(path)["steps"].values() for each in step.get("workflow_outputs", [])]
    tests = yaml.safe_load(path.with_name(f"{path.stem}-tests.yml").read_text(encoding="utf-8"))
    tested = {label: kinds(test) for case in tests for label, test in case["outputs"].items()}
    assert sorted(tested) == sorted(outputs)
    assert not [label for label, found in tested.items() if found <= {"has_size"}]


@pytest.mark.parametrize("path", WORKFLOWS, ids=names(WORKFLOWS))
def test_no_value_in_a_report_has_a_comma(path):
    """Galaxy's page splits what stands in the brackets at every comma: titles lose it, and tables are not found."""
    for directive in re.findall(r"^```galaxy\n(.+)\n```$", read(path)["report"]["markdown"], flags=re.MULTILINE):
        assert not [value for value in re.findall(r'"([^"]*)"', directive) if "," in value]


@pytest.mark.parametrize("path", WORKFLOWS, ids=names(WORKFLOWS))
def test_a_model_of_a_step_that_may_be_skipped_need_not_be_installed(path):
    """A list of what is installed that has nothing in it stops the page from running the workflow at all."""
    steps = read(path)["steps"]
    readers = {}
    for step in steps.values():
        for sources in step["input_connections"].values():
            for source in sources if isinstance(sources, list) else [sources]:
                readers.setdefault(source["id"], []).append(step)
    for step in steps.values():
        if step["type"] == "parameter_input" and "restrictOnConnections" in step["tool_state"]:
            switches = [reader["input_connections"].get("when") for reader in readers[step["id"]]]
            assert not switches[0] or switches.count(switches[0]) < len(switches), step["label"]


def kinds(test):
    """The kinds of a test's assertions, which are a list or, where each is of another kind, a mapping.

    Of a collection whose elements have other names each time it is the number of them.
    """
    if not test.get("element_tests", True):
        return {"element_count"} & test.keys()
    asserts = test["asserts"]
    return {each["that"] for each in asserts} if isinstance(asserts, list) else set(asserts)


def test_a_picture_names_data_steps_settings_and_outputs_and_joins_what_is_connected():
    source = {"id": 0, "output_name": "output"}
    steps = {
        "0": step("data_input", "Genome", 0, 0),
        "1": step("parameter_input", "Epochs", 0, 100),
        "2": step("tool", "Train", 300, 0, {"a": source, "epochs": {"id": 1, "output_name": "output"}}),
        "3": step("tool", "Write", 600, 0, {"b": {"id": 2, "output_name": "model"}, "c": [source]}),
    }
    steps["2"]["workflow_outputs"] = [{"output_name": "model", "label": "Model & report"}]
    drawn = ElementTree.fromstring(picture({"name": "A name", "steps": steps}))
    texts = [each.text for each in drawn.iter("{http://www.w3.org/2000/svg}text")]
    assert texts == ["Genome", "Train", "Epochs", "Model & report", "Write"]
    assert len(drawn.findall("{http://www.w3.org/2000/svg}path")) == 3


def step(kind, label, left, top, connections=None):
    place = {"left": left, "top": top}
    return {"type": kind, "label": label, "position": place, "input_connections": connections or {}}
