"""What can be said of the tutorials without a Galaxy, and that their reader and their forms refuse what is wrong."""

import re
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml
from markdown_it import MarkdownIt

from makers.forms import form_of
from makers.scripts import ROOT
from makers.tutorial_forms import form_of_inputs, inputs_of
from makers.tutorials import FOLDER, TUTORIALS, Rename, Run, TutorialError, Upload, read_tutorial

REQUIRED = {
    "layout",
    "title",
    "zenodo_link",
    "questions",
    "objectives",
    "time_estimation",
    "key_points",
    "contributions",
}
BOXES = ("agenda", "hands_on", "question", "solution", "tip", "comment", "details")


def text_of(name: str) -> str:
    return (FOLDER / name / "tutorial.md").read_text()


def links_of(text: str) -> list[str]:
    """Links to other files of this repository."""
    links = [token.attrs["href"] for line in MarkdownIt().parse(text) for token in line.children or [] if token.attrs]
    files = [urlsplit(link).path for link in links if not urlsplit(link).scheme]
    return [file for file in files if file and not file.startswith("seqlm_")]


@pytest.mark.parametrize("name", TUTORIALS)
def test_the_front_matter_is_that_of_the_training_network(name):
    front, steps = read_tutorial(text_of(name))
    assert front.keys() >= REQUIRED
    assert front["layout"] == "tutorial_hands_on"
    assert re.fullmatch(r"(\d+H)?(\d+M)?", front["time_estimation"])
    assert [step for step in steps if isinstance(step, Run)]


@pytest.mark.parametrize("name", TUTORIALS)
def test_every_box_is_closed_as_what_it_is(name):
    text = text_of(name)
    for box in BOXES:
        title = "hands-on" if box == "hands_on" else box
        assert text.count(f"<{title}-title>") == text.count(f"{{: .{box}}}")
    assert set(re.findall(r"\{: \.(\w+)\}", text)) <= set(BOXES)


@pytest.mark.parametrize("name", TUTORIALS)
def test_every_file_that_is_fetched_is_in_the_data_library(name):
    _, steps = read_tutorial(text_of(name))
    library = (FOLDER / name / "data-library.yaml").read_text()
    fetched = {file for step in steps if isinstance(step, Upload) for file in step.files if urlsplit(file).scheme}
    listed = set(re.findall(r"url: (\S+)", library))
    assert fetched <= listed
    assert all(address in text_of(name) for address in listed)


@pytest.mark.parametrize("name", TUTORIALS)
def test_links_citations_and_stand_ins_are_there(name):
    text = text_of(name)
    for link in links_of(text):
        assert (FOLDER / name / link).exists(), link
    bibliography = FOLDER / name / "tutorial.bib"
    cited = set(re.findall(r"\{% cite (\S+) %\}", text))
    assert cited == set(re.findall(r"@\w+\{(\w+),", bibliography.read_text()) if bibliography.exists() else [])
    for file in yaml.safe_load((FOLDER / name / "small.yml").read_text())["data"].values():
        assert (ROOT / file).is_file()


@pytest.mark.parametrize("name", TUTORIALS)
def test_every_setting_and_choice_is_in_the_form(name):
    _, steps = read_tutorial(text_of(name))
    for step in steps:
        if isinstance(step, Run):
            form = form_of_inputs(form_of(step.tool.removeprefix("seqlm_")).find("inputs"))
            assert inputs_of(form, step.items, lambda name, tool: {"name": name})


@pytest.mark.parametrize("name", TUTORIALS)
def test_tools_are_called_as_they_are(name):
    _, steps = read_tutorial(text_of(name))
    for step in steps:
        if isinstance(step, Run):
            assert form_of(step.tool.removeprefix("seqlm_")).get("name") == step.name


@pytest.mark.parametrize("name", TUTORIALS)
def test_outputs_are_called_as_the_tool_calls_them(name):
    _, steps = read_tutorial(text_of(name))
    known, outputs = set(), set()
    for step in steps:
        if isinstance(step, Upload):
            outputs = {Path(urlsplit(file).path).name for file in step.files} | (
                {"Pasted Entry"} if step.pasted else set()
            )
            known |= outputs
        elif isinstance(step, Run):
            labels = [each.get("label") for each in form_of(step.tool.removeprefix("seqlm_")).find("outputs")]
            outputs = {label.rpartition(": ")[2] for label in labels}
        elif isinstance(step, Rename):
            assert {old for old, _ in step.names} <= known | outputs
            known |= {new for _, new in step.names}
        else:
            assert step.dataset in known | outputs


