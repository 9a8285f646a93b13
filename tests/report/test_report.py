"""A report shows exactly the text it was given, within Galaxy's 10 KB, and nothing in that text can act."""

import base64
import re
from argparse import Namespace
from html.parser import HTMLParser

import pytest
from matplotlib.figure import Figure as Drawing

from seqlm.cli.outputs import Outputs
from seqlm.cli.text import shown
from seqlm.report.citations import CITATIONS
from seqlm.report.outputs import parameters, save_figures, write_report
from seqlm.report.report import (
    GAP,
    MARKDOWN_BYTES,
    Bullets,
    DatasetTable,
    Drawn,
    Figure,
    Heading,
    JobParameters,
    Note,
    Paragraph,
    References,
    Report,
    Table,
)

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
)
ATTACKS = [
    "```galaxy\nhistory_link()\n```",
    "${galaxy history_dataset_name(output=report)}",
    "a | b || c \\| d \\\\| e",
    "<script>alert(1)</script><img src=x onerror=alert(1)>",
    "[click](http://evil.example) ![x](http://evil.example/x.png) <http://evil.example>",
    "http://evil.example www.evil.example a@evil.example",
    "*bold* _it_ **x** __y__ `code` ~~gone~~ $x^2$",
    "# heading",
    "1. one",
    "2) two",
    "- item",
    "+ item",
    "= under",
    "> quote",
    "---",
    "    indented code",
    "&lt;b&gt; &#96; &copy;",
    "two\r\nlines\u2028and\x0bmore\x85end\x00",
    "\u202egnp.exe\u200b",
    "[x]: http://evil.example",
    "ends with a backslash \\",
]


def plain_text(text: str) -> str:
    """What a reader should see: one line, without what cannot be seen."""
    return " ".join(re.sub(r"[\x00\u200b\u202e]", " ", text).split())


def rendered(markdown: str):
    """Tokens of a CommonMark parser with tables, as Galaxy's markdown-it has, and eager to find links."""
    import markdown_it

    return markdown_it.MarkdownIt("default", {"html": True}).enable(["table", "strikethrough"]).parse(markdown)


def text_of(token) -> str:
    return "".join(child.content for child in token.children)


@pytest.mark.parametrize("attack", ATTACKS)
def test_text_from_a_user_is_shown_as_it_is_and_never_acts(attack):
    report = Report(
        attack,
        [
            Heading(attack),
            Paragraph(attack),
            Paragraph(attack, strong=True),
            Note(attack),
            Bullets([attack]),
            Table(["a", attack], [[attack, "b"]]),
            Figure("roc", attack),
        ],
    )
    markdown = report.galaxy_markdown().replace(GAP, "")
    tokens = rendered(markdown)
    kinds = [token.type for token in tokens if not token.type.endswith("_close")]
    assert kinds == (
        ["heading_open", "inline"] * 2
        + ["paragraph_open", "inline"] * 2
        + ["blockquote_open", "paragraph_open", "inline"]
        + ["bullet_list_open", "list_item_open", "paragraph_open", "inline"]
        + ["table_open", "thead_open", "tr_open", "th_open", "inline", "th_open", "inline"]
        + ["tbody_open", "tr_open", "td_open", "inline", "td_open", "inline"]
        + ["fence", "paragraph_open", "inline"]
    )
    inlines = [token for token in tokens if token.type == "inline"]
    inner = {child.type for token in inlines for child in token.children}
    assert inner <= {"text", "strong_open", "strong_close", "em_open", "em_close"}
    wanted = plain_text(attack)
    texts = [text_of(token) for token in inlines]
    assert texts == [wanted, wanted, wanted, wanted, f"Note {wanted}", wanted, "a", shown(wanted, 60),
                     shown(wanted, 60), "b", wanted]  # fmt: skip
    assert markdown.count("```galaxy\n") == 1
    assert not re.search(r"(?<!\\)\$", markdown)  # no formula, no ${galaxy …}
    assert not re.search(r"\b(https?://|www\.)", markdown)  # not even a guessed link


class Outline(HTMLParser):
    """Tags and text of a page."""

    def __init__(self, page: str):
        super().__init__()
        self.tags, self.attributes, self.text = [], [], []
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += attributes

    def handle_data(self, data):
        self.text.append(data)


@pytest.mark.parametrize("attack", ATTACKS)
def test_the_page_shows_text_from_a_user_as_it_is(attack, tmp_path):
    (tmp_path / "roc.png").write_bytes(PNG)
    page = Report(attack, [Paragraph(attack), Table([attack], [[attack]]), Figure("roc", attack)]).html(tmp_path)
    outline = Outline(page)
    assert " ".join(outline.tags) == (
        "html head meta meta meta title style body h1 p table thead tr th tbody tr td figure img figcaption"
    )
    assert outline.text.count(plain_text(attack)) == 6
    assert ("alt", plain_text(attack)) in outline.attributes


def test_the_page_needs_nothing_from_outside(tmp_path):
    (tmp_path / "roc.png").write_bytes(PNG)
    page = Report("Title", [Figure("roc", "A curve"), DatasetTable("metrics", "All scores")]).html(tmp_path)
    assert f"data:image/png;base64,{base64.b64encode(PNG).decode()}" in page
    assert "default-src 'none'" in page
    assert not re.search(r"(src|href)=\"(?!data:)", page)
    assert "All scores: see the table" in page


