"""The tours of deploy/tours, taken step by step in Galaxy's page as their readers do."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

pytest.importorskip("playwright", reason="runs in the environment of planemo")
if "GALAXY_URL" not in os.environ:
    pytest.skip("needs a running Galaxy; `make test` starts one", allow_module_level=True)

import yaml
from playwright.sync_api import expect

from makers.person import Person, open_page

pytestmark = pytest.mark.slow

TOURS = Path(__file__).resolve().parents[2] / "deploy" / "tours"
SMALL = "Small protein model"


def wait_for_data(person: Person) -> None:
    person.wait_for("Training windows")
    person.wait_for("Test windows")


# What the text of a step asks its reader to do before going on: by the element that it points at.
WHAT_THE_READER_DOES = {
    '#current-history-panel [data-hid="2"]': wait_for_data,
    '[id="form-element-base|model"]': lambda person: person.choose("Base model", SMALL),
    '[id="form-element-train"]': lambda person: person.choose("Training data", "Training windows"),
    '[id="form-element-test"]': lambda person: person.choose("Test data", "Test windows"),
    '#current-history-panel [data-hid="3"]': lambda person: person.wait_for(re.compile("Fine-tune.*: report")),
    '[id="form-element-sequences"]': lambda person: person.choose("Sequences", "Test windows"),
    '#current-history-panel [data-hid="8"]': lambda person: person.wait_for(re.compile("Predict.*: predictions")),
}


def test_the_tour_leads_from_the_upload_to_the_predictions():
    tour = yaml.safe_load((TOURS / "seqlm-dephosphorylation.yaml").read_text())
    with open_page() as page:
        person = Person(page, os.environ["GALAXY_URL"], Path(os.environ["GALAXY_FOLDER"]) / "screenshots" / "tour")
        person.begin_history()
        page.goto(f"{person.url}/tours/seqlm-dephosphorylation")
        box = page.locator(".tour-element")
        done = set()
        for number, step in enumerate(tour["steps"], start=1):
            title, element = step["title"], step.get("element")
            expect(box.locator(".tour-title")).to_have_text(title)
            expect(box.locator(".tour-content")).to_be_visible()
            if element:
                expect(page.locator(element).first).to_be_visible()
            person.photograph(f"{number:02}")
            if element in WHAT_THE_READER_DOES:
                WHAT_THE_READER_DOES[element](person)
                done.add(element)
            if "textinsert" in step:
                expect(page.locator(element).first).to_have_value(step["textinsert"])
            last = number == len(tour["steps"])
            box.locator(".tour-end" if last else ".tour-next").click()
            if title == "The verdict":
                expect(person.center).to_contain_text("test set of 40 sequences")
        expect(box).to_have_count(0)
        assert done == WHAT_THE_READER_DOES.keys()
        assert len(person.table(person.center.locator("table").first)) == 41
        assert person.problems == []