def tutorial(*lines: str) -> str:
    """A tutorial with one box that holds these lines."""
    return "\n".join(["---", "layout: tutorial_hands_on", "---", "> <hands-on-title>Do it</hands-on-title>", ">"]) + (
        "".join(f"\n> {line}" for line in lines) + "\n{: .hands_on}\n"
    )


FORM = [
    {"type": "data", "name": "train", "label": "Training data", "multiple": False},
    {
        "type": "conditional",
        "name": "how",
        "test_param": {
            "name": "method",
            "label": "What is trained?",
            "type": "select",
            "options": [["An adapter", "lora", True], ["The head", "head", False]],
        },
        "cases": [
            {"value": "lora", "inputs": [{"type": "integer", "name": "rank", "label": "Rank"}]},
            {"value": "head", "inputs": []},
        ],
    },
    {
        "type": "section",
        "name": "more",
        "title": "More",
        "inputs": [
            {"type": "boolean", "name": "quick", "label": "Quick"},
            {"type": "select", "name": "kept", "label": "Kept", "multiple": True, "options": [["A", "a"], ["B", "b"]]},
        ],
    },
    {
        "type": "repeat",
        "name": "classes",
        "title": "Class",
        "inputs": [{"type": "text", "name": "called", "label": "Name"}],
    },
]
STEP = "1. {% tool [Train](train) %} with the following parameters:"
FILE = '   - {% icon param-file %} *"Training data"*: `windows`'


def inputs(*lines: str) -> dict:
    """The inputs that a step with these lines asks for."""
    _, (step,) = read_tutorial(tutorial(STEP, *lines))
    return inputs_of(FORM, step.items, lambda name, tool: {"name": name, "tool": tool})


def test_a_box_becomes_the_inputs_of_a_run():
    assert inputs(
        '   - {% icon param-file %} *"Training data"*: `windows` (output of **Make** {% icon tool %})',
        '   - *"What is trained?"*: `An adapter`',
        '       - *"Rank"*: `4`',
        '   - In *"More"*:',
        '       - *"Quick"*: `Yes`',
        '       - *"Kept"*: `A`, `B`',
        '   - In *"Class"*:',
        '       - {% icon param-repeat %} *"Insert Class"*',
        '           - *"Name"*: `one`',
        '       - {% icon param-repeat %} *"Insert Class"*',
        '           - *"Name"*: `two`',
    ) == {
        "train": {"name": "windows", "tool": "Make"},
        "how|method": "lora",
        "how|rank": "4",
        "more|quick": True,
        "more|kept": ["a", "b"],
        "classes_0|called": "one",
        "classes_1|called": "two",
    }


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (['   - *"Trainig"*: `x`'], '0 settings are called "Trainig" here; there are "Training data"'),
        (['   - *"What is trained?"*: `A head`'], "has no choice \"A head\"; there are 'An adapter'"),
        (['   - *"What is trained?"*: `The head`', '       - *"Rank"*: `4`'], '0 settings are called "Rank"'),
        (['   - *"Rank"*: `4`'], '0 settings are called "Rank"'),
        (['   - *"Training data"*: `windows`'], "stands with the icon param-file, not none"),
        (['   - {% icon param-files %} *"Training data"*: `windows`'], "the icon param-file, not param-files"),
        (['   - {% icon param-file %} *"Training data"*: `a`, `b`'], '"Training data" takes one value'),
        (['   - In *"More"*:', '       - *"Quick"*: `yes`'], '"Quick" is Yes or No'),
        (['   - In *"More"*: `x`'], '"More" takes no value'),
        (['   - In *"Class"*:', '       - *"Name"*: `one`'], '*"Insert Class"* is expected'),
        (['   - *"What is trained?"*: The head'], "a value stands in `code`"),
        (["   - Leave the rest as it is"], "no setting that can be read"),
    ],
)
def test_what_the_form_does_not_have_is_refused(lines, said):
    with pytest.raises(TutorialError, match=re.escape(said)):
        inputs(*lines)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (tutorial("1. Wait for it"), "no step that can be run: Wait for it"),
        (tutorial("Do something"), "no numbered items"),
        ("# Only words", "the front matter must stand between two lines"),
        ("---\nlayout: x\n---\n# Only words", "no box holds a step"),
    ],
)
def test_a_box_that_nobody_can_follow_is_refused(text, said):
    with pytest.raises(TutorialError, match=re.escape(said)):
        read_tutorial(text)