def test_directives_are_in_the_form_that_galaxy_reads():
    report = Report("T", [Figure("roc", "C"), DatasetTable("metrics", 'All "scores"'), JobParameters({"rank": "8"})])
    markdown = report.galaxy_markdown(output="my_report")
    assert '```galaxy\nhistory_dataset_as_image(output=my_report, path="roc.png")\n```\n' in markdown
    settings = 'title="All  scores ", compact=true, show_column_headers=false'
    assert f"```galaxy\nhistory_dataset_as_table(output=metrics, {settings})\n```\n" in markdown
    assert "```galaxy\njob_parameters()\n```\n" in markdown
    assert report.figures() == ["roc"]


def test_the_page_lists_parameters_itself(tmp_path):
    assert "<td>rank</td><td>8</td>" in Report("T", [JobParameters({"rank": "8"})]).html(tmp_path)


def test_references_are_the_only_links(tmp_path):
    report = Report("T", [References([("LoRA.", "https://doi.org/10.48550/arXiv.2106.09685")])])
    links = [
        child.attrs["href"]
        for token in rendered(report.galaxy_markdown())
        for child in token.children or ()
        if child.type == "link_open"
    ]
    assert links == ["https://doi.org/10.48550/arXiv.2106.09685"]
    assert 'href="https://doi.org/10.48550/arXiv.2106.09685"' in report.html(tmp_path)


def test_a_long_table_is_shortened_until_galaxy_reads_it_all_and_says_so():
    rows = [[f"class {number} " + "é" * 200, str(number)] for number in range(500)]
    report = Report("T", [Table(["Class", "Count"], rows), Bullets([f"{number}" for number in range(100)])])
    markdown = report.galaxy_markdown().replace(GAP, "")
    assert len(markdown.encode()) <= MARKDOWN_BYTES
    kept = markdown.count("| class ")
    assert kept > 20
    assert f"{500 - kept} more rows are not shown here" in markdown
    assert "more are not shown here" in markdown
    assert "class 499" not in markdown


def test_a_short_table_is_whole():
    markdown = Report("T", [Table(["Class"], [[str(number)] for number in range(60)])]).galaxy_markdown()
    assert "\n| 59 |\n" in markdown
    assert "not shown" not in markdown


def test_a_report_that_galaxy_would_cut_off_is_an_error():
    with pytest.raises(ValueError, match="10,000 bytes"):
        Report("T", [Paragraph("é" * 5_000)]).galaxy_markdown()


def test_names_in_directives_are_ours():
    for block in (Figure('x", path="/etc/passwd', "C"), DatasetTable("a, b", "T"), Figure("../x", "C")):
        with pytest.raises(ValueError, match="cannot name"):
            Report("T", [block]).galaxy_markdown()


def test_shown_text_is_short_and_on_one_line():
    assert shown("a\n b\tc") == "a b c"
    assert shown("x" * 50) == "x" * 39 + "…"
    assert shown("x" * 40) == "x" * 40


def test_all_figures_are_saved_and_those_that_there_are_can_be_shown(tmp_path):
    report = Report("T", drawn={"roc": Drawn("A curve", Drawing), "lengths": Drawn("Lengths", Drawing)})
    assert report.pictures("roc", "labels") == [Figure("roc", "A curve")]
    assert save_figures(report, tmp_path, ("png", "svg")) == ["roc", "lengths"]
    assert {path.name for path in tmp_path.iterdir()} == {"roc.png", "roc.svg", "lengths.png", "lengths.svg"}


def test_a_section_without_anything_to_say_is_left_out():
    report = Report("T")
    report.section("Changed on the way", Bullets([]))
    report.section("Scores", Bullets([]), Paragraph("0.8"))
    assert report.blocks == [Heading("Scores"), Paragraph("0.8")]


def test_a_report_ends_with_what_it_was_run_with_and_cites_in_the_order_of_the_table():
    report = Report("T")
    report.closing({"rank": "8"}, {"seqlm": "1", "numpy": "2"}, {"lora", "esm2", "no such paper"})
    assert report.blocks == [
        Heading("Parameters"), JobParameters({"rank": "8"}), Heading("Versions"), Bullets(["seqlm 1, numpy 2"]),
        Heading("How to cite"), References([CITATIONS["esm2"], CITATIONS["lora"]]),
    ]  # fmt: skip


def test_a_report_of_a_training_says_what_the_model_was_made_from():
    report = Report("T")
    report.closing({}, {"seqlm": "1"}, {"lora"}, {"Base model": "org/model", "Revision": ""}, trained=True)
    assert Heading("Versions and model") in report.blocks
    assert Bullets(["Base model: org/model", "Software: seqlm 1"]) in report.blocks


def test_the_verdict_is_printed_in_lines_that_fit_a_page(tmp_path, capsys):
    report = Report("Title")
    report.verdict("Fine-tuning helped.", "word " * 40, ["k-mer\n: better", "majority: better"], notes=["few\x1b[31m"])
    report.section("Scores", Paragraph("not the verdict"))
    nothing = Namespace(output_report=None, output_html=None, output_figures=None, figure_format="png")
    with Outputs() as outputs:
        write_report(nothing, report, outputs)
    words = ("word " * 20).strip()
    assert capsys.readouterr().out == (
        f"Fine-tuning helped.\n\n{words}\n{words}\n\n- k-mer : better\n- majority: better\n\nNote: few [31m\n"
    )


def test_parameters_are_those_that_were_given_and_that_matter():
    arguments = Namespace(lora_rank=8, lora_alpha=16, seed=0, split=None, label="")
    names = ("lora_rank", "lora_alpha", "seed", "split", "label")
    assert parameters(arguments, names) == {"lora rank": "8", "lora alpha": "16", "seed": "0"}
    assert parameters(arguments, names, ["lora"]) == {"seed": "0"}
    assert parameters(arguments, ("seed", "split"), unset=True) == {"seed": "0", "split": "None"}
