"""The forms of the tools as Galaxy sees them, and the options of their scripts, without running anything."""

from __future__ import annotations

import copy
import importlib.util
from argparse import Action
from pathlib import Path
from xml.etree import ElementTree
from xml.etree.ElementTree import Element
from xml.sax.saxutils import escape

from seqlm.cli.errors import Parser

from .scripts import SCRIPTS

FORMS = Path(SCRIPTS).resolve().parent
TOOLS = sorted(path.stem.removeprefix("seqlm_") for path in FORMS.glob("seqlm_*.xml"))


def form_of(tool: str) -> Element:
    """A tool's XML in which each ``<expand macro="…">`` is what it stands for, and each ``@TOKEN@`` its text."""
    macros: dict[str, Element] = {}
    tokens: dict[str, str] = {}
    _gather(FORMS / f"seqlm_{tool}.xml", macros, tokens)
    form = ElementTree.parse(FORMS / f"seqlm_{tool}.xml").getroot()
    form.remove(form.find("macros"))
    _expand(form, macros)
    return _filled(form, tokens)


def parser_of(tool: str) -> Parser:
    """The parser of a script."""
    spec = importlib.util.spec_from_file_location(f"script_{tool}", SCRIPTS / f"{tool}.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    return script.options()


def options_of(tool: str) -> dict[str, Action]:
    """The options of a script by their names, but for --help and --version."""
    found = {action.option_strings[-1]: action for action in parser_of(tool)._actions}
    return {name: action for name, action in found.items() if name not in ("--help", "--version")}


def _gather(path: Path, macros: dict[str, Element], tokens: dict[str, str]) -> None:
    root = ElementTree.parse(path).getroot()
    for macro in root if root.tag == "macros" else root.find("macros"):
        if macro.tag == "import":
            _gather(path.parent / macro.text, macros, tokens)
        elif macro.tag == "token":
            tokens[macro.get("name")] = macro.text or ""
        else:
            macros[macro.get("name")] = macro


def _expand(parent: Element, macros: dict[str, Element]) -> None:
    expanded = []
    for child in parent:
        if child.tag == "expand":
            macro = macros[child.get("macro")]
            names = [name for name in macro.get("tokens", "").split(",") if name]
            names += [name.removeprefix("token_") for name in macro.attrib if name.startswith("token_")]
            given = {name: child.get(name, macro.get(f"token_{name}", "")) for name in names}
            macro = _filled(macro, {f"@{name.upper()}@": text for name, text in given.items()})
            _yield(macro, list(child))
            _expand(macro, macros)
            expanded += list(macro)
        else:
            _expand(child, macros)
            expanded.append(child)
    parent[:] = expanded


def _yield(parent: Element, children: list[Element]) -> None:
    """Put what stands within an ``<expand>`` where its macro says ``<yield/>``."""
    filled = []
    for child in parent:
        if child.tag == "yield":
            name = child.get("name")
            named = [one for one in children if one.tag == "token" and one.get("name") == name]
            filled += copy.deepcopy([*named[0]] if named else [] if name else [c for c in children if c.tag != "token"])
        else:
            _yield(child, children)
            filled.append(child)
    parent[:] = filled


def _filled(element: Element, tokens: dict[str, str]) -> Element:
    text = ElementTree.tostring(element, encoding="unicode")
    for name, value in reversed(tokens.items()):  # those of a form, in which there are those of all
        text = text.replace(name, escape(value, {'"': "&quot;"}))
    return ElementTree.fromstring(text)
