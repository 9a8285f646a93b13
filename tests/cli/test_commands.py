"""Whatever a form is filled in with is one value of one option of its script, and nothing else."""

from __future__ import annotations

import json
import random
import re
import string
import subprocess
from pathlib import Path
from xml.etree.ElementTree import Element

import pytest

from makers.forms import TOOLS, form_of, parser_of
from makers.scripts import ROOT
from seqlm.checkpoints.installed import read_installed

RENDERING = [ROOT / ".venvs" / "planemo" / "bin" / "python", ROOT / "tests" / "makers" / "rendering.py"]
LISTS = {"--names", "--unknown-label"}  # a form cuts these at commas, and each part is one value
TIMES = 240  # that each form is filled in, every time with other choices
HOSTILE = (
    "-2,-1",
    "--output-html=elsewhere", "--output-table", "-old", "-2", r"-(\w+)$", "a b", "it's", "--", "-h", "=", "$(touch x)",
    "`touch x`", 'a" "b', "a' --seed=1 '", "; touch x", "a\\", "*", "~", "&& touch x", "#", "$HOME", "-",
)  # fmt: skip


class Filled:
    """A form filled in by chance: twice with the same seed it is the same, but for the texts where ``hostile``.

    Attributes:
        values: for the template, see ``makers/rendering.py``.
        texts: what stands in the place of ``plain1``, ``plain2``… where texts are hostile.
    """

    def __init__(self, form: Element, seed: int, hostile: bool):
        self.chance, self.hostile = random.Random(seed), hostile
        self.texts: list[str] = []
        self.values = self._all(form.find("inputs")) | {"__tool_directory__": "/tools"}
        for output in form.find("outputs"):
            self.values[output.get("name")] = self._file(output.get("format") or "html")
        for written in form.findall("configfiles/configfile"):
            self.values[written.get("name")] = {"@": "path", "value": f"/configs/{written.get('name')}"}

    def _all(self, parent: Element) -> dict:
        found = {}
        for one in parent:
            if one.tag == "conditional":
                found[one.get("name")] = self._conditional(one)
            elif one.tag == "section":
                found[one.get("name")] = self._all(one)
            elif one.tag == "repeat":
                found[one.get("name")] = [
                    self._all(one) for _ in range(max(int(one.get("min", 0)), self.chance.randint(0, 2)))
                ]
            elif one.tag == "param":
                found[one.get("name") or one.get("argument").removeprefix("--").replace("-", "_")] = self._one(one)
        return found

    def _conditional(self, conditional: Element) -> dict:
        asked = conditional.find("param")
        chosen = self._one(asked)
        branch = next((one for one in conditional.findall("when") if one.get("value") == chosen["value"]), ())
        return {asked.get("name") or asked.get("argument").removeprefix("--").replace("-", "_"): chosen} | self._all(
            branch
        )

    def _one(self, param: Element):
        kind, several = param.get("type"), param.get("multiple") == "true"
        empty = param.get("optional") == "true" and self.chance.random() < 0.5
        if kind == "text":
            if is_free(param):
                typed = self._text("plain", without="," if param.get("argument") in LISTS else "")
            else:  # the form refuses most of what is hostile
                typed = self.chance.choice([param.get("value", ""), *(one for one in HOSTILE if fits(param, one))])
            return {"@": "text", "value": "" if empty else typed, "sanitizer": _sanitizer(param)}
        if kind in ("integer", "float"):
            return {"@": "number", "value": "" if empty else param.get("value") or param.get("min", "")}
        if kind == "boolean":
            given = self.chance.random() < 0.5
            return {"@": "boolean", "value": param.get("truevalue" if given else "falsevalue", ""), "given": given}
        if kind == "data_column":
            return {"@": "choices", "value": ["1", "2"]} if several else {"@": "number", "value": "" if empty else "1"}
        if kind in ("data", "data_collection"):
            several = several or kind == "data_collection"
            files = [self._file(self.chance.choice(param.get("format").split(","))) for _ in range(2)]
            return files if several else {**files[0], "value": ""} if empty else files[0]
        assert kind == "select", f"there is no stand-in for {kind}"
        if param.find("options") is not None:
            fields = {name: self._text("plain", without="'") for name in ("path", "version")}
            return {"@": "choice", "value": self._text("name"), "fields": fields}
        options = [option.get("value") for option in param.iter("option")]
        if several:
            some = self.chance.sample(options, self.chance.randint(param.get("optional") != "true", len(options)))
            return {"@": "choices", "value": some}
        return {"@": "choice", "value": self.chance.choice(options), "fields": {}}

    def _file(self, kind: str) -> dict:
        return {"@": "file", "value": f"/files/{len(self.texts)}.dat", "name": self._text("name"), "type": kind}

    def _text(self, plain: str, without: str = "") -> str:
        hostile = self.chance.choice([one for one in HOSTILE if not set(without) & set(one)])
        self.texts.append(f"{hostile}{len(self.texts)}")
        return self.texts[-1] if self.hostile else f"{plain}{len(self.texts) - 1}"


def fits(param: Element, text: str) -> bool:
    """Whether a form lets a text through."""
    return all(re.match(one.text, text) for one in param.findall("validator") if one.get("type") == "regex")


def is_free(param: Element) -> bool:
    return param.get("type") == "text" and fits(param, "plain1")


