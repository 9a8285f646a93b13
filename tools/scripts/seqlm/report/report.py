"""One report, rendered twice: Galaxy tool markdown for the GUI, and one self-contained HTML page to keep.

All text given to a :class:`Report` is plain text. Both renderings escape every letter of it that could mean something
else, so a label, an id or a file name can form no link, table cell, HTML or Galaxy directive. What is bold or a
link is decided by the kind of block alone.
"""

from __future__ import annotations

import base64
import html
import re
import textwrap
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING

from seqlm.cli.noticing import noticed
from seqlm.cli.text import _one_line, shown
from seqlm.cli.versions import in_one_line

from .citations import CITATIONS

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing

MARKDOWN_BYTES = 10_000  # Galaxy reads the first 10 KB of a tool_markdown output and drops the rest
GAP = "&ensp;"  # after each cell of a table but the last: Galaxy's page sets columns side by side without any space
PNG_DPI = 150  # of figures; a page shows them at 96 dpi, so that their letters are as large as its own
# What is tried until the markdown fits: rows of a table, and characters of a table cell.
_SHORTER = ((60, 60), (30, 60), (15, 40), (8, 30), (4, 20), (2, 15))


@dataclass(frozen=True)
class Heading:
    text: str


@dataclass(frozen=True)
class Paragraph:
    text: str
    strong: bool = False


@dataclass(frozen=True)
class Note:
    """Something a reader must not overlook."""

    text: str


@dataclass(frozen=True)
class Bullets:
    items: list[str]


@dataclass(frozen=True)
class Table:
    """``columns`` and rows of as many cells. In Galaxy, long tables end with a counted note."""

    columns: list[str]
    rows: list[list[str]]


@dataclass(frozen=True)
class Figure:
    """``name.png`` in the folder of figures (in Galaxy the extra files of the report)."""

    name: str
    caption: str


@dataclass(frozen=True)
class DatasetTable:
    """Another output of the Galaxy tool, shown as a table; a page outside Galaxy only says its title."""

    output: str
    title: str


@dataclass(frozen=True)
class JobParameters:
    """What the tool was run with: in Galaxy its own list, elsewhere these (name, value) pairs."""

    values: dict[str, str]


@dataclass(frozen=True)
class References:
    """(text, address) pairs; addresses come from this program, never from a user."""

    items: list[tuple[str, str]]


@dataclass(frozen=True)
class Drawn:
    """What stands below a figure, and what draws it when it is written."""

    caption: str
    draw: Callable[[], Drawing]


Block = Heading | Paragraph | Note | Bullets | Table | Figure | DatasetTable | JobParameters | References


