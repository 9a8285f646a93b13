"""The dataset tool as Galaxy calls it."""

from functools import partial

import pytest

SETS = ("train", "validation", "test")


@pytest.fixture
def dataset(script, new_process, tmp_path):
    """Run the tool with all its outputs; gives their folder."""

    def run(*options, name="out", new=False, without=("torch",)):
        how = new_process if new else partial(script, without=without)
        folder = tmp_path / name
        folder.mkdir()
        outputs = [item for each in SETS for item in (f"--output-{each}", folder / each)]
        how("dataset", *options, *outputs, "--output-table", folder / "all.tsv", "--output-report",
            folder / "report.md", "--output-figures", folder / "figures", "--output-html",
            folder / "report.html")  # fmt: skip
        return folder

    return run
