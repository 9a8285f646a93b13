"""The form of the data manager offers what its script takes, and its repository holds what both need."""

from __future__ import annotations

import argparse
import xml.etree.ElementTree as ElementTree

import pytest
import yaml

import fetch_model
from fetching import rows
from fetching.presets import PRESETS
from makers.fetching import MANAGER
from makers.scripts import ROOT

FORM = ElementTree.parse(MANAGER / "data_manager" / "fetch_model.xml").getroot()


@pytest.fixture(scope="module")
def options():
    """The script's options by name."""
    seen = {}
    original = argparse.ArgumentParser.parse_args
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(argparse.ArgumentParser, "parse_args", lambda self: seen.update(parser=self))
        fetch_model.parse()
    assert argparse.ArgumentParser.parse_args is original
    return {action.option_strings[-1]: action for action in seen["parser"]._actions}


def test_every_question_is_an_option_and_its_choices_are_the_same(options):
    asked = {param.get("argument"): param for param in FORM.iter("param") if param.get("argument")}
    for name, param in asked.items():
        assert name in options
        values = [option.get("value") for option in param.findall("option")]
        if options[name].choices:
            assert values == list(options[name].choices)
            (chosen,) = (option.get("value") for option in param.findall("option") if option.get("selected"))
            assert chosen == options[name].default
    given_by_galaxy = {"--folder", "--rows", "--output", "--destination"}
    assert set(options) - set(asked) == given_by_galaxy | {"--help", "--loc"}
    command = FORM.find("command").text
    assert all(f"{name}=" in command for name in given_by_galaxy | {"--model"})


def test_the_form_offers_every_preset_with_its_terms():
    offered = {option.get("value"): option.text for option in FORM.findall(".//param[@name='preset']/option")}
    assert list(offered) == list(PRESETS)
    for model, preset in PRESETS.items():
        assert preset.name in offered[model]
        assert ("not for commercial use" in offered[model]) == bool(preset.terms)


def test_a_token_is_a_credential_and_on_no_command_line():
    (secret,) = FORM.findall("requirements/credentials/secret")
    assert secret.get("inject_as_env") == "HF_TOKEN"
    assert "TOKEN" not in FORM.find("command").text.upper()


def test_versions_are_those_of_the_tools_where_they_have_them():
    tools = ElementTree.parse(ROOT / "tools" / "macros.xml")
    known = {each.text: each.get("version") for each in tools.iter("requirement")}
    wanted = {each.text: each.get("version") for each in FORM.findall("requirements/requirement")}
    assert set(wanted) == {"huggingface_hub", "pytorch", "safetensors"}
    assert all(known[name] == version for name, version in wanted.items() if name in known)


def test_the_data_manager_fills_every_column_of_the_table():
    manager = ElementTree.parse(MANAGER / "data_manager_conf.xml").find("data_manager")
    assert (MANAGER / manager.get("tool_file")).is_file()
    assert tuple(column.get("name") for column in manager.iter("column")) == rows.COLUMNS
    for name, original in {
        "tool_data_table_conf.xml.sample": "tool_data_table_conf.xml.sample",
        "tool-data/huggingface.loc.sample": "huggingface.loc.sample",
    }.items():
        assert (MANAGER / name).read_text() == (ROOT / "tool_data" / original).read_text()


def test_its_repository_belongs_to_the_owner_of_the_tools():
    shed, tools = (yaml.safe_load((folder / ".shed.yml").read_text()) for folder in (MANAGER, ROOT))
    assert shed["owner"] == tools["owner"]
    assert shed["name"] == MANAGER.name
    assert "Data Managers" in shed["categories"]
