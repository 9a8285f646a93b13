"""What a person sees in Galaxy's pages: the forms of the tools, and the reports that runs have written.

Runs with the environment of planemo beside a Galaxy in which the workflows have been run (`make test` does both).
"""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("playwright", reason="runs in the environment of planemo")
if "GALAXY_URL" not in os.environ:
    pytest.skip("needs a running Galaxy; `make test` starts one", allow_module_level=True)

from bioblend.galaxy import GalaxyInstance
from playwright.sync_api import Page, expect

from makers.person import open_page

URL = os.environ["GALAXY_URL"]
REPOSITORY = Path(__file__).resolve().parents[2]
SCREENSHOTS = Path(os.environ["GALAXY_FOLDER"]) / "screenshots"
TOOLS = sorted(path.stem for path in (REPOSITORY / "tools").glob("seqlm_*.xml"))
RAW_MARKDOWN = re.compile(r"\*\*|\|\s*---|&\w+;")
TOOLS_WITH_A_REPORT = [tool for tool in TOOLS if tool != "seqlm_predict"]
DATA = REPOSITORY / "test-data"
# tools that stand in no workflow: their files, with Galaxy's name of each format, and their settings
BY_THEMSELVES = {
    "seqlm_explain": (
        {"model|model": ("bundle_lora_t5.zip", "zip"), "sequences": ("sites_test.fasta", "fasta")},
        {"how|method": "occlusion", "checks|checked": 8, "checks|random_models": 2},
    ),
    "seqlm_fold": ({"sequences": ("beginnings.fasta", "fasta")}, {"model|model": "seqlm/tiny-esmfold"}),
}


@pytest.fixture(scope="module")
def galaxy() -> GalaxyInstance:
    return GalaxyInstance(URL, key=os.environ["GALAXY_KEY"])


def run(galaxy: GalaxyInstance, tool: str) -> None:
    """Run a tool that stands in no workflow, in a history of its own, to its end."""
    files, settings = BY_THEMSELVES[tool]
    history = galaxy.histories.create_history(tool)["id"]
    for name, (file, kind) in files.items():
        one = galaxy.tools.upload_file(str(DATA / file), history, file_type=kind)["outputs"][0]["id"]
        galaxy.datasets.wait_for_dataset(one, interval=1, check=True)
        settings = settings | {name: {"src": "hda", "id": one}}
    payload = {"history_id": history, "tool_id": tool, "inputs": settings, "input_format": "legacy"}
    for job in galaxy.make_post_request(f"{galaxy.base_url}/api/tools", payload=payload)["jobs"]:
        galaxy.jobs.wait_for_job(job["id"], maxwait=600, interval=2)


@pytest.fixture(scope="module")
def reports(galaxy) -> dict[str, list[tuple[str, str]]]:
    """Dataset id and source of the reports that workflows have made, or tools by themselves, by tool."""
    for tool in BY_THEMSELVES:
        run(galaxy, tool)
    found = defaultdict(list)
    for history in galaxy.histories.get_histories():
        # planemo deletes the histories of its tests of tools as they end
        if history["name"].startswith("Tool Test History"):
            continue
        for dataset in galaxy.datasets.get_datasets(history_id=history["id"], extension="tool_markdown", state="ok"):
            if dataset["history_content_type"] != "dataset":  # a collection of reports, whose id is none of a dataset
                continue
            job = galaxy.datasets.show_dataset(dataset["id"])["creating_job"]
            source = galaxy.make_get_request(f"{URL}/api/datasets/{dataset['id']}/report").json()["content"]
            found[galaxy.jobs.show_job(job)["tool_id"]].append((dataset["id"], source))
    return found


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    SCREENSHOTS.mkdir(exist_ok=True)
    with open_page() as page:
        yield page


@pytest.mark.parametrize("tool", [*TOOLS, "data_manager_huggingface"])
def test_the_form_shows_every_question_by_its_label(page, galaxy, tool):
    questions = galaxy.tools.show_tool(tool, io_details=True)["inputs"]
    labels = [each.get("label") or each.get("title") for each in questions]
    labels += [each["test_param"]["label"] for each in questions if each["type"] == "conditional"]
    page.goto(f"{URL}/?tool_id={tool}")
    form = page.locator("#center")
    expect(form.get_by_role("button", name="Run Tool").first).to_be_visible()
    page.screenshot(path=SCREENSHOTS / f"{tool}-form.png", full_page=True)
    for label in filter(None, labels):
        expect(form.get_by_text(label).filter(visible=True).first).to_be_visible()
    expect(form.get_by_text("What it does", exact=True)).to_be_visible()
    expect(form).not_to_contain_text(RAW_MARKDOWN)
    expect(page.locator(".alert-danger")).to_have_count(0)


@pytest.mark.parametrize("tool", TOOLS_WITH_A_REPORT)
def test_a_report_opens_with_all_its_figures(page, reports, tool):
    assert tool in reports, f"no workflow with {tool} has been run in this Galaxy"
    # that with the most figures: a classifier that is only applied has none to show
    report, source = max(reports[tool], key=lambda item: item[1].count("history_dataset_as_image("))
    headings = re.findall(r"^##? +(.+?) *$", source, flags=re.MULTILINE)
    figures = re.findall(r"history_dataset_as_image\(", source)
    assert "Verdict" in headings
    assert figures

    page.set_viewport_size({"width": 1500, "height": 1100})
    page.goto(f"{URL}/datasets/{report}/report")
    for heading in headings:
        expect(page.get_by_role("heading", name=heading, exact=True).first).to_be_visible()
    images = page.locator("#center img")
    expect(images).to_have_count(len(figures))
    for number in range(len(figures)):
        images.nth(number).scroll_into_view_if_needed()
    page.wait_for_function("[...document.querySelectorAll('#center img')].every(image => image.naturalWidth > 0)")
    # The page scrolls inside, so that only a tall window shows the whole report.
    page.set_viewport_size({"width": 1500, "height": 6000})
    page.get_by_role("heading", name=headings[0], exact=True).first.scroll_into_view_if_needed()
    page.screenshot(path=SCREENSHOTS / f"{tool}-report.png")
    expect(page.locator(".alert-danger")).to_have_count(0)


@pytest.mark.parametrize("path", sorted(REPOSITORY.glob("workflows/*/*/*.ga")), ids=lambda path: path.stem)
def test_a_workflow_can_be_run_from_the_page_as_it_is(page, galaxy, path):
    workflow = galaxy.workflows.import_workflow_from_local_path(str(path))["id"]
    page.goto(f"{URL}/workflows/run?id={workflow}")
    expect(page.get_by_role("button", name="Run Workflow")).to_be_visible()
    page.screenshot(path=SCREENSHOTS / f"workflow-{path.stem}.png")
    for each in galaxy.workflows.show_workflow(workflow)["inputs"].values():
        expect(page.locator("#center").get_by_text(each["label"]).filter(visible=True).first).to_be_visible()
    expect(page.locator(".alert-danger")).to_have_count(0)
    galaxy.workflows.delete_workflow(workflow)
