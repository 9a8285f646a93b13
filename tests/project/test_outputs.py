"""What the outputs of the tools are called in a history and in a workflow, and whose names their elements have."""

from __future__ import annotations

import re
from collections import defaultdict
from xml.etree.ElementTree import Element

import pytest

from makers.forms import TOOLS, form_of

# The inputs that a tool is mapped over: what comes out is called after their elements.
MAIN = {
    "classify": {"task|embeddings"},
    "dataset": {"examples|sequences"},
    "embed": {"sequences"},
    "evaluate": {"predictions"},
    "explain": {"sequences"},
    "finetune": {"train"},
    "fold": {"sequences"},
    "generate": {"start|prompts"},
    "plot": {"embeddings"},
    "predict": {"sequences"},
    "pretrain": {"what|corpus"},
    "score": {"sequences"},
    "tokenizer": {"what|sequences", "what|corpus"},
}
# what was chosen in a form is not known where Galaxy gives a collection of outputs its name
LABEL = re.compile(
    r"\$\{tool\.name\}(?: on \$\{on_string\}|\$\{' on ' \+ \$on_string if \$on_string else ''\}): (\w[^$]*)"
)


def outputs(tool: str) -> list[Element]:
    return list(form_of(tool).find("outputs"))


@pytest.mark.parametrize("tool", TOOLS)
def test_outputs_are_called_after_the_tool_and_its_inputs_and_what_they_are(tool):
    found = [LABEL.fullmatch(output.get("label", "")) for output in outputs(tool)]
    assert all(found)
    assert len({each[1] for each in found}) == len(found)
    assert all(re.fullmatch(r"[a-z][a-z_0-9]+", output.get("name")) for output in outputs(tool))


def test_outputs_of_one_name_are_of_one_type():
    types = defaultdict(set)
    for tool in TOOLS:
        for output in outputs(tool):
            types[output.get("name")].add(output.get("format") or output.get("type"))
    assert types["report"] == {"tool_markdown"}
    assert types["figures"] == {"list"}
    assert {name: found for name, found in types.items() if len(found) > 1} == {}


@pytest.mark.parametrize("tool", TOOLS)
def test_elements_of_collections_keep_the_names_of_what_was_read(tool):
    sources = {each.get("default_identifier_source") for each in outputs(tool) if each.tag == "data"}
    assert sources == MAIN[tool]


@pytest.mark.parametrize(("tool", "source"), [(tool, source) for tool in TOOLS for source in sorted(MAIN[tool])])
def test_the_input_that_elements_are_called_after_is_in_the_form(tool, source):
    *groups, name = source.split("|")
    place = form_of(tool).find("inputs")
    for group in groups:
        place = next(each for each in place if each.get("name") == group)
    # of a conditional, in whichever of its cases
    found = [each for each in place.iter("param") if (each.get("name") or each.get("argument", "")[2:]) == name]
    assert found
    assert {each.get("type") for each in found} == {"data"}
