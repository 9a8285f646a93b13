"""Settings as a tutorial names them, by the labels and the texts of a form, turned into what Galaxy's API takes."""

from __future__ import annotations

from collections.abc import Callable
from xml.etree.ElementTree import Element

from .tutorials import Item, TutorialError

YES_NO = {"Yes": True, "No": False}
# How the icon of a setting shows what it takes.
ICONS = {"data": "param-file", "data of several": "param-files", "data_collection": "param-collection"}

# From the name of a dataset, and of the tool that made it, to what the API calls it.
Datasets = Callable[[str, str], dict]


def inputs_of(form: list[dict], items: list[Item], datasets: Datasets, *, final: bool = True) -> dict:
    """The inputs of a run, each with its whole name: ``learn|labels|where``.

    Args:
        form: the inputs of a tool as the API gives them.
        final: choices that depend on the data must be there; without, they are left out where they are not.

    Raises:
        TutorialError: a label, a choice or a dataset is not there, or a setting has the icon of another kind.
    """
    return _level(form, items, "", datasets, final)


def _level(form: list[dict], items: list[Item], prefix: str, datasets: Datasets, final: bool) -> dict:
    inputs: dict = {}
    for item in items:
        found = [each for each in form if _label(each) == item.label]
        if len(found) != 1:
            known = ", ".join(f'"{_label(each)}"' for each in form)
            raise TutorialError(f'{len(found)} settings are called "{item.label}" here; there are {known}')
        each = found[0]
        name = prefix + each["name"]
        if each["type"] == "conditional":
            test = each["test_param"]
            chosen = _choice(test, item)
            inputs[f"{name}|{test['name']}"] = chosen
            case = next(case for case in each["cases"] if case["value"] == chosen)
            inputs |= _level(case["inputs"], item.items, f"{name}|", datasets, final)
        elif each["type"] == "section":
            _only_opens(item)
            inputs |= _level(each["inputs"], item.items, f"{name}|", datasets, final)
        elif each["type"] == "repeat":
            _only_opens(item)
            inputs |= _repeat(each, item, name, datasets, final)
        else:
            if item.items:
                raise TutorialError(f'"{item.label}" has nothing below it')
            value = _value(each, item, datasets, final)
            if value is not None:
                inputs[name] = value
    return inputs


def _label(setting: dict) -> str:
    """What a person sees of a setting."""
    return (
        setting["test_param"]["label"] if setting["type"] == "conditional" else setting.get("label") or setting["title"]
    )


def _only_opens(item: Item) -> None:
    if item.values:
        raise TutorialError(f'"{item.label}" takes no value')


def _repeat(each: dict, item: Item, name: str, datasets: Datasets, final: bool) -> dict:
    inputs: dict = {}
    for number, one in enumerate(item.items):
        if one.label != f"Insert {item.label}" or one.icon != "param-repeat":
            raise TutorialError(f'"{item.label}": {{% icon param-repeat %}} *"Insert {item.label}"* is expected')
        # Galaxy's answer has the settings of each that is there, with the choices that suit the data.
        filled = each.get("cache") or []
        form = filled[number] if number < len(filled) else each["inputs"]
        inputs |= _level(form, one.items, f"{name}_{number}|", datasets, final)
    return inputs


def _choice(each: dict, item: Item) -> str:
    chosen = _choices(each, item)
    if len(chosen) != 1:
        raise TutorialError(f'"{item.label}" takes one of its choices')
    return chosen[0]


def _choices(each: dict, item: Item) -> list[str]:
    if each["options"] is None:
        return item.values
    known = {option[0]: option[1] for option in each["options"]}
    for value in item.values:
        if value not in known:
            raise TutorialError(f'"{item.label}" has no choice "{value}"; there are {", ".join(map(repr, known))}')
    return [known[value] for value in item.values]


def _value(each: dict, item: Item, datasets: Datasets, final: bool) -> object:
    kind = each["type"]
    several = each.get("multiple") and kind in ("data", "select", "data_column")
    expected = ICONS.get("data of several" if kind == "data" and several else kind)
    if (item.icon or None) != expected and (
        expected or item.icon.removeprefix("param-") in ("file", "files", "collection")
    ):
        raise TutorialError(
            f'"{item.label}" stands with the icon {expected or "of no file"}, not {item.icon or "none"}'
        )
    if not item.values or (len(item.values) > 1 and not several):
        raise TutorialError(f'"{item.label}" takes {"a value" if not item.values else "one value"}')
    if kind in ("data", "data_collection"):
        found = [datasets(*each) for each in zip(item.values, item.tools, strict=True)]
        return {"values": found} if several else found[0]
    if kind == "boolean":
        if item.values[0] not in YES_NO:
            raise TutorialError(f'"{item.label}" is Yes or No')
        return YES_NO[item.values[0]]
    if kind == "data_column" and not final:
        return None
    if kind in ("select", "data_column"):
        return _choices(each, item) if several else _choice(each, item)
    return item.values[0]


def form_of_inputs(parent: Element) -> list[dict]:
    """The inputs of a tool's XML in the shape of the API, for which no Galaxy is needed.

    Choices that come from a table of the server or from the data are None.
    """
    return [_setting(each) for each in parent if each.tag in ("param", "conditional", "section", "repeat")]


def _setting(each: Element) -> dict:
    name = each.get("name") or each.get("argument", "").lstrip("-").replace("-", "_")
    setting = {"name": name, "label": each.get("label"), "title": each.get("title"), "type": each.get("type", each.tag)}
    if each.tag == "conditional":
        test, *_ = form_of_inputs(each)
        cases = [{"value": case.get("value"), "inputs": form_of_inputs(case)} for case in each.findall("when")]
        return setting | {"test_param": test, "cases": cases}
    if each.tag in ("section", "repeat"):
        return setting | {"inputs": form_of_inputs(each)}
    options = [[option.text, option.get("value")] for option in each.findall("option")]
    fixed = each.find("options") is None and setting["type"] == "select"
    return setting | {"multiple": each.get("multiple") == "true", "options": options if fixed else None}
