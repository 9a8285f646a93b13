"""A person at Galaxy's pages: uploads files, fills in forms by what is written beside their fields, waits, reads.

Whatever Galaxy or the browser reports as an error on the way is kept in :attr:`Person.problems`.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import ConsoleMessage, Locator, Page, expect, sync_playwright

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
SECONDS = 1000  # playwright counts milliseconds
PATIENCE = 60 * SECONDS  # a busy machine takes its time to load a page
JOB_PATIENCE = 240 * SECONDS
# What Galaxy's own pages fail at where users may not define tools.
NOT_OURS = ("/api/unprivileged_tools",)
# Pop-up messages vanish by themselves, so they are written down as they come.
_WATCH = """
new MutationObserver(changes => {
  for (const change of changes) for (const node of change.addedNodes) {
    const toast = node.nodeType === 1 && (node.closest('.b-toast-danger') || node.querySelector('.b-toast-danger'));
    if (toast) window.noteProblem('pop-up: ' + toast.innerText);
  }
}).observe(document, {childList: true, subtree: true});
"""


@contextmanager
def open_page(width: int = 1500, height: int = 1100) -> Iterator[Page]:
    """A page of the machine's Chromium, or of the one that playwright has fetched."""
    expect.set_options(timeout=PATIENCE)
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    with sync_playwright() as playwright:
        # Chromium's sandbox and small /dev/shm stop it from starting as root and in containers.
        browser = playwright.chromium.launch(
            executable_path=found, args=["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"]
        )
        page = browser.new_page(viewport={"width": width, "height": height})
        page.set_default_timeout(PATIENCE)
        yield page
        browser.close()


