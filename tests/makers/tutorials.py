"""Tutorials in the form of the Galaxy Training Network, read into the steps that their hands-on boxes ask for.

A box is a quotation that begins with ``<hands-on-title>``; each numbered item in it is one step. What cannot be read as
a step is an error, so that nothing in a box is skipped.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

import yaml
from markdown_it import MarkdownIt
from markdown_it.tree import SyntaxTreeNode

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "tutorials"
TUTORIALS = sorted(path.parent.name for path in FOLDER.glob("*/tutorial.md"))

CODE = re.compile(r"`([^`]+)`")
VALUE = re.compile(r"`([^`]+)`(?: \(output of \*\*(.+?)\*\* \{% icon tool %\}\))?")
QUOTED = re.compile(r'\*"(.+?)"\*')
TOOL = re.compile(r"\{% tool \[(.+?)\]\((.+?)\) %\}")
RENAMED = re.compile(r"`([^`]+)` to `([^`]+)`")
PARAMETER = re.compile(
    r'^(?:In )?(?:\{% icon (?P<icon>param-[a-z]+) %\} )?\*"(?P<label>.+?)"\*(?::(?P<value> .*)?)?$', re.DOTALL
)
# What learners do, and what changes nothing of what the steps give.
MANUAL = ("Create a new history",)


class TutorialError(Exception):
    """A tutorial cannot be followed as it is written; the message says where."""


@dataclass
class Item:
    """A line of a box about one setting, and the lines that are indented below it.

    Attributes:
        label: of the setting, the section or the repeat.
        values: what stands in ``code`` behind the label, as it is; none where the line only opens what is below it.
        icon: ``param-file`` and its kind, or an empty string.
        tools: for each value the tool whose output is meant, where ``(output of **Tool** {% icon tool %})`` says so.
    """

    label: str
    values: list[str]
    icon: str
    tools: list[str]
    items: list[Item] = field(default_factory=list)


@dataclass
class Upload:
    """What comes into the history.

    Attributes:
        files: addresses from which Galaxy fetches them, or names of files on a computer.
        pasted: the content of a file that is pasted.
    """

    files: list[str]
    pasted: str = ""


@dataclass
class Rename:
    """Datasets that get another name."""

    names: list[tuple[str, str]]


@dataclass
class Run:
    """A tool with its settings; all others stay as the form has them."""

    name: str
    tool: str
    items: list[Item]


@dataclass
class Inspect:
    """A dataset to be looked at, and what is said to stand in it."""

    dataset: str
    texts: list[str]


Step = Upload | Rename | Run | Inspect


def read_tutorial(text: str) -> tuple[dict, list[Step]]:
    """The front matter of a tutorial and the steps of all its boxes, in order.

    Raises:
        TutorialError: an item of a box cannot be read, or there is no box.
    """
    try:
        _, front, body = re.split(r"^---$", text, maxsplit=2, flags=re.MULTILINE)
    except ValueError:
        raise TutorialError("the front matter must stand between two lines of ---") from None
    boxes = [node for node in SyntaxTreeNode(MarkdownIt().parse(body)).walk() if _is_box(node)]
    steps = [step for box in boxes for step in _steps(box)]
    if not steps:
        raise TutorialError("no box holds a step")
    return yaml.safe_load(front), steps


def _is_box(node: SyntaxTreeNode) -> bool:
    return node.type == "blockquote" and _text(node.children[0]).startswith("<hands-on-title>")


def _text(node: SyntaxTreeNode) -> str:
    """The Markdown of a paragraph, in one line."""
    return " ".join(node.children[0].content.split()) if node.type == "paragraph" else ""


def _steps(box: SyntaxTreeNode) -> list[Step]:
    lists = [node for node in box.children if node.type == "ordered_list"]
    if not lists:
        raise TutorialError(f"{_text(box.children[0])}: no numbered items")
    steps = [_step(item) for node in lists for item in node.children]
    return [step for step in steps if step]


def _step(item: SyntaxTreeNode) -> Step | None:
    text = _text(item.children[0])
    fences = [node.content for node in item.children if node.type == "fence"]
    if tool := TOOL.search(text):
        return Run(tool[1], tool[2], [_item(line) for line in _lines(item)])
    if fences and text.startswith("Paste"):
        return Upload([], fences[0])
    if fences:
        return Upload(fences[0].split())
    if "{% icon galaxy-upload %}" in text and CODE.search(text):
        return Upload(CODE.findall(text))
    if "{% icon galaxy-pencil %}" in text and RENAMED.search(text):
        return Rename(RENAMED.findall(text))
    if "{% icon galaxy-eye %}" in text and CODE.search(text):
        said = [text, *(_text(line.children[0]) for line in _lines(item))]
        dataset, *texts = [each for line in said for each in _named(line)]
        return Inspect(dataset, texts)
    if text.startswith(MANUAL):
        return None
    raise TutorialError(f"no step that can be run: {text}")


def _named(text: str) -> list[str]:
    """What stands in ``code`` or in *"quotes"*, in the order of the text."""
    return [code or quoted for code, quoted in re.findall(rf"{CODE.pattern}|{QUOTED.pattern}", text)]


def _lines(item: SyntaxTreeNode) -> list[SyntaxTreeNode]:
    return [line for node in item.children if node.type == "bullet_list" for line in node.children]


def _item(line: SyntaxTreeNode) -> Item:
    text = _text(line.children[0])
    found = PARAMETER.match(text)
    if not found:
        raise TutorialError(f"no setting that can be read: {text}")
    value = found["value"] or ""
    values = VALUE.findall(value)
    item = Item(found["label"], [code for code, _ in values], found["icon"] or "", [tool for _, tool in values])
    item.items = [_item(each) for each in _lines(line)]
    if value.strip() and not item.values:
        raise TutorialError(f"a value stands in `code`: {text}")
    return item