@dataclass
class Report:
    """A title and blocks, in the order in which they are read.

    Attributes:
        drawn: name -> figure, of all that are written; :meth:`pictures` shows them.

    >>> report = Report("Fine-tuning", [Heading("Verdict"), Paragraph("It works.")])
    >>> report.galaxy_markdown()
    '# Fine-tuning\\n\\n## Verdict\\n\\nIt works.\\n'
    """

    title: str
    blocks: list[Block] = field(default_factory=list)
    drawn: dict[str, Drawn] = field(default_factory=dict)

    def add(self, *blocks: Block) -> None:
        self.blocks.extend(blocks)

    def section(self, title: str, *blocks: Block) -> None:
        """Blocks under a heading; nothing if there are none, and bullets only where they have items."""
        if blocks := [block for block in blocks if block != Bullets([])]:
            self.add(Heading(title), *blocks)

    def verdict(self, headline: str, explanation: str, lines: Sequence[str] = (), notes: Iterable[str] = ()) -> None:
        """What every report begins with: one sentence, what it means, what it rests on, what not to overlook."""
        self.section(
            "Verdict",
            Paragraph(headline, strong=True),
            *([Paragraph(explanation)] if explanation else []),
            Bullets(list(lines)),
            *(Note(text) for text in notes),
        )

    def pictures(self, *names: str) -> list[Figure]:
        """Those of these figures that there are, with their captions."""
        return [Figure(name, self.drawn[name].caption) for name in names if name in self.drawn]

    def closing(
        self,
        parameters: dict[str, str],
        versions: dict[str, str],
        cited: Collection[str],
        about: dict[str, str] | None = None,
        *,
        trained: bool = False,
    ) -> None:
        """What every report ends with: how files were read, what it was run with, and what to cite.

        Args:
            cited: keys of :data:`seqlm.report.citations.CITATIONS`; others are passed over.
            about: name -> value of what else decided, before the versions; empty values are left out.
            trained: a model came out, and what it was made from is told in ``about``.
        """
        software = in_one_line(versions)
        lines = [f"{name}: {shown(value, 300)}" for name, value in (about or {}).items() if value]
        lines += [f"Software: {shown(software, 300)}" if about else software]
        please = [Paragraph("If these results go into a paper, please cite what made them.")] * trained
        references = [CITATIONS[key] for key in CITATIONS if key in cited]
        self.section("How the files were read", Bullets([f"{text}." for text in noticed()]))
        self.section("Parameters", JobParameters(parameters))
        self.section("Versions and model" if trained else "Versions", Bullets(lines))
        self.section("How to cite", *please, *([References(references)] if references else []))

    def verdict_as_text(self) -> str:
        """What stands under the first heading, in lines of at most 100 letters."""
        lines = []
        for block in takewhile(lambda block: not isinstance(block, Heading), self.blocks[1:]):
            match block:
                case Paragraph(text):
                    lines.append(_wrapped(text))
                case Note(text):
                    lines.append(_wrapped(f"Note: {text}"))
                case Bullets(items):
                    lines.append("\n".join(_wrapped(f"- {item}", "  ") for item in items))
        return "\n\n".join(lines)

    def figures(self) -> list[str]:
        """Names of the figures shown, without their ending."""
        return [block.name for block in self.blocks if isinstance(block, Figure)]

    def galaxy_markdown(self, output: str = "report") -> str:
        """The report as Galaxy tool markdown.

        Args:
            output: name of the tool's output that holds this text and, as extra files, the figures as PNG.

        Raises:
            ValueError: when it does not fit into ``MARKDOWN_BYTES`` even with all tables cut short.
        """
        for rows, cell in _SHORTER:
            parts = [f"# {_escape(self.title)}", *(_markdown(block, output, rows, cell) for block in self.blocks)]
            text = "\n\n".join(parts) + "\n"
            if len(text.encode()) <= MARKDOWN_BYTES:
                return text
        raise ValueError(f"the report is over {MARKDOWN_BYTES:,} bytes even with short tables; Galaxy would cut it off")

    def html(self, figures: Path) -> str:
        """The report as one HTML page without scripts or outside files; ``figures`` holds the PNG files it shows."""
        body = "\n".join(_html(block, figures) for block in self.blocks)
        title = html.escape(_one_line(self.title))
        return _PAGE.format(title=title, style=_STYLE, body=body)