def _sanitizer(param: Element) -> dict | None:
    rule = param.find("sanitizer")
    if rule is None:
        assert not is_free(param), f"{param.attrib}: Galaxy's own sanitizer would change letters"
        return None
    valid = set(getattr(string, rule.find("valid").get("initial").removeprefix("string.")))
    valid -= {one.get("value") for one in rule.find("valid").findall("remove")}
    valid |= {one.get("value") for one in rule.find("valid").findall("add")}
    mapping = {one.get("source"): one.get("target") for one in rule.findall("mapping/add")}
    return {"valid": "".join(sorted(valid)), "mapping": mapping, "invalid": rule.get("invalid_char", "X")}


# a shell that runs each command on its standard input, in which no command but the script's does anything
SHELL = r"""
mkdir() { :; }; ln() { :; }; cp() { :; }; find() { :; }
python() { printf '%s\0' "${@:2}"; }
while IFS= read -r -d '' command; do eval "$command"; printf '\1'; done
"""


def words_of(commands: list[str], folder: Path) -> list[list[str]]:
    """What a shell gives to the script in each command, after the script's name."""
    given = "".join(command.replace("\n", " ") + "\0" for command in commands)
    done = subprocess.run(["bash", "-c", SHELL], input=given, cwd=folder, capture_output=True, text=True)
    assert not done.stderr and not list(folder.iterdir()), done.stderr[-2000:]
    return [words.split("\0")[:-1] for words in done.stdout.split("\1")[:-1]]


def hostile_of(value, texts: list[str]):
    """What an option has where texts are hostile, by what it has where they are plain."""
    if isinstance(value, list):
        return [hostile_of(one, texts) for one in value]
    return re.sub(r"plain(\d+)", lambda found: texts[int(found[1])], value) if isinstance(value, str) else value


def of_names(value) -> bool:
    """Whether it has the name of a dataset or of a table's row, whose odd letters Galaxy or the form replaces."""
    return any("name" in str(one) for one in (value if isinstance(value, list) else [value]))


@pytest.fixture(scope="module")
def commands(tmp_path_factory):
    """tool -> for each time its words where texts are plain, those where they are hostile, and the hostile texts."""
    pairs, asked = {}, []
    for tool in TOOLS:
        form = form_of(tool)
        pairs[tool] = [[Filled(form, seed, hostile) for hostile in (False, True)] for seed in range(TIMES)]
        asked += [(form.find("command").text, one.values) for pair in pairs[tool] for one in pair]
    done = subprocess.run(RENDERING, input=json.dumps(asked), capture_output=True, text=True)
    assert not done.returncode, done.stderr[-2000:]
    words = iter(words_of(json.loads(done.stdout), tmp_path_factory.mktemp("empty")))
    return {tool: [(next(words), next(words), hostile.texts) for _, hostile in made] for tool, made in pairs.items()}


@pytest.mark.parametrize("tool", TOOLS)
def test_what_is_typed_is_one_value_of_its_option_and_sets_nothing_else(tool, commands):
    parser, arrived = parser_of(tool), set()
    for plain, hostile, texts in commands[tool]:
        assert [word.partition("=")[0] for word in hostile] == [word.partition("=")[0] for word in plain]
        wanted, found = vars(parser.parse_args(plain)), vars(parser.parse_args(hostile))
        for name, value in wanted.items():
            if of_names(value):
                assert type(found[name]) is type(value)
                continue
            assert found[name] == hostile_of(value, texts), name
            if found[name] != value:
                arrived.add(name)
    inputs = form_of(tool).find("inputs")
    typed = {param.get("argument") for param in inputs.iter("param") if is_free(param) and param.get("argument")}
    assert {name.removeprefix("--").replace("-", "_") for name in typed} <= arrived


@pytest.mark.parametrize("tool", TOOLS)
def test_every_option_and_its_value_are_one_word(tool):
    """``--option='$value'``: as two words, a value that begins with a dash would be an option."""
    command = form_of(tool).find("command").text
    for line in re.findall(r"^ *(--.*)$", command, re.M):
        assert re.fullmatch(r"--\S*?(\{[^}]*\})?(=('[^']*'|'\$\{.*\}'|\"\\\$\{GALAXY_SLOTS:-1\}\"))?", line.strip()), (
            line
        )


def test_a_form_hands_over_the_id_version_and_path_of_every_model_that_is_installed(tmp_path):
    """Of the table as Galaxy reads it, and none where a server has no such table."""
    templates = [one.text for tool in TOOLS for one in form_of(tool).findall("configfiles/configfile")]
    assert len(templates) == 5 and len(set(templates)) == 1
    table = ROOT / "tool_data" / "tool_data_table_conf.xml.test"
    empty = tmp_path / "none.xml"
    empty.write_text("<tables/>")
    asked = [(templates[0], {"__app__": {"@": "app", "value": str(one)}}) for one in (table, empty)]
    done = subprocess.run(RENDERING, input=json.dumps(asked), capture_output=True, text=True)
    assert not done.returncode, done.stderr[-2000:]
    (tmp_path / "rows").write_text(json.loads(done.stdout)[0])
    rows = read_installed(tmp_path / "rows")
    lines = [line for line in (ROOT / "test-data" / "huggingface.loc").read_text().splitlines() if line[0] != "#"]
    assert [(row.id, row.version) for row in rows] == [(line.split("\t")[0], "1") for line in lines]
    assert all(Path(row.path).is_dir() and Path(row.path).name == row.id.split("/")[1] for row in rows)
    assert not json.loads(done.stdout)[1].strip()