class Person:
    """What somebody does in one history, with the mouse and the keyboard.

    Args:
        page: of a browser, empty.
        url: of a Galaxy that needs no log-in.
        screenshots: folder of the pictures of each step.
    """

    def __init__(self, page: Page, url: str, screenshots: Path):
        self.page, self.url, self.screenshots = page, url, screenshots
        self.problems: list[str] = []
        screenshots.mkdir(parents=True, exist_ok=True)
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.problems.append(f"script: {error}"))
        page.expose_function("noteProblem", lambda text: self.problems.append(text))
        page.add_init_script(_WATCH)

    def _console(self, message: ConsoleMessage) -> None:
        where = message.location.get("url", "")
        # the pages also ask servers elsewhere, such as that of the training material, which cannot be reached from here
        if message.type == "error" and where.startswith(self.url) and not any(path in where for path in NOT_OURS):
            self.problems.append(f"console: {message.text} ({where})")

    def photograph(self, name: str) -> None:
        self.page.screenshot(path=self.screenshots / f"{name}.png")

    @property
    def center(self) -> Locator:
        return self.page.locator("#center")

    def begin_history(self) -> None:
        """Open Galaxy and make an empty history the current one."""
        self.page.goto(self.url)
        self.page.locator('[data-description="create new history"]').click()
        expect(self.page.locator("#current-history-panel #empty-history-message")).to_be_visible()

    def upload(self, *paths: Path) -> None:
        """Upload files through the dialog, their formats left to Galaxy, and wait until they are there."""
        self.page.locator("#activity-upload").click()
        with self.page.expect_file_chooser() as chooser:
            self.page.locator("#btn-local").click()
        chooser.value.set_files(list(paths))
        expect(self.page.locator("#regular .upload-row")).to_have_count(len(paths))
        self.page.locator("#regular #btn-start").click()
        expect(self.page.locator("#regular .upload-row.upload-success")).to_have_count(len(paths))
        self.photograph("upload")
        self.page.locator("#regular #btn-close").click()
        for path in paths:
            self.wait_for(path.name)

    def open_form(self, tool: str) -> None:
        """Look for a tool in the panel as one who knows a word of its name, and open its form."""
        search = self.page.locator("#toolbox-panel .search-query")
        search.fill(tool)
        self.page.locator("#toolbox-panel .toolTitle a").filter(has_text=tool).first.click()
        expect(self.center.get_by_text(tool).first).to_be_visible()
        expect(self._run_button).to_be_visible()

    @property
    def _run_button(self) -> Locator:
        return self.center.get_by_role("button", name="Run Tool").first

    def field(self, label: str) -> Locator:
        """What is filled in for a question of the form; a section that hides it is unfolded."""
        exactly = re.compile(rf"^\s*{re.escape(label)}\s*$")
        titles = self.page.locator(".ui-form-title-text").filter(has_text=exactly)
        fields = self.center.locator(".ui-form-element").filter(has=titles)
        # the question of a choice that decides what else is asked stands above it, as the head of all that
        heads = self.page.locator(".portlet-header:not(.cursor-pointer)").filter(has_text=exactly)
        choices = self.center.locator(".ui-portlet-section").filter(has=heads).locator(".ui-form-element")
        found = fields.or_(choices)
        expect(found.first).to_be_attached()
        if not found.filter(visible=True).count():
            for head in found.first.locator("xpath=ancestor::*[contains(@class, 'ui-portlet-section')]").all():
                head.locator("> .portlet-header.cursor-pointer").click()
        return found.filter(visible=True).first

    def choose(self, label: str, option: str) -> None:
        """Choose the first option that begins with a text, in a list of datasets after their numbers."""
        box = self.field(label).locator(".multiselect").first
        box.click()
        box.locator("input").press_sequentially(option)
        begins = re.compile(rf"^\s*(\d+: )?{re.escape(option)}")
        box.get_by_role("option").filter(has_text=begins).filter(visible=True).first.click()
        expect(box.locator(".multiselect__single").first).to_contain_text(option)

    def write(self, label: str, text: str) -> None:
        box = self.field(label).locator("input:not([type=range]), textarea").first
        box.fill(text)
        box.press("Tab")
        expect(box).to_have_value(text)

    def run(self, name: str) -> None:
        """Run the tool of the open form and wait until Galaxy has taken it; ``name`` is that of its pictures."""
        self._run_button.scroll_into_view_if_needed()
        self.photograph(f"{name}-form")
        self._run_button.click()
        expect(self.center.get_by_text("Started tool")).to_be_visible()
        self.photograph(f"{name}-started")

    def item(self, name: str | re.Pattern) -> Locator:
        """The newest dataset of the history with a name that contains a text or fits a pattern."""
        items = self.page.locator("#current-history-panel .content-item")
        return items.filter(has=self.page.locator(".content-title", has_text=name)).first

    def wait_for(self, name: str | re.Pattern) -> None:
        """Wait until a dataset is ready in the history's panel."""
        item = self.item(name)
        expect(item).to_have_attribute("data-state", re.compile("^(ok|error|paused|discarded)$"), timeout=JOB_PATIENCE)
        assert item.get_attribute("data-state") == "ok", item.inner_text()

    def look_at(self, name: str | re.Pattern) -> Locator:
        """Click the eye of a dataset and return the middle of the page, which then shows it."""
        self.wait_for(name)
        self.item(name).locator(".display-btn").click()
        self.page.wait_for_url(re.compile("/datasets/"))
        return self.center

    def headings(self) -> list[str]:
        return [text.strip() for text in self.center.get_by_role("heading").all_inner_texts()]

    def table(self, place: Locator) -> list[list[str]]:
        """The rows of a table of the page, its header first."""
        rows = place.locator("tr")
        expect(rows.nth(1)).to_be_visible()
        texts = [row.locator("th, td").all_inner_texts() for row in rows.all()]
        return [[" ".join(cell.split()) for cell in row] for row in texts]

    def see_all_images(self) -> int:
        """Scroll to every image of the middle that is not folded away and return how many these are; all must load."""
        expect(self.center.locator(".alert-warning")).to_have_count(0)  # in their places, while they are looked for
        images = self.center.locator("img").filter(visible=True)
        for number in range(images.count()):
            images.nth(number).scroll_into_view_if_needed()
        self.page.wait_for_function(
            "[...document.querySelectorAll('#center img')].every(each => each.naturalWidth > 0 || !each.offsetParent)"
        )
        return images.count()