def _wrapped(text: str, indent: str = "") -> str:
    return textwrap.fill(_one_line(text), 100, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


def _escape(text: str) -> str:
    """Plain text as markdown that shows exactly it.

    Backslashes stand before what has a meaning inside a line (CommonMark 2.4), before ``.`` and ``:`` where a web
    address could be guessed from them, and before what makes a list, heading or rule at the start of a line.
    """
    text = re.sub(r"[\\`*_\[\]<>|${}&~^]|[.:](?=[^\s\d])", r"\\\g<0>", _one_line(text))
    return re.sub(r"^(\d*)([-+=#]|(?<=\d)[.)](?=\s|$))", r"\1\\\2", text)


def _cell(text: str, longest: int) -> str:
    """A cell of a markdown table. In a narrow one, numbers must not be broken at their spaces."""
    text = shown(text, longest)
    cell = _escape(text) or " "
    return cell.replace(" ", "\N{NO-BREAK SPACE}") if re.fullmatch(r"[-\d.,/()e+ ]+", text) else cell


def _markdown(block: Block, output: str, most_rows: int, longest_cell: int) -> str:
    match block:
        case Heading(text):
            return f"## {_escape(text)}"
        case Paragraph(text, strong):
            return f"**{_escape(text)}**" if strong else _escape(text)
        case Note(text):
            return f"> **Note** {_escape(text)}"
        case Bullets(items):
            return _cut([f"- {_escape(item)}" for item in items], most_rows, "- {} more are not shown here")
        case Table(columns, rows):
            lines = [[_cell(cell, longest_cell) for cell in row] for row in [columns, *rows]]
            head, *body = ["| " + f"{GAP} | ".join(line) + " |" for line in lines]
            body = _cut(body, most_rows, "\n{} more rows are not shown here")
            # ranged left: Galaxy's page justifies what says nothing of its place, with gaps between words
            return "\n".join([head, "|" + " :-- |" * len(columns), body])
        case Figure(name, caption):
            directive = f'history_dataset_as_image(output={output}, path="{_checked(name)}.png")'
            return f"{_directive(directive)}\n\n*{_escape(caption)}*"
        case DatasetTable(dataset, title):
            title = re.sub(r"[^\w .,%()-]", " ", _one_line(title))  # a quote would end the argument
            # without Galaxy's headers, which are numbers: ours is the first row
            settings = f'title="{title}", compact=true, show_column_headers=false'
            return _directive(f"history_dataset_as_table(output={_checked(dataset)}, {settings})")
        case JobParameters():
            return _directive("job_parameters()")
        case References(items):
            return "\n".join(f"- {_escape(text)} [{_escape(address)}]({address})" for text, address in items)
    raise TypeError(f"no such block: {block!r}")


def _cut(lines: list[str], most: int, note: str) -> str:
    kept = lines if len(lines) <= most else [*lines[:most], note.format(f"{len(lines) - most:,}")]
    return "\n".join(kept)


def _directive(call: str) -> str:
    return f"```galaxy\n{call}\n```"


def _checked(name: str) -> str:
    """A name of ours that goes into a directive or a path as it is."""
    if not re.fullmatch(r"[A-Za-z0-9_-]+", name):
        raise ValueError(f"{name!r} cannot name a figure or an output")
    return name


def _html(block: Block, figures: Path) -> str:
    def text_of(text: str) -> str:
        return html.escape(_one_line(text))

    match block:
        case Heading(text):
            return f"<h2>{text_of(text)}</h2>"
        case Paragraph(text, strong):
            return f"<p><strong>{text_of(text)}</strong></p>" if strong else f"<p>{text_of(text)}</p>"
        case Note(text):
            return f'<p class="note"><strong>Note</strong> {text_of(text)}</p>'
        case Bullets(items):
            return "<ul>" + "".join(f"<li>{text_of(item)}</li>" for item in items) + "</ul>"
        case Table(columns, rows):
            head = "".join(f"<th>{text_of(cell)}</th>" for cell in columns)
            body = "".join("<tr>" + "".join(f"<td>{text_of(cell)}</td>" for cell in row) + "</tr>\n" for row in rows)
            return f"<table><thead><tr>{head}</tr></thead>\n<tbody>{body}</tbody></table>"
        case Figure(name, caption):
            png = (figures / f"{_checked(name)}.png").read_bytes()
            width = int.from_bytes(png[16:20]) * 96 // PNG_DPI  # the header of a PNG begins with its width
            caption = text_of(caption)
            return (
                f'<figure><img src="data:image/png;base64,{base64.b64encode(png).decode()}" '
                f'width="{width}" alt="{caption}">'
                f"<figcaption>{caption}</figcaption></figure>"
            )
        case DatasetTable(_, title):
            return f"<p>{text_of(title)}: see the table that was written beside this report.</p>"
        case JobParameters(values):
            return _html(Table(["Parameter", "Value"], [[name, value] for name, value in values.items()]), figures)
        case References(items):
            listed = (f'<li>{text_of(text)} <a href="{address}">{address}</a></li>' for text, address in items)
            return "<ul>" + "".join(listed) + "</ul>"
    raise TypeError(f"no such block: {block!r}")


_STYLE = """
body { font: 16px/1.5 system-ui, "Segoe UI", "Liberation Sans", Arial, sans-serif; color: #222; background: #fff;
  max-width: 56rem; margin: 2rem auto; padding: 0 1rem; overflow-wrap: anywhere; }
h1 { font-size: 1.7rem; line-height: 1.25; }
h2 { font-size: 1.25rem; margin-top: 2.2rem; border-bottom: 1px solid #ccc; padding-bottom: .2rem; break-after: avoid; }
p, li, figcaption { max-width: 46rem; }
table { border-collapse: collapse; font-size: .8125rem; font-variant-numeric: tabular-nums; margin: 1rem 0; }
th, td { border-bottom: 1px solid #ddd; padding: .3rem .8rem .3rem 0; text-align: left; vertical-align: top;
  overflow-wrap: break-word; max-width: 24rem; }
th { border-bottom: 2px solid #888; }
tr { break-inside: avoid; }
figure { margin: 1.2rem 0; break-inside: avoid; }
img { max-width: 100%; height: auto; }
figcaption { font-size: .875rem; color: #444; }
.note { border-left: 4px solid #d55e00; background: #fdf3ec; padding: .5rem .8rem; break-inside: avoid; }
a { color: #0072b2; }
@media print { body { font-size: 11pt; max-width: none; margin: 0; } }
"""

_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<h1>{title}</h1>
{body}
</body>
</html>
"""
