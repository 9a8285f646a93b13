"""Every step of a workflow has the settings that its tool's form asks for, each where the form has it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from xml.etree.ElementTree import Element

import pytest

from makers.forms import form_of
from makers.scripts import ROOT

WORKFLOWS = sorted(ROOT.glob("workflows/*/*/*.ga"))
OWN = {"__page__", "__current_case__", "__index__", "__rerun_remap_job_id__"}  # what Galaxy adds


def steps(path) -> Iterator[tuple[str, str, dict, set[str]]]:
    """Label, tool, settings and connected inputs of each step with a tool of ours."""
    for step in json.loads(path.read_text())["steps"].values():
        if step["type"] == "tool" and step["tool_id"].startswith("seqlm_"):
            tool = step["tool_id"].removeprefix("seqlm_")
            yield step["label"], tool, json.loads(step["tool_state"]), set(step["input_connections"]) - {"when"}


def name_of(param: Element) -> str:
    return param.get("name") or param.get("argument").removeprefix("--").replace("-", "_")


def differences(form: Element, state: dict, within: str = "") -> Iterator[str]:
    """What a step lacks or has too much, and a case that is not the one chosen; the paths of all its inputs."""
    asked = {name_of(one): one for one in form if one.tag in ("param", "conditional", "section", "repeat")}
    yield from (f"{within}{name} is missing" for name in asked.keys() - state.keys())
    yield from (f"{within}{name} is not in the form" for name in state.keys() - asked.keys() - OWN)
    for name in asked.keys() & state.keys():
        one, value, path = asked[name], state[name], f"{within}{name}|"
        if one.tag == "section":
            yield from differences(one, value, path)
        elif one.tag == "repeat":
            for number, each in enumerate(value):
                yield from differences(one, each, f"{within}{name}_{number}|")
        elif one.tag == "conditional":
            chosen = name_of(one.find("param"))
            cases = [when.get("value") for when in one.findall("when")]
            if value.get(chosen) not in cases or value["__current_case__"] != cases.index(value[chosen]):
                yield f"{path}{chosen} is {value.get(chosen)}, case {value['__current_case__']} of {cases}"
                continue
            when = one.findall("when")[value["__current_case__"]]
            yield from differences([one.find("param"), *when], value, path)


def connected(form, state: dict, within: str = "") -> Iterator[str]:
    """Paths of the inputs that are said to be connected."""
    for name, value in state.items():
        if isinstance(value, dict) and value.get("__class__") == "ConnectedValue":
            yield within + name
        elif isinstance(value, dict):
            yield from connected(form, value, f"{within}{name}|")
        elif isinstance(value, list):
            for number, each in enumerate(value):
                if isinstance(each, dict):
                    yield from connected(form, each, f"{within}{name}_{number}|")


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_step_has_what_its_form_asks_for_and_nothing_else(path):
    found = []
    for label, tool, state, _ in steps(path):
        found += [f"{label}: {one}" for one in differences(form_of(tool).find("inputs"), state)]
    assert not found


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_what_is_connected_is_an_input_of_the_form(path):
    for label, tool, state, connections in steps(path):
        assert set(connected(form_of(tool), state)) == connections, label
