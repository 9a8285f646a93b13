"""Each tutorial, followed as it is written: its boxes are read and done in a real Galaxy.

``small.yml`` beside a tutorial says what stands in for what, since real data and models are too large for a test: files
for addresses, installed small models for published ones, settings where a small model needs others, and what is then
true of the outputs. Everything else is done as the tutorial says.
"""

from __future__ import annotations

import gzip
import os
import re
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from tempfile import NamedTemporaryFile
from urllib.parse import urlsplit

import pytest
import yaml

if "GALAXY_URL" not in os.environ:
    pytest.skip("needs a running Galaxy; `make tutorials` starts one", allow_module_level=True)

from bioblend.galaxy import GalaxyInstance

from makers.tutorial_forms import inputs_of
from makers.tutorials import FOLDER, TUTORIALS, Inspect, Item, Rename, Run, TutorialError, Upload, read_tutorial

pytestmark = pytest.mark.slow

REPOSITORY = Path(__file__).resolve().parents[2]
# Jobs wait for each other in Galaxy, so more at once would only wait there.
AT_ONCE = 3
SECONDS = 900


class Follower:
    """Somebody who does what a tutorial says, in a history of their own.

    Args:
        galaxy: where it is done.
        name: of the tutorial.
    """

    def __init__(self, galaxy: GalaxyInstance, name: str):
        self.galaxy = galaxy
        self.history = galaxy.histories.create_history(f"Tutorial: {name}")["id"]
        self.small = yaml.safe_load((FOLDER / name / "small.yml").read_text())
        self.used: set[tuple[str, str]] = set()
        # name now, tool, id
        self.datasets: list[tuple[str, str, str]] = []
        # ids of what the last tool gave
        self.last: set[str] = set()
        # id and the name at the beginning of what was fetched from an address
        self.fetched: dict[str, str] = {}
        library = yaml.safe_load((FOLDER / name / "data-library.yaml").read_text())
        self.formats = {Path(urlsplit(one["url"]).path).name: one["ext"] for one in _leaves(library["items"])}

    def do(self, step: Upload | Rename | Run | Inspect) -> None:
        {Upload: self.upload, Rename: self.rename, Run: self.run, Inspect: self.inspect}[type(step)](step)

    def stand_in(self, kind: str, name: str) -> object:
        """What stands in for a file, a model or a setting; the name itself where nothing does."""
        found = self.small.get(kind, {})
        if name in found:
            self.used.add((kind, name))
        return found.get(name, name)

    def upload(self, step: Upload) -> None:
        if step.pasted:
            self.put(step.pasted.encode(), "Pasted Entry")
        for address in step.files:
            stand_in = self.stand_in("data", address)
            if stand_in == address:
                raise TutorialError(f"small.yml names no file for {address}")
            name = Path(urlsplit(address).path).name
            content = (REPOSITORY / stand_in).read_bytes()
            dataset = self.put(gzip.compress(content) if name.endswith(".gz") else content, name)
            if address != name:
                self.fetched[dataset] = name

    def put(self, content: bytes, name: str) -> str:
        """Upload a file, of which Galaxy tells the format, and return its dataset."""
        with NamedTemporaryFile() as file:
            file.write(content)
            file.flush()
            uploaded = self.galaxy.tools.upload_file(file.name, self.history, file_name=name, file_type="auto")
        dataset = uploaded["outputs"][0]["id"]
        self.datasets.append((name, "", dataset))
        return dataset

    def rename(self, step: Rename) -> None:
        for old, new in step.names:
            dataset = self.dataset(old)
            if any(each[1:] == ("", dataset) for each in self.datasets):
                self.ready(dataset)  # an upload that ends gives its dataset the name that it began with
            self.galaxy.histories.update_dataset(self.history, dataset, name=new)
            self.datasets = [(new if each[2] == dataset else each[0], *each[1:]) for each in self.datasets]

    def dataset(self, name: str, tool: str = "") -> str:
        """The dataset of that name; of an output of the tool named, or of the last run, its last part is enough."""
        found = [each for each in self.datasets if each[0] == name]
        if tool or not found:
            called = [each for each in self.datasets if each[0].rpartition(": ")[2] == name]
            found = [each for each in called if (each[1] == tool if tool else each[2] in self.last)]
        if len(found) != 1:
            known = ", ".join(f"`{each[0]}`" for each in self.datasets)
            raise TutorialError(f"{len(found)} datasets are called `{name}`; the history has {known}")
        return found[0][2]

    def ready(self, dataset: str) -> str:
        """The dataset when its job has ended well."""
        deadline = time.monotonic() + SECONDS
        while (known := self.galaxy.datasets.show_dataset(dataset))["state"] != "ok":
            if known["state"] in ("error", "paused", "discarded", "failed_metadata") or time.monotonic() > deadline:
                job = self.galaxy.jobs.show_job(known["creating_job"], full_details=True)
                raise TutorialError(f"`{known['name']}` is {known['state']}: {job['tool_stderr'] or job['stderr']}")
            time.sleep(0.5)
        return dataset

    def run(self, step: Run) -> None:
        form = self.galaxy.tools.show_tool(step.tool, io_details=True)
        if form["name"] != step.name:
            raise TutorialError(f"{step.tool} is called {form['name']!r}, not {step.name!r}")
        items = [self.small_item(item) for item in step.items]
        where = f"{step.name}: "
        try:
            inputs = inputs_of(form["inputs"], items, self.reference, final=False)
            # The form again, with the choices that depend on the data.
            form = self.galaxy.tools.build(step.tool, inputs=inputs, history_id=self.history)
            inputs = inputs_of(form["inputs"], items, self.reference)
        except TutorialError as problem:
            raise TutorialError(where + str(problem)) from None
        payload = {"history_id": self.history, "tool_id": step.tool, "inputs": inputs, "input_format": "legacy"}
        answer = self.galaxy.make_post_request(f"{self.galaxy.base_url}/api/tools", payload=payload)
        if not answer["jobs"]:
            raise TutorialError(where + str(answer["errors"]))
        self.datasets += [(each["name"], step.name, each["id"]) for each in answer["outputs"]]
        self.last = {each["id"] for each in answer["outputs"]}

    def small_item(self, item: Item) -> Item:
        """A setting with what stands in for its values."""
        values = [str(self.stand_in("models", value)) for value in item.values]
        setting = self.small.get("settings", {}).get(item.label, {})
        for number, value in enumerate(values):
            if value in map(str, setting):
                self.used.add(("settings", item.label))
                values[number] = str(next(new for old, new in setting.items() if str(old) == value))
        return Item(item.label, values, item.icon, item.tools, [self.small_item(each) for each in item.items])

    def reference(self, name: str, tool: str) -> dict:
        return {"src": "hda", "id": self.ready(self.dataset(name, tool))}

    def content(self, dataset: str) -> str:
        if self.galaxy.datasets.show_dataset(self.ready(dataset))["extension"] == "tool_markdown":
            url = f"{self.galaxy.base_url}/api/datasets/{dataset}/report"
            return self.galaxy.make_get_request(url).json()["content"]
        return self.galaxy.datasets.download_dataset(dataset).decode(errors="replace")

    def inspect(self, step: Inspect) -> None:
        content = self.content(self.dataset(step.dataset))
        for text in step.texts:
            if text not in content:
                raise TutorialError(f"`{step.dataset}` has no {text!r}:\n{content[:3000]}")

    def check(self) -> None:
        """What is true of the outputs with what stands in, and that everything was needed and went well."""
        for _, _, dataset in self.datasets:
            self.ready(dataset)
        for dataset, name in self.fetched.items():
            found = self.galaxy.datasets.show_dataset(dataset)["extension"]
            if found != self.formats.get(name):
                raise TutorialError(f"data-library.yaml says {self.formats.get(name)!r} of {name}: it is {found!r}")
        for name, said in self.small.get("outputs", {}).items():
            tool, _, output = name.rpartition(": ")
            content = self.content(self.dataset(output, tool))
            if "lines" in said and len(content.splitlines()) != said["lines"]:
                raise TutorialError(f"`{name}` has {len(content.splitlines())} lines, not {said['lines']}")
            for pattern in said.get("has", []):
                if not re.search(pattern, content, flags=re.MULTILINE):
                    raise TutorialError(f"`{name}` has nothing like {pattern!r}:\n{content[:6000]}")
        known = {(kind, name) for kind in ("data", "models", "settings") for name in self.small.get(kind, {})}
        if unused := known - self.used:
            raise TutorialError(f"small.yml names what the tutorial does not: {unused}")


def _leaves(items: list[dict]) -> list[dict]:
    return [leaf for item in items for leaf in (_leaves(item["items"]) if "items" in item else [item])]


def follow(name: str) -> float:
    """Do a tutorial and return how many seconds it took.

    Raises:
        TutorialError: it cannot be followed, or does not give what it says.
    """
    began = time.monotonic()
    follower = Follower(GalaxyInstance(os.environ["GALAXY_URL"], key=os.environ["GALAXY_KEY"]), name)
    _, steps = read_tutorial((FOLDER / name / "tutorial.md").read_text())
    for step in steps:
        follower.do(step)
    follower.check()
    return time.monotonic() - began


@pytest.fixture(scope="module")
def followed(request) -> dict[str, Future]:
    """The tutorials that were chosen, some at once."""
    chosen = [item.callspec.params["name"] for item in request.session.items if "followed" in item.fixturenames]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        yield {name: pool.submit(follow, name) for name in chosen}


@pytest.mark.parametrize("name", TUTORIALS)
def test_a_tutorial_can_be_followed_as_it_is_written(followed, name):
    print(f"{name}: {followed[name].result():.0f} s")
