"""The commands that Galaxy makes of forms, by Galaxy's own templates and sanitizers.

Run with the Python of planemo's environment, which has both, as ``rendering.py``. Standard input is a JSON list of
``[template, values]``, standard output the list of commands. A value is a dictionary of more values, a list of them, or
``{"@": …}``, in whose place a stand-in of :func:`stand_in` comes.
"""

import json
import sys

from galaxy.tool_util.data import ToolDataTableManager
from galaxy.util import sanitize_param
from galaxy.util.template import fill_template


class Text(str):
    """What a user has typed, as ``str`` gives it: sanitized as its parameter says."""


class Number(str):
    def __bool__(self):
        return self not in ("", "0", "0.0")


class Boolean(str):
    def __bool__(self):
        return self.given


class Choice(str):
    """A value of a select, and the row of a data table that it is of."""


class Choices(list):
    def __str__(self):
        return ",".join(self)


class File(str):
    """A dataset: its path, its name as Galaxy shows it to templates, and its type."""

    def is_of_type(self, *types):
        return self.type in types


class App:
    """A Galaxy that knows the tables of a configuration file."""

    def __init__(self, configuration: str):
        self.tool_data_tables = ToolDataTableManager(tool_data_path=".", config_filename=configuration)


class Row:
    def __init__(self, fields):
        self.__dict__.update(fields)


def sanitized(text: str, rule: dict | None) -> str:
    """As a ``<sanitizer>`` of a form says: letters that are valid, what others become, and what the rest does."""
    if rule is None:
        return sanitize_param(text)
    return "".join(c if c in rule["valid"] else rule["mapping"].get(c, rule["invalid"]) for c in text)


def stand_in(value):
    if isinstance(value, list):
        return [stand_in(one) for one in value]
    kind = value.get("@") if isinstance(value, dict) else None
    if kind is None:
        return {name: stand_in(one) for name, one in value.items()} if isinstance(value, dict) else value
    if kind == "path":
        return value["value"]
    if kind == "app":
        return App(value["value"])
    if kind == "text":
        return Text(sanitized(value["value"], value["sanitizer"]))
    if kind == "number":
        return Number(value["value"])
    if kind == "boolean":
        made = Boolean(value["value"])
        made.given = value["given"]
    elif kind == "choice":
        made = Choice(sanitize_param(value["value"]))
        made.fields = Row(value["fields"])
    elif kind == "choices":
        return Choices(value["value"])
    else:
        made = File(value["value"])
        made.type, made.extra_files_path = value["type"], f"{value['value']}_files"
        # a collection's own names of its elements come as they are
        made.name, made.element_identifier = sanitize_param(value["name"]), value["name"]
    return made


if __name__ == "__main__":
    cases = json.load(sys.stdin)
    json.dump([fill_template(template, context=stand_in(values)) for template, values in cases], sys.stdout)
