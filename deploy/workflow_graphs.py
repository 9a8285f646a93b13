"""Draw the graph of each workflow as graph.svg beside it, for its README: data, steps, and what the steps give.

Columns and the order within them are those of Galaxy's editor. Settings of the whole workflow are named in the steps
that take them, since a line for each of them would hide where the data go. Needs no package.

    python deploy/workflow_graphs.py
"""

from __future__ import annotations

import json
import textwrap
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

WORKFLOWS = Path(__file__).resolve().parents[1] / "workflows"
WIDTH, GAP, LINE, MARGIN = 230, 60, 18, 12  # pixels: of a box, between columns, of a line of text, around everything
BETWEEN = 16  # boxes of one column
LETTERS = 29  # that fit into a line of a box

STYLE = """
text { font: 13px sans-serif; fill: #2c3143 }
.title { font-weight: bold }
.step .title { fill: #ffffff }
.setting { font-style: italic; fill: #6c757d }
rect { fill: #ffffff; stroke: #25537b }
.head { fill: #25537b }
.data rect { fill: #fff3bf; stroke: #b08900 }
path { fill: none; stroke: #25537b; stroke-width: 2 }
""".strip()

# The number of the step that gives a dataset, and which of its outputs it is.
Source = tuple[int, str]


@dataclass
class Box:
    """An input or a step, or where a line passes a column.

    Args:
        kind: data, step, or way for a line that passes.
        column: from the left, 0 first.
        top: in Galaxy's editor; it orders the boxes of a column.
        title: lines of its name.
        settings: lines that name the settings of the workflow that a step takes.
        outputs: lines of what the workflow calls an output, by the tool's name for it.
        sources: what it reads.
    """

    kind: str
    column: int
    top: float
    title: list[str] = field(default_factory=list)
    settings: list[str] = field(default_factory=list)
    outputs: dict[str, list[str]] = field(default_factory=dict)
    sources: list[Source] = field(default_factory=list)
    y: int = 0

    @property
    def x(self) -> int:
        return MARGIN + self.column * (WIDTH + GAP)

    @property
    def head(self) -> int:
        return len(self.title) * LINE + 10

    @property
    def height(self) -> int:
        lines = len(self.settings) + sum(map(len, self.outputs.values()))
        return self.head + (lines * LINE + 8 if lines else 0)

    @property
    def entry(self) -> tuple[int, int]:
        return self.x, self.y + self.head // 2

    def exit(self, output: str) -> tuple[int, int]:
        """Where the line of an output begins: beside its name, or beside the title where it has none."""
        if output not in self.outputs:
            return self.x + WIDTH, self.entry[1]
        above = list(self.outputs)[: list(self.outputs).index(output)]
        lines = len(self.settings) + sum(len(self.outputs[name]) for name in above)
        return self.x + WIDTH, self.y + self.head + 4 + lines * LINE + LINE // 2


def boxes_of(workflow: dict) -> dict[int, Box]:
    """The data and the steps of a workflow by their numbers, not yet placed."""
    steps = {int(number): step for number, step in workflow["steps"].items()}
    settings = {number: step["label"] for number, step in steps.items() if step["type"] == "parameter_input"}
    lefts = sorted({step["position"]["left"] for step in steps.values()})
    boxes = {}
    for number, step in steps.items():
        if number in settings:
            continue
        sources: list[Source] = []
        for several in step["input_connections"].values():
            for each in several if isinstance(several, list) else [several]:
                sources.append((each["id"], each["output_name"]))
        named = dict.fromkeys(settings[source] for source, _ in sources if source in settings)
        boxes[number] = Box(
            kind="data" if step["type"].endswith("_input") else "step",
            column=lefts.index(step["position"]["left"]),
            top=step["position"]["top"],
            title=textwrap.wrap(step["label"], LETTERS - 2),
            settings=textwrap.wrap(", ".join(named), LETTERS),
            outputs={
                each["output_name"]: textwrap.wrap(each["label"], LETTERS) for each in step.get("workflow_outputs", [])
            },
            sources=list(dict.fromkeys(source for source in sources if source[0] not in settings)),
        )
    return boxes


