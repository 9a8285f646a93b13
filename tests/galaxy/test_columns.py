"""Wherever a form has columns chosen from a table, Galaxy offers those of the table that the form was given."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from xml.etree.ElementTree import Element

import pytest

if "GALAXY_URL" not in os.environ:
    pytest.skip("needs a running Galaxy; `make test` starts one", allow_module_level=True)

from bioblend.galaxy import GalaxyInstance

from makers.forms import TOOLS, form_of

DATA = Path(__file__).resolve().parents[2] / "test-data"
NAMED = [["c1: name", "1", False], ["c2: sequence", "2", False], ["c3: melting", "3", False]]
NUMBERED = [[f"Column: {number}", str(number), False] for number in (1, 2, 3)]


@dataclass(frozen=True)
class Selector:
    """A place of a form where a column is chosen.

    Attributes:
        path: names of the groups that it is in, and its own.
        chosen: what leads there: the path of a select, and its value.
        table: the path of the input whose columns these are.
        several: whether that input takes any number of files, whose headers Galaxy does not show.
    """

    path: tuple[str, ...]
    chosen: tuple[tuple[tuple[str, ...], str], ...]
    table: tuple[str, ...] = ()
    several: bool = False


def name_of(param: Element) -> str:
    return param.get("name") or param.get("argument").removeprefix("--").replace("-", "_")


def selectors(parent: Element, path=(), chosen=(), above=()) -> Iterator[Selector]:
    """All of a form. ``above`` are the inputs of files that stand in the same group or around it."""
    files = [(name_of(one), one, (*path, name_of(one))) for one in parent.findall("param[@type='data']")]
    scope = dict(above) | {name: (place, one.get("multiple") == "true") for name, one, place in files}
    for one in parent:
        if one.tag == "param" and one.get("type") == "data_column":
            yield Selector((*path, name_of(one)), chosen, *scope[one.get("data_ref")])
        elif one.tag == "section":
            yield from selectors(one, (*path, one.get("name")), chosen, scope.items())
        elif one.tag == "conditional":
            here = (*path, one.get("name"))
            asked = (*here, name_of(one.find("param")))
            for case in one.findall("when"):
                yield from selectors(case, here, (*chosen, (asked, case.get("value"))), scope.items())


def offered(inputs: list[dict], path: tuple[str, ...]) -> list:
    """The options that Galaxy gives a parameter of a form that has been filled in."""
    name, *rest = path
    found = next(one for one in inputs if one["name"] == name)
    if not rest:
        return found["options"]
    if found["type"] == "conditional":
        found = next(case for case in found["cases"] if case["value"] == found["test_param"]["value"])
    return offered(found["inputs"], rest)


@pytest.fixture(scope="module")
def galaxy() -> GalaxyInstance:
    return GalaxyInstance(os.environ["GALAXY_URL"], key=os.environ["GALAXY_KEY"])


@pytest.fixture(scope="module")
def history(galaxy) -> str:
    return galaxy.histories.create_history("columns of tables")["id"]


@pytest.fixture(scope="module")
def table(galaxy, history) -> str:
    found = galaxy.tools.upload_file(str(DATA / "stability.csv"), history, file_type="csv")["outputs"][0]["id"]
    galaxy.datasets.wait_for_dataset(found, interval=1, check=True)
    return found


@pytest.mark.parametrize("tool", TOOLS)
def test_columns_are_offered_by_their_names(tool, galaxy, history, table):
    together = defaultdict(list)
    for each in selectors(form_of(tool).find("inputs")):
        together[each.chosen, each.table].append(each)
    assert together
    for (chosen, file), group in together.items():
        inputs = {"|".join(place): value for place, value in chosen}
        inputs["|".join(file)] = {"values": [{"src": "hda", "id": table}]}
        form = galaxy.tools.build(f"seqlm_{tool}", inputs=inputs, history_id=history)
        for each in group:
            options = offered(form["inputs"], each.path)
            assert options == (NUMBERED if each.several else NAMED), (each.path, chosen)
