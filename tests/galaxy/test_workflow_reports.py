"""The report that Galaxy shows of a run of each workflow: every figure, table and verdict in it is found.

Runs with the environment of planemo beside a Galaxy in which the workflows have been run (`make test` does both).
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

pytest.importorskip("playwright", reason="runs in the environment of planemo")
if "GALAXY_URL" not in os.environ:
    pytest.skip("needs a running Galaxy; `make test` starts one", allow_module_level=True)

from bioblend.galaxy import GalaxyInstance
from playwright.sync_api import expect

from makers.person import Person, open_page
from makers.workflows import EACH_TIME, WORKFLOWS

URL = os.environ["GALAXY_URL"]
WITHOUT_FIGURES = ("embed-and-predict-in-parts",)  # it joins tables
SLOW = {name: pytest.param(name, marks=() if name in EACH_TIME else pytest.mark.slow) for name in WORKFLOWS}
OPENED = ("dephosphorylation-sites", "ptm-sites-from-a-proteome", "variant-scan-of-a-protein", "hiv-chemberta-mlm-mtr")


@pytest.fixture(scope="module")
def galaxy() -> GalaxyInstance:
    return GalaxyInstance(URL, key=os.environ["GALAXY_KEY"])


@pytest.fixture(scope="module")
def person() -> Iterator[Person]:
    with open_page() as page:
        yield Person(page, URL, Path(os.environ["GALAXY_FOLDER"]) / "screenshots" / "workflow-reports")


def last_run(galaxy: GalaxyInstance, path: Path) -> dict:
    """The newest run of a workflow in this Galaxy that gave all that it promises."""
    name = json.loads(path.read_text())["name"]
    for run in galaxy.invocations.get_invocations():
        workflow = galaxy.workflows.show_workflow(run["workflow_id"], instance=True)
        # a workflow that planemo has imported may have its note behind the name
        if workflow["name"].startswith(name) and run["state"] in ("scheduled", "completed"):
            return galaxy.invocations.show_invocation(run["id"])
    raise AssertionError(f"the workflow {name!r} has not been run in this Galaxy")


def directives(path: Path) -> list[tuple[str, dict[str, str]]]:
    """What the report of a workflow shows: the kind of each, and its arguments."""
    markdown = json.loads(path.read_text())["report"]["markdown"]
    calls = re.findall(r"^```galaxy\n(\w+)\((.*)\)\n```$", markdown, flags=re.MULTILINE)
    return [(kind, dict(re.findall(r'(\w+)="([^"]+)"', arguments))) for kind, arguments in calls]


@pytest.mark.parametrize("name", SLOW.values())
def test_everything_that_a_report_shows_is_there(galaxy, name):
    shown = directives(WORKFLOWS[name])
    assert sum(kind == "history_dataset_as_image" for kind, _ in shown) >= 2 or name in WITHOUT_FIGURES
    assert sum(kind == "history_dataset_as_table" for kind, _ in shown) >= 1
    run = last_run(galaxy, WORKFLOWS[name])
    report = requests.get(f"{URL}/api/invocations/{run['id']}/report", headers={"x-api-key": galaxy.key}, timeout=60)
    assert report.status_code == 200, report.text
    assert report.json()["markdown"].count("```galaxy") == len(shown)
    jobs = {step["workflow_step_label"]: step["job_id"] for step in run["steps"]}
    for kind, arguments in shown:
        if step := arguments.get("step"):
            assert jobs[step], step
            continue
        dataset = run["outputs"][arguments["output"]]["id"]
        assert galaxy.datasets.show_dataset(dataset)["state"] == "ok", arguments
        if kind == "history_dataset_as_image":
            wanted = {"filename": arguments["path"]} if "path" in arguments else {}
            image = requests.get(
                f"{URL}/api/datasets/{dataset}/display", wanted, headers={"x-api-key": galaxy.key}, timeout=60
            )
            assert image.content.startswith(b"\x89PNG"), arguments


@pytest.mark.parametrize("name", [SLOW[name] for name in OPENED])
def test_a_report_opens_in_the_page_with_its_figures_tables_and_verdicts(galaxy, person, name):
    shown = directives(WORKFLOWS[name])
    run = last_run(galaxy, WORKFLOWS[name])
    person.problems.clear()
    person.page.goto(f"{URL}/workflows/invocations/{run['id']}/report")
    title = re.match("# (.+)", json.loads(WORKFLOWS[name].read_text())["report"]["markdown"])[1]
    expect(person.center.get_by_role("heading", name=title, exact=True)).to_be_visible()
    # settings are tables too, and what is folded is on the page all the same
    kinds = [kind for kind, _ in shown]
    expect(person.center.locator("table").nth(kinds.count("history_dataset_as_table") - 1)).to_be_attached()
    open_images = sum(kind == "history_dataset_as_image" and "collapse" not in arguments for kind, arguments in shown)
    expect(person.center.locator("img").nth(open_images - 1)).to_be_attached()
    assert person.see_all_images() >= open_images
    expect(person.center.get_by_text("## Verdict").first).to_be_visible()
    expect(person.page.locator(".alert-danger")).to_have_count(0)
    person.page.set_viewport_size({"width": 1500, "height": 7000})
    person.photograph(name)
    person.page.set_viewport_size({"width": 1500, "height": 1100})
    assert person.problems == []


def test_a_design_whose_best_are_not_folded_needs_no_model_that_folds(galaxy):
    """All else is there, and the report can be read; what has been computed before is not computed again."""
    path = WORKFLOWS["design-within-a-family"]
    before = last_run(galaxy, path)
    inputs = {number: {"src": one["src"], "id": one["id"]} for number, one in before["inputs"].items()}
    settings = {one["label"]: one["parameter_value"] for one in before["input_step_parameters"].values()}
    settings |= {"Fold the best": False, "Model that folds": "nobody/has-installed-this"}
    workflow = json.loads(path.read_text())
    workflow["name"] = f"Not folded: {workflow['name']}"  # so that no other test takes this run for the whole one
    steps = workflow["steps"].values()
    inputs |= {str(step["id"]): settings[step["label"]] for step in steps if step["type"] == "parameter_input"}
    run = galaxy.workflows.invoke_workflow(
        galaxy.workflows.import_workflow_dict(workflow)["id"],
        inputs=inputs,
        history_id=galaxy.histories.create_history("Design without folding")["id"],
        use_cached_job=True,
    )
    galaxy.invocations.wait_for_invocation(run["id"], maxwait=300, interval=2)
    run = galaxy.invocations.show_invocation(run["id"])
    for label in ("Proteins before", "Proteins to keep"):
        galaxy.datasets.wait_for_dataset(run["outputs"][label]["id"], maxwait=300, interval=2, check=True)
    jobs = {step["workflow_step_label"]: step["job_id"] for step in run["steps"] if step["job_id"]}
    states = {label: galaxy.jobs.show_job(job)["state"] for label, job in jobs.items()}
    assert states.pop("Fold") == "skipped"
    assert len(states) == 4 and set(states.values()) == {"ok"}
    report = requests.get(f"{URL}/api/invocations/{run['id']}/report", headers={"x-api-key": galaxy.key}, timeout=60)
    assert report.status_code == 200, report.text