def ways_of(boxes: dict[int, Box]) -> dict[tuple[Source, int], Box]:
    """A box without size for each column that the lines from a source pass, so that they go around the others."""
    readers: dict[Source, list[Box]] = {}
    for box in boxes.values():
        for source in box.sources:
            readers.setdefault(source, []).append(box)
    ways = {}
    for source, read_by in readers.items():
        start = boxes[source[0]]
        for column in range(start.column + 1, max(box.column for box in read_by)):
            later = [box for box in read_by if box.column > column]
            top = (start.top + sum(box.top for box in later) / len(later)) / 2
            ways[source, column] = Box("way", column, top)
    return ways


def place(boxes: dict[int, Box], ways: dict[tuple[Source, int], Box]) -> tuple[int, int]:
    """Give each box its height in the picture, and return the picture's width and height.

    A box stands no higher than the highest one that it reads, and below the one above it.
    """
    columns = max(box.column for box in boxes.values()) + 1
    lowest = 0
    for column in range(columns):
        here = [(box, box.sources) for box in boxes.values() if box.column == column]
        here += [(way, [source]) for (source, passed), way in ways.items() if passed == column]
        free = MARGIN
        for box, sources in sorted(here, key=lambda each: each[0].top):
            before = [ways.get((source, column - 1), boxes[source[0]]).y for source in sources]
            box.y = max(free, min(before, default=0))
            free = box.y + box.height + BETWEEN
            lowest = max(lowest, box.y + box.height)
    return columns * (WIDTH + GAP) - GAP + 2 * MARGIN, lowest + MARGIN


def curve(start: tuple[int, int], end: tuple[int, int]) -> str:
    bend = (end[0] - start[0]) // 2
    return f"C {start[0] + bend} {start[1]} {end[0] - bend} {end[1]} {end[0]} {end[1]}"


def paths_of(boxes: dict[int, Box], ways: dict[tuple[Source, int], Box]) -> Iterator[str]:
    """The connections; each ends at the title of the box that reads it."""
    for box in boxes.values():
        for source in box.sources:
            start = boxes[source[0]]
            at = start.exit(source[1])
            path = [f"M {at[0]} {at[1]}"]
            for column in range(start.column + 1, box.column):
                way = ways[source, column]
                path.append(curve(at, way.entry))
                at = way.exit("")
                path.append(f"H {at[0]}")
            yield " ".join([*path, curve(at, box.entry)])


def picture(workflow: dict) -> str:
    """The workflow as SVG."""
    boxes = boxes_of(workflow)
    ways = ways_of(boxes)
    width, height = place(boxes, ways)
    size = {"width": str(width), "height": str(height), "viewBox": f"0 0 {width} {height}"}
    svg = ElementTree.Element("svg", {"xmlns": "http://www.w3.org/2000/svg", "role": "img", **size})
    ElementTree.SubElement(svg, "title").text = workflow["name"]
    ElementTree.SubElement(svg, "style").text = STYLE
    ElementTree.SubElement(svg, "rect", width=str(width), height=str(height), style="stroke: none")
    for path in dict.fromkeys(paths_of(boxes, ways)):
        ElementTree.SubElement(svg, "path", d=path)
    for box in boxes.values():
        group = ElementTree.SubElement(svg, "g", {"class": box.kind})
        frame = {"x": str(box.x), "y": str(box.y), "width": str(WIDTH), "rx": "4"}
        ElementTree.SubElement(group, "rect", frame, height=str(box.height))
        if box.kind == "step":
            ElementTree.SubElement(group, "rect", frame | {"class": "head"}, height=str(box.head))
        outputs = [line for lines in box.outputs.values() for line in lines]
        at = box.y + LINE
        for kind, lines in (("title", box.title), ("setting", box.settings), ("output", outputs)):
            for line in lines:
                text = ElementTree.SubElement(group, "text", {"class": kind, "x": str(box.x + 10), "y": str(at)})
                text.text = line
                at += LINE
            if kind == "title":
                at += 9
    ElementTree.indent(svg)
    return ElementTree.tostring(svg, encoding="unicode") + "\n"


if __name__ == "__main__":
    for path in sorted(WORKFLOWS.glob("*/*/*.ga")):
        path.with_name("graph.svg").write_text(picture(json.loads(path.read_text())), encoding="utf-8")
